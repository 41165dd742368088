/* The queue of a target: requests that wait for one of its connections, and who is served next.
 *
 * A waiting request is not bound to the connection that was started for it: whichever has room
 * first serves the head of the queue. What it remembers (lease->endpoint) is only a hint: where its
 * connection was started, so that a failure there ends this request and not another's. The queue is
 * served by a task at the end of the turn, never inside a call of the user. */
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upconn_impl.h"
#include "upstream/upstream_impl.h"

/* --- choosing -------------------------------------------------------------------------------- */

static int index_of(const struct target *t, const struct endpoint *endpoint)
{
    for (int i = 0; endpoint != NULL && i < t->endpoint_count; i++) {
        if (t->endpoints[i] == endpoint)
            return i;
    }
    return BALANCE_NONE;
}

static struct endpoint *pick(struct target *t, const struct lease *lease)
{
    struct balance_case c = {
        .loads = t->loads,
        .count = t->endpoint_count,
        .avoid = index_of(t, lease->avoid),
        .now_ms = loop_now_ms(t->upstream->loop),
    };
    int i = t->balancer.ops->pick(&t->balancer, &c, &t->upstream->dice);

    return i != BALANCE_NONE ? t->endpoints[i] : NULL;
}

/* --- leases ---------------------------------------------------------------------------------- */

/* `endpoint` may be NULL. */
static void lease_set_endpoint(struct lease *lease, struct endpoint *endpoint)
{
    struct endpoint *old = lease->endpoint;

    if (endpoint != NULL)
        endpoint_ref(endpoint);
    lease->endpoint = endpoint;
    endpoint_unref(&old);
}

static void lease_set_target(struct lease *lease, struct target *target)
{
    struct target *old = lease->target;

    if (target != NULL)
        target_ref(target);
    lease->target = target;
    target_unref(&old);
}

static void lease_forget(struct lease *lease)
{
    lease->stream = NULL;
    lease->state = LEASE_NONE;
    lease_set_endpoint(lease, NULL);
    lease_set_target(lease, NULL);
}

/* While it waits, where its connection is being made; else the endpoint that serves it. */
static void hint(struct lease *lease, struct endpoint *endpoint)
{
    if (lease->endpoint != NULL)
        lease->endpoint->hinted--;
    lease_set_endpoint(lease, endpoint);
    if (endpoint != NULL)
        endpoint->hinted++;
}

static void queue_push(struct target *t, struct lease *lease)
{
    list_push_back(&t->waiting, &lease->node);
    lease->state = LEASE_WAITING;
    lease_set_endpoint(lease, NULL);
    t->waiting_count++;
    t->waiting_any += !lease->needs_fresh;
    if (!deadline_is_set(&t->late))
        deadline_set(t->upstream->loop, &t->late, t->group->conf->timeouts.connect_ms);
}

/* Out of the queue; keeps its endpoint, for the log. */
static void queue_remove(struct target *t, struct lease *lease)
{
    list_remove(&lease->node);
    lease->state = LEASE_NONE;
    t->waiting_count--;
    t->waiting_any -= !lease->needs_fresh;
    if (lease->endpoint != NULL)
        lease->endpoint->hinted--;
}

static struct lease *queue_head(const struct target *t)
{
    return list_is_empty(&t->waiting) ? NULL : CONTAINER_OF(t->waiting.next, struct lease, node);
}

static void fail_lease(struct target *t, struct lease *lease, enum reason reason, const char *error)
{
    queue_remove(t, lease);
    lease->error = error;
    lease->on_failed(lease, reason);
}

/* --- making connections ---------------------------------------------------------------------- */

/* Starts a connection at `e`, giving up a cold one where only a fresh one, or one's own, will
 * do. */
static bool try_connect(struct endpoint *e, const struct lease *lease)
{
    if (!endpoint_has_room(e) && (lease->needs_fresh || lease->client != NULL))
        endpoint_make_room(e);
    if (!endpoint_has_room(e))
        return false;
    upconn_connect(e, lease->client);
    return true;
}

/* Hints at `e`, and starts a connection where those being made are spoken for. */
static void wait_for(struct lease *lease, struct endpoint *e)
{
    bool is_coming = lease->client == NULL && e->expected > e->hinted;

    if (is_coming || try_connect(e, lease))
        hint(lease, e);
}

