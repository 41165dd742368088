/* Heads on the wire and what we make of them: tables of text and verdict. Every head is given
 * whole, byte by byte and cut in two at every position; the answer may not depend on it. */
#include "http/h1_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct session_limits usual = {
    .max_header_bytes = 65536,
    .max_header_count = 128,
    .max_line_bytes = 16384,
    .max_uri_bytes = 8192,
    .max_chunk_extension_bytes = 4096,
    .allow_websocket = true,
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

static void assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_of(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(got), wanted);
}

/* --- reading, cut anywhere ------------------------------------------------------------------- */

struct verdict {
    enum reason reason;
    bool is_whole;
    struct head *head; /* when whole and without reason */
    size_t head_len;
};

/* Reads trailers as they follow a chunked head. */
static struct h1_body *body_before_trailers(const struct session_limits *limits)
{
    struct str text = STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    struct h1_input input = {0};
    struct head *head;
    struct str payload;
    size_t len, used;

    assert_int_equal(h1_read_request(&input, text, limits, &arena, &head, &len), REASON_NONE);
    assert_int_equal(h1_body_next(input.body, str_skip(text, len), &used, &payload), H1_CHUNK_LAST);
    return input.body;
}

/* Shows `text` up to `cut`, then `step` bytes more each time, as a connection would. */
static struct verdict read_cut(enum h1_kind kind, struct str text, enum method method,
                               const struct session_limits *limits, size_t cut, size_t step)
{
    struct verdict v = {0};
    struct h1_input input = {0};
    struct h1_body *body = kind == H1_TRAILERS ? body_before_trailers(limits) : NULL;
    size_t head_len = 0, end = MIN(cut, text.len);

    for (;;) {
        struct str data = str_make(text.ptr, end);
        if (kind == H1_REQUEST)
            v.reason = h1_read_request(&input, data, limits, &arena, &v.head, &head_len);
        else if (kind == H1_RESPONSE)
            v.reason = h1_read_response(&input, data, method, limits, &arena, &v.head, &head_len);
        else
            v.reason = h1_read_trailers(body, data, &arena, &v.head, &head_len);
        if (v.reason != REASON_NONE || v.head != NULL || end == text.len)
            break;
        end = MIN(end + step, text.len);
    }
    v.is_whole = v.reason == REASON_NONE && v.head != NULL;
    v.head_len = head_len;
    h1_input_clear(&input);
    return v;
}

/* Which element a byte that may stand nowhere belongs to is a matter of taste, and the versions of
 * llhttp differ in it. */
static bool is_syntax(enum reason reason)
{
    return reason == REASON_BAD_REQUEST_LINE || reason == REASON_BAD_METHOD ||
           reason == REASON_BAD_TARGET || reason == REASON_BAD_LINE_END ||
           reason == REASON_BAD_FIELD || reason == REASON_BAD_TRAILER;
}

static bool same_reason(enum reason a, enum reason b)
{
    return a == b || (is_syntax(a) && is_syntax(b));
}

static bool is_same(const struct verdict *a, const struct verdict *b)
{
    return same_reason(a->reason, b->reason) &&
           (a->reason != REASON_NONE || a->is_whole == b->is_whole);
}

static struct verdict read_as(enum h1_kind kind, struct str text, enum method method,
                              const struct session_limits *limits)
{
    struct verdict whole = read_cut(kind, text, method, limits, text.len, 1);
    size_t stride = text.len > 2000 ? text.len / 97 : 1; /* huge ones: not at every byte */

    for (size_t at = 1; at < text.len; at += stride) {
        struct verdict cut = read_cut(kind, text, method, limits, at, text.len);
        if (!is_same(&cut, &whole))
            fail_msg("cut at %zu: %s instead of %s: %.*s", at, reason_word(cut.reason),
                     reason_word(whole.reason), (int)MIN(text.len, 300), text.ptr);
    }
    struct verdict bytes = read_cut(kind, text, method, limits, 1, 1);
    if (!is_same(&bytes, &whole))
        fail_msg("byte by byte: %s instead of %s: %.*s", reason_word(bytes.reason),
                 reason_word(whole.reason), (int)MIN(text.len, 300), text.ptr);
    return whole;
}

static struct head *accept_as(enum h1_kind kind, struct str text, enum method method)
{
    struct verdict v = read_as(kind, text, method, &usual);

    if (v.reason != REASON_NONE || !v.is_whole)
        fail_msg("%s: %.*s", v.is_whole ? reason_word(v.reason) : "not whole", STR_FMT(text));
    return v.head;
}

static struct head *request(const char *text)
{
    return accept_as(H1_REQUEST, str_of(text), METHOD_OTHER);
}

static struct head *response(const char *text)
{
    return accept_as(H1_RESPONSE, str_of(text), METHOD_GET);
}

