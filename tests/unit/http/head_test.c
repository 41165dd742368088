/* The message model: names, fields, what may stand in a request, and what ends with this hop. */
#include "base/field_names.h"
#include "http/chars.h"
#include "http/head.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct arena *arena = mem_new(sizeof(*arena));

    arena_init(arena, NULL);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_reset(*state);
    free(*state);
    return 0;
}

static struct head *new_head(void **state)
{
    struct head *head = ARENA_NEW((struct arena *)*state, struct head);

    head_init(head, *state);
    return head;
}

static void assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_of(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(got), wanted);
}

/* --- names ----------------------------------------------------------------------------------- */

static char swapped_case(char c, size_t i)
{
    return i % 2 == 0 && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static void every_known_name_is_found_in_any_case(void **state UNUSED)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        struct str name = header_name((enum header_id)id);
        char upper[64], mixed[64];

        assert_true(name.len > 0 && name.len < sizeof(mixed));
        for (size_t i = 0; i < name.len; i++) {
            upper[i] = swapped_case(name.ptr[i], 0);
            mixed[i] = swapped_case(name.ptr[i], i);
        }
        assert_int_equal(header_lookup(name), id);
        assert_int_equal(header_lookup(str_make(upper, name.len)), id);
        assert_int_equal(header_lookup(str_make(mixed, name.len)), id);
    }
}

/* Any one byte changed, added or missing makes it another name; "_" is not "-", and bytes that only
 * look alike under 0x20 ("\r" and "-") are told apart. */
static void a_near_miss_is_another_name(void **state UNUSED)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        struct str name = header_name((enum header_id)id);
        char text[64];

        memcpy(text, name.ptr, name.len);
        assert_int_not_equal(header_lookup(str_make(text, name.len - 1)), id);
        for (unsigned c = 0; c < 256; c++) {
            text[name.len] = (char)c;
            assert_int_equal(header_lookup(str_make(text, name.len + 1)), HEADER_OTHER);
        }
        for (size_t i = 0; i < name.len; i++) {
            for (unsigned c = 0; c < 256; c++) {
                text[i] = (char)c;
                bool is_same = ascii_lower((char)c) == name.ptr[i];
                assert_int_equal(header_lookup(str_make(text, name.len)) == id, is_same);
            }
            text[i] = name.ptr[i];
        }
    }
    assert_int_equal(header_lookup(STR("x_wikimedia_debug")), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("content_length")), HEADER_OTHER);
    assert_int_equal(header_lookup((struct str){0}), HEADER_OTHER);
    assert_int_equal(header_lookup(STR("")), HEADER_OTHER);
}

static void methods_are_case_sensitive(void **state UNUSED)
{
    assert_int_equal(method_lookup(STR("GET")), METHOD_GET);
    assert_int_equal(method_lookup(STR("PURGE")), METHOD_PURGE);
    assert_int_equal(method_lookup(STR("get")), METHOD_OTHER);
    assert_int_equal(method_lookup(STR("GETS")), METHOD_OTHER);
    assert_int_equal(method_lookup(STR("")), METHOD_OTHER);
}

static void idempotent_methods_are_those_of_rfc_9110(void **state UNUSED)
{
    assert_true(method_is_idempotent(METHOD_PUT) && method_is_idempotent(METHOD_DELETE));
    assert_false(method_is_idempotent(METHOD_POST) || method_is_idempotent(METHOD_PATCH) ||
                 method_is_idempotent(METHOD_CONNECT) || method_is_idempotent(METHOD_OTHER));
}

static void every_status_of_a_reason_has_a_phrase(void **state UNUSED)
{
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        int status = reason_status((enum reason)reason);
        if (status > 0 && status != 499)
            assert_true(status_phrase(status).len > 0);
    }
    assert_int_equal(status_phrase(299).len, 0);
}

