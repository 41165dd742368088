/* See h1_compare.h. */
#include "h1_compare.h"

#include "base/hash.h"

#include <stdlib.h>

/* --- one reading ----------------------------------------------------------------------------- */

struct reading {
    enum reason reason;
    bool is_whole; /* head, and the chunked body with its trailers where there is one */
    struct head *head, *trailers;
    bool is_chunked;
    char *payload;
    size_t payload_len;
    size_t used; /* bytes up to the end of what is whole */
};

struct source {
    enum h1_kind kind;
    struct str text;
    enum method method;
    const struct session_limits *limits;
    struct arena *arena;
};

static void add_payload(struct reading *r, struct str payload)
{
    memcpy(r->payload + r->payload_len, payload.ptr, payload.len);
    r->payload_len += payload.len;
}

/* --- weir's ---------------------------------------------------------------------------------- */

enum part { PART_HEAD, PART_BODY, PART_TRAILERS, PART_END };

struct feeding {
    struct h1_input input;
    enum part part;
};

static size_t feed_head(struct feeding *f, const struct source *s, struct str data,
                        struct reading *r)
{
    size_t len;

    r->reason =
        s->kind == H1_REQUEST
            ? h1_read_request(&f->input, data, s->limits, s->arena, &r->head, &len)
            : h1_read_response(&f->input, data, s->method, s->limits, s->arena, &r->head, &len);
    if (r->reason != REASON_NONE || r->head == NULL)
        return 0;
    enum h1_framing framing = s->kind == H1_REQUEST ? h1_request_framing(r->head)
                                                    : h1_response_framing(r->head, s->method);
    r->is_chunked = framing == H1_CHUNKED;
    f->part = r->is_chunked ? PART_BODY : PART_END;
    return len;
}

static size_t feed_body(struct feeding *f, struct str data, struct reading *r)
{
    struct str payload = {0};
    size_t used;
    enum h1_chunk_news news = h1_body_next(f->input.body, data, &used, &payload);

    if (news == H1_CHUNK_DATA)
        add_payload(r, payload);
    if (news == H1_CHUNK_LAST)
        f->part = PART_TRAILERS;
    if (news == H1_CHUNK_BAD || news == H1_CHUNK_LONG)
        r->reason = REASON_BAD_CHUNK;
    return used;
}

static size_t feed_trailers(struct feeding *f, const struct source *s, struct str data,
                            struct reading *r)
{
    size_t len;

    r->reason = h1_read_trailers(f->input.body, data, s->arena, &r->trailers, &len);
    if (r->trailers != NULL)
        f->part = PART_END;
    return len;
}

static size_t feed(struct feeding *f, const struct source *s, struct str data, struct reading *r)
{
    switch (f->part) {
    case PART_HEAD:
        return feed_head(f, s, data, r);
    case PART_BODY:
        return feed_body(f, data, r);
    case PART_TRAILERS:
        return feed_trailers(f, s, data, r);
    case PART_END:
        break;
    }
    return 0;
}

/* Shows what is not used yet in a copy of exactly these bytes, so that a sanitizer sees a read
 * behind them; each time a little more. */
static void read_ours(const struct source *s, uint64_t seed, struct reading *r)
{
    struct feeding f = {0};
    size_t shown = seed == 0 ? s->text.len : 0;

    r->payload = arena_alloc(s->arena, s->text.len + 1);
    do {
        if (seed != 0) {
            size_t more = 1 + rand_next(&seed) % 40;
            shown = MIN(s->text.len, shown + more);
        }
        size_t n;
        do {
            struct str rest = str_make(s->text.ptr + r->used, shown - r->used);
            char *copy = malloc(MAX(rest.len, 1));
            memcpy(copy, rest.ptr, rest.len);
            n = rest.len > 0 ? feed(&f, s, str_make(copy, rest.len), r) : 0;
            free(copy);
            r->used += n;
        } while (n > 0 && r->reason == REASON_NONE && f.part != PART_END);
    } while (shown < s->text.len && r->reason == REASON_NONE && f.part != PART_END);
    r->is_whole = f.part == PART_END && r->reason == REASON_NONE;
    h1_input_clear(&f.input);
}

