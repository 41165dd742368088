/* An endpoint: an address, the connections to it that are pooled or being made, and what is known
 * of it. */
#pragma once

#include "upstream/upstream.h"

enum { CONNECT_BACKOFF_MS = 1000 }; /* an endpoint that refused is left alone for that long */

enum { ENDPOINT_GONE = -1 };
enum speaks { SPEAKS_UNKNOWN, SPEAKS_H1, SPEAKS_H2 };

struct endpoint {
    struct list node; /* in target->all */
    struct loop *loop;
    struct target *target; /* borrows; NULL when the target has been freed */
    unsigned refs;
    int index;      /* in target->endpoints, or ENDPOINT_GONE */
    bool is_wanted; /* while a new list is made: it stands in that */

    struct addr addr;
    char name[ADDR_TEXT_MAX];
    size_t name_len;
    char *host;           /* owns: the name it was configured by */
    enum speaks speaks;   /* what ALPN said last */
    uint32_t streams_max; /* h2: what its SETTINGS allowed last; 0: not known */
    struct tls_session_slot slot;

    struct list available; /* room for a stream, the last used first */
    struct list busy;
    struct list connecting;
    uint32_t connections; /* in these three lists */
    uint32_t available_count, connecting_count;
    uint32_t active;   /* leases held */
    uint32_t expected; /* streams that connections being made will bring */
    uint32_t hinted;   /* leases that wait for those */
    uint32_t failures; /* in a row */
    int64_t shunned_until_ms;
    struct reap reap;
};

struct endpoint *endpoint_new(struct target *target, const struct addr *addr, struct str host);
void endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint **endpoint); /* NULL is allowed */

/* Tells the balancer what has changed. */
void endpoint_publish(struct endpoint *endpoint);

/* No new requests: what is idle or being made goes now, the rest when its leases end. */
void endpoint_retire(struct endpoint *endpoint);
void endpoint_stop_connecting(struct endpoint *endpoint);

/* Looks at each pooled connection again: may it stay? */
void endpoint_settle(struct endpoint *endpoint);

/* Its target goes: so does every connection, at once. */
void endpoint_orphan(struct endpoint *endpoint);

/* May another connection be made? */
bool endpoint_has_room(const struct endpoint *endpoint);

/* Closes the coldest connection that has no request, so that a fresh one may be made. */
void endpoint_make_room(struct endpoint *endpoint);

/* Gives `lease` a stream of a connection that is there. False when none is to be had. */
bool endpoint_take(struct endpoint *endpoint, struct lease *lease);

/* --- dial.c ---------------------------------------------------------------------------------- */

/* Begins a connection to the endpoint, with TLS and the PROXY header as its group has them;
 * `client` (borrowed for the call) is NULL where there is no such header. `handler` gets on_open or
 * on_closed. */
struct conn *endpoint_dial(struct endpoint *endpoint, const struct upstream_client *client,
                           const struct conn_handler *handler, void *arg);
