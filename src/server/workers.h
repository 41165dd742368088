/* All workers: starting them, giving each the same order, and ending them. Control thread. */
#pragma once

#include "control/logs.h"
#include "server/worker.h"

struct workers {
    struct control *control;     /* borrows */
    struct orders *orders;       /* borrows */
    struct worker **items;       /* owns; NULL: not started */
    size_t count;                /* known before they start */
    struct metrics **metrics;    /* owns the array: the workers' counters */
    struct quotas *quotas;       /* owns: shared by all workers */
    struct tls_helpers *helpers; /* owns; NULL: none wanted */
    struct order_round end;
    void (*idle)(void *arg); /* see worker_conf */
    void *idle_arg;
};

/* How many there will be: `wanted`, or the configured number, or as many as the machine suggests.
 */
void workers_plan(struct workers *workers, unsigned wanted, const struct config *config);

/* Starts the helpers for handshakes and the workers. They have no configuration and listen to
 * nothing yet. On failure some may run; workers_stop ends them. */
MUST_USE int workers_start(struct workers *workers, const struct config *config, struct logs *logs,
                           struct tls_tickets *tickets, struct err *err);

/* Gives the order of `round` to each worker. */
void workers_order(struct workers *workers, struct order_round *round);

/* Ends all workers; the control loop need not run. False when one has not ended after
 * WORKERS_END_MS, which was reported: it may still use everything that was shared with it. */
enum { WORKERS_END_MS = 10000 };
bool workers_stop(struct workers *workers);
void workers_deinit(struct workers *workers);

struct workers_load {
    size_t connections, exchanges;
};
struct workers_load workers_load(const struct workers *workers);

/* Requests that have come so far. */
uint64_t workers_requests(const struct workers *workers);
