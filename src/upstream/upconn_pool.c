/* In which of its endpoint's lists an upstream connection stands, and how it leaves: pooled, closed or
 * freed. upconn_settle is the one place where that is decided. Everything may happen inside a
 * callback of the connection's own session, so it does nothing while a call into the session is on
 * the stack. */
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upconn_impl.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>

/* --- lists ----------------------------------------------------------------------------------- */

void upconn_expect(struct upconn *u, uint32_t streams)
{
    struct endpoint *e = u->endpoint;

    e->expected += streams - u->expected;
    if (e->target != NULL)
        e->target->expected += streams - u->expected;
    u->expected = streams;
}

void upconn_leave_list(struct upconn *u)
{
    struct endpoint *e = u->endpoint;

    list_remove(&u->node);
    switch (u->in) {
    case IN_NONE:
    case IN_CLOSING:
        break;
    case IN_CONNECTING:
        e->connecting_count--;
        e->connections--;
        break;
    case IN_AVAILABLE:
        e->available_count--;
        if (e->target != NULL)
            e->target->available--;
        e->connections--;
        break;
    case IN_BUSY:
        e->connections--;
        break;
    }
    u->in = IN_NONE;
}

void upconn_enter_list(struct upconn *u, enum pool_list in)
{
    struct endpoint *e = u->endpoint;

    upconn_leave_list(u);
    u->in = in;
    switch (in) {
    case IN_NONE:
        break;
    case IN_CONNECTING:
        list_push_back(&e->connecting, &u->node);
        e->connecting_count++;
        e->connections++;
        break;
    case IN_AVAILABLE:
        list_push_front(&e->available, &u->node);
        e->available_count++;
        e->target->available++;
        e->connections++;
        break;
    case IN_BUSY:
        list_push_back(&e->busy, &u->node);
        e->connections++;
        break;
    case IN_CLOSING:
        list_push_back(&u->upstream->closing, &u->node);
        break;
    }
    endpoint_publish(e);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void upconn_free(struct reap *reap)
{
    struct upconn *u = CONTAINER_OF(reap, struct upconn, reap);

    task_cancel(&u->settle);
    deadline_deinit(&u->idle);
    if (u->session != NULL)
        session_free(u->session);
    bufq_deinit(&u->no_out);
    endpoint_unref(&u->endpoint);
    free(u);
}

void upconn_leave_client(struct upconn *u)
{
    list_remove(&u->own);
    u->client = NULL;
}

void upconn_detach(struct upconn *u)
{
    struct target *target = u->endpoint->target;
    bool was_attached = upconn_is_attached(u);

    deadline_clear(&u->idle);
    upconn_expect(u, 0);
    upconn_leave_list(u);
    upconn_leave_client(u);
    if (u->session != NULL)
        u->session->out = &u->no_out;
    endpoint_publish(u->endpoint);
    if (was_attached && target != NULL && target->waiting_count > 0)
        target_serve_later(target); /* room for another connection */
}

void upconn_die(struct upconn *u)
{
    if (u->is_counted) {
        u->is_counted = false;
        metric_sub(&u->upstream->metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN], 1);
    }
    u->conn = NULL;
    u->state = UPCONN_DEAD;
    upconn_settle(u);
}

void upconn_abort(struct upconn *u)
{
    if (u->conn == NULL) {
        upconn_settle(u);
        return;
    }
    conn_abort(u->conn);
    upconn_detach(u);
    upconn_die(u);
}

void upconn_close(struct upconn *u)
{
    if (!upconn_is_attached(u))
        return;
    if (u->state == UPCONN_CONNECTING) {
        upconn_abort(u);
        return;
    }
    if (u->session->is_h2 && !u->session->draining) {
        u->on_stack++;
        session_drain(u->session); /* GOAWAY leaves with what is queued */
        u->on_stack--;
    }
    upconn_detach(u);
    u->state = UPCONN_CLOSING;
    upconn_enter_list(u, IN_CLOSING);
    conn_close(u->conn);
}

/* --- where it belongs ------------------------------------------------------------------------ */

