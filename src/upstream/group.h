/* A group of one worker: its targets with their connections, what it may retry, and its counters.
 *
 * A group outlives configurations. A reload finds it by its name, once, and gives it its new
 * configuration; exchanges keep a reference, so that a request of an older configuration can still
 * ask it for a target. All calls on the worker's own thread. */
#pragma once

#include "config/config.h"
#include "observe/metrics.h"
#include "upstream/retry_budget.h"

struct upstream;
struct target;

struct group {
    struct upstream *upstream; /* borrows */
    unsigned refs;
    char *name;                    /* owns */
    const struct group_conf *conf; /* borrows: of the configuration last adopted, or `last_conf` */
    struct group_conf last_conf;   /* the numbers of `conf`, after the group has left it */
    bool is_retired;               /* no longer in the configuration */

    struct target **targets; /* shares: in the order of conf->targets */
    size_t target_count;
    struct retry_budget retry_budget;
    struct group_metrics *metrics; /* one series of the worker, whatever traffic the group gets */
};

/* The group of index `group` in the configuration last adopted; borrowed. */
struct group *upstream_group(struct upstream *upstream, int group);

struct group *group_ref(struct group *group);
void group_unref(struct group **group);

/* The target of index `target` in the configuration in force. NULL when the group has left it, or
 * has fewer targets now. Borrowed: a lease keeps its target alive. */
struct target *group_target(const struct group *group, int target);

/* A request goes to the group: it pays in to the retry budget (upstream/retry_budget.h). */
void group_earn_retry(struct group *group);

/* May the group make one more retry now? It is counted when it may. A group that has left the
 * configuration always may. */
MUST_USE bool group_spend_retry(struct group *group);
