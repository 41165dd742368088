/* Chunked bodies: each case is fed whole, byte by byte and in every cut in two, and must mean the
 * same. */
#include "http/h1_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct outcome {
    enum h1_chunk_news verdict; /* MORE: not over */
    size_t used;                /* bytes up to the verdict */
    char payload[8192];
    size_t payload_len;
};

static struct arena arena;

static int set_up(void **state UNUSED)
{
    arena_init(&arena, NULL);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_reset(&arena);
    return 0;
}

#define CHUNKED_HEAD "Transfer-Encoding: chunked\r\n\r\n"

static enum h1_kind reading = H1_REQUEST;

/* Behind the head of a request, or of a response. */
static struct h1_body *new_body(void)
{
    static const struct session_limits usual = {.max_header_bytes = 65536,
                                                .max_header_count = 128,
                                                .max_line_bytes = 16384,
                                                .max_uri_bytes = 8192,
                                                .max_chunk_extension_bytes = 4096};
    struct h1_input input = {0};
    struct head *head;
    size_t len;

    arena_reset(&arena);
    if (reading == H1_RESPONSE)
        assert_int_equal(h1_read_response(&input, STR("HTTP/1.1 200 OK\r\n" CHUNKED_HEAD),
                                          METHOD_GET, &usual, &arena, &head, &len),
                         REASON_NONE);
    else
        assert_int_equal(h1_read_request(&input, STR("POST / HTTP/1.1\r\nHost: a\r\n" CHUNKED_HEAD),
                                         &usual, &arena, &head, &len),
                         REASON_NONE);
    return input.body;
}

/* Feeds `data` in pieces that end at `cut` and then every `step` bytes. */
static void run(struct str data, size_t cut, size_t step, struct outcome *o)
{
    struct h1_body *body = new_body();
    size_t end = cut < data.len ? cut : data.len;

    *o = (struct outcome){.verdict = H1_CHUNK_MORE};
    for (;;) {
        while (o->used < end) {
            struct str payload = {0};
            size_t used;
            enum h1_chunk_news news =
                h1_body_next(body, str_make(data.ptr + o->used, end - o->used), &used, &payload);
            assert_true(used > 0 && used <= end - o->used);
            o->used += used;
            if (news == H1_CHUNK_DATA) {
                assert_true(payload.len > 0 && o->payload_len + payload.len < sizeof(o->payload));
                memcpy(o->payload + o->payload_len, payload.ptr, payload.len);
                o->payload_len += payload.len;
            } else if (news == H1_CHUNK_MORE) {
                assert_int_equal(o->used, end);
            } else {
                o->verdict = news;
                return;
            }
        }
        if (end == data.len)
            return;
        end = MIN(end + step, data.len);
    }
}

static void assert_same(const struct outcome *a, const struct outcome *b, struct str data)
{
    bool is_bad = a->verdict == H1_CHUNK_BAD;

    if (a->verdict != b->verdict || (!is_bad && a->used != b->used) ||
        a->payload_len != b->payload_len || memcmp(a->payload, b->payload, a->payload_len) != 0)
        fail_msg("depends on the cut: %.*s", STR_FMT(data));
}

static void assert_chunked(struct str data, enum h1_chunk_news verdict, struct str payload)
{
    static struct outcome whole, cut;

    run(data, data.len, 1, &whole);
    if (whole.verdict != verdict)
        fail_msg("verdict %d, not %d: %.*s", (int)whole.verdict, (int)verdict, STR_FMT(data));
    if (verdict != H1_CHUNK_BAD && !str_eq(str_make(whole.payload, whole.payload_len), payload))
        fail_msg("payload \"%.*s\" of %.*s", (int)whole.payload_len, whole.payload, STR_FMT(data));
    run(data, 1, 1, &cut);
    assert_same(&whole, &cut, data);
    for (size_t at = 1; at < data.len; at++) {
        run(data, at, data.len, &cut);
        assert_same(&whole, &cut, data);
    }
}