/* Is its endpoint already connecting for it? */
static bool is_provided(const struct lease *lease)
{
    if (lease->endpoint == NULL)
        return false;
    if (lease->client != NULL)
        return client_is_connecting(lease->client, lease->endpoint);
    return lease->endpoint->expected >= lease->endpoint->hinted;
}

/* The oldest request for which no connection is being made. */
static struct lease *unprovided(const struct target *t)
{
    LIST_EACH(node, &t->waiting)
    {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);
        if (!is_provided(lease))
            return lease;
    }
    return NULL;
}

/* As many connections as the queue needs, as far as limits allow. */
static void provide(struct target *t)
{
    /* A connection that belongs to one client is of no use to another. */
    while (target_needs_client(t) || t->expected < t->waiting_count) {
        struct lease *lease = unprovided(t);
        struct endpoint *e = lease != NULL ? pick(t, lease) : NULL;
        if (e == NULL)
            return;
        hint(lease, NULL);
        wait_for(lease, e);
        if (lease->endpoint == NULL)
            return; /* at the limit: a connection that comes back will do */
    }
}

/* --- serving the queue ----------------------------------------------------------------------- */

static bool try_endpoint(struct lease *lease, struct endpoint *e)
{
    return e->available_count > 0 && endpoint_take(e, lease);
}

/* A connection of the endpoint that the balancer picks for it. */
static struct endpoint *take_picked(struct target *t, struct lease *lease)
{
    struct endpoint *e = pick(t, lease);

    return e != NULL && try_endpoint(lease, e) ? e : NULL;
}

/* Any connection with room, where the balancer allows any; on the endpoint to avoid only where there
 * is no other. */
static struct endpoint *take_anywhere(struct target *t, struct lease *lease)
{
    if (t->balancer.ops->keeps_affinity)
        return take_picked(t, lease);
    for (int i = 0; i < t->endpoint_count && t->available > 0; i++) {
        struct endpoint *e =
            t->endpoints[(t->balancer.cursor + (uint32_t)i) % (uint32_t)t->endpoint_count];
        if (e == lease->avoid && t->endpoint_count > 1)
            continue;
        if (try_endpoint(lease, e))
            return e;
    }
    return NULL;
}

static bool serve_one(struct target *t)
{
    LIST_EACH(node, &t->waiting)
    {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);
        if (t->available == 0)
            return false;
        struct endpoint *e = take_anywhere(t, lease);
        if (e == NULL)
            continue;
        queue_remove(t, lease);
        lease_set_endpoint(lease, e);
        lease->state = LEASE_HELD;
        lease->on_ready(lease);
        return true; /* the queue may be another one now */
    }
    return false;
}

/* Its names have no address any more, or its configuration no hosts. */
static void fail_all(struct target *t)
{
    struct lease *lease;

    target_ref(t);
    while ((lease = queue_head(t)) != NULL)
        fail_lease(t, lease, REASON_UPSTREAM_NO_ENDPOINT, "");
    target_unref(&t);
}

static void on_serve(struct task *task)
{
    struct target *t = CONTAINER_OF(task, struct target, serve);

    if (t->endpoint_count == 0 && !t->is_resolving) {
        fail_all(t);
        return;
    }
    while (!target_is_ended(t) && serve_one(t))
        continue;
    if (!target_is_ended(t))
        provide(t);
}

void target_serve_later(struct target *t)
{
    loop_defer(t->upstream->loop, &t->serve);
}

/* The oldest request that waits for a connection to `e` (which is to be `client`'s own). */
static struct lease *hinted_at(const struct target *t, const struct endpoint *e,
                               const struct upstream_client *client)
{
    LIST_EACH(node, &t->waiting)
    {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);
        if (lease->endpoint == e && lease->client == client)
            return lease;
    }
    return NULL;
}

void target_connect_failed(struct target *t, struct endpoint *e,
                           const struct upstream_client *client, uint32_t streams,
                           enum reason reason, const char *error)
{
    struct lease *lease;

    target_ref(t);
    endpoint_ref(e);
    while (streams-- > 0 && e->expected < e->hinted) {
        lease = hinted_at(t, e, client);
        ASSERT(lease != NULL || client != NULL);
        if (lease == NULL)
            break; /* the client that it was for has closed */
        fail_lease(t, lease, reason, error);
    }
    if (t->waiting_count > 0)
        target_serve_later(t);
    endpoint_unref(&e);
    target_unref(&t);
}

