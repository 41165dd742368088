/* Borrowed text: numbers, cutting, distance. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void numbers_are_digits_only_and_fit(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},    {"18446744073709551615", true, UINT64_MAX},
        {"", false, 0},    {"18446744073709551616", false, 0},
        {"+5", false, 0},  {" 5", false, 0},
        {"0x5", false, 0}, {"5,5", false, 0},
        {"007", true, 7},  {"-1", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 42;
        assert_int_equal(str_to_u64(str_of(cases[i].text), &value) == 0, cases[i].ok);
        assert_true(value == (cases[i].ok ? cases[i].value : 42));
    }
}

static void pieces_come_in_order_and_end(void **state UNUSED)
{
    struct str rest = STR("a;b;"), piece;

    assert_true(str_next(&rest, ';', &piece) && str_eq(piece, STR("a")));
    assert_true(str_next(&rest, ';', &piece) && str_eq(piece, STR("b")));
    assert_false(str_next(&rest, ';', &piece));
}

static void distance_counts_edits(void **state UNUSED)
{
    assert_int_equal(str_distance(STR("mw-web"), STR("mw-wbe")), 2);
    assert_int_equal(str_distance(STR("mw-web"), STR("mw-web")), 0);
    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_only_and_fit),
        cmocka_unit_test(pieces_come_in_order_and_end),
        cmocka_unit_test(distance_counts_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
