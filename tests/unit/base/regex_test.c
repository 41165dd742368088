/* Patterns: what they match, their limits, and that no thread matters. */
#include "base/regex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct regex *pattern(const char *text)
{
    struct err err;
    struct regex *regex = regex_new(str_of(text), &err);

    assert_non_null(regex);
    return regex;
}

static void a_pattern_matches_the_whole_text(void **state UNUSED)
{
    struct regex *regex = pattern("/w/(a|b)+");

    assert_int_equal(regex_match(regex, STR("/w/abba")), REGEX_YES);
    assert_int_equal(regex_match(regex, STR("/w/abba?")), REGEX_NO);
    assert_int_equal(regex_match(regex, STR("x/w/a")), REGEX_NO);
    assert_int_equal(regex_match(regex, (struct str){0}), REGEX_NO);
    regex_free(regex);
}

static void no_byte_hides_from_a_dot(void **state UNUSED)
{
    struct regex *regex = pattern("/secret/.*"), *end = pattern("/secret$");

    assert_int_equal(regex_match(regex, STR("/secret/a\nb")), REGEX_YES);
    assert_int_equal(regex_match(regex, STR("/secret/\r\n")), REGEX_YES);
    assert_int_equal(regex_match(regex, STR("/secret/\xff")), REGEX_YES);
    assert_int_equal(regex_match(end, STR("/secret\n")), REGEX_NO);
    regex_free(regex);
    regex_free(end);
}

static void a_pattern_that_cannot_begin_with_a_slash_is_found(void **state UNUSED)
{
    static const char *const may[] = {"/",        "/.*",       ".*x",         "(?i)/W.*", "^/a$",
                                      "(/a|b).*", "[^a]+[.]x", "(?=.*x)/a.*", "/?x?",     "\\/.+"};
    static const char *const never[] = {"wiki/.*", "^a.*", "[a-z]+/.*", "(a|b)/"};

    for (size_t i = 0; i < ARRAY_LEN(may); i++) {
        if (!regex_may_begin(str_of(may[i]), STR("/")))
            fail_msg("%s", may[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        if (regex_may_begin(str_of(never[i]), STR("/")))
            fail_msg("%s", never[i]);
    }
}

static void a_text_that_takes_too_long_is_no_match(void **state UNUSED)
{
    struct regex *regex = pattern("(a+)+");

    assert_int_equal(regex_match(regex, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")),
                     REGEX_LIMIT);
    regex_free(regex);
}

static void *match_and_free(void *arg)
{
    struct regex **regexes = arg;

    for (int i = 0; i < 4; i++)
        assert_int_equal(regex_match(regexes[i], STR("/w/a")), REGEX_YES);
    for (int i = 0; i < 4; i++)
        regex_free(regexes[i]);
    return NULL;
}

static void a_pattern_may_be_freed_on_another_thread(void **state UNUSED)
{
    struct regex *regexes[4];
    pthread_t thread;

    for (int i = 0; i < 4; i++)
        regexes[i] = pattern("/w/[a-c]");
    assert_int_equal(pthread_create(&thread, NULL, match_and_free, regexes), 0);
    pthread_join(thread, NULL);

    struct regex *after = pattern("x*"); /* the first thread can go on */
    assert_int_equal(regex_match(after, STR("xxx")), REGEX_YES);
    regex_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_matches_the_whole_text),
        cmocka_unit_test(no_byte_hides_from_a_dot),
        cmocka_unit_test(a_pattern_that_cannot_begin_with_a_slash_is_found),
        cmocka_unit_test(a_text_that_takes_too_long_is_no_match),
        cmocka_unit_test(a_pattern_may_be_freed_on_another_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
