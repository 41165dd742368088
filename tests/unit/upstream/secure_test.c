/* TLS and h2 towards origins: what is verified, which protocol is spoken, and how requests share
 * connections. The origin is made of our own server side, in the same loop. */
#include "../tls/plans.h"
#include "base/hash.h"
#include "net/listener.h"
#include "upstream/group.h"
#include "upstream/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../wait_for.h"

enum { CONNS_MAX = 4096, CALLS_MAX = 8, STORM_CALLS = 24, STORM_TICKS = 600 };

/* --- the origin ------------------------------------------------------------------------------ */

struct origin_conn {
    struct conn *conn;
    struct session *session;
};

struct origin {
    struct listener_sock *listener;
    struct tls_server *tls; /* NULL: plain */
    bool is_silent, is_h2, holds_answers;
    uint32_t max_streams;
    struct origin_conn conns[CONNS_MAX];
    unsigned accepted, requests, resets;
};

struct world {
    struct loop *loop;
    struct tls_library *tls_library;
    struct tls_tickets *tickets;
    struct metrics *metrics;
    struct upstream *upstream;
    struct origin origin;
    char *chain_pem, *key_pem;
    struct upstream_tls_conf tls;
    struct host_conf host;
    struct target_conf target_conf;
    struct group_conf group;
    struct config config;
};

static struct world w;

static void origin_head(struct stream *stream, struct head *head UNUSED, enum end end UNUSED)
{
    struct head response;

    w.origin.requests++;
    if (w.origin.holds_answers)
        return;
    head_init_response(&response, stream->arena, 200);
    stream_send_head(stream, &response, END);
    stream_close(stream);
}

static void origin_body(struct stream *stream UNUSED, struct slice data UNUSED, enum end end UNUSED)
{
}

static void origin_trailers(struct stream *stream UNUSED, struct field *fields UNUSED,
                            size_t count UNUSED)
{
}

static void origin_writable(struct stream *stream UNUSED)
{
}

static void origin_reset(struct stream *stream, enum reason reason UNUSED)
{
    w.origin.resets++;
    stream_close(stream);
}

static const struct stream_handler origin_handler = {origin_head, origin_body, origin_trailers,
                                                     origin_writable, origin_reset};

static void origin_stream(struct session *session UNUSED, struct stream *stream)
{
    stream->handler = &origin_handler;
}

static void origin_want_write(struct session *session)
{
    struct origin_conn *c = session->owner_arg;
    conn_flush_later(c->conn);
}

static void origin_want_input(struct session *session)
{
    struct origin_conn *c = session->owner_arg;
    conn_kick(c->conn);
}

static void origin_set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static void origin_want_close(struct session *session UNUSED, enum reason reason UNUSED)
{
}

static void origin_phase(struct session *session UNUSED)
{
}

static const struct session_owner origin_owner = {.on_stream = origin_stream,
                                                  .want_write = origin_want_write,
                                                  .want_input = origin_want_input,
                                                  .set_reading = origin_set_reading,
                                                  .want_close = origin_want_close,
                                                  .on_phase = origin_phase};

static void origin_open(struct conn *conn)
{
    struct origin_conn *c = conn_arg(conn);
    struct session_limits limits = {.max_header_bytes = 65536,
                                    .max_header_count = 100,
                                    .max_line_bytes = 16384,
                                    .max_uri_bytes = 8192,
                                    .max_streams = w.origin.max_streams};
    struct str alpn = conn_tls_info(conn)->alpn;
    bool h2 = alpn.len > 0 ? str_eq(alpn, STR("h2")) : w.origin.is_h2;
    struct buf_pool *pool = loop_bufs(w.loop);

    c->session = h2 ? h2_server_new(&origin_owner, c, conn_out(conn), pool, &limits)
                    : h1_server_new(&origin_owner, c, conn_out(conn), pool, &limits);
}

static size_t origin_data(struct conn *conn, struct slice data)
{
    struct origin_conn *c = conn_arg(conn);
    return w.origin.is_silent ? data.len : session_feed(c->session, data);
}

static void origin_end(struct origin_conn *c)
{
    if (c->conn == NULL)
        return;
    if (c->session != NULL) {
        session_fail(c->session, REASON_CLIENT_CLOSED);
        session_free(c->session);
    }
    *c = (struct origin_conn){0};
}

