/* A connection's life: connect, handshake, bytes both ways, last words, linger. One ev_io whose
 * interest changes only when it must (conn_watch), one task for all that happens at the end of a
 * turn, one deadline whose meaning follows from the state. Reading, writing and opening have files of
 * their own.
 *
 * Teardown is in two steps: conn_bury stops every watcher at once and closes the descriptor; the
 * memory, the buffers and the transport go after the turn, because callers up the stack may still
 * look at them. */
#include "net/conn_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

void conn_end(struct conn *conn, enum reason reason)
{
    if (conn->state == CONN_DEAD)
        return;
    if (conn->is_client && conn->state == CONN_OPEN)
        conn->maybe_read = conn_find_maybe_read(conn);
    conn_bury(conn);
    if (conn->handler != NULL && conn->handler->on_closed != NULL)
        conn->handler->on_closed(conn, reason);
}

void conn_fail(struct conn *conn, enum reason reason)
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

void conn_watch(struct conn *conn)
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

void conn_do_later(struct conn *conn, unsigned todo)
{
    conn->todo |= (uint8_t)todo;
    loop_defer(conn->loop, &conn->task);
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

struct conn *conn_new(struct loop *loop, int fd, const struct conn_handler *handler, void *arg,
                      struct conn_limits limits)
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

bool conn_peek_dead(struct conn *conn)
{
    char byte;

    if (conn->state != CONN_OPEN || conn->eof || conn->read_end != IO_OK || conn_unused(conn) > 0)
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
