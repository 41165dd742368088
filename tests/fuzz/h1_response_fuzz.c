/* An HTTP/1 client session fed with what an upstream may send. Nothing may crash, leak or reach an
 * ASSERT; the stream's events keep the order that stream.h promises; and a session that calls
 * itself free after the bytes were used up takes another stream. */
#include "h1_rig_impl.h"

static const struct session_limits limits = {
    .max_header_bytes = 4096,
    .max_header_count = 20,
    .max_line_bytes = 1024,
    .max_uri_bytes = 256,
    .max_chunk_extension_bytes = 4096,
    .out_high = 1000,
};

struct upstream {
    struct h1_rig rig;
    struct arena arena; /* of the streams */
    bool has_head, has_ended;
};

static struct upstream *upstream_of(struct h1_rig *rig)
{
    return CONTAINER_OF(rig, struct upstream, rig);
}

static void ended(struct upstream *u, enum end end)
{
    if (end == MORE)
        return;
    u->has_ended = true;
    if (h1_rig_whim(&u->rig, 2))
        h1_rig_close_stream(&u->rig);
}

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct upstream *u = upstream_of(stream->arg);

    ASSERT(!u->has_head && !u->rig.was_reset && head->status >= 100);
    ASSERT(end == MORE || head->status >= 200);
    u->has_head = head->status >= 200 || head->status == 101;
    (void)head_strip_hop_by_hop(head);
    ended(u, end);
}

static void on_body(struct stream *stream, struct slice data UNUSED, enum end end)
{
    struct upstream *u = upstream_of(stream->arg);

    ASSERT(u->has_head && !u->has_ended && !u->rig.was_reset);
    if (end == MORE && h1_rig_whim(&u->rig, 4))
        stream_pause(stream);
    ended(u, end);
}

static void on_trailers(struct stream *stream, struct field *fields UNUSED, size_t count UNUSED)
{
    struct upstream *u = upstream_of(stream->arg);

    ASSERT(u->has_head && !u->has_ended && !u->rig.was_reset);
    ended(u, END);
}

static void on_reset(struct stream *stream, enum reason reason)
{
    ASSERT(!upstream_of(stream->arg)->has_ended);
    h1_rig_on_reset(stream, reason);
}

static const struct stream_handler user = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = h1_rig_on_writable,
    .on_reset = on_reset,
};

static const struct session_owner owner = {
    .want_write = h1_rig_ignore,
    .want_input = h1_rig_ignore,
    .set_reading = h1_rig_set_reading,
    .want_close = h1_rig_want_close,
    .on_phase = h1_rig_ignore,
};

static void ask(struct upstream *u)
{
    static const struct str methods[] = {STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST")};
    struct head *head = ARENA_NEW(&u->arena, struct head);

    head_init(head, &u->arena);
    head->version = HTTP_1_1;
    head->method_text = methods[rand_next(&u->rig.dice) % ARRAY_LEN(methods)];
    head->method = method_lookup(head->method_text);
    head->authority = STR("a");
    head->path = STR("/");
    if (head->method == METHOD_GET && h1_rig_whim(&u->rig, 4))
        head->upgrade = STR("websocket");
    u->has_head = u->has_ended = u->rig.was_reset = false;
    u->rig.stream = session_open(u->rig.session, &u->arena, &user, &u->rig);
    ASSERT(u->rig.stream != NULL);
    stream_send_head(u->rig.stream, head, head->upgrade.len > 0 ? MORE : END);
}

static void ask_again(struct h1_rig *rig)
{
    if (rig->stream == NULL && rig->session->phase == SESSION_IDLE && !rig->closed)
        ask(upstream_of(rig));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upstream u = {0};

    if (size == 0)
        return 0;
    h1_rig_init(&u.rig, data[0]);
    arena_init(&u.arena, &u.rig.pool);
    u.rig.session = h1_client_new(&owner, &u.rig, &u.rig.out, &u.rig.pool, &limits);
    ask(&u);
    h1_rig_feed(&u.rig, str_make(data + 1, size - 1), ask_again);
    h1_rig_end(&u.rig, REASON_UPSTREAM_RESET);
    arena_reset(&u.arena);
    h1_rig_deinit(&u.rig);
    return 0;
}
