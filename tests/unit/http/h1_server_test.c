/* The HTTP/1 server codec: requests in, streams out, responses back. */
#include "h1_peer.h"

static struct peer *new_server(void)
{
    return peer_new(h1_server_new, &peer_limits);
}

static void respond(struct peer *p, int status, const char *body)
{
    struct head *head = ARENA_NEW(p->stream->arena, struct head);

    head_init_response(head, p->stream->arena, status);
    head->content_length = (int64_t)strlen(body);
    stream_send_head(p->stream, head, body[0] != '\0' ? MORE : END);
    if (body[0] != '\0')
        say(p, body, END);
}

static void respond_streaming(struct peer *p)
{
    struct head *head = ARENA_NEW(p->stream->arena, struct head);

    head_init_response(head, p->stream->arena, 200);
    stream_send_head(p->stream, head, MORE);
}

static void answer_ok(struct peer *p)
{
    respond(p, 200, "ok");
    peer_close_stream(p);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define OK OK_HEAD "ok"
#define OK_CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- requests -------------------------------------------------------------------------------- */

static const struct input_case {
    const char *text, *heard;
} inputs[] = {
    {GET("/x"), "[GET /x]."},
    {"\r\n" GET("/x"), "[GET /x]."},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "[PUT /x](hello)."},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "[PUT /x]."},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     "[PUT /x](hello)."},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "[PUT /x]."},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1;x\r\na\r\n2\r\nbc\r\n0\r\nE-Tag: 1\r\nHost: b\r\nX:y\r\n\r\n",
     "[PUT /x](abc){E-Tag:1}{X:y}."},
    /* broken bodies: the exchange hears of it, once */
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n",
     "[PUT /x]?bad_chunk!bad_chunk"},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
     "[PUT /x](a)?bad_chunk!bad_chunk"},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
     "[PUT /x]?bad_trailer!bad_trailer"},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n",
     "[PUT /x]?bad_line_end!bad_line_end"},
};

static void requests_arrive_the_same_however_they_are_cut(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        struct peer *whole = new_server(), *bytes = new_server();
        feed(whole, inputs[i].text);
        feed_bytes(bytes, inputs[i].text);
        assert_string_equal(heard(whole), inputs[i].heard);
        assert_string_equal(heard(bytes), inputs[i].heard);
        peer_free(whole);
        peer_free(bytes);
    }
}

static const struct refusal_case {
    const char *text;
    int status;
    const char *word;
} refusals[] = {
    {"GET /\r\n\r\n", 400, "bad_request_line"},
    {"\x16\x03\x01\x02rubbish", 400, "bad_request_line"}, /* TLS on a plain port */
    {"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_line_end"},
    {"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400, "bad_field"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"},
    {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "bad_version"},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "method_refused"},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "bad_framing"},
    {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "unknown_coding"},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n", 417, "bad_expect"},
    {"\r\n\r\n\r\n\r\n\r\n" GET("/"), 400, "empty_lines"}, /* four, not five */
    {"\r\n\r" GET("/"), 400, "bad_line_end"},
    {"\n" GET("/"), 400, "bad_line_end"},
};

static void assert_refused(struct peer *p, int status, const char *word)
{
    char wanted[128];

    snprintf(wanted, sizeof(wanted), "?%s#%s", word, word);
    assert_string_equal(heard(p), wanted);
    snprintf(wanted, sizeof(wanted), "HTTP/1.1 %d ", status);
    const char *out = written(p);
    if (strncmp(out, wanted, strlen(wanted)) != 0)
        fail_msg("not %d: %s", status, out);
    assert_non_null(strstr(out, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(out, word));
}

static void what_is_no_request_is_answered_and_the_connection_ends(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct peer *whole = new_server(), *bytes = new_server();
        feed(whole, refusals[i].text);
        assert_refused(whole, refusals[i].status, refusals[i].word);
        feed_bytes(bytes, refusals[i].text);
        assert_refused(bytes, refusals[i].status, refusals[i].word);
        peer_free(whole);
        peer_free(bytes);
    }
}

static void http_0_9_is_refused_without_waiting_for_a_head(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET /\r\n");
    assert_refused(p, 400, "bad_request_line");
    peer_free(p);
}

