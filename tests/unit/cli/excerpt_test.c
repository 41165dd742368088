/* Excerpts: the line, and the mark under the token. */
#include "cli/excerpt.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    int line, column;
    const char *expected;
} cases[] = {
    {"a: 1\nshare: 140%\n", 2, 8, "    2 | share: 140%\n      |        ^~~~\n"},
    {"a: [x, yy]\n", 1, 8, "    1 | a: [x, yy]\n      |        ^~\n"},
    {"grups: {}\n", 1, 1, "    1 | grups: {}\n      | ^~~~~\n"},
    {"a: \"b c\" # d\n", 1, 4, "    1 | a: \"b c\" # d\n      |    ^~~~~\n"},
    {"\xc3\xa4: 140%\n", 1, 4,
     "    1 | \xc3\xa4: 140%\n      |    ^~~~\n"}, /* a character of two bytes */
    {"\ta: x\r\n", 1, 5, "    1 |  a: x\n      |     ^\n"},
    {"a: \033[31m\n", 1, 4, "    1 | a: ?[31m\n      |    ^~~~~\n"},
    {"a:\n", 1, 9, "    1 | a:\n      |   ^\n"},
    {"a: 1\n", 7, 1, ""},
};

static void the_mark_stands_under_the_token(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text out = {0};
        excerpt_add(&out, str_of(cases[i].text), cases[i].line, cases[i].column);
        assert_string_equal(out.len > 0 ? out.ptr : "", cases[i].expected);
        text_free(&out);
    }
}

static void a_long_line_is_cut_around_the_token(void **state UNUSED)
{
    char line[2000];
    struct text out = {0};

    memset(line, 'x', sizeof(line));
    memcpy(line + 1000, " bad ", 5);
    excerpt_add(&out, str_make(line, sizeof(line)), 1, 1002);
    assert_true(out.len < 300);
    assert_non_null(strstr(out.ptr, " bad "));
    const char *mark = strchr(out.ptr, '^');
    const char *bad = strstr(out.ptr, "bad");
    const char *second = strchr(out.ptr, '\n') + 1;
    assert_int_equal(mark - second, bad - out.ptr);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mark_stands_under_the_token),
        cmocka_unit_test(a_long_line_is_cut_around_the_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