static void heads_and_bodiless_statuses_have_no_body(void **state UNUSED)
{
    assert_true(response_has_body(METHOD_GET, 200));
    assert_true(response_has_body(METHOD_POST, 404));
    assert_false(response_has_body(METHOD_HEAD, 200));
    assert_false(response_has_body(METHOD_GET, 100));
    assert_false(response_has_body(METHOD_GET, 101));
    assert_false(response_has_body(METHOD_GET, 204));
    assert_false(response_has_body(METHOD_GET, 304));
}

/* --- fields ---------------------------------------------------------------------------------- */

static void fields_are_found_by_id_and_by_name(void **state)
{
    struct head *head = new_head(state);

    head_add(head, STR("Cookie"), STR("a=1"));
    head_add(head, STR("X-Other"), STR("one"));
    head_add(head, STR("cookie"), STR("b=2"));
    assert_str(head_value(head, HEADER_COOKIE), "a=1");
    assert_int_equal(head_count(head, HEADER_COOKIE), 2);
    assert_str(head_find_name(head, STR("COOKIE"))->value, "a=1");
    assert_str(head_find_name(head, STR("x-other"))->value, "one");
    assert_null(head_find_name(head, STR("x-othe")));
    assert_null(head_find(head, HEADER_VIA));
    assert_null(head_value(head, HEADER_VIA).ptr);
    assert_int_equal(head_count(head, HEADER_VIA), 0);
}

static void removing_takes_every_field_of_that_id(void **state)
{
    struct head *head = new_head(state);

    head_add(head, STR("Via"), STR("a"));
    head_add(head, STR("Date"), STR("d"));
    head_add(head, STR("via"), STR("b"));
    head_remove(head, HEADER_VIA);
    head_remove(head, HEADER_COOKIE); /* none: harmless */
    assert_int_equal(head_count(head, HEADER_VIA), 0);
    assert_null(head_find(head, HEADER_VIA));
    assert_null(head_find_name(head, STR("Via")));
    assert_str(head_value(head, HEADER_DATE), "d");

    head_add(head, STR("VIA"), STR("c"));
    assert_str(head_value(head, HEADER_VIA), "c");
    assert_int_equal(head_count(head, HEADER_VIA), 1);
}

static void lines_of_a_list_are_joined_with_one_copy(void **state)
{
    enum { LINES = 100, LINE_BYTES = 500 };
    struct head *head = new_head(state);
    char line[LINE_BYTES];

    assert_str(head_joined(head, HEADER_COOKIE, STR("; ")), "");
    head_add(head, STR("Cookie"), STR("a=b"));
    assert_str(head_joined(head, HEADER_COOKIE, STR("; ")), "a=b");
    head_add(head, STR("X"), STR("y"));
    head_add(head, STR("cookie"), STR(""));
    head_add(head, STR("cookie"), STR("c=d"));
    assert_str(head_joined(head, HEADER_COOKIE, STR("; ")), "a=b; ; c=d");

    memset(line, 'v', sizeof(line));
    for (int i = 0; i < LINES; i++)
        head_add(head, STR("Via"), str_make(line, sizeof(line)));
    size_t before = head->arena->bytes;
    struct str all = head_joined(head, HEADER_VIA, STR(", "));
    assert_int_equal(all.len, LINES * LINE_BYTES + (LINES - 1) * 2);
    assert_true(head->arena->bytes - before < 2 * all.len); /* and not for every line again */
}

static void setting_leaves_exactly_one_field(void **state)
{
    struct head *head = new_head(state);

    head_set(head, HEADER_SERVER, STR("new"));
    assert_int_equal(head_count(head, HEADER_SERVER), 1);
    head_add(head, STR("Server"), STR("second"));
    head_add(head, STR("server"), STR("third"));
    head_set(head, HEADER_SERVER, STR("only"));
    assert_int_equal(head_count(head, HEADER_SERVER), 1);
    assert_str(head_value(head, HEADER_SERVER), "only");
    head_remove(head, HEADER_SERVER);
    head_set(head, HEADER_SERVER, STR("again"));
    assert_int_equal(head_count(head, HEADER_SERVER), 1);
    assert_str(head_value(head, HEADER_SERVER), "again");
}

