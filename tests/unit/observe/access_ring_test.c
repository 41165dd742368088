/* The ring between a worker and the control thread. */
#include "observe/access_ring_impl.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void records_come_out_as_they_went_in(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(0);
    struct access_entry in = {.status = 200,
                              .method = STR("GET"),
                              .host = STR("de.wikipedia.org"),
                              .listener = STR("edge"),
                              .bytes_out = 1234,
                              .share = 4000};
    enum access_record_kind kind;
    struct access_entry out;
    struct str content;

    assert_true(access_ring_push(ring, &in));
    assert_true(access_ring_push_line(ring, "hello\n", 6));

    assert_true(access_ring_peek(ring, &kind, &content));
    assert_int_equal(kind, ACCESS_RECORD_ENTRY);
    access_entry_unpack(content, &out);
    assert_int_equal(out.status, 200);
    assert_true(str_eq(out.method, STR("GET")));
    assert_true(str_eq(out.host, STR("de.wikipedia.org")));
    assert_true(str_eq(out.path, STR("")));
    assert_true(str_eq(out.listener, STR("edge")));
    access_ring_pop(ring);

    assert_true(access_ring_peek(ring, &kind, &content));
    assert_int_equal(kind, ACCESS_RECORD_LINE);
    assert_true(str_eq(content, STR("hello\n")));
    access_ring_pop(ring);
    assert_false(access_ring_peek(ring, &kind, &content));
    access_ring_free(ring);
}

static void long_texts_are_cut(void **state UNUSED)
{
    static char text[5000];
    struct access_ring *ring = access_ring_new(0);
    struct access_entry in = {.path = str_make(text, sizeof(text))}, out;
    enum access_record_kind kind;
    struct str content;

    memset(text, 'x', sizeof(text));
    assert_true(access_ring_push(ring, &in));
    assert_true(access_ring_peek(ring, &kind, &content));
    access_entry_unpack(content, &out);
    assert_int_equal(out.path.len, ACCESS_TEXT_MAX);
    access_ring_free(ring);
}

static void a_full_ring_refuses_and_takes_again_after_a_drain(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(16 * 1024);
    enum access_record_kind kind;
    struct str content;
    unsigned pushed = 0, popped = 0;
    char line[100] = {0};

    while (access_ring_push_line(ring, line, sizeof(line)))
        pushed++;
    assert_true(pushed > 16 * 1024 / 128 - 3);
    assert_false(access_ring_push_line(ring, line, sizeof(line)));
    while (access_ring_peek(ring, &kind, &content)) {
        access_ring_pop(ring);
        popped++;
    }
    assert_int_equal(popped, pushed);
    assert_true(access_ring_push_line(ring, line, sizeof(line)));
    access_ring_free(ring);
}

/* Sizes that do not divide the ring, so that every position of the seam is met. */
static void nothing_is_lost_where_the_memory_wraps(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(16 * 1024);
    enum access_record_kind kind;
    struct str content;
    char line[1000];

    for (unsigned i = 0; i < 5000; i++) {
        size_t len = 1 + i * 37 % sizeof(line);
        memset(line, (int)('a' + i % 26), len);
        assert_true(access_ring_push_line(ring, line, len));
        if (i % 3 == 0)
            continue; /* now and then two or three are in it */
        while (access_ring_peek(ring, &kind, &content)) {
            assert_int_equal(content.ptr[0], content.ptr[content.len - 1]);
            access_ring_pop(ring);
        }
    }
    access_ring_free(ring);
}

static void count_wakes(void *arg)
{
    ++*(unsigned *)arg;
}

static void half_full_wakes_once_until_emptied(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(16 * 1024);
    enum access_record_kind kind;
    struct str content;
    unsigned wakes = 0;
    char line[1000] = {0};

    access_ring_on_wake(ring, count_wakes, &wakes);
    for (unsigned i = 0; i < 8; i++)
        assert_true(access_ring_push_line(ring, line, sizeof(line)));
    assert_int_equal(wakes, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(access_ring_push_line(ring, line, sizeof(line)));
    assert_int_equal(wakes, 1);
    while (access_ring_peek(ring, &kind, &content))
        access_ring_pop(ring);
    for (unsigned i = 0; i < 14; i++)
        access_ring_push_line(ring, line, sizeof(line));
    assert_int_equal(wakes, 2);
    access_ring_free(ring);
}

static void a_record_wakes_a_sleeping_reader_once(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(16 * 1024);
    enum access_record_kind kind;
    struct str content;
    unsigned wakes = 0;

    access_ring_on_wake(ring, count_wakes, &wakes);
    assert_true(access_ring_push_line(ring, "awake\n", 6));
    assert_int_equal(wakes, 0);
    assert_false(access_ring_sleep(ring)); /* there is a record */
    while (access_ring_peek(ring, &kind, &content))
        access_ring_pop(ring);
    assert_true(access_ring_sleep(ring));
    for (unsigned i = 0; i < 5; i++)
        assert_true(access_ring_push_line(ring, "asleep\n", 7));
    assert_int_equal(wakes, 1);
    access_ring_free(ring);
}

enum { MEETINGS = 20000 };

static void *write_numbers(void *arg)
{
    struct access_ring *ring = arg;
    char line[32];

    for (unsigned i = 0; i < MEETINGS;) {
        int len = snprintf(line, sizeof(line), "%u", i);
        if (access_ring_push_line(ring, line, (size_t)len))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void two_threads_see_every_record_in_order(void **state UNUSED)
{
    struct access_ring *ring = access_ring_new(16 * 1024);
    enum access_record_kind kind;
    struct str content;
    pthread_t writer;

    assert_int_equal(pthread_create(&writer, NULL, write_numbers, ring), 0);
    for (unsigned i = 0; i < MEETINGS;) {
        uint64_t number;
        if (!access_ring_peek(ring, &kind, &content)) {
            sched_yield();
            continue;
        }
        assert_int_equal(str_to_u64(content, &number), 0);
        assert_int_equal(number, i++);
        access_ring_pop(ring);
    }
    pthread_join(writer, NULL);
    access_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_as_they_went_in),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(a_full_ring_refuses_and_takes_again_after_a_drain),
        cmocka_unit_test(nothing_is_lost_where_the_memory_wraps),
        cmocka_unit_test(half_full_wakes_once_until_emptied),
        cmocka_unit_test(a_record_wakes_a_sleeping_reader_once),
        cmocka_unit_test(two_threads_see_every_record_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
