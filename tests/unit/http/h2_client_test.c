/* The h2 client: what an exchange may rely on, whatever the upstream does. */
#include "h2_rig.h"

/* --- an upstream ----------------------------------------------------------------------------- */

static struct rig *client_with(struct session_limits limits)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig_start(rig);
    rig->session = h2_client_new(&rig_owner, rig, &rig->out, &rig->pool, &limits);
    peer_new(rig, true);
    return rig;
}

/* One whose peer has said what it allows. */
static struct rig *client(void)
{
    struct rig *rig = client_with((struct session_limits){0});

    rig_run(rig);
    return rig;
}

static struct arena arenas[RIG_STREAMS];

/* A stream as the exchange opens it; NULL when the session takes none. */
static struct seen *open_stream(struct rig *rig)
{
    struct seen *seen = &rig->seen[rig->streams_begun];

    memset(seen, 0, sizeof(*seen));
    arena_init(&arenas[rig->streams_begun], &rig->pool);
    seen->stream = session_open(rig->session, &arenas[rig->streams_begun], &rig_user, seen);
    if (seen->stream == NULL)
        return NULL;
    rig->streams_begun++;
    return seen;
}

static void fill_request(struct head *head, struct arena *arena, const char *method)
{
    head_init(head, arena);
    head->method_text = str_of(method);
    head->method = method_lookup(head->method_text);
    head->scheme = STR("https");
    head->authority = STR("en.wikipedia.org");
    head->path = STR("/wiki/A");
}

static struct seen *ask(struct rig *rig, const char *method, enum end end)
{
    struct seen *seen = open_stream(rig);
    struct head head;

    assert_non_null(seen);
    fill_request(&head, seen->stream->arena, method);
    stream_send_head(seen->stream, &head, end);
    return seen;
}

static void client_stop(struct rig *rig)
{
    rig_close_all(rig);
    for (int i = 0; i < rig->streams_begun; i++)
        arena_reset(&arenas[i]);
    rig_stop(rig);
}

static int32_t id_of(const struct seen *seen)
{
    return (int32_t)seen->stream->id;
}

static void answer_with(struct rig *rig, int32_t id, const nghttp2_nv *fields, size_t count,
                        size_t body_bytes)
{
    struct heard *heard = &rig->heard[id];
    nghttp2_data_provider body = {.source.ptr = heard, .read_callback = peer_read};

    heard->unsent = body_bytes;
    assert_int_equal(
        nghttp2_submit_response(rig->peer, id, fields, count, body_bytes > 0 ? &body : NULL), 0);
}

static void answer(struct rig *rig, int32_t id, const char *status, size_t body_bytes)
{
    nghttp2_nv fields[] = {nv(":status", status), nv("server", "test")};

    answer_with(rig, id, fields, 2, body_bytes);
}

/* --- requests and responses ------------------------------------------------------------------ */

static void a_request_leaves_in_canonical_form(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = open_stream(rig);
    struct head head;

    fill_request(&head, seen->stream->arena, "POST");
    head_add(&head, STR("Host"), STR("other.org"));
    head_add(&head, STR("Connection"), STR("close"));
    head_add(&head, STR("TE"), STR("gzip"));
    head_add(&head, STR("TE"), STR("trailers"));
    head_add(&head, STR("Transfer-Encoding"), STR("chunked"));
    head_add(&head, STR("Upgrade"), STR("websocket"));
    head_add(&head, STR("X-Thing"), STR("1"));
    head.content_length = 5;
    head.expects_continue = true;
    stream_send_head(seen->stream, &head, MORE);
    assert_int_equal(stream_send_body(seen->stream, (struct slice){NULL, "12345", 5}, END),
                     STREAM_OK);
    rig_run(rig);

    struct heard *heard = &rig->heard[id_of(seen)];
    assert_string_equal(heard->method, "POST");
    assert_string_equal(heard->scheme, "https");
    assert_string_equal(heard->authority, "en.wikipedia.org");
    assert_string_equal(heard->path, "/wiki/A");
    assert_string_equal(heard->fields,
                        "te: trailers\nx-thing: 1\ncontent-length: 5\nexpect: 100-continue\n");
    assert_string_equal(heard->body, "12345");
    assert_true(heard->ended);
    client_stop(rig);
}

