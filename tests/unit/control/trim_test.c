/* When memory is given back: figures in, an answer out. */
#include "control/trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MIB = 1024 * 1024 };

static bool due_after(struct trim *trim, unsigned ticks, uint64_t memory_mib, uint64_t used_mib)
{
    bool is_due = false;

    for (unsigned i = 0; i < ticks; i++)
        is_due = trim_is_due(trim, memory_mib * MIB, used_mib * MIB);
    return is_due;
}

static void growing_with_the_work_is_left_in_peace(void **state UNUSED)
{
    struct trim trim = {0};

    for (uint64_t used = 0; used < 10000; used += 100)
        assert_false(due_after(&trim, TRIM_TICKS, 20 + used, used));
}

static void what_is_kept_after_the_work_is_given_back(void **state UNUSED)
{
    struct trim trim = {0};

    assert_false(due_after(&trim, TRIM_TICKS, 20, 0));
    assert_false(due_after(&trim, TRIM_TICKS, 220, 200));
    assert_false(due_after(&trim, TRIM_TICKS - 1, 220, 0)); /* the figures may be old */
    assert_true(due_after(&trim, 1, 220, 0));
}

/* Where more is accounted for than is resident there is no slack at all. */
static void no_slack_at_all_is_a_figure_like_any_other(void **state UNUSED)
{
    struct trim trim = {0};

    assert_false(due_after(&trim, TRIM_TICKS, 100, 110));
    assert_true(due_after(&trim, TRIM_TICKS, 95, 0));
}

static void a_little_is_not_worth_it(void **state UNUSED)
{
    struct trim trim = {0};

    assert_false(due_after(&trim, 1, 20, 0));
    assert_false(due_after(&trim, 2 * TRIM_TICKS, 23, 0));
    assert_true(due_after(&trim, TRIM_TICKS, 24, 0));
}

static void a_little_beside_much_is_not_worth_it(void **state UNUSED)
{
    struct trim trim = {0};

    assert_false(due_after(&trim, 1, 1000, 990));
    assert_false(due_after(&trim, 2 * TRIM_TICKS, 1060, 990));
    assert_true(due_after(&trim, TRIM_TICKS, 1080, 990));
}

static void what_could_not_be_given_back_is_not_asked_for_again(void **state UNUSED)
{
    struct trim trim = {0};

    assert_false(due_after(&trim, 1, 1, 0));
    assert_true(due_after(&trim, TRIM_TICKS, 40, 0));
    uint64_t left = trim_now(&trim, 40 * (uint64_t)MIB, 0);
    assert_true(left > 0);
    assert_false(due_after(&trim, 2 * TRIM_TICKS, left / MIB + 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_with_the_work_is_left_in_peace),
        cmocka_unit_test(what_is_kept_after_the_work_is_given_back),
        cmocka_unit_test(no_slack_at_all_is_a_figure_like_any_other),
        cmocka_unit_test(a_little_is_not_worth_it),
        cmocka_unit_test(a_little_beside_much_is_not_worth_it),
        cmocka_unit_test(what_could_not_be_given_back_is_not_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
