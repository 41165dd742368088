/* The graceful end. For the grace time everything goes on, while /ready says no, so that load
 * balancers notice. Then no new connection is accepted, every open one closes after its present
 * request, and when all are closed, or the time is up, the drain has ended. Control thread. */
#pragma once

#include "server/binds.h"
#include "server/workers.h"

struct drain {
    /* borrows; set before drain_init */
    struct control *control;
    struct workers *workers;
    void (*ended)(void *arg);
    void *arg;

    struct wakeup *idle; /* owns: a worker has nothing open any more */
    struct deadline grace, timeout;
    struct order_round order;
    struct binds *binds; /* borrows: while draining */
    enum {
        DRAIN_IDLE,    /* not begun */
        DRAIN_GRACE,   /* everything goes on */
        DRAIN_CLOSING, /* the workers close their listeners */
        DRAIN_WAITING, /* for what is open */
        DRAIN_ENDED,
    } stage;
    int64_t began_ms;
    size_t exchanges_before;
    uint64_t requests_before;
};

void drain_init(struct drain *drain);
void drain_deinit(struct drain *drain);

/* Begins to drain what listens to `binds` (borrowed), with the times of `config`. */
void drain_begin(struct drain *drain, struct binds *binds, const struct config *config);

/* Ends at once, whatever is open. */
void drain_end(struct drain *drain);

/* Something that is open may have closed. Any thread; `arg` is a struct drain. */
void drain_note_idle(void *arg);
