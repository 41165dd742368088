/* The HTTP/1 client codec: streams in, requests out, responses back; and when the connection may be
 * used again. */
#include "h1_peer.h"

static struct peer *new_client(void)
{
    return peer_new(h1_client_new, &peer_limits);
}

static struct head *request_head(struct peer *p, const char *method)
{
    struct head *head = ARENA_NEW(&p->arena, struct head);

    head_init(head, &p->arena);
    head->version = HTTP_1_1;
    head->method_text = str_of(method);
    head->method = method_lookup(head->method_text);
    head->authority = STR("a");
    head->path = STR("/");
    return head;
}

static void open_stream(struct peer *p)
{
    p->stream = session_open(p->session, &p->arena, &user, p);
    assert_non_null(p->stream);
}

static void ask(struct peer *p, const char *method)
{
    open_stream(p);
    stream_send_head(p->stream, request_head(p, method), END);
}

static bool is_reusable(struct peer *p)
{
    return p->session->phase == SESSION_IDLE && !p->session->wants_early_close && !p->wants_close;
}

/* --- requests -------------------------------------------------------------------------------- */

static void a_request_is_written_in_one_canonical_form(void **state UNUSED)
{
    struct peer *p = new_client();
    struct head *head = request_head(p, "GET");

    head_add(head, STR("Host"), STR("other"));
    head_add(head, STR("Transfer-Encoding"), STR("chunked"));
    head_add(head, STR("Content-Length"), STR("5"));
    head_add(head, STR("Connection"), STR("x"));
    head_add(head, STR("Keep-Alive"), STR("x"));
    head_add(head, STR("Proxy-Connection"), STR("x"));
    head_add(head, STR("TE"), STR("gzip"));
    head_add(head, STR("Upgrade"), STR("h2c"));
    head_add(head, STR("HTTP2-Settings"), STR("x"));
    head_add(head, STR("Expect"), STR("100-continue"));
    head_add(head, STR("X-Kept"), STR("1"));
    head_add(head, STR("X-Gone"), STR("1"))->removed = true;
    open_stream(p);
    stream_send_head(p->stream, head, END);
    assert_string_equal(written(p), "GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n");
    peer_free(p);
}

