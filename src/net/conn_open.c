/* How a connection begins: the TCP handshake of one that weir makes, bytes that go before anything
 * else, and the handshake of the transport. */
#include "net/conn_impl.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void conn_opened(struct conn *conn)
{
    conn->state = CONN_OPEN;
    conn->write_wait = false;
    conn->read_off = false;
    deadline_clear(&conn->deadline);
    conn_watch(conn);
    if (conn->handler != NULL && conn->handler->on_open != NULL)
        conn->handler->on_open(conn);
    if (conn->state != CONN_OPEN)
        return;
    if (!bufq_is_empty(&conn->out))
        conn_do_later(conn, TODO_FLUSH);
    /* The peer's first bytes may have come in one read with the end of its handshake. */
    if (!conn->paused && conn->ops->has_pending(conn))
        conn_read(conn);
}

/* A socket that has just connected takes these few bytes at once; they travel with what comes
 * next. */
static bool conn_write_first(struct conn *conn)
{
    while (!bufq_is_empty(&conn->out)) {
        struct slice front = bufq_front(&conn->out);
        ssize_t n = send(conn->io.fd, front.ptr, front.len, MSG_NOSIGNAL | MSG_MORE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            conn_set_error(conn, REASON_NONE, strerror(errno));
            return false;
        }
        bufq_drop(&conn->out, (size_t)n);
        conn->bytes_out += (uint64_t)n;
    }
    conn->has_first = false;
    return true;
}

void conn_handshake(struct conn *conn)
{
    if (UNLIKELY(conn->has_first) && !conn_write_first(conn)) {
        conn_fail(conn, REASON_UPSTREAM_CONNECT);
        return;
    }
    enum io io = conn->ops->handshake(conn);

    switch (io) {
    case IO_OK:
        conn_opened(conn);
        return;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        conn->write_wait = io == IO_WANT_WRITE;
        break;
    case IO_BUSY:
        conn->busy = true;
        break;
    case IO_EOF:
    case IO_ERROR:
        if (conn->has_last_words)
            conn_linger(conn);
        else
            conn_fail(conn, REASON_HANDSHAKE_FAILED);
        return;
    }
    conn_watch(conn);
}

void conn_handshake_event(struct conn *conn)
{
    if (!conn->busy) {
        conn_handshake(conn);
        return;
    }
    conn->read_off = true; /* until conn_transport_ready */
    conn->write_wait = false;
    conn_watch(conn);
}

void conn_connected(struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(conn->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error != 0) {
        conn_set_error(conn, REASON_NONE, strerror(error));
        conn_fail(conn, REASON_UPSTREAM_CONNECT);
        return;
    }
    conn->state = CONN_HANDSHAKE;
    conn_handshake(conn);
}

void conn_start(struct conn *conn)
{
    if (conn->errnum != 0) {
        conn_set_error(conn, REASON_NONE, strerror(conn->errnum));
        conn_fail(conn, REASON_UPSTREAM_CONNECT);
    } else if (conn->state == CONN_HANDSHAKE && (conn->is_client || conn->ops == &plain_ops)) {
        conn_handshake(conn);
    } else {
        conn_watch(conn); /* the client speaks first; epoll will tell */
    }
}

/* --- connecting ------------------------------------------------------------------------------ */

/* -1 with errno, EMFILE also when the last descriptors are not for us. */
static int connect_socket(const struct loop *loop, int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || LIKELY(loop_may_connect(loop, fd)))
        return fd;
    close(fd);
    errno = EMFILE;
    return -1;
}

struct conn *conn_connect(struct loop *loop, const struct addr *addr,
                          const struct conn_handler *handler, void *arg, struct conn_limits limits)
{
    int fd = connect_socket(loop, addr->sa.sa_family);
    int errnum = fd < 0 ? errno : 0;
    struct conn *conn = conn_new(loop, fd, handler, arg, limits);

    conn->is_client = true;
    conn->errnum = errnum;
    if (limits.connect_ms > 0)
        deadline_set(loop, &conn->deadline, limits.connect_ms);
    if (fd < 0)
        return conn;
    if (!addr_is_unix(addr))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, &addr->sa, addr->len) < 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            conn->state = CONN_CONNECTING;
        else
            conn->errnum = errno;
    }
    return conn;
}

void conn_send_first(struct conn *conn, struct str bytes)
{
    ASSERT(conn->is_client && (conn->todo & TODO_START) != 0);
    bufq_copy(&conn->out, bytes.ptr, bytes.len);
    conn->has_first = true;
}
