/* The table of metrics, its manual, and the lines that it prints. With the argument --write the program
 * writes the manual's table instead. */
#include "observe/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char manual[] = WEIR_SOURCE_DIR "/docs/reference/metrics.md";

static void add_labels(struct text *out, const char *names)
{
    struct str rest = str_of(names), name;

    for (size_t i = 0; rest.len > 0 && str_next(&rest, ',', &name); i++)
        text_add(out, "%s`%.*s`", i > 0 ? ", " : "", STR_FMT(name));
}

static void add_manual(struct text *out)
{
    text_add_str(out, STR("# Metrics\n\n"
                          "`GET /metrics` on the admin port answers with these metrics in the "
                          "Prometheus text format. Counters\n"
                          "start at 0 with the process, and a reload does not reset them. A metric "
                          "with labels has no sample\n"
                          "until there is a value for it. The figures of a group that was removed "
                          "stay for a while.\n\n"
                          "This page is generated from `src/observe/metrics_table.h`.\n\n"
                          "| name | kind | unit | labels | meaning |\n"
                          "| --- | --- | --- | --- | --- |\n"));
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct metric_info *info = metric_info((enum metric_id)id);
        text_add(out, "| `%s` | %s | %s | ", info->name, metric_kind_word(info->kind), info->unit);
        add_labels(out, info->labels);
        text_add(out, " | %s |\n", info->help);
    }
}

static void the_manual_lists_each_metric_and_no_other(void **state UNUSED)
{
    static char found[64 * 1024];
    struct text expected = {0};
    FILE *file = fopen(manual, "r");

    assert_non_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    fclose(file);
    add_manual(&expected);
    if (strcmp(found, expected.ptr) != 0)
        print_error("docs/reference/metrics.md differs from the table: write it with "
                    "unit_observe_metrics_table_test --write\n");
    assert_string_equal(found, expected.ptr);
    text_free(&expected);
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static void names_are_unique_and_follow_the_conventions(void **state UNUSED)
{
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct metric_info *info = metric_info((enum metric_id)id);
        for (unsigned other = 0; other < id; other++)
            assert_string_not_equal(info->name, metric_info((enum metric_id)other)->name);
        assert_int_equal(ends_in(info->name, "_total"), info->kind == METRIC_COUNTER);
        if (info->kind == METRIC_HISTOGRAM)
            assert_true(ends_in(info->name, "_seconds"));
        assert_true(info->help[0] >= '0' && info->help[0] <= 'Z');
        assert_null(strchr(info->help, '\n'));
        assert_null(strchr(info->help, '|')); /* it would end a cell of the manual */
    }
}

static void counters_and_gauges_have_the_rows_of_their_own_names(void **state UNUSED)
{
#define X(id, kind, text, unit, labels, help)                                                      \
    assert_string_equal(metric_info((enum metric_id)COUNTER_##id)->name, text);
    COUNTERS(X)
#undef X
#define X(id, kind, text, unit, labels, help)                                                      \
    assert_string_equal(metric_info(METRIC_FIRST_GAUGE + GAUGE_##id)->name, text);
    GAUGES(X)
#undef X
}

static void samples_carry_the_labels_of_the_table(void **state UNUSED)
{
    const struct str labels[] = {STR_INIT("a\"b"), STR_INIT("c\\d\ne")};
    struct text out = {0};

    text_add_metric(&out, METRIC_CERTIFICATE_EXPIRES);
    text_add_sample(&out, METRIC_CERTIFICATE_EXPIRES, labels, 7);
    text_add_sample_text(&out, METRIC_LOOP_LAG, NULL, STR("0.250"));
    assert_string_equal(
        out.ptr, "# HELP weir_certificate_expires_timestamp_seconds When a certificate expires\n"
                 "# TYPE weir_certificate_expires_timestamp_seconds gauge\n"
                 "weir_certificate_expires_timestamp_seconds{listener=\"a\\\"b\","
                 "certificate=\"c\\\\d\\ne\"} 7\n"
                 "weir_loop_lag_seconds 0.250\n");
    text_free(&out);
}

static int write_manual(void)
{
    struct text page = {0};
    FILE *file = fopen(manual, "w");

    if (file == NULL)
        return 1;
    add_manual(&page);
    fwrite(page.ptr, 1, page.len, file);
    text_free(&page);
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manual_lists_each_metric_and_no_other),
        cmocka_unit_test(names_are_unique_and_follow_the_conventions),
        cmocka_unit_test(counters_and_gauges_have_the_rows_of_their_own_names),
        cmocka_unit_test(samples_carry_the_labels_of_the_table),
    };
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_manual();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
