/* The h2 server: what a client may rely on, and what it cannot do to us. */
#include "h2_rig.h"

static struct rig *server_with(struct session_limits limits)
{
    struct rig *rig = malloc(sizeof(*rig));

    rig_start(rig);
    rig->session = h2_server_new(&rig_owner, rig, &rig->out, &rig->pool, &limits);
    peer_new(rig, false);
    return rig;
}

static struct rig *server(void)
{
    return server_with((struct session_limits){0});
}

enum { BODY_NONE = 0 };

/* Submits a request with the fields given besides the usual pseudo-header fields. */
static int32_t ask_with(struct rig *rig, const char *method, const char *path,
                        const nghttp2_nv *fields, size_t count, size_t body_bytes)
{
    nghttp2_nv all[400];
    size_t n = 0;

    all[n++] = nv(":method", method);
    all[n++] = nv(":scheme", "https");
    all[n++] = nv(":authority", "en.wikipedia.org");
    all[n++] = nv(":path", path);
    for (size_t i = 0; i < count; i++)
        all[n++] = fields[i];

    int32_t next = (int32_t)nghttp2_session_get_next_stream_id(rig->peer);
    struct heard *heard = &rig->heard[next];
    heard->unsent = body_bytes;
    nghttp2_data_provider body = {.source.ptr = heard, .read_callback = peer_read};
    int32_t id =
        nghttp2_submit_request(rig->peer, NULL, all, n, body_bytes > 0 ? &body : NULL, NULL);
    assert_int_equal(id, next);
    return id;
}

static int32_t ask(struct rig *rig, const char *method, const char *path)
{
    return ask_with(rig, method, path, NULL, 0, BODY_NONE);
}

static void respond(struct seen *seen, int status, const char *body)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init_response(&head, &arena, status);
    head.content_length = (int64_t)strlen(body);
    stream_send_head(seen->stream, &head, MORE);
    stream_send_body(seen->stream, (struct slice){NULL, body, strlen(body)}, END);
    arena_reset(&arena);
}

static void respond_hello(struct rig *rig UNUSED, struct seen *seen)
{
    respond(seen, 200, "hello\n");
}

static void respond_and_close(struct rig *rig UNUSED, struct seen *seen)
{
    respond(seen, 200, "hello\n");
    seen_close(seen);
}

/* --- requests -------------------------------------------------------------------------------- */

static void a_request_comes_as_one_head(void **state UNUSED)
{
    struct rig *rig = server();
    nghttp2_nv fields[] = {nv("accept", "*/*"),      nv("x-odd", "1"),    nv("cookie", "a=1"),
                           nv("user-agent", "test"), nv("cookie", "b=2"), nv("cookie", "c=3")};

    ask_with(rig, "GET", "/wiki/Main_Page?x=1", fields, ARRAY_LEN(fields), BODY_NONE);
    rig_run(rig);

    struct seen *seen = &rig->seen[0];
    assert_int_equal(rig->streams_begun, 1);
    assert_string_equal(seen->log, "head end");
    assert_string_equal(seen->method, "GET");
    assert_string_equal(seen->scheme, "https");
    assert_string_equal(seen->authority, "en.wikipedia.org");
    assert_string_equal(seen->path, "/wiki/Main_Page?x=1");
    assert_int_equal(seen->head->method, METHOD_GET);
    assert_int_equal(seen->head->version, HTTP_2);
    assert_false(seen->head->has_body);
    assert_true(str_eq(head_value(seen->head, HEADER_COOKIE), STR("a=1; b=2; c=3")));
    assert_int_equal(head_count(seen->head, HEADER_COOKIE), 1);
    assert_true(str_eq(head_value(seen->head, HEADER_USER_AGENT), STR("test")));
    assert_non_null(head_find_name(seen->head, STR("X-Odd")));
    assert_int_equal(rig->session->phase, SESSION_BUSY);
    rig_stop(rig);
}

static void bytes_may_come_one_by_one(void **state UNUSED)
{
    struct rig *rig = server();

    rig->feed_step = 1;
    rig->on_end = respond_and_close;
    int32_t id = ask_with(rig, "POST", "/upload", NULL, 0, 3000);
    rig_run(rig);
    assert_int_equal(rig->seen[0].body_bytes, 3000);
    assert_string_equal(rig->heard[id].status, "200");
    assert_string_equal(rig->heard[id].body, "hello\n");
    assert_int_equal(rig->session->open_streams, 0);
    rig_stop(rig);
}

static void a_session_may_rest_at_any_time(void **state UNUSED)
{
    struct rig *rig = server();

    for (int i = 0; i < 5; i++) {
        int32_t id = ask_with(rig, "POST", "/upload", NULL, 0, 3000);
        rig->on_end = NULL;
        rig_run(rig);
        session_rest(rig->session); /* with a stream open: it has more to say */
        respond_and_close(rig, &rig->seen[i]);
        session_rest(rig->session); /* with bytes that have not left yet */
        rig_run(rig);
        session_rest(rig->session);
        assert_string_equal(rig->heard[id].status, "200");
        assert_string_equal(rig->heard[id].body, "hello\n");
        assert_int_equal(rig->session->open_streams, 0);
    }
    rig_stop(rig);
}

static void a_body_and_its_end_come_together(void **state UNUSED)
{
    struct rig *rig = server();

    ask_with(rig, "POST", "/", NULL, 0, 100);
    rig_run(rig);
    assert_string_equal(rig->seen[0].log, "head body end");
    assert_int_equal(rig->seen[0].body_bytes, 100);
    rig_stop(rig);
}

static void request_trailers_end_the_body_without_forbidden_names(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask_with(rig, "POST", "/", NULL, 0, 100);

    rig->heard[id].send_trailers = true;
    rig_run(rig);
    assert_string_equal(rig->seen[0].log, "head body trailers end");
    assert_string_equal(rig->seen[0].trailers, "x-sum: 42\n");
    rig_stop(rig);
}

static void host_stands_in_for_a_missing_authority(void **state UNUSED)
{
    struct rig *rig = server();
    nghttp2_nv all[] = {nv(":method", "GET"), nv(":scheme", "https"), nv(":path", "/"),
                        nv("host", "de.wikipedia.org")};

    nghttp2_submit_request(rig->peer, NULL, all, ARRAY_LEN(all), NULL, NULL);
    rig_run(rig);
    assert_string_equal(rig->seen[0].authority, "de.wikipedia.org");
    rig_stop(rig);
}

