/* The pool of helper threads: one queue, one mutex, and the rule that a stream belongs to exactly
 * one thread at a time. A step that is queued is handed over whole: SSL object, stream, and the
 * library context behind them, which OpenSSL allows several threads to read. The socket stays with
 * the worker: a helper gathers what is to be sent, the worker sends it.
 *
 * Helpers are nice: on a busy core the worker's clients, who are served already, go first. */
#include "tls/helpers_impl.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HELPER_NICE = 10 };

struct helper {
    pthread_t thread;
    struct tls_helpers *helpers; /* borrows */
    unsigned left;               /* the last helpers->leave_count it has seen */
    char *gather;                /* owns: HELP_FLIGHT_MAX bytes */
};

struct tls_helpers {
    pthread_mutex_t mutex; /* guards all below, and state and node of every step in the pool */
    pthread_cond_t work;   /* for helpers: something to do */
    pthread_cond_t idle;   /* for workers: a helper has left their library */
    struct list queue;
    unsigned queued, queue_max;
    bool share_cores;
    bool stopping;

    struct tls_library *leaving; /* borrows; NULL: none leaves */
    unsigned leave_count;        /* libraries that have left, this one included */
    unsigned leave_pending;      /* helpers that have not seen it yet */

    struct helper *items; /* owns */
    unsigned count;
};

/* --- a helper's thread ----------------------------------------------------------------------- */

static void helper_leave(struct helper *helper)
{
    struct tls_helpers *helpers = helper->helpers;
    OSSL_LIB_CTX *ctx = helpers->leaving->ctx;

    helper->left = helpers->leave_count;
    pthread_mutex_unlock(&helpers->mutex);
    OPENSSL_thread_stop_ex(ctx); /* our random generators of that context */
    pthread_mutex_lock(&helpers->mutex);
    if (--helpers->leave_pending == 0)
        pthread_cond_broadcast(&helpers->idle);
}

static void helper_step(struct helper *helper)
{
    struct tls_helpers *helpers = helper->helpers;
    struct tls_step *step = CONTAINER_OF(list_pop_front(&helpers->queue), struct tls_step, node);
    struct tls_library *library = step->stream->library;

    helpers->queued--;
    step->state = STEP_RUNNING;
    pthread_mutex_unlock(&helpers->mutex);
    tls_stream_step(step->stream, step, helper->gather);
    pthread_mutex_lock(&helpers->mutex);
    step->state = STEP_DONE;
    list_push_back(&library->done, &step->node);
    /* Still under the mutex: the worker takes its wakeup away under it, too. */
    if (library->wakeup != NULL)
        wakeup_send(library->wakeup);
}

static void *helper_run(void *arg)
{
    struct helper *helper = arg;
    struct tls_helpers *helpers = helper->helpers;

    pthread_setname_np(pthread_self(), "handshakes");
    setpriority(PRIO_PROCESS, (id_t)gettid(), HELPER_NICE);
    pthread_mutex_lock(&helpers->mutex);
    while (!helpers->stopping) {
        if (helpers->leaving != NULL && helper->left != helpers->leave_count)
            helper_leave(helper);
        else if (!list_is_empty(&helpers->queue))
            helper_step(helper);
        else
            pthread_cond_wait(&helpers->work, &helpers->mutex);
    }
    pthread_mutex_unlock(&helpers->mutex);
    OPENSSL_thread_stop();
    return NULL;
}

/* --- the workers' side ----------------------------------------------------------------------- */

bool helpers_share_cores(const struct tls_helpers *helpers)
{
    return helpers->share_cores;
}

bool helpers_queue(struct tls_helpers *helpers, struct tls_step *step)
{
    pthread_mutex_lock(&helpers->mutex);
    bool fits = helpers->queued < helpers->queue_max;
    if (fits) {
        step->state = STEP_QUEUED;
        list_push_back(&helpers->queue, &step->node);
        helpers->queued++;
        pthread_cond_signal(&helpers->work);
    }
    pthread_mutex_unlock(&helpers->mutex);
    return fits;
}

