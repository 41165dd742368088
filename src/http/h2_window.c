/* Flow control of what arrives. A stream that its user has paused keeps its own window closed, and
 * nothing else: the connection's window belongs to all streams and opens at once.
 *
 * A server has one bound more, because all streams of a connection are one client's: what its
 * paused streams hold beyond limits.max_held_bytes stays closed in the connection's window, too.
 * The streams of a client session come from many clients, so each of these is bounded where its
 * bytes go. */
#include "http/h2_impl.h"

void h2_consume(struct h2_stream *st, size_t len)
{
    if (st->h2->dead || len == 0)
        return;
    if (st->wire_open) {
        nghttp2_session_consume(st->h2->ng, (int32_t)st->stream.id, len);
    } else {
        nghttp2_session_consume_connection(st->h2->ng, len);
    }
}

/* `arrived` bytes have come and count in rx_held already, or 0 when that has become less. */
static void open_connection(struct h2_session *h2, size_t arrived)
{
    size_t max = h2->session.limits.max_held_bytes;
    size_t closed = h2->rx_held > max ? h2->rx_held - max : 0;
    size_t open = h2->rx_closed + arrived - closed;

    h2->session.held_stops += closed > 0 && h2->rx_closed == 0;
    h2->rx_closed = closed;
    if (open > 0 && !h2->dead)
        nghttp2_session_consume_connection(h2->ng, open);
}

void h2_hold(struct h2_stream *st, size_t len)
{
    st->held += (uint32_t)len;
    st->h2->rx_held += len;
    open_connection(st->h2, len);
}

uint32_t h2_let_go(struct h2_stream *st)
{
    uint32_t len = st->held;

    if (len == 0)
        return 0;
    st->held = 0;
    st->h2->rx_held -= len;
    open_connection(st->h2, 0);
    return len;
}

void h2_op_pause(struct stream *stream)
{
    h2_stream_of(stream)->paused = true;
}

void h2_op_resume(struct stream *stream)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    st->paused = false;
    uint32_t len = h2_let_go(st);
    if (len == 0)
        return;
    if (st->wire_open && !h2->dead)
        nghttp2_session_consume_stream(h2->ng, (int32_t)st->stream.id, len);
    h2_pump(h2);
}

void h2_op_widen(struct stream *stream)
{
    struct h2_stream *st = h2_stream_of(stream);
    struct h2_session *h2 = st->h2;

    if (h2->session.is_server || !st->wire_open || st->rst_sent || !h2_is_live(h2))
        return;
    nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, (int32_t)st->stream.id,
                                          H2_STREAM_WINDOW);
    h2_pump(h2);
}
