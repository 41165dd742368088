/* The pages of h2 sessions: whose they are, and when the system has them back. */
#include "http/h2_impl.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { TABLE = 4096, FRAMES = 16394, MANY = 200 };

static bool is_resident(const void *page)
{
    unsigned char is_in;

    assert_int_equal(mincore((void *)(uintptr_t)page, 1, &is_in), 0);
    return is_in & 1;
}

static void a_slot_has_one_part_of_each_kind(void **state UNUSED)
{
    struct h2_slot *slot = h2_slot_open();
    char *table = h2_slot_take(slot, TABLE), *frames = h2_slot_take(slot, FRAMES);

    assert_non_null(table);
    assert_non_null(frames);
    assert_null(h2_slot_take(slot, TABLE));
    assert_null(h2_slot_take(slot, FRAMES));
    assert_null(h2_slot_take(slot, TABLE - 1));
    assert_int_equal((uintptr_t)table % H2_SLOT_ALIGN, 0);
    assert_int_equal((uintptr_t)frames % H2_SLOT_ALIGN, 0);
    assert_int_equal(h2_slot_bytes(table), TABLE);
    assert_true(h2_slot_bytes(frames) >= FRAMES);
    memset(table, 1, TABLE);
    memset(frames, 2, h2_slot_bytes(frames));
    assert_int_equal(table[TABLE - 1], 1);
    assert_ptr_equal(h2_slot_settle(slot), slot);
    h2_slot_give(table);
    h2_slot_give(frames);
    assert_ptr_equal(h2_slot_open(), slot); /* it was free again */
    assert_null(h2_slot_settle(slot));
}

/* Where the system's pages are larger, nothing can be given back. */
static void needs_small_pages(void)
{
    if (sysconf(_SC_PAGESIZE) != H2_SLOT_ALIGN)
        skip();
}

static void at_rest_it_keeps_what_means_something(void **state UNUSED)
{
    needs_small_pages();
    struct h2_slot *slot = h2_slot_open();
    char *table = h2_slot_take(slot, TABLE), *frames = h2_slot_take(slot, FRAMES);

    memset(frames, 1, FRAMES);
    memset(table, 0, TABLE);
    table[TABLE - 1] = 7; /* a stream is still in it */
    h2_slot_rest(slot);
    assert_false(is_resident(frames));
    assert_int_equal(table[TABLE - 1], 7);

    table[TABLE - 1] = 0;
    h2_slot_rest(slot);
    assert_false(is_resident(table));
    for (size_t i = 0; i < TABLE; i++)
        assert_int_equal(table[i], 0);
    h2_slot_give(frames);
    h2_slot_give(table);
}

static void sessions_of_the_past_cost_no_pages(void **state UNUSED)
{
    needs_small_pages();
    struct h2_slot *slots[MANY];
    char *tables[MANY];
    int resident = 0;

    for (int i = 0; i < MANY; i++) {
        slots[i] = h2_slot_open();
        tables[i] = h2_slot_take(slots[i], TABLE);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(tables[i], tables[j]);
        memset(tables[i], 1, TABLE);
    }
    for (int i = 0; i < MANY; i++)
        h2_slot_give(tables[i]);
    for (int i = 0; i < MANY; i++)
        resident += is_resident(tables[i]);
    assert_in_range(resident, 1, 64);
}

static void *on_thread(void *arg UNUSED)
{
    h2_mem_session_begin();
    void *table = h2_mem.malloc(TABLE, NULL), *other = h2_mem.malloc(TABLE, NULL);
    struct h2_slot *slot = h2_mem_session_end();

    assert_int_equal((uintptr_t)table % H2_SLOT_ALIGN, 0);
    assert_int_not_equal((uintptr_t)other % H2_SLOT_ALIGN, 0);
    memset(table, 3, TABLE);
    char *grown = h2_mem.realloc(table, 2 * TABLE, NULL);
    assert_int_equal(grown[TABLE - 1], 3);
    h2_mem.free(grown, NULL);
    h2_mem.free(other, NULL);
    assert_non_null(slot);
    h2_mem_session_begin();
    assert_null(h2_mem_session_end()); /* nothing was taken */
    return table;
}

static void a_thread_leaves_nothing_behind(void **state UNUSED)
{
    unsigned char is_in;
    pthread_t thread;
    void *table;

    assert_int_equal(pthread_create(&thread, NULL, on_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &table), 0);
    assert_int_equal(mincore(table, 1, &is_in), -1); /* not mapped any more */
}

static void nothing_else_stands_on_a_page(void **state UNUSED)
{
    void *blocks[2 * MANY];

    for (int i = 0; i < 2 * MANY; i++) {
        blocks[i] = h2_mem_take(4080 + (size_t)i);
        assert_int_not_equal((uintptr_t)blocks[i] % H2_SLOT_ALIGN, 0);
    }
    for (int i = 0; i < 2 * MANY; i++)
        h2_mem_give(blocks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_has_one_part_of_each_kind),
        cmocka_unit_test(at_rest_it_keeps_what_means_something),
        cmocka_unit_test(sessions_of_the_past_cost_no_pages),
        cmocka_unit_test(a_thread_leaves_nothing_behind),
        cmocka_unit_test(nothing_else_stands_on_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
