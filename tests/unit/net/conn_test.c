/* Connections over socket pairs and loopback: what is promised in net/conn.h, seen from both
 * ends. */
#include "net/conn.h"
#include "net/listener.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a handler that remembers ---------------------------------------------------------------- */

struct watcher {
    struct loop *loop;
    struct conn *conn;
    bool echo, keep; /* answer with the same bytes; keep by reference */
    size_t use_max;  /* use at most so many bytes of what is offered (SIZE_MAX: all) */
    size_t stop_at;  /* stop the loop after so many bytes in all; 0: never */
    size_t offers, bytes, last_offer;
    int opened, eofs, writables, closed;
    enum reason reason;
    char error[128];
    void (*then)(struct watcher *w); /* called in on_data */
    char text[64];
};

static void saw_open(struct conn *conn)
{
    struct watcher *w = conn_arg(conn);

    w->opened++;
}

static size_t saw_data(struct conn *conn, struct slice data)
{
    struct watcher *w = conn_arg(conn);
    size_t used = MIN(data.len, w->use_max);

    w->offers++;
    w->last_offer = data.len;
    for (size_t i = 0; i < used && w->bytes + i < sizeof(w->text) - 1; i++)
        w->text[w->bytes + i] = data.ptr[i];
    w->bytes += used;
    if (w->echo) {
        bufq_add(conn_out(conn), (struct slice){w->keep ? data.buf : NULL, data.ptr, used});
        conn_flush_later(conn);
    }
    if (w->then != NULL)
        w->then(w);
    if (w->stop_at > 0 && w->bytes >= w->stop_at)
        loop_stop(w->loop);
    return used;
}

static void saw_eof(struct conn *conn)
{
    struct watcher *w = conn_arg(conn);

    w->eofs++;
    loop_stop(w->loop);
}

static void saw_writable(struct conn *conn)
{
    struct watcher *w = conn_arg(conn);

    w->writables++;
}

static void saw_closed(struct conn *conn, enum reason reason)
{
    struct watcher *w = conn_arg(conn);

    w->closed++;
    w->reason = reason;
    snprintf(w->error, sizeof(w->error), "%s", conn_error_text(conn));
    loop_stop(w->loop);
}

static const struct conn_handler watcher_handler = {
    .on_open = saw_open,
    .on_data = saw_data,
    .on_eof = saw_eof,
    .on_writable = saw_writable,
    .on_closed = saw_closed,
};

/* Turns of the loop without waiting for anything in particular. */
static void stop_soon(void *arg)
{
    loop_stop(arg);
}

static void run_for_ms(struct loop *loop, int64_t ms)
{
    struct ticker *ticker = ticker_new(loop, ms, stop_soon, loop);

    loop_run(loop);
    ticker_free(ticker);
}

static int pair_with(struct loop *loop, struct watcher *w, struct conn_limits limits)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->loop = loop;
    if (w->use_max == 0)
        w->use_max = SIZE_MAX;
    w->conn = conn_accepted(loop, fds[0], &watcher_handler, w, limits);
    return fds[1];
}

static void send_all(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* --- promises -------------------------------------------------------------------------------- */

static void bytes_are_echoed_and_the_slab_is_returned(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.echo = true, .stop_at = 5};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    char back[16];

    send_all(peer, "hello", 5);
    loop_run(loop);
    assert_int_equal(w.opened, 1);
    assert_int_equal(recv(peer, back, sizeof(back), 0), 5);
    assert_memory_equal(back, "hello", 5);
    assert_int_equal(loop_bufs(loop)->in_use, 0);
    assert_int_equal(conn_bytes_in(w.conn), 5);
    assert_int_equal(conn_bytes_out(w.conn), 5);
    conn_abort(w.conn);
    conn_abort(w.conn);
    close(peer);
    loop_free(loop);
}

static void unused_bytes_are_offered_again_with_new_ones_behind(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = 2};
    int peer = pair_with(loop, &w, (struct conn_limits){0});

    send_all(peer, "abcd", 4);
    run_for_ms(loop, 1);
    assert_int_equal(w.offers, 1);
    assert_int_equal(conn_unused(w.conn), 2);

    send_all(peer, "ef", 2);
    run_for_ms(loop, 1);
    assert_int_equal(w.offers, 2);
    assert_int_equal(w.last_offer, 4);
    assert_string_equal(w.text, "abcd");

    conn_kick(w.conn);
    run_for_ms(loop, 1);
    assert_string_equal(w.text, "abcdef");
    assert_int_equal(loop_bufs(loop)->in_use, 0);
    conn_abort(w.conn);
    close(peer);
    loop_free(loop);
}