/* RFC 9110 section 9.3.2: also where the request is no good, or not whole. */
static void a_refused_head_gets_no_body(void **state UNUSED)
{
    static const char *const texts[] = {
        "HEAD /x HTTP/1.1\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "HEAD /x HTTP/1.1\nHost: a\n\n",
        "\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct peer *p = new_server();
        feed_bytes(p, texts[i]);
        session_expire(p->session, REASON_HEADER_TIMEOUT);
        struct str out = str_of(written(p));
        assert_true(str_starts(out, STR("HTTP/1.1 40")));
        assert_true(str_find(out, STR("Content-Length: ")) > 0);
        assert_true(str_ends(out, STR("\r\n\r\n")));
        peer_free(p);
    }
}

static void nothing_is_read_after_a_refusal(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HTTP/1.1\r\n\r\n" GET("/second"));
    feed(p, GET("/third"));
    assert_string_equal(heard(p), "?bad_host#bad_host");
    assert_int_equal(p->in_len, 0);
    peer_free(p);
}

static void limits_have_their_own_statuses(void **state UNUSED)
{
    char text[8192];

    for (int i = 0; i < 3; i++) {
        struct peer *p = new_server();
        memset(text, 'x', sizeof(text));
        if (i == 0) {
            memcpy(text, "GET /", 5);
            text[400] = '\0';
            feed(p, text);
            assert_refused(p, 414, "uri_too_long");
        } else if (i == 1) {
            memcpy(text, "GET / HTTP/1.1\r\n", 16);
            text[1500] = '\0';
            feed(p, text);
            assert_refused(p, 431, "line_too_long");
        } else {
            size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
            for (int n = 0; n < 20; n++)
                len += (size_t)sprintf(text + len, "a: b\r\n");
            sprintf(text + len, "\r\n");
            feed(p, text);
            assert_refused(p, 431, "too_many_fields");
        }
        peer_free(p);
    }
}

/* --- one after the other --------------------------------------------------------------------- */

static void a_connection_carries_one_request_after_the_other(void **state UNUSED)
{
    struct peer *p = new_server();

    for (int i = 0; i < 3; i++) {
        assert_int_equal(p->session->phase, SESSION_IDLE);
        feed(p, "GET /");
        assert_int_equal(p->session->phase, SESSION_HEAD);
        feed(p, "x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(p->session->phase, SESSION_BUSY);
        assert_int_equal(p->session->open_streams, 1);
        assert_int_equal(p->stream->id, i + 1);
        answer_ok(p);
        assert_string_equal(written(p), OK);
        assert_int_equal(p->session->open_streams, 0);
    }
    assert_string_equal(heard(p), "[GET /x].[GET /x].[GET /x].");
    assert_int_equal(p->session->requests, 3);
    peer_free(p);
}

static void a_pipelined_request_waits_until_the_first_stream_is_closed(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/1") GET("/2") GET("/3"));
    assert_string_equal(heard(p), "[GET /1].");
    assert_false(p->reading);
    assert_int_equal(p->in_len, 2 * strlen(GET("/2")));
    respond(p, 200, "ok");
    peer_offer(p);
    assert_string_equal(heard(p), "");
    peer_close_stream(p);
    assert_true(p->wants_input && p->reading);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /2].");
    answer_ok(p);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /3].");
    answer_ok(p);
    assert_string_equal(written(p), OK OK OK);
    assert_string_equal(heard(p), "");
    peer_free(p);
}

static void requests_answered_inside_the_callback_follow_each_other(void **state UNUSED)
{
    struct peer *p = new_server();

    p->on_message = answer_ok;
    feed(p, GET("/1") GET("/2") "\r\n" GET("/3"));
    assert_string_equal(heard(p), "[GET /1].[GET /2].[GET /3].");
    assert_string_equal(written(p), OK OK OK);
    assert_int_equal(p->session->phase, SESSION_IDLE);
    peer_free(p);
}

static void answer_much(struct peer *p)
{
    char text[601];

    memset(text, 'x', 600);
    text[600] = '\0';
    respond(p, 200, text);
    peer_close_stream(p);
}

