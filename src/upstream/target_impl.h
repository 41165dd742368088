/* A target: endpoints of a group that requests are balanced over, and the queue of requests that
 * wait for one of their connections. */
#pragma once

#include "upstream/balancer.h"
#include "upstream/group.h"
#include "upstream/upstream.h"

struct target {
    struct list node; /* in upstream->all */
    struct upstream *upstream;
    unsigned refs;
    bool is_gone; /* no longer in the configuration */

    struct group *group; /* shares */
    char *name;          /* owns */
    bool has_tls;
    char *server_name;   /* owns: for SNI and verification; "": the endpoint's own */
    uint64_t tls_policy; /* what this target's connections were verified with */
    enum upstream_protocol protocol;
    enum send_proxy send_proxy;
    const struct target_conf *conf; /* borrows; NULL when it has left the configuration */
    struct tls_client *client;      /* shares; NULL: plain */

    struct list all;             /* endpoints, gone ones that are still in use included */
    struct endpoint **endpoints; /* what the balancer chooses from */
    struct load *loads;          /* their loads, index by index */
    int endpoint_count;
    struct balancer balancer; /* embeds */
    bool is_resolving;        /* some name has had no answer yet */

    struct list waiting;                 /* leases, the oldest first */
    uint32_t waiting_count, waiting_any; /* all; those that do not insist on a fresh connection */
    uint32_t expected;                   /* streams that connections being made will bring */
    uint32_t available;                  /* connections with room for a stream */
    struct deadline late;                /* of the oldest in the queue */
    struct task serve;                   /* gives connections to waiting leases */
    struct reap reap;
};

struct target *target_new(struct group *group, const struct target_conf *conf,
                          const struct tls_client_plan *plan);
/* No references left: its memory lasts to the end of this turn, but it can do nothing any more. */
static inline bool target_is_ended(const struct target *target)
{
    return target->refs == 0;
}
void target_ref(struct target *target);
void target_unref(struct target **target); /* NULL is allowed */

/* Could connections of `target`, one of the group's, serve this configuration? Same name, same TLS
 * (authorities and revocation lists included, not only their files' names), same protocol. */
bool target_matches(const struct target *target, const struct group_conf *group,
                    const struct target_conf *conf, const struct tls_client_plan *plan);

/* Takes the configuration that is in force from now on; the group has its own already. `client` is
 * shared, NULL for plain. */
void target_configure(struct target *target, const struct target_conf *conf,
                      struct tls_client *client);

/* Looks at the answers of the resolver again: endpoints come, stay with all they have, or go. */
void target_refresh(struct target *target);
bool target_uses_name(const struct target *target, struct str name);

/* Leaves the configuration: leases finish, idle connections go at once. Drops one reference. */
void target_retire(struct target *target);

/* Closes every connection at once, also one with a lease; for the end of the worker. */
void target_end(struct target *target);

/* --- queue.c --------------------------------------------------------------------------------- */

void queue_init(struct target *target);
void queue_deinit(struct target *target);

/* For the end: no lease waits now, and none will be asked for. */
void queue_stop(struct target *target);

/* Room has appeared, or is missing: look at the queue at the end of this turn. */
void target_serve_later(struct target *target);

/* A connection that was being made has failed: fails the leases that wait for it. `client`: whose
 * it was to be, or NULL. */
void target_connect_failed(struct target *target, struct endpoint *endpoint,
                           const struct upstream_client *client, uint32_t streams,
                           enum reason reason, const char *error);
