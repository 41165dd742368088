/* Sums over workers, and windows between two of them, with counters made by hand. */
#include "observe/totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct metrics *workers[2];

static int set_up(void **state UNUSED)
{
    for (size_t w = 0; w < 2; w++)
        workers[w] = metrics_new();
    return 0;
}

static int tear_down(void **state UNUSED)
{
    for (size_t w = 0; w < 2; w++)
        metrics_free(workers[w]);
    return 0;
}

static void count(struct metrics *worker, const char *name, const char *side, uint64_t requests)
{
    struct group_metrics *group = metrics_group(worker, str_of(name), side);

    metric_add(&group->requests, requests);
    metric_add(&group->responses[STATUS_2XX], requests);
    metric_add(&group->failures[REASON_UPSTREAM_RESET], requests / 10);
    for (uint64_t i = 0; i < requests; i++)
        histogram_add(&group->duration, 1000);
    metrics_group_release(&group);
}

static bool is_named(void *arg, struct str name)
{
    return str_eq(name, str_of(arg));
}

static void remove_all_groups_but(const char *name)
{
    metrics_mark_groups(workers, 2, is_named, (void *)name);
    metrics_expire_groups(workers, 2, 1, 1);
    metrics_expire_groups(workers, 2, 1000, 1);
    for (size_t w = 0; w < 2; w++)
        metrics_free_expired(workers[w]);
}

static void a_snapshot_adds_up_all_workers(void **state UNUSED)
{
    struct totals_table table = {0};

    count(workers[0], "b", "k8s", 30);
    count(workers[1], "b", "k8s", 12);
    count(workers[1], "a", "legacy", 5);
    totals_collect(&table, workers, 2);
    assert_int_equal(table.count, 2);
    const struct totals *b = totals_find(&table, STR("b"));
    assert_string_equal(b->side, "k8s");
    assert_int_equal(b->requests, 42);
    assert_int_equal(b->responses[STATUS_2XX], 42);
    assert_int_equal(b->failures[REASON_UPSTREAM_RESET], 4);
    assert_int_equal(histogram_sum_up_to(&b->duration, UINT64_MAX), 42);
    assert_null(totals_find(&table, STR("c")));
    assert_null(totals_find(&table, STR("bb")));
    assert_null(totals_find(&table, STR("")));
    totals_collect(&table, workers, 2); /* replaces, and does not add */
    assert_int_equal(totals_find(&table, STR("a"))->requests, 5);
    totals_table_deinit(&table);
}

static void a_window_has_what_happened_in_it(void **state UNUSED)
{
    struct totals_table before = {0}, after = {0}, window = {0};

    count(workers[0], "a", "k8s", 100);
    totals_collect(&before, workers, 2);
    count(workers[0], "a", "k8s", 20);
    count(workers[1], "a", "k8s", 3);
    count(workers[1], "new", "k8s", 7);
    metric_add(&metrics_group(workers[0], STR("a"), "k8s")->active, 2);
    totals_collect(&after, workers, 2);
    totals_window(&before, &after, &window);

    const struct totals *a = totals_find(&window, STR("a"));
    assert_int_equal(a->requests, 23);
    assert_int_equal(a->responses[STATUS_2XX], 23);
    assert_int_equal(a->failures[REASON_UPSTREAM_RESET], 2);
    assert_int_equal(histogram_sum_up_to(&a->duration, UINT64_MAX), 23);
    assert_int_equal(a->duration.sum_us, 23000);
    assert_int_equal(a->active, 2); /* a gauge is not subtracted */
    assert_int_equal(totals_find(&window, STR("new"))->requests, 7);
    totals_table_deinit(&before);
    totals_table_deinit(&after);
    totals_table_deinit(&window);
}

static void a_group_that_was_removed_leaves_the_window(void **state UNUSED)
{
    struct totals_table before = {0}, after = {0}, window = {0};

    count(workers[0], "keep", "k8s", 1);
    count(workers[0], "old", "k8s", 9);
    totals_collect(&before, workers, 2);
    remove_all_groups_but("keep");
    totals_collect(&after, workers, 2);
    totals_window(&before, &after, &window);
    assert_int_equal(window.count, 1);
    assert_null(totals_find(&window, STR("old")));
    assert_int_equal(totals_find(&window, STR("keep"))->requests, 0);
    totals_table_deinit(&before);
    totals_table_deinit(&after);
    totals_table_deinit(&window);
}