static void
a_pipelined_request_waits_until_the_answers_before_it_are_mostly_written(void **state UNUSED)
{
    struct peer *p = new_server();

    p->on_message = answer_much;
    feed(p, GET("/1") GET("/2") GET("/3") GET("/4"));
    assert_string_equal(heard(p), "[GET /1].[GET /2].");
    assert_false(p->reading);
    assert_int_equal(p->session->phase, SESSION_BUSY); /* no deadline of an idle client */
    assert_int_equal(p->session->held_stops, 1);

    written(p);
    session_drained(p->session);
    assert_true(p->reading);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /3].[GET /4].");
    peer_free(p);
}

static void a_body_ends_where_its_length_says_and_the_next_request_begins(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/2"));
    assert_string_equal(heard(p), "[PUT /1](abc).");
    answer_ok(p);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /2].");
    peer_free(p);
}

static void the_client_may_ask_for_the_end(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/2"));
    answer_ok(p);
    assert_string_equal(written(p), OK_CLOSE);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /].#-");
    peer_free(p);
}

static void the_user_may_ask_for_the_end(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    struct head *head = ARENA_NEW(p->stream->arena, struct head);
    head_init_response(head, p->stream->arena, 204);
    head->close = true;
    stream_send_head(p->stream, head, END);
    peer_close_stream(p);
    assert_string_equal(written(p), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_string_equal(heard(p), "[GET /].#-");
    peer_free(p);
}

static void the_last_of_max_requests_has_connection_close(void **state UNUSED)
{
    struct session_limits limits = peer_limits;

    limits.max_requests = 2;
    struct peer *p = peer_new(h1_server_new, &limits);
    feed(p, GET("/1"));
    answer_ok(p);
    assert_string_equal(written(p), OK);
    feed(p, GET("/2"));
    answer_ok(p);
    assert_string_equal(written(p), OK_CLOSE);
    assert_string_equal(heard(p), "[GET /1].[GET /2].#-");
    peer_free(p);
}

/* --- responses ------------------------------------------------------------------------------- */

static void a_body_without_length_is_chunked(void **state UNUSED)
{
    struct peer *p = new_server();
    const struct field trailers[] = {
        {.name = STR("X-Sum"), .value = STR("1"), .id = HEADER_OTHER},
        {.name = STR("Content-Length"), .value = STR("9"), .id = HEADER_CONTENT_LENGTH},
        {.name = STR("X-Gone"), .value = STR("2"), .id = HEADER_OTHER, .removed = true},
    };

    feed(p, GET("/"));
    respond_streaming(p);
    say(p, "hello", MORE);
    say(p, "", MORE); /* an empty chunk would end it */
    say(p, "0123456789abcdef", MORE);
    stream_send_trailers(p->stream, trailers, ARRAY_LEN(trailers));
    peer_close_stream(p);
    assert_string_equal(written(p), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "15\r\nhello0123456789abcdef\r\n"
                                    "0\r\nX-Sum: 1\r\n\r\n");
    feed(p, GET("/"));
    respond_streaming(p);
    say(p, "x", END);
    peer_close_stream(p);
    assert_string_equal(written(p), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "1\r\nx\r\n0\r\n\r\n");
    assert_string_equal(heard(p), "[GET /].[GET /].");
    peer_free(p);
}

static const struct bodiless_case {
    const char *request;
    int status;
    const char *written;
} bodiless[] = {
    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
    {GET("/"), 304, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
    {GET("/"), 204, "HTTP/1.1 204 No Content\r\n\r\n"},
};

static void head_204_and_304_are_sent_without_body(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(bodiless); i++) {
        struct peer *p = new_server();
        feed(p, bodiless[i].request);
        respond(p, bodiless[i].status, "hello"); /* the user says a body all the same */
        peer_close_stream(p);
        assert_string_equal(written(p), bodiless[i].written);
        feed(p, GET("/next"));
        assert_non_null(p->stream); /* and the connection lives */
        peer_free(p);
    }
}

static void the_framing_of_a_response_is_ours_alone(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    struct head *head = ARENA_NEW(p->stream->arena, struct head);
    head_init_response(head, p->stream->arena, 200);
    head->phrase = STR("Fine");
    head_add(head, STR("Transfer-Encoding"), STR("gzip"));
    head_add(head, STR("Content-Length"), STR("77"));
    head_add(head, STR("Connection"), STR("x"));
    head_add(head, STR("Keep-Alive"), STR("timeout=5"));
    head_add(head, STR("Upgrade"), STR("h2c"));
    head_add(head, STR("X-Kept"), STR("1"));
    head_add(head, STR("X-Gone"), STR("1"))->removed = true;
    head->content_length = 2;
    stream_send_head(p->stream, head, MORE);
    say(p, "ok", END);
    assert_string_equal(written(p),
                        "HTTP/1.1 200 Fine\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok");
    peer_close_stream(p);
    peer_free(p);
}

static void a_body_longer_than_announced_is_cut(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    struct head *head = ARENA_NEW(p->stream->arena, struct head);
    head_init_response(head, p->stream->arena, 200);
    head->content_length = 2;
    stream_send_head(p->stream, head, MORE);
    say(p, "ok", MORE);
    say(p, "HTTP/1.1 200 OK\r\n\r\n", END);
    peer_close_stream(p);
    assert_string_equal(written(p), OK);
    peer_free(p);
}

static void a_body_shorter_than_announced_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/1") GET("/2"));
    struct head *head = ARENA_NEW(p->stream->arena, struct head);
    head_init_response(head, p->stream->arena, 200);
    head->content_length = 5;
    stream_send_head(p->stream, head, MORE);
    say(p, "abc", END);
    peer_close_stream(p);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /1].#-");
    peer_free(p);
}