static void origin_eof(struct conn *conn)
{
    struct origin_conn *c = conn_arg(conn);

    origin_end(c);
    conn_abort(conn);
}

static void origin_drained(struct conn *conn UNUSED)
{
}

static void origin_closed(struct conn *conn, enum reason reason UNUSED)
{
    origin_end(conn_arg(conn));
}

static const struct conn_handler origin_conn_handler = {origin_open, origin_data, origin_eof,
                                                        origin_drained, origin_closed};

static void origin_accepted(void *arg UNUSED, int fd, const struct addr *peer UNUSED)
{
    struct conn_limits limits = {.handshake_ms = 5000, .write_ms = 5000};
    struct origin_conn *c = &w.origin.conns[w.origin.accepted++];

    assert_true(w.origin.accepted <= CONNS_MAX);
    c->conn = conn_accepted(w.loop, fd, &origin_conn_handler, c, limits);
    if (w.origin.tls != NULL)
        tls_accept(c->conn, w.origin.tls);
}

/* With a certificate for origin.test, when `alpn_h2` or `alpn_h1` say that it is to speak TLS. */
static void origin_start(bool alpn_h2, bool alpn_h1)
{
    struct certificate_conf certificate = {.chain_pem = str_of(w.chain_pem),
                                           .key_pem = str_of(w.key_pem)};
    struct tls_server_conf conf = {.certificates = &certificate,
                                   .certificate_count = 1,
                                   .alpn_h2 = alpn_h2,
                                   .alpn_h1 = alpn_h1};
    struct addr addr;
    struct err err;

    if (alpn_h2 || alpn_h1) {
        w.origin.tls = server_from(w.tls_library, w.tickets, &conf, &err);
        assert_non_null(w.origin.tls);
    }
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &addr), 0);
    int fd = listener_open(&addr, &err);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    w.host.addr = addr;
    w.origin.listener = listener_start(w.loop, fd, origin_accepted, NULL, NULL);
}

/* --- the world ------------------------------------------------------------------------------- */

static uint64_t open_connections(void)
{
    return metric_get(&w.metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN]);
}

static int setup(void **state UNUSED)
{
    const char *const names[] = {"origin.test"};
    struct err err;

    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    w.tls_library = tls_library_new();
    w.tickets = tls_tickets_new();
    w.metrics = metrics_new();
    w.upstream = upstream_new(w.loop, w.tls_library, w.metrics);
    if (tls_self_signed(names, 1, &w.chain_pem, &w.key_pem, &err) < 0)
        return -1;
    w.origin.max_streams = 100;
    w.tls = (struct upstream_tls_conf){
        .verify = true, .ca_pem = str_of(w.chain_pem), .server_name = STR("origin.test")};
    w.host.name = STR("127.0.0.1");
    w.target_conf = (struct target_conf){
        .name = STR("web"), .datacenter = -1, .hosts = &w.host, .host_count = 1};
    w.group = (struct group_conf){
        .name = STR("mw-web"),
        .targets = &w.target_conf,
        .target_count = 1,
        .tls = &w.tls,
        .timeouts = {.connect_ms = 3000, .idle_ms = 10000, .pool_idle_ms = 4000},
        .max_connections = 10,
        .max_pending = 10,
        .max_idle = 10,
        .max_requests = 1000,
        .max_response_header_bytes = 65536,
    };
    w.config = (struct config){.groups = &w.group, .group_count = 1};
    return 0;
}

static int teardown(void **state UNUSED)
{
    upstream_free(w.upstream);
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *conn = w.origin.conns[i].conn;
        origin_end(&w.origin.conns[i]);
        if (conn != NULL)
            conn_abort(conn);
    }
    if (w.origin.listener != NULL)
        listener_stop(w.origin.listener);
    loop_free(w.loop);
    tls_server_unref(&w.origin.tls);
    tls_tickets_free(w.tickets);
    tls_library_free(w.tls_library);
    metrics_free(w.metrics);
    free(w.chain_pem);
    free(w.key_pem);
    return 0;
}

static void adopt(void)
{
    struct err err = {0};
    struct tls_client_plan *plan =
        w.group.tls != NULL ? client_plan_from(w.group.tls, w.group.protocol != PROTOCOL_H1, &err)
                            : NULL;

    assert_string_equal(err.text, "");
    upstream_adopt(w.upstream, &w.config, &plan);
    tls_client_plan_unref(&plan);
}

