/* The decision alone: shares and lags in, a level out. */
#include "control/overload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct overload_conf conf = {
    .keepalive_at = 90000, .refuse_at = 95000, .keepalive_lag_ms = 100, .refuse_lag_ms = 1000};

static const struct {
    struct overload_facts facts;
    enum overload_level level;
} cases[] = {
    {{.memory_bytes = 100}, OVERLOAD_NONE}, /* no limit */
    {{.memory_bytes = 899, .memory_max = 1000}, OVERLOAD_NONE},
    {{.memory_bytes = 900, .memory_max = 1000}, OVERLOAD_NO_KEEPALIVE},
    {{.memory_bytes = 950, .memory_max = 1000}, OVERLOAD_REFUSE},
    {{.memory_bytes = 5000, .memory_max = 1000}, OVERLOAD_REFUSE},
    {{.descriptors = 9, .descriptors_max = 10}, OVERLOAD_NO_KEEPALIVE},
    {{.descriptors = 10, .descriptors_max = 10}, OVERLOAD_REFUSE},
    {{.connections = 9, .connections_max = 10}, OVERLOAD_NO_KEEPALIVE},
    {{.connections = 10, .connections_max = 10}, OVERLOAD_REFUSE_NEW},
    {{.connections = 10, .connections_max = 10, .lag_ms = 1000}, OVERLOAD_REFUSE},
    {{.lag_ms = 99}, OVERLOAD_NONE},
    {{.lag_ms = 100}, OVERLOAD_NO_KEEPALIVE},
};

static void every_resource_has_its_thresholds(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (overload_decide(&conf, &cases[i].facts) != cases[i].level)
            fail_msg("case %zu: %s", i, overload_word(overload_decide(&conf, &cases[i].facts)));
    }
}

static void it_gets_worse_at_once_and_better_after_a_while(void **state UNUSED)
{
    struct overload overload = {0};

    assert_int_equal(overload_step(&overload, OVERLOAD_REFUSE), OVERLOAD_REFUSE);
    for (int i = 1; i < OVERLOAD_CALM_TICKS; i++)
        assert_int_equal(overload_step(&overload, OVERLOAD_NONE), OVERLOAD_REFUSE);
    assert_int_equal(overload_step(&overload, OVERLOAD_NONE), OVERLOAD_NONE);
    assert_int_equal(overload_step(&overload, OVERLOAD_NO_KEEPALIVE), OVERLOAD_NO_KEEPALIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_resource_has_its_thresholds),
        cmocka_unit_test(it_gets_worse_at_once_and_better_after_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
