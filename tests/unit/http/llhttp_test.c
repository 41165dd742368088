/* A second reader: what we accept and what we write must mean the same to llhttp, the parser of
 * Node.js and of many an origin. And where it is looser than we are is written down here. */
#include "base/hash.h"
#include "http/h1_impl.h"

#include <llhttp.h>
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

/* --- llhttp's reading ------------------------------------------------------------------------ */

enum { TEXT_MAX = 32768, MESSAGES_MAX = 4 };

struct text {
    char data[TEXT_MAX];
    size_t len;
};

static void append(struct text *text, const char *at, size_t len)
{
    assert_true(text->len + len <= TEXT_MAX);
    memcpy(text->data + text->len, at, len);
    text->len += len;
}

static struct str str_text(const struct text *text)
{
    return str_make(text->data, text->len);
}

struct reading {
    llhttp_t parser;
    llhttp_settings_t settings;
    bool answers_head;
    unsigned begun, whole;
    struct text url, fields, body, status; /* of the first message */
    struct text next_url;
    uint8_t method;
    int status_code;
};

static struct reading *reading_of(llhttp_t *parser)
{
    return CONTAINER_OF(parser, struct reading, parser);
}

static int on_begin(llhttp_t *parser)
{
    reading_of(parser)->begun++;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *r = reading_of(parser);

    append(r->begun == 1 ? &r->url : &r->next_url, at, len);
    return 0;
}

static int on_status(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *r = reading_of(parser);

    if (r->begun == 1)
        append(&r->status, at, len);
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *r = reading_of(parser);

    if (r->begun == 1)
        append(&r->fields, at, len);
    return 0;
}

static int on_field_end(llhttp_t *parser)
{
    return on_field(parser, ":", 1);
}

static int on_value_end(llhttp_t *parser)
{
    struct reading *r = reading_of(parser);

    while (r->begun == 1 && r->fields.len > 0 &&
           (r->fields.data[r->fields.len - 1] == ' ' || r->fields.data[r->fields.len - 1] == '\t'))
        r->fields.len--; /* OWS behind a value is left to llhttp's users */
    return on_field(parser, "\n", 1);
}

static int on_head_end(llhttp_t *parser)
{
    struct reading *r = reading_of(parser);

    if (r->begun == 1) {
        r->method = parser->method;
        r->status_code = parser->status_code;
    }
    return r->answers_head ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *r = reading_of(parser);

    if (r->begun == 1)
        append(&r->body, at, len);
    return 0;
}

static int on_end(llhttp_t *parser)
{
    reading_of(parser)->whole++;
    return 0;
}

static enum llhttp_errno read_all(struct reading *r, llhttp_type_t type, bool answers_head,
                                  struct str text)
{
    r->begun = r->whole = 0;
    r->url.len = r->fields.len = r->body.len = r->status.len = r->next_url.len = 0;
    r->answers_head = answers_head;
    llhttp_settings_init(&r->settings);
    r->settings.on_message_begin = on_begin;
    r->settings.on_url = on_url;
    r->settings.on_status = on_status;
    r->settings.on_header_field = on_field;
    r->settings.on_header_field_complete = on_field_end;
    r->settings.on_header_value = on_field;
    r->settings.on_header_value_complete = on_value_end;
    r->settings.on_headers_complete = on_head_end;
    r->settings.on_body = on_body;
    r->settings.on_message_complete = on_end;
    llhttp_init(&r->parser, type, &r->settings);
    return llhttp_execute(&r->parser, text.ptr, text.len);
}

/* --- ours ------------------------------------------------------------------------------------ */

static struct reading reading; /* too large for the stack */
static struct arena arena;
static struct buf_pool pool;
static struct bufq out;

static int set_up(void **state UNUSED)
{
    buf_pool_init(&pool);
    bufq_init(&out, &pool);
    arena_init(&arena, &pool);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_reset(&arena);
    bufq_deinit(&out);
    buf_pool_deinit(&pool);
    return 0;
}

static struct str take_out(void)
{
    char *text = arena_alloc(&arena, out.bytes + 1);
    size_t len = 0;

    while (!bufq_is_empty(&out)) {
        struct slice front = bufq_front(&out);
        memcpy(text + len, front.ptr, front.len);
        len += front.len;
        bufq_drop(&out, front.len);
    }
    return str_make(text, len);
}

static struct h1_input input;

/* The head at the front of `text`, or NULL; *len: its bytes. */
static struct head *our_request(struct str text, size_t *len)
{
    struct head *head;
    enum reason reason = h1_read_request(&input, text, &usual, &arena, &head, len);

