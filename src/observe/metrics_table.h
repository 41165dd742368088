/* The one table of metrics: name, kind, unit, labels and help of everything that /metrics
 * prints. A metric is one row here, and docs/reference/metrics.md lists each (tests/unit/observe
 * checks it). */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct text;

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* A row is X(id, kind, name, unit, labels, help). `unit` says what is counted and is for people;
 * "": the help text says it. `labels` are the names of the labels in the order in which they are
 * printed, with commas between them. */

/* Counters of a worker: `metrics->counters[COUNTER_id]`, added up over the workers. */
#define COUNTERS(X)                                                                                \
    X(DOWN_CONNECTIONS, COUNTER, "weir_downstream_connections_total", "connections", "",           \
      "Client connections accepted")                                                               \
    X(DOWN_TLS_FULL, COUNTER, "weir_downstream_tls_full_total", "handshakes", "",                  \
      "Full TLS handshakes completed with clients")                                                \
    X(DOWN_TLS_RESUMED, COUNTER, "weir_downstream_tls_resumed_total", "handshakes", "",            \
      "Resumed TLS handshakes completed with clients")                                             \
    X(HANDSHAKES_OFFLOADED, COUNTER, "weir_handshakes_offloaded_total", "handshakes", "",          \
      "Full TLS handshakes that a handshake thread has signed")                                    \
    X(DOWN_REQUESTS_H1, COUNTER, "weir_downstream_requests_h1_total", "requests", "",              \
      "Requests over HTTP/1")                                                                      \
    X(DOWN_REQUESTS_H2, COUNTER, "weir_downstream_requests_h2_total", "requests", "",              \
      "Requests over HTTP/2")                                                                      \
    X(DOWN_BYTES_IN, COUNTER, "weir_downstream_bytes_in_total", "bytes", "",                       \
      "Bytes read from clients, after TLS decryption")                                             \
    X(DOWN_BYTES_OUT, COUNTER, "weir_downstream_bytes_out_total", "bytes", "",                     \
      "Bytes written to clients, before TLS encryption")                                           \
    X(ACCEPT_PAUSED, COUNTER, "weir_accept_paused_total", "times", "",                             \
      "Times a listener stopped accepting because descriptors ran out")                            \
    X(CONNECTIONS_REFUSED, COUNTER, "weir_connections_refused_total", "connections", "",           \
      "Connections closed at once because a limit was reached")                                    \
    X(HELD_LIMIT, COUNTER, "weir_held_limit_total", "times", "",                                   \
      "Times reading from a client stopped because weir holds too much memory for it")             \
    X(ODD_NAMES_DROPPED, COUNTER, "weir_odd_names_dropped_total", "fields", "",                    \
      "Request fields dropped because of the characters in their names")                           \
    X(FORWARDED_UNREADABLE, COUNTER, "weir_forwarded_unreadable_total", "requests", "",            \
      "Requests of trusted peers whose forwarding fields have no usable client address")           \
    X(HEADER_RULES_SKIPPED, COUNTER, "weir_header_rules_skipped_total", "rules", "",               \
      "Header rules not applied because the new value was too long or not a valid field value")    \
    X(UP_CONNECTS, COUNTER, "weir_upstream_connects_total", "connections", "",                     \
      "Upstream connections opened")                                                               \
    X(UP_REUSED, COUNTER, "weir_upstream_reused_total", "requests", "",                            \
      "Requests sent on a pooled upstream connection")                                             \
    X(UP_CANCELS_SPENT, COUNTER, "weir_upstream_cancels_spent_total", "connections", "",           \
      "HTTP/2 upstream connections that take no more requests because of max_cancels")             \
    X(UP_RETRIES, COUNTER, "weir_upstream_retries_total", "attempts", "",                          \
      "Attempts after the first")                                                                  \
    X(UP_RACES, COUNTER, "weir_upstream_races_total", "requests", "",                              \
      "Requests sent again because a pooled connection closed before it read them")                \
    X(RETRY_BODIES_LOST, COUNTER, "weir_retry_bodies_lost_total", "bodies", "",                    \
      "Request bodies not kept for a retry because max_retry_body_bytes or max_retry_memory was "  \
      "reached")                                                                                   \
    X(UP_RETRIES_DENIED, COUNTER, "weir_upstream_retries_denied_total", "retries", "",             \
      "Retries not made because the group's retry budget was empty")                               \
    X(INTERIM_FLOODS, COUNTER, "weir_upstream_interim_floods_total", "responses", "",              \
      "Responses aborted because interim responses came faster than max_interim_rate")             \
    X(PATTERN_LIMITS, COUNTER, "weir_pattern_limits_total", "matches", "",                         \
      "Regular expressions of rules that took too long to match")                                  \
    X(ACCESS_LOG_DROPPED, COUNTER, "weir_access_log_dropped_total", "entries", "",                 \
      "Access log entries lost because the ring was full")                                         \
    X(LOOP_TURNS, COUNTER, "weir_loop_turns_total", "turns", "",                                   \
      "Turns of the workers' event loops")

