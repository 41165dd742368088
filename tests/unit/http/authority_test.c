/* Authorities that are spelled differently and are still the same. What is valid is in
 * head_test. */
#include "http/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void equivalent_authorities_are_the_same(void **state UNUSED)
{
    static const struct {
        const char *a, *b, *scheme;
        bool is_same;
    } cases[] = {
        {"a.example", "a.example", "http", true},
        {"a.example", "A.Example", "http", true},
        {"a.example:80", "a.example", "http", true},
        {"a.example:", "a.example", "http", true},
        {"a.example:", "a.example:80", "http", true},
        {"a.example:443", "a.example", "https", true},
        {"a.example:443", "a.example", "HTTPS", true},
        {"a.example:0443", "a.example:443", "http", true},
        {"a.example.", "a.example", "https", true},
        {"a.example.:443", "A.EXAMPLE", "https", true},
        {"m%C3%BCnchen.example", "m%c3%bcnchen.example", "https", true},
        {"[::1]", "[0:0:0:0:0:0:0:1]:443", "https", true},
        {"[2001:DB8::1]:80", "[2001:db8::1]", "http", true},
        {"[v1.A]", "[V1.a]", "http", true},
        {"a.example:443", "a.example", "http", false},
        {"a.example:80", "a.example", "https", false},
        {"a.example:8080", "a.example", "http", false},
        {"a.example:8080", "a.example:8081", "http", false},
        {"a.example", "b.example", "http", false},
        {"a.example", "a.example..", "http", false},
        {"a.example", "", "http", false},
        {"a.example:80", "a.example", "", false},
        {"[::1]", "[::2]", "http", false},
        {"[::1]", "::1", "http", false},
        {"[1.2.3.4]", "1.2.3.4", "http", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str a = str_of(cases[i].a), b = str_of(cases[i].b), scheme = str_of(cases[i].scheme);
        if (authority_same(a, b, scheme) != cases[i].is_same ||
            authority_same(b, a, scheme) != cases[i].is_same)
            fail_msg("%s and %s under %s", cases[i].a, cases[i].b, cases[i].scheme);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equivalent_authorities_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