static const struct chunk_case {
    struct str data;
    const char *payload;
} good[] = {
    {STR_INIT("0\r\n"), ""},
    {STR_INIT("000\r\n"), ""},
    {STR_INIT("5\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n"), "hello world"},
    {STR_INIT("00005\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n"), "0123456789abcdefghij"},
    {STR_INIT("3\r\n\r\n0\r\n0\r\n"), "\r\n0"}, /* payload that looks like framing */
    {STR_INIT("5;name\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;name=value\r\nhello\r\n0;last\r\n"), "hello"},
    {STR_INIT("5;a;b=c;d=\"q\"\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;a=\"x;y\\\"z\\\\\"\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;a=\"\"\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;a=\"\xc3\xb6\t \"\r\nhello\r\n0\r\n"), "hello"},
    /* blanks (RFC 9112 section 7.1.1) */
    {STR_INIT("5; a=b\r\nhello\r\n0 ;x\r\n"), "hello"},
    {STR_INIT("5 ;a=b\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;a =b\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5;a= b\r\nhello\r\n0\r\n"), "hello"},
    {STR_INIT("5 \t; \ta \t= \tb \t; c \t;d= \"q\" ; e\r\nhello\r\n0\r\n"), "hello"},
};

static void good_bodies_give_their_payload_however_they_are_cut(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_chunked(good[i].data, H1_CHUNK_LAST, str_of(good[i].payload));
}

static const struct str bad[] = {
    /* the size */
    STR_INIT("\r\n"),
    STR_INIT(";a\r\n"),
    STR_INIT("g\r\n"),
    STR_INIT("0x5\r\nhello\r\n"),
    STR_INIT("+5\r\nhello\r\n"),
    STR_INIT("-5\r\nhello\r\n"),
    STR_INIT(" 5\r\nhello\r\n"),
    STR_INIT("5 \r\nhello\r\n"),
    STR_INIT("5\t\r\nhello\r\n"),
    STR_INIT("5_0\r\n"),
    STR_INIT("5h\r\n"),
    STR_INIT("5\0\r\n"),
    STR_INIT("\xef\xbc\x95\r\n"),
    STR_INIT("00000000000000005\r\nhello\r\n0\r\n"), /* 17 digits */
    STR_INIT("1000000000000000\r\n"),                /* 2^60 */
    STR_INIT("ffffffffffffffff\r\n"),
    STR_INIT("10000000000000000\r\n"),
    /* the line end: bare LF, extra CR, CR alone */
    STR_INIT("5\nhello\r\n0\r\n"),
    STR_INIT("5\r\r\nhello\r\n0\r\n"),
    STR_INIT("5\rhello\r\n"),
    STR_INIT("0\n"),
    STR_INIT("0\r\r\n"),
    STR_INIT("0\r0"),
    /* extensions */
    STR_INIT("5;\r\nhello\r\n"),
    STR_INIT("5;;a\r\nhello\r\n"),
    STR_INIT("5;a;\r\nhello\r\n"),
    STR_INIT("5 a\r\nhello\r\n"),
    STR_INIT("5 ;\r\nhello\r\n"),
    STR_INIT("5; \r\nhello\r\n"),
    STR_INIT("5;a= \r\nhello\r\n"),
    STR_INIT("5;a =\r\nhello\r\n"),
    STR_INIT("5;a b\r\nhello\r\n"),
    STR_INIT("5; =b\r\nhello\r\n"),
    STR_INIT("5;a=\r\nhello\r\n"),
    STR_INIT("5;=b\r\nhello\r\n"),
    STR_INIT("5;a=b c\r\nhello\r\n"),
    STR_INIT("5;a=\"b\r\nhello\r\n"),
    STR_INIT("5;a=\"b\"c\r\nhello\r\n"),
    STR_INIT("5;a=\"b\\\r\nhello\r\n"),
    STR_INIT("5;a=\"b\nc\"\r\nhello\r\n"),
    STR_INIT("5;a\nhello\r\n"),
    STR_INIT("5;a\rhello\r\n"),
    STR_INIT("5;a\x01\r\nhello\r\n"),
    STR_INIT("5;a=\"\x7f\"\r\n"),
    STR_INIT("5;a=\"\\\x01\"\r\n"),
    STR_INIT("5;a\0b\r\n"),
    STR_INIT("5a=b\r\n"),
    STR_INIT("5;a=b=c\r\nhello\r\n"),
    STR_INIT("5,a\r\nhello\r\n"),
    /* what follows the payload */
    STR_INIT("5\r\nhelloX\r\n0\r\n"),
    STR_INIT("5\r\nhello\n0\r\n"),
    STR_INIT("5\r\nhello\r0\r\n"),
    STR_INIT("5\r\nhello0\r\n"),
    STR_INIT("5\r\nhello\r\r\n0\r\n"),
    STR_INIT("5\r\nhello\r\n\r\n"),
    STR_INIT("5\r\nhello world\r\n0\r\n"),
    STR_INIT("5\r\nhello\r\n 0\r\n"),
};