static void on_late(struct deadline *deadline)
{
    struct target *t = CONTAINER_OF(deadline, struct target, late);
    int64_t now_ms = loop_now_ms(t->upstream->loop);
    struct lease *lease;

    target_ref(t);
    while ((lease = queue_head(t)) != NULL) {
        int64_t left_ms = lease->asked_at_ms + t->group->conf->timeouts.connect_ms - now_ms;
        if (left_ms > 0) {
            deadline_set(t->upstream->loop, &t->late, left_ms);
            break;
        }
        fail_lease(t, lease,
                   t->endpoint_count > 0 ? REASON_UPSTREAM_CONNECT_TIMEOUT
                                         : REASON_UPSTREAM_NO_ENDPOINT,
                   "");
    }
    target_unref(&t);
}

/* --- doors of the lease ---------------------------------------------------------------------- */

enum reason upstream_acquire(struct target *t, struct lease *lease, struct arena *arena,
                             const struct stream_handler *handler, void *arg, enum lease_want want,
                             const struct endpoint *avoid, bool is_idempotent)
{
    ASSERT(lease->state == LEASE_NONE);
    ASSERT((lease->client != NULL) == target_needs_client(t));
    if (target_is_ended(t) || (t->endpoint_count == 0 && !t->is_resolving)) {
        lease_forget(lease);
        return REASON_UPSTREAM_NO_ENDPOINT;
    }
    lease->arena = arena;
    lease->handler = handler;
    lease->arg = arg;
    lease->needs_fresh = want == LEASE_FRESH;
    lease->is_idempotent = is_idempotent;
    lease->was_reused = false;
    lease->avoid = avoid;
    lease->asked_at_ms = loop_now_ms(t->upstream->loop);

    struct endpoint *e = pick(t, lease);
    /* First come, first served: a request waits behind others that could use the same connection. */
    bool may_take =
        e != NULL && (t->waiting_any == 0 || lease->needs_fresh || lease->client != NULL);
    lease_set_target(lease, t);
    if (may_take && try_endpoint(lease, e)) {
        lease_set_endpoint(lease, e);
        return REASON_NONE;
    }
    if (t->waiting_count >= t->group->conf->max_pending) {
        lease_forget(lease);
        return REASON_UPSTREAM_OVERFLOW;
    }
    queue_push(t, lease);
    if (e != NULL)
        wait_for(lease, e);
    if (t->available > 0)
        target_serve_later(t);
    return REASON_NONE;
}

static void give_back(struct lease *lease, bool ok)
{
    struct endpoint *e = lease->endpoint;

    e->active--;
    e->failures = ok ? 0 : e->failures + 1;
    endpoint_publish(e);
    upconn_release_stream(lease->stream->session->owner_arg, lease);
}

void upstream_release(struct lease *lease, bool ok)
{
    switch (lease->state) {
    case LEASE_NONE:
        break;
    case LEASE_WAITING:
        queue_remove(lease->target, lease);
        break;
    case LEASE_HELD:
        give_back(lease, ok);
        break;
    }
    lease_forget(lease);
}

const char *upstream_error(const struct lease *lease)
{
    if (lease->state != LEASE_HELD)
        return "";
    const struct upconn *u = lease->stream->session->owner_arg;

    return u->error != NULL ? u->error : "";
}

/* A connection that is being left refuses what came too late (RFC 9113 section 6.8). */
bool upstream_was_unread(const struct lease *lease, enum reason reason)
{
    if (lease->state != LEASE_HELD)
        return false;
    const struct session *session = lease->stream->session;

    return (reason == REASON_UPSTREAM_REFUSED && session->draining) ||
           upconn_was_unread(session->owner_arg, lease);
}

/* --- life ------------------------------------------------------------------------------------ */

void queue_init(struct target *t)
{
    list_init(&t->waiting);
    deadline_init(&t->late, on_late);
    task_init(&t->serve, on_serve);
}

void queue_stop(struct target *t)
{
    deadline_clear(&t->late);
    task_cancel(&t->serve);
}

void queue_deinit(struct target *t)
{
    task_cancel(&t->serve);
    deadline_deinit(&t->late);
}