/* Secrets of one client among the requests of others, and values that come once (RFC 7541
 * 7.1.3). */
static void secrets_and_unique_values_stay_out_of_the_table(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = open_stream(rig);
    struct head head;

    fill_request(&head, seen->stream->arena, "GET");
    head_add(&head, STR("Cookie"), STR("session=0123456789abcdef0123456789abcdef"));
    head_add(&head, STR("User-Agent"), STR("test"));
    head_add(&head, STR("Authorization"), STR("Basic c2VjcmV0"));
    head_add(&head, STR("X-Request-Id"), STR("20780a4f-9762-4d3c-b719-069fb97ad7fb"));
    head_add(&head, STR("X-Client-Port"), STR("40123"));
    head_add(&head, STR("X-Thing"), STR("1"));
    stream_send_head(seen->stream, &head, END);
    rig_run(rig);
    assert_string_equal(rig->heard[id_of(seen)].unique,
                        ":authority cookie authorization x-request-id x-client-port ");
    client_stop(rig);
}

static void a_response_comes_back_whole(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);
    int32_t id = id_of(seen);
    nghttp2_nv hints = nv(":status", "103");
    nghttp2_nv fields[] = {nv(":status", "200"), nv("content-length", "40000"), nv("x-a", "b")};

    rig_run(rig);
    nghttp2_submit_headers(rig->peer, NGHTTP2_FLAG_NONE, id, NULL, &hints, 1, NULL);
    answer_with(rig, id, fields, 3, 40000);
    rig_run(rig);
    assert_int_equal(seen->status_count, 2);
    assert_int_equal(seen->statuses[0], 103);
    assert_int_equal(seen->statuses[1], 200);
    assert_int_equal(seen->head->content_length, 40000);
    assert_true(seen->head->has_body);
    assert_non_null(head_find_name(seen->head, STR("x-a")));
    assert_int_equal(seen->body_bytes, 40000);
    assert_true(seen->ended);
    assert_int_equal(seen->resets, 0);
    seen_close(seen);
    assert_int_equal(rig->session->open_streams, 0);
    assert_int_equal(rig->session->phase, SESSION_IDLE);
    client_stop(rig);
}

static void response_trailers_end_the_message(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);

    rig->heard[id_of(seen)].send_trailers = true;
    rig_run(rig);
    answer(rig, id_of(seen), "200", 10);
    rig_run(rig);
    assert_string_equal(seen->log, "head body trailers end");
    assert_string_equal(seen->trailers, "x-sum: 42\n");
    client_stop(rig);
}

static void a_head_may_be_the_whole_response(void **state UNUSED)
{
    static const struct {
        const char *method, *status;
    } cases[] = {{"HEAD", "200"}, {"GET", "204"}, {"GET", "304"}, {"GET", "200"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = client();
        struct seen *seen = ask(rig, cases[i].method, END);
        nghttp2_nv fields[] = {nv(":status", cases[i].status), nv("content-length", "10")};
        rig_run(rig);
        answer_with(rig, id_of(seen), fields, i < 3 && i != 1 ? 2 : 1, 0);
        rig_run(rig);
        assert_string_equal(seen->log, "head end");
        assert_false(seen->head->has_body);
        client_stop(rig);
    }
}

static void request_trailers_go_up(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "POST", MORE);
    struct field field = {.name = STR_INIT("X-Sum"), .value = STR_INIT("9")};

    stream_send_body(seen->stream, (struct slice){NULL, "abc", 3}, MORE);
    stream_send_trailers(seen->stream, &field, 1);
    rig_run(rig);
    assert_string_equal(rig->heard[1].body, "abc");
    assert_string_equal(rig->heard[1].fields, "x-sum: 9\n");
    assert_true(rig->heard[1].ended);
    client_stop(rig);
}

