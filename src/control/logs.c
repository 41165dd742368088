/* The log thread works in batches. The first record after a pause wakes it. It writes that record
 * at once and then looks at the rings every BATCH_MS, without being woken, until a look finds
 * nothing; then it sleeps again. So a busy worker makes no system call for its log, and an idle
 * process has no timer. */
#include "control/logs.h"

#include "base/log.h"
#include "control/join.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BATCH_MS = 50,  /* between two looks at the rings while records come */
    RETRY_MS = 250, /* while lines wait for a file or a pipe */
};

/* What the control thread wants done. */
struct log_letter {
    struct letter letter;
    enum log_wish { LOG_USE, LOG_REOPEN, LOG_END } wish;
    struct access_writer *writer; /* owns until the log thread has taken it */
};

static void log_letter_free(struct letter *letter)
{
    struct log_letter *wish = CONTAINER_OF(letter, struct log_letter, letter);

    access_writer_free(wish->writer);
    free(wish);
}

static const struct letter_kind log_kind = {.name = "log", .free = log_letter_free};

/* --- the log thread -------------------------------------------------------------------------- */

static size_t empty_rings(struct logs *logs)
{
    size_t count = 0;

    for (size_t i = 0; i < logs->ring_count; i++)
        count += access_writer_drain(logs->writer, logs->rings[i]);
    access_writer_flush(logs->writer);
    return count;
}

static void publish_figures(struct logs *logs)
{
    atomic_store_explicit(&logs->failed, logs->failed_before + access_writer_failed(logs->writer),
                          memory_order_relaxed);
    atomic_store_explicit(&logs->reopen_failures,
                          logs->reopen_failures_before +
                              access_writer_reopen_failures(logs->writer),
                          memory_order_relaxed);
}

/* False when a record came in the meantime. */
static bool sleep_until_woken(struct logs *logs)
{
    for (size_t i = 0; i < logs->ring_count; i++) {
        if (!access_ring_sleep(logs->rings[i]))
            return false;
    }
    return true;
}

static void stay_awake(struct logs *logs)
{
    for (size_t i = 0; i < logs->ring_count; i++)
        access_ring_stay_awake(logs->rings[i]);
}

static void write_batch(struct logs *logs)
{
    if (logs->writer == NULL)
        return;
    stay_awake(logs);
    size_t count = empty_rings(logs);
    publish_figures(logs);
    if (count > 0)
        deadline_set(logs->loop, &logs->next_batch, BATCH_MS);
    else if (!sleep_until_woken(logs))
        deadline_set(logs->loop, &logs->next_batch, 0);
    else if (access_writer_is_behind(logs->writer))
        deadline_set(logs->loop, &logs->next_batch, RETRY_MS);
    else
        deadline_clear(&logs->next_batch);
}

static void on_next_batch(struct deadline *deadline)
{
    write_batch(CONTAINER_OF(deadline, struct logs, next_batch));
}

static void on_wakeup(void *arg)
{
    write_batch(arg);
}

static void use_writer(struct logs *logs, struct access_writer *writer)
{
    if (logs->writer != NULL) {
        logs->failed_before += access_writer_failed(logs->writer);
        logs->reopen_failures_before += access_writer_reopen_failures(logs->writer);
        access_writer_free(logs->writer);
    }
    logs->writer = writer;
}

static void on_letter(void *arg, const struct letter *letter)
{
    struct logs *logs = arg;
    struct log_letter *wish = CONTAINER_OF((struct letter *)letter, struct log_letter, letter);

    switch (wish->wish) {
    case LOG_USE:
        use_writer(logs, wish->writer);
        wish->writer = NULL;
        break;
    case LOG_REOPEN:
        if (logs->writer != NULL)
            access_writer_reopen(logs->writer);
        break;
    case LOG_END:
        write_batch(logs);
        use_writer(logs, NULL); /* writes the rest, with a limit of its own */
        loop_stop(logs->loop);
        break;
    }
    write_batch(logs);
}

static void *thread_run(void *arg)
{
    struct logs *logs = arg;

    pthread_setname_np(pthread_self(), "logs");
    loop_run(logs->loop);
    return NULL;
}

/* --- the control thread's side --------------------------------------------------------------- */

static struct logs *logs_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct logs, part);
}

static void init(struct control_part *part)
{
    struct logs *logs = logs_of(part);

    logs->loop = loop_new();
    logs->mailbox = mailbox_new(logs->loop);
    mailbox_receive(logs->mailbox, &log_kind, on_letter, logs);
    logs->wakeup = wakeup_new(logs->loop, on_wakeup, logs);
    deadline_init(&logs->next_batch, on_next_batch);
}

static void print(struct control_part *part, struct text *out)
{
    struct logs *logs = logs_of(part);

    control_add_number(out, METRIC_ACCESS_LOG_LOST,
                       atomic_load_explicit(&logs->failed, memory_order_relaxed) +
                           log_lost_lines());
    control_add_number(out, METRIC_ACCESS_LOG_REOPEN_FAILURES,
                       atomic_load_explicit(&logs->reopen_failures, memory_order_relaxed));
}

static void release(struct control_part *part)
{
    struct logs *logs = logs_of(part);

    if (!logs_end(logs))
        return;
    deadline_deinit(&logs->next_batch);
    wakeup_free(logs->wakeup);
    mailbox_free(&logs->mailbox);
    loop_free(logs->loop);
    free(logs->rings);
}

void logs_add(struct logs *logs, struct control *control)
{
    static const struct control_part_ops ops = {
        .name = "logs", .init = init, .metrics = print, .free = release};

    control_add(control, &logs->part, &ops);
}

void logs_wake(void *arg)
{
    struct logs *logs = arg;

    wakeup_send(logs->wakeup);
}

int logs_start(struct logs *logs, struct access_ring *const *rings, size_t count, struct err *err)
{
    logs->rings = mem_new(count * sizeof(struct access_ring *));
    memcpy(logs->rings, rings, count * sizeof(struct access_ring *));
    logs->ring_count = count;
    int rc = pthread_create(&logs->thread, NULL, thread_run, logs);
    if (rc != 0) {
        errno = rc;
        return err_set_errno(err, "cannot start the log thread");
    }
    logs->has_started = true;
    return 0;
}

static void send_wish(struct logs *logs, enum log_wish wish, struct access_writer *writer)
{
    struct log_letter *letter = mem_new(sizeof(*letter));

    letter->letter.kind = &log_kind;
    letter->wish = wish;
    letter->writer = writer;
    mailbox_put(logs->mailbox, &letter->letter);
}

void logs_use(struct logs *logs, struct access_writer *writer)
{
    send_wish(logs, LOG_USE, writer);
}

void logs_reopen(struct logs *logs)
{
    send_wish(logs, LOG_REOPEN, NULL);
}

bool logs_end(struct logs *logs)
{
    if (!logs->has_started)
        return !logs->is_stuck;
    logs->has_started = false;
    send_wish(logs, LOG_END, NULL);
    logs->is_stuck = !thread_join(logs->thread, LOGS_END_MS);
    if (logs->is_stuck)
        LOG_ERROR("log_thread_stuck", "waited_ms=%d", LOGS_END_MS);
    return !logs->is_stuck;
}