static void a_head_grows_to_any_number_of_fields(void **state)
{
    struct head *head = new_head(state);

    for (int i = 0; i < 1000; i++)
        head_add(head, STR("x-n"), arena_printf(*state, "%d", i));
    head_add(head, STR("Via"), STR("last"));
    assert_int_equal(head->field_count, 1001);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(atoi(head->fields[i].value.ptr), i);
    assert_str(head_value(head, HEADER_VIA), "last");
}

static void tokens_are_found_in_all_lines_of_a_list(void **state)
{
    struct head *head = new_head(state);

    head_add(head, STR("Connection"), STR("keep-alive , ,\tFoo"));
    head_add(head, STR("Connection"), STR("UPGRADE"));
    assert_true(head_has_token(head, HEADER_CONNECTION, STR("foo")));
    assert_true(head_has_token(head, HEADER_CONNECTION, STR("upgrade")));
    assert_true(head_has_token(head, HEADER_CONNECTION, STR("Keep-Alive")));
    assert_false(head_has_token(head, HEADER_CONNECTION, STR("keep")));
    assert_false(head_has_token(head, HEADER_CONNECTION, STR("close")));
    assert_false(head_has_token(head, HEADER_TE, STR("trailers")));
}

/* --- hop by hop ------------------------------------------------------------------------------ */

static void hop_by_hop_fields_and_those_named_in_connection_go(void **state)
{
    static const char *const gone[] = {
        "Connection",        "Keep-Alive",   "Proxy-Connection", "TE",
        "Transfer-Encoding", "Upgrade",      "HTTP2-Settings",   "X-Secret-Hop",
        "x-secret-hop",      "Max-Forwards", "Expires"};
    static const char *const kept[] = {"Host",           "Content-Length",      "X-Other",
                                       "Trailer",        "Proxy-Authorization", "Cookie",
                                       "X-Forwarded-For"};
    struct head *head = new_head(state);

    for (size_t i = 1; i < ARRAY_LEN(gone); i++)
        head_add(head, str_of(gone[i]), STR("v"));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        head_add(head, str_of(kept[i]), STR("v"));
    head_add(head, STR("Connection"), STR("close, X-SECRET-hop,,keep-alive, te"));
    head_add(head, STR("Connection"), STR("max-forwards ,\texpires, x-not-there"));
    assert_int_equal(head_strip_hop_by_hop(head), REASON_NONE);
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        if (head_find_name(head, str_of(gone[i])) != NULL)
            fail_msg("%s is still there", gone[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (head_find_name(head, str_of(kept[i])) == NULL)
            fail_msg("%s is gone", kept[i]);
    }
}

static void the_upgrade_that_was_asked_for_survives_in_the_head(void **state)
{
    struct head *head = new_head(state);

    head->upgrade = STR("websocket");
    head_add(head, STR("Upgrade"), STR("websocket"));
    head_add(head, STR("Connection"), STR("Upgrade"));
    assert_int_equal(head_strip_hop_by_hop(head), REASON_NONE);
    assert_null(head_find(head, HEADER_UPGRADE));
    assert_str(head->upgrade, "websocket");
}

/* CVE-2022-31813, CVE-2026-26365: a client must not talk us out of identity or framing. */
static void connection_cannot_name_a_protected_field(void **state)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        bool is_protected = (header_flags((enum header_id)id) & HEADER_PROTECTED) != 0;
        struct head *head = new_head(state);
        struct str name = header_name((enum header_id)id);

        head_add(head, name, STR("v"));
        head_add(head, STR("Connection"),
                 arena_join(*state, STR("close, "), arena_join(*state, name, STR(" ,x"))));
        enum reason reason = head_strip_hop_by_hop(head);
        if ((reason == REASON_BAD_CONNECTION) != is_protected)
            fail_msg("Connection: %.*s gives %s", STR_FMT(name), reason_word(reason));
    }
    static const enum header_id must_be[] = {
        HEADER_HOST,          HEADER_CONTENT_LENGTH,    HEADER_TRANSFER_ENCODING,
        HEADER_COOKIE,        HEADER_X_FORWARDED_FOR,   HEADER_X_FORWARDED_PROTO,
        HEADER_AUTHORIZATION, HEADER_X_WIKIMEDIA_DEBUG, HEADER_X_REQUEST_ID,
        HEADER_VIA,           HEADER_X_CLIENT_IP};
    for (size_t i = 0; i < ARRAY_LEN(must_be); i++)
        assert_true(header_flags(must_be[i]) & HEADER_PROTECTED);
}