/* --- users ----------------------------------------------------------------------------------- */

struct call {
    struct lease lease;
    struct arena arena;
    unsigned ready, failed, heads, resets;
    enum reason reason;
};

static void saw_head(struct stream *stream, struct head *head UNUSED, enum end end UNUSED)
{
    ((struct call *)stream->arg)->heads++;
}

static void saw_body(struct stream *stream UNUSED, struct slice data UNUSED, enum end end UNUSED)
{
}

static void saw_reset(struct stream *stream, enum reason reason)
{
    struct call *call = stream->arg;

    call->resets++;
    call->reason = reason;
}

static const struct stream_handler handler = {saw_head, saw_body, origin_trailers, origin_writable,
                                              saw_reset};

static void send_get(struct call *call)
{
    struct head head;

    head_init(&head, &call->arena);
    head.method = METHOD_GET;
    head.method_text = STR("GET");
    head.scheme = STR("https");
    head.path = STR("/");
    head.authority = STR("a.example");
    head_add_id(&head, HEADER_HOST, head.authority);
    stream_send_head(call->lease.stream, &head, END);
}

static void got_ready(struct lease *lease)
{
    struct call *call = CONTAINER_OF(lease, struct call, lease);

    call->ready++;
    send_get(call);
}

static void got_failed(struct lease *lease, enum reason reason)
{
    struct call *call = CONTAINER_OF(lease, struct call, lease);

    call->failed++;
    call->reason = reason;
}

static void ask(struct call *call)
{
    struct target *target = group_target(upstream_group(w.upstream, 0), 0);

    call->lease.on_ready = got_ready;
    call->lease.on_failed = got_failed;
    assert_int_equal(
        upstream_acquire(target, &call->lease, &call->arena, &handler, call, LEASE_ANY, NULL, true),
        REASON_NONE);
    if (call->lease.state == LEASE_HELD)
        got_ready(&call->lease);
}