bool helpers_take_back(struct tls_helpers *helpers, struct tls_step *step)
{
    pthread_mutex_lock(&helpers->mutex);
    bool is_ours = step->state != STEP_RUNNING;
    if (step->state == STEP_QUEUED)
        helpers->queued--;
    if (is_ours) {
        list_remove(&step->node);
        step->state = STEP_BACK;
    }
    pthread_mutex_unlock(&helpers->mutex);
    return is_ours;
}

struct tls_step *helpers_next_done(struct tls_helpers *helpers, struct tls_library *library)
{
    pthread_mutex_lock(&helpers->mutex);
    struct list *node = list_pop_front(&library->done);
    struct tls_step *step = node != NULL ? CONTAINER_OF(node, struct tls_step, node) : NULL;
    if (step != NULL)
        step->state = STEP_BACK;
    pthread_mutex_unlock(&helpers->mutex);
    return step;
}

void helpers_leave(struct tls_helpers *helpers, struct tls_library *library)
{
    pthread_mutex_lock(&helpers->mutex);
    while (helpers->leaving != NULL) /* another worker leaves right now */
        pthread_cond_wait(&helpers->idle, &helpers->mutex);
    helpers->leaving = library;
    helpers->leave_count++;
    helpers->leave_pending = helpers->count;
    pthread_cond_broadcast(&helpers->work);
    while (helpers->leave_pending > 0)
        pthread_cond_wait(&helpers->idle, &helpers->mutex);
    helpers->leaving = NULL;
    pthread_cond_broadcast(&helpers->idle);
    pthread_mutex_unlock(&helpers->mutex);
}

/* --- life ------------------------------------------------------------------------------------ */

static int helper_start(struct tls_helpers *helpers, struct helper *helper)
{
    helper->helpers = helpers;
    helper->gather = mem_resize(NULL, HELP_FLIGHT_MAX); /* no page of it before the first flight */
    errno = pthread_create(&helper->thread, NULL, helper_run, helper);
    return errno == 0 ? 0 : -1;
}

struct tls_helpers *tls_helpers_new(unsigned threads, unsigned queue_max, bool share_cores,
                                    struct err *err)
{
    struct tls_helpers *helpers = mem_new(sizeof(*helpers));

    ASSERT(threads > 0);
    helpers->queue_max = queue_max;
    helpers->share_cores = share_cores;
    pthread_mutex_init(&helpers->mutex, NULL);
    pthread_cond_init(&helpers->work, NULL);
    pthread_cond_init(&helpers->idle, NULL);
    list_init(&helpers->queue);
    helpers->items = mem_new(threads * sizeof(*helpers->items));
    for (unsigned i = 0; i < threads; i++) {
        if (helper_start(helpers, &helpers->items[i]) < 0) {
            err_set_errno(err, "cannot start a thread for handshakes");
            free(helpers->items[i].gather);
            tls_helpers_free(helpers);
            return NULL;
        }
        helpers->count++; /* read by workers only, later */
    }
    return helpers;
}

void tls_helpers_free(struct tls_helpers *helpers)
{
    if (helpers == NULL)
        return;
    pthread_mutex_lock(&helpers->mutex);
    ASSERT(list_is_empty(&helpers->queue));
    helpers->stopping = true;
    pthread_cond_broadcast(&helpers->work);
    pthread_mutex_unlock(&helpers->mutex);
    for (unsigned i = 0; i < helpers->count; i++) {
        pthread_join(helpers->items[i].thread, NULL);
        free(helpers->items[i].gather);
    }
    pthread_cond_destroy(&helpers->work);
    pthread_cond_destroy(&helpers->idle);
    pthread_mutex_destroy(&helpers->mutex);
    free(helpers->items);
    free(helpers);
}
