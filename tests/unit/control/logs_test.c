/* The log thread: records reach the file, an idle process has no timer, and a pipe that is not read
 * stops nothing. */
#include "control/logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    char path[64];
    struct control *control;
    struct logs logs;
    struct access_ring *ring;
};

static void world_init(struct world *world, const char *path)
{
    struct err err;

    *world = (struct world){0};
    snprintf(world->path, sizeof(world->path), "%s", path);
    world->control = control_new();
    logs_add(&world->logs, world->control);
    world->ring = access_ring_new(64 * 1024);
    access_ring_on_wake(world->ring, logs_wake, &world->logs);
    assert_int_equal(logs_start(&world->logs, &world->ring, 1, &err), 0);
    struct access_writer *writer = access_writer_new(str_of(world->path), &err);
    assert_non_null(writer);
    logs_use(&world->logs, writer);
}

static void world_deinit(struct world *world)
{
    assert_true(logs_end(&world->logs));
    access_ring_free(world->ring);
    control_free(world->control);
    unlink(world->path);
}

static bool push(struct world *world)
{
    const struct access_entry entry = {.status = 200, .path = STR("/wiki/X")};

    return access_ring_push(world->ring, &entry);
}

static off_t size_of(const char *path)
{
    struct stat stat_now;

    return stat(path, &stat_now) == 0 ? stat_now.st_size : 0;
}

/* Waits until the file is longer than `than`. */
static off_t wait_longer(const char *path, off_t than)
{
    for (int i = 0; i < 5000 && size_of(path) <= than; i++)
        usleep(1000);
    assert_true(size_of(path) > than);
    return size_of(path);
}

static void a_record_is_written_after_any_pause(void **state UNUSED)
{
    struct world world;
    char path[] = "/tmp/weir-logs-XXXXXX";
    off_t size = 0;

    close(mkstemp(path));
    world_init(&world, path);
    for (int pause_ms = 0; pause_ms < 200; pause_ms += 60) {
        assert_true(push(&world));
        size = wait_longer(path, size);
        usleep((unsigned)pause_ms * 1000);
    }
    world_deinit(&world);
}

static void the_last_records_are_written_at_the_end(void **state UNUSED)
{
    struct world world;
    char path[] = "/tmp/weir-logs-XXXXXX";

    close(mkstemp(path));
    world_init(&world, path);
    for (int i = 0; i < 100; i++)
        assert_true(push(&world));
    assert_true(logs_end(&world.logs));
    assert_true(size_of(path) > 100 * 100);
    world_deinit(&world);
}

/* How often the thread called "logs" has slept so far. */
static long sleeps_of_log_thread(void)
{
    DIR *tasks = opendir("/proc/self/task");
    long sleeps = -1;

    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[320], line[128];
        bool is_logs = false;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "r");
        while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
            if (strcmp(line, "Name:\tlogs\n") == 0)
                is_logs = true;
            if (is_logs && strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
                sleeps = strtol(line + 24, NULL, 10);
        }
        if (status != NULL)
            fclose(status);
    }
    closedir(tasks);
    return sleeps;
}

static void an_idle_log_thread_does_not_wake_up(void **state UNUSED)
{
    struct world world;
    char path[] = "/tmp/weir-logs-XXXXXX";

    close(mkstemp(path));
    world_init(&world, path);
    assert_true(push(&world));
    wait_longer(path, 0);
    usleep(300 * 1000); /* the batch ends */
    long sleeps = sleeps_of_log_thread();
    assert_true(sleeps > 0);
    usleep(600 * 1000);
    assert_int_equal(sleeps_of_log_thread(), sleeps);
    world_deinit(&world);
}

static bool has_lost_lines(struct world *world)
{
    struct text page = {0};

    control_print_metrics(world->control, &page);
    bool has_lost = memmem(page.ptr, page.len, "weir_access_log_lost_total 0\n", 29) == NULL;
    text_free(&page);
    return has_lost;
}

static void a_pipe_that_nothing_reads_costs_lines_and_ends_in_time(void **state UNUSED)
{
    struct world world;
    char path[] = "/tmp/weir-logs-XXXXXX";

    close(mkstemp(path));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    world_init(&world, path);
    assert_false(has_lost_lines(&world));
    for (int i = 0; i < 100000 && !has_lost_lines(&world); i++) {
        push(&world);
        if (i % 50 == 0)
            usleep(1000);
    }
    assert_true(has_lost_lines(&world));
    world_deinit(&world);
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_written_after_any_pause),
        cmocka_unit_test(the_last_records_are_written_at_the_end),
        cmocka_unit_test(an_idle_log_thread_does_not_wake_up),
        cmocka_unit_test(a_pipe_that_nothing_reads_costs_lines_and_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