static void host_may_spell_the_same_authority_differently(void **state UNUSED)
{
    static const char *const same[] = {"EN.wikipedia.org", "en.wikipedia.org:443",
                                       "en.wikipedia.org.", "en.wikipedia.org:"};

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct rig *rig = server();
        nghttp2_nv host = {(uint8_t *)"host", (uint8_t *)same[i], 4, strlen(same[i]), 0};
        ask_with(rig, "GET", "/", &host, 1, 0);
        rig_run(rig);
        assert_int_equal(rig->streams_begun, 1);
        assert_string_equal(rig->seen[0].authority, "en.wikipedia.org");
        rig_stop(rig);
    }
}

static void expect_continue_is_recognised(void **state UNUSED)
{
    struct rig *rig = server();
    nghttp2_nv fields[] = {nv("expect", "100-Continue"), nv("content-length", "10")};

    ask_with(rig, "POST", "/", fields, 2, 10);
    rig_run(rig);
    assert_true(rig->seen[0].head->expects_continue);
    assert_int_equal(rig->seen[0].head->content_length, 10);
    assert_true(rig->seen[0].head->has_body);
    rig_stop(rig);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void malformed_requests_are_reset_and_make_no_stream(void **state UNUSED)
{
    static const struct {
        const char *what;
        nghttp2_nv nv[6];
    } cases[] = {
#define NV(n, v) {(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, sizeof(v) - 1, 0}
#define GET NV(":method", "GET"), NV(":scheme", "https"), NV(":authority", "a.org")
        {"connection", {GET, NV(":path", "/"), NV("connection", "close")}},
        {"transfer-encoding", {GET, NV(":path", "/"), NV("transfer-encoding", "chunked")}},
        {"upgrade", {GET, NV(":path", "/"), NV("upgrade", "websocket")}},
        {"keep-alive", {GET, NV(":path", "/"), NV("keep-alive", "300")}},
        {"proxy-connection", {GET, NV(":path", "/"), NV("proxy-connection", "x")}},
        {"te", {GET, NV(":path", "/"), NV("te", "gzip")}},
        {"another host", {GET, NV(":path", "/"), NV("host", "b.org")}},
        {"another port in host", {GET, NV(":path", "/"), NV("host", "a.org:80")}},
        {"two hosts", {GET, NV(":path", "/"), NV("host", "a.org"), NV("host", "a.org")}},
        {"CR in value", {GET, NV(":path", "/"), NV("x-a", "b\rc")}},
        {"LF in value", {GET, NV(":path", "/"), NV("x-a", "b\nc: d")}},
        {"NUL in value", {GET, NV(":path", "/"), NV("x-a", "b\0c")}},
        {"space in name", {GET, NV(":path", "/"), NV("x a", "b")}},
        {"empty name", {GET, NV(":path", "/"), NV("", "b")}},
        {"space in path", {GET, NV(":path", "/ HTTP/1.1")}},
        {"LF in path", {GET, NV(":path", "/\nx")}},
        {"no path", {GET}},
        {"empty path", {GET, NV(":path", "")}},
        {"no method", {NV(":scheme", "https"), NV(":authority", "a.org"), NV(":path", "/")}},
        {"bad method", {NV(":method", "G ET"), NV(":scheme", "https"), NV(":path", "/")}},
        {"no scheme", {NV(":method", "GET"), NV(":authority", "a.org"), NV(":path", "/")}},
        {"two paths", {GET, NV(":path", "/"), NV(":path", "/b")}},
        {"unknown pseudo", {GET, NV(":path", "/"), NV(":other", "/b")}},
        {"status", {GET, NV(":path", "/"), NV(":status", "200")}},
        {"protocol", {GET, NV(":path", "/"), NV(":protocol", "websocket")}},
        {"pseudo after field",
         {NV(":method", "GET"), NV("x-a", "b"), NV(":scheme", "https"), NV(":authority", "a.org"),
          NV(":path", "/")}},
        {"length of no body", {GET, NV(":path", "/"), NV("content-length", "5")}},
        {"bad length", {GET, NV(":path", "/"), NV("content-length", "+0")}},
        {"two lengths",
         {GET, NV(":path", "/"), NV("content-length", "0"), NV("content-length", "0")}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server();
        size_t n = 0;
        while (n < 6 && cases[i].nv[n].name != NULL)
            n++;
        int32_t id = nghttp2_submit_request(rig->peer, NULL, cases[i].nv, n, NULL, NULL);
        rig_run(rig);
        if (rig->streams_begun != 0 || !rig->heard[id].closed ||
            rig->heard[id].error_code != NGHTTP2_PROTOCOL_ERROR || rig->bads != 1)
            fail_msg("%s: begun=%d closed=%d code=%u status=%s bads=%d", cases[i].what,
                     rig->streams_begun, rig->heard[id].closed, rig->heard[id].error_code,
                     rig->heard[id].status, rig->bads);
        assert_int_equal(rig->closes, 0);

        int32_t next = ask(rig, "GET", "/"); /* and the connection goes on */
        rig->on_end = respond_and_close;
        rig_run(rig);
        assert_string_equal(rig->heard[next].status, "200");
        rig_stop(rig);
    }
}

/* The peer's library would lower the name on its way. */
static void upper_case_names_are_malformed(void **state UNUSED)
{
    struct rig *rig = server();
    static const char raw[] = "\0\0\x0e\1\5\0\0\0\1\x82\x87\x84\x41\1a\x40\3X-a\1b";

    rig_run(rig);
    rig_feed(rig, raw, sizeof(raw) - 1);
    assert_int_equal(rig->streams_begun, 0);
    assert_int_equal(rig->bads, 1);
    assert_int_equal(rig->closes, 0);
    rig_stop(rig);
}

static void refused_requests_get_a_response_with_an_explanation(void **state UNUSED)
{
    struct session_limits limits = {
        .max_uri_bytes = 100, .max_body_bytes = 1000, .max_line_bytes = 300};
    char long_path[200], long_value[400];
    memset(long_path, 'a', sizeof(long_path));
    memset(long_value, 'a', sizeof(long_value));
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = long_value[sizeof(long_value) - 1] = '\0';
    const struct {
        const char *method, *path, *name, *value, *status;
        enum reason reason;
    } cases[] = {
        {"GET", "/#top", NULL, NULL, "400", REASON_BAD_TARGET},
        {"GET", "/\xc3\xa4", NULL, NULL, "400", REASON_BAD_TARGET},
        {"GET", long_path, NULL, NULL, "414", REASON_URI_TOO_LONG},
        {"GET", "/", "x-long", long_value, "431", REASON_LINE_TOO_LONG},
        {"GET", "/", "expect", "tea", "417", REASON_BAD_EXPECT},
        {"POST", "/", "content-length", "1001", "413", REASON_BODY_TOO_LARGE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server_with(limits);
        bool post = cases[i].method[0] == 'P';
        nghttp2_nv field = cases[i].name != NULL ? nv(cases[i].name, cases[i].value) : nv("x", "y");
        int32_t id = ask_with(rig, cases[i].method, cases[i].path, &field, 1, post ? 1001 : 0);
        rig_run(rig);
        if (strcmp(rig->heard[id].status, cases[i].status) != 0 || rig->streams_begun != 0 ||
            rig->last_bad != cases[i].reason || !rig->heard[id].closed)
            fail_msg("%s: status=%s begun=%d bad=%s code=%u", cases[i].path, rig->heard[id].status,
                     rig->streams_begun, reason_word(rig->last_bad), rig->heard[id].error_code);
        assert_int_equal(rig->bads, 1);
        assert_int_equal(rig->heard[id].error_code, NGHTTP2_NO_ERROR);
        assert_true(rig->heard[id].body_bytes > 0);
        rig_stop(rig);
    }
}

static void connect_is_refused(void **state UNUSED)
{
    struct rig *rig = server();
    nghttp2_nv all[] = {nv(":method", "CONNECT"), nv(":authority", "a.org:443")};
    int32_t id = nghttp2_submit_request(rig->peer, NULL, all, 2, NULL, NULL);

    rig_run(rig);
    assert_string_equal(rig->heard[id].status, "405");
    assert_non_null(strstr(rig->heard[id].fields, "allow: GET"));
    rig_stop(rig);
}

/* `extra` small fields besides the four pseudo-header fields. */
static void ask_with_fields(struct rig *rig, size_t extra, const char *name, int32_t *id)
{
    nghttp2_nv fields[390];

    for (size_t i = 0; i < extra; i++)
        fields[i] = nv(name, "v");
    *id = ask_with(rig, "GET", "/", fields, extra, BODY_NONE);
}

static void field_limits_are_inclusive_and_crumbs_count(void **state UNUSED)
{
    static const char *const names[] = {"x-a", "cookie"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct rig *rig = server_with((struct session_limits){.max_header_count = 20});
        int32_t fits, over;
        ask_with_fields(rig, 16, names[i], &fits);
        ask_with_fields(rig, 17, names[i], &over);
        rig->on_end = respond_and_close;
        rig_run(rig);
        assert_string_equal(rig->heard[fits].status, "200");
        assert_string_equal(rig->heard[over].status, "431");
        assert_int_equal(rig->last_bad, REASON_TOO_MANY_FIELDS);
        rig_stop(rig);
    }
}

static void heads_of_all_open_streams_together_have_a_bound(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_held_header_bytes = 2048});
    int32_t ids[3];

    /* 182 bytes of pseudo-header fields and 20 fields of 36 bytes: 902 each */
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ask_with_fields(rig, 20, "x-a", &ids[i]);
    rig_run(rig);
    assert_int_equal(rig->streams_begun, 2);
    assert_string_equal(rig->heard[ids[2]].status, "431");
    assert_int_equal(rig->last_bad, REASON_HEADERS_HELD);

    respond_and_close(rig, &rig->seen[0]);
    rig->on_end = respond_and_close;
    for (int i = 0; i < 20; i++) { /* what is refused or over is not counted any more */
        ask_with_fields(rig, 20, "x-a", &ids[0]);
        rig_run(rig);
        assert_string_equal(rig->heard[ids[0]].status, "200");
    }
    rig_stop(rig);
}

static void a_refused_head_holds_no_memory(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_header_bytes = 1024});
    nghttp2_settings_entry zero = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    int32_t id;

    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &zero, 1);
    for (int i = 0; i < 50; i++) {
        ask_with_fields(rig, 24, "x-a", &id);
        rig_run(rig);
    }
    assert_int_equal(rig->bads, 50);
    assert_true(rig->pool.bytes_in_use <= 51 * sizeof(struct buf) + 51 * BUF_SIZE); /* of answers */
    rig_stop(rig);
}