/* --- the oracle's ---------------------------------------------------------------------------- */

static struct head *new_head(struct arena *arena)
{
    struct head *head = ARENA_NEW(arena, struct head);

    head_init(head, arena);
    return head;
}

static bool oracle_body(const struct source *s, struct reading *r)
{
    struct oracle_chunks chunks = {.is_response = s->kind == H1_RESPONSE,
                                   .extension_max = s->limits->max_chunk_extension_bytes};

    for (;;) {
        struct str payload = {0};
        size_t used;
        enum h1_chunk_news news =
            oracle_chunks_next(&chunks, str_skip(s->text, r->used), &used, &payload);
        r->used += used;
        if (news == H1_CHUNK_DATA)
            add_payload(r, payload);
        if (news == H1_CHUNK_BAD)
            r->reason = REASON_BAD_CHUNK;
        if (news != H1_CHUNK_DATA)
            return news == H1_CHUNK_LAST;
    }
}

static void read_oracle(const struct source *s, struct reading *r)
{
    struct oracle_scan scan = {0};
    size_t len;

    r->payload = arena_alloc(s->arena, s->text.len + 1);
    r->reason = oracle_scan_head(&scan, s->text, s->kind, s->limits, &len);
    if (r->reason != REASON_NONE || len == 0)
        return;
    r->head = new_head(s->arena);
    struct str block = str_make(s->text.ptr, len);
    r->reason = s->kind == H1_REQUEST
                    ? oracle_parse_request(r->head, block, s->limits, &r->is_chunked)
                    : oracle_parse_response(r->head, block, s->method, s->limits, &r->is_chunked);
    r->used = len;
    if (r->reason != REASON_NONE)
        return;
    if (s->kind == H1_RESPONSE && !response_has_body(s->method, r->head->status))
        r->is_chunked = false;
    r->is_whole = !r->is_chunked;
    if (r->is_whole || !oracle_body(s, r))
        return;
    scan = (struct oracle_scan){0};
    struct str rest = str_skip(s->text, r->used);
    r->reason = oracle_scan_head(&scan, rest, H1_TRAILERS, s->limits, &len);
    if (r->reason != REASON_NONE || len == 0)
        return;
    r->trailers = new_head(s->arena);
    r->reason = oracle_parse_trailers(r->trailers, str_make(rest.ptr, len), s->limits);
    r->used += len;
    r->is_whole = r->reason == REASON_NONE;
}

/* --- where weir is stricter ------------------------------------------------------------------ */

/* Does a value of such a field have an HTAB behind it? The oracle's values lie in a copy of the
 * head. */
static bool has_tab_behind(const struct head *head, enum header_id id)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        if (field->id != id)
            continue;
        for (const char *at = field->value.ptr + field->value.len; *at != '\r'; at++) {
            if (*at == '\t')
                return true;
        }
    }
    return false;
}

/* A Content-Length that is no number, or a Transfer-Encoding other than chunked. */
static bool has_odd_framing(const struct head *trailers)
{
    for (unsigned i = 0; i < trailers->field_count; i++) {
        const struct field *field = &trailers->fields[i];
        uint64_t length;
        if (field->id == HEADER_CONTENT_LENGTH && str_to_u64(field->value, &length) < 0)
            return true;
        if (field->id == HEADER_TRANSFER_ENCODING && !str_eq_nocase(field->value, STR("chunked")))
            return true;
    }
    return has_tab_behind(trailers, HEADER_CONTENT_LENGTH);
}

/* The list. All of it is legal and of no use: no sender was seen that makes it. */
static const char *known_refusal(const struct reading *oracle)
{
    if (has_tab_behind(oracle->head, HEADER_CONTENT_LENGTH))
        return "HTAB behind the value of Content-Length";
    if (has_tab_behind(oracle->head, HEADER_TRANSFER_ENCODING))
        return "HTAB behind the value of Transfer-Encoding";
    if (oracle->trailers != NULL && has_odd_framing(oracle->trailers))
        return "odd framing fields in trailers, where they mean nothing";
    return NULL;
}

