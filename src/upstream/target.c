/* A target: the endpoints that requests are balanced over, and the queue of requests that wait for
 * one of their connections.
 *
 * A waiting request is not bound to the connection that was started for it: whichever has room
 * first serves the head of the queue. What it remembers (lease->endpoint) is only a hint: where its
 * connection was started, so that a failure there ends this request and not another's. The queue is
 * served by a task at the end of the turn, never inside a call of the user. */
#include "upstream/upstream_impl.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

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
    int i = t->group->balance == BALANCE_ROUND_ROBIN
                ? balance_round_robin(&c, &t->cursor)
                : balance_least_request(&c, &t->upstream->dice);

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
    if (old != NULL)
        endpoint_unref(old);
}

static void lease_set_target(struct lease *lease, struct target *target)
{
    struct target *old = lease->target;

    if (target != NULL)
        target_ref(target);
    lease->target = target;
    if (old != NULL)
        target_unref(old);
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
        deadline_set(t->upstream->loop, &t->late, t->group->timeouts.connect_ms);
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

static void fail_lease(struct target *t, struct lease *lease, enum reason reason)
{
    queue_remove(t, lease);
    lease->on_failed(lease, reason);
}

/* --- making connections ---------------------------------------------------------------------- */

/* Starts a connection at `e`, giving up a cold one where only a fresh one, or one's own, will do.
 */
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

/* Is a connection that could serve it being made where it thinks? */
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
    /* Of connections that belong to clients a surplus of one is of no use to another. */
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

/* Any connection with room; on the endpoint to avoid only where there is no other. */
static struct endpoint *take_anywhere(struct target *t, struct lease *lease)
{
    for (int i = 0; i < t->endpoint_count && t->available > 0; i++) {
        struct endpoint *e = t->endpoints[(t->cursor + (uint32_t)i) % (uint32_t)t->endpoint_count];
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
        fail_lease(t, lease, REASON_UPSTREAM_NO_ENDPOINT);
    target_unref(t);
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
                           enum reason reason)
{
    struct lease *lease;

    target_ref(t);
    endpoint_ref(e);
    while (streams-- > 0 && e->expected < e->hinted) {
        lease = hinted_at(t, e, client);
        ASSERT(lease != NULL || client != NULL);
        if (lease == NULL)
            break; /* who asked for it has gone; the others have theirs */
        fail_lease(t, lease, reason);
    }
    if (t->waiting_count > 0)
        target_serve_later(t);
    endpoint_unref(e);
    target_unref(t);
}

static void on_late(struct deadline *deadline)
{
    struct target *t = CONTAINER_OF(deadline, struct target, late);
    int64_t now_ms = loop_now_ms(t->upstream->loop);
    struct lease *lease;

    target_ref(t);
    while ((lease = queue_head(t)) != NULL) {
        int64_t left_ms = lease->asked_at_ms + t->group->timeouts.connect_ms - now_ms;
        if (left_ms > 0) {
            deadline_set(t->upstream->loop, &t->late, left_ms);
            break;
        }
        fail_lease(t, lease,
                   t->endpoint_count > 0 ? REASON_UPSTREAM_CONNECT_TIMEOUT
                                         : REASON_UPSTREAM_NO_ENDPOINT);
    }
    target_unref(t);
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
    /* First come, first served: nobody overtakes the queue, where both could use the same. */
    bool may_take =
        e != NULL && (t->waiting_any == 0 || lease->needs_fresh || lease->client != NULL);
    lease_set_target(lease, t);
    if (may_take && try_endpoint(lease, e)) {
        lease_set_endpoint(lease, e);
        return REASON_NONE;
    }
    if (t->waiting_count >= t->group->max_pending) {
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

/* --- endpoints come and go ------------------------------------------------------------------- */

struct wanted {
    struct endpoint **items;
    struct load *loads;
    int count;
};

static struct endpoint *find_endpoint(const struct target *t, const struct addr *addr,
                                      struct str host)
{
    for (int i = 0; i < t->endpoint_count; i++) {
        struct endpoint *e = t->endpoints[i];
        if (addr_eq(&e->addr, addr) && str_eq(str_of(e->host), host))
            return e;
    }
    return NULL;
}

static void want(struct target *t, struct wanted *wanted, const struct addr *addr, struct str host)
{
    struct endpoint *e = find_endpoint(t, addr, host);

    for (int i = 0; i < wanted->count && e != NULL; i++) {
        if (wanted->items[i] == e)
            return; /* the same address twice */
    }
    if (e == NULL)
        e = endpoint_new(t, addr, host);
    wanted->items = mem_resize(wanted->items, (size_t)(wanted->count + 1) * sizeof(*wanted->items));
    wanted->items[wanted->count++] = e;
}

static const struct address_set *answer_for(const struct upstream *upstream, struct str name)
{
    for (size_t i = 0; i < upstream->answer_count; i++) {
        if (str_eq(upstream->answers[i]->name, name))
            return upstream->answers[i];
    }
    return NULL;
}

static struct addr with_port(const struct addr *addr, uint16_t port)
{
    struct addr copy = *addr;

    if (copy.sa.sa_family == AF_INET)
        copy.in.sin_port = htons(port);
    else
        copy.in6.sin6_port = htons(port);
    return copy;
}

static void want_host(struct target *t, struct wanted *wanted, const struct host_conf *host)
{
    if (host->addr.len > 0) {
        want(t, wanted, &host->addr, STR(""));
        return;
    }
    const struct address_set *set = answer_for(t->upstream, host->name);
    if (set == NULL) {
        t->is_resolving = true;
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        struct addr addr = with_port(&set->addrs[i], host->port);
        want(t, wanted, &addr, host->name);
    }
}

/* Those that are not wanted any more leave the choice before the arrays change hands. */
static void replace_endpoints(struct target *t, const struct wanted *wanted)
{
    struct endpoint **old = t->endpoints;
    int old_count = t->endpoint_count;

    for (int i = 0; i < old_count; i++)
        old[i]->index = ENDPOINT_GONE;
    free(t->loads);
    t->endpoints = wanted->items;
    t->endpoint_count = wanted->count;
    t->loads = mem_new(sizeof(*t->loads) * (size_t)MAX(wanted->count, 1));
    for (int i = 0; i < wanted->count; i++) {
        t->endpoints[i]->index = i;
        endpoint_publish(t->endpoints[i]);
    }
    for (int i = 0; i < old_count; i++) {
        if (old[i]->index == ENDPOINT_GONE)
            endpoint_retire(old[i]);
    }
    free(old);
}

void target_refresh(struct target *t)
{
    struct wanted wanted = {0};

    t->is_resolving = false;
    for (size_t i = 0; i < t->conf->host_count; i++)
        want_host(t, &wanted, &t->conf->hosts[i]);
    replace_endpoints(t, &wanted);

    if (t->waiting_count > 0)
        target_serve_later(t); /* or tell them that there is nobody; not inside an adopt */
}

bool target_uses_name(const struct target *t, struct str name)
{
    for (size_t i = 0; i < t->conf->host_count; i++) {
        const struct host_conf *host = &t->conf->hosts[i];
        if (host->addr.len == 0 && str_eq(host->name, name))
            return true;
    }
    return false;
}

/* --- life ------------------------------------------------------------------------------------ */

static char *copy_text(struct str s)
{
    char *copy = mem_new(s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

static struct str own(struct str s)
{
    return str_make(copy_text(s), s.len);
}

struct target *target_new(struct upstream *upstream, const struct group_conf *group,
                          const struct target_conf *conf, struct str side)
{
    struct target *t = mem_new(sizeof(*t));

    t->upstream = upstream;
    t->refs = 1;
    t->group_name = copy_text(group->name);
    t->name = copy_text(conf->name);
    t->protocol = group->protocol;
    t->send_proxy = group->send_proxy;
    t->has_tls = group->tls != NULL;
    if (t->has_tls) {
        t->tls = *group->tls;
        t->tls.ca = own(group->tls->ca);
        t->tls.ca_pem = own(group->tls->ca_pem);
        t->tls.server_name = own(group->tls->server_name);
        t->tls.ciphers = own(group->tls->ciphers);
    }
    t->metrics = metrics_group(upstream->metrics, group->name, side);
    list_init(&t->all);
    list_init(&t->waiting);
    deadline_init(&t->late, on_late);
    task_init(&t->serve, on_serve);
    list_push_back(&upstream->all, &t->node);
    return t;
}

static bool same_tls(const struct upstream_tls_conf *a, const struct upstream_tls_conf *b)
{
    return a->verify == b->verify && a->min_version == b->min_version && str_eq(a->ca, b->ca) &&
           str_eq(a->ca_pem, b->ca_pem) && str_eq(a->server_name, b->server_name) &&
           str_eq(a->ciphers, b->ciphers);
}

bool target_matches(const struct target *t, const struct group_conf *group,
                    const struct target_conf *conf)
{
    if (!str_eq(str_of(t->group_name), group->name) || !str_eq(str_of(t->name), conf->name))
        return false;
    if (t->protocol != group->protocol || t->send_proxy != group->send_proxy ||
        t->has_tls != (group->tls != NULL))
        return false;
    return !t->has_tls || same_tls(&t->tls, group->tls);
}

void target_configure(struct target *t, const struct group_conf *group,
                      const struct target_conf *conf, struct tls_client *client)
{
    struct tls_client *old = t->client;

    t->group = group;
    t->conf = conf;
    t->client = client != NULL ? tls_client_ref(client) : NULL;
    if (old != NULL)
        tls_client_unref(&old);
    target_refresh(t);
}

static void target_free(struct reap *reap)
{
    struct target *t = CONTAINER_OF(reap, struct target, reap);

    task_cancel(&t->serve);
    deadline_deinit(&t->late);
    if (t->has_tls) {
        free((char *)t->tls.ca.ptr);
        free((char *)t->tls.ca_pem.ptr);
        free((char *)t->tls.server_name.ptr);
        free((char *)t->tls.ciphers.ptr);
    }
    free(t->endpoints);
    free(t->loads);
    free(t->group_name);
    free(t->name);
    free(t);
}

void target_end(struct target *t)
{
    ASSERT(t->waiting_count == 0);
    LIST_EACH(node, &t->all)
    {
        endpoint_orphan(CONTAINER_OF(node, struct endpoint, node));
    }
    t->refs = 0;
    t->endpoint_count = 0;
    list_remove(&t->node);
    deadline_clear(&t->late);
    task_cancel(&t->serve);
    if (t->client != NULL)
        tls_client_unref(&t->client);
    loop_reap(t->upstream->loop, &t->reap, target_free);
}

void target_ref(struct target *t)
{
    t->refs++;
}

void target_unref(struct target *t)
{
    ASSERT(t->refs > 0);
    if (--t->refs == 0)
        target_end(t);
}

void target_retire(struct target *t)
{
    t->is_gone = true;
    LIST_EACH(node, &t->all)
    {
        struct endpoint *e = CONTAINER_OF(node, struct endpoint, node);
        if (t->waiting_count == 0)
            endpoint_stop_connecting(e);
        endpoint_settle(e);
    }
    target_unref(t);
}

/* --- facts ----------------------------------------------------------------------------------- */

bool target_needs_client(const struct target *t)
{
    return t->send_proxy != SEND_PROXY_OFF;
}
