/* A worker: a thread with its own loop, TLS library, counters, upstream connections and listening
 * sockets. The control thread sends it letters; neither waits for the other. Functions are called
 * on the control thread, except those at the end, which carry out orders. */
#pragma once

#include "control/orders.h"
#include "net/mailbox.h"
#include "observe/access_log.h"
#include "observe/metrics.h"
#include "server/binds.h"
#include "server/snapshot.h"
#include "tls/server.h"

struct worker;

struct worker_conf {
    unsigned index;
    struct tls_tickets *tickets; /* borrows: shared by all workers */
    struct tls_helpers *helpers; /* borrows: the same; NULL: the worker signs on its own thread */
    unsigned handshake_queue;    /* handshakes that may wait in this worker */
    struct quotas *quotas;       /* borrows: shared by all workers */
    uint32_t ring_bytes;
    void (*ring_wake)(void *arg); /* called on the worker's thread */
    void *ring_arg;
    /* How many connections the whole process has, for its cap. */
    uint64_t (*connections)(void *arg); /* any thread */
    void *connections_arg;
    /* Draining, and nothing is open in this worker any more. Called on the worker's thread. */
    void (*idle)(void *arg);
    void *idle_arg;
};

/* Starts the thread; it has no configuration and listens to nothing yet. */
MUST_USE struct worker *worker_start(const struct worker_conf *conf, struct err *err);

/* Waits for the end of the thread, after an order to worker_end. False when it has not ended after
 * `ms`: then the worker still uses everything that it had. Otherwise counters and ring stay
 * readable until worker_free. */
bool worker_join(struct worker *worker, int64_t ms);
void worker_free(struct worker *worker);

/* How late the worker's loop is: the larger of its last measured delay and of the time since its last
 * pulse was due. */
int64_t worker_lag_ms(const struct worker *worker);

struct metrics *worker_metrics(struct worker *worker);
struct access_ring *worker_ring(struct worker *worker);
struct mailbox *worker_mailbox(struct worker *worker);

/* --- what orders do: the worker's own thread -------------------------------------------------- */

/* New connections and new requests are served by `snapshot` from now on. */
void worker_adopt(struct worker *worker, struct snapshot *snapshot);

/* The same, and then listens to `binds` and to nothing else, taking its descriptors from there. */
void worker_adopt_and_listen(struct worker *worker, struct snapshot *snapshot, struct binds *binds);

/* Listens to `binds` of the snapshot last adopted. */
void worker_listen(struct worker *worker, struct binds *binds);

/* Stops listening on inbound listeners, after taking what waits there; every connection closes
 * after its present request. Each time that nothing is open any more, conf.idle is called. */
void worker_drain(struct worker *worker);

/* Closes everything at once and ends the thread. */
void worker_end(struct worker *worker);