static void connection_holds_tokens_only(void **state)
{
    static const char *const bad[] = {"a b", "\"x\"", "x;y", "close, @", "x\x80"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct head *head = new_head(state);
        head_add(head, STR("Connection"), str_of(bad[i]));
        assert_int_equal(head_strip_hop_by_hop(head), REASON_BAD_CONNECTION);
    }
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void tokens_are_what_rfc_9110_allows(void **state UNUSED)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[] = {'a', (char)c};
        bool is_tchar = c != 0 && c < 128 &&
                        strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz",
                               (int)c) != NULL;
        bool is_value = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(token_is_valid(str_make(text, 2)), is_tchar);
        assert_int_equal(field_value_is_valid(str_make(text, 2)), is_value);
    }
    assert_false(token_is_valid(STR("")));
    assert_true(field_value_is_valid(STR("")));
}

static const struct authority_case {
    const char *authority;
    enum reason reason;
} authorities[] = {
    {"de.wikipedia.org", REASON_NONE},
    {"DE.Wikipedia.ORG", REASON_NONE},
    {"de.wikipedia.org.", REASON_NONE},
    {"localhost", REASON_NONE},
    {"a_b.example", REASON_NONE},
    {"10.0.0.1", REASON_NONE},
    {"wiki.example:443", REASON_NONE},
    {"wiki.example:", REASON_NONE}, /* RFC 3986 section 3.2.3 */
    {"wiki.example:0", REASON_NONE},
    {"wiki.example:65535", REASON_NONE},
    {"wiki.example,evil.example", REASON_NONE}, /* a sub-delim: one odd name, no list */
    {"[::1]", REASON_NONE},
    {"[2620:0:861:ed1a::1]:443", REASON_NONE},
    {"[::ffff:10.0.0.1]:80", REASON_NONE},
    {"", REASON_BAD_HOST},
    {":80", REASON_BAD_HOST},
    {"wiki.example:65536", REASON_BAD_HOST},
    {"wiki.example:99999999999999999999999", REASON_BAD_HOST},
    {"wiki.example:-1", REASON_BAD_HOST},
    {"wiki.example:+80", REASON_BAD_HOST},
    {"wiki.example:80x", REASON_BAD_HOST},
    {"wiki.example: 80", REASON_BAD_HOST},
    {"wiki.example:80:80", REASON_BAD_HOST},
    {"wiki.example:443@evil", REASON_BAD_HOST},
    {"%77iki.example", REASON_BAD_HOST}, /* the other spelling would evade policies by name */
    {"wiki%2Eexample", REASON_BAD_HOST},
    {"m%C3%BCnchen.example", REASON_NONE},
    {"wiki.example%00", REASON_BAD_HOST},
    {"wiki.example%0d%0aX", REASON_BAD_HOST},
    {"wiki.example%40evil", REASON_BAD_HOST},
    {"wiki.example%2Fevil", REASON_BAD_HOST},
    {"wiki.example%3a80", REASON_BAD_HOST},
    {"wiki.example%2500", REASON_BAD_HOST},
    {"wiki.example%", REASON_BAD_HOST},
    {"wiki.example%4", REASON_BAD_HOST},
    {"wiki.example%zz", REASON_BAD_HOST},
    {"user@wiki.example", REASON_BAD_HOST},
    {"user:pass@wiki.example", REASON_BAD_HOST},
    {"wiki .example", REASON_BAD_HOST},
    {"wiki\t.example", REASON_BAD_HOST},
    {"wiki.example/path", REASON_BAD_HOST},
    {"wiki.example?q", REASON_BAD_HOST},
    {"wiki.example#f", REASON_BAD_HOST},
    {"wiki.example\\evil", REASON_BAD_HOST},
    {"w\xc3\xb6rter.example", REASON_BAD_HOST},
    {"wiki\x7f.example", REASON_BAD_HOST},
    {"wiki\x01.example", REASON_BAD_HOST},
    {"<wiki>", REASON_BAD_HOST},
    {"wiki\"", REASON_BAD_HOST},
    {"[::1", REASON_BAD_HOST},
    {"[]", REASON_BAD_HOST},
    {"[::1]x", REASON_BAD_HOST},
    {"[::1]:", REASON_NONE},
    {"[::1]:x", REASON_BAD_HOST},
    {"[::1%25eth0]", REASON_BAD_HOST}, /* a zone means nothing to anybody else */
    {"[fe80::1%eth0]", REASON_BAD_HOST},
    {"[:::1]", REASON_BAD_HOST},
    {"[12345::]", REASON_BAD_HOST},
    {"[1:2:3:4:5:6:7]", REASON_BAD_HOST},
    {"[1:2:3:4:5:6:7:8:9]", REASON_BAD_HOST},
    {"[1::2::3]", REASON_BAD_HOST},
    {"[1.2.3.4]", REASON_BAD_HOST},
    {"[::1.2.3]", REASON_BAD_HOST},
    {"[::1]]", REASON_BAD_HOST},
    {"[[::1]]", REASON_BAD_HOST},
    {"[", REASON_BAD_HOST},
    {"[1:2:3:4:5:6:7:8]", REASON_NONE},
    {"[ABCD:EF01:2345:6789:ABCD:EF01:192.168.100.200]:65535", REASON_NONE},
    {"[v1.a]", REASON_NONE}, /* IPvFuture */
    {"[V1F.a:b!$&'()*+,;=-._~]:80", REASON_NONE},
    {"[v.a]", REASON_BAD_HOST},
    {"[v1.]", REASON_BAD_HOST},
    {"[vg.a]", REASON_BAD_HOST},
    {"[v1]", REASON_BAD_HOST},
    {"[v1.a%41]", REASON_BAD_HOST},
    {"[v1.a/b]", REASON_BAD_HOST},
    {"[wiki.example]", REASON_BAD_HOST},
    {"::1", REASON_BAD_HOST},
};