static void bad_bodies_are_bad_however_they_are_cut(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_chunked(bad[i], H1_CHUNK_BAD, STR(""));
}

/* Blanks that end the line: servers send them, a client has no reason to. */
static const struct str padded[] = {
    STR_INIT("5 \r\nhello\r\n0\r\n"),
    STR_INIT("5\t \r\nhello\r\n0 \r\n"),
    STR_INIT("5;a \r\nhello\r\n0\r\n"),
    STR_INIT("5;a=b \r\nhello\r\n0\r\n"),
    STR_INIT("5 ; a = \"b\"  \r\nhello\r\n0\r\n"),
};

static void blanks_end_a_size_line_in_responses_only(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(padded); i++) {
        assert_chunked(padded[i], H1_CHUNK_BAD, STR(""));
        reading = H1_RESPONSE;
        assert_chunked(padded[i], H1_CHUNK_LAST, STR("hello"));
        reading = H1_REQUEST;
    }
}

static void bad_responses_are_bad_too(void **state UNUSED)
{
    reading = H1_RESPONSE;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool is_padded = str_starts(bad[i], STR("5 \r")) || str_starts(bad[i], STR("5\t\r"));
        if (!is_padded)
            assert_chunked(bad[i], H1_CHUNK_BAD, STR(""));
    }
    reading = H1_REQUEST;
}

static void an_unfinished_body_waits_for_more(void **state UNUSED)
{
    struct str whole = STR("5;x=\"y\"\r\nhello\r\n0\r\n");
    static struct outcome o;

    for (size_t len = 0; len < whole.len; len++) {
        run(str_make(whole.ptr, len), len, 1, &o);
        assert_int_equal(o.verdict, H1_CHUNK_MORE);
    }
}

static void the_largest_size_may_be_written_in_sixteen_digits(void **state UNUSED)
{
    struct str payload;
    size_t used;

    assert_int_equal(h1_body_next(new_body(), STR("0fffffffffffffff\r\nx"), &used, &payload),
                     H1_CHUNK_DATA);
    assert_int_equal(payload.len, 1);
}

/* What follows the last chunk's line is the trailers', not looked at here. */
static void nothing_behind_the_last_chunk_is_used(void **state UNUSED)
{
    struct str data = STR("1\r\nx\r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP/1.1\r\n");
    static struct outcome o;

    run(data, data.len, 1, &o);
    assert_int_equal(o.verdict, H1_CHUNK_LAST);
    assert_int_equal(o.used, sizeof("1\r\nx\r\n0\r\n") - 1);
}

/* The bound counts what stands between the size and CR, over all chunks of the body. */
static void extensions_are_bounded_over_the_whole_body(void **state UNUSED)
{
    static char text[2 * SESSION_CHUNK_EXTENSION_MAX + 64];
    static struct outcome o;

    for (int over = 0; over <= 1; over++) {
        size_t each = SESSION_CHUNK_EXTENSION_MAX / 2, len = 0;
        for (int chunk = 0; chunk < 2; chunk++) {
            text[len++] = '1';
            text[len++] = ';';
            memset(text + len, 'e', each - 1 + (size_t)(chunk == 1 ? over : 0));
            len += each - 1 + (size_t)(chunk == 1 ? over : 0);
            memcpy(text + len, "\r\nx\r\n", 5);
            len += 5;
        }
        memcpy(text + len, "0\r\n", 3);
        len += 3;
        run(str_make(text, len), len, 1, &o);
        assert_int_equal(o.verdict, over ? H1_CHUNK_LONG : H1_CHUNK_LAST);
        run(str_make(text, len), 1, 1, &o);
        assert_int_equal(o.verdict, over ? H1_CHUNK_LONG : H1_CHUNK_LAST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_give_their_payload_however_they_are_cut),
        cmocka_unit_test(bad_bodies_are_bad_however_they_are_cut),
        cmocka_unit_test(blanks_end_a_size_line_in_responses_only),
        cmocka_unit_test(bad_responses_are_bad_too),
        cmocka_unit_test(an_unfinished_body_waits_for_more),
        cmocka_unit_test(the_largest_size_may_be_written_in_sixteen_digits),
        cmocka_unit_test(nothing_behind_the_last_chunk_is_used),
        cmocka_unit_test(extensions_are_bounded_over_the_whole_body),
    };

    return cmocka_run_group_tests_name("h1_body", tests, set_up, tear_down);
}
