/* A connection's life: connect, handshake, bytes both ways, last words, linger. One ev_io whose
 * interest changes only when it must (conn_watch), one task for all that happens at the end of a
 * turn, one deadline whose meaning follows from the state.
 *
 * Teardown is in two steps: conn_bury stops every watcher at once and closes the descriptor; the
 * memory, the buffers and the transport go after the turn, because callers up the stack may still
 * look at them. */
#include "net/conn.h"

#include "net/conn_impl.h"
#include "net/loop_impl.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_MIN = 1024,            /* less room than this is not worth a read */
    CLOSE_FLUSH_MS = 30 * 1000, /* write progress of last words when no write deadline is set */
    SWALLOW_MAX = 1024 * 1024,  /* bytes swallowed after conn_close; then the peer gets a reset */
    RING_KEEP = 4,              /* a drained queue keeps a ring up to this size */
};

enum {
    TODO_START = BIT(0),
    TODO_OFFER = BIT(1), /* unused bytes again, then what the transport has pending */
    TODO_FLUSH = BIT(2),
    TODO_READY = BIT(3), /* conn_transport_ready */
};

static void conn_read(struct conn *conn);

/* --- end of life ----------------------------------------------------------------------------- */

static void conn_free(struct reap *reap)
{
    struct conn *conn = CONTAINER_OF(reap, struct conn, reap);

    conn->ops->free(conn);
    buf_unref(&conn->in);
    bufq_deinit(&conn->out);
    free(conn->error_text);
    free(conn->tls_info);
    free(conn);
}

static void conn_bury(struct conn *conn)
{
    conn->state = CONN_DEAD;
    list_remove(&conn->node);
    ev_io_stop(loop_ev(conn->loop), &conn->io);
    deadline_deinit(&conn->deadline);
    task_cancel(&conn->task);
    if (conn->io.fd >= 0)
        close(conn->io.fd);
    loop_reap(conn->loop, &conn->reap, conn_free);
}

/* Closing sends no orderly end and forgets what the kernel has not sent. */
static void end_with_reset(struct conn *conn)
{
    const struct linger at_once = {.l_onoff = 1};

    if (conn->state != CONN_DEAD && conn->io.fd >= 0)
        (void)setsockopt(conn->io.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void conn_end(struct conn *conn, enum reason reason)
{
    if (conn->state == CONN_DEAD)
        return;
    if (conn->is_client && conn->state == CONN_OPEN)
        conn->maybe_read = conn_find_maybe_read(conn);
    conn_bury(conn);
    if (conn->handler != NULL && conn->handler->on_closed != NULL)
        conn->handler->on_closed(conn, reason);
}

/* Ends with what the transport found out, or else with `reason`. */
static void conn_fail(struct conn *conn, enum reason reason)
{
    conn_end(conn, conn->reason != REASON_NONE ? (enum reason)conn->reason : reason);
}

/* --- interest -------------------------------------------------------------------------------- */

static int wanted_events(const struct conn *conn)
{
    int read = conn->read_off ? 0 : EV_READ;
    int write = conn->write_wait ? EV_WRITE : 0;

    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
        return EV_WRITE;
    case CONN_HANDSHAKE:
        /* One or the other: reading while the peer does not take what we have to say would spin. */
        return write != 0 ? write : read;
    case CONN_OPEN:
    case CONN_CLOSING:
    case CONN_LINGER:
        return read | write;
    case CONN_DEAD:
        return 0;
    }
    return 0;
}

/* Tells epoll, by way of libev, when what we wait for has changed; mostly it has not. */
static void conn_watch(struct conn *conn)
{
    int want = wanted_events(conn);
    int have = ev_is_active(&conn->io) ? conn->io.events & (EV_READ | EV_WRITE) : 0;

    if (want == have || conn->state == CONN_DEAD)
        return;
    ev_io_stop(loop_ev(conn->loop), &conn->io);
    if (want == 0)
        return;
    ev_io_set(&conn->io, conn->io.fd, want);
    ev_io_start(loop_ev(conn->loop), &conn->io);
}

static void conn_do_later(struct conn *conn, unsigned todo)
{
    conn->todo |= (uint8_t)todo;
    loop_defer(conn->loop, &conn->task);
}

/* --- writing --------------------------------------------------------------------------------- */

static void conn_end_lingering(struct conn *conn)
{
    conn_end(conn, conn->has_last_words ? (enum reason)conn->reason : REASON_NONE);
}

static void conn_linger(struct conn *conn)
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
 * still waits in our receive buffer, so hear it first. */
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

static void conn_flush(struct conn *conn)
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
static void conn_made_room(struct conn *conn)
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

/* --- reading --------------------------------------------------------------------------------- */

static size_t unused_bytes(const struct conn *conn)
{
    return conn->in != NULL ? conn->in->len - conn->in_off : 0;
}

/* Moves the unused bytes to the front of a buffer of `size` bytes. */
static void conn_move_unused(struct conn *conn, size_t size)
{
    struct buf *fresh = buf_new_sized(loop_bufs(conn->loop), size);
    size_t unused = unused_bytes(conn);

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
    size_t unused = unused_bytes(conn);

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
    size_t unused = unused_bytes(conn), used = unused;

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
    if (unused_bytes(conn) == 0)
        buf_unref(&conn->in);
    if (!conn->paused && conn->read_end != IO_OK && !conn->eof)
        conn_read_ended(conn);
}

static void conn_read(struct conn *conn)
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

/* After conn_resume or conn_kick. */
static void conn_offer_again(struct conn *conn)
{
    if (conn->paused)
        return;
    bool kicked = conn->kicked;
    conn->kicked = false;
    if ((unused_bytes(conn) > 0 || kicked) && !conn_offer(conn))
        return;
    if (!conn->paused && conn->read_end == IO_OK && !conn->eof && conn->ops->has_pending(conn))
        conn_read(conn);
    else
        conn_settle(conn);
}

static void conn_readable(struct conn *conn)
{
    if (conn->paused) {
        conn->read_off = true;
        conn_watch(conn);
        return;
    }
    conn_read(conn);
}

/* Throws away what the peer still sends after conn_close. */
static void conn_swallow(struct conn *conn)
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

/* --- connect and handshake ------------------------------------------------------------------- */

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

static void conn_handshake(struct conn *conn)
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

static void conn_handshake_event(struct conn *conn)
{
    if (!conn->busy) {
        conn_handshake(conn);
        return;
    }
    conn->read_off = true; /* until conn_transport_ready */
    conn->write_wait = false;
    conn_watch(conn);
}

static void conn_connected(struct conn *conn)
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

static void conn_start(struct conn *conn)
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

/* --- the shells that the loop calls ---------------------------------------------------------- */

static void conn_on_io(struct ev_loop *ev UNUSED, ev_io *io, int events)
{
    struct conn *conn = CONTAINER_OF(io, struct conn, io);

    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
        conn_connected(conn);
        break;
    case CONN_HANDSHAKE:
        conn_handshake_event(conn);
        break;
    case CONN_OPEN:
        if (events & EV_WRITE)
            conn_made_room(conn);
        if ((events & EV_READ) && conn->state == CONN_OPEN && !conn->read_off)
            conn_readable(conn);
        break;
    case CONN_CLOSING:
        if (events & EV_READ)
            conn_swallow(conn);
        if ((events & EV_WRITE) && conn->state == CONN_CLOSING)
            conn_made_room(conn);
        break;
    case CONN_LINGER:
        conn_swallow(conn);
        break;
    case CONN_DEAD:
        break;
    }
}