static void header_bytes_are_counted_with_their_overhead(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_header_bytes = 1024});
    int32_t fits, over;

    /* 4 pseudo-header fields: 42 + 44 + 58 + 38 = 182; "x-a: v" is 36 */
    ask_with_fields(rig, 23, "x-a", &fits);
    ask_with_fields(rig, 24, "x-a", &over);
    rig->on_end = respond_and_close;
    rig_run(rig);
    assert_string_equal(rig->heard[fits].status, "200");
    assert_string_equal(rig->heard[over].status, "431");
    assert_int_equal(rig->last_bad, REASON_HEADERS_TOO_LARGE);
    rig_stop(rig);
}

static void a_header_bomb_is_not_read_to_its_end(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_header_count = 20});
    int32_t id;

    ask_with_fields(rig, 200, "cookie", &id);
    rig_run(rig);
    assert_true(rig->heard[id].closed);
    assert_int_equal(rig->heard[id].error_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(rig->streams_begun, 0);

    rig->on_end = respond_and_close;
    id = ask(rig, "GET", "/"); /* compression state is intact */
    rig_run(rig);
    assert_string_equal(rig->heard[id].status, "200");
    rig_stop(rig);
}

static void a_body_beyond_its_limit_gets_413(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_body_bytes = 20000});
    int32_t id = ask_with(rig, "POST", "/", NULL, 0, 100000);

    rig_run(rig);
    assert_int_equal(rig->seen[0].reset, REASON_BODY_TOO_LARGE);
    rig_close_all(rig);
    rig_run(rig);
    assert_string_equal(rig->heard[id].status, "413");
    assert_true(rig->heard[id].closed);
    assert_true(rig->seen[0].body_bytes <= 20000);
    rig_stop(rig);
}

static void a_body_of_another_length_is_an_error(void **state UNUSED)
{
    static const size_t sizes[] = {4, 6};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct rig *rig = server();
        nghttp2_nv field = nv("content-length", "5");
        int32_t id = ask_with(rig, "POST", "/", &field, 1, sizes[i]);
        rig_run(rig);
        assert_int_equal(rig->seen[0].reset, REASON_H2_PROTOCOL);
        assert_int_equal(rig->seen[0].resets, 1);
        assert_false(rig->seen[0].ended);
        assert_int_equal(rig->heard[id].error_code, NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(rig->bads, 1);
        rig_stop(rig);
    }
}

