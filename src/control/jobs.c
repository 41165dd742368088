/* Two lists under one mutex: jobs that wait for the thread, and jobs that wait for the loop. */
#include "control/jobs.h"

#include "control/join.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { NICENESS = 5 }; /* workers have priority when all cores are busy */

struct jobs {
    pthread_t thread;
    struct wakeup *wakeup; /* owns: something is in `finished` */
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t work, started;
    struct list waiting, finished; /* job.node */
    bool has_started, is_ending;
};

/* --- the job thread -------------------------------------------------------------------------- */

/* Waits for the next job; NULL when there is none and the thread has to end. */
static struct job *next_job(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    while (list_is_empty(&jobs->waiting) && !jobs->is_ending)
        pthread_cond_wait(&jobs->work, &jobs->mutex);
    struct list *node = list_pop_front(&jobs->waiting);
    pthread_mutex_unlock(&jobs->mutex);
    return node != NULL ? CONTAINER_OF(node, struct job, node) : NULL;
}

static void job_finished(struct jobs *jobs, struct job *job)
{
    pthread_mutex_lock(&jobs->mutex);
    list_push_back(&jobs->finished, &job->node);
    pthread_mutex_unlock(&jobs->mutex);
    wakeup_send(jobs->wakeup);
}

/* The first allocation of a thread chooses its malloc arena. */
static void report_started(struct jobs *jobs)
{
    free(mem_new(1));
    pthread_mutex_lock(&jobs->mutex);
    jobs->has_started = true;
    pthread_cond_signal(&jobs->started);
    pthread_mutex_unlock(&jobs->mutex);
}

static void *thread_run(void *arg)
{
    struct jobs *jobs = arg;

    pthread_setname_np(pthread_self(), "jobs");
    report_started(jobs);
    setpriority(PRIO_PROCESS, 0, NICENESS); /* on Linux: of this thread only */
    for (struct job *job; (job = next_job(jobs)) != NULL;) {
        job->run(job);
        job_finished(jobs, job);
    }
    return NULL;
}

/* --- the loop's thread ----------------------------------------------------------------------- */

static struct job *take_finished(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    struct list *node = list_pop_front(&jobs->finished);
    pthread_mutex_unlock(&jobs->mutex);
    return node != NULL ? CONTAINER_OF(node, struct job, node) : NULL;
}

static void on_finished(void *arg)
{
    struct jobs *jobs = arg;

    for (struct job *job; (job = take_finished(jobs)) != NULL;)
        job->done(job);
}

static void wait_until_started(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    while (!jobs->has_started)
        pthread_cond_wait(&jobs->started, &jobs->mutex);
    pthread_mutex_unlock(&jobs->mutex);
}

struct jobs *jobs_new(struct loop *loop, struct err *err)
{
    struct jobs *jobs = mem_new(sizeof(*jobs));

    list_init(&jobs->waiting);
    list_init(&jobs->finished);
    pthread_mutex_init(&jobs->mutex, NULL);
    pthread_cond_init(&jobs->work, NULL);
    pthread_cond_init(&jobs->started, NULL);
    jobs->wakeup = wakeup_new(loop, on_finished, jobs);
    int rc = pthread_create(&jobs->thread, NULL, thread_run, jobs);
    if (rc == 0) {
        wait_until_started(jobs);
        return jobs;
    }
    errno = rc;
    err_set_errno(err, "cannot start the job thread");
    wakeup_free(jobs->wakeup);
    free(jobs);
    return NULL;
}

void jobs_submit(struct jobs *jobs, struct job *job)
{
    list_init(&job->node);
    pthread_mutex_lock(&jobs->mutex);
    list_push_back(&jobs->waiting, &job->node);
    pthread_cond_signal(&jobs->work);
    pthread_mutex_unlock(&jobs->mutex);
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    pthread_mutex_lock(&jobs->mutex);
    jobs->is_ending = true;
    pthread_cond_signal(&jobs->work);
    pthread_mutex_unlock(&jobs->mutex);
    if (!thread_join(jobs->thread, JOBS_END_MS))
        return;
    on_finished(jobs);
    wakeup_free(jobs->wakeup);
    pthread_cond_destroy(&jobs->work);
    pthread_cond_destroy(&jobs->started);
    pthread_mutex_destroy(&jobs->mutex);
    free(jobs);
}
