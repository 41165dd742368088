/* Files of text: what is accepted, and where a fault is reported. */
#include "config/text_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void good_texts_are_accepted_without_their_mark(void **state UNUSED)
{
    static const struct str texts[] = {
        STR_INIT(""),
        STR_INIT("a\r\nb\tc\n"),
        STR_INIT("\xef\xbb\xbfplain"),
        STR_INIT("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8d\xba"),
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str text = texts[i];
        struct text_fault fault;
        assert_int_equal(text_check(&text, &fault), 0);
        assert_int_equal(text.len, texts[i].len - (i == 2 ? 3 : 0));
    }
}

static void a_fault_is_reported_at_its_line_and_column(void **state UNUSED)
{
    static const struct {
        struct str text;
        int line, column;
    } cases[] = {
        {STR_INIT("a\0b"), 1, 2},
        {STR_INIT("\xef\xbb\xbf\xe4"), 1, 1},           /* Latin-1 behind a mark */
        {STR_INIT("one\ntwo\nsch\xf6n\n"), 3, 4},       /* Latin-1 */
        {STR_INIT("one\r\ntwo\r\n\xc3\xa4\x0c"), 3, 2}, /* columns are characters */
        {STR_INIT("one\rtwo\x7f"), 2, 4},               /* old Mac line ends */
        {STR_INIT("a\xc0\x80"), 1, 2},                  /* overlong */
        {STR_INIT("a\xed\xa0\x80"), 1, 2},              /* surrogate */
        {STR_INIT("a\xe2\x82"), 1, 2},                  /* cut off */
        {STR_INIT("ab\xe2\x80\xa8"), 1, 3},             /* U+2028 */
        {STR_INIT("ab\xef\xbb\xbf"), 1, 3},             /* mark in the middle */
        {STR_INIT("\xff\xfe"
                  "a\0"),
         1, 1}, /* UTF-16 */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = cases[i].text;
        struct text_fault fault;
        assert_int_equal(text_check(&text, &fault), -1);
        assert_int_equal(fault.line, cases[i].line);
        assert_int_equal(fault.column, cases[i].column);
        assert_true(fault.what[0] != '\0');
    }
}

static void lines_end_in_lf_crlf_or_cr(void **state UNUSED)
{
    struct str rest = STR("a\nb\r\n\rc\r\nd"), line;
    static const char *const want[] = {"a", "b", "", "c", "d"};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(text_line_next(&rest, &line));
        assert_true(str_eq(line, str_of(want[i])));
    }
    assert_false(text_line_next(&rest, &line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_are_accepted_without_their_mark),
        cmocka_unit_test(a_fault_is_reported_at_its_line_and_column),
        cmocka_unit_test(lines_end_in_lf_crlf_or_cr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