static size_t send_until_full(int fd, size_t limit)
{
    static const char zeros[4096];
    size_t sent = 0;

    while (sent < limit) {
        ssize_t n = send(fd, zeros, MIN(sizeof(zeros), limit - sent), MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static void a_handler_that_uses_nothing_is_bounded(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = 0};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    size_t sent = 0;

    w.use_max = 0;
    for (int i = 0; i < 100 && w.closed == 0; i++) {
        sent += send_until_full(peer, 16384);
        run_for_ms(loop, 1);
        if (w.closed == 0)
            assert_int_equal(conn_unused(w.conn), sent);
        assert_true(loop_bufs(loop)->bytes_in_use <= CONN_UNUSED_MAX);
    }
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.reason, REASON_CLIENT_RESET);
    assert_true(w.last_offer > 100 * 1024);
    close(peer);
    loop_free(loop);
}

static void a_paused_connection_reads_nothing_until_resumed(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){0});

    run_for_ms(loop, 1);
    conn_pause(w.conn);
    send_all(peer, "xyz", 3);
    run_for_ms(loop, 5);
    assert_int_equal(w.offers, 0);
    conn_resume(w.conn);
    run_for_ms(loop, 1);
    assert_string_equal(w.text, "xyz");
    conn_abort(w.conn);
    close(peer);
    loop_free(loop);
}

static unsigned last_turn;
static size_t turn_bytes; /* offered in that turn */

static void take_long(struct watcher *w)
{
    if (loop_turns(w->loop) != last_turn)
        turn_bytes = 0;
    last_turn = loop_turns(w->loop);
    turn_bytes += w->last_offer;
    usleep(20 * 1000);
}

static void a_loop_that_takes_long_reads_less_of_each(void **state UNUSED)
{
    static char bytes[150 * 1000];
    struct loop *loop = loop_new();
    struct watcher w = {.then = take_long, .stop_at = sizeof(bytes)};
    int peer = pair_with(loop, &w, (struct conn_limits){0});

    send_all(peer, bytes, sizeof(bytes));
    loop_run(loop);
    assert_true(turn_bytes <= LOOP_SHARE_MAX / 4);
    assert_true(loop_read_share(loop) <= LOOP_SHARE_MAX / 4);

    w.then = NULL;
    for (int i = 0; loop_read_share(loop) < LOOP_SHARE_MAX; i++) { /* short turns again */
        assert_true(i < 1000);
        w.stop_at = w.bytes + 1;
        send_all(peer, "x", 1);
        loop_run(loop);
    }
    conn_abort(w.conn);
    close(peer);
    loop_free(loop);
}

static void pause_self(struct watcher *w)
{
    conn_pause(w->conn);
}

static void a_pause_in_on_data_keeps_the_rest_and_the_end(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = 1, .then = pause_self};
    int peer = pair_with(loop, &w, (struct conn_limits){0});

    send_all(peer, "ab", 2);
    close(peer);
    run_for_ms(loop, 2);
    assert_int_equal(w.offers, 1);
    assert_int_equal(w.eofs, 0);
    conn_resume(w.conn);
    run_for_ms(loop, 2);
    assert_string_equal(w.text, "ab");
    w.then = NULL;
    conn_resume(w.conn);
    run_for_ms(loop, 2);
    assert_int_equal(w.eofs, 1);
    conn_abort(w.conn);
    loop_free(loop);
}

static void
a_slow_reader_fills_the_queue_and_on_writable_is_called_when_it_drains(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    size_t total = 1024 * 1024, read_back = 0;
    char *bytes = calloc(1, total);

    run_for_ms(loop, 1);
    for (size_t i = 0; i < total; i++)
        bytes[i] = (char)(i * 31 >> 3);
    bufq_copy(conn_out(w.conn), bytes, total);
    conn_flush_later(w.conn);
    assert_true(conn_out(w.conn)->bytes > CONN_HIGH_MARK);
    run_for_ms(loop, 1);
    assert_true(conn_out(w.conn)->bytes > CONN_HIGH_MARK);
    assert_int_equal(w.writables, 0);

    char *back = malloc(total);
    while (read_back < total) {
        ssize_t n = recv(peer, back + read_back, total - read_back, 0);
        if (n > 0)
            read_back += (size_t)n;
        else
            run_for_ms(loop, 1);
    }
    assert_memory_equal(back, bytes, total);
    assert_int_equal(w.writables, 1);
    assert_int_equal(loop_bufs(loop)->in_use, 0);
    free(bytes);
    free(back);
    conn_abort(w.conn);
    close(peer);
    loop_free(loop);
}

