/* One address of a target and the pool of its connections. Of those with room the last used is
 * taken first: it is warm in every cache, and the surplus grows cold behind it and goes. */
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upconn_impl.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>
#include <string.h>

struct endpoint *endpoint_new(struct target *target, const struct addr *addr, struct str host)
{
    struct endpoint *e = mem_new(sizeof(*e));

    e->loop = target->upstream->loop;
    e->target = target;
    e->refs = 1;
    e->index = ENDPOINT_GONE;
    e->addr = *addr;
    e->name_len = addr_format(addr, e->name);
    e->host = mem_new(host.len + 1);
    if (host.len > 0)
        memcpy(e->host, host.ptr, host.len);
    list_init(&e->available);
    list_init(&e->busy);
    list_init(&e->connecting);
    list_push_back(&target->all, &e->node);
    return e;
}

static void endpoint_free(struct reap *reap)
{
    struct endpoint *e = CONTAINER_OF(reap, struct endpoint, reap);

    tls_session_slot_clear(&e->slot);
    free(e->host);
    free(e);
}

void endpoint_ref(struct endpoint *e)
{
    e->refs++;
}

void endpoint_unref(struct endpoint **slot)
{
    struct endpoint *e = *slot;

    *slot = NULL;
    if (e == NULL)
        return;
    ASSERT(e->refs > 0);
    if (--e->refs > 0)
        return;
    list_remove(&e->node);
    loop_reap(e->loop, &e->reap, endpoint_free);
}

struct str endpoint_name(const struct endpoint *e)
{
    return e != NULL ? str_make(e->name, e->name_len) : STR("");
}

struct str endpoint_authority(const struct endpoint *e)
{
    if (e->host[0] != '\0')
        return str_of(e->host);
    return addr_is_unix(&e->addr) ? STR("localhost") : endpoint_name(e);
}

bool endpoint_has_room(const struct endpoint *e)
{
    return e->connections < e->target->group->conf->max_connections;
}

void endpoint_publish(struct endpoint *e)
{
    if (e->index == ENDPOINT_GONE)
        return;
    e->target->loads[e->index] = (struct load){
        .active = e->active + e->connecting_count,
        .failures = e->failures,
        .shunned_until_ms = e->shunned_until_ms,
        .is_full = e->available_count == 0 && !endpoint_has_room(e),
    };
}

void endpoint_stop_connecting(struct endpoint *e)
{
    LIST_EACH(node, &e->connecting)
    {
        upconn_abort(CONTAINER_OF(node, struct upconn, node));
    }
}

void endpoint_settle(struct endpoint *e)
{
    LIST_EACH(node, &e->available)
    {
        upconn_settle(CONTAINER_OF(node, struct upconn, node));
    }
}

void endpoint_retire(struct endpoint *e)
{
    e->index = ENDPOINT_GONE;
    endpoint_stop_connecting(e);
    endpoint_settle(e);
    endpoint_unref(&e);
}

void endpoint_orphan(struct endpoint *e)
{
    struct list *const lists[] = {&e->connecting, &e->available, &e->busy};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        LIST_EACH(node, lists[i])
        {
            upconn_abort(CONTAINER_OF(node, struct upconn, node));
        }
    }
    list_remove(&e->node);
    e->target = NULL;
    if (e->index != ENDPOINT_GONE) {
        e->index = ENDPOINT_GONE;
        endpoint_unref(&e);
    }
}

void endpoint_make_room(struct endpoint *e)
{
    for (struct list *node = e->available.prev; node != &e->available; node = node->prev) {
        struct upconn *u = CONTAINER_OF(node, struct upconn, node);
        if (u->leases == 0) {
            upconn_close(u);
            return;
        }
    }
}

/* One that was made for `client`. */
static struct upconn *find_own(const struct endpoint *e, const struct upstream_client *client,
                               enum lease_want want)
{
    LIST_EACH(node, &client->conns)
    {
        struct upconn *u = CONTAINER_OF(node, struct upconn, own);
        if (u->endpoint == e && u->in == IN_AVAILABLE &&
            (want == LEASE_ANY || u->session->requests == 0))
            return u;
    }
    return NULL;
}

static struct upconn *find_warm(const struct endpoint *e, const struct upstream_client *client,
                                enum lease_want want)
{
    if (UNLIKELY(client != NULL))
        return find_own(e, client, want);
    LIST_EACH(node, &e->available)
    {
        struct upconn *u = CONTAINER_OF(node, struct upconn, node);
        if (want == LEASE_ANY || u->session->requests == 0)
            return u;
    }
    return NULL;
}

static void hold(struct endpoint *e, struct lease *lease, struct stream *stream, bool was_reused)
{
    lease->stream = stream;
    lease->state = LEASE_HELD;
    lease->was_reused = was_reused;
    e->active++;
    if (was_reused)
        metric_add(&e->target->upstream->metrics->counters[COUNTER_UP_REUSED], 1);
    endpoint_publish(e);
}

bool endpoint_take(struct endpoint *e, struct lease *lease)
{
    enum lease_want want = lease->needs_fresh ? LEASE_FRESH : LEASE_ANY;
    struct upconn *u;

    /* Each round gives a stream, or takes a connection out of `available`. */
    while ((u = find_warm(e, lease->client, want)) != NULL) {
        bool was_reused = u->session->requests > 0;
        if (was_reused && !lease->is_idempotent && !upconn_check_alive(u))
            continue;
        struct stream *stream = upconn_open_stream(u, lease);
        if (stream != NULL) {
            hold(e, lease, stream, was_reused);
            return true;
        }
    }
    return false;
}
