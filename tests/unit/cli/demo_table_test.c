/* What the demo counts, and how it compares the split with what was to be expected. */
#include "cli/demo/demo_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void count(struct demo_table *table, const char *group, const char *side, const char *why,
                  uint32_t share, uint16_t status)
{
    const struct access_entry entry = {.group = str_of(group),
                                       .side = str_of(side),
                                       .why = str_of(why),
                                       .service = STR("web"),
                                       .share = share,
                                       .status = status};

    demo_table_count(table, &entry);
}

static char *printed(struct demo_table *table, void (*print)(struct demo_table *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    print(table, out);
    fclose(out);
    return text;
}

static void observed_and_expected_shares_have_separate_columns(void **state UNUSED)
{
    struct demo_table table = {0};

    demo_table_add_group(&table, "legacy-web");
    for (unsigned i = 0; i < 96; i++)
        count(&table, "legacy-web", "legacy", "split_default", 4000, 200);
    for (unsigned i = 0; i < 2; i++)
        count(&table, "k8s-web", "k8s", "split_default", 4000, 200);
    for (unsigned i = 0; i < 2; i++)
        count(&table, "k8s-web", "k8s", "split_host", 100000, 502);
    count(&table, "mw-debug", "", "debug", 0, 200);

    char *line = printed(&table, demo_table_line);
    assert_string_equal(line, "requests=101 errors=2 legacy-web=96 k8s-web=4 mw-debug=1 "
                              "web-on-k8s=4.0% (expected 5.9%)\n");
    free(line);
}

static void a_line_comes_only_with_news(void **state UNUSED)
{
    struct demo_table table = {0};

    count(&table, "a", "k8s", "split_host", 100000, 200);
    char *first = printed(&table, demo_table_line), *second = printed(&table, demo_table_line);
    assert_true(first[0] != '\0');
    assert_string_equal(second, "");
    free(first);
    free(second);
}

static void a_table_is_drawn_over_the_one_before(void **state UNUSED)
{
    struct demo_table table = {0};

    demo_table_add_group(&table, "a");
    char *first = printed(&table, demo_table_draw);
    count(&table, "b", "k8s", "split_host", 100000, 200);
    unsigned before = table.lines_shown;
    char *second = printed(&table, demo_table_draw), up[16];
    snprintf(up, sizeof(up), "\033[%uA", before);
    assert_int_equal(strncmp(second, up, strlen(up)), 0);
    assert_int_equal(table.lines_shown, before + 2); /* a group and a service more */
    free(first);
    free(second);
}

static void more_names_than_there_is_room_for_are_not_shown(void **state UNUSED)
{
    struct demo_table table = {0};
    char name[16];

    for (unsigned i = 0; i < 2 * DEMO_GROUPS_MAX; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        count(&table, name, "k8s", "plain", 0, 200);
    }
    assert_int_equal(table.group_count, DEMO_GROUPS_MAX);
    assert_int_equal(table.requests, 2 * DEMO_GROUPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observed_and_expected_shares_have_separate_columns),
        cmocka_unit_test(a_line_comes_only_with_news),
        cmocka_unit_test(a_table_is_drawn_over_the_one_before),
        cmocka_unit_test(more_names_than_there_is_room_for_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
