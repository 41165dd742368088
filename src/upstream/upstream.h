/* Where requests go: per worker, every group's targets with their endpoints, and the connections to
 * them that are open, warm or being made. The exchange asks for a stream and gets one now, later,
 * or a reason.
 *
 * Groups (upstream/group.h) and their targets outlive configurations: upstream_adopt() matches them
 * by name, so a reload neither drops warm connections nor forgets what was learnt. All calls on the
 * worker's own thread. */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"
#include "http/session.h"
#include "http/stream.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "observe/metrics.h"
#include "tls/client.h"

struct upstream;
struct target;
struct endpoint;

/* One per worker. All arguments are borrowed and outlive it. */
struct upstream *upstream_new(struct loop *loop, struct tls_library *library,
                              struct metrics *metrics);

/* Closes every connection at once; no lease may be open, and the configuration last adopted must
 * still be there. What they were made of goes at the end of the loop's turn: free `library` after
 * the loop has run once more, or after loop_free. */
void upstream_free(struct upstream *upstream);

/* Makes the groups of `config` (borrowed until the next adopt has returned and no lease is open),
 * or finds them among those of the configuration before. `plans` has one for each group with TLS;
 * NULL where no group has. Targets that are not in `config` finish their leases and are freed. */
void upstream_adopt(struct upstream *upstream, const struct config *config,
                    struct tls_client_plan *const *plans);

/* Takes endpoint sets (discovery/endpoint_set.h) from `mailbox`, which is borrowed. */
void upstream_receive(struct upstream *upstream, struct mailbox *mailbox);

/* --- clients --------------------------------------------------------------------------------- */

/* A client's connection, for groups with `proxy_protocol`: what the PROXY header says of it, and
 * the upstream connections that belong to it alone because of that header. */
struct upstream_client {
    struct list conns;  /* internal to upstream/ */
    struct addr addr;   /* len 0: not known */
    struct addr server; /* where it came to */
};

void upstream_client_init(struct upstream_client *client);

/* The client's connection has closed, and no lease of it is open: closes its connections. */
void upstream_client_deinit(struct upstream_client *client);

/* Must leases of `target` say whose they are? The same for all of its life. */
bool target_needs_client(const struct target *target);

/* --- leases ---------------------------------------------------------------------------------- */

enum lease_state { LEASE_NONE, LEASE_WAITING, LEASE_HELD };

/* A request's claim on an upstream stream; embedded in the exchange, zeroed before first use. */
struct lease {
    struct list node;          /* in the target's waiting queue */
    struct target *target;     /* shares */
    struct endpoint *endpoint; /* borrows: valid while HELD, and after a failure for the log */
    struct stream *stream;     /* valid while HELD */
    enum lease_state state;
    bool was_reused; /* the connection had carried requests before */
    int64_t asked_at_ms;
    const char *error; /* borrows, during on_failed: what went wrong with the connection, or "" */
    struct upstream_client *client; /* borrows; set by the caller where target_needs_client, else
                                     * NULL */
    /* When state was WAITING: exactly one of these comes, from the loop. */
    void (*on_ready)(struct lease *lease);
    void (*on_failed)(struct lease *lease, enum reason reason);
    /* Internal to upstream/. */
    struct arena *arena;
    const struct stream_handler *handler;
    void *arg;
    const struct endpoint *avoid; /* only compared */
    uint64_t first_byte;          /* where on its connection the request begins, or before that */
    bool needs_fresh, is_idempotent;
};

enum lease_want { LEASE_ANY, LEASE_FRESH };

/* Asks for a stream on a good endpoint of `target`: a warm connection if there is one (the last
 * used first; LEASE_FRESH: never a used one), else a new one. NONE: lease->state says HELD (stream
 * is ready for send_head) or WAITING (a callback comes). Another reason: refused at once, nothing
 * is pending. `handler` and `arg` become the stream's; `arena` is the exchange's. `avoid` (may be
 * NULL) is the endpoint that just failed. For methods that are not idempotent the connection is
 * checked with a peek before it is handed out. */
enum reason upstream_acquire(struct target *target, struct lease *lease, struct arena *arena,
                             const struct stream_handler *handler, void *arg, enum lease_want want,
                             const struct endpoint *avoid, bool is_idempotent);

/* Ends a lease in any state, and must be called at the end of every lease that was ever asked for:
 * a failed one still shares its target and endpoint for the log. WAITING is cancelled without a
 * callback; HELD closes the stream (stream_close) and returns its connection to the pool if it is
 * reusable. `ok` tells the balancer whether the endpoint answered. Safe with state NONE, and safe
 * inside callbacks. Afterwards lease->endpoint and lease->target are NULL. Asking again without it
 * (a retry) is fine, too. */
void upstream_release(struct lease *lease, bool ok);

/* The stream of a HELD lease was reset for `reason`: is it certain that its request was not read?
 * Then it may be sent again, whatever its method. */
bool upstream_was_unread(const struct lease *lease, enum reason reason);

/* What the connection of a HELD lease said when it broke, during on_reset; "": nothing. */
const char *upstream_error(const struct lease *lease);

/* --- facts ----------------------------------------------------------------------------------- */

/* "10.2.1.3:4450", "unix:/run/x.sock"; "" of NULL. */
struct str endpoint_name(const struct endpoint *endpoint);

/* What Host says of it: the host name that it was configured by, else its address and port;
 * "localhost" for a unix socket, whose path is no host. */
struct str endpoint_authority(const struct endpoint *endpoint);
