/* The job thread: jobs run one after the other beside the loop, and are finished on it. */
#include "control/jobs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { JOBS = 50 };

struct counted {
    struct job job;
    struct loop *loop;
    pthread_t ran_on, done_on;
    int number;
    int *next; /* on the loop's thread */
    bool stops;
};

static void run(struct job *job)
{
    CONTAINER_OF(job, struct counted, job)->ran_on = pthread_self();
}

static void done(struct job *job)
{
    struct counted *counted = CONTAINER_OF(job, struct counted, job);

    counted->done_on = pthread_self();
    assert_int_equal((*counted->next)++, counted->number);
    if (counted->stops)
        loop_stop(counted->loop);
}

static void submit_all(struct jobs *jobs, struct loop *loop, struct counted items[JOBS], int *next)
{
    for (int i = 0; i < JOBS; i++) {
        items[i] = (struct counted){
            .job = {.run = run, .done = done}, .loop = loop, .number = i, .next = next};
        items[i].stops = i == JOBS - 1;
        jobs_submit(jobs, &items[i].job);
    }
}

static void assert_ran_elsewhere(const struct counted items[JOBS], int next)
{
    assert_int_equal(next, JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_false(pthread_equal(items[i].ran_on, pthread_self()));
        assert_true(pthread_equal(items[i].done_on, pthread_self()));
    }
}

static void jobs_run_in_order_and_end_on_the_loop(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct err err;
    struct jobs *jobs = jobs_new(loop, &err);
    struct counted items[JOBS];
    int next = 0;

    assert_non_null(jobs);
    submit_all(jobs, loop, items, &next);
    loop_run(loop);
    assert_ran_elsewhere(items, next);
    jobs_free(jobs);
    loop_free(loop);
}

static void what_was_submitted_is_finished_before_the_end(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct err err;
    struct jobs *jobs = jobs_new(loop, &err);
    struct counted items[JOBS];
    int next = 0;

    submit_all(jobs, loop, items, &next);
    jobs_free(jobs);
    assert_ran_elsewhere(items, next);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_end_on_the_loop),
        cmocka_unit_test(what_was_submitted_is_finished_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
