/* An HTTP/1 server session fed in random cuts, with a user that echoes each body. The first byte of
 * the input seeds the cuts; the rest is what the client sends. Nothing may crash, leak or reach an
 * ASSERT; and every request that is accepted, written by h1_write_request, must read the same. */
#include "base/hash.h"
#include "http/h1_impl.h"

#include <stdlib.h>

static const struct session_limits limits = {
    .max_header_bytes = 4096,
    .max_header_count = 20,
    .max_line_bytes = 1024,
    .max_uri_bytes = 256,
    .max_body_bytes = 4096,
    .max_requests = 8,
    .out_high = 1000,
    .allow_websocket = true,
};

struct client {
    struct buf_pool pool;
    struct bufq out;
    struct session *session;
    struct stream *stream;
    uint64_t dice;
    bool closed, was_reset, has_answered;
};

/* --- writing it again ------------------------------------------------------------------------ */

static struct str take_out(struct bufq *out, struct arena *arena)
{
    char *text = arena_alloc(arena, out->bytes + 1);
    size_t len = 0;

    while (!bufq_is_empty(out)) {
        struct slice front = bufq_front(out);
        memcpy(text + len, front.ptr, front.len);
        len += front.len;
        bufq_drop(out, front.len);
    }
    return str_make(text, len);
}

/* The fields that the codec does not write itself. */
static bool next_kept(const struct head *head, unsigned *i)
{
    const unsigned ours = HEADER_HOP_BY_HOP;

    for (; *i < head->field_count; (*i)++) {
        enum header_id id = (enum header_id)head->fields[*i].id;
        if (!(header_flags(id) & ours) && id != HEADER_HOST && id != HEADER_CONTENT_LENGTH &&
            id != HEADER_EXPECT)
            return true;
    }
    return false;
}

static void check_rewritten(struct client *c, const struct head *head)
{
    struct session_limits wide = limits;
    struct h1_frame frame = {.framing = h1_request_framing(head),
                             .content_length = head->content_length,
                             .expect_continue = head->expects_continue};
    struct h1_scan scan = {0};
    struct arena arena;
    struct bufq out;
    struct head again;
    size_t len;

    if (head->authority.len == 0)
        return;                 /* HTTP/1.0 without Host: routing refuses it */
    wide.max_header_bytes *= 2; /* our Host may be one field more */
    wide.max_header_count += 1;
    arena_init(&arena, NULL);
    bufq_init(&out, &c->pool);
    head_init(&again, &arena);
    h1_write_request(&out, head, &frame);
    struct str text = take_out(&out, &arena);
    ASSERT(h1_scan_head(&scan, text, H1_REQUEST, &wide, &len) == REASON_NONE && len == text.len);
    ASSERT(h1_parse_request(&again, text, &wide) == REASON_NONE);
    ASSERT(str_eq(head->method_text, again.method_text) && str_eq(head->path, again.path));
    ASSERT(str_eq(head->authority, again.authority));
    ASSERT(h1_request_framing(head) == h1_request_framing(&again));
    ASSERT(head->content_length == again.content_length);
    ASSERT(head->expects_continue == again.expects_continue);
    unsigned i = 0, j = 0;
    while (next_kept(head, &i)) {
        ASSERT(next_kept(&again, &j) && str_eq(head->fields[i].name, again.fields[j].name) &&
               str_eq(head->fields[i].value, again.fields[j].value));
        i++;
        j++;
    }
    ASSERT(!next_kept(&again, &j));
    bufq_deinit(&out);
    arena_reset(&arena);
}

/* --- the user -------------------------------------------------------------------------------- */

