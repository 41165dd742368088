/* The life of an h2 stream: two hold it, the user and the wire, and either may leave first. What is
 * whole is delivered to its end without its user; anything else is reset. */
#include "http/h2_impl.h"

struct h2_stream *h2_stream_new(struct h2_session *h2, struct arena *arena)
{
    struct h2_stream *st = h2_mem_take(sizeof(*st));

    *st = (struct h2_stream){.h2 = h2, .wire_open = true};
    st->stream.ops = &h2_stream_ops;
    st->stream.session = &h2->session;
    arena_init(&st->own_arena, h2->session.pool);
    st->stream.arena = arena != NULL ? arena : &st->own_arena;
    bufq_init(&st->tx, h2->session.pool);
    list_init(&st->full_node);
    list_init(&st->news_node);
    list_push_back(&h2->streams, &st->node);
    h2->wire_streams++;
    return st;
}

static void stream_free(struct h2_stream *st)
{
    ASSERT(!st->user_open && !st->wire_open);
    list_remove(&st->node);
    list_remove(&st->full_node);
    list_remove(&st->news_node);
    bufq_deinit(&st->tx);
    h2_mem_give(st->trailers);
    h2_release_heads(st);
    arena_reset(&st->own_arena);
    h2_mem_give(st);
}

void h2_stream_adopt(struct h2_stream *st)
{
    st->user_open = true;
    st->h2->session.open_streams++;
}

/* What of the codec's own state points at the stream. */
static void forget_stream(struct h2_session *h2, const struct h2_stream *st)
{
    if (h2->in.st == st)
        h2->in = (struct h2_incoming){0};
    if (h2->body_stream == st)
        h2->body_stream = NULL;
}

void h2_stream_off_wire(struct h2_stream *st)
{
    if (!st->wire_open)
        return;
    st->wire_open = false;
    st->tx_dead = true;
    st->h2->wire_streams--;
    forget_stream(st->h2, st);
    h2_drop_tx(st);
    h2_let_go(st);
    if (!st->user_open)
        stream_free(st);
}

enum { CANCEL_FORGOTTEN_MS = 1000 };

/* An upstream counts the streams that we cancel, whoever wanted them cancelled, and ends a
 * connection with too many, together with the requests of others. So a connection that has used up
 * its cancels takes no more requests, and sends no more RST_STREAM: what is cancelled on it from
 * then on gets no window, and ends with the connection, when the last request that is wanted has
 * its answer. */
static bool may_send_rst(struct h2_session *h2)
{
    struct session *session = &h2->session;
    uint64_t forgotten = (uint64_t)(session->now_ms - h2->cancels_at_ms) / CANCEL_FORGOTTEN_MS;

    if (session->is_server || session->limits.max_cancels == 0)
        return true;
    if (session->cancels_spent)
        return false;
    if (forgotten > 0) {
        h2->cancels -= (uint32_t)MIN(forgotten, (uint64_t)h2->cancels);
        h2->cancels_at_ms = session->now_ms;
    }
    if (++h2->cancels >= session->limits.max_cancels)
        session->cancels_spent = session->draining = true;
    return true;
}

void h2_stream_rst(struct h2_stream *st, uint32_t error_code)
{
    if (!st->wire_open || st->rst_sent)
        return;
    st->rst_sent = true;
    st->tx_dead = true;
    h2_drop_tx(st);
    if (st->stream.id == 0) {
        h2_stream_off_wire(st); /* a request that was never sent */
    } else if (!st->h2->dead && may_send_rst(st->h2)) {
        nghttp2_submit_rst_stream(st->h2->ng, NGHTTP2_FLAG_NONE, (int32_t)st->stream.id,
                                  error_code);
    }
}

void h2_stream_tell_reset(struct h2_stream *st, enum reason reason)
{
    if (!st->user_open || st->quiet)
        return;
    if (st->h2->busy > 0) {
        st->quiet = true;
        st->stream.handler->on_reset(&st->stream, reason);
        return;
    }
    if (st->news != REASON_NONE)
        return;
    st->news = reason;
    list_push_back(&st->h2->news, &st->news_node);
}

static uint32_t error_code_of(enum reason reason)
{
    switch ((int)reason) {
    case REASON_H2_FLOOD:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case REASON_H2_PROTOCOL:
    case REASON_BAD_TRAILER:
    case REASON_BAD_FIELD:
    case REASON_BAD_LENGTH:
        return NGHTTP2_PROTOCOL_ERROR;
    case REASON_DRAINING:
        return NGHTTP2_REFUSED_STREAM;
    case REASON_NONE:
    case REASON_CLIENT_CLOSED:
    case REASON_CLIENT_RESET:
    case REASON_BODY_TIMEOUT:
    case REASON_WRITE_TIMEOUT:
    case REASON_IDLE_TIMEOUT:
    case REASON_BODY_TOO_LARGE:
        return NGHTTP2_CANCEL;
    }
    return NGHTTP2_INTERNAL_ERROR;
}

static void stream_op_reset(struct stream *stream, enum reason reason)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    st->quiet = true;
    /* Our client's troubles are no error of the upstream's. */
    h2_stream_rst(st, h2->session.is_server ? error_code_of(reason) : NGHTTP2_CANCEL);
    h2_pump(h2);
}

/* The user has closed the stream: what does the wire still need? A whole message is delivered to
 * its end; anything else is reset (RFC 9113 section 8.1: NO_ERROR when only the rest of the request
 * is unwanted). */
static void leave_wire(struct h2_stream *st)
{
    bool is_server = st->h2->session.is_server;

    if (st->h2->dead) {
        h2_stream_off_wire(st);
        return;
    }
    if (!st->tx_end || (!is_server && !st->rx_ended)) {
        h2_stream_rst(st, NGHTTP2_CANCEL);
    } else if (st->tx_end_sent && !st->rx_ended) {
        h2_stream_rst(st, NGHTTP2_NO_ERROR);
    }
}

static void stream_op_close(struct stream *stream)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    ASSERT(st->user_open);
    st->user_open = false;
    st->quiet = true;
    h2->session.open_streams--;
    list_remove(&st->full_node);
    list_remove(&st->news_node);
    if (!h2->session.is_server && h2->in.st == st)
        h2->session.draining = true; /* until its head is whole, no other stream's bytes can pass */
    forget_stream(h2, st);
    h2_let_go(st);
    h2_release_heads(st);
    arena_reset(&st->own_arena);
    if (st->wire_open) {
        leave_wire(st);
    } else {
        stream_free(st);
    }
    h2_pump(h2);
}

const struct stream_ops h2_stream_ops = {
    .send_head = h2_send_head,
    .send_body = h2_send_body,
    .send_trailers = h2_send_trailers,
    .reset = stream_op_reset,
    .pause = h2_op_pause,
    .resume = h2_op_resume,
    .widen = h2_op_widen,
    .close = stream_op_close,
};
