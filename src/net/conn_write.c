/* Writing: the queue goes to the transport at the end of a turn, a full socket waits for EPOLLOUT, and
 * a connection that closes lingers until its peer has ended, too. */
#include "net/conn_impl.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    CLOSE_FLUSH_MS = 30 * 1000, /* write progress of last words when no write deadline is set */
    RING_KEEP = 4,              /* a drained queue keeps a ring up to this size */
};

void conn_end_lingering(struct conn *conn)
{
    conn_end(conn, conn->has_last_words ? (enum reason)conn->reason : REASON_NONE);
}

void conn_linger(struct conn *conn)
{
    conn->ops->goodbye(conn);
    if (conn->eof || shutdown(conn->io.fd, SHUT_WR) < 0) {
        conn_end_lingering(conn);
        return;
    }
    conn->state = CONN_LINGER;
    conn->read_off = false;
    conn->write_wait = false;
    deadline_set(conn->loop, &conn->deadline, CONN_LINGER_MS);
    conn_watch(conn);
}

/* The peer takes nothing more. It may have said why before it went (an early 413, a close): that
 * still waits in our receive buffer, so that is read first. */
static void conn_write_failed(struct conn *conn)
{
    conn->write_wait = false;
    if (conn->state == CONN_OPEN && !conn->paused && !conn->eof)
        conn_read(conn);
    conn_fail(conn, REASON_CLIENT_RESET);
}

static void write_deadline(struct conn *conn, bool progress)
{
    uint32_t limit_ms = conn->limits.write_ms;

    if (limit_ms == 0 && conn->state == CONN_CLOSING)
        limit_ms = CLOSE_FLUSH_MS;
    if (limit_ms > 0 && (progress || !deadline_is_set(&conn->deadline)))
        deadline_set(conn->loop, &conn->deadline, limit_ms);
}

static void written_all(struct conn *conn)
{
    conn->write_wait = false;
    deadline_clear(&conn->deadline);
    if (conn->out.cap > RING_KEEP)
        bufq_clear(&conn->out);
}

static void tell_writable(struct conn *conn)
{
    if (!conn->was_full || conn->out.bytes > CONN_LOW_MARK || conn->state != CONN_OPEN)
        return;
    conn->was_full = false;
    if (conn->handler != NULL && conn->handler->on_writable != NULL)
        conn->handler->on_writable(conn);
}

void conn_flush(struct conn *conn)
{
    size_t written = 0;

    if (conn->out.bytes > CONN_HIGH_MARK)
        conn->was_full = true;
    bufq_seal(&conn->out);
    enum io io = conn->ops->write(conn, &conn->out, &written);
    conn->bytes_out += written;
    conn->write_needs_read = false;

    switch (io) {
    case IO_OK:
        written_all(conn);
        break;
    case IO_WANT_WRITE:
        conn->write_wait = true;
        write_deadline(conn, written > 0);
        break;
    case IO_WANT_READ:
        conn->write_wait = false;
        conn->write_needs_read = true;
        write_deadline(conn, written > 0);
        break;
    case IO_BUSY:
        conn->busy = true;
        write_deadline(conn, written > 0);
        break;
    case IO_EOF:
    case IO_ERROR:
        conn_write_failed(conn);
        return;
    }
    conn_watch(conn);
    if (io == IO_OK && conn->state == CONN_CLOSING) {
        conn_linger(conn);
        return;
    }
    tell_writable(conn);
}

enum { UNSENT_FIRST = 64 * 1024 };

uint8_t conn_unsent_shift(uint32_t max_bytes)
{
    uint8_t count = 0;

    while (max_bytes >> count > UNSENT_FIRST)
        count++;
    return count;
}

void conn_let_unsent_grow(struct conn *conn, uint32_t max_bytes)
{
    conn->unsent_shift = conn_unsent_shift(max_bytes);
}

/* The socket was full and is so no more: the peer reads. */
void conn_made_room(struct conn *conn)
{
    int fd = conn->io.fd, bytes = 0;

    if (conn->unsent_shift > 0 && conn->write_wait) {
        getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &(socklen_t){sizeof(bytes)});
        bytes <<= conn->unsent_shift;
        conn->unsent_shift = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
    }
    conn_flush(conn);
}