/* --- responses ------------------------------------------------------------------------------- */

static void a_response_loses_what_h2_does_not_know(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");
    struct arena arena;
    struct head head;

    rig_run(rig);
    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    head_add(&head, STR("Connection"), STR("close"));
    head_add(&head, STR("Keep-Alive"), STR("5"));
    head_add(&head, STR("Transfer-Encoding"), STR("chunked"));
    head_add(&head, STR("Content-Length"), STR("99"));
    head_add(&head, STR("X-UPPER"), STR("Yes"));
    head_add(&head, STR("Server"), STR("a"))->removed = true;
    head.content_length = 3;
    stream_send_head(rig->seen[0].stream, &head, MORE);
    arena_reset(&arena);
    stream_send_body(rig->seen[0].stream, (struct slice){NULL, "abc", 3}, END);
    rig_run(rig);
    assert_string_equal(rig->heard[id].fields, "x-upper: Yes\ncontent-length: 3\n");
    assert_string_equal(rig->heard[id].body, "abc");
    assert_true(rig->heard[id].closed);
    assert_int_equal(rig->heard[id].error_code, NGHTTP2_NO_ERROR);
    assert_int_equal(rig->seen[0].resets, 0);
    rig_stop(rig);
}

static void interim_heads_come_first_and_101_never(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");
    static const int interim[] = {100, 101, 103};

    rig_run(rig);
    for (size_t i = 0; i < ARRAY_LEN(interim); i++) {
        struct arena arena;
        struct head head;
        arena_init(&arena, NULL);
        head_init_response(&head, &arena, interim[i]);
        stream_send_head(rig->seen[0].stream, &head, MORE);
        arena_reset(&arena);
    }
    respond(&rig->seen[0], 200, "x");
    rig_run(rig);
    assert_string_equal(rig->heard[id].interim, "100 103 ");
    assert_string_equal(rig->heard[id].status, "200");
    rig_stop(rig);
}

static void no_content_means_no_content(void **state UNUSED)
{
    static const struct {
        const char *method;
        int status;
    } cases[] = {{"HEAD", 200}, {"GET", 204}, {"GET", 304}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server();
        int32_t id = ask(rig, cases[i].method, "/");
        rig_run(rig);
        respond(&rig->seen[0], cases[i].status, "must not be sent");
        seen_close(&rig->seen[0]);
        rig_run(rig);
        assert_true(rig->heard[id].ended);
        assert_int_equal(rig->heard[id].body_bytes, 0);
        assert_int_equal(rig->heard[id].error_code, NGHTTP2_NO_ERROR);
        assert_int_equal(strstr(rig->heard[id].fields, "content-length") != NULL,
                         cases[i].status != 204);
        rig_stop(rig);
    }
}

static void response_trailers_follow_the_body(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");
    struct field fields[] = {
        {.name = STR_INIT("Grpc-Status"), .value = STR_INIT("0")},
        {.name = STR_INIT("content-length"), .value = STR_INIT("0"), .id = HEADER_CONTENT_LENGTH}};
    struct arena arena;
    struct head head;

    rig_run(rig);
    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    stream_send_head(rig->seen[0].stream, &head, MORE);
    arena_reset(&arena);
    stream_send_body(rig->seen[0].stream, (struct slice){NULL, "abc", 3}, MORE);
    stream_send_trailers(rig->seen[0].stream, fields, 2);
    seen_close(&rig->seen[0]);
    rig_run(rig);
    assert_string_equal(rig->heard[id].body, "abc");
    assert_string_equal(rig->heard[id].fields, "grpc-status: 0\n");
    assert_true(rig->heard[id].ended);
    rig_stop(rig);
}

static void trailers_wait_for_a_blocked_body(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");
    struct field field = {.name = STR_INIT("x-sum"), .value = STR_INIT("7")};
    char *big = calloc(1, 200000);
    struct arena arena;
    struct head head;

    rig_run(rig);
    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    stream_send_head(rig->seen[0].stream, &head, MORE);
    arena_reset(&arena);
    stream_send_body(rig->seen[0].stream, (struct slice){NULL, big, 200000}, MORE);
    stream_send_trailers(rig->seen[0].stream, &field, 1);
    field.value = STR("lost"); /* the codec keeps its own copy */
    seen_close(&rig->seen[0]);
    rig_run(rig);
    assert_int_equal(rig->heard[id].body_bytes, 200000);
    assert_string_equal(rig->heard[id].fields, "x-sum: 7\n");
    assert_true(rig->heard[id].ended);
    free(big);
    rig_stop(rig);
}

/* --- flow ------------------------------------------------------------------------------------ */

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

static void start_big(struct rig *rig, struct seen *seen)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    stream_send_head(seen->stream, &head, MORE);
    arena_reset(&arena);
    send_until_full(rig, seen);
}

static void a_large_body_flows_and_memory_stays_bounded(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/big");

    left_to_send = 10 * 1000 * 1000;
    rig->on_writable = send_until_full;
    rig_run(rig);
    start_big(rig, &rig->seen[0]);
    assert_true(left_to_send > 9 * 1000 * 1000);
    rig_run(rig);
    assert_int_equal(rig->heard[id].body_bytes, 10 * 1000 * 1000);
    assert_true(rig->heard[id].ended);
    assert_true(rig->seen[0].writables > 10);
    assert_true(rig->out_peak < SESSION_OUT_HIGH + 20000);
    rig_stop(rig);
}

static void a_client_that_opens_no_window_costs_little(void **state UNUSED)
{
    struct rig *rig = server();
    nghttp2_settings_entry zero = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};

    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &zero, 1);
    for (int i = 0; i < 100; i++)
        ask(rig, "GET", "/big");
    rig_run(rig);
    for (int i = 0; i < 100; i++) {
        left_to_send = 1000 * 1000;
        start_big(rig, &rig->seen[i]);
    }
    rig_run(rig);
    /* the cap, and one piece per stream that was on its way; no matter what was asked for */
    assert_true(rig->pool.bytes_in_use < 3.5 * 1024 * 1024 + 100 * BUF_SIZE);
    assert_int_equal(rig->session->open_streams, 100);
    rig_stop(rig);
}

