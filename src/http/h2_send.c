/* What leaves: heads become header blocks, bodies wait in the stream's queue until nghttp2's
 * scheduler and the peer's windows ask for them. Payload is never copied on its way to `out` unless
 * it is so short that copying is cheaper; a body that may leave at once does not even touch the
 * stream's queue. */
#include "http/h2_impl.h"
#include "http/refusal_impl.h"

#include <stdio.h>

/* --- header blocks --------------------------------------------------------------------------- */

enum { NV_LOCAL = 160, DEC_MAX = 20 };

/* Names and values as nghttp2 wants them; it copies them, and lower-cases names, on submission. */
struct nv_list {
    nghttp2_nv *at;
    size_t count;
    nghttp2_nv local[NV_LOCAL];
};

/* Room for the fields of `head` and a few of our own. */
static void nv_init(struct nv_list *list, size_t fields)
{
    size_t need = fields + 8;

    list->count = 0;
    list->at = need <= NV_LOCAL ? list->local : h2_mem_take(need * sizeof(*list->at));
}

static void nv_deinit(struct nv_list *list)
{
    if (list->at != list->local)
        h2_mem_give(list->at);
}

static inline void nv_put(struct nv_list *list, struct str name, struct str value)
{
    list->at[list->count++] = (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len,
                                           value.len, NGHTTP2_NV_FLAG_NONE};
}

/* What HPACK's table had better not keep (RFC 7541 section 7.1.3). It has room for 60 fields or so,
 * and each that comes once only pushes one out that would come again. */
static inline void nv_put_unique(struct nv_list *list, struct str name, struct str value)
{
    nv_put(list, name, value);
    list->at[list->count - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
}

/* Framing is ours alone, and fields about the connection do not exist in h2 (RFC 9113
 * section 8.2.2). */
static bool is_sendable(const struct field *field)
{
    if (field->removed)
        return false;
    switch (field->id) {
    case HEADER_OTHER:
        return true;
    case HEADER_HOST:
    case HEADER_CONTENT_LENGTH:
    case HEADER_EXPECT:
        return false;
    case HEADER_TE:
        return str_eq_nocase(field->value, STR("trailers"));
    default:
        return !(header_flags(field->id) & HEADER_HOP_BY_HOP);
    }
}

static void nv_put_fields(struct nv_list *list, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_sendable(&fields[i]))
            continue;
        if (header_flags(fields[i].id) & HEADER_UNIQUE)
            nv_put_unique(list, fields[i].name, fields[i].value);
        else
            nv_put(list, fields[i].name, fields[i].value);
    }
}

static void nv_put_length(struct nv_list *list, int64_t length, char digits[DEC_MAX])
{
    if (length != CONTENT_LENGTH_NONE)
        nv_put(list, STR("content-length"), str_make(digits, u64_to_dec((uint64_t)length, digits)));
}

/* --- bodies: what nghttp2 asks --------------------------------------------------------------- */

struct h2_trailers {
    size_t count;
    nghttp2_nv nv[]; /* embeds; the texts stand behind them */
};

static void submit_trailers(struct h2_stream *st)
{
    nghttp2_submit_trailer(st->h2->ng, (int32_t)st->stream.id, st->trailers->nv,
                           st->trailers->count);
    h2_mem_give(st->trailers);
    st->trailers = NULL;
}

static ssize_t read_body(nghttp2_session *ng UNUSED, int32_t id UNUSED, uint8_t *buf UNUSED,
                         size_t max, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_stream *st = source->ptr;
    size_t have = st->tx.bytes + st->now.len;

    if (st->tx_dead || (have == 0 && !st->tx_end)) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (h2->session.out->bytes > h2_out_high(h2))
        return NGHTTP2_ERR_PAUSE; /* until `drained` */

    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (have > max || !st->tx_end)
        return (ssize_t)MIN(have, max);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->trailers != NULL) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(st);
    }
    return (ssize_t)have;
}

/* The queue first, then the bytes of the send in progress. */
static void move_body(struct h2_stream *st, size_t len)
{
    struct bufq *out = st->h2->session.out;

    st->h2->session.moved_bytes += len;
    while (len > 0 && st->tx.bytes > 0) {
        struct slice front = bufq_front(&st->tx);
        front.len = MIN(front.len, len);
        bufq_add(out, front);
        bufq_drop(&st->tx, front.len);
        st->h2->queued -= front.len;
        len -= front.len;
    }
    ASSERT(len <= st->now.len);
    if (len == 0)
        return;
    bufq_add(out, (struct slice){st->now.buf, st->now.ptr, len});
    st->now.ptr += len;
    st->now.len -= len;
}

