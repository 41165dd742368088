/* Where entries of the access log go. The log thread takes each entry out of a worker's ring
 * once and offers it to every sink of the writer. A sink never waits for long: what it cannot
 * take is lost, and counted. All of a sink's functions run on the log thread. */
#pragma once

#include "observe/access_log.h"

struct log_sink;

struct log_sink_figures {
    uint64_t lost;            /* entries lost, and writes that failed for good */
    uint64_t reopen_failures; /* times that `reopen` failed and the sink went on as before */
};

/* A function that may be NULL is marked. */
struct log_sink_ops {
    const char *name;
    /* Does the sink want the entry? It is cheap and has no effect. NULL: every entry. */
    bool (*accepts)(const struct log_sink *sink, const struct access_entry *entry);
    /* `entry` and its texts are valid during the call. */
    void (*write)(struct log_sink *sink, const struct access_entry *entry);
    /* Sends what was collected, with one attempt. NULL: nothing is collected. */
    void (*flush)(struct log_sink *sink);
    /* Is there something that the last flush could not send? NULL: never. */
    bool (*is_behind)(const struct log_sink *sink);
    /* Opens the file or the connection again. NULL: there is nothing to open. */
    void (*reopen)(struct log_sink *sink);
    /* Adds its figures to `figures`. NULL: none. */
    void (*metrics)(const struct log_sink *sink, struct log_sink_figures *figures);
    /* Frees the sink without waiting; `flush` was called before. */
    void (*free)(struct log_sink *sink);
};

/* To be embedded. */
struct log_sink {
    const struct log_sink_ops *ops;
    struct log_sink *next; /* the writer's list */
};

/* Adds a sink behind those that the writer has; it owns the sink from now on. */
void access_writer_add(struct access_writer *writer, struct log_sink *sink);

/* --- the sinks ------------------------------------------------------------------------------- */

/* Lines of JSON to a file, or to standard output when `path` is "-". */
MUST_USE struct log_sink *file_sink_new(struct str path, struct err *err);

/* The user owns the file from now on, so that it can be reopened as this user. */
MUST_USE int file_sink_give_to(struct log_sink *sink, uid_t uid, struct err *err);

/* Calls `watch` for each entry. */
struct log_sink *watch_sink_new(void (*watch)(void *arg, const struct access_entry *entry),
                                void *arg);
