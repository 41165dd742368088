/* A target: the endpoints that requests are balanced over, as its configuration and the resolver
 * have them. Which request gets which of their connections is queue.c. */
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>
#include <string.h>

/* --- endpoints come and go ------------------------------------------------------------------- */

struct wanted {
    struct endpoint **items;
    int count, new_count;
};

static bool is_endpoint(const struct endpoint *e, const struct addr *addr, struct str host)
{
    return addr_eq(&e->addr, addr) && str_eq(str_of(e->host), host);
}

/* The endpoint of today that has this address. It mostly stands at the same place as before a
 * reload, which is `likely`. */
static struct endpoint *find_endpoint(const struct target *t, const struct addr *addr,
                                      struct str host, int likely)
{
    if (likely < t->endpoint_count && is_endpoint(t->endpoints[likely], addr, host))
        return t->endpoints[likely];
    for (int i = 0; i < t->endpoint_count; i++) {
        if (is_endpoint(t->endpoints[i], addr, host))
            return t->endpoints[i];
    }
    return NULL;
}

/* Was it made for this list, from an earlier entry? */
static bool is_new_in(const struct wanted *wanted, const struct addr *addr, struct str host)
{
    for (int i = wanted->count - 1; i >= 0 && wanted->new_count > 0; i--) {
        if (wanted->items[i]->index == ENDPOINT_GONE && is_endpoint(wanted->items[i], addr, host))
            return true;
    }
    return false;
}

/* An address that stands twice is one endpoint. */
static void want(struct target *t, struct wanted *wanted, const struct addr *addr, struct str host)
{
    struct endpoint *e = find_endpoint(t, addr, host, wanted->count);

    if (e != NULL ? e->is_wanted : is_new_in(wanted, addr, host))
        return;
    if (e == NULL) {
        e = endpoint_new(t, addr, host);
        wanted->new_count++;
    }
    e->is_wanted = true;
    wanted->items = mem_resize(wanted->items, (size_t)(wanted->count + 1) * sizeof(*wanted->items));
    wanted->items[wanted->count++] = e;
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

static bool is_of_family(const struct addr *addr, enum address_family family)
{
    switch (family) {
    case FAMILY_BOTH:
        return true;
    case FAMILY_IPV4:
        return addr->sa.sa_family == AF_INET;
    case FAMILY_IPV6:
        return addr->sa.sa_family == AF_INET6;
    }
    return true;
}

static void want_host(struct target *t, struct wanted *wanted, const struct host_conf *host)
{
    if (host->addr.len > 0) {
        want(t, wanted, &host->addr, STR(""));
        return;
    }
    const struct endpoint_set *set = endpoint_sets_find(&t->upstream->sets, host->lookup);
    if (set == NULL) {
        t->is_resolving = true;
        return;
    }
    if (set->is_gone && t->group->conf->on_nxdomain == NXDOMAIN_DROP)
        return;
    for (size_t i = 0; i < set->count; i++) {
        const struct addr *found = &set->entries[i].addr;
        if (!is_of_family(found, t->group->conf->family))
            continue;
        struct addr addr = with_port(found, host->port);
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
        t->endpoints[i]->is_wanted = false;
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
        target_serve_later(t); /* or fails them for lack of an endpoint; not inside an adopt */
}

bool target_uses_name(const struct target *t, struct str name)
{
    for (size_t i = 0; i < t->conf->host_count; i++) {
        const struct host_conf *host = &t->conf->hosts[i];
        if (host->addr.len == 0 && str_eq(host->lookup, name))
            return true;
    }
    return false;
}

/* --- life ------------------------------------------------------------------------------------ */

static struct str server_name_of(const struct group_conf *group)
{
    return group->tls != NULL ? group->tls->server_name : STR("");
}

struct target *target_new(struct group *group, const struct target_conf *conf,
                          const struct tls_client_plan *plan)
{
    struct target *t = mem_new(sizeof(*t));

    t->upstream = group->upstream;
    t->refs = 1;
    t->group = group_ref(group);
    t->name = str_copy(conf->name);
    t->protocol = group->conf->protocol;
    t->send_proxy = group->conf->send_proxy;
    t->has_tls = group->conf->tls != NULL;
    t->server_name = str_copy(server_name_of(group->conf));
    t->tls_policy = plan != NULL ? tls_client_plan_policy(plan) : 0;
    list_init(&t->all);
    queue_init(t);
    list_push_back(&t->upstream->all, &t->node);
    return t;
}

bool target_matches(const struct target *t, const struct group_conf *group,
                    const struct target_conf *conf, const struct tls_client_plan *plan)
{
    if (!str_eq(str_of(t->name), conf->name))
        return false;
    if (t->protocol != group->protocol || t->send_proxy != group->send_proxy ||
        t->has_tls != (group->tls != NULL))
        return false;
    return !t->has_tls || (tls_client_plan_policy(plan) == t->tls_policy &&
                           str_eq(str_of(t->server_name), server_name_of(group)));
}

void target_configure(struct target *t, const struct target_conf *conf, struct tls_client *client)
{
    struct tls_client *old = t->client;

    t->conf = conf;
    balancer_configure(&t->balancer, t->group->conf->balance);
    t->client = client != NULL ? tls_client_ref(client) : NULL;
    if (old != NULL)
        tls_client_unref(&old);
    target_refresh(t);
}

static void target_free(struct reap *reap)
{
    struct target *t = CONTAINER_OF(reap, struct target, reap);

    queue_deinit(t);
    group_unref(&t->group);
    free(t->server_name);
    free(t->endpoints);
    free(t->loads);
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
    queue_stop(t);
    if (t->client != NULL)
        tls_client_unref(&t->client);
    loop_reap(t->upstream->loop, &t->reap, target_free);
}

void target_ref(struct target *t)
{
    t->refs++;
}

void target_unref(struct target **slot)
{
    struct target *t = *slot;

    *slot = NULL;
    if (t == NULL)
        return;
    ASSERT(t->refs > 0);
    if (--t->refs == 0)
        target_end(t);
}

void target_retire(struct target *t)
{
    t->is_gone = true;
    t->conf = NULL;
    LIST_EACH(node, &t->all)
    {
        struct endpoint *e = CONTAINER_OF(node, struct endpoint, node);
        if (t->waiting_count == 0)
            endpoint_stop_connecting(e);
        endpoint_settle(e);
    }
    target_unref(&t);
}

/* --- facts ----------------------------------------------------------------------------------- */

bool target_needs_client(const struct target *t)
{
    return t->send_proxy != SEND_PROXY_OFF;
}
