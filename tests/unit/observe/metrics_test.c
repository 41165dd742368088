/* Histograms and the metrics page. */
#include "observe/histogram.h"
#include "observe/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void buckets_are_contiguous_and_narrow(void **state UNUSED)
{
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t upper = histogram_upper_us(i), next = histogram_upper_us(i + 1);
        assert_int_equal(histogram_index(upper), i);
        assert_int_equal(histogram_index(upper + 1), i + 1);
        assert_true((next - upper) * 8 <= next + 8);
    }
    assert_int_equal(histogram_index(0), 0);
    assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_true(histogram_upper_us(HISTOGRAM_BUCKETS - 2) > (uint64_t)3600 * 1000000);
}

static void cumulative_counts_never_promise_too_much(void **state UNUSED)
{
    static struct histogram histogram;
    struct histogram_sum sum = {0};

    histogram_add(&histogram, 100);
    histogram_add(&histogram, 5000);
    histogram_add(&histogram, 90 * 1000000);
    histogram_sum(&sum, &histogram);
    assert_int_equal(histogram_sum_up_to(&sum, 99), 0);
    assert_int_equal(histogram_sum_up_to(&sum, 10000), 2);
    assert_int_equal(histogram_sum_up_to(&sum, 60 * 1000000), 2);
    assert_int_equal(histogram_sum_up_to(&sum, UINT64_MAX), 3);
    assert_int_equal(sum.sum_us, 90005100);
}

static bool has(const struct text *page, const char *line)
{
    return str_find(str_make(page->ptr, page->len), str_of(line)) >= 0;
}

