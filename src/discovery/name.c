/* See name_impl.h. Answers are collected in slots; name_decide looks at them at the end of the
 * loop's turn and does one thing: take the answer, ask the next candidate, or end the round without
 * one. */
#include "discovery/name_impl.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WINNER_NONE = -1,
    WINNER_HOSTS = -2,       /* /etc/hosts */
    PARTIAL_MS = 30 * 1000,  /* next round when one family has failed and the other has not */
    CANDIDATE_TEXT_MAX = 512 /* two names; longer ones do not exist */
};

static const int family_of[NAME_FAMILIES] = {[NAME_IPV4] = AF_INET, [NAME_IPV6] = AF_INET6};

/* A question that is on its way. */
struct asked {
    struct name *name;
    unsigned round;
    int candidate, family;
};

/* --- candidates ------------------------------------------------------------------------------ */

static bool is_absolute(const struct name *name)
{
    size_t len = strlen(name->text);

    return len > 0 && name->text[len - 1] == '.';
}

static int candidate_count(const struct name *name)
{
    return is_absolute(name) ? 1 : (int)dns_domain_count(name->world->dns) + 1;
}

static int count_dots(const char *text)
{
    int dots = 0;

    for (; *text != '\0'; text++)
        dots += *text == '.';
    return dots;
}

static void candidate_format(const struct name *name, int candidate, char out[CANDIDATE_TEXT_MAX])
{
    const struct dns *dns = name->world->dns;
    int domains = candidate_count(name) - 1;
    bool as_it_stands_first = count_dots(name->text) >= dns_ndots(dns);
    int domain = as_it_stands_first ? candidate - 1 : candidate;
    int len = (int)strlen(name->text) - is_absolute(name);

    if (domain < 0 || domain >= domains)
        snprintf(out, CANDIDATE_TEXT_MAX, "%.*s", len, name->text);
    else
        snprintf(out, CANDIDATE_TEXT_MAX, "%s.%s", name->text, dns_domain(dns, (size_t)domain));
}

/* --- answers --------------------------------------------------------------------------------- */

static void answer_clear(struct name_answer *answer)
{
    free(answer->addrs);
    *answer = (struct name_answer){0};
}

static void answer_copy(struct name_answer *answer, const struct addr *addrs, size_t count)
{
    answer_clear(answer);
    answer->addrs = mem_new(MAX(count, 1u) * sizeof(*addrs));
    if (count > 0)
        memcpy(answer->addrs, addrs, count * sizeof(*addrs));
    answer->count = count;
}

/* Has this machine a route to `addr`? No packet is sent. A machine that has IPv4 alone does not use
 * AAAA records. */
static bool has_route(const struct addr *addr)
{
    struct addr with_port = *addr;
    int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    if (addr->sa.sa_family == AF_INET)
        with_port.in.sin_port = htons(9);
    else
        with_port.in6.sin6_port = htons(9);
    int status = connect(fd, &with_port.sa, with_port.len);
    close(fd);
    return status == 0;
}

/* Keeps those with a route. Keeps all of them when none has one, so that the log names what was
 * tried. */
static size_t keep_routed(struct endpoint_entry *entries, size_t count)
{
    size_t routed = 0;

    for (size_t i = 0; i < count; i++) {
        if (has_route(&entries[i].addr))
            entries[routed++] = entries[i];
    }
    return routed > 0 ? routed : count;
}

/* The addresses of both families. They are sorted, so that the same ones are kept when there are
 * too many, in whatever order they came. */
static struct endpoint_set *make_set(const struct name *name, size_t *dropped)
{
    const struct name_answer *v4 = &name->known[NAME_IPV4], *v6 = &name->known[NAME_IPV6];
    size_t count = v4->count + v6->count;
    struct addr *addrs = mem_new(MAX(count, 1u) * sizeof(*addrs));