static void a_reader_that_stops_meets_the_write_deadline(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){.write_ms = 20});
    static char bytes[1024 * 1024];

    run_for_ms(loop, 1);
    bufq_copy(conn_out(w.conn), bytes, sizeof(bytes));
    conn_flush_later(w.conn);
    loop_run(loop);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.reason, REASON_WRITE_TIMEOUT);
    close(peer);
    loop_free(loop);
}

static void closing_sends_queued_bytes_and_waits_for_the_peer(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    char back[16];

    run_for_ms(loop, 1);
    bufq_copy(conn_out(w.conn), "bye", 3);
    conn_close(w.conn);
    conn_close(w.conn);
    run_for_ms(loop, 2);
    assert_int_equal(w.closed, 0);
    assert_int_equal(recv(peer, back, sizeof(back), 0), 3);
    assert_int_equal(recv(peer, back, sizeof(back), 0), 0);

    send_all(peer, "too late", 8); /* swallowed */
    run_for_ms(loop, 2);
    assert_int_equal(w.closed, 0);
    close(peer);
    loop_run(loop);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.reason, REASON_NONE);
    assert_int_equal(w.offers, 0);
    loop_free(loop);
}

static void lingering_ends_after_too_many_bytes(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    size_t sent = 0;

    run_for_ms(loop, 1);
    conn_close(w.conn);
    for (int i = 0; i < 2000 && w.closed == 0; i++) {
        sent += send_until_full(peer, 65536);
        run_for_ms(loop, 1);
    }
    assert_int_equal(w.closed, 1);
    assert_true(sent >= 1024 * 1024 && sent < 2 * 1024 * 1024);
    close(peer);
    loop_free(loop);
}

static void a_half_closed_peer_still_gets_its_answer(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = SIZE_MAX};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    char back[16];

    send_all(peer, "ask", 3);
    shutdown(peer, SHUT_WR);
    loop_run(loop);
    assert_int_equal(w.eofs, 1);
    assert_string_equal(w.text, "ask");
    bufq_copy(conn_out(w.conn), "answer", 6);
    conn_flush_later(w.conn);
    run_for_ms(loop, 2);
    assert_int_equal(recv(peer, back, sizeof(back), 0), 6);
    assert_int_equal(w.eofs, 1);
    conn_close(w.conn);
    loop_run(loop);
    assert_int_equal(w.closed, 1);
    close(peer);
    loop_free(loop);
}

static void abort_self(struct watcher *w)
{
    conn_abort(w->conn);
    loop_stop(w->loop);
}

static void aborting_inside_a_callback_is_safe(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.echo = true, .keep = true, .then = abort_self};
    int peer = pair_with(loop, &w, (struct conn_limits){0});
    static const char bytes[8192];

    send_all(peer, bytes, sizeof(bytes));
    loop_run(loop);
    assert_int_equal(w.closed, 0);
    assert_int_equal(loop_bufs(loop)->in_use, 0);
    close(peer);
    loop_free(loop);
}

static void the_loop_closes_what_is_left(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct watcher w = {.use_max = 1};
    int peer = pair_with(loop, &w, (struct conn_limits){0});

    send_all(peer, "abc", 3);
    run_for_ms(loop, 1);
    assert_int_equal(loop_bufs(loop)->in_use, 1);
    loop_free(loop);
    close(peer);
}

/* --- loopback: listener and connect ---------------------------------------------------------- */

struct acceptor {
    struct loop *loop;
    struct watcher server;
    int count;
};

static void took(void *arg, int fd, const struct addr *peer UNUSED)
{
    struct acceptor *a = arg;

    a->count++;
    a->server.loop = a->loop;
    a->server.conn = conn_accepted(a->loop, fd, &watcher_handler, &a->server,
                                   (struct conn_limits){.handshake_ms = 1000});
}

static void bound_addr(int fd, struct addr *addr)
{
    addr->len = sizeof(addr->un);
    assert_int_equal(getsockname(fd, &addr->sa, &addr->len), 0);
}

