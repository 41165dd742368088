/* Counters. Each worker owns one `struct metrics` and is its only writer (relaxed stores, no lock,
 * no shared cache line); the control thread reads them all and adds up. Names, help and kinds stand
 * in one table. Per-group figures live in `struct group_metrics`, one per worker and group name,
 * made once and kept for the life of the process so that a reload never resets a counter. */
#pragma once

#include "base/base.h"
#include "base/reason.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>

/*        id                     prometheus name                     help */
#define COUNTERS(X)                                                                                \
    X(DOWN_CONNECTIONS, "weir_downstream_connections_total", "Connections accepted")               \
    X(DOWN_TLS_FULL, "weir_downstream_tls_full_total", "Full TLS handshakes completed")            \
    X(DOWN_TLS_RESUMED, "weir_downstream_tls_resumed_total", "Resumed TLS handshakes completed")   \
    X(HANDSHAKES_OFFLOADED, "weir_handshakes_offloaded_total",                                     \
      "Full TLS handshakes that a helper thread has signed")                                       \
    X(DOWN_REQUESTS_H1, "weir_downstream_requests_h1_total", "Requests over HTTP/1")               \
    X(DOWN_REQUESTS_H2, "weir_downstream_requests_h2_total", "Requests over HTTP/2")               \
    X(DOWN_BYTES_IN, "weir_downstream_bytes_in_total", "Bytes read from clients, after TLS")       \
    X(DOWN_BYTES_OUT, "weir_downstream_bytes_out_total", "Bytes written to clients, before TLS")   \
    X(ACCEPT_PAUSED, "weir_accept_paused_total",                                                   \
      "Times a listener paused for want of descriptors")                                           \
    X(CONNECTIONS_REFUSED, "weir_connections_refused_total",                                       \
      "Connections closed at once because a cap was reached")                                      \
    X(HELD_LIMIT, "weir_held_limit_total",                                                         \
      "Times a client connection had to wait because of what weir holds for it")                   \
    X(ODD_NAMES_DROPPED, "weir_odd_names_dropped_total",                                           \
      "Request fields dropped because of the characters in their names")                           \
    X(FORWARDED_UNREADABLE, "weir_forwarded_unreadable_total",                                     \
      "Requests of trusted peers whose forwarding fields do not say who the client is")            \
    X(HEADER_RULES_SKIPPED, "weir_header_rules_skipped_total",                                     \
      "Header rules not done because the value was too long or none that a field may have")        \
    X(UP_CONNECTS, "weir_upstream_connects_total", "Upstream connections opened")                  \
    X(UP_REUSED, "weir_upstream_reused_total", "Requests sent on a pooled connection")             \
    X(UP_CANCELS_SPENT, "weir_upstream_cancels_spent_total",                                       \
      "HTTP/2 upstream connections that take no more requests because of max_cancels")             \
    X(UP_RETRIES, "weir_upstream_retries_total", "Attempts after the first")                       \
    X(UP_RACES, "weir_upstream_races_total",                                                       \
      "Requests sent again because a pooled connection was gone before it read them")              \
    X(RETRY_BODIES_LOST, "weir_retry_bodies_lost_total",                                           \
      "Request bodies not kept for a retry because max_retry_body_bytes or max_retry_memory was "  \
      "reached")                                                                                   \
    X(UP_RETRIES_DENIED, "weir_upstream_retries_denied_total",                                     \
      "Retries not made because the group's budget was empty")                                     \
    X(INTERIM_FLOODS, "weir_upstream_interim_floods_total",                                        \
      "Responses given up because interim ones came faster than max_interim_rate")                 \
    X(PATTERN_LIMITS, "weir_pattern_limits_total",                                                 \
      "Regular expressions of rules that took too long to match")                                  \
    X(ACCESS_LOG_DROPPED, "weir_access_log_dropped_total",                                         \
      "Access log entries that did not fit into the ring")                                         \
    X(LOOP_TURNS, "weir_loop_turns_total", "Event loop turns")

enum counter {
#define X(id, name, help) COUNTER_##id,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};

#define GAUGES(X)                                                                                  \
    X(DOWN_CONNECTIONS_OPEN, "weir_downstream_connections", "Connections open now")                \
    X(DOWN_STREAMS_OPEN, "weir_downstream_streams", "Requests in flight now")                      \
    X(UP_CONNECTIONS_OPEN, "weir_upstream_connections", "Upstream connections open now")           \
    X(RETRY_BODY_BYTES, "weir_retry_body_bytes", "Memory in request bodies kept for a retry")      \
    X(BUFFER_BYTES, "weir_buffer_bytes", "Memory in pooled buffers in use")

enum gauge {
#define X(id, name, help) GAUGE_##id,
    GAUGES(X)
#undef X
        GAUGE_COUNT
};

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
    atomic_bool is_expired;           /* set by the control thread: not printed any more */
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
 * datacentre for `why`, and for the rule of primary_if named `rule` ("-": none). Cold: call once
 * and keep it. Lives as long as `metrics`. */
metric *metrics_datacenter(struct metrics *metrics, struct str router, struct str why,
                           struct str rule);

/* The worker's own thread: finds or makes the figures of a group. A group has one series, so `side`
 * replaces the side of figures that exist. Cold: call once, keep them, and give them back when
 * nothing will be counted any more. */
struct group_metrics *metrics_group(struct metrics *metrics, struct str name, const char *side);

/* The worker's own thread: changes the label of a group's one series to `side`, a static text. */
void metrics_group_set_side(struct group_metrics *group, const char *side);
void metrics_group_release(struct group_metrics **group);

/* The worker's own thread, now and then: frees figures that have expired. Never waits. */
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
void text_add_json(struct text *text, struct str s); /* as a quoted JSON string */
char *text_room(struct text *text, size_t more);     /* that many bytes and a NUL fit at the end */
void text_free(struct text *text);
void metrics_print(struct metrics *const *workers, size_t count, struct text *out);

/* Figures of a group that is not in the configuration stay for `keep_ms` after its last request,
 * and until a page has shown their last values; without any page, for ten times as long. */

/* The configuration in force has changed. */
void metrics_mark_groups(struct metrics *const *workers, size_t count,
                         bool (*is_in_force)(void *arg, struct str name), void *arg);

/* Now and then; the time is monotonic. */
void metrics_expire_groups(struct metrics *const *workers, size_t count, int64_t now_ms,
                           int64_t keep_ms);

/* For pages that add to it: the HELP and TYPE lines of a metric, and a label's value escaped. */
void text_add_metric(struct text *out, const char *name, const char *type, const char *help);
void text_add_label(struct text *out, struct str value);

/* Parts of metrics_print and metrics_free. */
void metrics_print_datacenters(struct metrics *const *workers, size_t count, struct text *out);
void metrics_free_datacenters(struct metrics *metrics);
