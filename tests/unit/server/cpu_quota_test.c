/* How many workers a CPU limit allows. */
#include "server/cpu_quota.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void cpu_max_is_read_as_thousandths(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t thousandths;
    } cases[] = {
        {"max 100000\n", CPU_UNLIMITED}, {"150000 100000\n", 1500},   {"100000 100000", 1000},
        {"1000 100000\n", 10},           {"800000 50000\n", 16000},   {"", CPU_UNLIMITED},
        {"max", CPU_UNLIMITED},          {"x y", CPU_UNLIMITED},      {"100000 0", CPU_UNLIMITED},
        {"-5 100000", CPU_UNLIMITED},    {"0 100000", CPU_UNLIMITED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(cpu_max_parse(str_of(cases[i].text)), cases[i].thousandths);
}

static void cfs_quota_is_read_the_same_way(void **state UNUSED)
{
    assert_int_equal(cpu_cfs_parse(STR("-1\n"), STR("100000\n")), CPU_UNLIMITED);
    assert_int_equal(cpu_cfs_parse(STR("250000\n"), STR("100000\n")), 2500);
    assert_int_equal(cpu_cfs_parse(STR(""), STR("")), CPU_UNLIMITED);
}

static void the_group_that_limits_is_found(void **state UNUSED)
{
    static const struct {
        const char *text, *path;
        bool is_v2;
    } cases[] = {
        {"0::/system.slice/weir.service\n", "/system.slice/weir.service", true},
        {"0::/\n", "/", true},
        {"4:memory:/a\n3:cpu,cpuacct:/kubepods/pod1\n0::/b\n", "/kubepods/pod1", false},
        {"2:cpuset:/x\n0::/b\n", "/b", true},
        {"5:name=systemd:/user.slice\n", "", false},
        {"", "", false},
        {"nonsense", "", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is_v2;
        struct str path = cgroup_path(str_of(cases[i].text), &is_v2);
        assert_true(str_eq(path, str_of(cases[i].path)));
        assert_int_equal(is_v2, cases[i].is_v2);
    }
}

static void a_quota_is_rounded_up_and_cores_are_the_most(void **state UNUSED)
{
    assert_int_equal(workers_for(8, CPU_UNLIMITED), 8);
    assert_int_equal(workers_for(8, 1500), 2);
    assert_int_equal(workers_for(8, 2000), 2);
    assert_int_equal(workers_for(8, 10), 1);
    assert_int_equal(workers_for(2, 16000), 2);
    assert_int_equal(workers_for(0, CPU_UNLIMITED), 1);
    assert_true(workers_default() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_max_is_read_as_thousandths),
        cmocka_unit_test(cfs_quota_is_read_the_same_way),
        cmocka_unit_test(the_group_that_limits_is_found),
        cmocka_unit_test(a_quota_is_rounded_up_and_cores_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