static void both_ends_in_one_loop(const char *bind_to)
{
    struct loop *loop = loop_new();
    struct addr addr;
    struct err err;
    assert_int_equal(addr_parse(str_of(bind_to), &addr), 0);
    int fd = listener_open(&addr, &err);
    if (fd < 0 && addr.sa.sa_family == AF_INET6) {
        loop_free(loop); /* no IPv6 here */
        return;
    }
    assert_true(fd >= 0);
    bound_addr(fd, &addr);

    struct acceptor a = {.loop = loop, .server = {.echo = true, .use_max = SIZE_MAX}};
    struct listener_sock *listener = listener_start(loop, fd, took, &a, NULL);
    struct watcher client = {.loop = loop, .use_max = SIZE_MAX, .stop_at = 4};
    client.conn = conn_connect(loop, &addr, &watcher_handler, &client,
                               (struct conn_limits){.connect_ms = 1000});
    bufq_copy(conn_out(client.conn), "ping", 4); /* before it is open: goes out then */
    assert_int_equal(client.opened, 0);
    loop_run(loop);

    assert_int_equal(client.opened, 1);
    assert_int_equal(a.count, 1);
    assert_string_equal(client.text, "ping");
    assert_false(conn_peek_dead(client.conn));
    conn_abort(a.server.conn);
    run_for_ms(loop, 1);
    assert_int_equal(client.eofs + client.closed, 1);
    conn_abort(client.conn);
    listener_stop(listener);
    loop_free(loop);
    if (addr_is_unix(&addr))
        unlink(addr.un.sun_path);
}

static void connections_work_over_every_family(void **state UNUSED)
{
    char unix_path[64];

    both_ends_in_one_loop("127.0.0.1:0");
    both_ends_in_one_loop("[::1]:0");
    snprintf(unix_path, sizeof(unix_path), "unix:/tmp/weir-conn-test-%d.sock", (int)getpid());
    both_ends_in_one_loop(unix_path);
}

static void a_refused_connect_is_reported_from_the_loop(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct addr addr;
    assert_int_equal(addr_parse(STR("unix:/nonexistent/weir.sock"), &addr), 0);
    struct watcher w = {.loop = loop};

    w.conn = conn_connect(loop, &addr, &watcher_handler, &w, (struct conn_limits){0});
    assert_int_equal(w.closed, 0);
    loop_run(loop);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.reason, REASON_UPSTREAM_CONNECT);
    assert_string_equal(w.error, strerror(ENOENT));
    loop_free(loop);
}

static void a_reset_is_reported_as_a_reset(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct addr addr;
    struct err err;
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &addr), 0);
    int listen_fd = listener_open(&addr, &err);
    assert_true(listen_fd >= 0);
    bound_addr(listen_fd, &addr);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &addr.sa, addr.len), 0);
    struct acceptor a = {.loop = loop, .server = {.use_max = SIZE_MAX}};
    struct listener_sock *listener = listener_start(loop, listen_fd, took, &a, NULL);
    run_for_ms(loop, 1);
    assert_int_equal(a.count, 1);
    const struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    loop_run(loop);
    assert_int_equal(a.server.closed, 1);
    assert_int_equal(a.server.reason, REASON_CLIENT_RESET);
    listener_stop(listener);
    loop_free(loop);
}

static void stopping_a_listener_hands_over_its_backlog(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct addr addr;
    struct err err;
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &addr), 0);
    int listen_fd = listener_open(&addr, &err);
    bound_addr(listen_fd, &addr);
    struct acceptor a = {.loop = loop};
    struct listener_sock *listener = listener_start(loop, listen_fd, took, &a, NULL);
    int fds[3];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], &addr.sa, addr.len), 0);
    }
    assert_int_equal(a.count, 0);
    listener_stop(listener);
    assert_int_equal(a.count, 3);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    loop_free(loop);
}

/* A listener on a free port of loopback, which goes into `addr`. */
static struct listener_sock *listen_anywhere(struct acceptor *a, struct addr *addr,
                                             struct listener_figures *figures)
{
    struct err err;

    assert_int_equal(addr_parse(STR("127.0.0.1:0"), addr), 0);
    int fd = listener_open(addr, &err);
    bound_addr(fd, addr);
    return listener_start(a->loop, fd, took, a, figures);
}