/* Gauges of a worker: `metrics->gauges[GAUGE_id]`, added up over the workers. */
#define GAUGES(X)                                                                                  \
    X(DOWN_CONNECTIONS_OPEN, GAUGE, "weir_downstream_connections", "connections", "",              \
      "Client connections open now")                                                               \
    X(DOWN_STREAMS_OPEN, GAUGE, "weir_downstream_streams", "requests", "",                         \
      "Requests in flight now")                                                                    \
    X(UP_CONNECTIONS_OPEN, GAUGE, "weir_upstream_connections", "connections", "",                  \
      "Upstream connections open now")                                                             \
    X(RETRY_BODY_BYTES, GAUGE, "weir_retry_body_bytes", "bytes", "",                               \
      "Memory in request bodies kept for a retry")                                                 \
    X(BUFFER_BYTES, GAUGE, "weir_buffer_bytes", "bytes", "", "Memory in pooled buffers in use")

/* Other figures of the workers, added up over them. */
#define WORKER_FIGURES(X)                                                                          \
    X(RESPONSES, COUNTER, "weir_responses_total", "responses", "status",                           \
      "Responses to clients, by status")                                                           \
    X(REASONS, COUNTER, "weir_reasons_total", "requests and connections", "reason",                \
      "Requests and connections that failed, by reason")                                           \
    X(REQUEST_DURATION, HISTOGRAM, "weir_request_duration_seconds", "seconds", "",                 \
      "Time from the first byte of a request's head to the last byte of its response")             \
    X(DATACENTER_DECISIONS, COUNTER, "weir_datacenter_decisions_total", "requests",                \
      "router,dc_why,primary_if",                                                                  \
      "Requests to which multi_dc applies, by why they stay local or go to the primary "           \
      "datacenter")

/* Figures of a group, added up over the workers. */
#define GROUP_FIGURES(X)                                                                           \
    X(GROUP_REQUESTS, COUNTER, "weir_group_requests_total", "requests", "group,side",              \
      "Requests sent to the group")                                                                \
    X(GROUP_RETRIES, COUNTER, "weir_group_retries_total", "attempts", "group,side",                \
      "Attempts after the first")                                                                  \
    X(GROUP_RETRIES_DENIED, COUNTER, "weir_group_retries_denied_total", "retries", "group,side",   \
      "Retries not made because the group's retry budget was empty")                               \
    X(GROUP_CONNECTS, COUNTER, "weir_group_connects_total", "connections", "group,side",           \
      "Connections opened to the group")                                                           \
    X(GROUP_CONNECT_FAILURES, COUNTER, "weir_group_connect_failures_total", "connections",         \
      "group,side", "Connections to the group that could not be opened")                           \
    X(GROUP_ACTIVE, GAUGE, "weir_group_active", "requests", "group,side",                          \
      "Requests in flight to the group now")                                                       \
    X(GROUP_RESPONSES, COUNTER, "weir_group_responses_total", "responses", "group,side,class",     \
      "Responses of the group as clients got them, by status class")                               \
    X(GROUP_FAILURES, COUNTER, "weir_group_failures_total", "requests", "group,side,reason",       \
      "Requests to the group that failed, by reason")                                              \
    X(GROUP_DURATION, HISTOGRAM, "weir_group_duration_seconds", "seconds", "group,side",           \
      "Time from the request's head to the end of the group's response")                           \
    X(GROUP_CONNECT_TIME, HISTOGRAM, "weir_group_connect_seconds", "seconds", "group,side",        \
      "Time to open a connection to the group, TLS included")

