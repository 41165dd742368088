/* A log decided twice. Where only shares differ, a request of a host whose share stays is decided
 * once. */
#include "cli/diff/diff.h"

#include "cli/diff/log_line.h"
#include "cli/lines.h"
#include "cli/progress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HOSTS_CACHED = 1 << 14, /* direct mapped; a power of two */
    CACHED_BYTES = 96,
    SERVICES_CACHED = 4,
    PROGRESS_LINES = 8192,
    KINDS_MAX = 4096, /* kinds of moves that are counted apart */
};

/* Whether a host's requests can move at all, and what decides when only its shares do. */
struct cached_host {
    uint8_t len; /* 0: free */
    bool differs;
    char text[CACHED_BYTES];
    uint32_t after[SERVICES_CACHED]; /* shares, by service of the old router */
};

/* Where requests go: a place is a service and a group, or the status of an answer. */
struct place_count {
    struct str service, group;
    int status;
    uint64_t before, after;
};

struct move {
    unsigned from, to; /* indices of places */
    uint64_t count;
};

struct replay {
    struct judge *before, *after; /* borrow */
    const struct diff_log_options *options;
    struct question question;
    struct cached_host *hosts;  /* owns */
    struct place_count *places; /* owns */
    size_t place_count, place_cap;
    unsigned *known[2]; /* own: by service + 1 and group + 1, place + 1; of both configurations */
    struct move *moves; /* owns */
    size_t move_count;
    uint64_t requests, moved, debug, no_host, unreadable, unplaced;
};

/* --- places ---------------------------------------------------------------------------------- */

static unsigned place_add(struct replay *replay, struct str service, struct str group, int status)
{
    for (size_t i = 0; i < replay->place_count; i++) {
        struct place_count *place = &replay->places[i];
        if (place->status == status && str_eq(place->service, service) &&
            str_eq(place->group, group))
            return (unsigned)i;
    }
    if (replay->place_count == replay->place_cap) {
        replay->place_cap = MAX(replay->place_cap * 2, (size_t)64);
        replay->places = mem_resize(replay->places, replay->place_cap * sizeof(*replay->places));
    }
    replay->places[replay->place_count] =
        (struct place_count){.service = service, .group = group, .status = status};
    return (unsigned)replay->place_count++;
}

static unsigned place_of(struct replay *replay, unsigned which, const struct judge *judge,
                         const struct decision *decision)
{
    struct str none = {"", 0};
    struct str service =
        decision->service >= 0 ? judge->conf->services[decision->service].name : none;

    if (decision->group < 0)
        return place_add(replay, none, none, decision->status);
    unsigned *known =
        &replay->known[which][(size_t)(decision->service + 1) * (judge->config->group_count + 1) +
                              (size_t)(decision->group + 1)];
    if (*known == 0)
        *known = 1 + place_add(replay, service, judge->config->groups[decision->group].name, 0);
    return *known - 1;
}

static void move_add(struct replay *replay, unsigned from, unsigned to)
{
    for (size_t i = 0; i < replay->move_count; i++) {
        if (replay->moves[i].from == from && replay->moves[i].to == to) {
            replay->moves[i].count++;
            return;
        }
    }
    if (replay->move_count < KINDS_MAX)
        replay->moves[replay->move_count++] = (struct move){from, to, 1};
    else
        replay->unplaced++;
}

/* --- hosts ----------------------------------------------------------------------------------- */

static void shares_compare(const struct replay *replay, struct str authority,
                           struct cached_host *cached)
{
    const struct router_conf *old = replay->before->conf, *now = replay->after->conf;
    char text[256];
    struct str host = {"", 0};

    cached->differs = host_canonical(authority, text, sizeof(text), &host) < 0;
    for (size_t i = 0; i < old->service_count && !(cached->differs && i >= SERVICES_CACHED); i++) {
        int other = service_find(now, old->services[i].name);
        uint32_t before = share_of_host(replay->before->router, host, (int)i);
        uint32_t after = other >= 0 ? share_of_host(replay->after->router, host, other) : before;
        cached->differs = cached->differs || other < 0 || before != after;
        if (i < SERVICES_CACHED)
            cached->after[i] = after;
    }
}

/* NULL when nothing is known about the host beforehand. */
static const struct cached_host *host_cached(struct replay *replay, struct str authority)
{
    uint32_t hash = 2166136261u;

    if (!replay->options->only_shares || authority.len == 0 || authority.len > CACHED_BYTES)
        return NULL;
    for (size_t i = 0; i < authority.len; i++)
        hash = (hash ^ (unsigned char)authority.ptr[i]) * 16777619u;
    struct cached_host *cached = &replay->hosts[(hash ^ hash >> 16) & (HOSTS_CACHED - 1)];
    if (!str_eq(str_make(cached->text, cached->len), authority)) {
        shares_compare(replay, authority, cached);
        memcpy(cached->text, authority.ptr, authority.len);
        cached->len = (uint8_t)authority.len;
    }
    return cached;
}

static bool is_below(uint32_t bucket, uint32_t share)
{
    return bucket < ((uint64_t)share << 32) / SHARE_MAX;
}