/* --- bad responses --------------------------------------------------------------------------- */

static void bad_responses_are_protocol_errors(void **state UNUSED)
{
    static const struct {
        const char *what;
        nghttp2_nv nv[4];
        size_t body;
    } cases[] = {
#define NV(n, v) {(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, sizeof(v) - 1, 0}
        {"no status", {NV("x-a", "b")}, 0},
        {"bad status", {NV(":status", "20")}, 0},
        {"odd status", {NV(":status", "2x0")}, 0},
        {"two statuses", {NV(":status", "200"), NV(":status", "200")}, 0},
        {"101", {NV(":status", "101")}, 5},
        {"end with 100", {NV(":status", "100")}, 0},
        {"path", {NV(":status", "200"), NV(":path", "/")}, 0},
        {"connection", {NV(":status", "200"), NV("connection", "close")}, 0},
        {"transfer-encoding", {NV(":status", "200"), NV("transfer-encoding", "chunked")}, 0},
        {"CRLF", {NV(":status", "200"), NV("x-a", "b\r\nc: d")}, 0},
        {"NUL", {NV(":status", "200"), NV("x-a", "b\0")}, 0},
        {"bad length", {NV(":status", "200"), NV("content-length", "1,1")}, 1},
        {"short", {NV(":status", "200"), NV("content-length", "9")}, 5},
        {"long", {NV(":status", "200"), NV("content-length", "3")}, 5},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = client();
        struct seen *seen = ask(rig, "GET", END);
        size_t n = 0;
        while (n < 4 && cases[i].nv[n].name != NULL)
            n++;
        rig_run(rig);
        answer_with(rig, id_of(seen), cases[i].nv, n, cases[i].body);
        rig_run(rig);
        if (seen->reset != REASON_UPSTREAM_PROTOCOL || seen->resets != 1 || seen->ended ||
            rig->closes != 0)
            fail_msg("%s: reset=%s resets=%d log=%s closes=%d", cases[i].what,
                     reason_word(seen->reset), seen->resets, seen->log, rig->closes);
        seen_close(seen);

        struct seen *next = ask(rig, "GET", END); /* the connection is still good */
        rig_run(rig);
        answer(rig, id_of(next), "200", 5);
        rig_run(rig);
        assert_true(next->ended);
        client_stop(rig);
    }
}

static void interim_heads_do_not_pile_up(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);
    const nghttp2_nv early = nv(":status", "103");
    size_t bytes = 0;

    rig_run(rig);
    for (int i = 0; i < 500; i++) {
        nghttp2_submit_headers(rig->peer, NGHTTP2_FLAG_NONE, id_of(seen), NULL, &early, 1, NULL);
        rig_run(rig);
        if (i == 1)
            bytes = rig->pool.bytes_in_use;
    }
    assert_int_equal(seen->resets, 0);
    assert_int_equal(rig->pool.bytes_in_use, bytes);
    client_stop(rig);
}

static void response_heads_have_limits(void **state UNUSED)
{
    static const size_t counts[] = {30, 300}; /* over the limit, and a bomb */

    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct rig *rig = client_with((struct session_limits){.max_header_count = 20});
        struct seen *seen = ask(rig, "GET", END);
        nghttp2_nv fields[400] = {nv(":status", "200")};
        for (size_t k = 1; k <= counts[i]; k++)
            fields[k] = nv("x-a", "b");
        rig_run(rig);
        answer_with(rig, id_of(seen), fields, counts[i] + 1, 5);
        rig_run(rig);
        assert_int_equal(seen->reset, REASON_UPSTREAM_HEADERS_TOO_LARGE);
        assert_int_equal(seen->resets, 1);
        client_stop(rig);
    }
}