static void pause(struct rig *rig UNUSED, struct seen *seen)
{
    stream_pause(seen->stream);
}

static void a_paused_stream_stops_its_client(void **state UNUSED)
{
    struct rig *rig = server();
    enum { MUCH = 3000000 };
    int32_t id = ask_with(rig, "POST", "/", NULL, 0, MUCH);

    rig->on_head = pause;
    rig_run(rig);
    size_t taken = rig->seen[0].body_bytes;
    assert_true(taken >= 65535 && taken <= 256 * 1024);
    rig_run(rig);
    assert_int_equal(rig->seen[0].body_bytes, taken);

    stream_resume(rig->seen[0].stream);
    rig_run(rig);
    assert_int_equal(rig->seen[0].body_bytes, MUCH);
    assert_int_equal(rig->heard[id].unsent, 0);
    assert_true(rig->seen[0].ended);
    rig_stop(rig);
}

static void paused_uploads_stop_no_other_upload(void **state UNUSED)
{
    struct rig *rig = server();
    enum { PAUSED = 6, MUCH = 3000000 };

    rig->on_head = pause;
    for (int i = 0; i < PAUSED; i++)
        ask_with(rig, "POST", "/", NULL, 0, 1000000);
    rig_run(rig);
    rig->on_head = NULL;
    ask_with(rig, "POST", "/", NULL, 0, MUCH);
    rig_run(rig);
    assert_int_equal(rig->seen[PAUSED].body_bytes, MUCH);
    rig_stop(rig);
}

static void all_paused_uploads_together_have_a_bound(void **state UNUSED)
{
    struct rig *rig = server();
    enum { PAUSED = 50, WINDOW = 1024 * 1024 };
    size_t held = 0;

    rig->session->limits.max_held_bytes = 300000;
    rig->on_head = pause;
    for (int i = 0; i < PAUSED; i++)
        ask_with(rig, "POST", "/", NULL, 0, 1000000);
    rig_run(rig);
    for (int i = 0; i < PAUSED; i++)
        held += rig->seen[i].body_bytes;
    assert_in_range(held, WINDOW, WINDOW + 300000);
    assert_int_equal(rig->session->held_stops, 1);

    for (int i = 0; i < PAUSED; i++)
        stream_resume(rig->seen[i].stream);
    rig_run(rig);
    for (int i = 0; i < PAUSED; i++)
        assert_int_equal(rig->seen[i].body_bytes, 1000000);
    rig_stop(rig);
}

static void send_pieces(struct seen *seen, size_t count, size_t len)
{
    static const char text[1000];

    for (size_t i = 0; i < count; i++)
        stream_send_body(seen->stream, (struct slice){NULL, text, len}, MORE);
}

static void begin_response(struct seen *seen)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init_response(&head, &arena, 200);
    stream_send_head(seen->stream, &head, MORE);
    arena_reset(&arena);
}

static void pieces_of_one_turn_leave_as_one_frame(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t a = ask(rig, "GET", "/a"), b = ask(rig, "GET", "/b");

    rig_run(rig);
    begin_response(&rig->seen[0]);
    begin_response(&rig->seen[1]);
    send_pieces(&rig->seen[0], 500, 1);
    rig_run(rig);
    assert_int_equal(rig->heard[a].data_frames, 1);
    assert_int_equal(rig->heard[a].body_bytes, 500);

    send_pieces(&rig->seen[0], 3, 1);
    send_pieces(&rig->seen[1], 3, 1);
    stream_send_body(rig->seen[1].stream, (struct slice){0}, END); /* its frame says so */
    send_pieces(&rig->seen[0], 30, 1000);
    rig_run(rig);
    assert_int_equal(rig->heard[b].data_frames, 1);
    assert_int_equal(rig->heard[b].body_bytes, 3);
    assert_true(rig->heard[b].ended);
    assert_in_range(rig->heard[a].data_frames, 1 + 1 + 2, 1 + 1 + 3); /* none above 16 KiB */
    assert_int_equal(rig->heard[a].body_bytes, 30503);
    rig_stop(rig);
}

static void closed_streams_give_their_window_back(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_head = pause;
    for (int i = 0; i < 40; i++) {
        ask_with(rig, "POST", "/", NULL, 0, 1000000);
        rig_run(rig);
        assert_true(rig->seen[i].body_bytes > 0);
        seen_close(&rig->seen[i]);
        rig_run(rig);
    }
    rig->on_head = NULL;
    ask_with(rig, "POST", "/", NULL, 0, 5000000);
    rig_run(rig);
    assert_int_equal(rig->seen[40].body_bytes, 5000000);
    rig_stop(rig);
}

static void one_stalled_stream_does_not_stop_the_others(void **state UNUSED)
{
    struct rig *rig = server();

    ask(rig, "GET", "/stalled");
    rig_run(rig);
    nghttp2_session_set_local_window_size(rig->peer, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    left_to_send = 1000000;
    start_big(rig, &rig->seen[0]); /* nobody sends its rest */
    rig->on_end = respond_and_close;
    int32_t id = ask(rig, "GET", "/small");
    rig_run(rig);
    assert_string_equal(rig->heard[id].body, "hello\n");
    rig_stop(rig);
}

static size_t left_of[2];

static void send_share(struct rig *rig, struct seen *seen)
{
    size_t i = (size_t)(seen - rig->seen);

    left_to_send = left_of[i];
    send_until_full(rig, seen);
    left_of[i] = left_to_send;
}

/* Clients that know nothing of priorities (RFC 9218) are no reason to starve the second
 * download. */
static void two_downloads_share_the_connection(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t first = ask(rig, "GET", "/1"), second = ask(rig, "GET", "/2");
    nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 23};

    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, &wide, 1);
    nghttp2_session_set_local_window_size(rig->peer, NGHTTP2_FLAG_NONE, 0, 1 << 22);
    rig->on_writable = send_share;
    rig_run(rig);
    for (int i = 0; i < 2; i++) {
        left_to_send = 2000000;
        start_big(rig, &rig->seen[i]);
        left_of[i] = left_to_send;
    }
    while (!rig->heard[first].ended) {
        rig_to_weir(rig);
        rig_to_peer(rig);
    }
    assert_true(rig->heard[second].body_bytes > 1000000);
    rig_run(rig);
    assert_int_equal(rig->heard[second].body_bytes, 2000000);
    rig_stop(rig);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void a_reset_by_the_client_is_reported_once(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");

    rig_run(rig);
    nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    rig_run(rig);
    assert_int_equal(rig->seen[0].reset, REASON_CLIENT_RESET);
    assert_int_equal(rig->session->open_streams, 1);
    respond(&rig->seen[0], 200, "too late");
    seen_close(&rig->seen[0]);
    assert_int_equal(rig->session->open_streams, 0);
    rig_run(rig);
    assert_string_equal(rig->heard[id].status, "");
    assert_int_equal(rig->session->phase, SESSION_IDLE);
    rig_stop(rig);
}