static void a_response_given_up_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/1"));
    respond_streaming(p);
    say(p, "abc", MORE);
    stream_reset(p->stream, REASON_UPSTREAM_CLOSED);
    peer_close_stream(p);
    assert_null(strstr(written(p), "\r\n0\r\n")); /* no last chunk: the client sees the cut */
    assert_string_equal(heard(p), "[GET /1].#-");
    peer_free(p);
}

static void an_early_response_with_unread_body_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    answer_ok(p);
    feed(p, GET("/smuggled") GET("/smuggled"));
    assert_string_equal(heard(p), "[PUT /](abc)#-");
    peer_free(p);
}

static void an_early_response_waits_for_the_rest_of_the_body(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    respond(p, 200, "ok");
    feed(p, "de" GET("/2"));
    peer_close_stream(p);
    peer_offer(p);
    assert_string_equal(heard(p), "[PUT /](abcde).[GET /2].");
    peer_free(p);
}

/* --- HTTP/1.0 -------------------------------------------------------------------------------- */

static void http_1_0_gets_its_body_until_close(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    respond_streaming(p);
    say(p, "abc", MORE);
    say(p, "de", END);
    peer_close_stream(p);
    assert_string_equal(written(p), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde");
    assert_string_equal(heard(p), "[GET /].#-");
    peer_free(p);
}

static void http_1_0_keeps_the_connection_where_it_asks_and_the_length_is_known(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer_ok(p);
    assert_string_equal(written(p),
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok");
    feed(p, "GET /2 HTTP/1.0\r\n\r\n");
    answer_ok(p);
    assert_string_equal(written(p), OK_CLOSE);
    assert_string_equal(heard(p), "[GET /1].[GET /2].#-");
    peer_free(p);
}

static void http_1_0_gets_no_interim_heads(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HTTP/1.0\r\n\r\n");
    respond(p, 103, "");
    assert_string_equal(written(p), "");
    answer_ok(p);
    assert_string_equal(written(p), OK_CLOSE);
    peer_free(p);
}

/* --- Expect, interim heads ------------------------------------------------------------------- */

static void continue_is_sent_by_the_user_and_the_body_follows(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_true(p->head->expects_continue);
    assert_string_equal(written(p), "");
    respond(p, 100, "");
    assert_string_equal(written(p), "HTTP/1.1 100 Continue\r\n\r\n");
    feed(p, "abc");
    answer_ok(p);
    assert_string_equal(written(p), OK);
    feed(p, GET("/2"));
    assert_string_equal(heard(p), "[PUT /](abc).[GET /2].");
    peer_free(p);
}

static void a_final_answer_instead_of_continue_ends_the_connection(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    answer_ok(p);
    feed(p, GET("/2"));
    assert_string_equal(heard(p), "[PUT /]#-");
    peer_free(p);
}

/* --- tunnels --------------------------------------------------------------------------------- */

#define ASK_UPGRADE                                                                                \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void switch_protocols(struct peer *p)
{
    struct head *head = ARENA_NEW(p->stream->arena, struct head);

    head_init_response(head, p->stream->arena, 101);
    head->upgrade = STR("websocket");
    stream_send_head(p->stream, head, MORE);
}

static void after_101_bytes_are_raw_both_ways(void **state UNUSED)
{
    struct session_limits limits = peer_limits;

    limits.max_body_bytes = 4; /* of requests; a tunnel has none */
    struct peer *p = peer_new(h1_server_new, &limits);
    feed(p, ASK_UPGRADE "early");
    assert_string_equal(heard(p), "[GET /ws]"); /* not a byte before the switch */
    switch_protocols(p);
    assert_string_equal(written(p), "HTTP/1.1 101 Switching Protocols\r\n"
                                    "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_true(p->wants_input);
    peer_offer(p);
    feed(p, GET("/no-request"));
    assert_string_equal(heard(p), "(early" GET("/no-request") ")");
    say(p, "raw", MORE);
    assert_string_equal(written(p), "raw");
    session_eof(p->session);
    assert_string_equal(heard(p), ".");
    say(p, "bye", END);
    peer_close_stream(p);
    assert_string_equal(written(p), "bye");
    assert_string_equal(heard(p), "#-");
    peer_free(p);
}

static void a_declined_upgrade_is_an_ordinary_exchange(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, ASK_UPGRADE GET("/2"));
    answer_ok(p);
    peer_offer(p);
    assert_string_equal(heard(p), "[GET /ws][GET /2].");
    peer_free(p);
}

/* --- flow ------------------------------------------------------------------------------------ */

static void a_paused_stream_gets_no_more_bytes_until_resumed(void **state UNUSED)
{
    struct peer *p = new_server();

    p->pauses_on_body = true;
    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    assert_string_equal(heard(p), "[PUT /](a)");
    assert_false(p->reading);
    stream_resume(p->stream);
    assert_true(p->reading && p->wants_input);
    peer_offer(p);
    assert_string_equal(heard(p), "(b)");
    stream_resume(p->stream);
    peer_offer(p);
    assert_string_equal(heard(p), ".");
    peer_free(p);
}

static void full_is_said_at_the_high_mark_and_writable_after_it_drained(void **state UNUSED)
{
    struct peer *p = new_server();
    char text[601];

    memset(text, 'x', 600);
    text[600] = '\0';
    feed(p, GET("/"));
    respond_streaming(p);
    written(p);
    session_drained(p->session);
    assert_int_equal(say(p, text, MORE), STREAM_OK);
    assert_int_equal(say(p, text, MORE), STREAM_FULL);
    assert_string_equal(heard(p), "[GET /].");
    written(p);
    session_drained(p->session);
    assert_string_equal(heard(p), "~");
    session_drained(p->session);
    assert_string_equal(heard(p), "");
    assert_int_equal(say(p, text, MORE), STREAM_OK);
    peer_free(p);
}

static void a_body_that_grows_over_its_limit_is_refused(void **state UNUSED)
{
    struct session_limits limits = peer_limits;

    limits.max_body_bytes = 4;
    struct peer *p = peer_new(h1_server_new, &limits);
    feed(p,
         "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n");
    assert_string_equal(heard(p), "[PUT /](abcd)");
    feed(p, "1\r\ne\r\n0\r\n\r\n" GET("/2"));
    assert_string_equal(heard(p), "?body_too_large!body_too_large");
    respond(p, 413, "no");
    peer_close_stream(p);
    assert_non_null(strstr(written(p), "Connection: close\r\n"));
    assert_string_equal(heard(p), "#-");
    peer_free(p);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void eof_between_requests_is_an_orderly_end(void **state UNUSED)
{
    struct peer *p = new_server();

    session_eof(p->session);
    assert_string_equal(heard(p), "#-");
    assert_string_equal(written(p), "");
    peer_free(p);
}

static void eof_within_a_head_is_the_clients_doing(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HT");
    session_eof(p->session);
    assert_string_equal(heard(p), "#client_closed");
    assert_string_equal(written(p), "");
    peer_free(p);
}

static void eof_within_a_body_resets_the_stream(void **state UNUSED)
{
    static const char *const texts[] = {
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct peer *p = new_server();
        feed(p, texts[i]);
        session_eof(p->session);
        session_fail(p->session, REASON_CLIENT_RESET); /* nothing comes after a reset */
        assert_string_equal(heard(p), "[PUT /]!client_closed");
        peer_close_stream(p);
        assert_string_equal(heard(p), "");
        peer_free(p);
    }
}

static void eof_before_the_response_waits_for_it(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    session_eof(p->session);
    assert_string_equal(heard(p), "[GET /].");
    answer_ok(p);
    assert_string_equal(heard(p), "#-");
    peer_free(p);
}

static void eof_before_the_response_resets_the_stream_where_that_is_asked_for(void **state UNUSED)
{
    struct peer *p = new_server();

    p->session->limits.aborts_half_closed = true;
    feed(p, GET("/"));
    session_eof(p->session);
    assert_string_equal(heard(p), "[GET /].!client_closed");
    peer_close_stream(p);
    assert_string_equal(heard(p), "#-");
    peer_free(p);
}

static void eof_before_a_tunnel_resets_the_stream(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, ASK_UPGRADE);
    session_eof(p->session);
    assert_string_equal(heard(p), "[GET /ws]!client_closed");
    peer_close_stream(p);
    peer_free(p);
}

static void eof_during_the_response_lets_it_finish(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    respond_streaming(p);
    say(p, "a", MORE);
    session_eof(p->session);
    say(p, "b", END);
    peer_close_stream(p);
    assert_non_null(strstr(written(p), "2\r\nab\r\n0\r\n\r\n"));
    assert_string_equal(heard(p), "[GET /].#-");
    peer_free(p);
}

static void fail_resets_the_open_stream_once_and_closes_nothing_itself(void **state UNUSED)
{
    static const struct {
        const char *text, *heard;
    } cases[] = {
        {"", ""},
        {"GET / HT", ""},
        {GET("/"), "[GET /].!client_reset"},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "[PUT /](ab)!client_reset"},
        {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
         "[PUT /]?bad_chunk!bad_chunk"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *p = new_server();
        feed(p, cases[i].text);
        session_fail(p->session, REASON_CLIENT_RESET);
        session_drained(p->session);
        assert_string_equal(heard(p), cases[i].heard);
        if (p->stream != NULL) {
            respond(p, 200, "late");
            peer_close_stream(p);
        }
        assert_string_equal(heard(p), "");
        peer_free(p);
    }
}

static void a_bad_body_can_still_be_answered_and_the_connection_ends(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz" GET("/2"));
    respond(p, 400, "bad");
    session_eof(p->session);
    peer_close_stream(p);
    assert_string_equal(written(p), "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n"
                                    "Connection: close\r\n\r\nbad");
    assert_string_equal(heard(p), "[PUT /]?bad_chunk!bad_chunk#-");
    peer_free(p);
}

static void a_reset_stream_may_be_closed_in_the_callback(void **state UNUSED)
{
    struct peer *p = new_server();

    p->closes_on_reset = true;
    feed(p, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz" GET("/2"));
    assert_string_equal(heard(p), "[PUT /]?bad_chunk!bad_chunk#-");
    peer_free(p);
}

static void draining_ends_an_idle_connection_at_once(void **state UNUSED)
{
    struct peer *p = new_server();

    session_drain(p->session);
    assert_string_equal(heard(p), "#-");
    peer_free(p);
}

static void draining_lets_the_current_request_finish_with_close(void **state UNUSED)
{
    static const char *const parts[][2] = {{GET("/"), ""},
                                           {"GET / HT", "TP/1.1\r\nHost: a\r\n\r\n"}};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct peer *p = new_server();
        feed(p, parts[i][0]);
        session_drain(p->session);
        feed(p, parts[i][1]);
        feed(p, GET("/2"));
        answer_ok(p);
        assert_string_equal(written(p), OK_CLOSE);
        assert_string_equal(heard(p), "[GET /].#-");
        peer_free(p);
    }
}

static void a_head_that_takes_too_long_gets_408(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "GET / HT");
    session_expire(p->session, REASON_HEADER_TIMEOUT);
    assert_refused(p, 408, "header_timeout");
    peer_free(p);
}

static void an_idle_connection_expires_without_a_response(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, "\r\n"); /* not yet a request */
    session_expire(p->session, REASON_IDLE_TIMEOUT);
    assert_string_equal(heard(p), "#idle_timeout");
    assert_string_equal(written(p), "");
    peer_free(p);

    p = new_server();
    feed_bytes(p, "\r\n");
    session_expire(p->session, REASON_IDLE_TIMEOUT);
    assert_string_equal(heard(p), "#idle_timeout");
    peer_free(p);
}

