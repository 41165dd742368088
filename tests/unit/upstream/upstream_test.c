/* Leases and pools against origins on loopback that the test itself plays: each test tells, line by
 * line, what the upstream's user, the loop and the origin do. */
#include "discovery/endpoint_set.h"
#include "upstream/group.h"
#include "upstream/upstream.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../wait_for.h"

enum { HOSTS_MAX = 4 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* --- a worker and its configuration ---------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct tls_library *tls_library;
    struct metrics *metrics;
    struct upstream *upstream;
    struct mailbox *mailbox;
    struct host_conf hosts[HOSTS_MAX];
    struct target_conf target_conf;
    struct group_conf group;
    struct config config;
};

static struct world w;

static int setup(void **state UNUSED)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    w.tls_library = tls_library_new();
    w.metrics = metrics_new();
    w.upstream = upstream_new(w.loop, w.tls_library, w.metrics);
    w.mailbox = mailbox_new(w.loop);
    upstream_receive(w.upstream, w.mailbox);
    w.target_conf = (struct target_conf){.name = STR("web"), .datacenter = -1, .hosts = w.hosts};
    w.group = (struct group_conf){
        .name = STR("mw-web"),
        .targets = &w.target_conf,
        .target_count = 1,
        .balance = BALANCE_ROUND_ROBIN,
        .timeouts = {.connect_ms = 2000, .idle_ms = 10000, .pool_idle_ms = 4000},
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
    mailbox_free(&w.mailbox);
    loop_free(w.loop);
    tls_library_free(w.tls_library);
    metrics_free(w.metrics);
    return 0;
}

static void adopt(void)
{
    upstream_adopt(w.upstream, &w.config, NULL);
}

static struct target *target(void)
{
    return group_target(upstream_group(w.upstream, 0), 0);
}

/* --- the loop, until something is so --------------------------------------------------------- */

static void run_until(bool (*is_so)(const void *arg), const void *arg)
{
    wait_until(w.loop, is_so, arg);
}

static void run_for(int64_t ms)
{
    wait_for_ms(w.loop, ms);
}

static uint64_t open_connections(void)
{
    return metric_get(&w.metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN]);
}

static bool all_closed(const void *arg UNUSED)
{
    return open_connections() == 0;
}

/* --- origins --------------------------------------------------------------------------------- */

static int origin_open(size_t host)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct addr addr = {.len = sizeof(addr.in)};

    addr.in.sin_family = AF_INET;
    addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    w.hosts[host] = (struct host_conf){.name = STR("127.0.0.1"), .addr = addr};
    w.target_conf.host_count = MAX(w.target_conf.host_count, host + 1);
    return fd;
}

/* A port that nobody listens on. */
static void origin_missing(size_t host)
{
    close(origin_open(host));
}