static void giving_up_resets_with_cancel(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask(rig, "GET", "/");

    rig_run(rig);
    seen_close(&rig->seen[0]);
    rig_run(rig);
    assert_int_equal(rig->heard[id].error_code, NGHTTP2_CANCEL);
    rig_stop(rig);
}

static void an_early_answer_ends_the_upload_without_an_error(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t id = ask_with(rig, "POST", "/", NULL, 0, 1000);

    rig->heard[id].hold_end = true;
    rig->on_head = respond_and_close;
    rig_run(rig);
    assert_string_equal(rig->heard[id].status, "200");
    assert_string_equal(rig->heard[id].body, "hello\n");
    assert_true(rig->heard[id].ended);
    assert_true(rig->heard[id].closed);
    assert_int_equal(rig->heard[id].error_code, NGHTTP2_NO_ERROR);
    rig_stop(rig);
}

static void our_reset_has_the_error_code(void **state UNUSED)
{
    static const struct {
        enum reason reason;
        uint32_t code;
    } cases[] = {{REASON_UPSTREAM_RESET, NGHTTP2_INTERNAL_ERROR},
                 {REASON_BODY_TIMEOUT, NGHTTP2_CANCEL},
                 {REASON_H2_PROTOCOL, NGHTTP2_PROTOCOL_ERROR},
                 {REASON_DRAINING, NGHTTP2_REFUSED_STREAM}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server();
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        stream_reset(rig->seen[0].stream, cases[i].reason);
        rig_run(rig);
        assert_int_equal(rig->heard[id].error_code, cases[i].code);
        assert_int_equal(rig->seen[0].resets, 0);
        rig_stop(rig);
    }
}

static void drain_loses_no_request_and_ends_once(void **state UNUSED)
{
    struct rig *rig = server();
    int32_t first = ask(rig, "GET", "/1");

    rig_run(rig);
    session_drain(rig->session);
    int32_t raced = ask(rig, "GET", "/2"); /* sent before the client knew */
    rig_run(rig);
    assert_int_equal(rig->early_pings, 0); /* whose answer would not say that the first was seen */
    assert_int_equal(rig->goaways, 2);
    assert_int_equal(rig->goaway_last, raced);
    assert_int_equal(rig->goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(rig->closes, 0);
    for (int i = 0; i < 2; i++) {
        respond(&rig->seen[i], 200, "bye");
        seen_close(&rig->seen[i]);
    }
    rig_run(rig);
    assert_string_equal(rig->heard[first].body, "bye");
    assert_string_equal(rig->heard[raced].body, "bye");
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_NONE);
    rig_stop(rig);
}

static void an_idle_session_drains_at_once(void **state UNUSED)
{
    struct rig *rig = server();

    rig_run(rig);
    session_drain(rig->session);
    assert_int_equal(rig->closes, 0);
    rig_run(rig);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_NONE);
    assert_true(rig->goaways > 0);
    rig_stop(rig);
}

static void the_last_request_of_a_session_drains_it(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_requests = 3});

    rig->on_end = respond_and_close;
    for (int i = 0; i < 3; i++) {
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        assert_string_equal(rig->heard[id].status, "200");
    }
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_NONE);
    rig_stop(rig);
}

static void expire_sends_goaway(void **state UNUSED)
{
    struct rig *rig = server();

    rig_run(rig);
    session_expire(rig->session, REASON_IDLE_TIMEOUT);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_IDLE_TIMEOUT);
    rig_to_peer(rig);
    assert_int_equal(rig->goaways, 1);
    assert_int_equal(rig->goaway_code, NGHTTP2_NO_ERROR);
    rig_stop(rig);
}

static void a_dead_connection_resets_every_stream(void **state UNUSED)
{
    for (int how = 0; how < 2; how++) {
        struct rig *rig = server();
        for (int i = 0; i < 5; i++)
            ask(rig, "GET", "/");
        rig_run(rig);
        if (how == 0)
            session_eof(rig->session);
        else
            session_fail(rig->session, REASON_CLIENT_RESET);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(rig->seen[i].resets, 1);
            assert_int_equal(rig->seen[i].reset,
                             how == 0 ? REASON_CLIENT_CLOSED : REASON_CLIENT_RESET);
        }
        assert_int_equal(rig->closes, how == 0);
        rig_stop(rig);
    }
}

static void free_session(struct rig *rig, struct seen *seen UNUSED)
{
    rig_close_all(rig);
    session_free(rig->session);
    rig->session = NULL;
}

static void close_it(struct rig *rig UNUSED, struct seen *seen)
{
    seen_close(seen);
}

static void close_all_streams(struct rig *rig, struct seen *seen UNUSED)
{
    rig_close_all(rig);
}

/* Closing what one is called about, or everything, or the session, is fine in any callback. */
static void users_may_leave_in_any_callback(void **state UNUSED)
{
    static const rig_hook leavers[] = {close_it, close_all_streams};

    for (size_t i = 0; i < ARRAY_LEN(leavers); i++) {
        for (int where = 0; where < 4; where++) {
            struct rig *rig = server();
            rig->on_head = where == 0 ? leavers[i] : NULL;
            rig->on_body = where == 1 ? leavers[i] : NULL;
            rig->on_end = where == 2 ? leavers[i] : NULL;
            rig->on_reset = leavers[i];
            int32_t id = 0;
            for (int n = 0; n < 3; n++)
                id = ask_with(rig, "POST", "/", NULL, 0, 40000);
            rig_run(rig);
            nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
            rig_run(rig);
            session_eof(rig->session);
            rig_stop(rig);
        }
    }
}

static void the_session_may_be_freed_when_it_wants_to_close(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_close = free_session;
    ask(rig, "GET", "/");
    rig_run(rig);
    static const char bad[] = "\0\0\1\0\0\0\0\0\0x"; /* DATA on stream 0 */
    rig_feed(rig, bad, 10);
    assert_null(rig->session);
    rig_stop(rig);
}