    h1_input_clear(&input);
    return reason == REASON_NONE ? head : NULL;
}

static struct str fields_text(const struct head *head)
{
    static struct text text;

    text.len = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        append(&text, head->fields[i].name.ptr, head->fields[i].name.len);
        append(&text, ":", 1);
        append(&text, head->fields[i].value.ptr, head->fields[i].value.len);
        append(&text, "\n", 1);
    }
    return str_text(&text);
}

#define NEXT "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

/* A body as `head` announces it, and the request behind it. */
static struct str with_body(struct str text, const struct head *head, struct str *body)
{
    *body = STR("");
    if (h1_request_framing(head) == H1_CHUNKED) {
        *body = STR("0\r\n\r\nGET /");
        text =
            arena_join(&arena, text, STR("3;x=y\r\n0\r\n\r\n7\r\n\r\nGET /\r\n0\r\nE: t\r\n\r\n"));
    } else if (h1_request_framing(head) == H1_LENGTH) {
        char *bytes = arena_alloc(&arena, (size_t)head->content_length);
        memset(bytes, 'G', (size_t)head->content_length);
        *body = str_make(bytes, (size_t)head->content_length);
        text = arena_join(&arena, text, *body);
    }
    return arena_join(&arena, text, STR(NEXT));
}

static void assert_same_text(struct str ours, struct str theirs, struct str text)
{
    if (!str_eq(ours, theirs))
        fail_msg("we read \"%.*s\", llhttp \"%.*s\" in: %.*s", STR_FMT(ours), STR_FMT(theirs),
                 STR_FMT(text));
}

/* What ended llhttp's reading: after an upgrade or the last request of a connection it looks no
 * further, and neither do we. */
static bool ended_well(const struct head *head, enum llhttp_errno error)
{
    if (error == HPE_OK)
        return reading.whole == 2 && str_eq(str_text(&reading.next_url), STR("/next"));
    if (error == HPE_PAUSED_UPGRADE)
        return reading.whole == 1 && head->first[HEADER_UPGRADE] != 0;
    /* llhttp takes "keep-alive" with an HTAB behind it for another word */
    return error == HPE_CLOSED_CONNECTION && reading.whole == 1 &&
           (head->is_last || head->version == HTTP_1_0);
}

/* A peer's own text llhttp may refuse (it knows a list of methods, not the grammar; it takes no
 * HTAB behind "chunked"): then there is nothing to compare, and false is the answer. What we write
 * it must understand, but for the method. */
enum origin { RECEIVED, WRITTEN };

static bool check_request(struct str head_text, struct str target, const struct head *head,
                          enum origin origin)
{
    struct str body, text = with_body(head_text, head, &body);
    enum llhttp_errno error = read_all(&reading, HTTP_REQUEST, false, text);

    if (error == HPE_INVALID_METHOD || error == HPE_PAUSED_H2_UPGRADE)
        return false;
    if (origin == RECEIVED && reading.whole == 0 && error != HPE_OK)
        return false;
    if (!ended_well(head, error))
        fail_msg("llhttp: %s (%s), %u messages: %.*s", llhttp_errno_name(error),
                 reading.parser.reason, reading.whole, STR_FMT(text));
    assert_same_text(head->method_text, str_of(llhttp_method_name((llhttp_method_t)reading.method)),
                     text);
    assert_same_text(target, str_text(&reading.url), text);
    struct str fields = str_text(&reading.fields);
    if (h1_request_framing(head) == H1_CHUNKED && str_ends(fields, STR("E:t\n")))
        fields.len -= 4; /* the trailer of with_body */
    assert_same_text(fields_text(head), fields, text);
    assert_same_text(body, str_text(&reading.body), text);
    return true;
}

static struct str target_of(struct str text)
{
    struct str method, rest, target;

    str_cut(text, ' ', &method, &rest);
    str_cut(rest, ' ', &target, &rest);
    return target;
}

static void frame_of(const struct head *head, struct h1_frame *frame)
{
    *frame = (struct h1_frame){.framing = h1_request_framing(head),
                               .content_length = head->content_length,
                               .expect_continue = head->expects_continue,
                               .upgrade = head->upgrade};
    if (head->upgrade.len > 0)
        frame->connection = STR("Upgrade");
}

