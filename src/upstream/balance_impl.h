/* Which endpoint takes the next request: pure choices over an array of loads, so that they are
 * tested without a socket. The dice and the clock are arguments. */
#pragma once

#include "base/base.h"

/* What the choice knows of one endpoint. */
struct load {
    uint32_t active;          /* requests in flight and connections being made */
    uint32_t failures;        /* requests failed in a row; breaks ties */
    int64_t shunned_until_ms; /* a connect has just failed: only taken when all are shunned */
    bool is_full;             /* no connection has room and no more may be made */
};

enum { BALANCE_NONE = -1 };

/* What must not be chosen: the endpoint that just failed, unless it is the only one. */
struct balance_case {
    const struct load *loads;
    int count;
    int avoid; /* index, or BALANCE_NONE */
    int64_t now_ms;
};

/* Power of two random choices: of two endpoints drawn, the one with fewer requests in flight. When
 * one of them cannot be had the other is taken, when neither, the next that can. BALANCE_NONE when
 * none. */
int balance_least_request(const struct balance_case *c, uint64_t *dice);

/* Each in its turn; `*cursor` is the index to look at first and moves on. */
int balance_round_robin(const struct balance_case *c, uint32_t *cursor);