static bool is_readable(const void *fd)
{
    struct pollfd p = {.fd = *(const int *)fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static int origin_accept(int origin)
{
    run_until(is_readable, &origin);
    int fd = accept(origin, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void origin_expect_request(int fd)
{
    char bytes[1024];

    run_until(is_readable, &fd);
    assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
}

static void origin_say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* True when the other side has ended. */
static void origin_expect_end(int fd)
{
    char bytes[1024];
    ssize_t n;

    do {
        run_until(is_readable, &fd);
        n = recv(fd, bytes, sizeof(bytes), 0);
    } while (n > 0);
    close(fd);
}

/* --- a user ---------------------------------------------------------------------------------- */

struct call {
    struct lease lease;
    struct arena arena;
    int ready, failed, heads, ends, resets;
    enum reason reason;
    bool releases_inside; /* at the end, inside the callback */
};

static void finish(struct call *call, bool ok)
{
    upstream_release(&call->lease, ok);
    arena_reset(&call->arena);
}

static void saw_head(struct stream *stream, struct head *head UNUSED, enum end end UNUSED)
{
    ((struct call *)stream->arg)->heads++;
}

static void saw_body(struct stream *stream, struct slice data UNUSED, enum end end)
{
    struct call *call = stream->arg;

    call->ends += end == END;
    if (end == END && call->releases_inside)
        finish(call, true);
}

static void saw_trailers(struct stream *stream UNUSED, struct field *fields UNUSED,
                         size_t count UNUSED)
{
}

static void saw_writable(struct stream *stream UNUSED)
{
}

static void saw_reset(struct stream *stream, enum reason reason)
{
    struct call *call = stream->arg;

    call->resets++;
    call->reason = reason;
    if (call->releases_inside)
        finish(call, false);
}

static const struct stream_handler handler = {saw_head, saw_body, saw_trailers, saw_writable,
                                              saw_reset};

static void got_ready(struct lease *lease)
{
    CONTAINER_OF(lease, struct call, lease)->ready++;
}

static void got_failed(struct lease *lease, enum reason reason)
{
    struct call *call = CONTAINER_OF(lease, struct call, lease);

    call->failed++;
    call->reason = reason;
}

static enum reason ask_for(struct call *call, enum lease_want want, const struct endpoint *avoid,
                           bool is_idempotent)
{
    call->lease.on_ready = got_ready;
    call->lease.on_failed = got_failed;
    return upstream_acquire(target(), &call->lease, &call->arena, &handler, call, want, avoid,
                            is_idempotent);
}

static void ask(struct call *call)
{
    assert_int_equal(ask_for(call, LEASE_ANY, NULL, true), REASON_NONE);
}

static bool is_ready(const void *call)
{
    return ((const struct call *)call)->lease.state == LEASE_HELD;
}

static bool has_failed(const void *call)
{
    return ((const struct call *)call)->failed > 0;
}

static bool has_ended(const void *call)
{
    return ((const struct call *)call)->ends > 0;
}

static bool was_reset(const void *call)
{
    return ((const struct call *)call)->resets > 0;
}

static void send_get(struct call *call)
{
    struct head head;

    head_init(&head, &call->arena);
    head.method = METHOD_GET;
    head.method_text = STR("GET");
    head.path = STR("/");
    head.authority = STR("a.example");
    head_add_id(&head, HEADER_HOST, head.authority);
    stream_send_head(call->lease.stream, &head, END);
}

/* A whole exchange; the origin's side of the connection stays open and is returned. */
static int exchange_on_new_connection(int origin)
{
    struct call call = {0};

    ask(&call);
    assert_int_equal(call.lease.state, LEASE_WAITING);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    send_get(&call);
    origin_expect_request(fd);
    origin_say(fd, answer);
    run_until(has_ended, &call);
    finish(&call, true);
    return fd;
}

/* --- reuse ----------------------------------------------------------------------------------- */

static void a_connection_is_used_again(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    ask(&call);
    assert_int_equal(call.lease.state, LEASE_HELD);
    assert_true(call.lease.was_reused);
    send_get(&call);
    origin_expect_request(fd);
    origin_say(fd, answer);
    run_until(has_ended, &call);
    finish(&call, true);
    assert_int_equal(open_connections(), 1);
    assert_int_equal(metric_get(&w.metrics->counters[COUNTER_UP_CONNECTS]), 1);
    assert_int_equal(metric_get(&w.metrics->counters[COUNTER_UP_REUSED]), 1);
    close(fd);
    close(origin);
}

static void a_lease_may_be_released_inside_the_last_callback(void **state UNUSED)
{
    struct call call = {.releases_inside = true}, next = {0};
    int origin = origin_open(0);

    adopt();
    ask(&call);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    send_get(&call);
    origin_expect_request(fd);
    origin_say(fd, answer);
    run_until(has_ended, &call);
    ask(&next);
    assert_int_equal(next.lease.state, LEASE_HELD);
    finish(&next, true);
    close(fd);
    close(origin);
}

static void a_fresh_lease_never_gets_a_used_connection(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    w.group.max_connections = 1; /* so that the idle one has to go for it */
    adopt();
    int old = exchange_on_new_connection(origin);
    assert_int_equal(ask_for(&call, LEASE_FRESH, NULL, true), REASON_NONE);
    assert_int_equal(call.lease.state, LEASE_WAITING);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    assert_false(call.lease.was_reused);
    finish(&call, true);
    origin_expect_end(old);
    close(fd);
    close(origin);
}

static void a_connection_the_origin_closes_is_dropped(void **state UNUSED)
{
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    close(fd);
    run_until(all_closed, NULL);
    close(exchange_on_new_connection(origin));
    close(origin);
}

static void unrequested_bytes_close_an_idle_connection(void **state UNUSED)
{
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    origin_say(fd, answer);
    origin_expect_end(fd);
    assert_int_equal(open_connections(), 0);
    close(origin);
}

static void bytes_behind_an_answer_close_the_connection(void **state UNUSED)
{
    struct call call = {.releases_inside = true};
    int origin = origin_open(0);

    adopt();
    ask(&call);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    send_get(&call);
    origin_expect_request(fd);
    origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    run_until(has_ended, &call);
    origin_expect_end(fd);
    close(origin);
}

static void a_post_is_not_sent_on_a_connection_just_closed(void **state UNUSED)
{
    struct call get = {0}, post = {0};
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    close(fd); /* the loop has not turned: nobody knows yet */
    assert_int_equal(ask_for(&post, LEASE_ANY, NULL, false), REASON_NONE);
    assert_int_equal(post.lease.state, LEASE_WAITING);
    finish(&post, false);

    fd = exchange_on_new_connection(origin);
    assert_int_equal(ask_for(&get, LEASE_ANY, NULL, false), REASON_NONE);
    assert_int_equal(get.lease.state, LEASE_HELD); /* alive: no reason not to */
    finish(&get, true);
    close(fd);
    close(origin);
}

static void limits_end_connections(void **state UNUSED)
{
    int origin = origin_open(0);

    w.group.max_requests = 1;
    adopt();
    origin_expect_end(exchange_on_new_connection(origin));

    w.group.max_requests = 0;
    w.group.max_idle = 0;
    origin_expect_end(exchange_on_new_connection(origin));

    w.group.max_idle = 10;
    w.group.timeouts.pool_idle_ms = 20;
    origin_expect_end(exchange_on_new_connection(origin));
    run_until(all_closed, NULL);
    close(origin);
}

/* --- the queue ------------------------------------------------------------------------------- */

static void requests_beyond_the_limit_wait_their_turn(void **state UNUSED)
{
    struct call first = {0}, second = {0}, third = {0}, fourth = {0};
    int origin = origin_open(0);

    w.group.max_connections = 1;
    w.group.max_pending = 2;
    adopt();
    ask(&first);
    int fd = origin_accept(origin);
    run_until(is_ready, &first);
    ask(&second);
    ask(&third);
    assert_int_equal(ask_for(&fourth, LEASE_ANY, NULL, true), REASON_UPSTREAM_OVERFLOW);
    finish(&first, true); /* nothing was sent: as good as new */
    run_until(is_ready, &second);
    assert_int_equal(third.ready, 0);
    finish(&second, true);
    run_until(is_ready, &third);
    finish(&third, true);
    finish(&fourth, false);
    assert_int_equal(metric_get(&w.metrics->counters[COUNTER_UP_CONNECTS]), 1);
    close(fd);
    close(origin);
}

static void an_address_that_is_listed_twice_is_one_endpoint(void **state UNUSED)
{
    struct call first = {0}, second = {0};
    int origin = origin_open(0);

    w.hosts[1] = w.hosts[0];
    w.target_conf.host_count = 2;
    w.group.max_connections = 1;
    adopt();
    ask(&first);
    int fd = origin_accept(origin);
    run_until(is_ready, &first);
    ask(&second);
    run_for(20);
    assert_int_equal(second.ready, 0);
    assert_int_equal(metric_get(&w.metrics->counters[COUNTER_UP_CONNECTS]), 1);
    finish(&second, false);
    finish(&first, false);
    close(fd);
    close(origin);
}

static void a_request_that_waits_too_long_fails(void **state UNUSED)
{
    struct call first = {0}, second = {0};
    int origin = origin_open(0);

    w.group.max_connections = 1;
    w.group.timeouts.connect_ms = 100;
    adopt();
    ask(&first);
    int fd = origin_accept(origin);
    run_until(is_ready, &first);
    ask(&second);
    run_until(has_failed, &second);
    assert_int_equal(second.reason, REASON_UPSTREAM_CONNECT_TIMEOUT);
    finish(&second, false);
    finish(&first, true);
    close(fd);
    close(origin);
}

static void a_cancelled_wait_leaves_its_connection_to_others(void **state UNUSED)
{
    struct call gone = {0}, next = {0};
    int origin = origin_open(0);

    adopt();
    ask(&gone);
    finish(&gone, false);
    int fd = origin_accept(origin);
    run_for(30);
    assert_int_equal(gone.ready + gone.failed, 0);
    ask(&next);
    assert_int_equal(next.lease.state, LEASE_HELD);
    assert_false(next.lease.was_reused);
    finish(&next, true);
    close(fd);
    close(origin);
}

static void a_cancelled_request_closes_its_connection(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    adopt();
    ask(&call);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    send_get(&call);
    origin_expect_request(fd);
    finish(&call, false);
    origin_expect_end(fd);
    assert_int_equal(open_connections(), 0);
    close(origin);
}

/* --- failures -------------------------------------------------------------------------------- */

static void a_refused_connection_fails_its_request_by_name(void **state UNUSED)
{
    struct call call = {0};
    char name[ADDR_TEXT_MAX];

    origin_missing(0);
    adopt();
    size_t len = addr_format(&w.hosts[0].addr, name);
    ask(&call);
    run_until(has_failed, &call);
    assert_int_equal(call.reason, REASON_UPSTREAM_CONNECT);
    assert_true(str_eq(endpoint_name(call.lease.endpoint), str_make(name, len)));
    assert_int_equal(metric_get(&metrics_group(w.metrics, STR("mw-web"), "-")->connect_failures),
                     1);
    finish(&call, false);
    assert_null(call.lease.endpoint);
}

static void a_retry_goes_to_another_endpoint(void **state UNUSED)
{
    struct call call = {0};

    origin_missing(0);
    int origin = origin_open(1);
    adopt();
    ask(&call);
    run_until(has_failed, &call);
    assert_int_equal(ask_for(&call, LEASE_FRESH, call.lease.endpoint, true), REASON_NONE);
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    finish(&call, true);
    close(fd);
    close(origin);
}

static int spend_retries(int group)
{
    int retries = 0;

    while (retries < 100 && group_spend_retry(upstream_group(w.upstream, group)))
        retries++;
    return retries;
}

static void a_reload_keeps_what_each_group_has_saved_for_retries(void **state UNUSED)
{
    static struct group_conf after[2]; /* outlives the test: upstream_free looks at it */
    static struct group_conf before[2];
    struct config first = {.groups = before, .group_count = 2};

    before[0] = before[1] = w.group;
    before[1].name = STR("mw-api");
    before[0].retry_budget.share = SHARE_MAX / 5;
    before[0].retry_budget.ceiling = before[1].retry_budget.ceiling = 100;
    upstream_adopt(w.upstream, &first, NULL);
    for (int i = 0; i < 10; i++)
        group_earn_retry(upstream_group(w.upstream, 0));
    group_earn_retry(upstream_group(w.upstream, 1));

    after[0] = before[1];
    after[1] = before[0];
    after[0].retry_budget.floor = 3; /* a new limit holds at once */
    w.config = (struct config){.groups = after, .group_count = 2};
    adopt();
    assert_int_equal(spend_retries(1), 2);
    assert_int_equal(spend_retries(0), 3);
}

static void a_failing_endpoint_fails_only_requests_that_wait_for_it(void **state UNUSED)
{
    struct call bad = {0}, good = {0};

    origin_missing(0);
    int origin = origin_open(1);
    adopt();
    ask(&bad);
    ask(&good);
    run_until(has_failed, &bad);
    int fd = origin_accept(origin);
    run_until(is_ready, &good);
    assert_int_equal(good.failed, 0);
    finish(&bad, false);
    finish(&good, true);
    close(fd);
    close(origin);
}

static void a_connection_that_breaks_resets_its_request(void **state UNUSED)
{
    struct call inside = {.releases_inside = true}, later = {0};
    int origin = origin_open(0);

    adopt();
    ask(&inside);
    int fd = origin_accept(origin);
    run_until(is_ready, &inside);
    send_get(&inside);
    origin_expect_request(fd);
    origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    close(fd);
    run_until(was_reset, &inside);
    assert_int_equal(inside.heads, 1);

    ask(&later);
    fd = origin_accept(origin);
    run_until(is_ready, &later);
    send_get(&later);
    origin_expect_request(fd);
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    run_until(was_reset, &later);
    run_for(20); /* the lease outlives its connection */
    finish(&later, false);
    run_until(all_closed, NULL);
    close(origin);
}

/* --- configurations come and go -------------------------------------------------------------- */

static void a_reload_keeps_warm_connections(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    struct target *before = target();
    adopt();
    assert_ptr_equal(target(), before);
    ask(&call);
    assert_int_equal(call.lease.state, LEASE_HELD);
    finish(&call, true);

    int other = origin_open(1); /* one more endpoint changes nothing for the first */
    adopt();
    assert_int_equal(open_connections(), 1);
    close(fd);
    close(origin);
    close(other);
}

static void a_removed_endpoint_finishes_its_requests(void **state UNUSED)
{
    struct call call = {.releases_inside = true};
    int origin = origin_open(0);

    adopt();
    int idle = exchange_on_new_connection(origin);
    ask(&call);
    send_get(&call);
    origin_expect_request(idle);
    struct addr keep = w.hosts[0].addr;
    int other = origin_open(0);
    adopt();
    origin_say(idle, answer);
    run_until(has_ended, &call);
    origin_expect_end(idle);
    assert_false(addr_eq(&keep, &w.hosts[0].addr));
    close(exchange_on_new_connection(other));
    close(origin);
    close(other);
}

static void a_removed_target_finishes_its_requests(void **state UNUSED)
{
    struct call call = {.releases_inside = true}, waiting = {0};
    int origin = origin_open(0);

    w.group.max_connections = 1;
    adopt();
    int fd = exchange_on_new_connection(origin);
    ask(&call);
    ask(&waiting);
    send_get(&call);
    w.target_conf.name = STR("web-new");
    adopt();
    origin_expect_request(fd);
    origin_say(fd, answer);
    run_until(has_ended, &call);
    run_until(is_ready, &waiting);
    finish(&waiting, true);
    origin_expect_end(fd);
    close(origin);
}

static void requests_that_wait_for_a_removed_endpoint_fail(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    adopt();
    ask(&call);
    w.target_conf.host_count = 0;
    adopt();
    assert_int_equal(call.failed, 0); /* news come from the loop only */
    run_until(has_failed, &call);
    assert_int_equal(call.reason, REASON_UPSTREAM_NO_ENDPOINT);
    finish(&call, false);
    close(origin);
}

static void without_groups_all_connections_close(void **state UNUSED)
{
    int origin = origin_open(0);

    adopt();
    int fd = exchange_on_new_connection(origin);
    w.config.group_count = 0;
    adopt();
    origin_expect_end(fd);
    close(origin);
}

/* --- names ----------------------------------------------------------------------------------- */

static void name_host(size_t i, uint16_t port)
{
    w.hosts[i] =
        (struct host_conf){.name = STR("web.test"), .lookup = STR("web.test"), .port = port};
    w.target_conf.host_count = i + 1;
}

static void tell(const char *ip)
{
    struct addr addr;

    assert_int_equal(addr_parse_ip(str_of(ip), 0, &addr), 0);
    struct endpoint_set *set = endpoint_set_of_addresses(STR("web.test"), &addr, 1);
    endpoint_letter_send(w.mailbox, set, ENDPOINTS_CHANGED);
    endpoint_set_unref(&set);
}

static void a_request_waits_for_the_first_answer(void **state UNUSED)
{
    struct call call = {0};
    int origin = origin_open(0);

    name_host(0, addr_port(&w.hosts[0].addr));
    adopt();
    ask(&call);
    assert_int_equal(call.lease.state, LEASE_WAITING);
    run_for(20);
    tell("127.0.0.1");
    int fd = origin_accept(origin);
    run_until(is_ready, &call);
    finish(&call, true);

    tell("127.0.0.1"); /* no change: the pool stays */
    run_for(20);
    assert_int_equal(open_connections(), 1);
    tell("127.0.0.9");
    origin_expect_end(fd);
    close(origin);
}

static void a_name_that_has_no_address_fails_requests(void **state UNUSED)
{
    struct call call = {0}, next = {0};

    name_host(0, 80);
    adopt();
    ask(&call);
    struct endpoint_set *set = endpoint_set_of_addresses(STR("web.test"), NULL, 0);
    endpoint_letter_send(w.mailbox, set, ENDPOINTS_CHANGED);
    endpoint_set_unref(&set);
    run_until(has_failed, &call);
    assert_int_equal(call.reason, REASON_UPSTREAM_NO_ENDPOINT);
    assert_int_equal(ask_for(&next, LEASE_ANY, NULL, true), REASON_UPSTREAM_NO_ENDPOINT);
    finish(&call, false);
    finish(&next, false);
}

static void tell_set(const char *const *ips, size_t count, bool is_gone)
{
    struct addr addrs[2];

    for (size_t i = 0; i < count; i++)
        assert_int_equal(addr_parse_ip(str_of(ips[i]), 0, &addrs[i]), 0);
    struct endpoint_set *set = endpoint_set_of_addresses(STR("web.test"), addrs, count);
    set->is_gone = is_gone;
    endpoint_letter_send(w.mailbox, set, ENDPOINTS_CHANGED);
    endpoint_set_unref(&set);
    run_for(20);
}

static void a_nonexistent_name_keeps_its_addresses_unless_the_group_drops_them(void **state UNUSED)
{
    static const char *const ips[] = {"127.0.0.1"};
    struct call kept = {0}, dropped = {0};
    int origin = origin_open(0);

    name_host(0, addr_port(&w.hosts[0].addr));
    adopt();
    tell_set(ips, 1, true);
    ask(&kept);
    close(origin_accept(origin));
    run_until(is_ready, &kept);
    finish(&kept, false);

    w.group.on_nxdomain = NXDOMAIN_DROP;
    adopt();
    assert_int_equal(ask_for(&dropped, LEASE_ANY, NULL, true), REASON_UPSTREAM_NO_ENDPOINT);
    finish(&dropped, false);
    close(origin);
}

static void a_group_uses_the_addresses_of_its_family_only(void **state UNUSED)
{
    static const char *const ips[] = {"127.0.0.1", "::1"};
    struct call call = {0}, none = {0};
    int origin = origin_open(0);

    name_host(0, addr_port(&w.hosts[0].addr));
    w.group.family = FAMILY_IPV4;
    adopt();
    tell_set(ips, 2, false);
    ask(&call);
    close(origin_accept(origin));
    run_until(is_ready, &call);
    finish(&call, false);

    w.group.family = FAMILY_IPV6;
    adopt();
    tell_set(ips, 1, false);
    assert_int_equal(ask_for(&none, LEASE_ANY, NULL, true), REASON_UPSTREAM_NO_ENDPOINT);
    finish(&none, false);
    close(origin);
}

static void waiting_for_a_name_has_a_deadline(void **state UNUSED)
{
    struct call call = {0};

    name_host(0, 80);
    w.group.timeouts.connect_ms = 50;
    adopt();
    ask(&call);
    run_until(has_failed, &call);
    assert_int_equal(call.reason, REASON_UPSTREAM_NO_ENDPOINT);
    finish(&call, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_used_again),
        TEST(a_lease_may_be_released_inside_the_last_callback),
        TEST(a_fresh_lease_never_gets_a_used_connection),
        TEST(a_connection_the_origin_closes_is_dropped),
        TEST(unrequested_bytes_close_an_idle_connection),
        TEST(bytes_behind_an_answer_close_the_connection),
        TEST(a_post_is_not_sent_on_a_connection_just_closed),
        TEST(limits_end_connections),
        TEST(requests_beyond_the_limit_wait_their_turn),
        TEST(an_address_that_is_listed_twice_is_one_endpoint),
        TEST(a_request_that_waits_too_long_fails),
        TEST(a_cancelled_wait_leaves_its_connection_to_others),
        TEST(a_cancelled_request_closes_its_connection),
        TEST(a_refused_connection_fails_its_request_by_name),
        TEST(a_retry_goes_to_another_endpoint),
        TEST(a_reload_keeps_what_each_group_has_saved_for_retries),
        TEST(a_failing_endpoint_fails_only_requests_that_wait_for_it),
        TEST(a_connection_that_breaks_resets_its_request),
        TEST(a_reload_keeps_warm_connections),
        TEST(a_removed_endpoint_finishes_its_requests),
        TEST(a_removed_target_finishes_its_requests),
        TEST(requests_that_wait_for_a_removed_endpoint_fail),
        TEST(without_groups_all_connections_close),
        TEST(a_request_waits_for_the_first_answer),
        TEST(a_name_that_has_no_address_fails_requests),
        TEST(a_nonexistent_name_keeps_its_addresses_unless_the_group_drops_them),
        TEST(a_group_uses_the_addresses_of_its_family_only),
        TEST(waiting_for_a_name_has_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