static void authorities_are_a_host_and_perhaps_a_port(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
        struct head *head = new_head(state);
        head->version = HTTP_1_1;
        head->method = METHOD_GET;
        head->path = STR("/");
        head->authority = str_of(authorities[i].authority);
        enum reason got = head_check_request(head, 0);
        if (got != authorities[i].reason)
            fail_msg("authority \"%s\": %s", authorities[i].authority, reason_word(got));
    }
}

static void a_host_has_at_most_255_bytes(void **state)
{
    struct head *head = new_head(state);
    char text[256];

    memset(text, 'a', sizeof(text));
    head->version = HTTP_1_1;
    head->path = STR("/");
    head->authority = str_make(text, 255);
    assert_int_equal(head_check_request(head, 0), REASON_NONE);
    head->authority = str_make(text, 256);
    assert_int_equal(head_check_request(head, 0), REASON_BAD_HOST);
}

static void only_http_1_0_may_come_without_host(void **state)
{
    struct head *head = new_head(state);

    head->path = STR("/");
    head->version = HTTP_1_0;
    assert_int_equal(head_check_request(head, 0), REASON_NONE);
    head->version = HTTP_1_1;
    assert_int_equal(head_check_request(head, 0), REASON_BAD_HOST);
    head->version = HTTP_2;
    assert_int_equal(head_check_request(head, 0), REASON_BAD_HOST);
    head->version = HTTP_1_0;
    head_add(head, STR("Host"), STR(""));
    assert_int_equal(head_check_request(head, 0), REASON_BAD_HOST);
}

