/* Several sinks of the access log: each gets what it accepts, and none disturbs another. */
#include "observe/access_ring_impl.h"
#include "observe/log_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Notes what it is asked to do. */
struct fake {
    struct log_sink sink;
    unsigned written, flushes, reopens, frees, behind;
    uint16_t min_status, last_status;
};

static struct fake *fake_of(const struct log_sink *sink)
{
    return CONTAINER_OF((struct log_sink *)(uintptr_t)sink, struct fake, sink);
}

static bool accepts(const struct log_sink *sink, const struct access_entry *entry)
{
    return entry->status >= fake_of(sink)->min_status;
}

static void write_entry(struct log_sink *sink, const struct access_entry *entry)
{
    assert_true(str_eq(entry->path, STR("/wiki/X")));
    fake_of(sink)->written++;
    fake_of(sink)->last_status = entry->status;
}

static void flush(struct log_sink *sink)
{
    struct fake *fake = fake_of(sink);

    fake->flushes++;
    if (fake->behind > 0)
        fake->behind--;
}

static bool is_behind(const struct log_sink *sink)
{
    return fake_of(sink)->behind > 0;
}

static void reopen(struct log_sink *sink)
{
    fake_of(sink)->reopens++;
}

static void add_figures(const struct log_sink *sink, struct log_sink_figures *figures)
{
    figures->lost += fake_of(sink)->written;
    figures->reopen_failures += fake_of(sink)->reopens;
}

static void count_free(struct log_sink *sink)
{
    fake_of(sink)->frees++;
}

static const struct log_sink_ops all_ops = {.name = "all",
                                            .accepts = accepts,
                                            .write = write_entry,
                                            .flush = flush,
                                            .is_behind = is_behind,
                                            .reopen = reopen,
                                            .metrics = add_figures,
                                            .free = count_free};
static const struct log_sink_ops least_ops = {
    .name = "least", .write = write_entry, .free = count_free};

static struct access_ring *ring;
static struct access_writer *writer;

static int set_up(void **state UNUSED)
{
    struct err err;

    ring = access_ring_new(64 * 1024);
    writer = access_writer_new(STR(""), &err);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    access_writer_free(writer);
    access_ring_free(ring);
    return 0;
}

static void push(uint16_t status)
{
    const struct access_entry entry = {.status = status, .path = STR("/wiki/X")};

    assert_true(access_ring_push(ring, &entry));
}

static void each_sink_gets_the_entries_that_it_accepts(void **state UNUSED)
{
    static struct fake errors = {.sink.ops = &all_ops, .min_status = 500},
                       all = {.sink.ops = &all_ops}, least = {.sink.ops = &least_ops};

    access_writer_add(writer, &errors.sink);
    access_writer_add(writer, &all.sink);
    access_writer_add(writer, &least.sink);
    push(200);
    push(503);
    push(404);
    assert_int_equal(access_writer_drain(writer, ring), 3);
    assert_int_equal(errors.written, 1);
    assert_int_equal(errors.last_status, 503);
    assert_int_equal(all.written, 3);
    assert_int_equal(least.written, 3);
}

static void flush_reopen_and_figures_reach_every_sink(void **state UNUSED)
{
    static struct fake one = {.sink.ops = &all_ops, .behind = 2}, two = {.sink.ops = &all_ops},
                       least = {.sink.ops = &least_ops};

    access_writer_add(writer, &one.sink);
    access_writer_add(writer, &least.sink);
    access_writer_add(writer, &two.sink);
    push(200);
    access_writer_drain(writer, ring);
    access_writer_flush(writer);
    assert_true(access_writer_is_behind(writer));
    access_writer_flush(writer);
    assert_false(access_writer_is_behind(writer));
    assert_int_equal(two.flushes, 2);
    access_writer_reopen(writer);
    assert_int_equal(one.reopens, 1);
    assert_int_equal(two.reopens, 1);
    assert_int_equal(access_writer_failed(writer), 2);
    assert_int_equal(access_writer_reopen_failures(writer), 2);
}

static void the_end_of_the_writer_flushes_and_frees_every_sink(void **state UNUSED)
{
    static struct fake slow = {.sink.ops = &all_ops, .behind = 3}, least = {.sink.ops = &least_ops};

    access_writer_add(writer, &slow.sink);
    access_writer_add(writer, &least.sink);
    access_writer_free(writer);
    writer = NULL;
    assert_int_equal(slow.behind, 0);
    assert_int_equal(slow.frees, 1);
    assert_int_equal(least.frees, 1);
}

static void count_entry(void *arg, const struct access_entry *entry UNUSED)
{
    ++*(unsigned *)arg;
}

static void a_watch_is_a_sink_that_sees_every_entry(void **state UNUSED)
{
    unsigned seen = 0;

    access_writer_watch(writer, NULL, NULL);
    push(200);
    access_writer_drain(writer, ring);
    access_writer_watch(writer, count_entry, &seen);
    push(200);
    push(500);
    access_writer_drain(writer, ring);
    assert_int_equal(seen, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_sink_gets_the_entries_that_it_accepts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(flush_reopen_and_figures_reach_every_sink, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_the_writer_flushes_and_frees_every_sink, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_watch_is_a_sink_that_sees_every_entry, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