/* --- meaning --------------------------------------------------------------------------------- */

static bool same_fields(const struct head *a, const struct head *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->field_count != b->field_count)
        return false;
    for (unsigned i = 0; i < a->field_count; i++) {
        const struct field *x = &a->fields[i], *y = &b->fields[i];
        if (!str_eq(x->name, y->name) || !str_eq(x->value, y->value) || x->id != y->id ||
            x->removed != y->removed)
            return false;
    }
    return memcmp(a->first, b->first, sizeof(a->first)) == 0;
}

/* What differs; NULL: nothing. */
static const char *difference(const struct reading *a, const struct reading *b)
{
    const struct head *x = a->head, *y = b->head;

    if (a->used != b->used)
        return "length of the message";
    if (x->version != y->version)
        return "version";
    if (x->method != y->method || !str_eq(x->method_text, y->method_text))
        return "method";
    if (!str_eq(x->scheme, y->scheme) || !str_eq(x->authority, y->authority) ||
        !str_eq(x->path, y->path))
        return "target";
    if (x->status != y->status || !str_eq(x->phrase, y->phrase))
        return "status";
    if (x->content_length != y->content_length || x->has_body != y->has_body ||
        a->is_chunked != b->is_chunked)
        return "framing";
    if (x->is_last != y->is_last || x->expects_continue != y->expects_continue ||
        !str_eq(x->upgrade, y->upgrade))
        return "options of the connection";
    if (!same_fields(x, y))
        return "fields";
    if (!str_eq(str_make(a->payload, a->payload_len), str_make(b->payload, b->payload_len)))
        return "payload";
    return same_fields(a->trailers, b->trailers) ? NULL : "trailers";
}

/* Would weir still accept, when the rest comes, what the oracle has refused? */
static bool could_accept(struct source s, uint64_t seed)
{
    static const char *const rests[] = {
        "\r\n\r\n", "\n\r\n", "x\r\n\r\n", ": x\r\n\r\n", " HTTP/1.1\r\nHost: a\r\n\r\n",
        "0\r\n\r\n"};
    struct str text = s.text;

    for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
        struct reading r = {0};
        s.text = arena_join(s.arena, text, str_of(rests[i]));
        read_ours(&s, seed, &r);
        if (r.is_whole)
            return true;
    }
    return false;
}

static enum h1_verdict judge(const struct source *s, uint64_t seed, const struct reading *ours,
                             const struct reading *theirs, const char **what)
{
    if (ours->is_whole && theirs->is_whole) {
        *what = difference(ours, theirs);
        return *what == NULL ? H1_SAME : H1_DIFFERS;
    }
    if (ours->is_whole)
        return H1_LAXER;
    if (theirs->is_whole) {
        *what = known_refusal(theirs);
        return *what != NULL ? H1_STRICTER : H1_UNLISTED;
    }
    bool waits = ours->reason == REASON_NONE;
    return waits && theirs->reason != REASON_NONE && could_accept(*s, seed) ? H1_LAXER : H1_SAME;
}

struct h1_comparison h1_compare(enum h1_kind kind, struct str text, enum method method,
                                const struct session_limits *limits, uint64_t seed,
                                struct arena *arena)
{
    struct source s = {kind, text, method, limits, arena};
    struct reading ours = {0}, theirs = {0};
    struct h1_comparison result = {0};

    read_ours(&s, seed, &ours);
    read_oracle(&s, &theirs);
    result.verdict = judge(&s, seed, &ours, &theirs, &result.what);
    result.ours = ours.reason;
    result.theirs = theirs.reason;
    result.ours_is_whole = ours.is_whole;
    result.theirs_is_whole = theirs.is_whole;
    arena_reset(arena);
    return result;
}
