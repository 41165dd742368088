/* What the caller of the server decides: where the configuration comes from, and callbacks. */
#pragma once

#include "observe/access_log.h"
#include "server/snapshot.h"

struct server_options {
    snapshot_source *source; /* asked at the start, and at each reload on the job thread */
    void *source_arg;
    unsigned workers; /* 0: as configured */
    /* Does a SIGHUP that came mean "end" instead of "reload"? NULL: never. */
    bool (*hangup_is_end)(void *arg);
    void *hangup_arg;
    /* Called when the server begins to serve; may be NULL. Control thread. */
    void (*ready)(void *arg);
    void *ready_arg;
    /* Called with every access log entry, whether it is logged or not; may be NULL. Log thread. */
    void (*watch)(void *arg, const struct access_entry *entry);
    void *watch_arg;
};