/* What we accepted reads the same in llhttp, as it came and as we send it on. */
static bool check_accepted(struct str text, size_t len, const struct head *head)
{
    struct h1_frame frame;
    size_t again_len;

    if (head->content_length > 4096)
        return false;
    bool is_known = check_request(str_make(text.ptr, len), target_of(text), head, RECEIVED);
    if (head->authority.len == 0)
        return is_known; /* HTTP/1.0 without Host is for routing to refuse */
    frame_of(head, &frame);
    h1_write_request(&out, head, &frame);
    struct str sent = take_out();
    struct head *again = our_request(sent, &again_len);
    if (again == NULL || again_len != sent.len)
        fail_msg("we do not read what we wrote: %.*s", STR_FMT(sent));
    assert_same_text(head->method_text, again->method_text, sent);
    assert_same_text(head->path, again->path, sent);
    assert_same_text(head->authority, again->authority, sent);
    assert_int_equal(h1_request_framing(head), h1_request_framing(again));
    if (h1_request_framing(head) == H1_LENGTH)
        assert_true(head->content_length == again->content_length);
    is_known |= check_request(sent, again->path, again, WRITTEN);
    return is_known;
}

/* --- requests -------------------------------------------------------------------------------- */

static const char *const good[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /wiki/X?a=b&c=%20 HTTP/1.1\r\nHost: de.wikipedia.org:443\r\nCookie: a=b; c=d\r\n"
    "Accept-Language: de,en;q=0.5\r\nCookie: e=f\r\nX-Empty:\r\nX-Space:\t x y \t\r\n\r\n",
    "POST /w/api.php HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: E\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "PURGE /x HTTP/1.1\r\nHost: a\r\nX-Wikimedia-Debug: backend=k8s; log\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: x\r\nTE: trailers\r\nContent-Length: 2\r\n\r\n",
    "DELETE /a;b='c'(d)!~* HTTP/1.1\r\nHost: a\r\nX-Latin: \xe4\xf6\r\n\r\n",
};

static void good_requests_read_the_same_in_llhttp(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        size_t len;
        struct head *head = our_request(str_of(good[i]), &len);
        assert_non_null(head);
        assert_true(check_accepted(str_of(good[i]), len, head));
        arena_reset(&arena);
    }
}

static const struct str pieces[] = {
    STR_INIT("\r\n"),
    STR_INIT("\r"),
    STR_INIT("\n"),
    STR_INIT(" "),
    STR_INIT("\t"),
    STR_INIT(":"),
    STR_INIT("\0"),
    STR_INIT(","),
    STR_INIT("\xff"),
    STR_INIT("\x7f"),
    STR_INIT("#"),
    STR_INIT("%"),
    STR_INIT("\r\nContent-Length: 3"),
    STR_INIT("\r\nTransfer-Encoding: chunked"),
    STR_INIT("\r\nTransfer-Encoding: x"),
    STR_INIT("\r\nConnection: close"),
    STR_INIT("\r\nHost: b"),
    STR_INIT("\r\nConnection: upgrade\r\nUpgrade: h2c"),
    STR_INIT("\r\n x"),
    STR_INIT("\r\nx:"),
    STR_INIT("\r\nExpect: 100-continue"),
    STR_INIT("0"),
    STR_INIT("+"),
    STR_INIT("chunked"),
    STR_INIT("HTTP/1.0"),
    STR_INIT("http://a"),
    STR_INIT("\""),
    STR_INIT("|"),
    STR_INIT("[]"),
};

static size_t replace_at(char *text, size_t len, size_t at, size_t gone, struct str piece)
{
    memmove(text + at + piece.len, text + at + gone, len - at - gone);
    memcpy(text + at, piece.ptr, piece.len);
    return len - gone + piece.len;
}

static size_t mutate(char *text, size_t len, uint64_t *seed)
{
    size_t at = rand_next(seed) % len, gone = rand_next(seed) % 4;
    char byte = (char)rand_next(seed);

    gone = MIN(gone, len - at);
    switch (rand_next(seed) % 4) {
    case 0:
        return replace_at(text, len, at, 1, str_make(&byte, 1));
    case 1:
        return replace_at(text, len, at, 0, pieces[rand_next(seed) % ARRAY_LEN(pieces)]);
    case 2:
        return replace_at(text, len, at, gone, pieces[rand_next(seed) % ARRAY_LEN(pieces)]);
    default:
        return len - gone > 8 ? replace_at(text, len, at, gone, STR("")) : len;
    }
}

/* Wherever a mutation puts a piece, behind a whole line is where it does most. */
static size_t add_line(char *text, size_t len, uint64_t *seed)
{
    ptrdiff_t end = str_find(str_make(text, len), STR("\r\n"));

    if (end < 0)
        return len;
    return replace_at(text, len, (size_t)end, 0, pieces[rand_next(seed) % ARRAY_LEN(pieces)]);
}