enum { FRAME_HEAD = 9, FRAME_MAX = 16384, FLAGS_AT = 4, STREAM_AT = 5 };

static size_t frame_length(const char *head)
{
    const uint8_t *byte = (const uint8_t *)head;

    return (size_t)byte[0] << 16 | (size_t)byte[1] << 8 | byte[2];
}

/* The last DATA frame, if it is the same stream's and not written yet, becomes larger: what comes
 * in one turn of the loop leaves as one frame. */
static bool extend_frame(struct bufq *out, const uint8_t *frame_head, size_t len)
{
    char *head = bufq_opened(out);

    if (head == NULL || memcmp(head + STREAM_AT, frame_head + STREAM_AT, 4) != 0)
        return false;
    size_t all = frame_length(head) + len;
    if (all > FRAME_MAX)
        return false;
    head[0] = (char)(all >> 16);
    head[1] = (char)(all >> 8);
    head[2] = (char)all;
    head[FLAGS_AT] = (char)(head[FLAGS_AT] | frame_head[FLAGS_AT]);
    return true;
}

int h2_on_send_data(nghttp2_session *ng UNUSED, nghttp2_frame *frame UNUSED,
                    const uint8_t *frame_head, size_t len, nghttp2_data_source *source, void *arg)
{
    struct h2_session *h2 = arg;
    struct bufq *out = h2->session.out;

    h2->thanks_left = MIN(h2->thanks_left + H2_THANKS_PER_DATA, H2_THANKS_MAX);
    if (!extend_frame(out, frame_head, len))
        memcpy(bufq_open(out, 0, FRAME_HEAD), frame_head, FRAME_HEAD);
    move_body(source->ptr, len);
    return 0;
}

static void on_goaway_sent(struct h2_session *h2, const nghttp2_goaway *goaway)
{
    if (goaway->error_code == NGHTTP2_NO_ERROR) {
        if (goaway->last_stream_id == INT32_MAX)
            h2_on_notice_sent(h2);
        return;
    }
    if (h2->dying == REASON_NONE) {
        bool is_flood = goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM;
        h2->dying = !h2->session.is_server ? REASON_UPSTREAM_PROTOCOL
                    : is_flood             ? REASON_H2_FLOOD
                                           : REASON_H2_PROTOCOL;
    }
}

/* SETTINGS that open a stream's window too far end more than that stream (RFC 9113 section 6.9.2);
 * WINDOW_UPDATE that does is an invalid frame, which was counted. */
static void on_rst_sent(struct h2_session *h2, struct h2_stream *st, uint32_t error_code)
{
    h2->rst_sent = true;
    if (st != NULL && !st->counted && error_code == NGHTTP2_FLOW_CONTROL_ERROR)
        h2_terminate(h2, NGHTTP2_FLOW_CONTROL_ERROR,
                     h2->session.is_server ? REASON_H2_PROTOCOL : REASON_UPSTREAM_PROTOCOL);
}

int h2_on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *h2 = arg;
    int32_t id = frame->hd.stream_id;
    struct h2_stream *st = id > 0 ? nghttp2_session_get_stream_user_data(ng, id) : NULL;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        on_goaway_sent(h2, &frame->goaway);
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        on_rst_sent(h2, st, frame->rst_stream.error_code);
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || st == NULL)
        return 0;

    st->tx_end_sent = true;
    if (!st->user_open && !st->rx_ended)
        h2_stream_rst(st, NGHTTP2_NO_ERROR); /* the rest of the request is not read */
    return 0;
}

int h2_on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_stream *st = frame->hd.stream_id > 0
                               ? nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id)
                               : NULL;

    if (frame->hd.type != NGHTTP2_HEADERS || st == NULL)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        st->unsent = true; /* nghttp2 closes it next */
        return 0;
    }
    if (error == NGHTTP2_ERR_STREAM_CLOSING || error == NGHTTP2_ERR_STREAM_CLOSED)
        return 0;
    h2_stream_rst(st, NGHTTP2_INTERNAL_ERROR); /* a head too large to be sent */
    h2_stream_tell_reset(st, h2->session.is_server ? REASON_INTERNAL : REASON_UPSTREAM_PROTOCOL);
    return 0;
}

/* --- back-pressure --------------------------------------------------------------------------- */

static size_t max_held(const struct h2_session *h2)
{
    return h2->session.limits.max_held_bytes;
}

bool h2_is_writable(const struct h2_stream *st)
{
    if (st->tx_dead || st->tx.bytes == 0)
        return true;
    return st->tx.bytes <= H2_STREAM_LOW && st->h2->queued <= max_held(st->h2) / 4 * 3;
}

