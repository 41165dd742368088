/* What can be asked of a socket whose peer has ended: what of our bytes it cannot have read, and
 * whether it is still there. A file of its own, because the C library's <netinet/tcp.h> has an
 * older struct tcp_info than the kernel. */
#include "net/conn_impl.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

/* Has the peer sent FIN? It cannot be seen behind unread bytes. After a reset the
 * socket answers as after FIN, once it has told the error. */
static bool peer_has_ended(const struct conn *conn)
{
    char byte;

    if (conn->was_reset)
        return false;
    return conn->eof || conn->read_end == IO_EOF ||
           recv(conn->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool conn_is_reset(const struct conn *conn)
{
    struct pollfd poll_fd = {.fd = conn->io.fd};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLERR | POLLHUP)) != 0;
}

uint64_t conn_find_maybe_read(const struct conn *conn)
{
    enum { SYN = 1 }; /* takes a number of the sequence, and is acknowledged like a byte */
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (conn->bytes_out == 0 || !peer_has_ended(conn))
        return conn->bytes_out;
    if (getsockopt(conn->io.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked) ||
        info.tcpi_bytes_acked < SYN)
        return conn->bytes_out;
    return MIN(info.tcpi_bytes_acked - SYN, conn->bytes_out);
}
