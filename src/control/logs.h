/* Part: the log thread. It takes records out of the workers' rings and writes them, so that a full
 * disk, a file system that hangs or a slow reader of a pipe stops neither workers nor the control
 * thread. It sleeps without a timer while there are no records. */
#pragma once

#include "control/control.h"
#include "net/mailbox.h"
#include "observe/access_log.h"

#include <pthread.h>
#include <stdatomic.h>

struct logs {
    struct control_part part;
    pthread_t thread;
    bool has_started, is_stuck;

    /* the log thread's own, once it has started */
    struct loop *loop;          /* owns */
    struct mailbox *mailbox;    /* owns: what the control thread wants done */
    struct wakeup *wakeup;      /* owns: records have come */
    struct deadline next_batch; /* when to look at the rings again */
    struct access_ring **rings; /* owns the array, borrows the rings */
    size_t ring_count;
    struct access_writer *writer; /* owns; NULL: none yet, the rings keep what they have */
    uint64_t failed_before, reopen_failures_before; /* of writers that were replaced */

    /* written by the log thread, read by control */
    _Atomic uint64_t failed, reopen_failures;
};

void logs_add(struct logs *logs, struct control *control);

/* Wakes the log thread; `arg` is a struct logs. Any thread. For access_ring_on_wake. */
void logs_wake(void *arg);

/* Starts the thread, which inherits the caller's signal mask and privileges. The rings are borrowed
 * until logs_end. */
MUST_USE int logs_start(struct logs *logs, struct access_ring *const *rings, size_t count,
                        struct err *err);

/* Lines go to `writer` (owned from now on) instead of the present one, which is closed. */
void logs_use(struct logs *logs, struct access_writer *writer);

/* Opens the log files again, after a rotation. */
void logs_reopen(struct logs *logs);

/* Writes what is left in the rings and ends the thread. No worker may write to its ring any more.
 * False when the thread has not ended after LOGS_END_MS, because a write hangs: then it may still
 * read the rings, which must stay until the process ends. */
enum { LOGS_END_MS = 2000 };
bool logs_end(struct logs *logs);