static void response_heads_of_all_open_streams_together_have_a_bound(void **state UNUSED)
{
    struct rig *rig = client_with((struct session_limits){.max_held_header_bytes = 2048});
    char value[900];
    struct seen *asked[3];

    rig_run(rig);
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    nghttp2_nv fields[] = {nv(":status", "200"), nv("x-large", value)};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asked[i] = ask(rig, "GET", END);
        rig_run(rig);
        answer_with(rig, id_of(asked[i]), fields, 2, 5);
        rig_run(rig);
    }
    assert_int_equal(asked[1]->statuses[0], 200);
    assert_int_equal(asked[2]->reset, REASON_UPSTREAM_HEADERS_HELD);
    seen_close(asked[0]);
    seen_close(asked[2]);
    struct seen *next = ask(rig, "GET", END);
    rig_run(rig);
    answer_with(rig, id_of(next), fields, 2, 5);
    rig_run(rig);
    assert_true(next->ended);
    client_stop(rig);
}

static void interim_heads_do_not_add_up(void **state UNUSED)
{
    struct rig *rig = client_with((struct session_limits){.max_held_header_bytes = 2048});
    char value[900];

    rig_run(rig);
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    nghttp2_nv fields[] = {nv(":status", "102"), nv("x-large", value)};
    struct seen *seen = ask(rig, "GET", END);
    rig_run(rig);
    for (int i = 0; i < 50; i++) {
        nghttp2_submit_headers(rig->peer, NGHTTP2_FLAG_NONE, id_of(seen), NULL, fields, 2, NULL);
        rig_run(rig);
    }
    answer(rig, id_of(seen), "200", 5);
    rig_run(rig);
    assert_true(seen->ended);
    client_stop(rig);
}

static void rubbish_fails_every_stream(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *a = ask(rig, "GET", END), *b = ask(rig, "GET", END);

    rig_run(rig);
    rig_feed(rig, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    assert_int_equal(a->reset, REASON_UPSTREAM_PROTOCOL);
    assert_int_equal(b->reset, REASON_UPSTREAM_PROTOCOL);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_UPSTREAM_PROTOCOL);
    assert_null(open_stream(rig));
    client_stop(rig);
}

static void an_h1_server_is_a_protocol_error(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);

    rig_feed(rig, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    assert_int_equal(seen->reset, REASON_UPSTREAM_PROTOCOL);
    assert_int_equal(rig->closes, 1);
    client_stop(rig);
}

static void push_is_refused(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);
    static const char raw[] = "\0\0\x5\5\4\0\0\0\1\0\0\0\2\x82";

    rig_run(rig);
    rig_feed(rig, raw, 14);
    assert_int_equal(seen->reset, REASON_UPSTREAM_PROTOCOL);
    assert_int_equal(rig->closes, 1);
    client_stop(rig);
}

/* --- how streams end ------------------------------------------------------------------------- */

static void resets_have_their_reasons(void **state UNUSED)
{
    static const struct {
        uint32_t code;
        enum reason reason;
    } cases[] = {{NGHTTP2_REFUSED_STREAM, REASON_UPSTREAM_REFUSED},
                 {NGHTTP2_INTERNAL_ERROR, REASON_UPSTREAM_RESET},
                 {NGHTTP2_CANCEL, REASON_UPSTREAM_RESET},
                 {NGHTTP2_NO_ERROR, REASON_UPSTREAM_RESET},
                 {NGHTTP2_HTTP_1_1_REQUIRED, REASON_UPSTREAM_RESET}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = client();
        struct seen *seen = ask(rig, "GET", END);
        rig_run(rig);
        nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id_of(seen), cases[i].code);
        rig_run(rig);
        assert_int_equal(seen->reset, cases[i].reason);
        assert_int_equal(seen->resets, 1);
        client_stop(rig);
    }
}

