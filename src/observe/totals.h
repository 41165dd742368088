/* Sums over workers. A snapshot is the sum of each group's counters at one time. The difference
 * of two snapshots is a window: what happened between them. The metrics page reads snapshots.
 * Whatever judges or shows recent traffic reads windows, so all of them count alike. Control
 * thread only. */
#pragma once

#include "observe/histogram.h"
#include "observe/metrics.h"

/* The sum of one group, of one side, or of everything. */
struct totals {
    char name[64];    /* the group; "" for a sum of several */
    const char *side; /* static text */
    uint64_t requests, responses[STATUS_CLASSES], failures[REASON_COUNT];
    uint64_t retries, retries_denied, connects, connect_failures;
    uint64_t active; /* a gauge: requests in flight at the end of the window */
    struct histogram_sum duration, connect_time;
};

/* Groups sorted by name; zero-initialised. */
struct totals_table {
    struct totals *items; /* owns */
    size_t count, capacity;
};

/* The sum of a counter or a gauge. A gauge's sum is never below 0, although the workers are read
 * one after the other. */
uint64_t totals_counter(struct metrics *const *workers, size_t count, enum counter counter);
uint64_t totals_gauge(struct metrics *const *workers, size_t count, enum gauge gauge);

/* Takes a snapshot: replaces what `table` holds. Waits for a worker that frees a group's
 * figures. */
void totals_collect(struct totals_table *table, struct metrics *const *workers, size_t count);
void totals_table_deinit(struct totals_table *table);

/* NULL when the table does not have the group. Borrowed until the table changes. */
const struct totals *totals_find(const struct totals_table *table, struct str group);

/* What happened between `before` and `after`, for the groups of `after`: replaces what `window`
 * holds, which must be a third table. A group that is new, or whose counters began again at 0
 * because its figures were freed in the meantime, counts from 0. Groups that are not in `after`
 * are left out. */
void totals_window(const struct totals_table *before, const struct totals_table *after,
                   struct totals_table *window);

/* Adds the group's totals to a sum. */
void totals_add(struct totals *sum, const struct totals *group);

/* The sum of the groups whose side is `side`. */
struct totals totals_of_side(const struct totals_table *table, struct str side);
