/* Lines on their way to files that are slow, full or gone. */
#include "observe/access_ring_impl.h"
#include "observe/log_file_impl.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/weir-access-XXXXXX";
static char path_moved[64];

static void push(struct access_ring *ring, unsigned count)
{
    const struct access_entry entry = {.status = 200, .path = STR("/wiki/X")};

    for (unsigned i = 0; i < count; i++)
        assert_true(access_ring_push(ring, &entry));
}

static unsigned lines_of(const char *file_path)
{
    FILE *file = fopen(file_path, "r");
    unsigned lines = 0;

    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        lines += c == '\n';
    fclose(file);
    return lines;
}

static void lines_reach_the_file_and_its_successor(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(64 * 1024);
    struct err err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(path_moved, sizeof(path_moved), "%s.1", path);

    struct access_writer *writer = access_writer_new(str_of(path), &err);
    assert_non_null(writer);
    push(ring, 10);
    assert_int_equal(access_writer_drain(writer, ring), 10);
    access_writer_flush(writer);
    assert_int_equal(lines_of(path), 10);

    assert_int_equal(rename(path, path_moved), 0);
    push(ring, 3);
    access_writer_drain(writer, ring);
    access_writer_reopen(writer);
    push(ring, 5);
    access_writer_drain(writer, ring);
    access_writer_free(writer);
    assert_int_equal(lines_of(path_moved), 13);
    assert_int_equal(lines_of(path), 5);
    unlink(path);
    unlink(path_moved);
    access_ring_free(ring);
}

static void a_full_disk_costs_lines_and_nothing_else(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(64 * 1024);
    struct err err;
    struct access_writer *writer = access_writer_new(STR("/dev/full"), &err);

    assert_non_null(writer);
    for (unsigned i = 0; i < 200; i++) {
        push(ring, 50);
        access_writer_drain(writer, ring);
        access_writer_flush(writer);
    }
    assert_true(access_writer_failed(writer) > 0);
    access_writer_free(writer);
    access_ring_free(ring);
}

static void a_path_that_cannot_be_opened_is_explained(void **state UNUSED)
{
    struct err err;

    assert_null(access_writer_new(STR("/nonexistent/access.log"), &err));
    assert_true(str_find(str_of(err.text), STR("/nonexistent/access.log")) >= 0);
}

static void a_slow_pipe_gets_whole_lines_later(void **state UNUSED)
{
    struct log_file file;
    int fds[2];
    char got[4096];

    assert_int_equal(pipe(fds), 0);
    log_file_init_fd(&file, fds[1]);
    for (unsigned i = 0; i < 5000; i++) { /* 100 kB: more than the pipe holds */
        memcpy(log_file_room(&file, 20), "0123456789012345678\n", 20);
        log_file_add(&file, 20);
    }
    log_file_flush(&file); /* must not block */
    assert_true(file.len > 0);

    size_t total = 0;
    while (file.len > 0 || total < 5000 * 20) {
        ssize_t n = read(fds[0], got, sizeof(got));
        assert_true(n > 0);
        total += (size_t)n;
        log_file_flush(&file);
    }
    assert_int_equal(total, 5000 * 20);
    assert_int_equal(file.lost, 0);
    close(fds[0]);
    log_file_room(&file, 20);
    log_file_add(&file, 20);
    log_file_flush(&file); /* EPIPE */
    assert_int_equal(file.errors, 1);
    log_file_deinit(&file);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_reach_the_file_and_its_successor),
        cmocka_unit_test(a_full_disk_costs_lines_and_nothing_else),
        cmocka_unit_test(a_path_that_cannot_be_opened_is_explained),
        cmocka_unit_test(a_slow_pipe_gets_whole_lines_later),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
