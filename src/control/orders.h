/* Part: orders to workers that need an answer, such as adopting a snapshot. An order travels to the
 * worker as a letter, the worker carries it out between two events of its loop, and the answer
 * comes back as a letter. The control thread does not wait for it: signals, DNS, admin and logs go
 * on. A worker that has not answered after ORDER_LATE_MS is reported: in the log, in a metric and
 * in the configuration status. */
#pragma once

#include "base/json.h"
#include "control/control.h"
#include "net/mailbox.h"

enum { ORDER_LATE_MS = 2000 };

/* One order to any number of workers. Embedded in what the order is about, which must stay until
 * `done`. */
struct order_round {
    const char *name;                                           /* for the log: "adopt" */
    void (*carry_out)(struct order_round *round, void *worker); /* on the worker's thread */
    /* Called on the control thread when every worker has answered; may be NULL. */
    void (*done)(struct order_round *round);
    size_t unanswered;
};

struct orders {
    struct control_part part;
    struct mailbox *answers; /* owns */
    struct list open;        /* struct order, without an answer yet; the oldest first */
    struct deadline late;    /* when to look for workers that have not answered */
};

void orders_add(struct orders *orders, struct control *control);

/* Lets the worker that owns `mailbox` carry out the orders that come to it. The worker's thread. */
void orders_receive(struct mailbox *mailbox);

/* Gives the order of `round` to one worker, which has this index and receives at `mailbox`;
 * `worker` is given to carry_out. Called for each worker in turn, from one callback. A worker
 * carries out its orders in the order in which they were given. */
void orders_give(struct orders *orders, struct order_round *round, size_t index,
                 struct mailbox *mailbox, void *worker);

/* Is there an order without an answer that is older than ORDER_LATE_MS? */
bool orders_is_stuck(const struct orders *orders, size_t index);

/* The late orders: a list for the caller to free, with worker, order and how long it has waited. */
struct doc *orders_status(const struct orders *orders);