static const struct request_case {
    const char *method;
    int64_t content_length;
    enum end end;
    const char *body, *written;
} requests[] = {
    {"GET", -1, END, "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"GET", 0, END, "", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
    {"POST", -1, END, "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
    {"PUT", 3, MORE, "abc", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
    {"PUT", 3, MORE, "abcGET", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
    {"PUT", -1, MORE, "abc",
     "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"PUT", -1, MORE, "",
     "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
};

static void a_request_is_framed_by_length_or_chunked(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct peer *p = new_client();
        struct head *head = request_head(p, requests[i].method);
        head->content_length = requests[i].content_length;
        open_stream(p);
        stream_send_head(p->stream, head, requests[i].end);
        if (requests[i].end == MORE)
            say(p, requests[i].body, END);
        assert_string_equal(written(p), requests[i].written);
        feed(p, "HTTP/1.1 204 No Content\r\n\r\n");
        peer_close_stream(p);
        assert_true(is_reusable(p));
        peer_free(p);
    }
}

static void trailers_follow_a_chunked_body_only(void **state UNUSED)
{
    const struct field trailer = {.name = STR("X-Sum"), .value = STR("1")};
    struct peer *p = new_client();
    struct head *head = request_head(p, "PUT");

    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    say(p, "a", MORE);
    stream_send_trailers(p->stream, &trailer, 1);
    assert_non_null(strstr(written(p), "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"));
    feed(p, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_close_stream(p);
    assert_true(is_reusable(p));

    head = request_head(p, "PUT");
    head->content_length = 1;
    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    say(p, "a", MORE);
    stream_send_trailers(p->stream, &trailer, 1);
    assert_null(strstr(written(p), "X-Sum"));
    peer_free(p);
}

static void expect_goes_with_a_body_only(void **state UNUSED)
{
    struct peer *p = new_client();
    struct head *head = request_head(p, "PUT");

    head->content_length = 1;
    head->expects_continue = true;
    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    assert_non_null(strstr(written(p), "\r\nExpect: 100-continue\r\n"));
    peer_free(p);
}

static void an_answer_without_continue_leaves_the_connection_unfit(void **state UNUSED)
{
    static const char *const before[] = {"", "HTTP/1.1 103 Early Hints\r\n\r\n",
                                         "HTTP/1.1 100 Continue\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct peer *p = new_client();
        struct head *head = request_head(p, "PUT");
        head->content_length = 3;
        head->expects_continue = true;
        open_stream(p);
        stream_send_head(p->stream, head, MORE);
        say(p, "abc", END);
        feed(p, before[i]);
        feed(p, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        peer_close_stream(p);
        assert_int_equal(is_reusable(p), i == 2);
        peer_free(p);
    }
}

static void close_in_the_head_makes_it_the_last_request(void **state UNUSED)
{
    struct peer *p = new_client();
    struct head *head = request_head(p, "GET");

    head->close = true;
    open_stream(p);
    stream_send_head(p->stream, head, END);
    assert_string_equal(written(p), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    feed(p, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_close_stream(p);
    assert_string_equal(heard(p), "[204].#-");
    peer_free(p);
}

/* --- responses ------------------------------------------------------------------------------- */

static const struct response_case {
    const char *method, *text, *heard;
    bool reusable;
} responses[] = {
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "[200](hello).", true},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "[200].", true},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n",
     "[200](hello).", true},
    {"GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nHost: c\r\n\r\n",
     "[200](x){A:b}.", true},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "[200].", true},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "[200].", true},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "[204].", true},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "[304].", true},
    {"GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "[100][103][200](ok).", true},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "[200](ok).",
     false},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "[200](ok).", false},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
     "[200](ok).", true},
    {"GET", "HTTP/1.1 200 OK\r\n\r\nuntil", "[200](until)", false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "[200](hel)", false},
    /* surplus: the response stands, the connection goes */
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX", "[200](ok).#upstream_protocol",
     false},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "[200].#upstream_protocol", false},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "[204].#upstream_protocol",
     false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n",
     "[200].#upstream_protocol", false},
    /* no good */
    {"GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "!upstream_protocol#upstream_protocol",
     false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     "!upstream_protocol#upstream_protocol", false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "!upstream_protocol#upstream_protocol", false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
     "[200]!upstream_protocol#upstream_protocol", false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
     "[200](a)!upstream_protocol#upstream_protocol", false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
     "[200]!upstream_protocol#upstream_protocol", false},
    {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
     "!upstream_protocol#upstream_protocol", false},
    {"GET", "\x15\x03\x01 rubbish\r\n\r\n", "!upstream_protocol#upstream_protocol", false},
};

static void check_response(const struct response_case *c, bool by_bytes)
{
    struct peer *p = new_client();

    ask(p, c->method);
    if (by_bytes)
        feed_bytes(p, c->text);
    else
        feed(p, c->text);
    const char *got = heard(p);
    if (strcmp(got, c->heard) != 0)
        fail_msg("%s instead of %s: %s", got, c->heard, c->text);
    peer_close_stream(p);
    assert_int_equal(is_reusable(p), c->reusable);
    assert_int_equal(p->wants_close, !c->reusable);
    p->stream = session_open(p->session, &p->arena, &user, p);
    assert_int_equal(p->stream != NULL, c->reusable);
    peer_free(p);
}

static void responses_arrive_the_same_however_they_are_cut(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        check_response(&responses[i], false);
        check_response(&responses[i], true);
    }
}

static void a_connection_carries_one_exchange_after_the_other(void **state UNUSED)
{
    struct peer *p = new_client();

    for (int i = 0; i < 3; i++) {
        assert_true(is_reusable(p));
        ask(p, "GET");
        assert_int_equal(p->session->phase, SESSION_BUSY);
        assert_null(session_open(p->session, &p->arena, &user, p)); /* one at a time */
        feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer_close_stream(p);
    }
    assert_string_equal(heard(p), "[200](ok).[200](ok).[200](ok).");
    assert_int_equal(p->session->requests, 3);
    peer_free(p);
}

