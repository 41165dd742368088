/* The timer wheel under a time of our own making. */
#include "net/wheel_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct alarm {
    struct deadline deadline;
    int fired;
    int64_t fired_ms;
    struct deadline *kill; /* deinit this one when fired */
};

static struct wheel *wheel;
static int64_t now_ms;

static void rang(struct deadline *deadline)
{
    struct alarm *alarm = CONTAINER_OF(deadline, struct alarm, deadline);

    alarm->fired++;
    alarm->fired_ms = now_ms;
    if (alarm->kill != NULL)
        deadline_deinit(alarm->kill);
}

static int set_up(void **state UNUSED)
{
    wheel = malloc(sizeof(*wheel));
    now_ms = 1000000;
    wheel_init(wheel, now_ms);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    free(wheel);
    return 0;
}

static void alarm_set(struct alarm *alarm, int64_t after_ms)
{
    wheel_set(wheel, &alarm->deadline, now_ms + after_ms, now_ms);
}

static void alarm_init(struct alarm *alarm)
{
    *alarm = (struct alarm){0};
    deadline_init(&alarm->deadline, rang);
}

/* As the loop does: sleeps to the next occupied slot, again and again; how often it woke up. */
static int sleep_until(int64_t until_ms)
{
    int wakes = 0;

    while (wheel_next_ms(wheel) <= until_ms) {
        now_ms = MAX(now_ms, wheel_next_ms(wheel));
        wheel_advance(wheel, now_ms);
        wakes++;
    }
    now_ms = until_ms;
    return wakes;
}

static void deadlines_are_never_early_and_one_tick_late_at_most(void **state UNUSED)
{
    static const int64_t afters[] = {0,    1,     15,    16,    17,     100,
                                     1000, 32767, 32768, 33000, 120000, 400000};
    struct alarm alarms[ARRAY_LEN(afters)];
    int64_t start_ms = now_ms;

    for (size_t i = 0; i < ARRAY_LEN(afters); i++) {
        alarm_init(&alarms[i]);
        alarm_set(&alarms[i], afters[i]);
    }
    sleep_until(now_ms + 500000);
    for (size_t i = 0; i < ARRAY_LEN(afters); i++) {
        int64_t late_ms = alarms[i].fired_ms - start_ms - afters[i];
        assert_int_equal(alarms[i].fired, 1);
        assert_in_range(late_ms, 0, WHEEL_TICK_MS);
    }
    assert_true(wheel_next_ms(wheel) == WHEEL_NEVER);
}

static void moving_a_deadline_later_leaves_its_node_alone(void **state UNUSED)
{
    struct alarm alarm;
    int64_t start_ms = now_ms;

    alarm_init(&alarm);
    alarm_set(&alarm, 100);
    int64_t filed_ms = alarm.deadline.filed_ms;
    alarm_set(&alarm, 5000);
    assert_int_equal(alarm.deadline.filed_ms, filed_ms);
    sleep_until(start_ms + 10000);
    assert_int_equal(alarm.fired, 1);
    assert_in_range(alarm.fired_ms - start_ms, 5000, 5000 + WHEEL_TICK_MS);
}

static void moving_a_deadline_earlier_works(void **state UNUSED)
{
    struct alarm alarm;
    int64_t start_ms = now_ms;

    alarm_init(&alarm);
    alarm_set(&alarm, 60000);
    alarm_set(&alarm, 50);
    sleep_until(start_ms + 1000);
    assert_int_equal(alarm.fired, 1);
    assert_in_range(alarm.fired_ms - start_ms, 50, 50 + WHEEL_TICK_MS);
}

static void a_cleared_deadline_costs_one_look_at_most(void **state UNUSED)
{
    struct alarm alarm;

    alarm_init(&alarm);
    alarm_set(&alarm, 100);
    deadline_clear(&alarm.deadline);
    assert_int_equal(sleep_until(now_ms + 100000), 1);
    assert_int_equal(alarm.fired, 0);
    assert_true(wheel_next_ms(wheel) == WHEEL_NEVER);
}

static void a_long_idle_time_does_not_make_the_next_deadline_early(void **state UNUSED)
{
    struct alarm alarm;

    alarm_init(&alarm);
    now_ms += 10 * 3600 * 1000;
    int64_t start_ms = now_ms;
    alarm_set(&alarm, 5000);
    assert_int_equal(sleep_until(start_ms + 6000), 1);
    assert_in_range(alarm.fired_ms - start_ms, 5000, 5000 + WHEEL_TICK_MS);
}

static void a_stalled_loop_fires_everything_that_is_due(void **state UNUSED)
{
    struct alarm alarms[3];

    for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
        alarm_init(&alarms[i]);
        alarm_set(&alarms[i], 10 + 1000 * (int64_t)i);
    }
    now_ms += 3600 * 1000;
    wheel_advance(wheel, now_ms);
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++)
        assert_int_equal(alarms[i].fired, 1);
}

static void a_callback_may_end_its_neighbour(void **state UNUSED)
{
    struct alarm first, second;

    alarm_init(&first);
    alarm_init(&second);
    first.kill = &second.deadline;
    alarm_set(&first, 10);
    alarm_set(&second, 10);
    sleep_until(now_ms + 100);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
}

int main(void)
{
#define WHEEL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WHEEL_TEST(deadlines_are_never_early_and_one_tick_late_at_most),
        WHEEL_TEST(moving_a_deadline_later_leaves_its_node_alone),
        WHEEL_TEST(moving_a_deadline_earlier_works),
        WHEEL_TEST(a_cleared_deadline_costs_one_look_at_most),
        WHEEL_TEST(a_long_idle_time_does_not_make_the_next_deadline_early),
        WHEEL_TEST(a_stalled_loop_fires_everything_that_is_due),
        WHEEL_TEST(a_callback_may_end_its_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
