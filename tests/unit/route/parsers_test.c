/* The pure parsers: hosts, paths, the debug header, cookies, query texts. */
#include "route/route_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void a_host_has_one_canonical_form(void **state UNUSED)
{
    static const struct {
        const char *authority, *host; /* NULL: refused */
    } cases[] = {
        {"en.wikipedia.org", "en.wikipedia.org"},
        {"EN.Wikipedia.ORG", "en.wikipedia.org"},
        {"en.wikipedia.org:443", "en.wikipedia.org"},
        {"en.wikipedia.org:", "en.wikipedia.org"},
        {"en.wikipedia.org.", "en.wikipedia.org"},
        {"en.wikipedia.org.:80", "en.wikipedia.org"},
        {"zh-min-nan.m.wikibooks.org", "zh-min-nan.m.wikibooks.org"},
        {"[2620:0:861:ED1A::1]:443", "[2620:0:861:ed1a::1]"},
        {"[::1]", "[::1]"},
        {"[0:0::0:01]:80", "[::1]"},
        {"[::FFFF:10.0.0.1]", "[::ffff:10.0.0.1]"},
        {"[V1.A]", "[v1.a]"},
        {"[:::1]", NULL},
        {"[12345::]", NULL},
        {"[1.2.3.4]", NULL},
        {"[::1%25eth0]", NULL},
        {"localhost", "localhost"},
        {"192.0.2.1:8080", "192.0.2.1"},
        {"default", "default"},
        {"", NULL},
        {".", NULL},
        {":80", NULL},
        {"-:443", NULL}, /* nothing to name */
        {"_.-", NULL},
        {"-a", "-a"}, /* no host should, but some do */
        {"en..wikipedia.org", NULL},
        {"en.wikipedia.org..", NULL},
        {".wikipedia.org", NULL},
        {"user@en.wikipedia.org", NULL},
        {"user:pass@en.wikipedia.org", NULL},
        {"en.wikipedia.org:65536", NULL},
        {"en.wikipedia.org:443:443", NULL},
        {"en.wikipedia.org:4a", NULL},
        {"en.wikipedia.org/x", NULL},
        {"en wikipedia.org", NULL},
        {"en.wikipedia.org\t", NULL},
        {"%65n.wikipedia.org", NULL},
        {"\xc3\xa9n.wikipedia.org", NULL},
        {"[::1", NULL},
        {"[]", NULL},
        {"[::1]x", NULL},
        {"[v1.x]", "[v1.x]"},
        {"a,b", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[HOST_BYTES_MAX];
        struct str host = {NULL, 0};
        int result = host_canonical(str_of(cases[i].authority), out, sizeof(out), &host);
        if (result != (cases[i].host != NULL ? 0 : -1))
            fail_msg("authority \"%s\"", cases[i].authority);
        if (result == 0)
            assert_true(str_eq(host, str_of(cases[i].host)));
    }
}

static void a_host_that_does_not_fit_is_refused(void **state UNUSED)
{
    char long_host[600], out[HOST_BYTES_MAX];
    struct str host;

    memset(long_host, 'a', sizeof(long_host));
    assert_int_equal(host_canonical(str_make(long_host, 255), out, sizeof(out), &host), 0);
    for (size_t len = 256; len < sizeof(long_host); len++)
        assert_int_equal(host_canonical(str_make(long_host, len), out, sizeof(out), &host), -1);
    long_host[0] = '[';
    memset(long_host + 1, ':', 500);
    long_host[501] = ']';
    assert_int_equal(host_canonical(str_make(long_host, 502), out, sizeof(out), &host), -1);
}

static void mobile_hosts_fold_to_their_wiki(void **state UNUSED)
{
    static struct mobile_alias_conf aliases[] = {
        {{NULL, 0, 0}, STR_INIT("m.mediawiki.org"), STR_INIT("www.mediawiki.org")},
    };
    static const struct split_conf split = {.aliases = aliases, .alias_count = 1};
    static const struct {
        const char *host, *folded;
    } cases[] = {
        {"de.m.wikipedia.org", "de.wikipedia.org"},
        {"aa.m.m.wikipedia.org", "aa.wikipedia.org"},
        {"m.wikipedia.org", "wikipedia.org"},
        {"m.mediawiki.org", "www.mediawiki.org"},
        {"foundation.m.wikimedia.org", "foundation.wikimedia.org"},
        {"wikim.mwiki.org", "wikim.mwiki.org"},
        {"en.wikipedia.org", "en.wikipedia.org"},
        {"en.wikipedia.m", "en.wikipedia.m"},
        {"m", "m"},
        {"mm.m.org", "mm.org"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[FOLD_MAX];
        struct str folded = mobile_fold(&split, str_of(cases[i].host), out);
        if (!str_eq(folded, str_of(cases[i].folded)))
            fail_msg("%s folded to %.*s", cases[i].host, STR_FMT(folded));
    }
}

static void a_target_is_a_path_and_a_query(void **state UNUSED)
{
    static const struct {
        const char *target, *path, *query, *undone; /* `undone` NULL: one reading only */
    } cases[] = {
        {"/", "/", "", NULL},
        {"/wiki/Earth", "/wiki/Earth", "", NULL},
        {"/w/api.php?action=query", "/w/api.php", "action=query", NULL},
        {"/w/%61pi%2ephp?a=%61", "/w/api.php", "a=%61", NULL},
        {"/wiki/../w/api.php", "/w/api.php", "", NULL},
        {"/wiki/%2e%2E/w/api.php", "/w/api.php", "", NULL},
        {"//w//api.php?", "/w/api.php", "", NULL},
        {"/wiki/%C3%84", "/wiki/\xc3\x84", "", NULL},
        {"/wiki/Special%3aExport/x", "/wiki/Special:Export/x", "", NULL},
        {"/a%2fb?c%2fd", "/a%2Fb", "c%2fd", "/a/b"},
        {"/a\\b", "/a\\b", "", "/a/b"},
        {"/0123456789abcdef\\b?/../", "/0123456789abcdef\\b", "/../", "/0123456789abcdef/b"},
        {"/\\\\admin%5Cx", "/\\\\admin\\x", "", "/admin/x"},
        {"/a%252fb", "/a%252fb", "", NULL},
        {"/.well-known/x", "/.well-known/x", "", NULL},
        {"*", "*", "", NULL},
        {"", "", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[PATH_TEXT_BYTES];
        struct request request;
        assert_int_equal(target_read(str_of(cases[i].target), out, &request), 0);
        if (!str_eq(request.path, str_of(cases[i].path)) ||
            !str_eq(request.query, str_of(cases[i].query)) ||
            !str_eq(request.undone, str_of(cases[i].undone)))
            fail_msg("%s became %.*s, %.*s", cases[i].target, STR_FMT(request.path),
                     STR_FMT(request.undone));
    }
}

static void only_a_path_that_needs_work_must_fit(void **state UNUSED)
{
    static char target[PATH_BYTES_MAX + 100], out[PATH_TEXT_BYTES];
    struct request request;

    memset(target, 'a', sizeof(target));
    target[0] = '/';
    assert_int_equal(target_read(str_make(target, sizeof(target)), out, &request), 0);
    target[5] = '%';
    assert_int_equal(target_read(str_make(target, sizeof(target)), out, &request), -1);
    assert_int_equal(target_read(str_make(target, PATH_BYTES_MAX + 2), out, &request), 0);
    assert_int_equal(target_read(str_make(target, PATH_BYTES_MAX + 3), out, &request), -1);
    memcpy(target + 5, "%2F", 3);
    assert_int_equal(target_read(str_make(target, PATH_BYTES_MAX), out, &request), 0);
    assert_int_equal(request.undone.len, PATH_BYTES_MAX - 2);
}

static void the_debug_header_names_a_backend(void **state UNUSED)
{
    static const struct {
        const char *value, *name;
    } cases[] = {
        {"backend=k8s-experimental", "k8s-experimental"},
        {"1", "1"},
        {"mwdebug2002.codfw.wmnet", "mwdebug2002.codfw.wmnet"},
        {"backend=x; profile", "x"},
        {"log; backend=x;readonly", "x"},
        {"log;backend=x", "x"},
        {"backend=x; backend=x", "x"},
        {"backend=x; backend=y", ""},
        {"profile; log", "profile; log"},
        {"", ""},
        {"Backend=x", "Backend=x"},
        {"backend = x", "backend = x"},
        {"nobackend=k8s-experimental", "nobackend=k8s-experimental"},
        {"backend=k8s-experimental/x", "k8s-experimental/x"},
        {"backend=", ""},
        {"backend", "backend"},
        {";;;", ";;;"},
        {"the best banana and the worst potato", "the best banana and the worst potato"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str name = debug_backend_name(str_of(cases[i].value));
        if (!str_eq(name, str_of(cases[i].name)))
            fail_msg("\"%s\" gave \"%.*s\"", cases[i].value, STR_FMT(name));
    }
}

static void cookies_have_exact_names(void **state UNUSED)
{
    static const struct {
        const char *cookies, *value; /* of "WMF-Uniq"; NULL: not there */
    } cases[] = {
        {"WMF-Uniq=a", "a"},
        {"x=1; WMF-Uniq=a; y=2", "a"},
        {"x=1;WMF-Uniq=a", "a"},
        {"NotWMF-Uniq=a", NULL},
        {"WMF-Uniq2=a", NULL},
        {"wmf-uniq=a", NULL},
        {"x=WMF-Uniq=a", NULL},
        {"WMF-Uniq=a=b", "a=b"},
        {"WMF-Uniq=a; WMF-Uniq=b", "a"},
        {"WMF-Uniq=", ""},
        {"", NULL},
        {"; ;=;", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str value = cookie_find(str_of(cases[i].cookies), STR("WMF-Uniq"));
        if ((value.ptr != NULL) != (cases[i].value != NULL))
            fail_msg("cookies \"%s\"", cases[i].cookies);
        if (cases[i].value != NULL)
            assert_true(str_eq(value, str_of(cases[i].value)));
    }
}

static void query_texts_are_decoded_before_they_are_compared(void **state UNUSED)
{
    assert_true(query_text_eq(STR("rollback"), STR("rollback")));
    assert_true(query_text_eq(STR("r%6Fllback"), STR("rollback")));
    assert_true(query_text_eq(STR("Special%3AOAuth%2Ftoken"), STR("Special:OAuth/token")));
    assert_true(query_text_eq(STR("a+b"), STR("a b")));
    assert_false(query_text_eq(STR("rollback2"), STR("rollback")));
    assert_false(query_text_eq(STR("rollbac"), STR("rollback")));
    assert_false(query_text_eq(STR("%"), STR("rollback")));
    assert_true(query_text_eq(STR("%zz"), STR("%zz")));
    assert_true(query_text_eq(STR(""), STR("")));
    assert_true(query_text_starts(STR("roll%62ack"), STR("rollb")));
    assert_true(query_text_eq(STR("a%2Bb"), STR("a+b"))); /* a "+" of a rule is both */
    assert_true(query_text_eq(STR("a+b"), STR("a+b")));
    assert_false(query_text_eq(STR("a%2Bb"), STR("a b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_has_one_canonical_form),
        cmocka_unit_test(a_host_that_does_not_fit_is_refused),
        cmocka_unit_test(mobile_hosts_fold_to_their_wiki),
        cmocka_unit_test(a_target_is_a_path_and_a_query),
        cmocka_unit_test(only_a_path_that_needs_work_must_fit),
        cmocka_unit_test(the_debug_header_names_a_backend),
        cmocka_unit_test(cookies_have_exact_names),
        cmocka_unit_test(query_texts_are_decoded_before_they_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
