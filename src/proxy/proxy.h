/* The proxy of one worker: downstream connections, their requests, and the exchanges that carry
 * them to an upstream and back. Everything on the worker's own thread. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "observe/access_log.h"
#include "observe/metrics.h"
#include "proxy/quotas.h"
#include "route/route.h"
#include "tls/server.h"
#include "upstream/upstream.h"

struct proxy;

/* The compiled routers of a configuration, in the order of config.routers; shared by all
 * workers. */
struct routers {
    struct router **items;
    size_t count;
};

/* One per worker. Everything given is borrowed and outlives the proxy. `ring` may be NULL: no
 * access log. Owns its upstream. */
struct proxy *proxy_new(struct loop *loop, struct tls_library *library, struct tls_tickets *tickets,
                        struct metrics *metrics, struct access_ring *ring);

/* What all workers share of caps and rates; borrowed. Before the first proxy_accept; without it
 * none of them applies. */
void proxy_share(struct proxy *proxy, struct quotas *quotas);

/* Every connection must be gone (proxy_close_all, then one more turn of the loop). */
void proxy_free(struct proxy *proxy);

/* Takes over a configuration for all connections to come and for the next request of open ones;
 * running exchanges finish on theirs. `release(arg)` is called once, when nothing uses `config` and
 * `routers` any more. `tls` has the plans of `config`. */
void proxy_adopt(struct proxy *proxy, const struct config *config, const struct routers *routers,
                 const struct tls_plans *tls, void (*release)(void *arg), void *arg);

/* An accepted connection, for config.listeners[listener] of the configuration last adopted. */
void proxy_accept(struct proxy *proxy, size_t listener, int fd, const struct addr *peer);

/* Graceful end: every connection closes after what it is doing (GOAWAY, Connection: close). */
void proxy_drain(struct proxy *proxy);

/* Aborts everything that is still open. */
void proxy_close_all(struct proxy *proxy);

size_t proxy_open_connections(const struct proxy *proxy);
size_t proxy_open_exchanges(const struct proxy *proxy);

struct upstream *proxy_upstream(struct proxy *proxy);
