/* Listening sockets: opening them with words for every way to fail, and accepting in batches. When
 * connections have all the descriptors that are for them, one that waits is taken and closed (its
 * client sees an end, not a hang) and the listener pauses: waiting clients are
 * accepted after it. Where
 * the kernel itself has none left, accept would fail for ever while epoll keeps calling; for that
 * one descriptor is held in reserve, given up for a moment and taken again. */
#include "net/listener.h"

#include "base/log.h"
#include "net/conn.h"
#include "net/loop_impl.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 4096, /* the kernel caps it at net.core.somaxconn */
    ACCEPT_BATCH = 32,     /* connections per turn */
    ACCEPT_LAST = 8192,    /* and at most so many at once */
    EXHAUSTED_PAUSE_MS = 100,
};

struct listener_sock {
    ev_io io;
    struct loop *loop;
    listener_accepted *accepted;
    void *arg;
    struct listener_figures *figures; /* borrows; may be NULL */
    int reserve_fd;                   /* owns; -1 when even that could not be had */
    bool exhausted;                   /* pauses until the deadline */
    struct deadline again;
    struct reap reap;
};

/* --- opening --------------------------------------------------------------------------------- */

/* Does a process accept on this unix socket? */
static bool unix_is_live(const struct addr *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return true; /* we cannot tell: leave it alone */
    bool refused = connect(fd, &addr->sa, addr->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* Removes what a process that has ended left behind. */
static void unix_remove_stale(const struct addr *addr)
{
    struct stat st;
    const char *path = addr->un.sun_path;

    if (path[0] == '\0' || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    if (!unix_is_live(addr))
        unlink(path);
}

static int set_options(int fd, const struct addr *addr, struct err *err)
{
    const int on = 1;

    if (addr_is_unix(addr))
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return err_set_errno(err, "SO_REUSEADDR");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return err_set_errno(err, "SO_REUSEPORT");
    if (addr->sa.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return err_set_errno(err, "IPV6_V6ONLY");
    return 0;
}

static int set_options_and_bind(int fd, const struct addr *addr, struct err *err)
{
    char text[ADDR_TEXT_MAX];

    if (set_options(fd, addr, err) < 0)
        return -1;
    if (addr_is_unix(addr))
        unix_remove_stale(addr);
    if (bind(fd, &addr->sa, addr->len) == 0)
        return 0;
    addr_format(addr, text);
    return err_set_errno(err, "cannot bind to %s", text);
}

int listener_bind(const struct addr *addr, struct err *err)
{
    char text[ADDR_TEXT_MAX];
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    addr_format(addr, text);
    if (fd < 0)
        return err_set_errno(err, "cannot open a socket for %s", text);
    if (set_options_and_bind(fd, addr, err) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int listener_listen(int fd, const struct addr *addr, struct err *err)
{
    char text[ADDR_TEXT_MAX];

    if (listen(fd, LISTEN_BACKLOG) == 0)
        return 0;
    addr_format(addr, text);
    return err_set_errno(err, "cannot listen on %s", text);
}

int listener_open(const struct addr *addr, struct err *err)
{
    int fd = listener_bind(addr, err);

    if (fd < 0 || listener_listen(fd, addr, err) == 0)
        return fd;
    close(fd);
    return -1;
}

int listener_check_free(const struct addr *addr, struct err *err)
{
    const int on = 1;
    char text[ADDR_TEXT_MAX];

    if (addr_is_unix(addr) || addr_port(addr) == 0)
        return 0;
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0; /* opening it will say why */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    int rc = 0;
    if (bind(fd, &addr->sa, addr->len) < 0) {
        addr_format(addr, text);
        rc = err_set_errno(err, "cannot bind to %s", text);
    }
    close(fd);
    return rc;
}

/* --- accepting ------------------------------------------------------------------------------- */

static void listener_watch(struct listener_sock *listener)
{
    if (!listener->exhausted)
        ev_io_start(loop_ev(listener->loop), &listener->io);
    else
        ev_io_stop(loop_ev(listener->loop), &listener->io);
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void refuse(struct listener_sock *listener, int fd)
{
    close(fd);
    if (listener->figures != NULL)
        listener->figures->refused++;
}

/* Gives up the reserve for a moment to end one waiting connection. */
static void refuse_one(struct listener_sock *listener)
{
    if (listener->reserve_fd < 0)
        return;
    close(listener->reserve_fd);
    int fd = accept4(listener->io.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        refuse(listener, fd);
    listener->reserve_fd = reserve_open();
}

static void on_exhausted(struct listener_sock *listener, int errnum)
{
    LOG_LIMITED(LOG_LEVEL_WARN, "accept_exhausted", "error=\"%s\" pause_ms=%d", strerror(errnum),
                EXHAUSTED_PAUSE_MS);
    if (listener->figures != NULL)
        listener->figures->pauses++;
    listener->exhausted = true;
    listener_watch(listener);
    deadline_set(listener->loop, &listener->again, EXHAUSTED_PAUSE_MS);
}

static void on_again(struct deadline *deadline)
{
    struct listener_sock *listener = CONTAINER_OF(deadline, struct listener_sock, again);

    if (listener->reserve_fd < 0)
        listener->reserve_fd = reserve_open();
    listener->exhausted = false;
    listener_watch(listener);
}

/* Takes one connection: 1 when it took one, 0 when none waits, -1 (errno) when it could not. */
static int accept_one(struct listener_sock *listener)
{
    struct addr peer = {.len = sizeof(peer.un)};
    int fd = accept4(listener->io.fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (UNLIKELY(fd >= 0 && !loop_may_accept(listener->loop, fd))) {
        refuse(listener, fd);
        errno = EMFILE;
        return -1;
    }
    if (fd >= 0) {
        listener->accepted(listener->arg, fd, &peer);
        return 1;
    }
    switch (errno) {
    case EAGAIN:
        return 0;
    case EMFILE:
    case ENFILE:
        refuse_one(listener);
        errno = EMFILE;
        return -1;
    case ENOBUFS:
    case ENOMEM:
        return -1;
    default:
        return 1; /* this one connection had an error of its own (ECONNABORTED and the like) */
    }
}

static void on_acceptable(struct ev_loop *ev UNUSED, ev_io *io, int events UNUSED)
{
    struct listener_sock *listener = CONTAINER_OF(io, struct listener_sock, io);

    for (int i = 0; i < ACCEPT_BATCH && ev_is_active(io); i++) {
        int got = accept_one(listener);
        if (got < 0)
            on_exhausted(listener, errno);
        if (got <= 0)
            return;
    }
}

struct listener_sock *listener_start(struct loop *loop, int fd, listener_accepted *accepted,
                                     void *arg, struct listener_figures *figures)
{
    struct listener_sock *listener = mem_new(sizeof(*listener));

    listener->loop = loop;
    listener->accepted = accepted;
    listener->arg = arg;
    listener->figures = figures;
    listener->reserve_fd = reserve_open();
    deadline_init(&listener->again, on_again);

    /* Accepted sockets inherit it: no system call for each. It fails on unix sockets: fine. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));

    ev_io_init(&listener->io, on_acceptable, fd, EV_READ);
    listener_watch(listener);
    return listener;
}

void listener_limit_unsent(struct listener_sock *listener, uint32_t max_bytes)
{
    int first = (int)(max_bytes >> conn_unsent_shift(max_bytes));

    setsockopt(listener->io.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &first, sizeof(first));
}

static void listener_free(struct reap *reap)
{
    free(CONTAINER_OF(reap, struct listener_sock, reap));
}

void listener_accept_waiting(struct listener_sock *listener)
{
    for (int i = 0; i < ACCEPT_LAST && accept_one(listener) > 0; i++)
        continue;
}

void listener_stop(struct listener_sock *listener)
{
    ev_io_stop(loop_ev(listener->loop), &listener->io);
    deadline_deinit(&listener->again);
    listener_accept_waiting(listener);
    close(listener->io.fd);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    loop_reap(listener->loop, &listener->reap, listener_free);
}
