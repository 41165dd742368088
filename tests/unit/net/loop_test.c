/* The turn of the loop: tasks, reaping, wake-ups, timers. */
#include "net/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char trace[64];
static struct loop *loop;

static void note(char c)
{
    size_t len = strlen(trace);

    assert_true(len + 1 < sizeof(trace));
    trace[len] = c;
    trace[len + 1] = '\0';
}

struct step {
    struct task task;
    struct reap reap;
    char name;
    struct step *next, *cancel; /* queued, or taken back, while running */
    bool last;
};

static void reaped(struct reap *reap)
{
    struct step *step = CONTAINER_OF(reap, struct step, reap);

    note((char)(step->name - 'a' + 'A'));
    if (step->last)
        loop_stop(loop);
}

static void ran(struct task *task)
{
    struct step *step = CONTAINER_OF(task, struct step, task);

    note(step->name);
    if (step->next != NULL)
        loop_defer(loop, &step->next->task);
    if (step->cancel != NULL)
        task_cancel(&step->cancel->task);
    loop_reap(loop, &step->reap, reaped);
}

static int set_up(void **state UNUSED)
{
    loop = loop_new();
    trace[0] = '\0';
    return 0;
}

static int tear_down(void **state UNUSED)
{
    loop_free(loop);
    return 0;
}

static void tasks_run_in_order_once_and_memory_goes_after_all_of_them(void **state UNUSED)
{
    struct step c = {.name = 'c', .last = true}, d = {.name = 'd'};
    struct step b = {.name = 'b', .cancel = &d}, a = {.name = 'a', .next = &c};
    struct step *all[] = {&a, &b, &c, &d};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        task_init(&all[i]->task, ran);
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_defer(loop, &d.task);
    loop_defer(loop, &a.task); /* queued already */
    loop_run(loop);
    assert_string_equal(trace, "abcABC");
}

static void deferred_frees_run_when_the_loop_is_freed(void **state UNUSED)
{
    struct loop *other = loop_new();
    struct step a = {.name = 'a'};

    task_init(&a.task, ran);
    loop_defer(other, &a.task);
    loop_reap(other, &a.reap, reaped);
    task_cancel(&a.task);
    loop_free(other);
    assert_string_equal(trace, "A");
}

static void woken(void *arg)
{
    int *count = arg;

    (*count)++;
    loop_stop(loop);
}

static void *send_from_elsewhere(void *arg)
{
    struct wakeup *wakeup = arg;

    for (int i = 0; i < 100; i++)
        wakeup_send(wakeup);
    return NULL;
}

static void another_thread_wakes_the_loop(void **state UNUSED)
{
    int count = 0;
    struct wakeup *wakeup = wakeup_new(loop, woken, &count);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, send_from_elsewhere, wakeup), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_in_range(count, 1, 100);
    wakeup_free(wakeup);
}

static int64_t fired_ms;

static void fired(struct deadline *deadline UNUSED)
{
    fired_ms = loop_now_ms(loop);
    loop_stop(loop);
}

static void a_deadline_fires_in_the_loop_and_not_early(void **state UNUSED)
{
    struct deadline deadline;
    int64_t start_ms = loop_now_ms(loop);

    deadline_init(&deadline, fired);
    deadline_set(loop, &deadline, 20);
    loop_run(loop);
    assert_true(fired_ms - start_ms >= 20);
    assert_false(deadline_is_set(&deadline));
    deadline_deinit(&deadline);
}

static void fd_ready(void *arg, int fd, int events)
{
    int *seen = arg;
    char byte;

    *seen = events;
    assert_int_equal(read(fd, &byte, 1), 1);
    loop_stop(loop);
}

static void a_foreign_descriptor_is_watched(void **state UNUSED)
{
    int fds[2], seen = 0;

    assert_int_equal(pipe(fds), 0);
    struct fd_watch *watch = fd_watch_new(loop, fds[0], FD_READABLE, fd_ready, &seen);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run(loop);
    assert_int_equal(seen, FD_READABLE);
    fd_watch_free(watch);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(tasks_run_in_order_once_and_memory_goes_after_all_of_them),
        LOOP_TEST(deferred_frees_run_when_the_loop_is_freed),
        LOOP_TEST(another_thread_wakes_the_loop),
        LOOP_TEST(a_deadline_fires_in_the_loop_and_not_early),
        LOOP_TEST(a_foreign_descriptor_is_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
