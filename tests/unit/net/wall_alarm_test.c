/* Clocks: alarms ring at a date, also when the wall clock jumps; deadlines do not care. */
#include "base/clock.h"
#include "net/wall_alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

enum { NOON = 1000 }; /* seconds since 1970 */

static struct loop *loop;
static int64_t mono_us, wall_us;
static unsigned rings, fires;
static struct wall_alarm alarm_at;
static struct deadline deadline;

static int64_t read_mono(void *arg UNUSED)
{
    return mono_us;
}

static int64_t read_wall(void *arg UNUSED)
{
    return wall_us;
}

static void on_ring(struct wall_alarm *ringing UNUSED)
{
    rings++;
}

static void on_fire(struct deadline *fired UNUSED)
{
    fires++;
}

static int set_up(void **state UNUSED)
{
    mono_us = 50 * SECOND;
    wall_us = (NOON - 60) * SECOND;
    rings = fires = 0;
    loop = loop_new();
    loop_use_clock(loop, &(struct clock){read_mono, read_wall, NULL});
    wall_alarm_init(&alarm_at, on_ring);
    deadline_init(&deadline, on_fire);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    wall_alarm_deinit(&alarm_at);
    deadline_deinit(&deadline);
    loop_free(loop);
    return 0;
}

static void pass(int64_t us)
{
    mono_us += us;
    wall_us += us;
    loop_turn(loop);
}

static void jump(int64_t us)
{
    wall_us += us;
    loop_turn(loop);
}

static void an_alarm_rings_once_at_its_date(void **state UNUSED)
{
    wall_alarm_set(loop, &alarm_at, NOON * SECOND);
    pass(59 * SECOND);
    assert_int_equal(rings, 0);
    pass(1 * SECOND);
    assert_int_equal(rings, 1);
    pass(3600 * SECOND);
    assert_int_equal(rings, 1);
}

static void an_alarm_rings_when_the_clock_is_set_forward_past_it(void **state UNUSED)
{
    wall_alarm_set(loop, &alarm_at, NOON * SECOND);
    jump(7200 * SECOND);
    assert_int_equal(rings, 1);
}

static void an_alarm_rings_when_the_clock_is_set_back(void **state UNUSED)
{
    wall_alarm_set(loop, &alarm_at, WALL_NEVER);
    pass(3600 * SECOND);
    assert_int_equal(rings, 0);
    jump(-7200 * SECOND);
    assert_int_equal(rings, 1);
}

static void an_alarm_that_was_cleared_does_not_ring(void **state UNUSED)
{
    wall_alarm_set(loop, &alarm_at, NOON * SECOND);
    wall_alarm_clear(&alarm_at);
    pass(3600 * SECOND);
    jump(3600 * SECOND);
    assert_int_equal(rings, 0);
}

static void an_alarm_can_be_moved(void **state UNUSED)
{
    wall_alarm_set(loop, &alarm_at, NOON * SECOND);
    wall_alarm_set(loop, &alarm_at, (NOON + 10) * SECOND);
    pass(65 * SECOND);
    assert_int_equal(rings, 0);
    pass(5 * SECOND);
    assert_int_equal(rings, 1);
}

static void a_deadline_follows_the_monotonic_clock_alone(void **state UNUSED)
{
    deadline_set(loop, &deadline, 60 * 1000);
    jump(7200 * SECOND);
    jump(-9000 * SECOND);
    pass(59 * SECOND);
    assert_int_equal(fires, 0);
    pass(1 * SECOND + 20 * 1000); /* one tick of the wheel later at most */
    assert_int_equal(fires, 1);
}

static void stop(struct wall_alarm *ringing UNUSED)
{
    rings++;
    loop_stop(loop);
}

static void the_kernel_wakes_the_loop_at_the_date(void **state UNUSED)
{
    struct loop *own = loop;
    struct wall_alarm real;
    int64_t at_wall_us = clock_wall_us() + SECOND / 20;

    loop = loop_new();
    wall_alarm_init(&real, stop);
    wall_alarm_set(loop, &real, at_wall_us);
    loop_run(loop);
    assert_int_equal(rings, 1);
    assert_true(clock_wall_us() >= at_wall_us);

    wall_alarm_set(loop, &real, at_wall_us - SECOND); /* that is past already */
    loop_run(loop);
    assert_int_equal(rings, 2);
    wall_alarm_deinit(&real);
    loop_free(loop);
    loop = own;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_alarm_rings_once_at_its_date),
        TEST(an_alarm_rings_when_the_clock_is_set_forward_past_it),
        TEST(an_alarm_rings_when_the_clock_is_set_back),
        TEST(an_alarm_that_was_cleared_does_not_ring),
        TEST(an_alarm_can_be_moved),
        TEST(a_deadline_follows_the_monotonic_clock_alone),
        TEST(the_kernel_wakes_the_loop_at_the_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