/* RFC 9113 section 8.1: the answer counts although the upload was not wanted to its end. */
static void an_early_answer_is_an_answer(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "POST", MORE);
    int32_t id = id_of(seen);

    rig_run(rig);
    answer(rig, id, "413", 20);
    rig_run(rig);
    nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    rig_run(rig);
    assert_int_equal(seen->statuses[0], 413);
    assert_true(seen->ended);
    assert_int_equal(seen->resets, 0);
    assert_int_equal(stream_send_body(seen->stream, (struct slice){NULL, "more", 4}, END),
                     STREAM_OK);
    client_stop(rig);
}

static void goaway_refuses_what_was_not_processed(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *a = ask(rig, "GET", END), *b = ask(rig, "GET", END);

    rig_run(rig);
    nghttp2_submit_goaway(rig->peer, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
    rig_run(rig);
    assert_int_equal(a->resets, 0);
    assert_int_equal(b->reset, REASON_UPSTREAM_REFUSED);
    assert_null(open_stream(rig));
    assert_int_equal(rig->closes, 0);
    answer(rig, 1, "200", 5);
    rig_run(rig);
    assert_true(a->ended);
    seen_close(a);
    seen_close(b);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_NONE);
    client_stop(rig);
}

/* The GOAWAY came between open and the head. */
static void a_request_that_cannot_leave_is_safe_to_retry(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *first = ask(rig, "GET", END), *seen = open_stream(rig);
    struct head head;

    rig_run(rig);
    nghttp2_submit_goaway(rig->peer, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
    rig_run(rig);
    fill_request(&head, seen->stream->arena, "GET");
    stream_send_head(seen->stream, &head, END);
    rig_run(rig);
    assert_int_equal(seen->reset, REASON_UPSTREAM_REFUSED);
    assert_int_equal(first->resets, 0);
    client_stop(rig);
}

static void a_dead_connection_closes_every_stream(void **state UNUSED)
{
    for (int how = 0; how < 2; how++) {
        struct rig *rig = client();
        struct seen *a = ask(rig, "GET", END), *b = ask(rig, "POST", MORE);
        rig_run(rig);
        if (how == 0)
            session_eof(rig->session);
        else
            session_fail(rig->session, REASON_CLIENT_RESET);
        assert_int_equal(a->reset, REASON_UPSTREAM_CLOSED);
        assert_int_equal(b->reset, REASON_UPSTREAM_CLOSED);
        client_stop(rig);
    }
}

static void giving_up_cancels(void **state UNUSED)
{
    for (int how = 0; how < 3; how++) {
        struct rig *rig = client();
        struct seen *seen = ask(rig, how == 1 ? "POST" : "GET", how == 1 ? MORE : END);
        rig_run(rig);
        if (how == 2)
            stream_reset(seen->stream, REASON_CLIENT_RESET);
        seen_close(seen);
        rig_run(rig);
        assert_true(rig->heard[1].closed);
        assert_int_equal(rig->heard[1].error_code, NGHTTP2_CANCEL);
        client_stop(rig);
    }
}

static void after_max_cancels_a_session_drains_and_sends_no_more_resets(void **state UNUSED)
{
    enum { CANCELS = 3, STREAMS = 8 };
    struct rig *rig = client_with((struct session_limits){.max_cancels = CANCELS});
    int resets = 0;

    rig_run(rig);
    for (int i = 0; i < STREAMS; i++)
        ask(rig, "GET", END);
    rig_run(rig);
    for (int i = 0; i < STREAMS - 1; i++) {
        seen_close(&rig->seen[i]);
        assert_int_equal(rig->session->cancels_spent, i >= CANCELS - 1);
    }
    rig_run(rig);
    for (int i = 0; i < STREAMS; i++)
        resets += rig->heard[1 + 2 * i].error_code == NGHTTP2_CANCEL;
    assert_int_equal(resets, CANCELS);
    assert_null(open_stream(rig));

    answer(rig, 11, "200", 1000000); /* nobody wants it: its window stays closed */
    answer(rig, 15, "200", 3000000);
    rig_run(rig);
    assert_int_equal(rig->seen[7].body_bytes, 3000000);
    assert_true(rig->seen[7].ended);
    client_stop(rig);
}

static void cancels_are_forgotten_one_a_second(void **state UNUSED)
{
    struct rig *rig = client_with((struct session_limits){.max_cancels = 3});

    for (int i = 0; i < 20; i++) {
        rig->session->now_ms = 5000 + i * 1000;
        rig_run(rig);
        struct seen *seen = ask(rig, "GET", END);
        rig_run(rig);
        seen_close(seen);
    }
    assert_false(rig->session->cancels_spent);
    client_stop(rig);
}

static void a_stream_may_close_before_its_head(void **state UNUSED)
{
    struct rig *rig = client();

    seen_close(open_stream(rig));
    struct seen *seen = open_stream(rig);
    stream_reset(seen->stream, REASON_CLIENT_RESET);
    seen_close(seen);
    rig_run(rig);
    assert_int_equal(rig->session->open_streams, 0);
    assert_int_equal(rig->closes, 0);
    client_stop(rig);
}

/* --- limits and flow ------------------------------------------------------------------------- */

static void open_respects_the_peers_limit(void **state UNUSED)
{
    struct rig *rig = client();
    nghttp2_settings_entry two = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2};

    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &two, 1);
    rig_run(rig);
    struct seen *a = ask(rig, "GET", END);
    ask(rig, "GET", END);
    assert_null(open_stream(rig));
    rig_run(rig);
    int phases = rig->phases;
    answer(rig, id_of(a), "200", 5);
    rig_run(rig);
    seen_close(a);
    assert_true(rig->phases > phases); /* the owner hears of the free place */
    assert_non_null(open_stream(rig));
    client_stop(rig);
}