static void interim_heads_do_not_pile_up(void **state UNUSED)
{
    struct peer *p = new_client();
    size_t bytes = 0;

    ask(p, "GET");
    for (int i = 0; i < 1000; i++) {
        feed(p, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        if (i == 1)
            bytes = p->pool.bytes_in_use;
        heard(p);
    }
    assert_int_equal(p->pool.bytes_in_use, bytes);
    feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_string_equal(heard(p), "[200](ok).");
    peer_free(p);
}

static void a_response_head_over_the_limits_has_its_own_reason(void **state UNUSED)
{
    static const char line[] = "a: b\r\n";
    struct peer *p = new_client();

    ask(p, "GET");
    feed(p, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 30 && !p->wants_close; i++)
        feed(p, line);
    assert_string_equal(heard(p), "!upstream_headers_too_large#upstream_headers_too_large");
    peer_free(p);
}

static void close_delimited_bodies_end_with_eof(void **state UNUSED)
{
    struct peer *p = new_client();

    ask(p, "GET");
    feed(p, "HTTP/1.1 200 OK\r\n\r\nabc");
    feed(p, "def");
    session_eof(p->session);
    assert_string_equal(heard(p), "[200](abcdef).#-");
    peer_close_stream(p);
    assert_false(is_reusable(p));
    peer_free(p);
}

static void eof_before_the_response_is_whole_resets_the_stream(void **state UNUSED)
{
    static const struct {
        const char *text, *heard;
    } cases[] = {
        {"", "!upstream_closed#upstream_closed"},
        {"HTTP/1.1 20", "!upstream_closed#upstream_closed"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "[100]!upstream_closed#upstream_closed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
         "[200](abc)!upstream_closed#upstream_closed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
         "[200](a)!upstream_closed#upstream_closed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:",
         "[200]!upstream_closed#upstream_closed"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "[204].#-"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int closes = 0; closes <= 1; closes++) {
            struct peer *p = new_client();
            p->closes_on_reset = closes == 1;
            ask(p, "GET");
            feed(p, cases[i].text);
            session_eof(p->session);
            session_fail(p->session, REASON_UPSTREAM_RESET); /* nothing comes after it */
            assert_string_equal(heard(p), cases[i].heard);
            peer_free(p);
        }
    }
}

static void fail_resets_the_stream_unless_its_response_is_whole(void **state UNUSED)
{
    static const struct {
        const char *text, *heard;
    } cases[] = {
        {"", "!upstream_reset"},
        {"HTTP/1.1 200 OK\r\n\r\nabc", "[200](abc)!upstream_reset"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "[204]."},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *p = new_client();
        ask(p, "GET");
        feed(p, cases[i].text);
        session_fail(p->session, REASON_UPSTREAM_RESET);
        assert_string_equal(heard(p), cases[i].heard);
        peer_close_stream(p);
        assert_string_equal(heard(p), "");
        assert_null(session_open(p->session, &p->arena, &user, p));
        peer_free(p);
    }
}

/* --- surplus bytes --------------------------------------------------------------------------- */

static void bytes_on_an_idle_connection_end_it(void **state UNUSED)
{
    struct peer *p = new_client();

    feed(p, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert_string_equal(heard(p), "#upstream_protocol");
    assert_null(session_open(p->session, &p->arena, &user, p));
    peer_free(p);
}

static void bytes_before_the_request_was_sent_reset_the_stream(void **state UNUSED)
{
    struct peer *p = new_client();

    open_stream(p);
    feed(p, "HTTP/1.1 200 OK\r\n\r\n");
    assert_string_equal(heard(p), "!upstream_protocol#upstream_protocol");
    stream_send_head(p->stream, request_head(p, "GET"), END);
    assert_string_equal(written(p), "");
    peer_free(p);
}

static void close_and_ask_again(struct peer *p)
{
    if (p->head != NULL && p->head->status == 200 && p->log[p->log_len - 1] == '.') {
        peer_close_stream(p);
        p->stream = session_open(p->session, &p->arena, &user, p);
        if (p->stream != NULL)
            stream_send_head(p->stream, request_head(p, "GET"), END);
    }
}

/* Response queue poisoning: what stands behind a response never answers the next request, not even
 * when that one is sent from within the callback, or while the stream was paused. */
static void surplus_bytes_never_answer_the_next_request(void **state UNUSED)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 299 Evil\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 299 Evil\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 299 Evil\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct peer *p = new_client();
        p->on_message = close_and_ask_again;
        ask(p, "GET");
        feed(p, texts[i]);
        const char *log = heard(p);
        assert_null(strstr(log, "299"));
        assert_non_null(strstr(log, "#upstream_protocol"));
        assert_false(is_reusable(p));
        peer_free(p);
    }

    struct peer *p = new_client();
    p->pauses_on_body = true;
    ask(p, "GET");
    feed(p, texts[0]);
    assert_string_equal(heard(p), "[200](ok).#upstream_protocol");
    peer_close_stream(p);
    assert_null(session_open(p->session, &p->arena, &user, p));
    peer_free(p);
}