static void conn_go_on(struct conn *conn)
{
    conn->busy = false;
    if (conn->state == CONN_HANDSHAKE) {
        conn->read_off = false;
        conn_handshake(conn);
    } else if (conn->state == CONN_OPEN || conn->state == CONN_CLOSING) {
        conn->todo |= TODO_FLUSH | TODO_OFFER;
    }
}

static void conn_on_task(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, task);
    unsigned todo = conn->todo;

    conn->todo = 0;
    if (conn->is_silent) {
        conn_end(conn, REASON_NONE);
        return;
    }
    if (todo & TODO_START)
        conn_start(conn);
    if (todo & TODO_READY)
        conn_go_on(conn);
    todo |= conn->todo;
    if ((todo & TODO_OFFER) && conn->state == CONN_OPEN) {
        conn->todo &= (uint8_t)~TODO_OFFER;
        conn_offer_again(conn);
    }
    /* Last, so that what the callbacks above have appended goes into the same write. */
    todo |= conn->todo;
    conn->todo &= (uint8_t)~TODO_FLUSH;
    bool may_write = conn->state == CONN_OPEN || conn->state == CONN_CLOSING;
    if ((todo & TODO_FLUSH) && may_write && !conn->write_wait && !conn->busy)
        conn_flush(conn);
}

static void conn_on_deadline(struct deadline *deadline)
{
    struct conn *conn = CONTAINER_OF(deadline, struct conn, deadline);

    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
        conn_end(conn, REASON_UPSTREAM_CONNECT_TIMEOUT);
        break;
    case CONN_HANDSHAKE:
        conn_end(conn,
                 conn->is_client ? REASON_UPSTREAM_CONNECT_TIMEOUT : REASON_HANDSHAKE_TIMEOUT);
        break;
    case CONN_OPEN:
    case CONN_CLOSING:
        /* After an orderly end the kernel would keep what it has not sent for minutes more. */
        end_with_reset(conn);
        conn_end(conn, REASON_WRITE_TIMEOUT);
        break;
    case CONN_LINGER:
        conn_end_lingering(conn);
        break;
    case CONN_DEAD:
        break;
    }
}

/* --- doors ----------------------------------------------------------------------------------- */

static void abort_node(struct list *node)
{
    conn_abort(CONTAINER_OF(node, struct conn, node));
}