    if (v4->count > 0)
        memcpy(addrs, v4->addrs, v4->count * sizeof(*addrs));
    if (v6->count > 0)
        memcpy(addrs + v4->count, v6->addrs, v6->count * sizeof(*addrs));
    struct endpoint_set *set = endpoint_set_of_addresses(str_of(name->text), addrs, count);
    free(addrs);

    size_t kept = MIN(set->count, name->world->max_addresses);
    *dropped = set->count - kept;
    set->count = keep_routed(set->entries, kept);
    set->is_gone = name->is_gone;
    return set;
}

static void publish(struct name *name)
{
    size_t dropped;
    struct endpoint_set *set = make_set(name, &dropped);

    if (name->set != NULL && endpoint_set_eq(name->set, set)) {
        endpoint_set_unref(&set);
        return;
    }
    if (set->count > 0)
        LOG_INFO("name_resolved", "name=%s addresses=%zu", name->text, set->count);
    if (dropped > 0)
        LOG_LIMITED(LOG_LEVEL_WARN, "name_addresses_dropped", "name=%s kept=%zu dropped=%zu",
                    name->text, set->count, dropped);
    name->world->dropped += dropped;
    endpoint_set_unref(&name->set);
    name->set = set;
    name->world->publish(name->world->arg, set);
}

/* --- rounds ---------------------------------------------------------------------------------- */

/* Makes the next round begin `ms` from now at the latest. */
static void again_in(struct name *name, int64_t ms)
{
    struct loop *loop = name->world->loop;

    if (!deadline_is_set(&name->again) || name->again.at_ms > loop_now_ms(loop) + ms)
        deadline_set(loop, &name->again, ms);
}

static int64_t ttl_bounded(const struct name *name, int64_t ttl_ms)
{
    const struct name_times *times = &name->world->times;

    return MIN(MAX(ttl_ms, times->min_ms), times->max_ms);
}

static void note_failure(struct name *name, const char *error)
{
    name->world->failures++;
    LOG_LIMITED(LOG_LEVEL_WARN, "name_not_resolved", "name=%s error=\"%s\" kept=%zu", name->text,
                error, name->set != NULL ? name->set->count : 0);
}

static void end_round(struct name *name)
{
    name->is_open = false;
    deadline_clear(&name->too_long);
    for (int f = 0; f < NAME_FAMILIES; f++)
        answer_clear(&name->fresh[f]);
}

static void end_failed(struct name *name)
{
    end_round(name);
    note_failure(name, name->error);
    for (int f = 0; f < NAME_FAMILIES; f++)
        name->known[f].is_stale = name->known[f].count > 0;
    if (name->set == NULL)
        publish(name);
    again_in(name, name->world->times.retry_ms);
}

/* All servers say that the name does not exist or has no address. */
static void end_gone(struct name *name)
{
    end_round(name);
    note_failure(name, "the name does not exist, or has no address");
    name->is_gone = true;
    publish(name);
    again_in(name, name->world->times.retry_ms);
}

/* Applies the slot of family `f`. The candidate is the winner. */
static void take_slot(struct name *name, int f)
{
    struct name_answer *known = &name->known[f];

    switch (name->slots[f]) {
    case SLOT_UNWANTED:
    case SLOT_NO_DATA:
    case SLOT_NO_NAME:
        answer_clear(known);
        break;
    case SLOT_ADDRESSES:
        answer_clear(known);
        *known = name->fresh[f];
        name->fresh[f] = (struct name_answer){0};
        break;
    case SLOT_FAILED:
        known->is_stale = known->count > 0;
        note_failure(name, name->error);
        again_in(name, PARTIAL_MS);
        break;
    case SLOT_ASKED: /* its answer comes later; until then the known one stays */
        break;
    }
}

static void end_with(struct name *name, int winner)
{
    if (name->winner != winner) {
        for (int f = 0; f < NAME_FAMILIES; f++)
            answer_clear(&name->known[f]); /* of another name */
    }
    name->winner = winner;
    name->is_gone = false;
    for (int f = 0; f < NAME_FAMILIES; f++)
        take_slot(name, f);
    end_round(name);
    publish(name);
    again_in(name, ttl_bounded(name, name->ttl_ms));
}

