/* Paths: which of them every server reads alike, and their forms. */
#include "base/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void a_path_that_servers_read_differently_is_refused(void **state UNUSED)
{
    static const struct {
        const char *path;
        bool is_clear;
    } cases[] = {
        {"/", true},
        {"/a/../b", true},
        {"/a/b/../../c/", true},
        {"/a/./../b", true},
        {"//a/../b", true},
        {"/a//b/../c", true},
        {"/a;x/../b", true},
        {"/a%2Fb", true},
        {"/a\\b/c", true},
        {"/...", true},
        {"/..a/a..", true},
        {"/%zz/%/..", true},
        {"/%252e%252e/..", true},
        /* above the root */
        {"/..", false},
        {"/a/../../b", false},
        {"/%2e%2E/b", false},
        {"/./..", false},
        /* behind an empty segment */
        {"//../x", false},
        {"/admin//../x", false},
        {"/admin//%2e%2e/x", false},
        {"/admin//./../x", false},
        {"/admin//b/../../x", false},
        {"/admin///../../x", false},
        {"/admin/;/../x", false},
        {"/admin/;a=b/../x", false},
        /* behind a hidden slash */
        {"/a%2Fb/..", false},
        {"/a%2fb/c/../../x", false},
        {"/a\\b/../x", false},
        {"/a%5Cb/../x", false},
        {"/%2F/../x", false},
        /* only for some servers a segment of dots */
        {"/a/..;/b", false},
        {"/a/.;p=1", false},
        {"/a/..\\b", false},
        {"/a/..%2fb", false},
        {"/a/b%5c..", false},
        /* control characters */
        {"/a%00b", false},
        {"/%00", false},
        {"/a%0Ab", true},
        {"/%0d%0A/a%7F", true},
        {"/a\nb", false},
        {"/a\x7f", false},
        {"/..%09/a", false},
        {"/a/.%0a", false},
        {"/a/..%7F%1f/b", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (path_is_clear(str_of(cases[i].path)) != cases[i].is_clear)
            fail_msg("%s", cases[i].path);
    }
}

static void paths_are_compared_decoded(void **state UNUSED)
{
    static const struct {
        const char *path, *decoded;
    } cases[] = {
        {"/", "/"},
        {"/w/%61pi%2ephp", "/w/api.php"},
        {"/w/a%7Cb", "/w/a|b"},
        {"/w/a%7cb", "/w/a|b"},
        {"/w/%22q\"", "/w/\"q\""},
        {"/wiki/Special%3AExport", "/wiki/Special:Export"},
        {"/%28%40%21%24%26%27%2A%2B%2C%3B%3D%29", "/(@!$&'*+,;=)"},
        {"/wiki/%c3%84%C3%84", "/wiki/\xc3\x84\xc3\x84"},
        {"/a%20b", "/a b"},
        {"/a+b", "/a+b"},
        {"/a%3fb%23", "/a?b#"},
        {"/a%5Cb\\c", "/a\\b\\c"},
        {"/a%2fb%2F", "/a%2Fb%2F"},
        {"/100%25", "/100%25"},
        {"/a%252fb", "/a%252fb"},
        {"/%25%32%46", "/%252F"}, /* not an encoded slash */
        {"/%zz", "/%25zz"},
        {"/100%", "/100%25"},
        {"/%2", "/%252"},
        {"/%%32F", "/%252F"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/./%2e/b/.", "/a/b/"},
        {"/a/b/..", "/a/"},
        {"//a///b//", "/a/b/"},
        {"/../../a", "/a"},
        {"/..", "/"},
        {"/.../..a", "/.../..a"},
        {"/%252e%252e/b", "/%252e%252e/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[256];
        struct str decoded;
        assert_int_equal(path_decode(str_of(cases[i].path), out, sizeof(out), &decoded), 0);
        if (!str_eq(decoded, str_of(cases[i].decoded)))
            fail_msg("%s became %.*s", cases[i].path, STR_FMT(decoded));
    }
}

static void a_decoded_path_must_fit(void **state UNUSED)
{
    char out[64];
    struct str decoded;

    for (size_t size = 3; size < 9; size++)
        assert_int_equal(path_decode(STR("/a%%%"), out, size, &decoded), -1);
    assert_int_equal(path_decode(STR("/a%%%"), out, 12, &decoded), 0);
    assert_int_equal(decoded.len, 11);
}

static void hidden_slashes_are_undone_with_their_segments(void **state UNUSED)
{
    static const struct {
        const char *decoded, *undone; /* NULL: nothing is hidden */
    } cases[] = {
        {"/admin/x", NULL},
        {"/100%25/%252F", NULL},
        {"/admin%2Fx", "/admin/x"},
        {"/%2Fadmin", "/admin"},
        {"/\\admin\\x", "/admin/x"},
        {"/a%2F%2Fb", "/a/b"},
        {"/a%2F", "/a/"},
        {"/a%2Fb%25c%252F", "/a/b%25c%252F"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[256];
        struct str undone = {NULL, 0};
        bool is_hidden = path_undo_slashes(str_of(cases[i].decoded), out, &undone);
        assert_int_equal(is_hidden, cases[i].undone != NULL);
        if (is_hidden && !str_eq(undone, str_of(cases[i].undone)))
            fail_msg("%s became %.*s", cases[i].decoded, STR_FMT(undone));
    }
}

static void a_normal_path_may_be_sent(void **state UNUSED)
{
    static const struct {
        const char *path, *normal;
    } cases[] = {
        {"/wiki/Earth", "/wiki/Earth"},
        {"/%61dmin/%7euser", "/admin/~user"},
        {"/a%3ab%2f%c3%84", "/a%3Ab%2F%C3%84"},
        {"/a:b@c;d", "/a:b@c;d"},
        {"/\\admin|\"<>^`{}", "/%5Cadmin%7C%22%3C%3E%5E%60%7B%7D"},
        {"/100%", "/100%25"},
        {"/x/%2E./admin//y", "/admin/y"},
        {"/%40%5F%2D%30", "/%40_-0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[256];
        struct str normal;
        assert_int_equal(path_normalize(str_of(cases[i].path), out, sizeof(out), &normal), 0);
        if (!str_eq(normal, str_of(cases[i].normal)))
            fail_msg("%s became %.*s", cases[i].path, STR_FMT(normal));
    }
}

static void segments_of_dots_are_found(void **state UNUSED)
{
    static const char *const resolved[] = {"/", "/a", "/a/", "/.../..a/.b", "/%252e/a%2F", "*"};
    static const char *const others[] = {"//", "/a//", "/a/./b", "/a/..", "/%2e%2E/b", "/a/.%2e"};

    for (size_t i = 0; i < ARRAY_LEN(resolved); i++)
        assert_true(path_is_resolved(str_of(resolved[i])));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(path_is_resolved(str_of(others[i])));
}

static void the_rest_is_counted_in_decoded_bytes(void **state UNUSED)
{
    assert_true(str_eq(path_skip_decoded(STR("/%61pi/%62"), 4), STR("/%62")));
    assert_true(str_eq(path_skip_decoded(STR("/a%2fb/c"), 6), STR("/c")));
    assert_true(str_eq(path_skip_decoded(STR("/100%/c"), 7), STR("/c")));
    assert_true(str_eq(path_skip_decoded(STR("/a"), 9), STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_servers_read_differently_is_refused),
        cmocka_unit_test(paths_are_compared_decoded),
        cmocka_unit_test(a_decoded_path_must_fit),
        cmocka_unit_test(hidden_slashes_are_undone_with_their_segments),
        cmocka_unit_test(a_normal_path_may_be_sent),
        cmocka_unit_test(segments_of_dots_are_found),
        cmocka_unit_test(the_rest_is_counted_in_decoded_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