static void the_page_adds_up_all_workers(void **state UNUSED)
{
    struct metrics *workers[2] = {metrics_new(), metrics_new()};
    struct text page = {0};

    for (unsigned i = 0; i < 2; i++) {
        struct group_metrics *group = metrics_group(workers[i], STR("mw-web"), "k8s");
        assert_ptr_equal(group, metrics_group(workers[i], STR("mw-web"), "k8s"));
        assert_ptr_equal(group, metrics_group(workers[i], STR("mw-web"), "legacy"));
        metrics_group_set_side(group, "k8s");
        metric_add(&group->requests, 3);
        metric_add(&group->responses[STATUS_2XX], 2);
        metric_add(&group->failures[REASON_UPSTREAM_RESET], 1);
        histogram_add(&group->duration, 7000);
        metric_add(&workers[i]->counters[COUNTER_DOWN_CONNECTIONS], 21);
        metric_add(&workers[i]->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
        metric_add(&workers[i]->responses[200], 5);
        metric_add(&workers[i]->reasons[REASON_BAD_HOST], 1);
        histogram_add(&workers[i]->duration, 1500000);
    }
    metrics_print(workers, 2, &page);

    assert_true(has(&page, "# TYPE weir_downstream_connections_total counter\n"
                           "weir_downstream_connections_total 42\n"));
    assert_true(has(&page, "\nweir_downstream_streams 2\n"));
    assert_true(has(&page, "\nweir_responses_total{status=\"200\"} 10\n"));
    assert_false(has(&page, "status=\"201\""));
    assert_true(has(&page, "\nweir_reasons_total{reason=\"bad_host\"} 2\n"));
    assert_false(has(&page, "reason=\"bad_chunk\""));
    assert_true(has(&page, "\nweir_group_requests_total{group=\"mw-web\",side=\"k8s\"} 6\n"));
    assert_false(has(&page, "side=\"legacy\"")); /* a group is one series */
    assert_true(has(
        &page, "\nweir_group_responses_total{group=\"mw-web\",side=\"k8s\",class=\"2xx\"} 4\n"));
    assert_true(has(&page, "\nweir_group_failures_total{group=\"mw-web\",side=\"k8s\","
                           "reason=\"upstream_reset\"} 2\n"));
    assert_true(has(&page, "\nweir_group_duration_seconds_bucket{group=\"mw-web\",side=\"k8s\","
                           "le=\"0.005\"} 0\n"));
    assert_true(has(&page, "\nweir_group_duration_seconds_bucket{group=\"mw-web\",side=\"k8s\","
                           "le=\"0.01\"} 2\n"));
    assert_true(has(&page, "\nweir_group_duration_seconds_sum{group=\"mw-web\",side=\"k8s\"} "
                           "0.014000\n"));
    assert_true(has(&page, "\nweir_request_duration_seconds_bucket{le=\"+Inf\"} 2\n"
                           "weir_request_duration_seconds_sum 3.000000\n"
                           "weir_request_duration_seconds_count 2\n"));
    text_free(&page);
    metrics_free(workers[0]);
    metrics_free(workers[1]);
}

/* Every sample belongs to the TYPE line above it, and no name is declared twice. */
static void every_sample_stands_under_its_type(void **state UNUSED)
{
    struct metrics *worker = metrics_new();
    struct text page = {0};
    struct str declared = STR("");

    metrics_group(worker, STR("a\"b\\c"), "");
    metrics_print(&worker, 1, &page);
    process_metrics_print(&page);
    assert_true(has(&page, "{group=\"a\\\"b\\\\c\",side=\"\"}"));
    assert_true(has(&page, "process_resident_memory_bytes"));
    assert_true(has(&page, "process_open_fds"));

    struct str rest = str_make(page.ptr, page.len), line;
    while (str_next(&rest, '\n', &line)) {
        if (line.len == 0 || str_starts(line, STR("# HELP ")))
            continue;
        if (str_starts(line, STR("# TYPE "))) {
            struct str kind;
            str_cut(str_skip(line, 7), ' ', &declared, &kind);
            continue;
        }
        assert_true(str_starts(line, declared));
    }
    text_free(&page);
    metrics_free(worker);
}

static void text_grows_as_needed(void **state UNUSED)
{
    struct text text = {0};
    static char long_word[10000];

    memset(long_word, 'y', sizeof(long_word) - 1);
    for (unsigned i = 0; i < 20; i++)
        text_add(&text, "%s|%u\n", long_word, i);
    assert_int_equal(text.len, 20 * (sizeof(long_word) - 1 + 2) + 10 + 20);
    assert_int_equal(strlen(text.ptr), text.len);
    text_free(&text);
}

/* --- groups that go ------------------------------------------------------------------------------
 */

enum { KEEP_MS = 1000 };

static bool is_named(void *arg, struct str name)
{
    return str_eq(str_of(arg), name);
}

static bool page_has(struct metrics *const *workers, size_t count, const char *text)
{
    struct text page = {0};

    metrics_print(workers, count, &page);
    text_add_str(&page, STR("\0"));
    bool has = strstr(page.ptr, text) != NULL;
    text_free(&page);
    return has;
}

static void figures_of_a_removed_group_are_on_one_more_page(void **state UNUSED)
{
    struct metrics *workers[2] = {metrics_new(), metrics_new()};
    struct group_metrics *old[2];

    for (size_t w = 0; w < 2; w++) {
        old[w] = metrics_group(workers[w], STR("old"), "-");
        metric_add(&old[w]->requests, 7);
    }
    metrics_mark_groups(workers, 2, is_named, "new");
    metrics_group_release(&old[0]);
    metrics_expire_groups(workers, 2, 1, KEEP_MS);
    metrics_expire_groups(workers, 2, 100000, KEEP_MS);
    assert_true(page_has(workers, 2, "{group=\"old\",side=\"-\"} 14\n")); /* one still counts */

    metrics_group_release(&old[1]);
    metrics_expire_groups(workers, 2, 200000, KEEP_MS);
    metrics_expire_groups(workers, 2, 200000 + KEEP_MS, KEEP_MS);
    assert_true(page_has(workers, 2, "group=\"old\"")); /* not shown before: its last value */
    metrics_expire_groups(workers, 2, 200001 + KEEP_MS, KEEP_MS);
    assert_false(page_has(workers, 2, "group=\"old\""));
    for (size_t w = 0; w < 2; w++) {
        metrics_free_expired(workers[w]);
        assert_null(atomic_load(&workers[w]->groups));
        metrics_free(workers[w]);
    }
}

static void figures_of_a_removed_group_expire_without_a_page(void **state UNUSED)
{
    struct metrics *worker = metrics_new();
    struct group_metrics *old = metrics_group(worker, STR("old"), "-");

    metrics_group_release(&old);
    metrics_mark_groups(&worker, 1, is_named, "new");
    metrics_expire_groups(&worker, 1, 1, KEEP_MS);
    metrics_expire_groups(&worker, 1, 1 + 9 * KEEP_MS, KEEP_MS);
    metrics_free_expired(worker);
    assert_non_null(atomic_load(&worker->groups));
    metrics_expire_groups(&worker, 1, 1 + 10 * KEEP_MS, KEEP_MS);
    metrics_free_expired(worker);
    assert_null(atomic_load(&worker->groups));
    metrics_free(worker);
}

static void figures_of_a_group_that_comes_back_go_on(void **state UNUSED)
{
    struct metrics *worker = metrics_new();
    struct group_metrics *old = metrics_group(worker, STR("a"), "-"), *again = old;

    metric_add(&old->requests, 3);
    metrics_group_release(&old);
    metrics_mark_groups(&worker, 1, is_named, "b");
    metrics_expire_groups(&worker, 1, 1, KEEP_MS);
    assert_ptr_equal(metrics_group(worker, STR("a"), "-"), again);
    metrics_mark_groups(&worker, 1, is_named, "a");
    metrics_group_release(&again);
    metrics_expire_groups(&worker, 1, 1000000, KEEP_MS);
    assert_true(page_has(&worker, 1, "{group=\"a\",side=\"-\"} 3\n"));
    metrics_free(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_removed_group_are_on_one_more_page),
        cmocka_unit_test(figures_of_a_removed_group_expire_without_a_page),
        cmocka_unit_test(figures_of_a_group_that_comes_back_go_on),
        cmocka_unit_test(buckets_are_contiguous_and_narrow),
        cmocka_unit_test(cumulative_counts_never_promise_too_much),
        cmocka_unit_test(the_page_adds_up_all_workers),
        cmocka_unit_test(every_sample_stands_under_its_type),
        cmocka_unit_test(text_grows_as_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