/* Figures of the control thread. */
#define CONTROL_FIGURES(X)                                                                         \
    X(BUILD_INFO, GAUGE, "weir_build_info", "", "version",                                         \
      "Always 1; the label is the running version")                                                \
    X(WORKERS, GAUGE, "weir_workers", "threads", "", "Worker threads")                             \
    X(WORKER_STUCK, GAUGE, "weir_worker_stuck", "", "worker",                                      \
      "1 for a worker that has not answered an order for two seconds")                             \
    X(READY, GAUGE, "weir_ready", "", "", "1 while weir accepts new traffic")                      \
    X(CONFIG_INFO, GAUGE, "weir_config_info", "", "version",                                       \
      "Always 1; the label is the version of the configuration in force")                          \
    X(CONFIG_LOADED, GAUGE, "weir_config_loaded_timestamp_seconds", "seconds since 1970", "",      \
      "When the configuration in force was loaded")                                                \
    X(LAST_RELOAD_SUCCESSFUL, GAUGE, "weir_config_last_reload_successful", "", "",                 \
      "1 when the last reload took effect, 0 when it was refused")                                 \
    X(RELOADS, COUNTER, "weir_reloads_total", "reloads", "", "Reloads that took effect")           \
    X(RELOAD_FAILURES, COUNTER, "weir_reload_failures_total", "reloads", "",                       \
      "Reloads that were refused")                                                                 \
    X(ACCESS_LOG_LOST, COUNTER, "weir_access_log_lost_total", "lines", "",                         \
      "Log lines lost because a write failed")                                                     \
    X(ACCESS_LOG_REOPEN_FAILURES, COUNTER, "weir_access_log_reopen_failures_total", "times", "",   \
      "Times the access log could not be reopened and its old file stayed in use")                 \
    X(DNS_FAILURES, COUNTER, "weir_dns_failures_total", "look-ups", "",                            \
      "Look-ups of names that failed")                                                             \
    X(DNS_STALE, GAUGE, "weir_dns_stale_names", "names", "",                                       \
      "Names with addresses that could not be refreshed, in one address family or both")           \
    X(DNS_GONE, GAUGE, "weir_dns_gone_names", "names", "",                                         \
      "Names that do not exist or have no address, by the last answer")                            \
    X(DNS_DROPPED, COUNTER, "weir_dns_addresses_dropped_total", "addresses", "",                   \
      "Addresses above dns_max_addresses, counted when an answer changed")                         \
    X(OVERLOAD_LEVEL, GAUGE, "weir_overload_level", "level", "",                                   \
      "0: normal, 1: no keep-alive, 2: new connections refused, 3: requests refused")              \
    X(MEMORY_LIMIT, GAUGE, "weir_memory_limit_bytes", "bytes", "",                                 \
      "Memory limit that the overload levels are computed from; 0: no limit")                      \
    X(DESCRIPTORS_LIMIT, GAUGE, "weir_descriptors_limit", "descriptors", "",                       \
      "Descriptors available to clients, upstreams and weir itself")                               \
    X(LOOP_LAG, GAUGE, "weir_loop_lag_seconds", "seconds", "",                                     \
      "Delay of the slowest worker's event loop")                                                  \
    X(SPLIT_SHARE, GAUGE, "weir_split_share", "0 to 1", "router,level,name,place,service",         \
      "Share of k8s in the configuration, without the emergency switch")                           \
    X(SPLIT_EMERGENCY, GAUGE, "weir_split_emergency", "", "router,emergency",                      \
      "1 for the emergency in force")                                                              \
    X(CERTIFICATE_EXPIRES, GAUGE, "weir_certificate_expires_timestamp_seconds",                    \
      "seconds since 1970", "listener,certificate", "When a certificate expires")

/* What the kernel reports about the process; a figure that cannot be read is left out. */
#define PROCESS_FIGURES(X)                                                                         \
    X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "seconds", "",                            \
      "User and system CPU time")                                                                  \
    X(PROCESS_RESIDENT, GAUGE, "process_resident_memory_bytes", "bytes", "", "Resident memory")    \
    X(PROCESS_VIRTUAL, GAUGE, "process_virtual_memory_bytes", "bytes", "", "Virtual memory")       \
    X(PROCESS_THREADS, GAUGE, "process_threads", "threads", "", "Threads")                         \
    X(PROCESS_START, GAUGE, "process_start_time_seconds", "seconds since 1970", "",                \
      "When the process started")                                                                  \
    X(PROCESS_OPEN_FDS, GAUGE, "process_open_fds", "descriptors", "", "Open descriptors")          \
    X(PROCESS_MAX_FDS, GAUGE, "process_max_fds", "descriptors", "", "Limit of open descriptors")

#define METRICS(X)                                                                                 \
    COUNTERS(X) GAUGES(X) WORKER_FIGURES(X) GROUP_FIGURES(X) CONTROL_FIGURES(X) PROCESS_FIGURES(X)

enum counter {
#define X(id, kind, name, unit, labels, help) COUNTER_##id,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};

enum gauge {
#define X(id, kind, name, unit, labels, help) GAUGE_##id,
    GAUGES(X)
#undef X
        GAUGE_COUNT
};

/* All rows; the counters and gauges of workers come first, so METRIC_x is COUNTER_x for a
 * counter. */
enum metric_id {
#define X(id, kind, name, unit, labels, help) METRIC_##id,
    METRICS(X)
#undef X
        METRIC_COUNT
};

enum { METRIC_FIRST_GAUGE = COUNTER_COUNT, METRIC_LABELS_MAX = 5 };

struct metric_info {
    enum metric_kind kind;
    const char *name, *unit, *labels, *help; /* static text */
};

const struct metric_info *metric_info(enum metric_id id);
const char *metric_kind_word(enum metric_kind kind);

/* Adds the HELP and TYPE lines of a metric. They stand once, before its samples. */
void text_add_metric(struct text *out, enum metric_id id);

/* Adds one sample of a counter or a gauge. `labels` has a value for each label of the metric, in
 * the table's order; NULL when it has none. */
void text_add_sample(struct text *out, enum metric_id id, const struct str *labels, uint64_t value);

/* The same for a value that is not a whole number: `value` is the text to print. */
void text_add_sample_text(struct text *out, enum metric_id id, const struct str *labels,
                          struct str value);

/* Adds name="value",name="value" for the first `count` labels of the metric; nothing for 0. */
void text_add_labels(struct text *out, enum metric_id id, const struct str *labels, size_t count);

/* Adds the value of a label, escaped. */
void text_add_label(struct text *out, struct str value);
