/* The access log's lines: always one line, always JSON. */
#include "observe/access_log.h"
#include "observe/metrics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct str json(const struct access_entry *entry)
{
    static char out[64 * 1024];

    return str_make(out, access_entry_json(entry, out, sizeof(out)));
}

static void a_whole_entry_has_every_key(void **state UNUSED)
{
    const struct access_entry entry = {
        .start_wall_us = 1693569600123456,
        .duration_us = 1234567,
        .upstream_us = 999,
        .connect_us = 0,
        .bytes_in = 5,
        .bytes_out = 1024,
        .status = 502,
        .retries = 1,
        .version = 2,
        .reason = REASON_UPSTREAM_CONNECT,
        .client_ip = {[10] = 0xff, 0xff, 192, 0, 2, 7},
        .tls_resumed = true,
        .method = STR("GET"),
        .host = STR("de.wikipedia.org"),
        .path = STR("/wiki/K\xc3\xb6ln?x=1"),
        .service = STR("web"),
        .side = STR("k8s"),
        .group = STR("mw-web"),
        .endpoint = STR("10.2.1.3:4450"),
        .why = STR("split_default"),
        .request_id = STR("abc"),
        .tls = STR("TLSv1.3"),
        .user_agent = STR("curl/7.88.1"),
        .datacenter = STR("eqiad"),
        .listener = STR("edge"),
        .rule = STR("web"),
        .dc_why = STR("primary_if"),
        .primary_if = STR("UseDC"),
        .error = STR("Connection refused"),
        .config = STR("0123456789abcdef"),
        .share = 4000,
        .bucket = 17,
        .has_share = true,
        .has_bucket = true,
    };
    const struct str expected = STR(
        "{\"time\":\"2023-09-01T12:00:00.123Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\","
        "\"host\":\"de.wikipedia.org\",\"path\":\"/wiki/K\xc3\xb6ln?x=1\",\"status\":502,"
        "\"bytes\":1024,\"bytes_in\":5,\"service\":\"web\",\"side\":\"k8s\",\"group\":\"mw-web\","
        "\"endpoint\":\"10.2.1.3:4450\",\"reason\":\"upstream_connect\",\"why\":\"split_default\","
        "\"duration_ms\":1234.567,\"upstream_ms\":0.999,\"connect_ms\":0.000,\"retries\":1,"
        "\"request_id\":\"abc\",\"tls\":\"TLSv1.3\",\"tls_resumed\":true,\"protocol\":\"HTTP/2\","
        "\"user_agent\":\"curl/7.88.1\",\"datacenter\":\"eqiad\",\"listener\":\"edge\","
        "\"rule\":\"web\",\"dc_why\":\"primary_if\",\"primary_if\":\"UseDC\","
        "\"error\":\"Connection refused\",\"config\":\"0123456789abcdef\","
        "\"share\":0.04,\"bucket\":17}\n");
    struct str got = json(&entry);

    assert_string_equal(got.ptr, expected.ptr);
    assert_int_equal(got.len, expected.len);
}

static void an_empty_entry_has_dashes(void **state UNUSED)
{
    const struct access_entry entry = {.version = 1};
    struct str got = json(&entry);

    assert_true(str_find(got, STR("\"client\":\"unix\"")) > 0);
    assert_true(str_find(got, STR("\"reason\":\"-\"")) > 0);
    assert_true(str_find(got, STR("\"tls\":\"-\"")) > 0);
    assert_true(str_find(got, STR("\"group\":\"-\"")) > 0);
    assert_true(str_find(got, STR("\"protocol\":\"HTTP/1.1\"")) > 0);
}

static void whatever_a_peer_chose_is_escaped(void **state UNUSED)
{
    static const struct {
        struct str in, out;
    } cases[] = {
        {STR_INIT("a\"b"), STR_INIT("\"a\\\"b\"")},
        {STR_INIT("a\\b"), STR_INIT("\"a\\\\b\"")},
        {STR_INIT("a\nb"), STR_INIT("\"a\\u000ab\"")},
        {STR_INIT("\x1b[31m"), STR_INIT("\"\\u001b[31m\"")},
        {STR_INIT("\0"), STR_INIT("\"\\u0000\"")},
        {STR_INIT("\x7f"), STR_INIT("\"\\u007f\"")},
        {STR_INIT("\xc2\x9b"), STR_INIT("\"\\u009b\"")},
        {STR_INIT("\xe2\x82\xac"), STR_INIT("\"\xe2\x82\xac\"")},
        {STR_INIT("\xf0\x9f\x92\xa7"), STR_INIT("\"\xf0\x9f\x92\xa7\"")},
        {STR_INIT("\xff"), STR_INIT("\"\\ufffd\"")},
        {STR_INIT("\xc3"), STR_INIT("\"\\ufffd\"")},
        {STR_INIT("\xc3(x"), STR_INIT("\"\\ufffd(x\"")},
        {STR_INIT("\xc0\x80"), STR_INIT("\"\\ufffd\\ufffd\"")},
        {STR_INIT("\xed\xa0\x80"), STR_INIT("\"\\ufffd\\ufffd\\ufffd\"")},
        {STR_INIT("\xf4\x90\x80\x80"), STR_INIT("\"\\ufffd\\ufffd\\ufffd\\ufffd\"")},
        {STR_INIT("\xe2\x82"), STR_INIT("\"\\ufffd\\ufffd\"")},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct access_entry entry = {.path = cases[i].in};
        struct str got = json(&entry);
        ptrdiff_t at = str_find(got, STR("\"path\":"));
        assert_true(at > 0);
        assert_true(str_starts(str_skip(got, (size_t)at + 7), cases[i].out));
        assert_int_equal(str_find_char(got, '\n'), (ptrdiff_t)got.len - 1);
    }
}

/* Bytes are looked at in words: each byte must be escaped alike at each place of a word. */
static void a_byte_is_escaped_alike_wherever_it_stands(void **state UNUSED)
{
    enum { LEN_MAX = 24 };
    struct text alone = {0}, among = {0}, expected = {0};
    char text[LEN_MAX];

    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        alone.len = 0;
        text_add_json(&alone, str_make(&byte, 1));
        struct str escaped = str_make(alone.ptr + 1, alone.len - 2);
        for (size_t at = 0; at < LEN_MAX; at++) {
            memset(text, 'a', sizeof(text));
            text[at] = byte;
            for (size_t len = at + 1; len <= LEN_MAX; len++) {
                among.len = 0;
                text_add_json(&among, str_make(text, len));
                expected.len = 0;
                text_add(&expected, "\"%.*s%.*s%.*s\"", (int)at, text, STR_FMT(escaped),
                         (int)(len - at - 1), text + at + 1);
                assert_string_equal(among.ptr, expected.ptr);
            }
        }
    }
    text_free(&alone);
    text_free(&among);
    text_free(&expected);
}

static void a_line_that_does_not_fit_is_none(void **state UNUSED)
{
    const struct access_entry entry = {.path = STR("/a")};
    char out[1024];
    size_t len = access_entry_json(&entry, out, sizeof(out));

    assert_true(len > 0);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(access_entry_json(&entry, out, size), 0);
    assert_int_equal(access_entry_json(&entry, out, len), len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_entry_has_every_key),
        cmocka_unit_test(an_empty_entry_has_dashes),
        cmocka_unit_test(whatever_a_peer_chose_is_escaped),
        cmocka_unit_test(a_byte_is_escaped_alike_wherever_it_stands),
        cmocka_unit_test(a_line_that_does_not_fit_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
