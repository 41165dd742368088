/* An HTTP/1 server session fed with what a client may send, and with a user that echoes each body.
 * Nothing may crash, leak or reach an ASSERT; and every request that is accepted, written by
 * h1_write_request, must read the same. */
#include "h1_rig_impl.h"

static const struct session_limits limits = {
    .max_header_bytes = 4096,
    .max_header_count = 20,
    .max_line_bytes = 1024,
    .max_uri_bytes = 256,
    .max_chunk_extension_bytes = 4096,
    .max_body_bytes = 4096,
    .max_requests = 8,
    .out_high = 1000,
    .allow_websocket = true,
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

static void check_rewritten(struct h1_rig *rig, const struct head *head)
{
    struct session_limits wide = limits;
    struct h1_frame frame = {.framing = h1_request_framing(head),
                             .content_length = head->content_length,
                             .expect_continue = head->expects_continue};
    struct h1_input input = {0};
    struct arena arena;
    struct bufq out;
    struct head *again;
    size_t len;

    if (head->authority.len == 0)
        return;                 /* HTTP/1.0 without Host: routing refuses it */
    wide.max_header_bytes *= 2; /* our Host may be one field more */
    wide.max_header_count += 1;
    arena_init(&arena, NULL);
    bufq_init(&out, &rig->pool);
    h1_write_request(&out, head, &frame);
    struct str text = take_out(&out, &arena);
    ASSERT(h1_read_request(&input, text, &wide, &arena, &again, &len) == REASON_NONE);
    ASSERT(again != NULL && len == text.len);
    ASSERT(str_eq(head->method_text, again->method_text) && str_eq(head->path, again->path));
    ASSERT(str_eq(head->authority, again->authority));
    ASSERT(h1_request_framing(head) == h1_request_framing(again));
    ASSERT(head->content_length == again->content_length);
    ASSERT(head->expects_continue == again->expects_continue);
    unsigned i = 0, j = 0;
    while (next_kept(head, &i)) {
        ASSERT(next_kept(again, &j) && str_eq(head->fields[i].name, again->fields[j].name) &&
               str_eq(head->fields[i].value, again->fields[j].value));
        i++;
        j++;
    }
    ASSERT(!next_kept(again, &j));
    bufq_deinit(&out);
    arena_reset(&arena);
}

/* --- the user -------------------------------------------------------------------------------- */

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct h1_rig *rig = stream->arg;
    struct head *response = ARENA_NEW(stream->arena, struct head);

    check_rewritten(rig, head);
    (void)head_strip_hop_by_hop(head);
    head_init_response(response, stream->arena, 200);
    if (head->upgrade.len > 0 && h1_rig_whim(rig, 2)) {
        response->status = 101;
        response->upgrade = head->upgrade;
    } else if (h1_rig_whim(rig, 8)) {
        response->status = 204;
    } else if (h1_rig_whim(rig, 4)) {
        response->content_length = (int64_t)(rand_next(&rig->dice) % 100);
    }
    stream_send_head(stream, response, end == END && head->upgrade.len == 0 ? END : MORE);
    if (end == END || (head->upgrade.len > 0 && response->status != 101))
        h1_rig_close_stream(rig);
}

static void on_body(struct stream *stream, struct slice data, enum end end)
{
    struct h1_rig *rig = stream->arg;

    ASSERT(!rig->was_reset);
    (void)stream_send_body(stream, data, end);
    if (end == END) {
        h1_rig_close_stream(rig);
        return;
    }
    if (h1_rig_whim(rig, 4))
        stream_pause(stream);
    if (h1_rig_whim(rig, 32))
        h1_rig_close_stream(rig);
}

static void on_trailers(struct stream *stream, struct field *fields, size_t count)
{
    stream_send_trailers(stream, fields, count);
    h1_rig_close_stream(stream->arg);
}

static const struct stream_handler user = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = h1_rig_on_writable,
    .on_reset = h1_rig_on_reset,
};

/* --- the owner ------------------------------------------------------------------------------- */

static void on_stream(struct session *session, struct stream *stream)
{
    struct h1_rig *rig = session->owner_arg;

    ASSERT(rig->stream == NULL && !rig->closed);
    rig->stream = stream;
    rig->was_reset = false;
    stream->handler = &user;
    stream->arg = rig;
}

static const struct session_owner owner = {
    .on_stream = on_stream,
    .want_write = h1_rig_ignore,
    .want_input = h1_rig_ignore,
    .set_reading = h1_rig_set_reading,
    .want_close = h1_rig_want_close,
    .on_phase = h1_rig_ignore,
};

/* --- the connection -------------------------------------------------------------------------- */

/* The client takes all that it is sent. */
static void drain(struct h1_rig *rig)
{
    bufq_drop(&rig->out, rig->out.bytes);
    session_drained(rig->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_rig rig;

    if (size == 0)
        return 0;
    h1_rig_init(&rig, data[0]);
    rig.session = h1_server_new(&owner, &rig, &rig.out, &rig.pool, &limits);
    h1_rig_feed(&rig, str_make(data + 1, size - 1), drain);
    h1_rig_end(&rig, REASON_CLIENT_RESET);
    h1_rig_deinit(&rig);
    return 0;
}