/* --- bad bytes ------------------------------------------------------------------------------- */

static void rubbish_ends_the_session(void **state UNUSED)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        uint32_t code;
    } cases[] = {
#define RAW(text) text, sizeof(text) - 1
        {"DATA on 0", RAW("\0\0\1\0\0\0\0\0\0x"), NGHTTP2_PROTOCOL_ERROR},
        {"DATA on idle", RAW("\0\0\1\0\0\0\0\0\x63x"), NGHTTP2_PROTOCOL_ERROR},
        {"huge frame", RAW("\x7f\xff\xff\0\0\0\0\0\1x"), NGHTTP2_FRAME_SIZE_ERROR},
        {"HEADERS on 2", RAW("\0\0\1\1\5\0\0\0\2\x82"), NGHTTP2_PROTOCOL_ERROR},
        {"bad HPACK", RAW("\0\0\1\1\5\0\0\0\x65\xff"), NGHTTP2_COMPRESSION_ERROR},
        {"CONTINUATION alone", RAW("\0\0\1\x9\4\0\0\0\1\x82"), NGHTTP2_PROTOCOL_ERROR},
        {"PUSH_PROMISE", RAW("\0\0\5\5\4\0\0\0\1\0\0\0\2\x82"), NGHTTP2_PROTOCOL_ERROR},
        {"zero update of 0", RAW("\0\0\4\x8\0\0\0\0\0\0\0\0\0"), NGHTTP2_PROTOCOL_ERROR},
        {"window overflow", RAW("\0\0\4\x8\0\0\0\0\0\x7f\xff\xff\xff"), NGHTTP2_FLOW_CONTROL_ERROR},
        {"short PING", RAW("\0\0\4\6\0\0\0\0\0\0\0\0\0"), NGHTTP2_FRAME_SIZE_ERROR},
        {"SETTINGS of 5", RAW("\0\0\5\4\0\0\0\0\0\0\0\0\0\0"), NGHTTP2_FRAME_SIZE_ERROR},
        {"bad window setting", RAW("\0\0\6\4\0\0\0\0\0\0\4\xff\xff\xff\xff"),
         NGHTTP2_FLOW_CONTROL_ERROR},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server();
        ask(rig, "GET", "/");
        rig_run(rig);
        rig_feed(rig, cases[i].bytes, cases[i].len);
        rig_to_peer(rig);
        if (rig->goaway_code != cases[i].code || rig->closes != 1)
            fail_msg("%s: goaway=%d code=%u closes=%d", cases[i].what, rig->goaways,
                     rig->goaway_code, rig->closes);
        assert_int_equal(rig->close_reason, REASON_H2_PROTOCOL);
        assert_int_equal(rig->seen[0].resets, 1);
        assert_int_equal(rig->seen[0].reset, REASON_H2_PROTOCOL);

        size_t bytes = rig->out.bytes;
        int begun = rig->streams_begun;
        rig_feed(rig, "\0\0\x8\6\0\0\0\0\0pingpong", 17); /* nobody listens */
        assert_int_equal(rig->out.bytes, bytes);
        assert_int_equal(rig->streams_begun, begun);
        rig_stop(rig);
    }
}

static void h1_on_an_h2_connection_is_rubbish(void **state UNUSED)
{
    struct rig *rig = server();
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    rig_feed(rig, text, sizeof(text) - 1);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_H2_PROTOCOL);
    rig_stop(rig);
}