static void one_stream_is_open_until_the_peers_limit_is_known(void **state UNUSED)
{
    struct rig *rig = client_with((struct session_limits){0});

    assert_true(rig->session->awaits_settings);
    ask(rig, "POST", MORE);
    assert_null(open_stream(rig));
    rig_run(rig);
    assert_false(rig->session->awaits_settings);
    assert_non_null(open_stream(rig));
    client_stop(rig);
}

static void a_limit_that_changes_later_is_respected(void **state UNUSED)
{
    struct rig *rig = client();
    nghttp2_settings_entry limit = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2};

    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &limit, 1);
    rig_run(rig);
    assert_non_null(open_stream(rig));
    assert_non_null(open_stream(rig));
    assert_null(open_stream(rig));

    limit.value = 3;
    int phases = rig->phases;
    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &limit, 1);
    rig_run(rig);
    assert_true(rig->phases > phases);
    assert_non_null(open_stream(rig));
    assert_null(open_stream(rig));

    limit.value = 0;
    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &limit, 1);
    rig_run(rig);
    rig_close_all(rig);
    assert_null(open_stream(rig));
    client_stop(rig);
}

static void open_respects_our_own_limit(void **state UNUSED)
{
    struct rig *rig = client_with((struct session_limits){.max_streams = 3, .max_requests = 5});

    rig_run(rig);
    for (int i = 0; i < 3; i++)
        assert_non_null(open_stream(rig));
    assert_null(open_stream(rig));
    rig_close_all(rig);
    assert_non_null(open_stream(rig));
    assert_non_null(open_stream(rig));
    rig_close_all(rig);
    assert_null(open_stream(rig)); /* five were its share */
    assert_int_equal(rig->closes, 1);
    client_stop(rig);
}

static void drain_takes_no_more_and_ends_with_the_last(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);

    rig_run(rig);
    session_drain(rig->session);
    assert_null(open_stream(rig));
    answer(rig, 1, "200", 5);
    rig_run(rig);
    assert_true(seen->ended);
    seen_close(seen);
    assert_int_equal(rig->closes, 1);
    client_stop(rig);
}

static size_t left_to_send;