static void whatever_we_accept_reads_the_same_in_llhttp(void **state UNUSED)
{
    uint64_t seed = 20230901;
    unsigned accepted = 0, compared = 0;

    for (unsigned i = 0; i < 150000; i++) {
        char text[2048];
        size_t len = strlen(good[i % ARRAY_LEN(good)]), head_len;
        memcpy(text, good[i % ARRAY_LEN(good)], len);
        for (uint64_t n = 1 + rand_next(&seed) % 3; n > 0; n--)
            len = rand_next(&seed) % 4 == 0 ? add_line(text, len, &seed) : mutate(text, len, &seed);
        struct head *head = our_request(str_make(text, len), &head_len);
        if (head != NULL) {
            accepted++;
            compared += check_accepted(str_make(text, head_len), head_len, head);
        }
        arena_reset(&arena);
    }
    print_message("%u of 150000 accepted, %u compared\n", accepted, compared);
    assert_true(compared > 10000);
}

/* --- responses ------------------------------------------------------------------------------- */

static const struct response_case {
    enum method method;
    int status;
    enum h1_framing framing;
    int64_t content_length;
} responses[] = {
    {METHOD_GET, 200, H1_LENGTH, 5},   {METHOD_GET, 200, H1_LENGTH, 0},
    {METHOD_GET, 404, H1_CHUNKED, -1}, {METHOD_GET, 200, H1_UNTIL_CLOSE, -1},
    {METHOD_HEAD, 200, H1_NO_BODY, 5}, {METHOD_HEAD, 200, H1_NO_BODY, -1},
    {METHOD_GET, 204, H1_NO_BODY, -1}, {METHOD_GET, 304, H1_NO_BODY, 5},
    {METHOD_GET, 103, H1_NO_BODY, -1}, {METHOD_GET, 599, H1_CHUNKED, -1},
    {METHOD_GET, 999, H1_LENGTH, 5},
};

static void check_response(const struct response_case *c)
{
    const struct field trailer = {.name = STR("E"), .value = STR("t")};
    struct h1_frame frame = {.framing = c->framing, .content_length = c->content_length};
    struct head head;

    head_init_response(&head, &arena, c->status);
    head_add(&head, STR("Set-Cookie"), STR("a=b; Expires=Fri, 01 Sep 2023 00:00:00 GMT"));
    head_add(&head, STR("Transfer-Encoding"), STR("gzip"));
    head_add(&head, STR("Content-Length"), STR("99"));
    head_add(&head, STR("X-Empty"), STR(""));
    h1_write_response(&out, &head, &frame);
    if (c->framing == H1_CHUNKED) {
        h1_write_chunk(&out, (struct slice){NULL, "hel", 3});
        h1_write_chunk(&out, (struct slice){NULL, "lo", 2});
        h1_write_last_chunk(&out, &trailer, 1, NAME_CASE_PRESERVE);
    } else if (c->framing == H1_UNTIL_CLOSE || (c->framing == H1_LENGTH && c->content_length > 0)) {
        bufq_copy(&out, "hello", 5);
    }
    if (c->framing != H1_UNTIL_CLOSE)
        bufq_copy(&out, "HTTP/1.1 204 No Content\r\n\r\n", 27);
    struct str text = take_out();
    enum llhttp_errno error = read_all(&reading, HTTP_RESPONSE, c->framing == H1_NO_BODY, text);
    if (c->framing == H1_UNTIL_CLOSE && error == HPE_OK)
        error = llhttp_finish(&reading.parser);
    if (error != HPE_OK || reading.whole != (c->framing == H1_UNTIL_CLOSE ? 1 : 2))
        fail_msg("llhttp: %s, %u messages: %.*s", llhttp_errno_name(error), reading.whole,
                 STR_FMT(text));
    bool has_body = c->framing == H1_CHUNKED || c->framing == H1_UNTIL_CLOSE ||
                    (c->framing == H1_LENGTH && c->content_length > 0);
    assert_same_text(has_body ? STR("hello") : STR(""), str_text(&reading.body), text);
    assert_int_equal(reading.status_code, c->status);
    assert_same_text(status_phrase(c->status), str_text(&reading.status), text);
    assert_true(
        str_starts(str_text(&reading.fields),
                   STR("Set-Cookie:a=b; Expires=Fri, 01 Sep 2023 00:00:00 GMT\nX-Empty:\n")));
}

static void responses_we_write_read_the_same_in_llhttp(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        check_response(&responses[i]);
        arena_reset(&arena);
    }
}

/* --- where llhttp is looser ------------------------------------------------------------------ */

#define REQUEST(fields) STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define CHUNKED(body)                                                                              \
    STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" body)

