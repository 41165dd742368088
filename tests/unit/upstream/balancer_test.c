/* The choice of an endpoint, with loads and dice as arguments. */
#include "upstream/balancer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MANY = 4, ROLLS = 4000 };

static struct balance_case case_of(const struct load *loads, int count)
{
    return (struct balance_case){
        .loads = loads, .count = count, .avoid = BALANCE_NONE, .now_ms = 1000};
}

static void round_robin_takes_each_in_its_turn(void **state UNUSED)
{
    const struct load loads[3] = {0};
    const struct balance_case c = case_of(loads, 3);
    const int expected[] = {0, 1, 2, 0, 1, 2, 0};
    uint32_t cursor = 0;

    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(balance_round_robin(&c, &cursor), expected[i]);
}

static void round_robin_passes_by_what_cannot_be_had(void **state UNUSED)
{
    const struct load loads[MANY] = {{.is_full = true}, {0}, {.shunned_until_ms = 1001}, {0}};
    struct balance_case c = case_of(loads, MANY);
    uint32_t cursor = 0;

    c.avoid = 3;
    assert_int_equal(balance_round_robin(&c, &cursor), 1);
    assert_int_equal(balance_round_robin(&c, &cursor), 1);
}

static void of_two_the_one_with_fewer_requests_is_taken(void **state UNUSED)
{
    const struct load loads[2] = {{.active = 7}, {.active = 6}};
    const struct balance_case c = case_of(loads, 2);
    uint64_t dice = 1;

    for (int i = 0; i < 100; i++)
        assert_int_equal(balance_least_request(&c, &dice), 1);
}

static void equal_loads_go_to_the_one_that_did_not_fail(void **state UNUSED)
{
    const struct load loads[2] = {{.active = 3}, {.active = 3, .failures = 1}};
    const struct balance_case c = case_of(loads, 2);
    uint64_t dice = 2;

    for (int i = 0; i < 100; i++)
        assert_int_equal(balance_least_request(&c, &dice), 0);
}

static void equal_endpoints_get_equal_shares(void **state UNUSED)
{
    const struct load loads[MANY] = {{0}};
    const struct balance_case c = case_of(loads, MANY);
    int hits[MANY] = {0};
    uint64_t dice = 3;

    for (int i = 0; i < ROLLS; i++)
        hits[balance_least_request(&c, &dice)]++;
    for (int i = 0; i < MANY; i++)
        assert_in_range(hits[i], ROLLS / MANY * 85 / 100, ROLLS / MANY * 115 / 100);
}

static void the_busiest_of_many_is_never_taken(void **state UNUSED)
{
    const struct load loads[MANY] = {{.active = 1}, {.active = 9}, {.active = 2}, {.active = 3}};
    const struct balance_case c = case_of(loads, MANY);
    uint64_t dice = 4;

    for (int i = 0; i < ROLLS; i++)
        assert_int_not_equal(balance_least_request(&c, &dice), 1);
}

static void full_endpoints_are_never_taken(void **state UNUSED)
{
    const struct load some[3] = {{.is_full = true}, {.active = 100}, {.is_full = true}};
    const struct load all[2] = {{.is_full = true}, {.is_full = true}};
    const struct balance_case c = case_of(some, 3), none = case_of(all, 2), empty = case_of(all, 0);
    uint64_t dice = 5;
    uint32_t cursor = 0;

    for (int i = 0; i < 100; i++)
        assert_int_equal(balance_least_request(&c, &dice), 1);
    assert_int_equal(balance_least_request(&none, &dice), BALANCE_NONE);
    assert_int_equal(balance_round_robin(&none, &cursor), BALANCE_NONE);
    assert_int_equal(balance_least_request(&empty, &dice), BALANCE_NONE);
    assert_int_equal(balance_round_robin(&empty, &cursor), BALANCE_NONE);
}

static void shunned_and_avoided_ones_are_the_last_resort(void **state UNUSED)
{
    const struct load shunned[2] = {{.shunned_until_ms = 2000}, {.shunned_until_ms = 2000}};
    const struct load one[1] = {{0}};
    struct balance_case c = case_of(shunned, 2), alone = case_of(one, 1);
    uint64_t dice = 6;

    c.avoid = 0;
    alone.avoid = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(balance_least_request(&c, &dice), 1);
    assert_int_equal(balance_least_request(&alone, &dice), 0);
    c.now_ms = 3000;
    assert_int_equal(balance_least_request(&c, &dice), 1);
}

static void a_good_one_that_is_full_is_worth_waiting_for(void **state UNUSED)
{
    const struct load loads[2] = {{.is_full = true}, {.shunned_until_ms = 2000}};
    struct balance_case c = case_of(loads, 2);
    uint64_t dice = 7;
    uint32_t cursor = 0;

    assert_int_equal(balance_least_request(&c, &dice), BALANCE_NONE);
    assert_int_equal(balance_round_robin(&c, &cursor), BALANCE_NONE);
    c.avoid = 0;
    assert_int_equal(balance_least_request(&c, &dice), 1);
    assert_int_equal(balance_round_robin(&c, &cursor), 1);
}

static void a_reload_keeps_the_state_of_the_same_kind(void **state UNUSED)
{
    const struct load loads[3] = {0};
    const struct balance_case c = case_of(loads, 3);
    struct balancer balancer = {0};
    uint64_t dice = 1;

    balancer_configure(&balancer, BALANCE_ROUND_ROBIN);
    assert_int_equal(balancer.ops->pick(&balancer, &c, &dice), 0);
    balancer_configure(&balancer, BALANCE_ROUND_ROBIN);
    assert_int_equal(balancer.ops->pick(&balancer, &c, &dice), 1);
    balancer_configure(&balancer, BALANCE_LEAST_REQUEST);
    assert_string_equal(balancer.ops->name, "least_request");
    balancer_configure(&balancer, BALANCE_ROUND_ROBIN);
    assert_int_equal(balancer.ops->pick(&balancer, &c, &dice), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_keeps_the_state_of_the_same_kind),
        cmocka_unit_test(round_robin_takes_each_in_its_turn),
        cmocka_unit_test(round_robin_passes_by_what_cannot_be_had),
        cmocka_unit_test(of_two_the_one_with_fewer_requests_is_taken),
        cmocka_unit_test(equal_loads_go_to_the_one_that_did_not_fail),
        cmocka_unit_test(equal_endpoints_get_equal_shares),
        cmocka_unit_test(the_busiest_of_many_is_never_taken),
        cmocka_unit_test(full_endpoints_are_never_taken),
        cmocka_unit_test(shunned_and_avoided_ones_are_the_last_resort),
        cmocka_unit_test(a_good_one_that_is_full_is_worth_waiting_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