static void send_until_full(struct rig *rig, struct seen *seen)
{
    while (left_to_send > 0) {
        struct buf *buf = buf_new(&rig->pool);
        size_t len = MIN(left_to_send, 16000);
        memset(buf->data, 'd', len);
        left_to_send -= len;
        enum stream_status status = stream_send_body(
            seen->stream, (struct slice){buf, buf->data, len}, left_to_send == 0 ? END : MORE);
        buf_unref(&buf);
        if (status == STREAM_FULL)
            return;
    }
}

static void a_large_upload_flows(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "POST", MORE);

    left_to_send = 5 * 1000 * 1000;
    rig->on_writable = send_until_full;
    rig_run(rig);
    send_until_full(rig, seen);
    rig_run(rig);
    assert_int_equal(rig->heard[1].body_bytes, 5 * 1000 * 1000);
    assert_true(rig->heard[1].ended);
    client_stop(rig);
}

static void pause_head(struct rig *rig UNUSED, struct seen *seen)
{
    stream_pause(seen->stream);
}

static void a_paused_stream_stops_its_upstream(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);

    rig->on_head = pause_head;
    rig_run(rig);
    answer(rig, 1, "200", 2000000);
    rig_run(rig);
    assert_true(seen->body_bytes > 0 && seen->body_bytes <= 256 * 1024);
    stream_resume(seen->stream);
    rig_run(rig);
    assert_int_equal(seen->body_bytes, 2000000);
    assert_true(seen->ended);
    client_stop(rig);
}

/* As many paused responses as would fill the connection's window several times. */
static void a_paused_stream_costs_no_other_stream_anything(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *paused[24];

    rig->on_head = pause_head;
    for (size_t i = 0; i < ARRAY_LEN(paused); i++) {
        paused[i] = ask(rig, "GET", END);
        stream_widen(paused[i]->stream);
    }
    rig_run(rig);
    for (size_t i = 0; i < ARRAY_LEN(paused); i++)
        answer(rig, 1 + 2 * (int32_t)i, "200", 2000000);
    rig_run(rig);
    for (size_t i = 0; i < ARRAY_LEN(paused); i++)
        assert_in_range(paused[i]->body_bytes, 256 * 1024, 256 * 1024 + 1);

    rig->on_head = NULL;
    struct seen *other = ask(rig, "GET", END);
    rig_run(rig);
    answer(rig, 1 + 2 * (int32_t)ARRAY_LEN(paused), "200", 3000000);
    rig_run(rig);
    assert_int_equal(other->body_bytes, 3000000);
    assert_true(other->ended);

    for (size_t i = 0; i < ARRAY_LEN(paused); i++)
        stream_resume(paused[i]->stream);
    rig_run(rig);
    for (size_t i = 0; i < ARRAY_LEN(paused); i++)
        assert_int_equal(paused[i]->body_bytes, 2000000);
    client_stop(rig);
}

static void a_response_has_a_small_window_until_it_is_widened(void **state UNUSED)
{
    struct rig *rig = client();
    struct seen *seen = ask(rig, "GET", END);

    rig->on_head = pause_head;
    rig_run(rig);
    answer(rig, 1, "200", 2000000);
    rig_run(rig);
    assert_int_equal(seen->body_bytes, 32 * 1024);
    stream_widen(seen->stream);
    rig_run(rig);
    assert_in_range(seen->body_bytes, 256 * 1024, 256 * 1024 + 1);
    client_stop(rig);
}

static void close_it(struct rig *rig UNUSED, struct seen *seen)
{
    seen_close(seen);
}

static void users_may_leave_in_any_callback(void **state UNUSED)
{
    for (int where = 0; where < 3; where++) {
        struct rig *rig = client();
        rig->on_head = where == 0 ? close_it : NULL;
        rig->on_body = where == 1 ? close_it : NULL;
        rig->on_end = where == 2 ? close_it : NULL;
        for (int i = 0; i < 3; i++)
            ask(rig, "GET", END);
        rig_run(rig);
        for (int i = 0; i < 3; i++)
            answer(rig, 1 + 2 * i, "200", 30000);
        rig_run(rig);
        assert_int_equal(rig->session->open_streams, 0);
        assert_int_equal(rig->session->phase, SESSION_IDLE);
        client_stop(rig);
    }
}

