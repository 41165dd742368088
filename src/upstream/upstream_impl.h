/* What the files of this room share. Who holds what:
 *
 *   upstream ─shares─▶ group ─shares─▶ target ─owns─▶ endpoint ─owns─▶ upconn ─owns─▶ conn, session
 *
 * A lease shares its target and its endpoint. An upconn shares its endpoint until it is freed.
 *
 * A target, an endpoint or an upconn that is done with is freed by loop_reap only, because a caller
 * up the stack may still use it. */
#pragma once

#include "discovery/endpoint_set.h"
#include "upstream/balance_impl.h"
#include "upstream/group.h"
#include "upstream/upstream.h"

enum {
    CONNECT_BACKOFF_MS = 1000,  /* an endpoint that refused is left alone for that long */
    H2_STREAMS = 100,           /* at once on one h2 connection, as far as the origin allows */
    RESPONSE_MAX_FIELDS = 256,  /* header fields of a response */
    RESPONSE_MAX_OPTIONS = 64,  /* named in Connection */
    RESPONSE_START_ROOM = 8192, /* for the status line, beside max_response_header_bytes */
};

struct upstream {
    struct loop *loop;
    struct tls_library *library;
    struct metrics *metrics;
    uint64_t dice;

    struct group **groups; /* shares: in the order of the configuration last adopted */
    size_t group_count;
    struct list all; /* every target that still has memory, retired ones included */

    struct list closing; /* upconns that are saying goodbye */

    struct endpoint_sets sets; /* embeds: the last of each key, as sources sent them */
};

/* --- target.c -------------------------------------------------------------------------------- */

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
    struct endpoint **endpoints; /* those to choose from … */
    struct load *loads;          /* … and what the choice knows of them, index by index */
    int endpoint_count;
    uint32_t cursor;   /* round robin */
    bool is_resolving; /* some name has had no answer yet */

    struct list waiting;                 /* leases, the oldest first */
    uint32_t waiting_count, waiting_any; /* all; those that do not insist on a fresh connection */
    uint32_t expected;                   /* streams that connections being made will bring */
    uint32_t available;                  /* connections with room for a stream */
    struct deadline late;                /* of the oldest in the queue */
    struct task serve;                   /* hands connections to those who wait */
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
void target_unref(struct target *target);

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

/* Lets every connection go at once, whoever holds it; for the end of the worker. */
void target_end(struct target *target);

/* --- queue.c --------------------------------------------------------------------------------- */

void queue_init(struct target *target);
void queue_deinit(struct target *target);

/* Nobody waits any more, and nobody will. */
void queue_stop(struct target *target);

/* Room has appeared, or is missing: look at the queue at the end of this turn. */
void target_serve_later(struct target *target);

/* A connection that was being made has failed: those who waited for it are told. `client`: whose it
 * was to be, or NULL. */
void target_connect_failed(struct target *target, struct endpoint *endpoint,
                           const struct upstream_client *client, uint32_t streams,
                           enum reason reason, const char *error);

/* --- endpoint.c ------------------------------------------------------------------------------ */

enum { ENDPOINT_GONE = -1 };
enum speaks { SPEAKS_UNKNOWN, SPEAKS_H1, SPEAKS_H2 };

struct endpoint {
    struct list node; /* in target->all */
    struct loop *loop;
    struct target *target; /* borrows; NULL when the target is gone */
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
void endpoint_unref(struct endpoint *endpoint);

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

/* --- upconn.c -------------------------------------------------------------------------------- */

enum upconn_state {
    UPCONN_CONNECTING, /* TCP and TLS on their way */
    UPCONN_OPEN,
    UPCONN_CLOSING, /* saying goodbye; no longer its endpoint's business */
    UPCONN_DEAD,    /* the connection is gone; leases may still have to be released */
    UPCONN_REAPED,  /* memory goes at the end of this turn */
};

enum pool_list { IN_NONE, IN_CONNECTING, IN_AVAILABLE, IN_BUSY, IN_CLOSING };

/* One connection to an endpoint: a conn and the client session on top of it. */
struct upconn {
    struct list node; /* in the list that `in` names */
    enum pool_list in;
    enum upconn_state state;
    struct upstream *upstream;
    struct endpoint *endpoint;      /* shares */
    struct upstream_client *client; /* borrows: the only one it is for; NULL: anybody */
    struct list own;                /* in client->conns */
    struct conn *conn;              /* owns; NULL when DEAD */
    struct session *session;        /* owns; NULL until open */
    unsigned leases;                /* streams handed out and not yet released */
    unsigned on_stack;              /* calls into the session that have not returned */
    uint32_t expected;              /* streams hoped for: while it is being made, and until an h2
                                     * peer has said how many it allows */
    size_t left_bytes;              /* what the session did not use of the data it was just given */
    bool is_paused, is_counted, is_in_data;
    bool is_broken;   /* must not carry another request */
    bool wants_close; /* the session has nothing more to say */
    int64_t started_us;
    int64_t heard_at_ms; /* when bytes came last; 0: none yet */
    uint64_t first_byte; /* where the last request begins, or before that */
    const char *error;   /* borrows, while its streams are told of its end; else NULL */
    uint64_t maybe_read; /* the peer has read nothing behind that byte; UINT64_MAX: not known */
    struct deadline idle;
    struct bufq no_out; /* where a session writes that has lost its connection */
    struct task settle;
    struct reap reap;
};

/* Puts the connection where it belongs: pooled, closed, freed. Safe at any time: it does nothing
 * while a call into the session is on the stack, and who made that call settles afterwards. */
void upconn_settle(struct upconn *u);

/* Starts a connection to `endpoint`, for `client` alone where that is not NULL. */
void upconn_connect(struct endpoint *endpoint, struct upstream_client *client);

/* Is a connection to `endpoint` being made for `client`? */
bool client_is_connecting(const struct upstream_client *client, const struct endpoint *endpoint);

/* A stream for `lease`, or NULL when the session takes none now. */
struct stream *upconn_open_stream(struct upconn *u, struct lease *lease);

/* Closes lease->stream and puts the connection where it belongs now. */
void upconn_release_stream(struct upconn *u, struct lease *lease);

/* The connection has ended: is it certain that the peer has read nothing of the lease's request? */
bool upconn_was_unread(const struct upconn *u, const struct lease *lease);

/* False when the peer has already closed a connection that we believe idle; it is dropped then. */
bool upconn_check_alive(struct upconn *u);

/* The connection goes now. Its streams hear nothing of it: for connections without leases. */
void upconn_abort(struct upconn *u);

/* The connection ends with a goodbye. */
void upconn_close(struct upconn *u);

static inline bool upconn_is_attached(const struct upconn *u)
{
    return u->state == UPCONN_CONNECTING || u->state == UPCONN_OPEN;
}