static enum stream_status status_of(struct h2_stream *st)
{
    bool is_over = st->tx.bytes > 0 && st->h2->queued > max_held(st->h2);

    if (st->tx.bytes <= H2_STREAM_HIGH && !is_over)
        return STREAM_OK;
    if (!st->full) {
        st->full = true;
        st->h2->session.held_stops += is_over;
        list_push_back(&st->h2->full, &st->full_node);
    }
    return STREAM_FULL;
}

void h2_tell_writable(struct h2_session *h2)
{
    struct list todo, *node;

    if (LIKELY(list_is_empty(&h2->full)))
        return;
    list_init(&todo);
    list_splice(&todo, &h2->full);
    while ((node = list_pop_front(&todo)) != NULL) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, full_node);
        if (!h2_is_writable(st)) {
            list_push_back(&h2->full, node);
            continue;
        }
        st->full = false;
        if (st->user_open && !st->quiet)
            st->stream.handler->on_writable(&st->stream);
    }
}

void h2_drop_tx(struct h2_stream *st)
{
    st->h2->queued -= st->tx.bytes;
    bufq_clear(&st->tx);
    st->now = (struct slice){0};
    h2_mem_give(st->trailers);
    st->trailers = NULL;
}

static void resume(struct h2_stream *st)
{
    if (!st->deferred)
        return;
    st->deferred = false;
    nghttp2_session_resume_data(st->h2->ng, (int32_t)st->stream.id);
}

/* --- sending heads --------------------------------------------------------------------------- */

static bool may_send(const struct h2_stream *st)
{
    return st->wire_open && !st->tx_dead && h2_is_live(st->h2);
}

/* What ends a message with its head: nothing more may follow, and is dropped if it comes. */
static void end_with_head(struct h2_stream *st, enum end end, bool has_content)
{
    st->tx_head = true;
    if (end == END || !has_content)
        st->tx_end = true;
}

static void send_response(struct h2_stream *st, const struct head *head, enum end end)
{
    nghttp2_session *ng = st->h2->ng;
    int32_t id = (int32_t)st->stream.id;
    bool is_final = head->status >= 200;
    char status[DEC_MAX], length[DEC_MAX];
    struct nv_list list;

    if (st->tx_head || head->status == 101) /* h2 has no upgrade (RFC 9113 section 8.6) */
        return;
    nv_init(&list, head->field_count);
    nv_put(&list, STR(":status"), str_make(status, u64_to_dec((uint64_t)head->status, status)));
    nv_put_fields(&list, head->fields, head->field_count);
    if (is_final && head->status != 204)
        nv_put_length(&list, head->content_length, length);

    if (is_final) {
        nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};
        end_with_head(st, end, response_has_body(st->method, head->status));
        nghttp2_submit_response(ng, id, list.at, list.count, st->tx_end ? NULL : &body);
    } else {
        nghttp2_submit_headers(ng, NGHTTP2_FLAG_NONE, id, NULL, list.at, list.count, NULL);
    }
    nv_deinit(&list);
}

static struct str or_else(struct str text, struct str otherwise)
{
    return text.len > 0 ? text : otherwise;
}

static void send_request(struct h2_stream *st, const struct head *head, enum end end)
{
    char length[DEC_MAX];
    struct nv_list list;
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};

    if (st->tx_head)
        return;
    if (head->upgrade.len > 0)
        end =
            END; /* h2 has no upgrade (RFC 9113 section 8.6): an ordinary request is what is left */
    nv_init(&list, head->field_count);
    nv_put(&list, STR(":method"), head->method_text);
    nv_put(&list, STR(":scheme"), or_else(head->scheme, STR("http")));
    if (head->authority.len > 0) /* HTTP/1.0 may lack it (RFC 9113 section 8.3.1) */
        nv_put_unique(&list, STR(":authority"), head->authority); /* of a thousand sites, say */
    nv_put(&list, STR(":path"), or_else(head->path, STR("/")));
    nv_put_fields(&list, head->fields, head->field_count);
    nv_put_length(&list, head->content_length, length);
    if (head->expects_continue)
        nv_put(&list, STR("expect"), STR("100-continue"));

    end_with_head(st, end, true);
    st->method = head->method;
    int32_t id = nghttp2_submit_request(st->h2->ng, NULL, list.at, list.count,
                                        st->tx_end ? NULL : &body, st);
    nv_deinit(&list);
    if (id > 0) {
        st->stream.id = (uint32_t)id;
        return;
    }
    st->h2->session.draining = true; /* out of stream ids */
    h2_stream_off_wire(st);
    h2_stream_tell_reset(st, REASON_UPSTREAM_REFUSED);
}