/* Whether the request may be somewhere else: its host's share is another, and lies on the other
 * side of its bucket. */
static bool may_move(struct replay *replay, const struct facts *facts, const struct decision *old)
{
    const struct cached_host *cached = host_cached(replay, facts->host);

    if (cached == NULL)
        return true;
    if (!cached->differs)
        return false;
    if (!replay->options->same_buckets || old->entry < 0 || old->service >= SERVICES_CACHED)
        return true;
    return is_below(old->bucket, old->share) != is_below(old->bucket, cached->after[old->service]);
}

/* --- requests -------------------------------------------------------------------------------- */

/* The same place and the same target behind it. */
static bool is_same(const struct replay *replay, const struct decision *old,
                    const struct decision *now)
{
    if (old->group < 0 || now->group < 0)
        return true; /* places say it all */
    return str_eq(replay->before->config->groups[old->group].targets[old->target].name,
                  replay->after->config->groups[now->group].targets[now->target].name);
}

static void decide(struct replay *replay, const struct log_request *request)
{
    struct question *question = &replay->question;
    struct facts *facts = &question->facts;

    if (judge_facts(replay->before, question) != NULL) {
        replay->unreadable++;
        return;
    }
    if (replay->options->same_buckets)
        log_request_use_bucket(request, facts);
    struct decision old = judge_decide(replay->before, question);
    unsigned from = place_of(replay, 0, replay->before, &old), to = from;
    bool is_moved = false;
    if (may_move(replay, facts, &old)) {
        struct decision now = judge_decide(replay->after, question);
        to = place_of(replay, 1, replay->after, &now);
        is_moved = from != to || !is_same(replay, &old, &now);
    }
    replay->requests++;
    replay->places[from].before++;
    replay->places[to].after++;
    if (is_moved) {
        replay->moved++;
        move_add(replay, from, to);
    }
}

static void replay_line(struct replay *replay, char *line, size_t len)
{
    struct log_request request;

    question_reset(&replay->question);
    switch (log_line_read(line, len, replay->options->host, &replay->question, &request)) {
    case LOG_REQUEST:
        decide(replay, &request);
        break;
    case LOG_DEBUG:
        replay->debug++;
        break;
    case LOG_NO_HOST:
        replay->no_host++;
        break;
    case LOG_UNREADABLE:
        replay->unreadable++;
        break;
    }
}

static int replay_all(struct replay *replay, int fd)
{
    struct stat status;
    struct progress progress;
    struct lines lines;
    enum lines_result result;
    uint64_t count = 0;
    char *line;
    size_t len;

    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    progress_init(&progress, is_file ? (uint64_t)status.st_size : 0);
    lines_init(&lines, fd);
    while ((result = lines_next(&lines, &line, &len)) <= LINES_TOO_LONG) {
        if (result == LINES_LINE)
            replay_line(replay, line, len);
        else
            replay->unreadable++;
        if (++count % PROGRESS_LINES == 0)
            progress_at(&progress, lines.bytes_read);
    }
    progress_end(&progress);
    lines_deinit(&lines);
    return result == LINES_FAILED ? -1 : 0;
}

/* --- telling --------------------------------------------------------------------------------- */

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static int compare_places(const void *left, const void *right)
{
    const struct place_count *a = left, *b = right;
    int order = str_cmp(a->service, b->service);

    if (order == 0)
        order = str_cmp(a->group, b->group);
    return order != 0 ? order : a->status - b->status;
}

static int compare_moves(const void *left, const void *right)
{
    const struct move *a = left, *b = right;

    return (a->count < b->count) - (a->count > b->count);
}

static struct str place_text(struct arena *arena, const struct place_count *place)
{
    if (place->status > 0)
        return arena_printf(arena, "answer %d", place->status);
    if (place->service.len == 0)
        return place->group;
    return arena_printf(arena, "%.*s: %.*s", STR_FMT(place->service), STR_FMT(place->group));
}

static void print_moves(FILE *out, struct replay *replay, struct arena *arena)
{
    if (replay->move_count > 1)
        qsort(replay->moves, replay->move_count, sizeof(*replay->moves), compare_moves);
    for (size_t i = 0; i < replay->move_count; i++) {
        const struct move *move = &replay->moves[i];
        struct str from = place_text(arena, &replay->places[move->from]);
        struct str to = place_text(arena, &replay->places[move->to]);
        fprintf(out, "    %10" PRIu64 "  %.*s -> %.*s%s\n", move->count, STR_FMT(from), STR_FMT(to),
                move->from == move->to ? " (another target)" : "");
    }
    if (replay->unplaced > 0)
        fprintf(out, "    %10" PRIu64 "  otherwise\n", replay->unplaced);
}

