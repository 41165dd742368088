/* A worker: a thread with its own loop, TLS library, counters, upstream connections and listening
 * sockets. The control thread gives it one order at a time and waits until it was carried out; the
 * worker never waits for anybody. All functions are called by the control thread. */
#pragma once

#include "discovery/resolver.h"
#include "observe/access_log.h"
#include "observe/metrics.h"
#include "server/binds.h"
#include "server/snapshot.h"
#include "tls/server.h"

struct worker;

struct worker_conf {
    unsigned index;
    struct tls_tickets *tickets; /* borrows: shared by all workers */
    struct tls_helpers *helpers; /* borrows: the same; NULL: the worker signs itself */
    unsigned handshake_queue;    /* handshakes that may wait in this worker */
    struct quotas *quotas;       /* borrows: shared by all workers */
    uint32_t ring_bytes;
    void (*ring_wake)(void *arg); /* called on the worker's thread */
    void *ring_arg;
    /* The cap on connections of the whole process: how many there are elsewhere, and the cap. */
    uint64_t (*connections)(void *arg); /* any thread */
    void *connections_arg;
};

/* Starts the thread; it has no configuration and listens to nothing yet. */
MUST_USE struct worker *worker_start(const struct worker_conf *conf, struct err *err);

/* Closes everything at once, ends the thread and frees what was the worker's own. Counters and ring
 * stay readable until worker_free. */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker);

/* New connections and new requests are served by `snapshot` from now on. */
void worker_adopt(struct worker *worker, struct snapshot *snapshot);

/* The same, and then listens to `binds` and to nothing else, taking its descriptors from there. */
void worker_adopt_and_listen(struct worker *worker, struct snapshot *snapshot, struct binds *binds);

/* Listens to `binds` of the snapshot last adopted. */
void worker_listen(struct worker *worker, struct binds *binds);

/* Stops listening on inbound listeners, after taking what waits there; every connection ends after
 * what it is doing. */
void worker_drain(struct worker *worker);

/* Aborts what is still open. */
void worker_abort(struct worker *worker);

struct worker_load {
    size_t connections, exchanges;
};
struct worker_load worker_load(struct worker *worker);

/* How late the worker's loop is, at the worst of the last moments. */
int64_t worker_lag_ms(const struct worker *worker);

struct metrics *worker_metrics(struct worker *worker);
struct access_ring *worker_ring(struct worker *worker);
struct mailbox *worker_mailbox(struct worker *worker);