/* --- weir to weir ---------------------------------------------------------------------------- */

static size_t carry(struct bufq *from, struct session *to)
{
    size_t moved = 0;

    while (from->bytes > 0) {
        struct slice front = bufq_front(from);
        size_t used = session_feed(to, front);
        bufq_drop(from, used);
        moved += used;
        if (used == 0)
            break;
    }
    return moved;
}

static void echo(struct rig *rig UNUSED, struct seen *seen)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    stream_send_head(seen->stream, &head, MORE);
    arena_reset(&arena);
    stream_send_body(seen->stream, (struct slice){NULL, seen->body, seen->body_bytes}, END);
}

static void both_ends_may_be_weir(void **state UNUSED)
{
    struct session_limits limits = {0};
    struct rig *up = calloc(1, sizeof(*up)), *down = client_with(limits);

    rig_start(up);
    up->session = h2_server_new(&rig_owner, up, &up->out, &up->pool, &limits);
    peer_new(up, false);
    up->on_end = echo;
    for (int i = 0; i < 50; i++) {
        struct seen *seen = ask(down, "POST", MORE);
        stream_send_body(seen->stream, (struct slice){NULL, "the same again", 14}, END);
        while (carry(&down->out, up->session) + carry(&up->out, down->session) > 0) {
        }
        assert_int_equal(seen->statuses[0], 200);
        assert_string_equal(seen->body, "the same again");
        assert_true(seen->ended);
        seen_close(seen);
        seen_close(&up->seen[i]);
    }
    client_stop(down);
    rig_stop(up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_leaves_in_canonical_form),
        cmocka_unit_test(secrets_and_unique_values_stay_out_of_the_table),
        cmocka_unit_test(a_response_comes_back_whole),
        cmocka_unit_test(response_trailers_end_the_message),
        cmocka_unit_test(a_head_may_be_the_whole_response),
        cmocka_unit_test(request_trailers_go_up),
        cmocka_unit_test(bad_responses_are_protocol_errors),
        cmocka_unit_test(interim_heads_do_not_pile_up),
        cmocka_unit_test(response_heads_have_limits),
        cmocka_unit_test(response_heads_of_all_open_streams_together_have_a_bound),
        cmocka_unit_test(interim_heads_do_not_add_up),
        cmocka_unit_test(rubbish_fails_every_stream),
        cmocka_unit_test(an_h1_server_is_a_protocol_error),
        cmocka_unit_test(push_is_refused),
        cmocka_unit_test(resets_have_their_reasons),
        cmocka_unit_test(an_early_answer_is_an_answer),
        cmocka_unit_test(goaway_refuses_what_was_not_processed),
        cmocka_unit_test(a_request_that_cannot_leave_is_safe_to_retry),
        cmocka_unit_test(a_dead_connection_closes_every_stream),
        cmocka_unit_test(giving_up_cancels),
        cmocka_unit_test(after_max_cancels_a_session_drains_and_sends_no_more_resets),
        cmocka_unit_test(cancels_are_forgotten_one_a_second),
        cmocka_unit_test(a_stream_may_close_before_its_head),
        cmocka_unit_test(open_respects_the_peers_limit),
        cmocka_unit_test(one_stream_is_open_until_the_peers_limit_is_known),
        cmocka_unit_test(a_limit_that_changes_later_is_respected),
        cmocka_unit_test(open_respects_our_own_limit),
        cmocka_unit_test(drain_takes_no_more_and_ends_with_the_last),
        cmocka_unit_test(a_large_upload_flows),
        cmocka_unit_test(a_paused_stream_stops_its_upstream),
        cmocka_unit_test(a_paused_stream_costs_no_other_stream_anything),
        cmocka_unit_test(a_response_has_a_small_window_until_it_is_widened),
        cmocka_unit_test(users_may_leave_in_any_callback),
        cmocka_unit_test(both_ends_may_be_weir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