static const struct path_case {
    enum method method;
    const char *path;
    enum reason reason;
} paths[] = {
    {METHOD_GET, "/", REASON_NONE},
    {METHOD_GET, "/wiki/Main_Page?action=raw&x=%20", REASON_NONE},
    {METHOD_GET, "/w/index.php?title=A|B^{}`\"<>\\", REASON_NONE}, /* as browsers really send */
    {METHOD_GET, "//host/../x", REASON_NONE},
    {METHOD_GET, "/pub/%2e%2e/admin", REASON_NONE}, /* matched as /admin */
    {METHOD_GET, "/wiki/AC%2FDC", REASON_NONE},
    {METHOD_GET, "/wiki/AC%2FDC/..", REASON_BAD_TARGET}, /* "/wiki/" or "/wiki/AC/" */
    {METHOD_GET, "/admin//../x", REASON_BAD_TARGET},     /* "/x" or "/admin/x" */
    {METHOD_GET, "/wiki/...", REASON_NONE},
    {METHOD_GET, "/wiki/A;B/..C/%252e%252e/100%", REASON_NONE},
    {METHOD_GET, "/?p=../../%00", REASON_NONE},
    {METHOD_GET, "/..", REASON_BAD_TARGET},
    {METHOD_GET, "/a/../../b", REASON_BAD_TARGET},
    {METHOD_GET, "/a/%2e%2E/.%2e/b", REASON_BAD_TARGET},
    {METHOD_GET, "//../x", REASON_BAD_TARGET},
    {METHOD_GET, "/a%00b", REASON_BAD_TARGET},
    {METHOD_GET, "/a%0d%0ab", REASON_NONE},
    {METHOD_GET, "/a%7f", REASON_NONE},
    {METHOD_GET, "/a/..%0d", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/..;/admin", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/.;p=1/admin", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/..;p=1", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/..\\admin", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/x\\..", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/..%2fadmin", REASON_BAD_TARGET},
    {METHOD_GET, "/pub/x%5c%2e%2e%5Cadmin", REASON_BAD_TARGET},
    {METHOD_OPTIONS, "*", REASON_NONE},
    {METHOD_OPTIONS, "/", REASON_NONE},
    {METHOD_GET, "*", REASON_BAD_TARGET},
    {METHOD_OPTIONS, "**", REASON_BAD_TARGET},
    {METHOD_OPTIONS, "*/", REASON_BAD_TARGET},
    {METHOD_GET, "", REASON_BAD_TARGET},
    {METHOD_GET, "wiki", REASON_BAD_TARGET},
    {METHOD_GET, "?q", REASON_BAD_TARGET},
    {METHOD_GET, "/a#b", REASON_BAD_TARGET},
    {METHOD_GET, "/a b", REASON_BAD_TARGET},
    {METHOD_GET, "/a\tb", REASON_BAD_TARGET},
    {METHOD_GET, "/a\rb", REASON_BAD_TARGET},
    {METHOD_GET, "/a\nb", REASON_BAD_TARGET},
    {METHOD_GET, "/a\x7f", REASON_BAD_TARGET},
    {METHOD_GET, "/\x01", REASON_BAD_TARGET},
    {METHOD_GET, "/\x80", REASON_BAD_TARGET},
    {METHOD_GET, "/w\xc3\xb6rter", REASON_BAD_TARGET},
};

static void paths_begin_with_a_slash_and_hold_visible_ascii(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct head *head = new_head(state);
        head->version = HTTP_1_1;
        head->method = paths[i].method;
        head->authority = STR("a");
        head->path = str_of(paths[i].path);
        enum reason got = head_check_request(head, 0);
        if (got != paths[i].reason)
            fail_msg("path \"%s\": %s", paths[i].path, reason_word(got));
    }
}

