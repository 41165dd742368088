/* JSON documents: what is built is written, and what is written is read. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct page {
    char text[1024];
    size_t len;
};

static void append(void *arg, struct str piece)
{
    struct page *page = arg;

    assert_true(page->len + piece.len < sizeof(page->text));
    memcpy(page->text + page->len, piece.ptr, piece.len);
    page->len += piece.len;
    page->text[page->len] = '\0';
}

static struct page written(struct doc *doc)
{
    struct page page = {.len = 0};

    doc_write(doc, DOC_COMPACT, append, &page);
    doc_free(&doc);
    assert_null(doc);
    return page;
}

/* A copy without room behind it, so that a sanitizer sees every byte that is read too far. */
static struct doc *parse(struct str text, struct err *err)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    struct doc *doc = doc_parse(str_make(copy, text.len), err);
    free(copy);
    return doc;
}

static void a_document_is_written_in_the_order_it_was_built(void **state UNUSED)
{
    struct doc *object = doc_object(), *list = doc_list();

    doc_set(object, STR("z"), doc_int(-3));
    doc_set(object, STR("list"), list);
    doc_add(list, doc_bool(true));
    doc_add(list, doc_null());
    doc_add(list, doc_text(STR("")));
    doc_set(object, STR("share"), doc_real(0.04));
    doc_set(object, STR("a\"b"), doc_text(STR("c\\d\n")));
    assert_string_equal(written(object).text, "{\"z\":-3,\"list\":[true,null,\"\"],\"share\":0.04,"
                                              "\"a\\\"b\":\"c\\\\d\\n\"}");
    assert_string_equal(written(doc_object()).text, "{}");
}

static void a_key_that_is_set_twice_has_the_last_value(void **state UNUSED)
{
    struct doc *object = doc_object();

    doc_set(object, STR("a"), doc_int(1));
    doc_set(object, STR("a"), doc_int(2));
    assert_string_equal(written(object).text, "{\"a\":2}");
}

static void bytes_that_are_not_utf8_are_replaced(void **state UNUSED)
{
    struct doc *object = doc_object();

    doc_set(object, STR("k\xff"), doc_text(STR("\xc3\xa9\xc3 \xed\xa0\x80")));
    assert_string_equal(written(object).text,
                        "{\"k\xef\xbf\xbd\":\"\xc3\xa9\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd"
                        "\xef\xbf\xbd\"}");
}

static void a_document_is_read(void **state UNUSED)
{
    struct err err;
    struct doc *doc = parse(STR("{\"name\":\"a\\u0000b\",\"n\":-7,\"r\":0.5,\"yes\":true,"
                                "\"list\":[1,[],{}],\"none\":null}"),
                            &err);

    assert_non_null(doc);
    assert_int_equal(doc_kind(doc), DOC_OBJECT);
    assert_int_equal(doc_count(doc), 6);
    assert_true(str_eq(doc_as_text(doc_get(doc, STR("name"))), str_make("a\0b", 3)));
    assert_int_equal(doc_as_int(doc_get(doc, STR("n"))), -7);
    assert_true(doc_as_real(doc_get(doc, STR("r"))) == 0.5);
    assert_true(doc_as_real(doc_get(doc, STR("n"))) == -7);
    assert_true(doc_as_bool(doc_get(doc, STR("yes"))));
    assert_int_equal(doc_kind(doc_get(doc, STR("none"))), DOC_NULL);
    const struct doc *list = doc_get(doc, STR("list"));
    assert_int_equal(doc_kind(list), DOC_LIST);
    assert_int_equal(doc_count(list), 3);
    assert_int_equal(doc_as_int(doc_item(list, 0)), 1);
    assert_null(doc_item(list, 3));
    doc_free(&doc);
}

static void a_value_of_another_kind_reads_as_empty(void **state UNUSED)
{
    struct err err;
    struct doc *doc = parse(STR("[1]"), &err);

    assert_null(doc_get(doc, STR("a")));
    assert_null(doc_item(doc_item(doc, 0), 0));
    assert_int_equal(doc_as_text(NULL).len, 0);
    assert_int_equal(doc_as_text(doc_item(doc, 0)).len, 0);
    assert_int_equal(doc_as_int(NULL), 0);
    assert_false(doc_as_bool(doc));
    assert_int_equal(doc_count(doc_item(doc, 0)), 0);
    doc_free(&doc);
}

static void an_error_names_its_line_and_column(void **state UNUSED)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {{"", 1},
                 {"{", 1},
                 {"{\"a\":1,\n\"b\":}", 2},
                 {"[1,]", 1},
                 {"{\"a\":1,\n\n\"a\":2}", 3},
                 {"[1] x", 1},
                 {"\"\xff\"", 1},
                 {"'a'", 1}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        assert_null(parse(str_of(cases[i].text), &err));
        assert_int_equal(err.line, cases[i].line);
        assert_true(err.column > 0);
        assert_true(err.text[0] != '\0');
    }
}

static void depth_and_size_are_limited(void **state UNUSED)
{
    char nested[2 * DOC_DEPTH_MAX + 2];
    struct err err;

    memset(nested, '[', DOC_DEPTH_MAX);
    memset(nested + DOC_DEPTH_MAX, ']', DOC_DEPTH_MAX);
    struct doc *doc = parse(str_make(nested, (size_t)2 * DOC_DEPTH_MAX), &err);
    assert_non_null(doc);
    doc_free(&doc);

    memset(nested, '[', DOC_DEPTH_MAX + 1);
    memset(nested + DOC_DEPTH_MAX + 1, ']', DOC_DEPTH_MAX + 1);
    assert_null(parse(str_make(nested, sizeof(nested)), &err));
    assert_string_equal(err.text, "nested too deeply");
    assert_int_equal(err.column, DOC_DEPTH_MAX + 1);

    doc = parse(STR("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\""), &err);
    assert_non_null(doc);
    doc_free(&doc);

    char *large = malloc((size_t)DOC_BYTES_MAX + 1);
    memset(large, ' ', (size_t)DOC_BYTES_MAX + 1);
    large[0] = '1';
    doc = doc_parse(str_make(large, DOC_BYTES_MAX), &err);
    assert_non_null(doc);
    doc_free(&doc);
    assert_null(doc_parse(str_make(large, (size_t)DOC_BYTES_MAX + 1), &err));
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_written_in_the_order_it_was_built),
        cmocka_unit_test(a_key_that_is_set_twice_has_the_last_value),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(a_document_is_read),
        cmocka_unit_test(a_value_of_another_kind_reads_as_empty),
        cmocka_unit_test(an_error_names_its_line_and_column),
        cmocka_unit_test(depth_and_size_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
