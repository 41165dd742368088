/* Certificates that expire are reported once, at the moment, also when the wall clock jumps. */
#include "base/log.h"
#include "control/expiry.h"
#include "tls/plan_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { LOADED_S = 1000, FIRST_S = 2000, SECOND_S = 3000 };

static struct tls_expiry expiries[] = {{(char *)"first.pem", FIRST_S},
                                       {(char *)"second.pem", SECOND_S}};

struct world {
    struct control *control;
    struct expiry expiry;
    int64_t mono_us, wall_us;
    struct tls_server_plan plan;
    struct tls_server_plan *listeners[1];
    struct tls_plans tls;
    struct listener_conf listener;
    struct config config;
};

static char logged[2048];

static void keep_line(void *arg UNUSED, const char *line, size_t len)
{
    strncat(logged, line, MIN(len, sizeof(logged) - strlen(logged) - 1));
}

static int64_t read_mono(void *arg)
{
    return ((struct world *)arg)->mono_us;
}

static int64_t read_wall(void *arg)
{
    return ((struct world *)arg)->wall_us;
}

static void world_init(struct world *world)
{
    *world = (struct world){.mono_us = 1000000, .wall_us = INT64_C(1000000) * LOADED_S};
    world->plan.expiries = expiries;
    world->plan.expiry_count = ARRAY_LEN(expiries);
    world->listeners[0] = &world->plan;
    world->tls = (struct tls_plans){.listeners = world->listeners, .listener_count = 1};
    world->listener.name = STR("main");
    world->config = (struct config){.listeners = &world->listener, .listener_count = 1};
    world->control = control_new();
    loop_use_clock(control_loop(world->control), &(struct clock){read_mono, read_wall, world});
    expiry_add(&world->expiry, world->control);
    control_adopt(world->control,
                  &(struct control_conf){.config = &world->config,
                                         .tls = &world->tls,
                                         .loaded_wall_us = INT64_C(1000000) * LOADED_S});
    logged[0] = '\0';
    log_set_sink(keep_line, NULL);
}

static void world_deinit(struct world *world)
{
    log_set_sink(NULL, NULL);
    control_free(world->control);
}

/* Sets the wall clock, as an administrator would. */
static void set_wall(struct world *world, int64_t at_s)
{
    world->wall_us = at_s * 1000000;
    loop_turn(control_loop(world->control));
}

/* Time passes, on both clocks. */
static void pass_until(struct world *world, int64_t at_s)
{
    world->mono_us += at_s * 1000000 - world->wall_us;
    set_wall(world, at_s);
}

static unsigned reports_of(const char *certificate)
{
    unsigned count = 0;

    for (const char *at = logged; (at = strstr(at, certificate)) != NULL; at++)
        count++;
    return count;
}

static void each_certificate_is_reported_once_when_it_expires(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    pass_until(&world, FIRST_S - 1);
    assert_string_equal(logged, "");
    pass_until(&world, FIRST_S);
    assert_non_null(strstr(logged, "certificate_expired listener=main certificate=\"first.pem\""));
    pass_until(&world, SECOND_S + 500);
    pass_until(&world, SECOND_S + 1000);
    assert_int_equal(reports_of("first.pem"), 1);
    assert_int_equal(reports_of("second.pem"), 1);
    world_deinit(&world);
}

static void a_clock_that_is_set_forward_skips_no_certificate(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    set_wall(&world, SECOND_S + 86400);
    assert_int_equal(reports_of("first.pem"), 1);
    assert_int_equal(reports_of("second.pem"), 1);
    world_deinit(&world);
}

static void a_clock_that_was_wrong_does_not_hide_a_later_expiry(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    set_wall(&world, SECOND_S + 86400); /* wrong */
    set_wall(&world, FIRST_S - 10);     /* corrected */
    pass_until(&world, FIRST_S + 1);
    assert_int_equal(reports_of("first.pem"), 2);
    assert_int_equal(reports_of("second.pem"), 1);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_certificate_is_reported_once_when_it_expires),
        cmocka_unit_test(a_clock_that_is_set_forward_skips_no_certificate),
        cmocka_unit_test(a_clock_that_was_wrong_does_not_hide_a_later_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
