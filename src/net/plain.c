/* The transport without a cipher: one recv, one sendmsg. */
#include "net/conn_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PLAIN_IOV_MAX = 32 };

static enum io plain_handshake(struct conn *conn UNUSED)
{
    return IO_OK;
}

static enum io plain_error(struct conn *conn)
{
    conn_note_errno(conn, errno);
    conn_set_error(conn, REASON_NONE, strerror(errno));
    return IO_ERROR;
}

static enum io plain_read(struct conn *conn, void *out, size_t size, size_t *got)
{
    for (;;) {
        ssize_t n = recv(conn->io.fd, out, size, 0);
        if (n > 0) {
            *got = (size_t)n;
            return IO_OK;
        }
        if (n == 0)
            return IO_EOF;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IO_WANT_READ;
        if (errno != EINTR)
            return plain_error(conn);
    }
}

static bool plain_has_pending(struct conn *conn UNUSED)
{
    return false;
}

static enum io plain_write(struct conn *conn, struct bufq *q, size_t *written)
{
    while (!bufq_is_empty(q)) {
        struct iovec iov[PLAIN_IOV_MAX];
        struct msghdr msg = {.msg_iov = iov};
        size_t asked = 0;

        msg.msg_iovlen = (size_t)bufq_iovec(q, iov, PLAIN_IOV_MAX);
        for (size_t i = 0; i < msg.msg_iovlen; i++)
            asked += iov[i].iov_len;

        ssize_t n = sendmsg(conn->io.fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return IO_WANT_WRITE;
        if (n < 0)
            return plain_error(conn);
        bufq_drop(q, (size_t)n);
        *written += (size_t)n;
        if ((size_t)n < asked)
            return IO_WANT_WRITE; /* the socket is full: no need to be told so */
    }
    return IO_OK;
}

static void plain_goodbye(struct conn *conn UNUSED)
{
}

static void plain_free(struct conn *conn UNUSED)
{
}

const struct transport_ops plain_ops = {
    .handshake = plain_handshake,
    .read = plain_read,
    .has_pending = plain_has_pending,
    .write = plain_write,
    .goodbye = plain_goodbye,
    .free = plain_free,
};
