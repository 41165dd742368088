/* A worker's proxy: adopts configurations, takes accepted connections, drains. */
#include "proxy/proxy_impl.h"

#include "base/clock.h"
#include "route/weights.h"

#include <stdlib.h>
#include <time.h>

/* --- serving: a configuration in use --------------------------------------------------------- */

struct serving *serving_ref(struct serving *serving)
{
    serving->refs++;
    return serving;
}

static void make_dc_metrics(struct serving *serving)
{
    const struct config *config = serving->config;

    serving->dc_metrics = mem_new((config->router_count + 1) * sizeof(*serving->dc_metrics));
    for (size_t i = 0; i < config->router_count; i++)
        serving->dc_metrics[i] =
            mem_new((DC_WHY_COUNT + config->routers[i].multi_dc.primary_if_count) *
                    sizeof(**serving->dc_metrics));
}

static void free_dc_metrics(struct serving *serving)
{
    for (size_t i = 0; i < serving->config->router_count; i++)
        free(serving->dc_metrics[i]);
    free(serving->dc_metrics);
}

static void serving_free(struct serving *serving)
{
    for (size_t i = 0; i < serving->config->listener_count; i++)
        tls_server_unref(&serving->listeners[i].tls);
    for (size_t i = 0; serving->groups != NULL && i < serving->config->group_count; i++)
        group_unref(&serving->groups[i]);
    free(serving->groups);
    for (size_t i = 0; i < serving->config->router_count; i++)
        weights_unref(&serving->weights[i]);
    free(serving->weights);
    free_dc_metrics(serving);
    free(serving->listeners);
    if (serving->release != NULL)
        serving->release(serving->release_arg);
    free(serving);
}

void serving_unref(struct serving **slot)
{
    struct serving *serving = *slot;

    *slot = NULL;
    if (serving != NULL && --serving->refs == 0)
        serving_free(serving);
}

static uint8_t target_rules_of(const struct listener_conf *conf)
{
    unsigned rules = 0;

    if (conf->raw_utf8 == RAW_UTF8_ENCODE)
        rules |= TARGET_ENCODE_UTF8;
    if (conf->encoded_controls == ENCODED_CONTROLS_REJECT)
        rules |= TARGET_REFUSE_CONTROLS;
    return (uint8_t)rules;
}

/* How large a body may be is known after routing, so the exchange keeps that limit. */
static struct session_limits limits_of(const struct listener_conf *conf)
{
    const struct limits_conf *limits = &conf->limits;

    return (struct session_limits){.max_header_bytes = limits->max_header_bytes,
                                   .max_header_count = limits->max_header_count,
                                   .max_line_bytes = limits->max_line_bytes,
                                   .max_uri_bytes = limits->max_uri_bytes,
                                   .max_chunk_extension_bytes = limits->max_chunk_extension_bytes,
                                   .max_connection_options =
                                       (uint16_t)limits->max_connection_options,
                                   .max_empty_lines = (uint16_t)limits->max_empty_lines,
                                   .max_streams = limits->max_streams,
                                   .max_held_header_bytes = limits->max_held_header_bytes,
                                   .max_held_bytes = limits->max_held_bytes,
                                   .max_requests = limits->max_requests,
                                   .allow_websocket = conf->websocket,
                                   .target_rules = target_rules_of(conf),
                                   .aborts_half_closed = conf->aborts_half_closed};
}

static void make_listener(struct proxy *proxy, const struct listener_conf *conf,
                          struct tls_server_plan *plan, struct serving_listener *listener)
{
    *listener = (struct serving_listener){.conf = conf, .limits = limits_of(conf)};
    untrusted_compile(conf, listener->removed_untrusted);
    if (proxy->quotas != NULL)
        listener->key = quotas_key(proxy->quotas, conf->name.ptr, conf->name.len, 0);
    if (conf->tls != NULL)
        listener->tls = tls_server_new(proxy->library, proxy->tickets, plan);
}

/* A configuration begins with its own weights, so that no request sees it with those of another. */
static void share_weights(struct serving *serving)
{
    const struct routers *routers = serving->routers;

    serving->weights = mem_new(MAX(routers->count, 1u) * sizeof(struct weights *));
    for (size_t i = 0; i < routers->count; i++)
        serving->weights[i] = weights_ref(router_weights(routers->items[i]));
}