static void a_stream_closed_in_the_callback_leaves_the_connection_fit(void **state UNUSED)
{
    struct peer *p = new_client();

    p->on_message = close_and_ask_again; /* too early inside the callback: it gets none */
    ask(p, "GET");
    feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_null(p->stream);
    assert_true(is_reusable(p));
    p->on_message = NULL;
    ask(p, "GET");
    peer_free(p);
}

/* --- no reuse after anything unclean --------------------------------------------------------- */

static void a_response_before_the_request_is_whole_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_client();
    struct head *head = request_head(p, "PUT");

    head->content_length = 10;
    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    say(p, "abc", MORE);
    feed(p, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    peer_close_stream(p);
    assert_string_equal(heard(p), "[413].#-");
    assert_false(is_reusable(p));
    peer_free(p);
}

static void a_request_shorter_than_announced_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_client();
    struct head *head = request_head(p, "PUT");

    head->content_length = 10;
    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    say(p, "abc", END);
    feed(p, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_close_stream(p);
    assert_false(is_reusable(p));
    assert_string_equal(heard(p), "[204].#-");
    peer_free(p);
}

static void a_stream_given_up_ends_the_connection(void **state UNUSED)
{
    for (int resets = 0; resets <= 1; resets++) {
        struct peer *p = new_client();
        ask(p, "GET");
        if (resets)
            stream_reset(p->stream, REASON_CLIENT_CLOSED);
        peer_close_stream(p);
        assert_string_equal(heard(p), "#-");
        assert_null(session_open(p->session, &p->arena, &user, p));
        peer_free(p);
    }
}

static void a_stream_closed_before_its_request_leaves_the_connection_fit(void **state UNUSED)
{
    struct peer *p = new_client();

    open_stream(p);
    peer_close_stream(p);
    assert_true(is_reusable(p));
    ask(p, "GET");
    assert_string_equal(written(p), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_free(p);
}

/* --- tunnels --------------------------------------------------------------------------------- */

static void ask_upgrade(struct peer *p)
{
    struct head *head = request_head(p, "GET");

    head->upgrade = STR("websocket");
    open_stream(p);
    stream_send_head(p->stream, head, MORE);
    assert_string_equal(written(p), "GET / HTTP/1.1\r\nHost: a\r\n"
                                    "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
}

static void after_101_bytes_are_raw_both_ways(void **state UNUSED)
{
    struct peer *p = new_client();

    ask_upgrade(p);
    say(p, "too early", MORE);
    assert_string_equal(written(p), "");
    feed(p, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
            "raw");
    say(p, "raw too", MORE);
    assert_string_equal(written(p), "raw too");
    feed(p, "HTTP/1.1 200 OK\r\n\r\n");
    assert_string_equal(heard(p), "[101](rawHTTP/1.1 200 OK\r\n\r\n)");
    session_eof(p->session);
    assert_string_equal(heard(p), ".#-");
    peer_free(p);
}

/* Upgrade smuggling (CVE-2025-64763 and others): no tunnel without a 101 that says what was asked,
 * and nobody else on a connection on which an upgrade was asked for. */
static void a_switch_to_another_protocol_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct peer *p = new_client();
        ask_upgrade(p);
        feed(p, texts[i]);
        assert_string_equal(heard(p), "!upstream_protocol#upstream_protocol");
        peer_free(p);
    }
}

static void a_declined_upgrade_is_answered_but_its_connection_not_reused(void **state UNUSED)
{
    struct peer *p = new_client();

    ask_upgrade(p);
    feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    say(p, "no tunnel", MORE);
    assert_string_equal(written(p), "");
    peer_close_stream(p);
    assert_string_equal(heard(p), "[200](ok).#-");
    assert_false(is_reusable(p));
    peer_free(p);
}

/* --- flow, ends ------------------------------------------------------------------------------ */

