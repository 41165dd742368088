/* An HTTP/1 client session fed with what an upstream may send, in random cuts. The first byte of
 * the input seeds the cuts and chooses the method. Nothing may crash, leak or reach an ASSERT; the
 * stream's events keep the order that stream.h promises; and a session that calls itself free after
 * the bytes were used up takes another stream. */
#include "base/hash.h"
#include "http/h1_impl.h"

#include <stdlib.h>

static const struct session_limits limits = {
    .max_header_bytes = 4096,
    .max_header_count = 20,
    .max_line_bytes = 1024,
    .max_uri_bytes = 256,
    .out_high = 1000,
};

struct upstream {
    struct buf_pool pool;
    struct bufq out;
    struct arena arena;
    struct session *session;
    struct stream *stream;
    uint64_t dice;
    bool closed, has_head, has_ended, was_reset;
};

static void close_stream(struct upstream *u)
{
    struct stream *stream = u->stream;

    u->stream = NULL;
    stream_close(stream);
}

static void ended(struct upstream *u, enum end end)
{
    if (end == MORE)
        return;
    u->has_ended = true;
    if (rand_next(&u->dice) % 2 == 0)
        close_stream(u);
}

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct upstream *u = stream->arg;

    ASSERT(!u->has_head && !u->was_reset && head->status >= 100);
    ASSERT(end == MORE || head->status >= 200);
    u->has_head = head->status >= 200 || head->status == 101;
    (void)head_strip_hop_by_hop(head);
    ended(u, end);
}

static void on_body(struct stream *stream, struct slice data UNUSED, enum end end)
{
    struct upstream *u = stream->arg;

    ASSERT(u->has_head && !u->has_ended && !u->was_reset);
    if (end == MORE && rand_next(&u->dice) % 4 == 0)
        stream_pause(stream);
    ended(u, end);
}

static void on_trailers(struct stream *stream, struct field *fields UNUSED, size_t count UNUSED)
{
    struct upstream *u = stream->arg;

    ASSERT(u->has_head && !u->has_ended && !u->was_reset);
    ended(u, END);
}

static void on_writable(struct stream *stream UNUSED)
{
}

static void on_reset(struct stream *stream, enum reason reason)
{
    struct upstream *u = stream->arg;

    ASSERT(reason != REASON_NONE && !u->was_reset && !u->has_ended);
    u->was_reset = true;
    if (rand_next(&u->dice) % 2 == 0)
        close_stream(u);
}

static const struct stream_handler user = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

static void ignore(struct session *session UNUSED)
{
}

static void set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static void want_close(struct session *session, enum reason reason UNUSED)
{
    struct upstream *u = session->owner_arg;

    ASSERT(!u->closed);
    u->closed = true;
}

static const struct session_owner owner = {
    .want_write = ignore,
    .want_input = ignore,
    .set_reading = set_reading,
    .want_close = want_close,
    .on_phase = ignore,
};

static void ask(struct upstream *u)
{
    static const struct str methods[] = {STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST")};
    struct head *head = ARENA_NEW(&u->arena, struct head);

    head_init(head, &u->arena);
    head->version = HTTP_1_1;
    head->method_text = methods[rand_next(&u->dice) % ARRAY_LEN(methods)];
    head->method = method_lookup(head->method_text);
    head->authority = STR("a");
    head->path = STR("/");
    if (head->method == METHOD_GET && rand_next(&u->dice) % 4 == 0)
        head->upgrade = STR("websocket");
    u->has_head = u->has_ended = u->was_reset = false;
    u->stream = session_open(u->session, &u->arena, &user, u);
    ASSERT(u->stream != NULL);
    stream_send_head(u->stream, head, head->upgrade.len > 0 ? MORE : END);
}

static void run(struct upstream *u, struct str text)
{
    size_t used = 0, shown = 0;

    while (used < text.len && !u->closed) {
        shown += 1 + rand_next(&u->dice) % 64;
        shown = MIN(shown, text.len);
        char *bytes = malloc(shown - used);
        memcpy(bytes, text.ptr + used, shown - used);
        size_t n = session_feed(u->session, (struct slice){NULL, bytes, shown - used});
        free(bytes);
        ASSERT(n <= shown - used);
        used += n;
        if (u->stream != NULL)
            stream_resume(u->stream);
        if (u->stream == NULL && u->session->phase == SESSION_IDLE && !u->closed)
            ask(u);
        if (shown == text.len && n == 0)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upstream u = {0};

    if (size == 0)
        return 0;
    u.dice = data[0];
    buf_pool_init(&u.pool);
    bufq_init(&u.out, &u.pool);
    arena_init(&u.arena, &u.pool);
    u.session = h1_client_new(&owner, &u, &u.out, &u.pool, &limits);
    ask(&u);
    run(&u, str_make(data + 1, size - 1));
    if (data[0] % 2 == 0)
        session_eof(u.session);
    else
        session_fail(u.session, REASON_UPSTREAM_RESET);
    if (u.stream != NULL)
        close_stream(&u);
    session_free(u.session);
    bufq_deinit(&u.out);
    arena_reset(&u.arena);
    ASSERT(u.pool.in_use == 0);
    buf_pool_deinit(&u.pool);
    return 0;
}