struct head_case {
    struct str text;
    enum reason reason;
};

static void check_table(enum h1_kind kind, const struct head_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct verdict v = read_as(kind, cases[i].text, METHOD_GET, &usual);
        if (!same_reason(v.reason, cases[i].reason))
            fail_msg("%s instead of %s: %.*s", reason_word(v.reason), reason_word(cases[i].reason),
                     STR_FMT(cases[i].text));
        if (v.reason == REASON_NONE && !v.is_whole)
            fail_msg("never whole: %.*s", STR_FMT(cases[i].text));
    }
}

/* --- request lines --------------------------------------------------------------------------- */

#define END_OF_HEAD "\r\nHost: a\r\n\r\n"
#define LINE(text) STR_INIT(text END_OF_HEAD)

static const struct head_case request_lines[] = {
    {LINE("GET / HTTP/1.1"), REASON_NONE},
    {LINE("GET / HTTP/1.0"), REASON_NONE},
    {LINE("M-SEARCH / HTTP/1.1"), REASON_NONE},
    {LINE("get / HTTP/1.1"), REASON_NONE}, /* another method than GET, but a token */
    {LINE("OPTIONS * HTTP/1.1"), REASON_NONE},
    {LINE("GET http://a/ HTTP/1.1"), REASON_NONE},
    {LINE("GET HTTPS://A HTTP/1.1"), REASON_NONE},
    {LINE("GET http://a?q HTTP/1.1"), REASON_NONE},
    {LINE("GET http://b/ HTTP/1.1"), REASON_NONE}, /* Host says a: the target counts */
    {LINE("GET https://b:8443/ HTTP/1.1"), REASON_NONE},
    {LINE("GET http://a:80/ HTTP/1.1"), REASON_NONE},
    {LINE("GET http://a:/ HTTP/1.1"), REASON_NONE},
    {LINE("GET http://a./ HTTP/1.1"), REASON_NONE},
    {LINE("GET http://[::1]:80/ HTTP/1.1"), REASON_NONE},
    {LINE("GET /http://b/ HTTP/1.1"), REASON_NONE},
    /* its shape */
    {LINE("GET /"), REASON_BAD_REQUEST_LINE}, /* HTTP/0.9 */
    {LINE("GET"), REASON_BAD_REQUEST_LINE},
    {LINE("GET "), REASON_BAD_REQUEST_LINE},
    {LINE("GET  HTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET  / HTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET /  HTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/1.1 "), REASON_BAD_REQUEST_LINE},
    {LINE("GET / x HTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET\t/\tHTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET /\tHTTP/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE(" GET / HTTP/1.1"), REASON_BAD_METHOD},
    {STR_INIT("\r\n\r\n"), REASON_BAD_REQUEST_LINE},
    /* method */
    {LINE("G@T / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("GE\tT / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("GET\r / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("G\xc3\x89T / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("GET: / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("G\0T / HTTP/1.1"), REASON_BAD_METHOD},
    {LINE("CONNECT a:443 HTTP/1.1"), REASON_METHOD_REFUSED},
    {LINE("CONNECT / HTTP/1.1"), REASON_METHOD_REFUSED},
    {LINE("PRI * HTTP/2.0"), REASON_BAD_VERSION}, /* the h2 preface */
    /* version */
    {LINE("GET / HTTP/0.9"), REASON_BAD_VERSION},
    {LINE("GET / HTTP/1.2"), REASON_NONE}, /* read as 1.1 (RFC 9110 section 2.5) */
    {LINE("GET / HTTP/1.9"), REASON_NONE},
    {LINE("GET / HTTP/2.0"), REASON_BAD_VERSION},
    {LINE("GET / HTTP/9.9"), REASON_BAD_VERSION},
    {LINE("GET / http/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/11"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/1.10"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/01.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/1,1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTP/1.1\r"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTTPS/1.1"), REASON_BAD_REQUEST_LINE},
    {LINE("GET / HTCPCP/1.0"), REASON_BAD_REQUEST_LINE},
    /* target */
    {LINE("GET * HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("OPTIONS *x HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET wiki HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET a:80 HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET ftp://a/ HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET ://a/ HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET http:/a/ HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /#fragment HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET http://a/#fragment HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /\r HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /\x01 HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /\x7f HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /\0 HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET /\xc3\xb6 HTTP/1.1"), REASON_BAD_TARGET},
    {LINE("GET http:// HTTP/1.1"), REASON_BAD_HOST},
    {LINE("GET http:///x HTTP/1.1"), REASON_BAD_HOST},
    {LINE("GET http://u@a/ HTTP/1.1"), REASON_BAD_HOST},
    {LINE("GET http://a#b HTTP/1.1"), REASON_BAD_HOST},
};

static void request_lines_are_read_strictly(void **state UNUSED)
{
    check_table(H1_REQUEST, request_lines, ARRAY_LEN(request_lines));
}

/* --- fields of requests ---------------------------------------------------------------------- */

#define FIELDS(text) STR_INIT("POST / HTTP/1.1\r\nHost: a\r\n" text "\r\n")
#define FIELDS10(text) STR_INIT("POST / HTTP/1.0\r\nHost: a\r\n" text "\r\n")
#define NO_HOST(text) STR_INIT("GET / HTTP/1.1\r\n" text "\r\n")

static const struct head_case request_fields[] = {
    {FIELDS(""), REASON_NONE},
    {FIELDS("A:\r\n"), REASON_NONE},
    {FIELDS("A: \t \r\n"), REASON_NONE},
    {FIELDS("A:b\r\n"), REASON_NONE},
    {FIELDS("A: b:c \xff\t d\t\r\n"), REASON_NONE},
    {FIELDS("!#$%&'*+-.^_`|~09: x\r\n"), REASON_NONE},
    /* line ends */
    {STR_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n"), REASON_BAD_LINE_END},
    {STR_INIT("GET / HTTP/1.1\r\nHost: a\n\r\n"), REASON_BAD_LINE_END},
    {STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n"), REASON_BAD_LINE_END},
    {STR_INIT("GET / HTTP/1.1\n\n"), REASON_BAD_LINE_END},
    {STR_INIT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_LINE_END},
    {FIELDS("A: b\nC: d\r\n"), REASON_BAD_LINE_END},
    {FIELDS("A: b\rC: d\r\n"), REASON_BAD_FIELD}, /* bare CR, CVE-2023-30589 */
    {FIELDS("A: b\r\r\n"), REASON_BAD_FIELD},
    {FIELDS("A: \rb\r\n"), REASON_BAD_FIELD},
    {FIELDS("A\r: b\r\n"), REASON_BAD_FIELD},
    {FIELDS("\rA: b\r\n"), REASON_BAD_LINE_END},
    {FIELDS("\r\r\n"), REASON_BAD_LINE_END},
    {STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\rX"), REASON_BAD_LINE_END},
    /* bytes */
    {FIELDS("A: b\0c\r\n"), REASON_BAD_FIELD},
    {FIELDS("A\0: b\r\n"), REASON_BAD_FIELD},
    {FIELDS("A: \x01\r\n"), REASON_BAD_FIELD},
    {FIELDS("A: \x7f\r\n"), REASON_BAD_FIELD},
    {FIELDS("A: \x0b\r\n"), REASON_BAD_FIELD},
    /* folding and names */
    {FIELDS("A: b\r\n c\r\n"), REASON_BAD_FIELD}, /* obs-fold, CVE-2024-27982 */
    {FIELDS("A: b\r\n\tc\r\n"), REASON_BAD_FIELD},
    {FIELDS("A:\r\n b\r\n"), REASON_BAD_FIELD},
    {STR_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), REASON_BAD_FIELD},
    {FIELDS("A : b\r\n"), REASON_BAD_FIELD},
    {FIELDS("A\t: b\r\n"), REASON_BAD_FIELD},
    {FIELDS(" A: b\r\n"), REASON_BAD_FIELD},
    {FIELDS(": b\r\n"), REASON_BAD_FIELD}, /* empty name, CVE-2023-25725 */
    {FIELDS("A\r\n"), REASON_BAD_FIELD},
    {FIELDS("A b: c\r\n"), REASON_BAD_FIELD},
    {FIELDS("A/b: c\r\n"), REASON_BAD_FIELD},
    {FIELDS("A\xc3\xb6: c\r\n"), REASON_BAD_FIELD},
    {FIELDS("(A): c\r\n"), REASON_BAD_FIELD},
    {FIELDS("\"A\": c\r\n"), REASON_BAD_FIELD},
    {FIELDS("Content-Length : 5\r\n"), REASON_BAD_FIELD},
    {FIELDS("Transfer-Encoding : chunked\r\n"), REASON_BAD_FIELD},
    /* Host */
    {NO_HOST(""), REASON_BAD_HOST},
    {NO_HOST("Host:\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: a\r\nHost: a\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: a\r\nhOST: b\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: a, b\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: a b\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: u@a\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: wiki.example:443@evil\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: a/b\r\n"), REASON_BAD_HOST},
    {NO_HOST("Host: http://a\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost: u@a\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost: [:::1]\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), REASON_NONE},
    {STR_INIT("GET http://a/ HTTP/1.1\r\nHost: a:\r\n\r\n"), REASON_NONE},
    {STR_INIT("GET / HTTP/1.0\r\n\r\n"), REASON_NONE},
    {STR_INIT("GET / HTTP/1.0\r\nHost:\r\n\r\n"), REASON_BAD_HOST},
    {STR_INIT("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), REASON_BAD_HOST},
    /* Content-Length */
    {FIELDS("Content-Length: 0\r\n"), REASON_NONE},
    {FIELDS("Content-Length: 5\r\n"), REASON_NONE},
    {FIELDS("Content-Length:\t5 \r\n"), REASON_NONE},
    {FIELDS("Content-Length: 9223372036854775807\r\n"), REASON_NONE},
    {FIELDS("Content-Length: 9223372036854775808\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 18446744073709551616\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 18446744073709551621\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length:\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: +5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: -5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: -0\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 0x5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5 5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5,5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5, 6\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5;a\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5.0\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5e1\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: \"5\"\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5\r\nContent-Length: 5\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5\r\nContent-Length: 6\r\n"), REASON_BAD_LENGTH},
    {FIELDS("Content-Length: 5\r\nCONTENT-LENGTH:\r\n"), REASON_BAD_LENGTH}, /* CVE-2023-40225 */
    {FIELDS("Content-Length:\r\nContent-Length: 5\r\n"), REASON_BAD_LENGTH},
    {FIELDS10("Content-Length: 5\r\n"), REASON_NONE},
    /* Transfer-Encoding */
    {FIELDS("Transfer-Encoding: chunked\r\n"), REASON_NONE},
    {FIELDS("transfer-encoding:\tCHUNKED \r\n"), REASON_NONE},
    {FIELDS("Transfer-Encoding: gzip\r\n"), REASON_UNKNOWN_CODING},
    {FIELDS("Transfer-Encoding: xchunked\r\n"), REASON_UNKNOWN_CODING},
    {FIELDS("Transfer-Encoding: gzip, chunked\r\n"), REASON_UNKNOWN_CODING},
    {FIELDS("Transfer-Encoding:\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: identity\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked, identity\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: identity, chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked, gzip\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked, chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked,\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: ,chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked;a=b\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: \"chunked\"\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked\tx\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: \x0b"
            "chunked\r\n"),
     REASON_BAD_FIELD},
    {FIELDS("Transfer-Encoding: chunked\0\r\n"), REASON_BAD_FIELD},
    {FIELDS("Transfer-Encoding:\r\n chunked\r\n"), REASON_BAD_FIELD},
    {FIELDS("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: chunked\r\nContent-Length: x\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), REASON_BAD_FRAMING},
    {FIELDS10("Transfer-Encoding: chunked\r\n"), REASON_BAD_FRAMING},
    {FIELDS("Transfer_Encoding: chunked\r\n"), REASON_NONE}, /* another name: no framing */
    /* Expect */
    {FIELDS("Expect: 100-continue\r\n"), REASON_NONE},
    {FIELDS("Expect: 100-CONTINUE\r\nContent-Length: 5\r\n"), REASON_NONE},
    {FIELDS("Expect: 200-ok\r\n"), REASON_BAD_EXPECT},
    {FIELDS("Expect:\r\n"), REASON_NONE},
    {FIELDS("Expect: , 100-continue ,\r\n"), REASON_NONE},
    {FIELDS("Expect: 100-continue, x\r\n"), REASON_BAD_EXPECT},
    {FIELDS("Expect: 100-continue\r\nExpect: x\r\n"), REASON_BAD_EXPECT},
    {FIELDS("Expect: 100-continue\r\nExpect: 100-continue\r\n"), REASON_NONE},
    {FIELDS10("Expect: rubbish\r\n"), REASON_NONE},
};

static void request_fields_are_read_strictly(void **state UNUSED)
{
    check_table(H1_REQUEST, request_fields, ARRAY_LEN(request_fields));
}

/* --- what a good head becomes ---------------------------------------------------------------- */

static void a_request_becomes_its_parts(void **state UNUSED)
{
    struct head *head = request("PATCH /w/index.php?a=b HTTP/1.1\r\n"
                                "hOsT:  De.Wikipedia.org:443 \r\n"
                                "Cookie: a=1\r\n"
                                "X-Odd:\r\n"
                                "cookie:\tb=2\t\r\n"
                                "Content-Length: 042\r\n\r\n");

    assert_int_equal(head->method, METHOD_PATCH);
    assert_str(head->method_text, "PATCH");
    assert_str(head->path, "/w/index.php?a=b");
    assert_str(head->authority, "De.Wikipedia.org:443");
    assert_str(head->scheme, "");
    assert_int_equal(head->version, HTTP_1_1);
    assert_int_equal(head->field_count, 5);
    assert_str(head->fields[0].name, "hOsT");
    assert_int_equal(head->fields[0].id, HEADER_HOST);
    assert_str(head_find_name(head, STR("x-odd"))->value, "");
    assert_int_equal(head_count(head, HEADER_COOKIE), 2);
    assert_str(head->fields[3].value, "b=2");
    assert_true(head->content_length == 42);
    assert_true(head->has_body);
    assert_int_equal(h1_request_framing(head), H1_LENGTH);
    assert_false(head->is_last);
}

static void an_absolute_target_is_taken_apart(void **state UNUSED)
{
    struct head *head = request("GET http://a.example/x?y HTTP/1.1\r\nHost: A.example\r\n\r\n");

    assert_str(head->scheme, "http");
    assert_str(head->authority, "a.example");
    assert_str(head->path, "/x?y");
    assert_str(request("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")->path, "/");
    assert_str(request("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n")->path, "/?q");
    assert_str(request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n")->path, "*");
    assert_str(request("GET http://a/ HTTP/1.0\r\n\r\n")->authority, "a");
    head = request("GET http://b:81/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_str(head->authority, "b:81");
}

static void framing_of_requests_is_by_length_or_chunked(void **state UNUSED)
{
    struct head *head = request("POST / HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_int_equal(h1_request_framing(head), H1_NO_BODY);
    assert_true(head->content_length == CONTENT_LENGTH_NONE);
    head = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(h1_request_framing(head), H1_NO_BODY);
    assert_true(head->content_length == 0);
    assert_false(head->has_body);
    head = request("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(h1_request_framing(head), H1_CHUNKED);
    assert_true(head->has_body);
}

static const struct last_case {
    const char *text;
    bool is_last;
} last_cases[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", false},
    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", true},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", false},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", true},
    {"GET / HTTP/1.0\r\nHost: a\r\nKeep-Alive: timeout=5\r\n\r\n", true},
};

static void persistence_depends_on_version_and_connection(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(last_cases); i++) {
        if (request(last_cases[i].text)->is_last != last_cases[i].is_last)
            fail_msg("is_last is wrong: %s", last_cases[i].text);
    }
}

#define WS "GET / HTTP/1.1\r\nHost: a\r\n"
static const struct upgrade_case {
    const char *text, *upgrade;
} upgrades[] = {
    {WS "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "websocket"},
    {WS "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n", "WebSocket"},
    {WS "Upgrade: websocket\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", ""},
    {WS "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
    {"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", ""},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", ""},
};

static void only_a_plain_websocket_request_is_an_upgrade(void **state UNUSED)
{
    struct session_limits without = usual;

    for (size_t i = 0; i < ARRAY_LEN(upgrades); i++)
        assert_str(request(upgrades[i].text)->upgrade, upgrades[i].upgrade);
    without.allow_websocket = false;
    struct verdict v = read_as(H1_REQUEST, str_of(upgrades[0].text), METHOD_GET, &without);
    assert_int_equal(v.reason, REASON_NONE);
    assert_str(v.head->upgrade, "");
}

static void expect_counts_only_where_a_body_follows(void **state UNUSED)
{
    assert_true(request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n")
                    ->expects_continue);
    assert_false(request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                         "Content-Length: 0\r\n\r\n")
                     ->expects_continue);
    assert_false(request("PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n"
                         "Content-Length: 5\r\n\r\n")
                     ->expects_continue);
}

static void what_follows_the_head_is_not_looked_at(void **state UNUSED)
{
    struct str text = STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n\n\n\0rubbish");
    struct verdict v = read_cut(H1_REQUEST, text, METHOD_GET, &usual, text.len, 1);

    assert_int_equal(v.reason, REASON_NONE);
    assert_int_equal(v.head_len, sizeof("GET / HTTP/1.1\r\nHost: a\r\n\r\n") - 1);
}

static void an_unfinished_head_is_neither_good_nor_bad(void **state UNUSED)
{
    struct str text = STR("GET /wiki HTTP/1.1\r\nHost: a\r\nCookie: x=y\r\n\r\n");

    for (size_t len = 1; len < text.len; len++) {
        struct verdict v =
            read_cut(H1_REQUEST, str_make(text.ptr, len), METHOD_GET, &usual, len, 1);
        assert_int_equal(v.reason, REASON_NONE);
        assert_false(v.is_whole);
    }
}

/* --- limits, at n and n + 1 ------------------------------------------------------------------ */

static const struct session_limits small = {
    .max_header_bytes = 400,
    .max_header_count = 5,
    .max_line_bytes = 100,
    .max_uri_bytes = 50,
    .max_connection_options = 7,
    .max_chunk_extension_bytes = 4096,
};

static struct str times(const char *text, size_t n)
{
    size_t len = strlen(text);
    char *out = arena_alloc(&arena, len * n + 1);

    for (size_t i = 0; i < n; i++)
        memcpy(out + i * len, text, len);
    return str_make(out, len * n);
}

static struct str with_fields(const char *start, struct str fields)
{
    return arena_join(&arena, str_of(start), arena_join(&arena, fields, STR("\r\n")));
}

static void assert_limit(enum h1_kind kind, struct str at, struct str over, enum reason reason)
{
    enum reason got = read_as(kind, at, METHOD_GET, &small).reason;

    if (got != REASON_NONE)
        fail_msg("at the limit: %s: %.*s", reason_word(got), STR_FMT(at));
    got = read_as(kind, over, METHOD_GET, &small).reason;
    if (kind == H1_RESPONSE && got == REASON_UPSTREAM_HEADERS_TOO_LARGE)
        got = reason; /* the client has one word for all of them */
    if (got != reason)
        fail_msg("over the limit: %s: %.*s", reason_word(got), STR_FMT(over));
}

static struct str request_with_target(size_t len)
{
    return arena_printf(&arena, "GET /%.*s HTTP/1.1\r\nHost: a\r\n\r\n",
                        STR_FMT(times("u", len - 1)));
}

static void the_target_is_limited(void **state UNUSED)
{
    assert_limit(H1_REQUEST, request_with_target(small.max_uri_bytes),
                 request_with_target(small.max_uri_bytes + 1), REASON_URI_TOO_LONG);
}

static void a_long_target_is_refused_before_its_line_ends(void **state UNUSED)
{
    struct str text = arena_join(&arena, STR("GET /"), times("u", 200));

    assert_int_equal(read_as(H1_REQUEST, text, METHOD_GET, &small).reason, REASON_URI_TOO_LONG);
}

static void a_field_line_is_limited(void **state UNUSED)
{
    struct str at = arena_join(&arena, times("x", small.max_line_bytes - 2), STR(": \r\n"));
    struct str over = arena_join(&arena, STR("x"), at);

    assert_limit(H1_REQUEST, with_fields("GET / HTTP/1.1\r\nHost: a\r\n", at),
                 with_fields("GET / HTTP/1.1\r\nHost: a\r\n", over), REASON_LINE_TOO_LONG);
    assert_limit(H1_TRAILERS, with_fields("", at), with_fields("", over), REASON_LINE_TOO_LONG);
    assert_limit(H1_RESPONSE, with_fields("HTTP/1.1 200 OK\r\n", at),
                 with_fields("HTTP/1.1 200 OK\r\n", over), REASON_LINE_TOO_LONG);
}

static void the_number_of_fields_is_limited(void **state UNUSED)
{
    assert_limit(H1_REQUEST, with_fields("GET / HTTP/1.1\r\nHost: a\r\n", times("b: c\r\n", 4)),
                 with_fields("GET / HTTP/1.1\r\nHost: a\r\n", times("b: c\r\n", 5)),
                 REASON_TOO_MANY_FIELDS);
    assert_limit(H1_TRAILERS, with_fields("", times("b: c\r\n", 5)),
                 with_fields("", times("b: c\r\n", 6)), REASON_TOO_MANY_FIELDS);
    assert_limit(H1_RESPONSE, with_fields("HTTP/1.1 200 OK\r\n", times("b: c\r\n", 5)),
                 with_fields("HTTP/1.1 200 OK\r\n", times("b: c\r\n", 6)), REASON_TOO_MANY_FIELDS);
}

/* Each field counts as its name, its value and 32, as HPACK counts. */
static struct str request_of_size(size_t bytes)
{
    size_t host = 4 + 1 + 32, each = 1 + 90 + 32, last = bytes - host - 2 * each - 1 - 32;
    struct str value = times("v", 90);

    return arena_printf(&arena,
                        "GET / HTTP/1.1\r\nHost: a\r\na: %.*s\r\nb: %.*s\r\nc: %.*s\r\n\r\n",
                        STR_FMT(value), STR_FMT(value), STR_FMT(times("w", last)));
}

static void the_sum_of_all_fields_is_limited(void **state UNUSED)
{
    assert_limit(H1_REQUEST, request_of_size(small.max_header_bytes),
                 request_of_size(small.max_header_bytes + 1), REASON_HEADERS_TOO_LARGE);
}

static void white_space_around_values_is_limited_too(void **state UNUSED)
{
    struct str line =
        arena_join(&arena, STR("a:"), arena_join(&arena, times(" ", 90), STR("\r\n")));
    struct session_limits many = small;

    many.max_header_count = 100;
    struct str text = with_fields("GET / HTTP/1.1\r\nHost: a\r\n", times(line.ptr, 8));
    assert_int_equal(read_as(H1_REQUEST, text, METHOD_GET, &many).reason, REASON_HEADERS_TOO_LARGE);
}

static struct str with_options(const char *start, unsigned count)
{
    return with_fields(start, arena_join(&arena, STR("Connection: a"),
                                         arena_join(&arena, times(",a", count - 1), STR("\r\n"))));
}

static void the_number_of_connection_options_is_limited(void **state UNUSED)
{
    assert_limit(H1_REQUEST, with_options("GET / HTTP/1.1\r\nHost: a\r\n", 7),
                 with_options("GET / HTTP/1.1\r\nHost: a\r\n", 8), REASON_TOO_MANY_OPTIONS);
    assert_limit(H1_REQUEST, with_options("GET / HTTP/1.1\r\nHost: a\r\nConnection: b, c\r\n", 5),
                 with_options("GET / HTTP/1.1\r\nHost: a\r\nConnection: b, c\r\n", 6),
                 REASON_TOO_MANY_OPTIONS);
    assert_limit(H1_RESPONSE, with_options("HTTP/1.1 200 OK\r\n", 7),
                 with_options("HTTP/1.1 200 OK\r\n", 8), REASON_TOO_MANY_OPTIONS);
}

static void a_body_that_is_announced_too_large_is_refused(void **state UNUSED)
{
    struct session_limits limits = usual;

    limits.max_body_bytes = 10;
    struct str at = STR("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    struct str over = STR("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_int_equal(read_as(H1_REQUEST, at, METHOD_GET, &limits).reason, REASON_NONE);
    assert_int_equal(read_as(H1_REQUEST, over, METHOD_GET, &limits).reason, REASON_BODY_TOO_LARGE);
}

/* --- responses ------------------------------------------------------------------------------- */

#define RESPONSE(text) STR_INIT("HTTP/1.1 200 OK\r\n" text "\r\n")
#define STATUS(text) STR_INIT(text "\r\n\r\n")

static const struct head_case responses[] = {
    {STATUS("HTTP/1.1 200 OK"), REASON_NONE},
    {STATUS("HTTP/1.0 200 OK"), REASON_NONE},
    {STATUS("HTTP/1.2 200 OK"), REASON_NONE},
    {STATUS("HTTP/0.9 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.10 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 200 "), REASON_NONE},
    {STATUS("HTTP/1.1 200"), REASON_NONE},
    {STATUS("HTTP/1.1 599 a b\tc \xc3\xb6"), REASON_NONE},
    {STATUS("HTTP/1.1 999 x"), REASON_NONE},
    {STATUS("HTTP/1.1 099 x"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 20 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 2000 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 -20 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 2x0 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 200OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1  200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1\t200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/2 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/2.0 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("http/1.1 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("ICY 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS(" HTTP/1.1 200 OK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 200 O\rK"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 200 O\x01K"), REASON_UPSTREAM_PROTOCOL},
    {STATUS("HTTP/1.1 200\r OK"), REASON_UPSTREAM_PROTOCOL},
    {STR_INIT("\r\n\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\n"), REASON_NONE},
    {RESPONSE("Transfer-Encoding: chunked\r\n"), REASON_NONE},
    {RESPONSE("A : b\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("A: b\r\n c\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("A: b\rc\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("A: b\0\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE(": b\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nContent-Length: 5\r\n"), REASON_NONE},
    {RESPONSE("Content-Length: 5\r\nA: b\r\ncontent-length: 5 \r\nContent-Length: 05\r\n"),
     REASON_NONE},
    {RESPONSE("Content-Length: 5\r\nContent-Length: 6\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nContent-Length:\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nContent-Length: x\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 55\r\n"),
     REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
     REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: 5, 5\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length: +5\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Content-Length:\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Transfer-Encoding: gzip, chunked\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Transfer-Encoding: identity\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Transfer-Encoding: xchunked\r\n"), REASON_UPSTREAM_PROTOCOL},
    {RESPONSE("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
     REASON_UPSTREAM_PROTOCOL},
    {STR_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), REASON_UPSTREAM_PROTOCOL},
};

static void responses_are_read_strictly(void **state UNUSED)
{
    check_table(H1_RESPONSE, responses, ARRAY_LEN(responses));
}

static void a_response_becomes_its_parts(void **state UNUSED)
{
    struct head *head = response("HTTP/1.1 404 Not here\r\nServer: x\r\nContent-Length: 7\r\n\r\n");

    assert_int_equal(head->status, 404);
    assert_str(head->phrase, "Not here");
    assert_str(head_value(head, HEADER_SERVER), "x");
    assert_true(head->content_length == 7);
    assert_true(head->has_body);
    assert_str(response("HTTP/1.1 200\r\n\r\n")->phrase, "");
    assert_str(response("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n")->upgrade, "websocket");
    assert_true(response("HTTP/1.0 200 OK\r\n\r\n")->is_last);
    assert_true(response("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")->is_last);
    assert_false(response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n")->is_last);
}

static const struct framing_case {
    enum method method;
    const char *text;
    enum h1_framing framing;
} framings[] = {
    {METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", H1_LENGTH},
    {METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", H1_NO_BODY},
    {METHOD_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H1_CHUNKED},
    {METHOD_GET, "HTTP/1.1 200 OK\r\n\r\n", H1_UNTIL_CLOSE},
    {METHOD_GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", H1_UNTIL_CLOSE},
    {METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", H1_NO_BODY},
    {METHOD_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H1_NO_BODY},
    {METHOD_HEAD, "HTTP/1.1 200 OK\r\n\r\n", H1_NO_BODY},
    {METHOD_GET, "HTTP/1.1 204 No Content\r\n\r\n", H1_NO_BODY},
    {METHOD_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", H1_NO_BODY},
    {METHOD_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", H1_NO_BODY},
    {METHOD_GET, "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", H1_NO_BODY},
};

static void framing_of_responses_follows_rfc_9112_section_6_3(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        struct head *head = accept_as(H1_RESPONSE, str_of(framings[i].text), framings[i].method);
        if (h1_response_framing(head, framings[i].method) != framings[i].framing)
            fail_msg("framing: %s", framings[i].text);
        assert_int_equal(head->has_body, framings[i].framing != H1_NO_BODY);
    }
}

/* --- trailers -------------------------------------------------------------------------------- */

static const struct head_case trailers[] = {
    {STR_INIT("\r\n"), REASON_NONE},
    {STR_INIT("A: b\r\n\r\n"), REASON_NONE},
    {STR_INIT("A: b\n\r\n"), REASON_BAD_LINE_END},
    {STR_INIT("\n"), REASON_BAD_LINE_END},
    {STR_INIT("A : b\r\n\r\n"), REASON_BAD_TRAILER},
    {STR_INIT("A: b\r\n c\r\n\r\n"), REASON_BAD_TRAILER},
    {STR_INIT("A: b\rc\r\n\r\n"), REASON_BAD_TRAILER},
    {STR_INIT("GET / HTTP/1.1\r\n\r\n"), REASON_BAD_TRAILER},
};

static void trailers_are_read_strictly(void **state UNUSED)
{
    check_table(H1_TRAILERS, trailers, ARRAY_LEN(trailers));
}

static void forbidden_trailers_are_taken_out(void **state UNUSED)
{
    struct head *head = accept_as(
        H1_TRAILERS,
        STR("Content-Length: 5\r\nETag: x\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n"
            "authorization: y\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a\r\nSet-Cookie: b\r\n"
            "Content-Type: z\r\nX-Checksum: 1\r\nConnection: close\r\n\r\n"),
        METHOD_OTHER);

    for (unsigned i = 0; i < head->field_count; i++) {
        struct str name = head->fields[i].name;
        bool is_kept = str_eq(name, STR("ETag")) || str_eq(name, STR("X-Checksum"));
        assert_int_equal(!head->fields[i].removed, is_kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines_are_read_strictly),
        cmocka_unit_test(request_fields_are_read_strictly),
        cmocka_unit_test(a_request_becomes_its_parts),
        cmocka_unit_test(an_absolute_target_is_taken_apart),
        cmocka_unit_test(framing_of_requests_is_by_length_or_chunked),
        cmocka_unit_test(persistence_depends_on_version_and_connection),
        cmocka_unit_test(only_a_plain_websocket_request_is_an_upgrade),
        cmocka_unit_test(expect_counts_only_where_a_body_follows),
        cmocka_unit_test(what_follows_the_head_is_not_looked_at),
        cmocka_unit_test(an_unfinished_head_is_neither_good_nor_bad),
        cmocka_unit_test(the_target_is_limited),
        cmocka_unit_test(a_long_target_is_refused_before_its_line_ends),
        cmocka_unit_test(a_field_line_is_limited),
        cmocka_unit_test(the_number_of_fields_is_limited),
        cmocka_unit_test(the_sum_of_all_fields_is_limited),
        cmocka_unit_test(white_space_around_values_is_limited_too),
        cmocka_unit_test(the_number_of_connection_options_is_limited),
        cmocka_unit_test(a_body_that_is_announced_too_large_is_refused),
        cmocka_unit_test(responses_are_read_strictly),
        cmocka_unit_test(a_response_becomes_its_parts),
        cmocka_unit_test(framing_of_responses_follows_rfc_9112_section_6_3),
        cmocka_unit_test(trailers_are_read_strictly),
        cmocka_unit_test(forbidden_trailers_are_taken_out),
    };

    return cmocka_run_group_tests_name("h1_read", tests, set_up, tear_down);
}
