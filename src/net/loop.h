/* The event loop of one thread. It uses libev, and has what every connection of a worker shares: a
 * clock that is read once per turn, deadlines that cost one store to move, tasks that run at the end
 * of the turn, and memory that is freed only then. All functions are for the loop's own thread,
 * except `wakeup_send`. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "net/deadline.h"

struct ev_loop;
struct loop;

/* Where a loop takes the time from. */
struct clock {
    int64_t (*mono_us)(void *arg); /* never goes back */
    int64_t (*wall_us)(void *arg); /* microseconds since 1970; may jump in both directions */
    void *arg;
};

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* runs what is still deferred first */

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Time of this turn, CLOCK_MONOTONIC in ms; not a system call. */
int64_t loop_now_ms(const struct loop *loop);
int64_t loop_now_us(const struct loop *loop);

/* The wall clock now. What is due at a date uses wall_alarm.h. */
int64_t loop_wall_us(const struct loop *loop);

/* --- for tests: a clock that the test moves --------------------------------------------------- */

/* The loop uses `clock` (copied) from now on, before anything is set. */
void loop_use_clock(struct loop *loop, const struct clock *clock);

/* One turn without sleep: reads the clock, fires the deadlines and alarms that are due, and runs
 * the tasks. Alarms notice it when the wall clock has moved otherwise than the monotonic one. */
void loop_turn(struct loop *loop);

/* Turns so far; wraps around. */
unsigned loop_turns(const struct loop *loop);

/* When a client last sent something on a connection on which it had sent something before. Such a
 * client would notice if this loop stood still. 0: never. */
int64_t loop_kept_client_ms(const struct loop *loop);

/* How many bytes a connection may read in this turn before other connections get their share:
 * LOOP_SHARE_MAX, and less after turns that took long, so that a small request does not wait for a
 * thousand large downloads. */
enum { LOOP_SHARE_MIN = 4096, LOOP_SHARE_MAX = 4 * BUF_SIZE };
size_t loop_read_share(const struct loop *loop);

/* This worker's slabs. */
struct buf_pool *loop_bufs(struct loop *loop);

/* LOOP_SCRATCH_BYTES of memory for the callback that runs now; the next callback overwrites it. Used
 * where bytes only pass through (records on their way to the socket, bytes that are swallowed). */
enum { LOOP_SCRATCH_BYTES = 112 * 1024 };
char *loop_scratch(struct loop *loop);

/* Descriptors from these numbers on are not used for connections. The kernel gives the lowest number
 * that is free, so a number shows how many are in use. Accepting stops before connecting does, so
 * that clients that were accepted can be served. 0 and 0: no bound, as in a new loop. */
void loop_limit_descriptors(struct loop *loop, int accept_max, int connect_max);

/* For net/ only: the libev loop underneath. */
struct ev_loop *loop_ev(struct loop *loop);

/* --- end of turn ----------------------------------------------------------------------------- */

/* Something to do once at the end of this turn, before the loop sleeps. */
struct task {
    struct list node;
    void (*run)(struct task *task);
};

void task_init(struct task *task, void (*run)(struct task *));

/* Queues `task` for the end of this turn; harmless when it is queued already. A task may queue
 * others; they run in the same turn, after those already queued. */
void loop_defer(struct loop *loop, struct task *task);

/* Runs `task` in the next turn, without sleeping before it: for work that was cut short so that
 * others get their share. Harmless when the task is queued already. */
void loop_defer_next(struct loop *loop, struct task *task);

/* Forgets a queued task; harmless when it is not queued. */
void task_cancel(struct task *task);

/* Calls `turned` at the end of every turn from now on, after its tasks; NULL ends that. One
 * function a loop. Used while something has to be watched that changes in many places. */
void loop_on_turn_end(struct loop *loop, void (*turned)(void *arg), void *arg);

/* Memory to be freed after this turn's tasks: close now, free later. `free_fn` gets the node. */
struct reap {
    struct reap *next;
    void (*free_fn)(struct reap *reap);
};
void loop_reap(struct loop *loop, struct reap *reap, void (*free_fn)(struct reap *));

/* --- wake-ups from other threads -------------------------------------------------------------- */

/* Makes the loop call `woken` soon. Several sends may become one call. */
struct wakeup;
struct wakeup *wakeup_new(struct loop *loop, void (*woken)(void *arg), void *arg);
void wakeup_send(struct wakeup *wakeup); /* any thread; async-signal-safe */
void wakeup_free(struct wakeup *wakeup); /* the loop's own thread */

/* --- repeating timer: cold paths ------------------------------------------------------------- */
struct ticker;
struct ticker *ticker_new(struct loop *loop, int64_t every_ms, void (*tick)(void *arg), void *arg);
void ticker_free(struct ticker *ticker);

/* --- a foreign descriptor in the loop (c-ares, inotify, signalfd) ---------------------------- */
struct fd_watch;
enum { FD_READABLE = 1, FD_WRITABLE = 2 };
struct fd_watch *fd_watch_new(struct loop *loop, int fd, int events,
                              void (*ready)(void *arg, int fd, int events), void *arg);
void fd_watch_free(struct fd_watch *watch);