static void finish(struct call *call)
{
    upstream_release(&call->lease, call->heads > 0);
    arena_reset(&call->arena);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void run_until_count(const unsigned *counter, unsigned at_least)
{
    wait_until_count(w.loop, counter, at_least);
}

static void expect_failure(enum reason reason)
{
    struct call call = {0};

    adopt();
    ask(&call);
    run_until_count(&call.failed, 1);
    assert_string_equal(reason_word(call.reason), reason_word(reason));
    assert_non_null(call.lease.endpoint);
    finish(&call);
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void a_verified_origin_answers(void **state UNUSED)
{
    struct call call = {0}, again = {0};

    origin_start(false, true);
    adopt();
    ask(&call);
    run_until_count(&call.heads, 1);
    finish(&call);
    ask(&again);
    assert_true(again.lease.was_reused);
    run_until_count(&again.heads, 1);
    finish(&again);
    assert_int_equal(w.origin.accepted, 1);
}

static void a_wrong_name_is_refused(void **state UNUSED)
{
    w.tls.server_name = STR("other.test");
    origin_start(false, true);
    expect_failure(REASON_UPSTREAM_TLS_VERIFY);
}

static void the_address_is_verified_where_no_name_is_given(void **state UNUSED)
{
    w.tls.server_name = STR("");
    origin_start(false, true);
    expect_failure(REASON_UPSTREAM_TLS_VERIFY);
}

static void a_plain_origin_is_no_tls_origin(void **state UNUSED)
{
    origin_start(false, false);
    expect_failure(REASON_UPSTREAM_TLS);
}

static void a_silent_origin_is_given_up_in_time(void **state UNUSED)
{
    w.origin.is_silent = true;
    w.group.timeouts.connect_ms = 100;
    origin_start(false, false);
    expect_failure(REASON_UPSTREAM_CONNECT_TIMEOUT);
}

static void a_changed_bundle_makes_new_connections(void **state UNUSED)
{
    struct upstream_tls_conf other = w.tls;
    struct call call = {0}, again = {0};
    char *twice = malloc(2 * w.tls.ca_pem.len + 1);

    origin_start(false, true);
    adopt();
    ask(&call);
    run_until_count(&call.heads, 1);
    finish(&call);
    adopt(); /* the same: the connection stays */
    memcpy(twice, w.tls.ca_pem.ptr, w.tls.ca_pem.len);
    memcpy(twice + w.tls.ca_pem.len, w.tls.ca_pem.ptr, w.tls.ca_pem.len);
    other.ca_pem = str_make(twice, 2 * w.tls.ca_pem.len);
    w.group.tls = &other;
    adopt();
    ask(&again);
    run_until_count(&again.heads, 1);
    finish(&again);
    assert_int_equal(w.origin.accepted, 2);
    w.group.tls = &w.tls;
    free(twice);
}

/* --- h2 -------------------------------------------------------------------------------------- */

static void ask_all(struct call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ask(&calls[i]);
}

static void finish_all(struct call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        finish(&calls[i]);
}

static void h2_requests_share_one_connection(void **state UNUSED)
{
    struct call calls[CALLS_MAX] = {0};

    w.group.protocol = PROTOCOL_AUTO;
    w.origin.holds_answers = true;
    origin_start(true, true);
    adopt();
    ask_all(calls, CALLS_MAX);
    run_until_count(&w.origin.requests, CALLS_MAX);
    assert_int_equal(w.origin.accepted, 1);
    finish_all(calls, CALLS_MAX);
    run_until_count(&w.origin.resets, CALLS_MAX); /* cancelled, and the connection stays */
    assert_int_equal(open_connections(), 1);
}

static void auto_makes_more_connections_where_only_h1_is_spoken(void **state UNUSED)
{
    struct call calls[CALLS_MAX] = {0};

    w.group.protocol = PROTOCOL_AUTO;
    w.origin.holds_answers = true;
    origin_start(false, true);
    adopt();
    ask_all(calls, CALLS_MAX);
    run_until_count(&w.origin.requests, CALLS_MAX);
    assert_int_equal(w.origin.accepted, CALLS_MAX);
    finish_all(calls, CALLS_MAX);
}

static void h2_speaks_with_prior_knowledge_on_plain_connections(void **state UNUSED)
{
    struct call calls[CALLS_MAX] = {0};

    w.group.protocol = PROTOCOL_H2;
    w.group.tls = NULL;
    w.origin.is_h2 = true;
    origin_start(false, false);
    adopt();
    ask_all(calls, CALLS_MAX);
    for (unsigned i = 0; i < CALLS_MAX; i++)
        run_until_count(&calls[i].heads, 1);
    assert_int_equal(w.origin.accepted, 1);
    finish_all(calls, CALLS_MAX);
}

static void beyond_the_origins_limit_another_connection_is_made(void **state UNUSED)
{
    struct call first = {0}, calls[4] = {0};

    w.group.protocol = PROTOCOL_H2;
    w.group.tls = NULL;
    w.origin.is_h2 = true;
    w.origin.max_streams = 2;
    origin_start(false, false);
    adopt();
    ask(&first); /* so that the origin's SETTINGS are known */
    run_until_count(&first.heads, 1);
    finish(&first);
    w.origin.holds_answers = true;
    ask_all(calls, 4);
    run_until_count(&w.origin.requests, 5);
    assert_in_range(w.origin.accepted, 2, 3);
    finish_all(calls, 4);
}

static void a_broken_h2_connection_resets_all_its_requests(void **state UNUSED)
{
    struct call calls[2] = {0};

    w.group.protocol = PROTOCOL_H2;
    w.group.tls = NULL;
    w.origin.is_h2 = w.origin.holds_answers = true;
    origin_start(false, false);
    adopt();
    ask_all(calls, 2);
    run_until_count(&w.origin.requests, 2);
    struct conn *conn = w.origin.conns[0].conn;
    origin_end(&w.origin.conns[0]);
    conn_abort(conn);
    run_until_count(&calls[0].resets, 1);
    run_until_count(&calls[1].resets, 1);
    finish_all(calls, 2);
    assert_int_equal(open_connections(), 0);
}

/* --- a storm --------------------------------------------------------------------------------- */

struct storm {
    struct call calls[STORM_CALLS];
    uint64_t dice;
    unsigned ticks, answered, refused;
};

static bool one_in(struct storm *storm, unsigned n)
{
    return rand_next(&storm->dice) % n == 0;
}

static void break_some_connection(struct storm *storm)
{
    struct origin_conn *c = &w.origin.conns[rand_next(&storm->dice) % MAX(w.origin.accepted, 1u)];
    struct conn *conn = c->conn;

    origin_end(c);
    if (conn != NULL)
        conn_abort(conn);
}

static void storm_ask(struct storm *storm, struct call *call)
{
    struct target *target = group_target(upstream_group(w.upstream, 0), 0);
    const struct endpoint *avoid = one_in(storm, 3) ? call->lease.endpoint : NULL;

    call->ready = call->failed = call->heads = call->resets = 0;
    call->lease.on_ready = got_ready;
    call->lease.on_failed = got_failed;
    enum reason reason =
        upstream_acquire(target, &call->lease, &call->arena, &handler, call,
                         one_in(storm, 4) ? LEASE_FRESH : LEASE_ANY, avoid, one_in(storm, 2));
    storm->refused += reason != REASON_NONE;
    if (call->lease.state == LEASE_HELD)
        got_ready(&call->lease);
}

static void storm_call(struct storm *storm, struct call *call)
{
    assert_true(call->ready + call->failed <= 1);
    if (call->heads > 0 || call->resets > 0 || one_in(storm, 12)) {
        storm->answered += call->heads > 0;
        finish(call);
        call->heads = call->resets = 0;
    }
    if (call->lease.state == LEASE_NONE && one_in(storm, 2))
        storm_ask(storm, call);
}

static void on_storm_tick(void *arg)
{
    struct storm *storm = arg;

    for (size_t i = 0; i < STORM_CALLS; i++)
        storm_call(storm, &storm->calls[i]);
    if (one_in(storm, 5))
        break_some_connection(storm);
    if (one_in(storm, 30)) {
        w.target_conf.name = one_in(storm, 2) ? STR("web") : STR("new");
        w.target_conf.host_count = 1 + one_in(storm, 2);
        adopt();
    }
    w.origin.holds_answers = one_in(storm, 8);
    if (++storm->ticks == STORM_TICKS)
        loop_stop(w.loop);
}

/* Answers, cuts, cancellations, refused connections and reloads in every order: each request hears
 * of its fate at most once, and in the end nothing is left over. */
static void weather_a_storm(enum upstream_protocol protocol)
{
    struct storm *storm = mem_new(sizeof(*storm));
    struct host_conf hosts[2];

    w.group.protocol = protocol;
    w.group.tls = NULL;
    w.group.max_connections = 4;
    w.group.max_idle = 2;
    w.group.max_requests = 20;
    w.origin.is_h2 = protocol == PROTOCOL_H2;
    w.origin.max_streams = 3;
    origin_start(false, false);
    hosts[0] = hosts[1] = w.host;
    hosts[1].addr.in.sin_port = htons(1); /* nobody listens there */
    w.target_conf.hosts = hosts;
    adopt();
    storm->dice = 7;
    struct ticker *ticker = ticker_new(w.loop, 1, on_storm_tick, storm);
    loop_run(w.loop);
    ticker_free(ticker);
    for (size_t i = 0; i < STORM_CALLS; i++)
        finish(&storm->calls[i]);
    assert_true(storm->answered > STORM_TICKS);
    w.config.group_count = 0;
    adopt();
    wait_for_ms(w.loop, 100);
    assert_int_equal(open_connections(), 0);
    free(storm);
}

static void h1_weathers_a_storm(void **state UNUSED)
{
    weather_a_storm(PROTOCOL_H1);
}

static void h2_weathers_a_storm(void **state UNUSED)
{
    weather_a_storm(PROTOCOL_H2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_verified_origin_answers),
        TEST(a_wrong_name_is_refused),
        TEST(the_address_is_verified_where_no_name_is_given),
        TEST(a_plain_origin_is_no_tls_origin),
        TEST(a_silent_origin_is_given_up_in_time),
        TEST(a_changed_bundle_makes_new_connections),
        TEST(h2_requests_share_one_connection),
        TEST(auto_makes_more_connections_where_only_h1_is_spoken),
        TEST(h2_speaks_with_prior_knowledge_on_plain_connections),
        TEST(beyond_the_origins_limit_another_connection_is_made),
        TEST(a_broken_h2_connection_resets_all_its_requests),
        TEST(h1_weathers_a_storm),
        TEST(h2_weathers_a_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