static enum name_slot slot_of(enum dns_status status)
{
    switch (status) {
    case DNS_ADDRESSES:
        return SLOT_ADDRESSES;
    case DNS_NO_DATA:
        return SLOT_NO_DATA;
    case DNS_NO_NAME:
        return SLOT_NO_NAME;
    case DNS_FAILED:
    case DNS_CANCELLED:
        break;
    }
    return SLOT_FAILED;
}

/* An answer that came after its round: that of the second family, or one that took too long. */
static void take_late(struct name *name, const struct asked *asked, const struct dns_answer *answer)
{
    bool is_only_hope = name->winner == WINNER_NONE && asked->round == name->round &&
                        answer->status == DNS_ADDRESSES;

    if (is_only_hope)
        name->winner = asked->candidate;
    if (asked->candidate != name->winner || !name->wants[asked->family])
        return;
    if (answer->status == DNS_ADDRESSES) {
        answer_copy(&name->known[asked->family], answer->addrs, answer->count);
        name->is_gone = false;
        again_in(name, ttl_bounded(name, answer->ttl_ms));
    } else if (answer->status == DNS_FAILED) {
        name->known[asked->family].is_stale = name->known[asked->family].count > 0;
        note_failure(name, answer->error);
    } else if (asked->round == name->round) {
        answer_clear(&name->known[asked->family]);
    }
    publish(name);
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct asked *asked = arg;
    struct name *name = asked->name;
    bool is_in_time = name->is_open && asked->round == name->round && asked->candidate == name->at;

    if (answer->status != DNS_CANCELLED && is_in_time) {
        name->slots[asked->family] = slot_of(answer->status);
        if (answer->status == DNS_FAILED)
            name->error = answer->error;
        if (answer->status == DNS_ADDRESSES) {
            answer_copy(&name->fresh[asked->family], answer->addrs, answer->count);
            name->ttl_ms = MIN(name->ttl_ms, answer->ttl_ms);
        }
        loop_defer(name->world->loop, &name->decide);
    } else if (answer->status != DNS_CANCELLED && !name->is_open) {
        take_late(name, asked, answer);
    }
    free(asked);
}

static void ask(struct name *name, const char *text, int family)
{
    struct asked *asked = mem_new(sizeof(*asked));

    *asked = (struct asked){name, name->round, name->at, family};
    dns_ask(name->world->dns, text, family_of[family], on_answer, asked);
}

static void ask_candidate(struct name *name, int candidate)
{
    char text[CANDIDATE_TEXT_MAX];

    name->at = candidate;
    name->ttl_ms = INT64_MAX;
    candidate_format(name, candidate, text);
    for (int f = 0; f < NAME_FAMILIES; f++)
        name->slots[f] = name->wants[f] ? SLOT_ASKED : SLOT_UNWANTED;
    deadline_set(name->world->loop, &name->too_long, name->world->times.candidate_ms);
    for (int f = 0; f < NAME_FAMILIES; f++) {
        if (name->wants[f])
            ask(name, text, f);
    }
}

static void ask_next(struct name *name)
{
    if (name->at + 1 < candidate_count(name))
        ask_candidate(name, name->at + 1);
    else if (name->has_failed)
        end_failed(name);
    else
        end_gone(name);
}

static bool has_slot(const struct name *name, enum name_slot slot)
{
    for (int f = 0; f < NAME_FAMILIES; f++) {
        if (name->slots[f] == slot)
            return true;
    }
    return false;
}

static void name_decide(struct name *name)
{
    if (!name->is_open)
        return;
    if (has_slot(name, SLOT_ADDRESSES)) {
        end_with(name, name->at);
        return;
    }
    if (has_slot(name, SLOT_ASKED)) {
        /* One family has no address: wait a little for the other one. */
        deadline_set(name->world->loop, &name->too_long, name->world->times.patience_ms);
        return;
    }
    bool is_winner = name->at == name->winner;
    if (has_slot(name, SLOT_FAILED) && (is_winner || !has_slot(name, SLOT_NO_NAME))) {
        name->has_failed = true;
        /* The next candidate may be the name of another service, so it is not asked while this
         * one has a known answer. */
        if (is_winner) {
            end_failed(name);
            return;
        }
    }
    ask_next(name);
}

