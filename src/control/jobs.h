/* Work that takes long or waits for a disk, on a thread of its own, so that the control thread goes
 * on meanwhile: configurations and certificates are loaded here. One job runs at a time, in the
 * order in which they were submitted. */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "net/loop.h"

/* Embedded in the job's own data, which must stay until `done`. */
struct job {
    struct list node;
    void (*run)(struct job *job);  /* on the job thread */
    void (*done)(struct job *job); /* then on the loop's thread; may free the job */
};

struct jobs;

/* Starts the thread, which inherits the caller's signal mask. When this returns, the thread has
 * chosen its malloc arena: a thread that starts before others has one to itself. */
MUST_USE struct jobs *jobs_new(struct loop *loop, struct err *err);

/* The loop's thread. */
void jobs_submit(struct jobs *jobs, struct job *job);

/* Finishes what was submitted and calls its `done`. When a job takes longer than JOBS_END_MS (a disk
 * that does not answer), it is leaked, since the process is about to end. Called on the loop's
 * thread; NULL is fine. */
enum { JOBS_END_MS = 5000 };
void jobs_free(struct jobs *jobs);