static struct serving *serving_new(struct proxy *proxy, const struct config *config,
                                   const struct routers *routers, const struct tls_plans *tls)
{
    struct serving *serving = mem_new(sizeof(*serving));

    serving->refs = 1;
    serving->config = config;
    serving->routers = routers;
    serving->listeners = mem_new(config->listener_count * sizeof(*serving->listeners));
    make_dc_metrics(serving);
    share_weights(serving);
    for (size_t i = 0; i < config->listener_count; i++)
        make_listener(proxy, &config->listeners[i], tls->listeners[i], &serving->listeners[i]);
    return serving;
}

/* --- adopting -------------------------------------------------------------------------------- */

/* Requests find their group by its index. */
static void share_groups(struct serving *serving, struct upstream *upstream)
{
    size_t count = serving->config->group_count;

    serving->groups = mem_new(MAX(count, 1u) * sizeof(struct group *));
    for (size_t i = 0; i < count; i++)
        serving->groups[i] = group_ref(upstream_group(upstream, (int)i));
}

void proxy_adopt(struct proxy *proxy, const struct config *config, const struct routers *routers,
                 const struct tls_plans *tls, void (*release)(void *arg), void *arg)
{
    struct serving *next = serving_new(proxy, config, routers, tls);

    upstream_adopt(proxy->upstream, config, tls->groups);
    share_groups(next, proxy->upstream);
    next->release = release;
    next->release_arg = arg;

    struct serving *old = proxy->serving;
    proxy->serving = next;
    LIST_EACH(node, &proxy->downstreams)
    downstream_rebind(CONTAINER_OF(node, struct downstream, node));
    serving_unref(&old);
}

/* --- life ------------------------------------------------------------------------------------ */

struct proxy *proxy_new(struct loop *loop, struct tls_library *library, struct tls_tickets *tickets,
                        struct metrics *metrics, struct access_ring *ring)
{
    struct proxy *proxy = mem_new(sizeof(*proxy));

    proxy->loop = loop;
    proxy->library = library;
    proxy->tickets = tickets;
    proxy->metrics = metrics;
    proxy->ring = ring;
    proxy->dice = rand_seed();
    list_init(&proxy->downstreams);
    list_init(&proxy->handshakes);
    list_init(&proxy->gates);
    proxy->upstream = upstream_new(loop, library, metrics);
    return proxy;
}

void proxy_share(struct proxy *proxy, struct quotas *quotas)
{
    proxy->quotas = quotas;
}

void proxy_free(struct proxy *proxy)
{
    ASSERT(list_is_empty(&proxy->downstreams) && list_is_empty(&proxy->gates));
    upstream_free(proxy->upstream);
    serving_unref(&proxy->serving);
    free(proxy);
}

void proxy_accept(struct proxy *proxy, size_t listener, int fd, const struct addr *peer)
{
    struct serving *serving = proxy->serving;
    struct serving_listener *at = &serving->listeners[listener];

    if (!admit_to_listener(proxy, at, fd))
        return;
    if (at->conf->proxy_protocol.enabled)
        gate_new(proxy, serving, at, fd, peer);
    else
        downstream_new(proxy, serving, at, fd, peer, NULL);
}

void proxy_drain(struct proxy *proxy)
{
    proxy->draining = true;
    LIST_EACH(node, &proxy->downstreams)
    downstream_drain(CONTAINER_OF(node, struct downstream, node));
}

void proxy_close_all(struct proxy *proxy)
{
    gates_abort(proxy);
    LIST_EACH(node, &proxy->downstreams)
    downstream_abort(CONTAINER_OF(node, struct downstream, node));
}

size_t proxy_open_connections(const struct proxy *proxy)
{
    return proxy->connection_count;
}

size_t proxy_open_exchanges(const struct proxy *proxy)
{
    return proxy->exchange_count;
}

struct upstream *proxy_upstream(struct proxy *proxy)
{
    return proxy->upstream;
}

struct str proxy_date(struct proxy *proxy)
{
    time_t now = (time_t)(clock_wall_us() / 1000000);

    if (now != proxy->date_second) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(proxy->date, sizeof(proxy->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        proxy->date_second = now;
    }
    return str_of(proxy->date);
}
