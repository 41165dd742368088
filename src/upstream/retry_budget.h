/* How many retries a group may make, so that an outage does not double its load: pure arithmetic,
 * with the clock as an argument. One for each group and worker.
 *
 * Every request that goes to the group pays in `share` of a retry, whatever its method and whether
 * or not it will fail; every retry takes one out. All retries count, those too whose first attempt
 * cannot have been processed (refused connects, GOAWAY, REFUSED_STREAM): an upstream that is down
 * has to bear each of them. What requests have paid in is kept up to `ceiling` retries, so that
 * quiet hours do not save up a flood. And because a group with few requests could otherwise never
 * retry, in each period the first `floor` retries are granted even where they are not paid for;
 * what was lent the requests of that period pay back first.
 *
 * The promise: in each period, and so in a stretch within one,
 *
 *     retries <= the larger of `floor` and of `share` of its requests + what was saved before,
 *
 * and while periods bring enough requests to pay for the floor (with the defaults 50 in 10 s, in
 * this worker) the floor adds nothing from one to the next: over any stretch
 *
 *     tries <= (1 + `share`) * requests + what was saved before (at most `ceiling`) + `floor`. */
#pragma once

#include "config/config.h"

enum { RETRY_PERIOD_MS = 10 * 1000 };

/* Zeroed before first use. */
struct retry_budget {
    int64_t saved;     /* SHARE_MAX for each retry; below 0: owed */
    int64_t period_ms; /* when the period began */
    uint32_t made;     /* retries in this period */
};

/* A request goes to the group. */
void retry_budget_earn(struct retry_budget *budget, const struct retry_budget_conf *conf);

/* May it make a retry? Takes it out when it may. */
bool retry_budget_spend(struct retry_budget *budget, const struct retry_budget_conf *conf,
                        int64_t now_ms);