/* LOOSE: llhttp 8.1.0 in strict mode takes it for a whole request. We refuse every one, and those
 * that its strict mode refuses too. */
enum strictness { STRICT, LOOSE };
static const struct loose_case {
    const char *what;
    struct str text;
    enum strictness llhttp_8;
} loose[] = {
    {"bare CR in a value", REQUEST("A: b\rC: d\r\n"), STRICT},
    {"bare CR before a name", REQUEST("A: b\r\rContent-Length: 0\r\n"), STRICT},
    {"obs-fold", REQUEST("A: b\r\n c\r\n"), LOOSE},
    {"bare CR behind a colon", REQUEST("A:\rContent-Length: 0\r\n"), STRICT},
    {"folded Transfer-Encoding",
     STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
     LOOSE},
    {"bare LF", STR_INIT("GET / HTTP/1.1\nHost: a\n\n"), STRICT},
    {"NUL in a value", REQUEST("A: b\0\r\n"), STRICT},
    {"space before the colon", REQUEST("A : b\r\n"), STRICT},
    {"empty name", REQUEST(": b\r\n"), LOOSE},
    {"no Host", STR_INIT("GET / HTTP/1.1\r\n\r\n"), LOOSE},
    {"two Hosts", REQUEST("Host: b\r\n"), LOOSE},
    {"Content-Length twice", REQUEST("Content-Length: 0\r\nContent-Length: 0\r\n"), STRICT},
    {"Content-Length and chunked",
     STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     STRICT},
    {"chunked twice",
     STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     STRICT},
    {"another coding before chunked",
     STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
     LOOSE},
    {"chunked in HTTP/1.0",
     STR_INIT("PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), LOOSE},
    {"two spaces in the request line", STR_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), LOOSE},
    {"a fragment", STR_INIT("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"), LOOSE},
    {"HTTP/0.9", STR_INIT("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), LOOSE},
    {"HTTP/2.0", STR_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), LOOSE},
    {"chunk size with a space", CHUNKED("1 \r\nx\r\n0\r\n\r\n"), STRICT},
    {"chunk size with bare LF", CHUNKED("1\nx\r\n0\r\n\r\n"), STRICT},
    {"chunk extension without name", CHUNKED("1;\r\nx\r\n0\r\n\r\n"), STRICT},
    {"chunk extension with LF", CHUNKED("1;a\nb\r\nx\r\n0\r\n\r\n"), STRICT},
    {"chunk data without CRLF", CHUNKED("1\r\nx0\r\n\r\n"), STRICT},
};

/* The body too, where there is one. */
static bool we_accept(struct str text)
{
    struct str payload;
    size_t len, used;
    struct head *head = our_request(text, &len);

    if (head == NULL)
        return false;
    if (h1_request_framing(head) != H1_CHUNKED)
        return true;
    for (;; len += used) {
        enum h1_chunk_news news = h1_body_next(input.body, str_skip(text, len), &used, &payload);
        if (news == H1_CHUNK_BAD || news == H1_CHUNK_LAST)
            return news == H1_CHUNK_LAST;
        assert_true(used > 0);
    }
}

static void what_llhttp_8_lets_pass_is_refused_here(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(loose); i++) {
        bool accepts =
            read_all(&reading, HTTP_REQUEST, false, loose[i].text) == HPE_OK && reading.whole > 0;
        if (we_accept(loose[i].text))
            fail_msg("we accept: %s", loose[i].what);
        if (LLHTTP_VERSION_MAJOR == 8 && accepts != (loose[i].llhttp_8 == LOOSE))
            fail_msg("llhttp has changed its mind: %s", loose[i].what);
        arena_reset(&arena);
    }
}

/* Debian 12 has sources, which are loose unless LLHTTP_STRICT_MODE is set for all of them. */
static void llhttp_is_built_in_strict_mode(void **state UNUSED)
{
    static const struct str texts[] = {
        STR_INIT("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"),
        STR_INIT("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz0\r\n\r\n"),
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum llhttp_errno error = read_all(&reading, HTTP_REQUEST, false, texts[i]);
        assert_true(error == (i == 0 ? HPE_INVALID_URL : HPE_STRICT));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llhttp_is_built_in_strict_mode),
        cmocka_unit_test(good_requests_read_the_same_in_llhttp),
        cmocka_unit_test(whatever_we_accept_reads_the_same_in_llhttp),
        cmocka_unit_test(responses_we_write_read_the_same_in_llhttp),
        cmocka_unit_test(what_llhttp_8_lets_pass_is_refused_here),
    };

    return cmocka_run_group_tests_name("llhttp", tests, set_up, tear_down);
}