static void counters_that_began_again_count_from_zero(void **state UNUSED)
{
    struct totals_table before = {0}, after = {0}, window = {0};

    count(workers[0], "a", "k8s", 500);
    totals_collect(&before, workers, 2);
    remove_all_groups_but("other");
    count(workers[0], "a", "k8s", 40);
    totals_collect(&after, workers, 2);
    totals_window(&before, &after, &window);
    const struct totals *a = totals_find(&window, STR("a"));
    assert_int_equal(a->requests, 40);
    assert_int_equal(a->failures[REASON_UPSTREAM_RESET], 4);
    assert_int_equal(histogram_sum_up_to(&a->duration, UINT64_MAX), 40);
    totals_table_deinit(&before);
    totals_table_deinit(&after);
    totals_table_deinit(&window);
}

static void a_side_is_the_sum_of_its_groups(void **state UNUSED)
{
    struct totals_table table = {0};

    count(workers[0], "a", "k8s", 20);
    count(workers[1], "b", "k8s", 10);
    count(workers[1], "c", "legacy", 1);
    totals_collect(&table, workers, 2);
    struct totals k8s = totals_of_side(&table, STR("k8s"));
    assert_int_equal(k8s.requests, 30);
    assert_int_equal(k8s.failures[REASON_UPSTREAM_RESET], 3);
    assert_int_equal(histogram_sum_up_to(&k8s.duration, UINT64_MAX), 30);
    assert_int_equal(totals_of_side(&table, STR("none")).requests, 0);
    totals_table_deinit(&table);
}

static void a_gauge_is_never_below_zero(void **state UNUSED)
{
    metric_sub(&workers[0]->gauges[GAUGE_DOWN_STREAMS_OPEN], 3);
    metric_add(&workers[1]->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
    assert_int_equal(totals_gauge(workers, 2, GAUGE_DOWN_STREAMS_OPEN), 0);
    metric_add(&workers[1]->gauges[GAUGE_DOWN_STREAMS_OPEN], 4);
    assert_int_equal(totals_gauge(workers, 2, GAUGE_DOWN_STREAMS_OPEN), 2);
    metric_add(&workers[0]->counters[COUNTER_UP_RETRIES], 2);
    metric_add(&workers[1]->counters[COUNTER_UP_RETRIES], 3);
    assert_int_equal(totals_counter(workers, 2, COUNTER_UP_RETRIES), 5);
}

static void the_metrics_page_in_pieces_is_the_whole_page(void **state UNUSED)
{
    enum { GROUPS = 500, PIECE_MAX = 128 * 1024 };
    struct text whole = {0}, pieces = {0}, piece = {0};
    struct metrics_page page;
    char name[32];

    for (unsigned i = 0; i < GROUPS; i++) {
        snprintf(name, sizeof(name), "group-%u", i);
        count(workers[i % 2], name, "k8s", i % 7);
    }
    metrics_print(workers, 2, &whole);
    metrics_page_init(&page);
    metrics_page_begin(&page, workers, 2, &piece);
    do {
        assert_true(piece.len < PIECE_MAX);
        text_add_str(&pieces, str_make(piece.ptr, piece.len));
        piece.len = 0;
    } while (metrics_page_next(&page, &piece));
    assert_true(whole.len > 8 * PIECE_MAX);
    assert_int_equal(whole.len, pieces.len);
    assert_memory_equal(whole.ptr, pieces.ptr, whole.len);
    metrics_page_deinit(&page);
    text_free(&whole);
    text_free(&pieces);
    text_free(&piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_snapshot_adds_up_all_workers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_window_has_what_happened_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_that_was_removed_leaves_the_window, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(counters_that_began_again_count_from_zero, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_side_is_the_sum_of_its_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gauge_is_never_below_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_metrics_page_in_pieces_is_the_whole_page, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