static void on_decide(struct task *task)
{
    name_decide(CONTAINER_OF(task, struct name, decide));
}

static void on_too_long(struct deadline *deadline)
{
    struct name *name = CONTAINER_OF(deadline, struct name, too_long);

    for (int f = 0; f < NAME_FAMILIES; f++) {
        if (name->slots[f] == SLOT_ASKED)
            name->slots[f] = SLOT_FAILED;
    }
    name->error = "no answer in time";
    name_decide(name);
}

/* --- /etc/hosts ------------------------------------------------------------------------------ */

/* /etc/hosts gives the whole answer: DNS is not asked for a family that it lacks. */
static void on_hosts(void *arg, const struct dns_answer *answer)
{
    struct name *name = arg;

    if (answer->status != DNS_ADDRESSES)
        return;
    for (int f = 0; f < NAME_FAMILIES; f++)
        name->slots[f] = SLOT_NO_DATA;
    for (size_t i = 0; i < answer->count; i++) {
        int f = answer->addrs[i].sa.sa_family == AF_INET ? NAME_IPV4 : NAME_IPV6;
        if (!name->wants[f])
            continue;
        struct name_answer *fresh = &name->fresh[f];
        fresh->addrs = mem_resize(fresh->addrs, (fresh->count + 1) * sizeof(*fresh->addrs));
        fresh->addrs[fresh->count++] = answer->addrs[i];
        name->slots[f] = SLOT_ADDRESSES;
    }
    name->ttl_ms = 0;
}

static bool is_in_hosts(struct name *name)
{
    char text[CANDIDATE_TEXT_MAX];

    snprintf(text, sizeof(text), "%.*s", (int)strlen(name->text) - is_absolute(name), name->text);
    for (int f = 0; f < NAME_FAMILIES; f++)
        name->slots[f] = SLOT_UNWANTED;
    dns_look_in_hosts(name->world->dns, text, on_hosts, name);
    return has_slot(name, SLOT_ADDRESSES);
}

/* --- life ------------------------------------------------------------------------------------ */

static void begin_round(struct name *name)
{
    name->round++;
    name->is_open = true;
    name->has_failed = false;
    deadline_clear(&name->again);
    if (is_in_hosts(name))
        end_with(name, WINNER_HOSTS);
    else
        ask_candidate(name, 0);
}

static void on_again(struct deadline *deadline)
{
    begin_round(CONTAINER_OF(deadline, struct name, again));
}

void name_look_up(struct name *name, int64_t after_ms)
{
    end_round(name);
    name->round++; /* answers to earlier questions are ignored */
    deadline_set(name->world->loop, &name->again, after_ms);
}

struct name *name_new(struct name_world *world, struct str text)
{
    struct name *name = mem_new(sizeof(*name));

    name->world = world;
    name->text = mem_new(text.len + 1);
    memcpy(name->text, text.ptr, text.len);
    name->winner = WINNER_NONE;
    deadline_init(&name->again, on_again);
    deadline_init(&name->too_long, on_too_long);
    task_init(&name->decide, on_decide);
    return name;
}

void name_free(struct name *name)
{
    for (int f = 0; f < NAME_FAMILIES; f++) {
        answer_clear(&name->known[f]);
        answer_clear(&name->fresh[f]);
    }
    deadline_deinit(&name->again);
    deadline_deinit(&name->too_long);
    task_cancel(&name->decide);
    list_remove(&name->node);
    endpoint_set_unref(&name->set);
    free(name->text);
    free(name);
}

bool name_is_stale(const struct name *name)
{
    return name->known[NAME_IPV4].is_stale || name->known[NAME_IPV6].is_stale;
}