static void close_stream(struct client *c)
{
    struct stream *stream = c->stream;

    c->stream = NULL;
    stream_close(stream);
}

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct client *c = stream->arg;
    struct head *response = ARENA_NEW(stream->arena, struct head);

    check_rewritten(c, head);
    (void)head_strip_hop_by_hop(head);
    head_init_response(response, stream->arena, 200);
    if (head->upgrade.len > 0 && rand_next(&c->dice) % 2 == 0) {
        response->status = 101;
        response->upgrade = head->upgrade;
    } else if (rand_next(&c->dice) % 8 == 0) {
        response->status = 204;
    } else if (rand_next(&c->dice) % 4 == 0) {
        response->content_length = (int64_t)(rand_next(&c->dice) % 100);
    }
    stream_send_head(stream, response, end == END && head->upgrade.len == 0 ? END : MORE);
    if (end == END || (head->upgrade.len > 0 && response->status != 101))
        close_stream(c);
}

static void on_body(struct stream *stream, struct slice data, enum end end)
{
    struct client *c = stream->arg;

    ASSERT(!c->was_reset);
    (void)stream_send_body(stream, data, end);
    if (end == END) {
        close_stream(c);
        return;
    }
    if (rand_next(&c->dice) % 4 == 0)
        stream_pause(stream);
    if (rand_next(&c->dice) % 32 == 0)
        close_stream(c);
}

static void on_trailers(struct stream *stream, struct field *fields, size_t count)
{
    stream_send_trailers(stream, fields, count);
    close_stream(stream->arg);
}

static void on_writable(struct stream *stream UNUSED)
{
}

static void on_reset(struct stream *stream, enum reason reason)
{
    struct client *c = stream->arg;

    ASSERT(reason != REASON_NONE && !c->was_reset);
    c->was_reset = true;
    if (rand_next(&c->dice) % 2 == 0)
        close_stream(c);
}

static const struct stream_handler user = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

/* --- the owner ------------------------------------------------------------------------------- */

static void on_stream(struct session *session, struct stream *stream)
{
    struct client *c = session->owner_arg;

    ASSERT(c->stream == NULL && !c->closed);
    c->stream = stream;
    c->was_reset = false;
    stream->handler = &user;
    stream->arg = c;
}

static void ignore(struct session *session UNUSED)
{
}

static void set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static void want_close(struct session *session, enum reason reason UNUSED)
{
    struct client *c = session->owner_arg;

    ASSERT(!c->closed);
    c->closed = true;
}

static const struct session_owner owner = {
    .on_stream = on_stream,
    .want_write = ignore,
    .want_input = ignore,
    .set_reading = set_reading,
    .want_close = want_close,
    .on_phase = ignore,
};

/* --- the connection -------------------------------------------------------------------------- */

static void run(struct client *c, struct str text)
{
    size_t used = 0, shown = 0;

    while (used < text.len && !c->closed) {
        shown += 1 + rand_next(&c->dice) % 64;
        shown = MIN(shown, text.len);
        /* A copy of exactly these bytes, so that a read behind them is seen. */
        char *bytes = malloc(shown - used);
        memcpy(bytes, text.ptr + used, shown - used);
        size_t n = session_feed(c->session, (struct slice){NULL, bytes, shown - used});
        free(bytes);
        ASSERT(n <= shown - used);
        used += n;
        if (c->stream != NULL)
            stream_resume(c->stream);
        bufq_drop(&c->out, c->out.bytes);
        session_drained(c->session);
        if (shown == text.len && n == 0)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client c = {0};

    if (size == 0)
        return 0;
    c.dice = data[0];
    buf_pool_init(&c.pool);
    bufq_init(&c.out, &c.pool);
    c.session = h1_server_new(&owner, &c, &c.out, &c.pool, &limits);
    run(&c, str_make(data + 1, size - 1));
    if (data[0] % 2 == 0)
        session_eof(c.session);
    else
        session_fail(c.session, REASON_CLIENT_RESET);
    if (c.stream != NULL)
        close_stream(&c);
    session_free(c.session);
    bufq_deinit(&c.out);
    ASSERT(c.pool.in_use == 0);
    buf_pool_deinit(&c.pool);
    return 0;
}