static void a_process_without_descriptors_refuses_and_keeps_running(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct addr addr;
    struct listener_figures figures = {0};
    struct acceptor a = {.loop = loop, .server = {.use_max = SIZE_MAX}};
    struct listener_sock *listener = listen_anywhere(&a, &addr, &figures);
    int client = socket(AF_INET, SOCK_STREAM, 0), later = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit before, tight;
    char byte;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)later + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    assert_int_equal(connect(client, &addr.sa, addr.len), 0);
    run_for_ms(loop, 5);
    assert_int_equal(a.count, 0);
    assert_int_equal(figures.refused, 1);
    assert_int_equal(figures.pauses, 1);
    assert_int_equal(recv(client, &byte, 1, 0), 0); /* told at once, not left hanging */

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(connect(later, &addr.sa, addr.len), 0);
    run_for_ms(loop, 150); /* past the pause */
    assert_int_equal(a.count, 1);
    close(client);
    close(later);
    listener_stop(listener);
    loop_free(loop);
}

static void the_last_descriptors_are_not_for_clients(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct addr addr;
    struct listener_figures figures = {0};
    struct acceptor a = {.loop = loop, .server = {.use_max = SIZE_MAX}};
    struct listener_sock *listener = listen_anywhere(&a, &addr, &figures);
    int first = socket(AF_INET, SOCK_STREAM, 0), second = socket(AF_INET, SOCK_STREAM, 0);
    char byte;

    loop_limit_descriptors(loop, second + 1, 0);
    assert_int_equal(connect(first, &addr.sa, addr.len), 0);
    run_for_ms(loop, 5);
    assert_int_equal(recv(first, &byte, 1, 0), 0);
    assert_int_equal(a.count, 0);
    assert_int_equal(figures.refused, 1);

    assert_int_equal(connect(second, &addr.sa, addr.len), 0);
    run_for_ms(loop, 5);
    assert_int_equal(a.count, 0); /* it pauses: who comes now waits, and is not refused */
    assert_int_equal(figures.pauses, 1);
    loop_limit_descriptors(loop, 0, 0);
    run_for_ms(loop, 150);
    assert_int_equal(a.count, 1);
    assert_int_equal(figures.refused, 1);
    close(first);
    close(second);
    listener_stop(listener);
    loop_free(loop);
}

static void a_live_unix_socket_is_not_replaced_and_a_stale_one_is(void **state UNUSED)
{
    char text[64];
    struct addr addr;
    struct err err;
    snprintf(text, sizeof(text), "unix:/tmp/weir-stale-test-%d.sock", (int)getpid());
    assert_int_equal(addr_parse(str_of(text), &addr), 0);

    int first = listener_open(&addr, &err);
    assert_true(first >= 0);
    assert_int_equal(listener_open(&addr, &err), -1);
    assert_int_equal(err.errnum, EADDRINUSE);
    close(first);
    int second = listener_open(&addr, &err);
    assert_true(second >= 0);
    close(second);
    unlink(addr.un.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_echoed_and_the_slab_is_returned),
        cmocka_unit_test(unused_bytes_are_offered_again_with_new_ones_behind),
        cmocka_unit_test(a_handler_that_uses_nothing_is_bounded),
        cmocka_unit_test(a_paused_connection_reads_nothing_until_resumed),
        cmocka_unit_test(a_loop_that_takes_long_reads_less_of_each),
        cmocka_unit_test(a_pause_in_on_data_keeps_the_rest_and_the_end),
        cmocka_unit_test(a_slow_reader_fills_the_queue_and_on_writable_is_called_when_it_drains),
        cmocka_unit_test(a_reader_that_stops_meets_the_write_deadline),
        cmocka_unit_test(closing_sends_queued_bytes_and_waits_for_the_peer),
        cmocka_unit_test(lingering_ends_after_too_many_bytes),
        cmocka_unit_test(a_half_closed_peer_still_gets_its_answer),
        cmocka_unit_test(aborting_inside_a_callback_is_safe),
        cmocka_unit_test(the_loop_closes_what_is_left),
        cmocka_unit_test(connections_work_over_every_family),
        cmocka_unit_test(a_refused_connect_is_reported_from_the_loop),
        cmocka_unit_test(a_reset_is_reported_as_a_reset),
        cmocka_unit_test(stopping_a_listener_hands_over_its_backlog),
        cmocka_unit_test(a_process_without_descriptors_refuses_and_keeps_running),
        cmocka_unit_test(the_last_descriptors_are_not_for_clients),
        cmocka_unit_test(a_live_unix_socket_is_not_replaced_and_a_stale_one_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