static void hop_by_hop_fields_are_removed_and_still_known_as_received(void **state)
{
    struct head *head = new_head(state);

    head_add(head, STR("Connection"), STR("close, X-Named"));
    head_add(head, STR("Upgrade"), STR("h2c"));
    head_add(head, STR("X-Named"), STR("1"));
    head_add(head, STR("X-Kept"), STR("2"));
    head_add(head, STR("X-Secret"), STR("3"));
    head_find_name(head, STR("x-secret"))->removed = true; /* by a rule, before */
    assert_int_equal(head_strip_hop_by_hop(head), REASON_NONE);
    static const struct {
        const char *name;
        bool is_sent, is_received;
    } cases[] = {{"connection", false, true}, {"upgrade", false, true},   {"x-named", false, true},
                 {"x-kept", true, true},      {"x-secret", false, false}, {"x-none", false, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str name = str_of(cases[i].name);
        assert_int_equal(head_find_name(head, name) != NULL, cases[i].is_sent);
        assert_int_equal(head_find_received_from(head, name, 0) != NULL, cases[i].is_received);
    }
}

static void names_that_servers_behind_would_confuse_are_removed(void **state)
{
    struct head *head = new_head(state);

    head_add(head, STR("X_Wikimedia_Debug"), STR("1"));
    head_add(head, STR("X-Custom"), STR("1"));
    head_add(head, STR("a.b"), STR("1"));
    assert_int_equal(head_remove_odd_names(head), 2);
    assert_null(head_find_name(head, STR("x_wikimedia_debug")));
    assert_non_null(head_find_name(head, STR("x-custom")));
    assert_int_equal(head_remove_odd_names(head), 0);
}

static void a_name_is_odd_wherever_its_odd_byte_stands(void **state UNUSED)
{
    char name[40];

    for (size_t len = 1; len <= sizeof(name); len++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bool is_plain = byte < 128 && (isalnum((int)byte) || byte == '-');
            for (size_t at = 0; at < len; at++) {
                memset(name, 'a', sizeof(name));
                name[at] = (char)byte;
                assert_int_equal(field_name_is_odd(str_make(name, len)), !is_plain);
            }
        }
    }
}

static void a_path_holds_no_control_no_space_and_no_high_byte(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[] = {'/', (char)c, 'x'};
        struct head *head = new_head(state);
        head->version = HTTP_1_1;
        head->authority = STR("a");
        head->path = str_make(text, sizeof(text));
        bool is_fine = c > 0x20 && c < 0x7f && c != '#';
        assert_int_equal(head_check_request(head, 0) == REASON_NONE, is_fine);
    }
}

/* Processor time of stripping a head with so many fields, of which Connection names as many
 * others. */
static uint64_t strip_time(void **state, unsigned count)
{
    struct head *head = new_head(state);
    char *text = arena_alloc(head->arena, count * 8 + 1);
    struct timespec from, to;
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < count; i++)
        snprintf(text + i * 8, 9, "x%06u,", i);
    head_add_id(head, HEADER_CONNECTION, str_make(text, count * 8 - 1));
    for (unsigned i = 0; i < count; i++)
        head_add(head, arena_printf(head->arena, "y%06u", i), STR("z"));
    for (int round = 0; round < 5; round++) {
        for (unsigned i = 0; i < head->field_count; i++)
            head->fields[i].removed = false;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        assert_int_equal(head_strip_hop_by_hop(head), REASON_NONE);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        best = MIN(best,
                   (uint64_t)((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec));
    }
    return best;
}

/* Four times as much of both takes four times as long, not sixteen times. */
static void connection_does_not_cost_its_options_times_the_fields(void **state)
{
    uint64_t few = strip_time(state, 1000), many = strip_time(state, 4000);

    if (many > 10 * few)
        fail_msg("%" PRIu64 " ns for 1,000, %" PRIu64 " ns for 4,000", few, many);
}

static void encoded_controls_are_refused_on_demand(void **state)
{
    static const char *const odd[] = {"/a%0Ab", "/%09", "/x/%7f?a", "/%1F"};

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct head *head = new_head(state);
        head->authority = STR("a");
        head->path = str_of(odd[i]);
        assert_int_equal(head_check_request(head, 0), REASON_NONE);
        assert_int_equal(head_check_request(head, TARGET_REFUSE_CONTROLS), REASON_BAD_TARGET);
        head->path = STR("/%41?a=%0A");
        assert_int_equal(head_check_request(head, TARGET_REFUSE_CONTROLS), REASON_NONE);
    }
}

