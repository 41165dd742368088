/* Durations, sizes, shares, host names. */
#include "config/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void shares_are_exact_to_a_thousandth_of_a_percent(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t share; /* -1: refused */
    } cases[] = {
        {"4%", 4000},       {"0.04", 4000},   {"100%", 100000}, {"1", 100000},
        {"0", 0},           {"0%", 0},        {"true", 100000}, {"false", 0},
        {"0.001%", 1},      {"0.00001", 1},   {"0.07", 7000},   {"6.5%", 6500},
        {"99.999%", 99999}, {"0.5", 50000},   {"1.0", 100000},  {"0.0400000000", 4000},
        {"4 %", 4000},      {"0.0005%", -1},  {"0.000001", -1}, {"101%", -1},
        {"1.5", -1},        {"4", -1},        {"-1%", -1},      {"yes", -1},
        {"", -1},           {"%", -1},        {".5", -1},       {"5.", -1},
        {"4%%", -1},        {"1e-2", -1},     {"nan", -1},      {"99999999999999999999%", -1},
        {"True", -1},       {"100.001%", -1}, {"1.00001", -1},  {"+4%", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t share = 7;
        int result = share_parse(str_of(cases[i].text), &share);
        if (result != (cases[i].share >= 0 ? 0 : -1))
            fail_msg("share \"%s\"", cases[i].text);
        if (result == 0)
            assert_int_equal(share, cases[i].share);
    }
}

static void shares_are_written_in_their_shortest_form(void **state UNUSED)
{
    char text[SHARE_TEXT_MAX];

    assert_string_equal(share_format(4000, text), "4%");
    assert_string_equal(share_format(6500, text), "6.5%");
    assert_string_equal(share_format(1, text), "0.001%");
    assert_string_equal(share_format(0, text), "0%");
    assert_string_equal(share_format(100000, text), "100%");
    assert_string_equal(share_format(UINT32_MAX, text), "4294967.295%");
}

static void every_share_survives_writing_and_reading(void **state UNUSED)
{
    char text[SHARE_TEXT_MAX];

    for (uint32_t share = 0; share <= 100000; share++) {
        uint32_t again;
        assert_int_equal(share_parse(str_of(share_format(share, text)), &again), 0);
        assert_int_equal(again, share);
    }
}

static void durations_have_a_unit_and_whole_milliseconds(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"250ms", 250},  {"4.5s", 4500},  {"60s", 60000},
        {"1h", 3600000}, {"15m", 900000}, {"1d", 86400000},
        {"0", 0},        {"0.001s", 1},   {"1.5h", 5400000},
        {"10", -1},      {"0.5ms", -1},   {"-1s", -1},
        {"1w", -1},      {"s", -1},       {"", -1},
        {"1 s", 1000},   {"50d", -1},     {"1.0001s", -1},
        {"1s2", -1},     {"1S", -1},      {"99999999999999999999s", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t ms = 7;
        int result = duration_parse(str_of(cases[i].text), &ms);
        if (result != (cases[i].ms >= 0 ? 0 : -1))
            fail_msg("duration \"%s\"", cases[i].text);
        if (result == 0)
            assert_int_equal(ms, cases[i].ms);
    }
}

static void sizes_count_in_powers_of_two(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        {"64KiB", 65536},
        {"1MiB", 1048576},
        {"2GiB", 2147483648},
        {"512B", 512},
        {"512", 512},
        {"0", 0},
        {"64KB", -1},
        {"64k", -1},
        {"", -1},
        {"1.5MiB", -1},
        {"-1", -1},
        {"KiB", -1},
        {"99999999999999999GiB", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 7;
        int result = size_parse(str_of(cases[i].text), &bytes);
        if (result != (cases[i].bytes >= 0 ? 0 : -1))
            fail_msg("size \"%s\"", cases[i].text);
        if (result == 0)
            assert_true(bytes == (uint64_t)cases[i].bytes);
    }
}

static void host_names_have_no_port_and_no_empty_label(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool is_host;
    } cases[] = {
        {"en.wikipedia.org", true},
        {"EN.wikipedia.org.", true},
        {"a", true},
        {"zh-min-nan.wiki", true},
        {"[2001:db8::1]", true},
        {"_dmarc.example", true},
        {"", false},
        {".", false},
        {"a..b", false},
        {"a.b:443", false},
        {".a", false},
        {"a b", false},
        {"a/b", false},
        {"u@a", false},
        {"[::1", false},
        {"a..", false},
        {"[]", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (is_host_name(str_of(cases[i].text)) != cases[i].is_host)
            fail_msg("host \"%s\"", cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_exact_to_a_thousandth_of_a_percent),
        cmocka_unit_test(shares_are_written_in_their_shortest_form),
        cmocka_unit_test(every_share_survives_writing_and_reading),
        cmocka_unit_test(durations_have_a_unit_and_whole_milliseconds),
        cmocka_unit_test(sizes_count_in_powers_of_two),
        cmocka_unit_test(host_names_have_no_port_and_no_empty_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