static void expiry_does_not_touch_an_open_stream(void **state UNUSED)
{
    struct peer *p = new_server();

    feed(p, GET("/"));
    session_expire(p->session, REASON_IDLE_TIMEOUT);
    assert_string_equal(heard(p), "[GET /].");
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_arrive_the_same_however_they_are_cut),
        cmocka_unit_test(what_is_no_request_is_answered_and_the_connection_ends),
        cmocka_unit_test(http_0_9_is_refused_without_waiting_for_a_head),
        cmocka_unit_test(a_refused_head_gets_no_body),
        cmocka_unit_test(nothing_is_read_after_a_refusal),
        cmocka_unit_test(limits_have_their_own_statuses),
        cmocka_unit_test(a_connection_carries_one_request_after_the_other),
        cmocka_unit_test(a_pipelined_request_waits_until_the_first_stream_is_closed),
        cmocka_unit_test(requests_answered_inside_the_callback_follow_each_other),
        cmocka_unit_test(a_pipelined_request_waits_until_the_answers_before_it_are_mostly_written),
        cmocka_unit_test(a_body_ends_where_its_length_says_and_the_next_request_begins),
        cmocka_unit_test(the_client_may_ask_for_the_end),
        cmocka_unit_test(the_user_may_ask_for_the_end),
        cmocka_unit_test(the_last_of_max_requests_has_connection_close),
        cmocka_unit_test(a_body_without_length_is_chunked),
        cmocka_unit_test(head_204_and_304_are_sent_without_body),
        cmocka_unit_test(the_framing_of_a_response_is_ours_alone),
        cmocka_unit_test(a_body_longer_than_announced_is_cut),
        cmocka_unit_test(a_body_shorter_than_announced_ends_the_connection),
        cmocka_unit_test(a_response_given_up_ends_the_connection),
        cmocka_unit_test(an_early_response_with_unread_body_ends_the_connection),
        cmocka_unit_test(an_early_response_waits_for_the_rest_of_the_body),
        cmocka_unit_test(http_1_0_gets_its_body_until_close),
        cmocka_unit_test(http_1_0_keeps_the_connection_where_it_asks_and_the_length_is_known),
        cmocka_unit_test(http_1_0_gets_no_interim_heads),
        cmocka_unit_test(continue_is_sent_by_the_user_and_the_body_follows),
        cmocka_unit_test(a_final_answer_instead_of_continue_ends_the_connection),
        cmocka_unit_test(after_101_bytes_are_raw_both_ways),
        cmocka_unit_test(a_declined_upgrade_is_an_ordinary_exchange),
        cmocka_unit_test(a_paused_stream_gets_no_more_bytes_until_resumed),
        cmocka_unit_test(full_is_said_at_the_high_mark_and_writable_after_it_drained),
        cmocka_unit_test(a_body_that_grows_over_its_limit_is_refused),
        cmocka_unit_test(eof_between_requests_is_an_orderly_end),
        cmocka_unit_test(eof_within_a_head_is_the_clients_doing),
        cmocka_unit_test(eof_within_a_body_resets_the_stream),
        cmocka_unit_test(eof_before_the_response_waits_for_it),
        cmocka_unit_test(eof_before_the_response_resets_the_stream_where_that_is_asked_for),
        cmocka_unit_test(eof_before_a_tunnel_resets_the_stream),
        cmocka_unit_test(eof_during_the_response_lets_it_finish),
        cmocka_unit_test(fail_resets_the_open_stream_once_and_closes_nothing_itself),
        cmocka_unit_test(a_bad_body_can_still_be_answered_and_the_connection_ends),
        cmocka_unit_test(a_reset_stream_may_be_closed_in_the_callback),
        cmocka_unit_test(draining_ends_an_idle_connection_at_once),
        cmocka_unit_test(draining_lets_the_current_request_finish_with_close),
        cmocka_unit_test(a_head_that_takes_too_long_gets_408),
        cmocka_unit_test(an_idle_connection_expires_without_a_response),
        cmocka_unit_test(expiry_does_not_touch_an_open_stream),
    };

    return cmocka_run_group_tests_name("h1_server", tests, NULL, NULL);
}