/* Shares within the service: how much of it each of its groups gets. */
static void print_places(FILE *out, struct replay *replay, struct arena *arena)
{
    qsort(replay->places, replay->place_count, sizeof(*replay->places), compare_places);
    fprintf(out, "    %-40s %12s %8s    %12s %8s\n", "service: group", "before", "share", "after",
            "share");
    for (size_t i = 0; i < replay->place_count; i++) {
        const struct place_count *place = &replay->places[i];
        uint64_t before = 0, after = 0;
        for (size_t j = 0; j < replay->place_count; j++) {
            if (!str_eq(replay->places[j].service, place->service))
                continue;
            before += replay->places[j].before;
            after += replay->places[j].after;
        }
        struct str text = place_text(arena, place);
        fprintf(out, "    %-40.*s %12" PRIu64 " %7.3f%%    %12" PRIu64 " %7.3f%%\n", STR_FMT(text),
                place->before, percent(place->before, before), place->after,
                percent(place->after, after));
    }
}

static void print_skipped(FILE *out, const char *what, uint64_t count)
{
    if (count > 0)
        fprintf(out, "    %10" PRIu64 "  %s\n", count, what);
}

static void print_replay(FILE *out, struct replay *replay)
{
    struct arena arena;

    arena_init(&arena, NULL);
    fprintf(out, "log %s: %" PRIu64 " of %" PRIu64 " requests would move (%.3f%%)\n",
            replay->options->file, replay->moved, replay->requests,
            percent(replay->moved, replay->requests));
    print_moves(out, replay, &arena);
    if (replay->requests > 0)
        print_places(out, replay, &arena);
    if (replay->debug + replay->no_host + replay->unreadable > 0)
        fprintf(out, "  not asked:\n");
    print_skipped(out, "with a debug header, which the log does not have", replay->debug);
    print_skipped(out, "without a host; --host NAME gives them one", replay->no_host);
    print_skipped(out, "lines that are not of a log we know", replay->unreadable);
    arena_reset(&arena);
}

/* --- JSON ------------------------------------------------------------------------------------ */

void diff_json_str(struct text *json, const char *key, struct str value)
{
    text_add(json, ",\"%s\":", key);
    text_add_json(json, value);
}

static void add_place(struct text *json, const struct place_count *place)
{
    text_add(json, "{\"status\":%d", place->status);
    diff_json_str(json, "service", place->service);
    diff_json_str(json, "group", place->group);
}

static void add_moves(struct text *json, const struct replay *replay)
{
    text_add(json, ",\"moves\":[");
    for (size_t i = 0; i < replay->move_count; i++) {
        const struct move *move = &replay->moves[i];
        text_add(json, "%s{\"requests\":%" PRIu64 ",\"from\":", i > 0 ? "," : "", move->count);
        add_place(json, &replay->places[move->from]);
        text_add(json, "},\"to\":");
        add_place(json, &replay->places[move->to]);
        text_add(json, "}}");
    }
    text_add(json, "]");
}

static void add_places(struct text *json, const struct replay *replay)
{
    text_add(json, ",\"places\":[");
    for (size_t i = 0; i < replay->place_count; i++) {
        const struct place_count *place = &replay->places[i];
        text_add(json, "%s", i > 0 ? "," : "");
        add_place(json, place);
        text_add(json, ",\"before\":%" PRIu64 ",\"after\":%" PRIu64 "}", place->before,
                 place->after);
    }
    text_add(json, "]");
}

static void add_replay(struct text *json, const struct replay *replay)
{
    text_add(json, "{\"requests\":%" PRIu64 ",\"moved\":%" PRIu64, replay->requests, replay->moved);
    diff_json_str(json, "file", str_of(replay->options->file));
    add_moves(json, replay);
    add_places(json, replay);
    text_add(json,
             ",\"with_debug_header\":%" PRIu64 ",\"without_host\":%" PRIu64
             ",\"unreadable\":%" PRIu64 "}",
             replay->debug, replay->no_host, replay->unreadable);
}

/* --- the whole ------------------------------------------------------------------------------- */

static unsigned *known_new(const struct judge *judge)
{
    return mem_new((judge->conf->service_count + 1) * (judge->config->group_count + 1) *
                   sizeof(unsigned));
}

static void replay_free(struct replay *replay)
{
    question_deinit(&replay->question);
    free(replay->hosts);
    free(replay->places);
    free(replay->known[0]);
    free(replay->known[1]);
    free(replay->moves);
    free(replay);
}

int64_t diff_log(FILE *out, struct judge *before, struct judge *after,
                 const struct diff_log_options *options)
{
    bool is_stdin = str_eq(str_of(options->file), STR("-"));
    int fd = is_stdin ? STDIN_FILENO : open(options->file, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        perror(options->file);
        return -1;
    }
    struct replay *replay = mem_new(sizeof(*replay));
    replay->before = before;
    replay->after = after;
    replay->options = options;
    replay->hosts = mem_new(HOSTS_CACHED * sizeof(*replay->hosts));
    replay->known[0] = known_new(before);
    replay->known[1] = known_new(after);
    replay->moves = mem_new(KINDS_MAX * sizeof(*replay->moves));
    question_init(&replay->question);
    int64_t moved = replay_all(replay, fd);
    if (moved < 0)
        perror(options->file);
    else if (options->json != NULL)
        add_replay(options->json, replay);
    else
        print_replay(out, replay);
    if (moved == 0)
        moved = (int64_t)replay->moved;
    if (!is_stdin)
        close(fd);
    replay_free(replay);
    return moved;
}