static struct conn *conn_new(struct loop *loop, int fd, const struct conn_handler *handler,
                             void *arg, struct conn_limits limits)
{
    struct conn *conn = mem_new(sizeof(*conn));

    conn->loop = loop;
    conn->handler = handler;
    conn->arg = arg;
    conn->ops = &plain_ops;
    conn->limits = limits;
    conn->state = CONN_HANDSHAKE;
    ev_io_init(&conn->io, conn_on_io, fd, 0);
    bufq_init(&conn->out, loop_bufs(loop));
    task_init(&conn->task, conn_on_task);
    deadline_init(&conn->deadline, conn_on_deadline);
    list_init(&conn->node);
    loop_add_conn(loop, &conn->node, abort_node);
    conn_do_later(conn, TODO_START);
    return conn;
}

struct conn *conn_accepted(struct loop *loop, int fd, const struct conn_handler *handler, void *arg,
                           struct conn_limits limits)
{
    struct conn *conn = conn_new(loop, fd, handler, arg, limits);

    if (limits.handshake_ms > 0)
        deadline_set(loop, &conn->deadline, limits.handshake_ms);
    return conn;
}

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

void conn_set_transport(struct conn *conn, const struct transport_ops *ops, void *state)
{
    conn->ops = ops;
    conn->transport_state = state;
}

void *conn_transport_state(const struct conn *conn)
{
    return conn->transport_state;
}

void conn_transport_ready(struct conn *conn)
{
    if (conn->state != CONN_DEAD)
        conn_do_later(conn, TODO_READY);
}

void *conn_arg(const struct conn *conn)
{
    return conn->arg;
}

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg)
{
    conn->handler = handler;
    conn->arg = arg;
}

struct loop *conn_loop(const struct conn *conn)
{
    return conn->loop;
}

int conn_fd(const struct conn *conn)
{
    return conn->io.fd;
}

struct bufq *conn_out(struct conn *conn)
{
    return &conn->out;
}

void conn_flush_later(struct conn *conn)
{
    if (conn->state == CONN_OPEN)
        conn_do_later(conn, TODO_FLUSH);
    if (conn->out.bytes > CONN_HIGH_MARK)
        conn->was_full = true;
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
}

void conn_resume(struct conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    if (conn->state != CONN_OPEN)
        return;
    conn->read_off = conn->eof;
    conn_watch(conn);
    conn_do_later(conn, TODO_OFFER);
}

void conn_kick(struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->kicked = true;
    conn_do_later(conn, TODO_OFFER);
}

size_t conn_unused(const struct conn *conn)
{
    return unused_bytes(conn);
}

bool conn_peek_dead(struct conn *conn)
{
    char byte;

    if (conn->state != CONN_OPEN || conn->eof || conn->read_end != IO_OK || unused_bytes(conn) > 0)
        return true;
    ssize_t n = recv(conn->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return !(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

void conn_close(struct conn *conn)
{
    switch ((enum conn_state)conn->state) {
    case CONN_CONNECTING:
    case CONN_HANDSHAKE:
        conn->is_silent = true;
        conn_do_later(conn, TODO_FLUSH);
        break;
    case CONN_OPEN:
        conn->state = CONN_CLOSING;
        conn->read_off = conn->eof;
        conn_watch(conn);
        conn_do_later(conn, TODO_FLUSH);
        break;
    case CONN_CLOSING:
    case CONN_LINGER:
    case CONN_DEAD:
        break;
    }
}

void conn_abort(struct conn *conn)
{
    if (conn->state != CONN_DEAD)
        conn_bury(conn);
}

void conn_reset(struct conn *conn)
{
    end_with_reset(conn);
    conn_abort(conn);
}

struct conn_tls_info *conn_tls_info(struct conn *conn)
{
    bool is_final = conn->tls_info != NULL && conn->tls_info_final;

    if (conn->tls_info == NULL)
        conn->tls_info = mem_new(sizeof(*conn->tls_info));
    if (!is_final && conn->ops->info != NULL)
        conn->ops->info(conn, conn->tls_info);
    conn->tls_info_final = conn->state != CONN_CONNECTING && conn->state != CONN_HANDSHAKE;
    return conn->tls_info;
}

uint64_t conn_bytes_in(const struct conn *conn)
{
    return conn->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *conn)
{
    return conn->bytes_out;
}

uint64_t conn_out_offset(const struct conn *conn)
{
    return conn->bytes_out + conn->out.bytes;
}

uint64_t conn_maybe_read(struct conn *conn)
{
    return conn->state == CONN_DEAD ? conn->maybe_read : conn_find_maybe_read(conn);
}

void conn_note_errno(struct conn *conn, int errnum)
{
    if (errnum != EPIPE)
        conn->was_reset = true;
}

void conn_note_sent(struct conn *conn, size_t bytes)
{
    if (conn->is_client)
        conn->bytes_out += bytes;
}

const char *conn_error_text(const struct conn *conn)
{
    return conn->error_text != NULL ? conn->error_text : "";
}

void conn_set_last_words(struct conn *conn)
{
    conn->has_last_words = true;
}

void conn_set_error(struct conn *conn, enum reason reason, const char *text)
{
    conn->reason = (uint16_t)reason;
    free(conn->error_text);
    conn->error_text = strdup(text);
}