static void the_preface_is_recognised(void **state UNUSED)
{
    struct str preface = STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    for (size_t len = 0; len < preface.len; len++)
        assert_int_equal(h2_preface(str_make(preface.ptr, len)), PREFACE_MORE);
    assert_int_equal(h2_preface(preface), PREFACE_YES);
    assert_int_equal(h2_preface(STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore")), PREFACE_YES);
    assert_int_equal(h2_preface(STR("PRI * HTTP/1")), PREFACE_NO);
    assert_int_equal(h2_preface(STR("GET")), PREFACE_NO);
}

/* --- floods ---------------------------------------------------------------------------------- */

static void expect_flood(struct rig *rig)
{
    rig_run(rig);
    assert_int_equal(rig->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->close_reason, REASON_H2_FLOOD);
    rig_stop(rig);
}

static void rapid_reset_starts_no_more_than_is_allowed(void **state UNUSED)
{
    struct rig *rig = server();

    for (int i = 0; i < 130; i++) {
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        rig_run(rig);
    }
    assert_int_equal(rig->streams_begun, 100); /* the users hold theirs still */
    assert_true(rig->refused > 0);
    rig_stop(rig);
}

static void rapid_reset_is_a_flood(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_reset = close_it;
    for (int i = 0; i < 200 && rig->closes == 0; i++) {
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        rig_run(rig);
    }
    assert_true(rig->streams_begun < 200);
    expect_flood(rig);
}

static void time_forgives_resets(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_reset = close_it;
    for (int i = 0; i < 600; i++) {
        rig->session->now_ms += 100;
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        nghttp2_submit_rst_stream(rig->peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        rig_run(rig);
    }
    assert_int_equal(rig->closes, 0);
    rig_stop(rig);
}

/* CVE-2025-8671: the client makes us reset what it has asked for. */
static void making_us_reset_is_a_flood(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_reset = close_it;
    for (int i = 0; i < 200 && rig->closes == 0; i++) {
        int32_t id = ask(rig, "GET", "/");
        rig_run(rig);
        uint8_t frame[13] = {0,           0,    4,    8,    0,   0, 0, (uint8_t)(id >> 8),
                             (uint8_t)id, 0x7f, 0xff, 0xff, 0xff}; /* its window overflows */
        rig_feed(rig, frame, sizeof(frame));
        assert_true(rig->seen[i].resets == 1);
        rig_run(rig);
    }
    assert_true(rig->streams_begun <= 101);
    expect_flood(rig);
}

static void small_frames_without_sense_are_a_flood(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {RAW("\0\0\x8\6\0\0\0\0\0pingpong")},      /* PING */
        {RAW("\0\0\0\4\0\0\0\0\0")},               /* SETTINGS */
        {RAW("\0\0\5\2\0\0\0\0\x63\0\0\0\0\x10")}, /* PRIORITY */
        {RAW("\0\0\0\0\0\0\0\0\1")},               /* empty DATA */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *rig = server();
        int32_t id = ask_with(rig, "POST", "/", NULL, 0, 10);
        rig->heard[id].hold_end = true;
        rig_run(rig);
        rig->peer_reads_nothing = true;
        for (int n = 0; n < 10000; n++)
            rig_feed(rig, cases[i].bytes, cases[i].len);
        assert_true(rig->out.bytes < 100000);
        assert_int_equal(rig->closes, 1);
        assert_int_equal(rig->close_reason, REASON_H2_FLOOD);
        rig_stop(rig);
    }
}

static void too_many_settings_in_one_frame(void **state UNUSED)
{
    struct rig *rig = server();
    uint8_t frame[9 + 33 * 6] = {0, 0, 33 * 6, 4};

    rig_run(rig);
    for (int i = 0; i < 33; i++)
        frame[9 + i * 6 + 1] = 1;
    rig_feed(rig, frame, sizeof(frame));
    expect_flood(rig);
}

static void continuation_floods_end_the_session(void **state UNUSED)
{
    struct rig *rig = server();
    static const char head[] = "\0\0\1\1\1\0\0\0\1\x82", more[] = "\0\0\1\x9\0\0\0\0\1\x82";

    rig_run(rig);
    rig_feed(rig, head, 10);
    assert_int_equal(rig->session->phase, SESSION_HEAD);
    for (int i = 0; i < 20; i++)
        rig_feed(rig, more, 10);
    assert_int_equal(rig->closes, 1);
    assert_int_equal(rig->streams_begun, 0);
    rig_stop(rig);
}

static void more_streams_than_allowed_are_refused(void **state UNUSED)
{
    struct rig *rig = server_with((struct session_limits){.max_streams = 10});

    for (int i = 0; i < 15; i++)
        ask(rig, "GET", "/"); /* before the client has seen our SETTINGS */
    rig_run(rig);
    assert_int_equal(rig->streams_begun, 10);
    assert_int_equal(rig->refused, 5);
    assert_int_equal(rig->closes, 0);
    rig_stop(rig);
}

static void many_requests_leave_nothing_behind(void **state UNUSED)
{
    struct rig *rig = server();

    rig->on_end = respond_hello;
    for (int i = 0; i < 1000; i++) {
        int32_t id = ask_with(rig, "POST", "/", NULL, 0, 1 + (size_t)i * 7 % 5000);
        rig_run(rig);
        assert_string_equal(rig->heard[id].status, "200");
        assert_int_equal(rig->seen[i].resets, 0);
        seen_close(&rig->seen[i]);
    }
    assert_int_equal(rig->session->open_streams, 0);
    assert_int_equal(rig->session->requests, 1000);
    assert_int_equal(rig->pool.in_use, 0);
    rig_stop(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_as_one_head),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(a_session_may_rest_at_any_time),
        cmocka_unit_test(a_body_and_its_end_come_together),
        cmocka_unit_test(request_trailers_end_the_body_without_forbidden_names),
        cmocka_unit_test(host_stands_in_for_a_missing_authority),
        cmocka_unit_test(host_may_spell_the_same_authority_differently),
        cmocka_unit_test(expect_continue_is_recognised),
        cmocka_unit_test(malformed_requests_are_reset_and_make_no_stream),
        cmocka_unit_test(upper_case_names_are_malformed),
        cmocka_unit_test(refused_requests_get_a_response_with_an_explanation),
        cmocka_unit_test(connect_is_refused),
        cmocka_unit_test(field_limits_are_inclusive_and_crumbs_count),
        cmocka_unit_test(heads_of_all_open_streams_together_have_a_bound),
        cmocka_unit_test(a_refused_head_holds_no_memory),
        cmocka_unit_test(header_bytes_are_counted_with_their_overhead),
        cmocka_unit_test(a_header_bomb_is_not_read_to_its_end),
        cmocka_unit_test(a_body_beyond_its_limit_gets_413),
        cmocka_unit_test(a_body_of_another_length_is_an_error),
        cmocka_unit_test(a_response_loses_what_h2_does_not_know),
        cmocka_unit_test(interim_heads_come_first_and_101_never),
        cmocka_unit_test(no_content_means_no_content),
        cmocka_unit_test(response_trailers_follow_the_body),
        cmocka_unit_test(trailers_wait_for_a_blocked_body),
        cmocka_unit_test(a_large_body_flows_and_memory_stays_bounded),
        cmocka_unit_test(a_client_that_opens_no_window_costs_little),
        cmocka_unit_test(a_paused_stream_stops_its_client),
        cmocka_unit_test(pieces_of_one_turn_leave_as_one_frame),
        cmocka_unit_test(paused_uploads_stop_no_other_upload),
        cmocka_unit_test(all_paused_uploads_together_have_a_bound),
        cmocka_unit_test(closed_streams_give_their_window_back),
        cmocka_unit_test(one_stalled_stream_does_not_stop_the_others),
        cmocka_unit_test(two_downloads_share_the_connection),
        cmocka_unit_test(a_reset_by_the_client_is_reported_once),
        cmocka_unit_test(giving_up_resets_with_cancel),
        cmocka_unit_test(an_early_answer_ends_the_upload_without_an_error),
        cmocka_unit_test(our_reset_has_the_error_code),
        cmocka_unit_test(drain_loses_no_request_and_ends_once),
        cmocka_unit_test(an_idle_session_drains_at_once),
        cmocka_unit_test(the_last_request_of_a_session_drains_it),
        cmocka_unit_test(expire_sends_goaway),
        cmocka_unit_test(a_dead_connection_resets_every_stream),
        cmocka_unit_test(users_may_leave_in_any_callback),
        cmocka_unit_test(the_session_may_be_freed_when_it_wants_to_close),
        cmocka_unit_test(rubbish_ends_the_session),
        cmocka_unit_test(h1_on_an_h2_connection_is_rubbish),
        cmocka_unit_test(the_preface_is_recognised),
        cmocka_unit_test(rapid_reset_starts_no_more_than_is_allowed),
        cmocka_unit_test(rapid_reset_is_a_flood),
        cmocka_unit_test(time_forgives_resets),
        cmocka_unit_test(making_us_reset_is_a_flood),
        cmocka_unit_test(small_frames_without_sense_are_a_flood),
        cmocka_unit_test(too_many_settings_in_one_frame),
        cmocka_unit_test(continuation_floods_end_the_session),
        cmocka_unit_test(more_streams_than_allowed_are_refused),
        cmocka_unit_test(many_requests_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
