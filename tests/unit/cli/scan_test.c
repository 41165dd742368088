/* The strict reader of small JSON texts, and the readers of questions and log lines built on it. */
#include "cli/diff/log_line.h"
#include "cli/explain/route_repl.h"
#include "cli/explain/route_stdin.h"
#include "cli/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A copy without room behind it, so that a sanitizer sees every byte read too far. */
static char *copy_of(struct str text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

static bool is_json(struct str text)
{
    char *copy = copy_of(text);
    struct scan scan;

    scan_init(&scan, copy, text.len);
    bool is_good = scan_skip(&scan) && scan_ended(&scan);
    assert_true(is_good == (scan.error == NULL));
    free(copy);
    return is_good;
}

static void only_json_is_json(void **state UNUSED)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [1, -0.5e+3, true, false, null] ",
                                       "{\"a\":{\"b\":[\"c\"]},\"d\":\"\"}",
                                       "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
                                       "0",
                                       "[[],{}]",
                                       "\"a long string that has no specials\""};
    static const char *const bad[] = {
        "",         "{",     "}",       "[1,]",        "[,1]",        "{\"a\"}",
        "{\"a\":}", "{a:1}", "01",      "1.",          "-",           "+1",
        "tru",      "\"",    "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u12\"",
        "\"a\nb\"", "[1 2]", "1 2",     "{\"a\":1,}",  "'a'",         "[1]]"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(is_json(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (is_json(str_of(bad[i])))
            fail_msg("taken: %s", bad[i]);
    }
}

static void depth_is_bounded(void **state UNUSED)
{
    char text[4 * SCAN_DEPTH_MAX];

    memset(text, '[', sizeof(text));
    assert_false(is_json(str_make(text, sizeof(text))));
    memset(text + SCAN_DEPTH_MAX - 1, ']', SCAN_DEPTH_MAX - 1);
    assert_true(is_json(str_make(text, 2 * (SCAN_DEPTH_MAX - 1))));
}

static void strings_are_decoded_where_they_stand(void **state UNUSED)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"exactly8\"", "exactly8"},
        {"\"a\\\"b\\\\c\\/\\t\"", "a\"b\\c/\t"},
        {"\"12345678\\u0041\\u00e9\\u20ac\\ud83d\\ude00 and more\"",
         "12345678A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more"},
        {"\"\xc3\xa9 \xff passes\"", "\xc3\xa9 \xff passes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = str_of(cases[i].text), value;
        char *copy = copy_of(text);
        struct scan scan;
        scan_init(&scan, copy, text.len);
        assert_true(scan_string(&scan, &value));
        assert_true(str_eq(value, str_of(cases[i].value)));
        assert_true(scan_ended(&scan));
        free(copy);
    }
}

static void a_question_is_read_or_refused_as_a_whole(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"{\"url\":\"https://a/b\"}", true},
        {"{\"method\":\"PURGE\",\"url\":\"a/b?c#d\",\"headers\":{\"K\":[\"a\",\"b\"]},"
         "\"client\":\"::1\",\"http\":\"1.0\",\"trusted\":false}",
         true},
        {"{\"url\":\"a\",\"headers\":null,\"client\":null}", true},
        {"{}", false},
        {"[]", false},
        {"{\"url\":1}", false},
        {"{\"url\":null}", false},
        {"{\"url\":\"a\",\"url\":\"b\"}", false},
        {"{\"url\":\"a\",\"x\":1}", false},
        {"{\"url\":\"a\",\"headers\":[]}", false},
        {"{\"url\":\"a\",\"headers\":{\"K\":1}}", false},
        {"{\"url\":\"a\",\"headers\":{\"K K\":\"\"}}", false},
        {"{\"url\":\"a\",\"headers\":{\"K\":\"\\n\"}}", false},
        {"{\"url\":\"a\",\"method\":\"A B\"}", false},
        {"{\"url\":\"a\",\"http\":\"2\"}", false},
        {"{\"url\":\"a/ b\"}", false},
        {"{\"url\":\"a\"} x", false},
    };
    struct question question;

    question_init(&question);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = str_of(cases[i].text);
        char *copy = copy_of(text);
        question_reset(&question);
        if ((question_read_json(&question, copy, text.len) == NULL) != cases[i].is_good)
            fail_msg("%s", cases[i].text);
        free(copy);
    }
    question_deinit(&question);
}

