/* Spelling names, compared with the rule written down byte by byte. */
#include "http/name_case.h"

#include "base/hash.h"
#include "http/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { NAME_MAX_BYTES = 40 };

static void assert_spelled(struct str name)
{
    char lower[NAME_MAX_BYTES], proper[NAME_MAX_BYTES], got[NAME_MAX_BYTES];

    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        bool begins = i == 0 || name.ptr[i - 1] == '-';
        lower[i] = c;
        proper[i] = begins && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    memset(got, '!', sizeof(got));
    assert_ptr_equal(name_put_lower(got, name), got + name.len);
    assert_memory_equal(got, lower, name.len);
    assert_int_equal(got[name.len], '!');
    memset(got, '!', sizeof(got));
    assert_ptr_equal(name_put_proper(got, name), got + name.len);
    assert_memory_equal(got, proper, name.len);
    assert_int_equal(got[name.len], '!');
}

static void every_name_is_spelled_by_the_rule(void **state UNUSED)
{
    static const char bytes[] = "abyzABYZ--..__019~!#$%&'*+^`|";
    char name[NAME_MAX_BYTES];
    uint64_t dice = 7;

    for (unsigned round = 0; round < 20000; round++) {
        size_t len = 1 + rand_next(&dice) % (NAME_MAX_BYTES - 1);
        for (size_t i = 0; i < len; i++)
            name[i] = bytes[rand_next(&dice) % (sizeof(bytes) - 1)];
        assert_spelled(str_make(name, len));
    }
}

static void known_names_are_known_in_proper_case(void **state UNUSED)
{
    char proper[NAME_MAX_BYTES];

    for (int id = 1; id < HEADER_COUNT; id++) {
        struct str name = header_name((enum header_id)id);
        name_put_proper(proper, name);
        assert_true(str_eq(header_proper_name((enum header_id)id), str_make(proper, name.len)));
    }
    assert_true(str_eq(header_proper_name(HEADER_X_REQUEST_ID), STR("X-Request-Id")));
    assert_true(str_eq(header_proper_name(HEADER_TE), STR("Te")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_spelled_by_the_rule),
        cmocka_unit_test(known_names_are_known_in_proper_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
