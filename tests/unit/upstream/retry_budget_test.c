/* The promise of the retry budget, with the clock as an argument. */
#include "upstream/retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct retry_budget_conf usual = {.share = SHARE_MAX / 5, .floor = 10, .ceiling = 100};

/* `count` requests, one every `every_ms`, of which each would retry; how many may. */
static int outage(struct retry_budget *budget, const struct retry_budget_conf *conf, int count,
                  int64_t every_ms, int64_t *now_ms)
{
    int retries = 0;

    for (int i = 0; i < count; i++) {
        *now_ms += every_ms;
        retry_budget_earn(budget, conf);
        retries += retry_budget_spend(budget, conf, *now_ms);
    }
    return retries;
}

static int spend_all(struct retry_budget *budget, const struct retry_budget_conf *conf,
                     int64_t now_ms)
{
    int retries = 0;

    while (retries < 100000 && retry_budget_spend(budget, conf, now_ms))
        retries++;
    return retries;
}

static void earn(struct retry_budget *budget, const struct retry_budget_conf *conf, int count)
{
    for (int i = 0; i < count; i++)
        retry_budget_earn(budget, conf);
}

static void an_outage_from_the_start_gets_only_the_share_of_retries(void **state UNUSED)
{
    static const struct {
        int requests, retries;
    } cases[] = {{1, 1}, {10, 10}, {50, 10}, {55, 11}, {100, 20}, {1000, 200}, {10000, 2000}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct retry_budget budget = {0};
        int64_t now_ms = 5000000;
        assert_int_equal(outage(&budget, &usual, cases[i].requests, 0, &now_ms), cases[i].retries);
    }
}

static void at_no_moment_is_it_more_than_the_floor_ahead(void **state UNUSED)
{
    struct retry_budget budget = {0};
    int64_t now_ms = 1;
    int retries = 0;

    for (int requests = 1; requests <= 100000; requests++) {
        retries += outage(&budget, &usual, 1, 7, &now_ms); /* 700 s, 70 periods */
        assert_true(retries <= requests / 5 + 10);
    }
    assert_true(retries >= 100000 / 5 - 1);
}

static void a_healthy_time_saves_up_to_the_ceiling(void **state UNUSED)
{
    struct retry_budget budget = {0};

    earn(&budget, &usual, 100);
    assert_int_equal(spend_all(&budget, &usual, 20000), 20);
    earn(&budget, &usual, 1000000);
    assert_int_equal(spend_all(&budget, &usual, 20000), 100);
}

static void a_quiet_group_may_retry_each_request(void **state UNUSED)
{
    struct retry_budget budget = {0};
    int64_t now_ms = 0;

    assert_int_equal(outage(&budget, &usual, 1000, 1100, &now_ms), 1000);
}

static void the_floor_is_granted_once_in_a_period(void **state UNUSED)
{
    struct retry_budget budget = {0};

    assert_int_equal(spend_all(&budget, &usual, 20000), 10);
    assert_int_equal(spend_all(&budget, &usual, 20000 + RETRY_PERIOD_MS - 1), 0);
    assert_int_equal(spend_all(&budget, &usual, 20000 + RETRY_PERIOD_MS), 10);
    assert_int_equal(spend_all(&budget, &usual, 20000 + RETRY_PERIOD_MS), 0);
}

static void the_floor_is_paid_back_first(void **state UNUSED)
{
    struct retry_budget budget = {0};

    assert_int_equal(spend_all(&budget, &usual, 20000), 10);
    earn(&budget, &usual, 54);
    assert_int_equal(spend_all(&budget, &usual, 20001), 0);
    earn(&budget, &usual, 1);
    assert_int_equal(spend_all(&budget, &usual, 20002), 1);
}

static void retries_that_were_paid_for_use_the_floor_up(void **state UNUSED)
{
    struct retry_budget budget = {0};

    earn(&budget, &usual, 60);
    assert_int_equal(spend_all(&budget, &usual, 20000), 12); /* and not 22 */
}

static void zeros_mean_none(void **state UNUSED)
{
    const struct retry_budget_conf no_floor = {.share = SHARE_MAX / 5, .ceiling = 100};
    const struct retry_budget_conf no_share = {.floor = 2, .ceiling = 100};
    struct retry_budget budget = {0};

    earn(&budget, &no_floor, 4);
    assert_int_equal(spend_all(&budget, &no_floor, 20000), 0);
    earn(&budget, &no_floor, 1);
    assert_int_equal(spend_all(&budget, &no_floor, 20000), 1);
    budget = (struct retry_budget){0};
    earn(&budget, &no_share, 1000000);
    assert_int_equal(spend_all(&budget, &no_share, 20000), 2);
}

static void a_smaller_ceiling_holds_from_the_next_request_on(void **state UNUSED)
{
    const struct retry_budget_conf low = {.share = SHARE_MAX / 5, .floor = 1, .ceiling = 3};
    struct retry_budget budget = {0};

    earn(&budget, &usual, 1000);
    earn(&budget, &low, 1);
    assert_int_equal(spend_all(&budget, &low, 20000), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outage_from_the_start_gets_only_the_share_of_retries),
        cmocka_unit_test(at_no_moment_is_it_more_than_the_floor_ahead),
        cmocka_unit_test(a_healthy_time_saves_up_to_the_ceiling),
        cmocka_unit_test(a_quiet_group_may_retry_each_request),
        cmocka_unit_test(the_floor_is_granted_once_in_a_period),
        cmocka_unit_test(the_floor_is_paid_back_first),
        cmocka_unit_test(retries_that_were_paid_for_use_the_floor_up),
        cmocka_unit_test(zeros_mean_none),
        cmocka_unit_test(a_smaller_ceiling_holds_from_the_next_request_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
