/* Which endpoint takes the next request. A balancer is a kind (its operations) with the state that
 * the kind needs for one target. What it chooses from are loads, so that it is tested without a
 * socket; dice and clock are arguments. */
#pragma once

#include "base/base.h"
#include "config/config.h"

/* What the choice knows of one endpoint. */
struct load {
    uint32_t active;          /* requests in flight and connections being made */
    uint32_t failures;        /* requests failed in a row; breaks ties */
    int64_t shunned_until_ms; /* a connect has just failed: only taken when all are shunned */
    bool is_full;             /* no connection has room and no more may be made */
};

enum { BALANCE_NONE = -1 };

/* What a choice is made from. */
struct balance_case {
    const struct load *loads;
    int count;
    int avoid; /* index of the endpoint that just failed, or BALANCE_NONE: only if there is no other */
    int64_t now_ms;
};

/* Power of two random choices: of two endpoints drawn, the one with fewer requests in flight. When
 * one of them cannot be had the other is taken, when neither, the next that can. BALANCE_NONE when
 * none. */
int balance_least_request(const struct balance_case *c, uint64_t *dice);

/* Each in its turn; `*cursor` is the index to look at first and moves on. */
int balance_round_robin(const struct balance_case *c, uint32_t *cursor);

/* --- kinds ----------------------------------------------------------------------------------- */

struct balancer;

/* One row for each kind; the table is in balancer.c, by enum balance. */
struct balancer_ops {
    const char *name; /* as in the configuration */
    /* The endpoint for a request: an index of c->loads, or BALANCE_NONE. */
    int (*pick)(struct balancer *balancer, const struct balance_case *c, uint64_t *dice);
    /* Must a request go to the endpoint that was picked for it? Else it may take any connection that
     * becomes free first. */
    bool keeps_affinity;
};

/* Embedded in a target; zeroed before first use. */
struct balancer {
    const struct balancer_ops *ops;
    uint32_t cursor; /* round robin: the index to look at first */
};

/* Makes it of that kind; the state of the same kind is kept. */
void balancer_configure(struct balancer *balancer, enum balance kind);
