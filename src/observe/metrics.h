/* Counters. Each worker owns one `struct metrics` and is its only writer (relaxed stores, no
 * lock, no shared cache line). The control thread reads them and adds them up. metrics_table.h
 * lists them. The figures of a group are in `struct group_metrics`, one for each worker and
 * group name. A reload does not reset them; they expire some time after the group has left the
 * configuration. */
#pragma once

#include "base/base.h"
#include "base/json.h"
#include "base/reason.h"
#include "base/str.h"
#include "observe/metrics_table.h"

#include <pthread.h>
#include <stdatomic.h>

/* A value with one writer and any number of readers. */
typedef _Atomic uint64_t metric;

static inline void metric_add(metric *m, uint64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void metric_sub(metric *m, uint64_t n)
{
    metric_add(m, (uint64_t)0 - n);
}

static inline uint64_t metric_get(const metric *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

/* Log-linear histogram of microseconds: 8 sub-buckets per power of two, ≤ 12.5 % wide each. */
enum { HISTOGRAM_BUCKETS = 256 };
struct histogram {
    metric bucket[HISTOGRAM_BUCKETS];
    metric sum_us;
};
void histogram_add(struct histogram *histogram, uint64_t us);

enum status_class { STATUS_1XX, STATUS_2XX, STATUS_3XX, STATUS_4XX, STATUS_5XX, STATUS_CLASSES };

struct group_metrics {
    struct group_metrics *next;       /* unlinked by the worker, with the lock of `metrics` */
    char name[64];                    /* label */
    _Atomic(const char *) side;       /* label: borrows static text; the worker changes it */
    metric users;                     /* targets and configurations of the worker that count here */
    atomic_bool is_expired;           /* set by the control thread: no longer printed */
    struct group_fate *fate;          /* owns; control thread */
    metric requests;                  /* exchanges that were sent to the group */
    metric responses[STATUS_CLASSES]; /* as seen by the client */
    metric failures[REASON_COUNT];    /* ended with that reason */
    metric retries, retries_denied, connects, connect_failures, active;
    struct histogram duration, connect_time;
};

enum { LABEL_MAX = 64 };

struct datacenter_metric {
    struct datacenter_metric *next;
    char router[LABEL_MAX], why[LABEL_MAX], rule[LABEL_MAX];
    metric count;
};

struct metrics {
    metric counters[COUNTER_COUNT];
    metric gauges[GAUGE_COUNT];
    metric reasons[REASON_COUNT]; /* every exchange or connection that ended with that reason */
    metric responses[600];        /* to clients, by status */
    struct histogram duration;    /* whole exchanges */
    _Atomic(struct group_metrics *) groups;
    _Atomic(struct datacenter_metric *) datacenters; /* owns */
    pthread_mutex_t lock; /* held while groups are read by another thread, and while one is freed */
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* The worker's own thread: finds or makes the counter of requests that a router sends to a
 * datacenter for `why`, and for the rule of primary_if named `rule` ("-": none). Cold: call once
 * and keep it. Lives as long as `metrics`. */
metric *metrics_datacenter(struct metrics *metrics, struct str router, struct str why,
                           struct str rule);

/* The worker's own thread: finds or makes the figures of a group. A group has one series, so `side`
 * replaces the side of figures that exist. Cold: call once, keep them, and release them when
 * nothing will be counted any more. */
struct group_metrics *metrics_group(struct metrics *metrics, struct str name, const char *side);

/* The worker's own thread: changes the label of a group's one series to `side`, a static text. */
void metrics_group_set_side(struct group_metrics *group, const char *side);
void metrics_group_release(struct group_metrics **group);

/* The worker's own thread, from time to time: frees figures that have expired. Never waits. */
void metrics_free_expired(struct metrics *metrics);

/* --- reading: control thread ----------------------------------------------------------------- */

/* Adds the page in Prometheus text format 0.0.4 to `out` (grows it with mem_resize): the sum over
 * `count` workers. */
struct text {
    char *ptr; /* owns */
    size_t len, cap;
};
void text_add(struct text *text, const char *fmt, ...) PRINTF(2, 3);
void text_add_str(struct text *text, struct str s);
void text_add_json(struct text *text, struct str s);         /* as a quoted JSON string */
void text_add_doc(struct text *text, const struct doc *doc); /* indented */
char *text_room(struct text *text, size_t more); /* that many bytes and a NUL fit at the end */
void text_free(struct text *text);
void metrics_print(struct metrics *const *workers, size_t count, struct text *out);

/* The same page in pieces, for a reader that may be slow: first `begin`, which adds the figures
 * of the workers and takes the sums of all groups, then `next` until it returns false. The text
 * of a piece is bounded however many groups there are. `workers` is not needed after `begin`. */
struct metrics_page {
    struct totals_table *groups; /* owns */
    size_t figure, group;        /* what the next piece begins with */
};
void metrics_page_init(struct metrics_page *page);
void metrics_page_begin(struct metrics_page *page, struct metrics *const *workers, size_t count,
                        struct text *out);
bool metrics_page_next(struct metrics_page *page, struct text *out);
void metrics_page_deinit(struct metrics_page *page);

/* Figures of a group that is not in the configuration expire `keep_ms` after the last use,
 * if a page has shown their last values by then, and after ten times as long if none has. */

/* The configuration in force has changed. */
void metrics_mark_groups(struct metrics *const *workers, size_t count,
                         bool (*is_in_force)(void *arg, struct str name), void *arg);

/* To be called from time to time. `now_ms` is monotonic. */
void metrics_expire_groups(struct metrics *const *workers, size_t count, int64_t now_ms,
                           int64_t keep_ms);

/* Parts of metrics_print and metrics_free. */
void metrics_print_datacenters(struct metrics *const *workers, size_t count, struct text *out);
void metrics_free_datacenters(struct metrics *metrics);