static void raw_utf8_is_encoded_on_demand(void **state)
{
    static const struct {
        const char *path, *encoded; /* NULL: refused */
    } cases[] = {
        {"/\xc3\x84?\xe2\x82\xac", "/%C3%84?%E2%82%AC"},
        {"/a%\xf0\x9f\x98\x80", "/a%%F0%9F%98%80"},
        {"/\xe4", NULL},
        {"/\xc3\x84#", NULL},
        {"/\xc3\x84 ", NULL},
        {"/../\xc3\x84", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct head *head = new_head(state);
        head->authority = STR("a");
        head->path = str_of(cases[i].path);
        assert_int_equal(head_check_request(head, 0), REASON_BAD_TARGET);
        enum reason reason = head_check_request(head, TARGET_ENCODE_UTF8);
        assert_int_equal(reason, cases[i].encoded != NULL ? REASON_NONE : REASON_BAD_TARGET);
        if (cases[i].encoded != NULL)
            assert_true(str_eq(head->path, str_of(cases[i].encoded)));
    }
}

static void a_copy_can_be_changed_without_the_original(void **state UNUSED)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init(&head, &arena);
    struct head *empty = head_copy(&head); /* as of an HTTP/2 request without fields */
    assert_int_equal(empty->field_count, 0);
    head_add(empty, STR("Via"), STR("weir"));
    assert_true(str_eq(head_value(empty, HEADER_VIA), STR("weir")));

    head_add(&head, STR("Date"), STR("d"));
    struct head *copy = head_copy(&head);
    head_set(copy, HEADER_DATE, STR("changed"));
    head_add(copy, STR("Via"), STR("weir"));
    assert_true(str_eq(head_value(&head, HEADER_DATE), STR("d")));
    assert_int_equal(head.field_count, 1);
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_can_be_changed_without_the_original),
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(a_near_miss_is_another_name),
        cmocka_unit_test(methods_are_case_sensitive),
        cmocka_unit_test(idempotent_methods_are_those_of_rfc_9110),
        cmocka_unit_test(every_status_of_a_reason_has_a_phrase),
        cmocka_unit_test(heads_and_bodiless_statuses_have_no_body),
        cmocka_unit_test(fields_are_found_by_id_and_by_name),
        cmocka_unit_test(removing_takes_every_field_of_that_id),
        cmocka_unit_test(lines_of_a_list_are_joined_with_one_copy),
        cmocka_unit_test(setting_leaves_exactly_one_field),
        cmocka_unit_test(a_head_grows_to_any_number_of_fields),
        cmocka_unit_test(tokens_are_found_in_all_lines_of_a_list),
        cmocka_unit_test(hop_by_hop_fields_and_those_named_in_connection_go),
        cmocka_unit_test(the_upgrade_that_was_asked_for_survives_in_the_head),
        cmocka_unit_test(connection_cannot_name_a_protected_field),
        cmocka_unit_test(connection_holds_tokens_only),
        cmocka_unit_test(tokens_are_what_rfc_9110_allows),
        cmocka_unit_test(authorities_are_a_host_and_perhaps_a_port),
        cmocka_unit_test(a_host_has_at_most_255_bytes),
        cmocka_unit_test(only_http_1_0_may_come_without_host),
        cmocka_unit_test(paths_begin_with_a_slash_and_hold_visible_ascii),
        cmocka_unit_test(hop_by_hop_fields_are_removed_and_still_known_as_received),
        cmocka_unit_test(names_that_servers_behind_would_confuse_are_removed),
        cmocka_unit_test(a_name_is_odd_wherever_its_odd_byte_stands),
        cmocka_unit_test(connection_does_not_cost_its_options_times_the_fields),
        cmocka_unit_test(encoded_controls_are_refused_on_demand),
        cmocka_unit_test(raw_utf8_is_encoded_on_demand),
        cmocka_unit_test(a_path_holds_no_control_no_space_and_no_high_byte),
    };

    return cmocka_run_group_tests_name("head", tests, set_up, tear_down);
}