bool upconn_may_carry_more(const struct upconn *u)
{
    const struct session *s = u->session;
    const struct endpoint *e = u->endpoint;

    if (u->is_broken || s->draining || s->wants_early_close || e->index == ENDPOINT_GONE)
        return false;
    if (e->target->is_gone && e->target->waiting_count == 0)
        return false;
    return e->target->group->conf->max_requests == 0 ||
           s->requests < e->target->group->conf->max_requests;
}

/* Received and not used; inside on_data the connection itself cannot know yet. */
static bool has_surplus(const struct upconn *u)
{
    return u->is_in_data ? u->left_bytes > 0 : conn_unused(u->conn) > 0;
}

static bool was_cut(const struct upconn *u)
{
    return !u->session->is_h2 && (u->session->phase != SESSION_IDLE || has_surplus(u));
}

static void become_idle(struct upconn *u)
{
    const struct group_conf *group = u->endpoint->target->group->conf;

    if (u->is_paused) {
        u->is_paused = false;
        conn_resume(u->conn);
    }
    /* Set once per rest: an h2 peer's PINGs do not make it longer. */
    if (!deadline_is_set(&u->idle))
        deadline_set(u->upstream->loop, &u->idle, group->timeouts.pool_idle_ms);
    if (u->in != IN_AVAILABLE)
        upconn_enter_list(u, IN_AVAILABLE);
    /* The last in the list was idle longest. */
    if (u->endpoint->available_count > group->max_idle) {
        struct upconn *coldest = CONTAINER_OF(u->endpoint->available.prev, struct upconn, node);
        if (coldest->leases == 0 && u->endpoint->target->waiting_count == 0)
            upconn_close(coldest);
    }
}

/* The session wants the connection closed. What an h2 session has queued is written first; what is
 * left of an h1 request is dropped. */
static void end_session(struct upconn *u)
{
    bool is_h2 = u->session->is_h2;

    if (is_h2 && !bufq_is_empty(conn_out(u->conn))) {
        upconn_close(u);
        return;
    }
    u->on_stack++;
    upconn_abort(u);
    if (!is_h2 && u->leases > 0)
        session_drained(u->session); /* so that no stream waits for room to write */
    u->on_stack--;
    upconn_settle(u);
}

static void settle_open(struct upconn *u)
{
    if (u->wants_close) {
        end_session(u);
        return;
    }
    if (u->leases == 0) {
        if (was_cut(u))
            upconn_abort(u); /* so that the upstream stops working on it */
        else if (upconn_may_carry_more(u))
            become_idle(u);
        else
            upconn_close(u);
    } else if (u->session->is_h2 && upconn_may_carry_more(u)) {
        if (u->in != IN_AVAILABLE)
            upconn_enter_list(u, IN_AVAILABLE);
    } else if (u->in == IN_AVAILABLE) {
        upconn_enter_list(u, IN_BUSY);
    }
    if (u->in == IN_AVAILABLE && u->endpoint->target->waiting_count > 0)
        target_serve_later(u->endpoint->target);
}

void upconn_settle(struct upconn *u)
{
    if (u->on_stack > 0)
        return;
    switch (u->state) {
    case UPCONN_CONNECTING:
    case UPCONN_CLOSING:
    case UPCONN_REAPED:
        return;
    case UPCONN_OPEN:
        /* The usual end of an on_data: a request goes on. */
        if (LIKELY(u->leases > 0 && !u->session->is_h2 && !u->wants_close))
            return;
        settle_open(u);
        return;
    case UPCONN_DEAD:
        if (u->leases > 0)
            return;
        u->state = UPCONN_REAPED;
        loop_reap(u->upstream->loop, &u->reap, upconn_free);
        return;
    }
}

void upconn_on_settle_task(struct task *task)
{
    upconn_settle(CONTAINER_OF(task, struct upconn, settle));
}

void upconn_on_idle(struct deadline *deadline)
{
    struct upconn *u = CONTAINER_OF(deadline, struct upconn, idle);

    if (u->state == UPCONN_OPEN && u->leases == 0)
        upconn_close(u);
}