void h2_send_head(struct stream *stream, const struct head *head, enum end end)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    if (!may_send(st))
        return;
    if (h2->session.is_server) {
        send_response(st, head, end);
    } else {
        send_request(st, head, end);
    }
    h2_pump(h2);
}

/* --- sending bodies -------------------------------------------------------------------------- */

static void enqueue(struct h2_stream *st, struct slice data)
{
    if (data.len == 0 || st->tx_dead)
        return;
    bufq_keep(&st->tx, data);
    st->h2->queued += data.len;
}

/* Offers the bytes to nghttp2 where they are; only what it does not take now is kept. */
static void send_now(struct h2_stream *st, struct slice data)
{
    st->now = data;
    resume(st);
    h2_pump(st->h2);

    struct slice rest = st->now;
    st->now = (struct slice){0};
    enqueue(st, rest);
    h2_note_held(st->h2);
}

enum stream_status h2_send_body(struct stream *stream, struct slice data, enum end end)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    if (!may_send(st) || st->tx_end)
        return STREAM_OK;
    st->tx_end = end == END;
    if (data.len == 0 && end == MORE)
        return STREAM_OK;
    if (h2->busy == 0 && st->tx.bytes == 0 && h2->session.out->bytes <= h2_out_high(h2)) {
        send_now(st, data);
    } else {
        enqueue(st, data);
        resume(st);
        h2_pump(h2);
    }
    return status_of(st);
}

/* --- sending trailers ------------------------------------------------------------------------ */

static bool is_trailer(const struct field *field)
{
    return !field->removed && !(header_flags(field->id) & HEADER_NO_TRAILER);
}

/* One block with copies of everything; NULL when no field may go. */
static struct h2_trailers *trailers_new(const struct field *fields, size_t count)
{
    size_t text_bytes = 0, kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_trailer(&fields[i]))
            continue;
        text_bytes += fields[i].name.len + fields[i].value.len;
        kept++;
    }
    if (kept == 0)
        return NULL;

    struct h2_trailers *trailers =
        h2_mem_take(sizeof(*trailers) + kept * sizeof(trailers->nv[0]) + text_bytes);
    uint8_t *text = (uint8_t *)&trailers->nv[kept];
    trailers->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct str name = fields[i].name, value = fields[i].value;
        if (!is_trailer(&fields[i]))
            continue;
        memcpy(text, name.ptr, name.len);
        if (value.len > 0)
            memcpy(text + name.len, value.ptr, value.len);
        trailers->nv[trailers->count++] =
            (nghttp2_nv){text, text + name.len, name.len, value.len, NGHTTP2_NV_FLAG_NONE};
        text += name.len + value.len;
    }
    return trailers;
}

void h2_send_trailers(struct stream *stream, const struct field *fields, size_t count)
{
    struct h2_stream *st = h2_stream_of(stream);

    if (!may_send(st) || st->tx_end)
        return;
    st->tx_end = true;
    st->trailers = trailers_new(fields, count);
    resume(st);
    h2_pump(st->h2);
}

/* --- answers of the codec's own -------------------------------------------------------------- */

void h2_answer(struct h2_stream *st, enum reason reason)
{
    struct session *session = &st->h2->session;
    int status = reason_status(reason) >= 400 ? reason_status(reason) : 400;
    char status_text[DEC_MAX], length_text[DEC_MAX], text[64];
    struct str word = refusal_text(session, status, reason);
    int len = snprintf(text, sizeof(text), "%d %.*s\n", status, STR_FMT(word));
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};
    bool has_body = st->method != METHOD_HEAD;
    struct arena arena;
    struct head head;
    struct nv_list list;

    if (!may_send(st) || st->tx_head)
        return;
    arena_init(&arena, session->pool);
    refusal_init(&head, &arena, session, status, (size_t)len);
    nv_init(&list, head.field_count);
    nv_put(&list, STR(":status"), str_make(status_text, u64_to_dec((uint64_t)status, status_text)));
    nv_put_fields(&list, head.fields, head.field_count);
    nv_put_length(&list, head.content_length, length_text);
    nghttp2_submit_response(st->h2->ng, (int32_t)st->stream.id, list.at, list.count,
                            has_body ? &body : NULL);
    nv_deinit(&list);
    arena_reset(&arena);
    st->tx_head = st->tx_end = true;
    if (has_body)
        enqueue(st, (struct slice){NULL, text, (size_t)len});
    h2_pump(st->h2);
}