static void words_are_taken_apart_as_a_shell_does(void **state UNUSED)
{
    char line[] = "POST  'a b'\"c\"\\ d -H 'K: \"v\"' ''", open[] = "a 'b", none[] = "  ";
    char *words[8];

    assert_int_equal(words_split(line, words, 8), 5);
    assert_string_equal(words[0], "POST");
    assert_string_equal(words[1], "a bc d");
    assert_string_equal(words[2], "-H");
    assert_string_equal(words[3], "K: \"v\"");
    assert_string_equal(words[4], "");
    assert_int_equal(words_split(open, words, 8), -1);
    assert_int_equal(words_split(none, words, 8), 0);
}

#define OWN_START                                                                                  \
    "{\"time\":\"2023-09-01T00:00:00.000Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\","
#define OWN_END ",\"why\":\"split_default\",\"bucket\":77}"

static void logs_are_known_by_their_lines(void **state UNUSED)
{
    static const struct {
        const char *text, *host, *path;
        enum log_result result;
        uint32_t bucket;
    } cases[] = {
        {OWN_START "\"host\":\"a.example\",\"path\":\"/x\"" OWN_END, "a.example", "/x", LOG_REQUEST,
         77},
        {OWN_START "\"host\":\"a.example\",\"path\":\"/\\\"x\"" OWN_END, "a.example", "/\"x",
         LOG_REQUEST, 77},
        {"{\"why\":\"split_list\",\"bucket\":5,\"path\":\"/x\",\"host\":\"b\",\"more\":[]}", "b",
         "/x", LOG_REQUEST, 5},
        {OWN_START "\"host\":\"a\",\"path\":\"/\",\"why\":\"debug\",\"bucket\":0}", "", "",
         LOG_DEBUG, 0},
        {"::1 - - [x] \"GET /y HTTP/2.0\" 200 1", "default.example", "/y", LOG_REQUEST, 0},
        {"v.example:443 192.0.2.1 - - [x] \"GET /y HTTP/1.1\" 200 1", "v.example:443", "/y",
         LOG_REQUEST, 0},
        {"192.0.2.1 - - [x] \"GET http://z.example/y HTTP/1.1\" 200 1", "z.example", "/y",
         LOG_REQUEST, 0},
        {"192.0.2.1 - - [x] \"-\" 408 0", "", "", LOG_UNREADABLE, 0},
        {"", "", "", LOG_UNREADABLE, 0},
        {"{\"path\":1}", "", "", LOG_UNREADABLE, 0},
        {"{\"path\":\"/", "", "", LOG_UNREADABLE, 0},
    };
    struct question question;

    question_init(&question);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = str_of(cases[i].text);
        struct log_request request;
        char *copy = copy_of(text);
        question_reset(&question);
        enum log_result result =
            log_line_read(copy, text.len, STR("default.example"), &question, &request);
        if (result != cases[i].result)
            fail_msg("%s: %d", cases[i].text, (int)result);
        if (result == LOG_REQUEST) {
            assert_true(str_eq(question.authority, str_of(cases[i].host)));
            assert_true(str_eq(question.path, str_of(cases[i].path)));
            assert_int_equal(request.has_bucket ? request.bucket : 0, cases[i].bucket);
        }
        free(copy);
    }
    question_deinit(&question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_json_is_json),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(strings_are_decoded_where_they_stand),
        cmocka_unit_test(a_question_is_read_or_refused_as_a_whole),
        cmocka_unit_test(words_are_taken_apart_as_a_shell_does),
        cmocka_unit_test(logs_are_known_by_their_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
