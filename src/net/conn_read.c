/* Reading: bytes go into a slab and are offered to the user; what the user leaves is offered again
 * with the next ones. A connection reads only its share in a turn. */
#include "net/conn_impl.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    READ_MIN = 1024,           /* less room than this is not worth a read */
    SWALLOW_MAX = 1024 * 1024, /* bytes swallowed after conn_close; then the peer gets a reset */
};

size_t conn_unused(const struct conn *conn)
{
    return conn->in != NULL ? conn->in->len - conn->in_off : 0;
}

/* Moves the unused bytes to the front of a buffer of `size` bytes. */
static void conn_move_unused(struct conn *conn, size_t size)
{
    struct buf *fresh = buf_new_sized(loop_bufs(conn->loop), size);
    size_t unused = conn_unused(conn);

    memcpy(fresh->data, conn->in->data + conn->in_off, unused);
    fresh->len = (uint32_t)unused;
    buf_unref(&conn->in);
    conn->in = fresh;
    conn->in_off = 0;
}

/* A large slab only while large reads find it full: then four records' worth costs one system call,
 * and every slice of it fills whole records. */
static struct buf *new_slab(struct conn *conn)
{
    struct buf_pool *pool = loop_bufs(conn->loop);
    bool fills_it = conn->is_bulky && loop_read_share(conn->loop) == LOOP_SHARE_MAX;

    return fills_it ? buf_new_bulk(pool) : buf_new(pool);
}

/* Makes room to read into: at least READ_MIN bytes behind the unused ones. -1 when they are too
 * many. */
MUST_USE static int conn_make_room(struct conn *conn)
{
    struct buf *in = conn->in;
    size_t unused = conn_unused(conn);

    if (in == NULL || (unused == 0 && conn->is_bulky)) {
        buf_unref(&conn->in);
        conn->in = new_slab(conn);
        conn->in_off = 0;
        return 0;
    }
    if (unused == 0 && in->refs == 1) {
        in->len = conn->in_off = 0;
        return 0;
    }
    if (buf_room(in) >= READ_MIN)
        return 0;
    if (unused + READ_MIN <= BUF_SIZE && unused <= BUF_SIZE / 2) {
        conn_move_unused(conn, BUF_SIZE);
        return 0;
    }
    if (unused + READ_MIN > CONN_UNUSED_MAX)
        return -1;
    conn_move_unused(conn, MIN(MAX(2 * unused, BUF_SIZE), CONN_UNUSED_MAX));
    return 0;
}

/* One read, and as many more as need no system call, of no more than about `limit` bytes in all.
 * `*more`: the socket or the transport may have further bytes right now. */
static enum io conn_fill(struct conn *conn, size_t limit, size_t *got, bool *more)
{
    struct buf *in = conn->in;
    enum io io;

    *got = 0;
    *more = false;
    do {
        size_t n = 0, room = MIN(buf_room(in), limit - *got);
        io = conn->ops->read(conn, in->data + in->len, room, &n);
        in->len += (uint32_t)n;
        *got += n;
        *more = io == IO_OK && (n == room || conn->ops->has_pending(conn));
        conn->is_bulky = n > BUF_SIZE || (n == room && n > BUF_SIZE / 2);
    } while (*more && *got < limit && buf_room(in) >= READ_MIN && conn->ops->has_pending(conn));
    conn->bytes_in += *got;
    return io;
}

/* Offers the unused bytes once. False when the connection is not open any more. */
static bool conn_offer(struct conn *conn)
{
    size_t unused = conn_unused(conn), used = unused;

    if (conn->handler != NULL && conn->handler->on_data != NULL) {
        struct slice data = {0};
        if (unused > 0)
            data = (struct slice){conn->in, conn->in->data + conn->in_off, unused};
        used = conn->handler->on_data(conn, data);
    }
    if (conn->state != CONN_OPEN)
        return false;
    ASSERT(used <= unused);
    if (used > 0)
        conn->in_off += (uint32_t)used;
    return true;
}

/* The peer has ended, and all it sent before has been offered. */
static void conn_read_ended(struct conn *conn)
{
    if (conn->read_end == IO_ERROR) {
        conn_fail(conn, REASON_CLIENT_RESET);
        return;
    }
    conn->read_end = IO_OK;
    conn->eof = true;
    conn->read_off = true; /* else epoll would tell us for ever */
    conn_watch(conn);
    if (conn->handler != NULL && conn->handler->on_eof != NULL)
        conn->handler->on_eof(conn);
}

/* After a round of reading: gives the slab back, hands on the end. */
static void conn_settle(struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    if (conn_unused(conn) == 0)
        buf_unref(&conn->in);
    if (!conn->paused && conn->read_end != IO_OK && !conn->eof)
        conn_read_ended(conn);
}

void conn_read(struct conn *conn)
{
    bool more = true;
    size_t read = 0, share = loop_read_share(conn->loop);

    while (more && read < share && !conn->paused) {
        if (conn_make_room(conn) < 0) {
            conn_set_error(conn, REASON_NONE, "too many bytes received ahead");
            conn_fail(conn, REASON_CLIENT_RESET);
            return;
        }
        size_t got;
        enum io io = conn_fill(conn, share < LOOP_SHARE_MAX ? share - read : SIZE_MAX, &got, &more);
        read += got;
        if (got > 0 && conn->bytes_in > read && !conn->is_client)
            loop_note_kept_client(conn->loop);
        if (io == IO_EOF || io == IO_ERROR)
            conn->read_end = (uint8_t)io;
        if (io == IO_WANT_WRITE)
            conn_do_later(conn, TODO_FLUSH);
        if (got > 0 && !conn_offer(conn))
            return;
    }
    conn_settle(conn);
    if (conn->state != CONN_OPEN)
        return;
    if (more && !conn->paused && conn->ops->has_pending(conn)) {
        /* Our share is used up, and no readiness event will tell of what is left. */
        conn->todo |= TODO_OFFER;
        loop_defer_next(conn->loop, &conn->task);
    }
    if (conn->write_needs_read)
        conn_do_later(conn, TODO_FLUSH);
}

void conn_offer_again(struct conn *conn)
{
    if (conn->paused)
        return;
    bool kicked = conn->kicked;
    conn->kicked = false;
    if ((conn_unused(conn) > 0 || kicked) && !conn_offer(conn))
        return;
    if (!conn->paused && conn->read_end == IO_OK && !conn->eof && conn->ops->has_pending(conn))
        conn_read(conn);
    else
        conn_settle(conn);
}

void conn_readable(struct conn *conn)
{
    if (conn->paused) {
        conn->read_off = true;
        conn_watch(conn);
        return;
    }
    conn_read(conn);
}

void conn_swallow(struct conn *conn)
{
    ssize_t n = recv(conn->io.fd, loop_scratch(conn->loop), LOOP_SCRATCH_BYTES, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    conn->swallowed += n > 0 ? (uint32_t)n : 0;
    if (n > 0 && conn->swallowed <= SWALLOW_MAX)
        return;
    if (conn->state == CONN_LINGER || n < 0) {
        conn_end_lingering(conn);
        return;
    }
    conn->eof = n == 0;
    conn->read_off = true;
    conn_watch(conn);
}