static void a_paused_stream_gets_no_more_bytes_until_resumed(void **state UNUSED)
{
    struct peer *p = new_client();

    p->pauses_on_body = true;
    ask(p, "GET");
    feed(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    assert_string_equal(heard(p), "[200](a)");
    assert_false(p->reading);
    stream_resume(p->stream);
    assert_true(p->reading && p->wants_input);
    peer_offer(p);
    assert_string_equal(heard(p), "(b)");
    p->pauses_on_body = false;
    stream_resume(p->stream);
    peer_offer(p);
    assert_string_equal(heard(p), ".");
    peer_close_stream(p);
    assert_true(p->reading && is_reusable(p));
    peer_free(p);
}

static void full_is_said_at_the_high_mark_and_writable_after_it_drained(void **state UNUSED)
{
    struct peer *p = new_client();
    char text[601];

    memset(text, 'x', 600);
    text[600] = '\0';
    open_stream(p);
    stream_send_head(p->stream, request_head(p, "PUT"), MORE);
    written(p);
    assert_int_equal(say(p, text, MORE), STREAM_OK);
    assert_int_equal(say(p, text, MORE), STREAM_FULL);
    written(p);
    session_drained(p->session);
    session_drained(p->session);
    assert_string_equal(heard(p), "~");
    peer_free(p);
}

static void draining_takes_no_more_requests(void **state UNUSED)
{
    struct peer *p = new_client();

    session_drain(p->session);
    assert_string_equal(heard(p), "#-");
    assert_null(session_open(p->session, &p->arena, &user, p));
    peer_free(p);

    p = new_client();
    ask(p, "GET");
    session_drain(p->session);
    feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    peer_close_stream(p);
    assert_string_equal(heard(p), "[200](ok).#-");
    assert_null(session_open(p->session, &p->arena, &user, p));
    peer_free(p);
}

static void only_an_idle_connection_expires(void **state UNUSED)
{
    struct peer *p = new_client();

    ask(p, "GET");
    session_expire(p->session, REASON_IDLE_TIMEOUT);
    feed(p, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_close_stream(p);
    assert_string_equal(heard(p), "[204].");
    session_expire(p->session, REASON_IDLE_TIMEOUT);
    assert_string_equal(heard(p), "#idle_timeout");
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_in_one_canonical_form),
        cmocka_unit_test(a_request_is_framed_by_length_or_chunked),
        cmocka_unit_test(trailers_follow_a_chunked_body_only),
        cmocka_unit_test(expect_goes_with_a_body_only),
        cmocka_unit_test(an_answer_without_continue_leaves_the_connection_unfit),
        cmocka_unit_test(close_in_the_head_makes_it_the_last_request),
        cmocka_unit_test(responses_arrive_the_same_however_they_are_cut),
        cmocka_unit_test(a_connection_carries_one_exchange_after_the_other),
        cmocka_unit_test(interim_heads_do_not_pile_up),
        cmocka_unit_test(a_response_head_over_the_limits_has_its_own_reason),
        cmocka_unit_test(close_delimited_bodies_end_with_eof),
        cmocka_unit_test(eof_before_the_response_is_whole_resets_the_stream),
        cmocka_unit_test(fail_resets_the_stream_unless_its_response_is_whole),
        cmocka_unit_test(bytes_on_an_idle_connection_end_it),
        cmocka_unit_test(bytes_before_the_request_was_sent_reset_the_stream),
        cmocka_unit_test(surplus_bytes_never_answer_the_next_request),
        cmocka_unit_test(a_stream_closed_in_the_callback_leaves_the_connection_fit),
        cmocka_unit_test(a_response_before_the_request_is_whole_ends_the_connection),
        cmocka_unit_test(a_request_shorter_than_announced_ends_the_connection),
        cmocka_unit_test(a_stream_given_up_ends_the_connection),
        cmocka_unit_test(a_stream_closed_before_its_request_leaves_the_connection_fit),
        cmocka_unit_test(after_101_bytes_are_raw_both_ways),
        cmocka_unit_test(a_switch_to_another_protocol_is_refused),
        cmocka_unit_test(a_declined_upgrade_is_answered_but_its_connection_not_reused),
        cmocka_unit_test(a_paused_stream_gets_no_more_bytes_until_resumed),
        cmocka_unit_test(full_is_said_at_the_high_mark_and_writable_after_it_drained),
        cmocka_unit_test(draining_takes_no_more_requests),
        cmocka_unit_test(only_an_idle_connection_expires),
    };

    return cmocka_run_group_tests_name("h1_client", tests, NULL, NULL);
}
