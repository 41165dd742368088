/* What a peer cannot have read, over real TCP connections on loopback. */
#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    struct loop *loop;
    struct conn *conn;
    int peer;
    size_t received;
    bool has_ended;
    uint64_t first_byte, left, maybe_read; /* of the request */
};

static void on_open(struct conn *conn)
{
    (void)conn;
}

static size_t on_data(struct conn *conn, struct slice data)
{
    struct pair *p = conn_arg(conn);

    p->received += data.len;
    loop_stop(p->loop);
    return data.len;
}

static void note_end(struct pair *p)
{
    if (!p->has_ended) {
        p->left = conn_out_offset(p->conn);
        p->maybe_read = conn_maybe_read(p->conn);
    }
    p->has_ended = true;
    loop_stop(p->loop);
}

static void on_eof(struct conn *conn)
{
    note_end(conn_arg(conn));
}

static void on_closed(struct conn *conn, enum reason reason UNUSED)
{
    struct pair *p = conn_arg(conn);

    note_end(p);
    p->conn = NULL; /* it is freed after this turn of the loop */
}

static const struct conn_handler handler = {
    .on_open = on_open, .on_data = on_data, .on_eof = on_eof, .on_closed = on_closed};

static void stop_soon(void *arg)
{
    loop_stop(arg);
}

static void turn(struct pair *p)
{
    struct ticker *ticker = ticker_new(p->loop, 20, stop_soon, p->loop);

    loop_run(p->loop);
    ticker_free(ticker);
}

static void say(struct pair *p, const char *text, size_t len)
{
    bufq_copy(conn_out(p->conn), text, len);
    conn_flush_later(p->conn);
}

/* A connection that has served several requests, so that the peer delays its acknowledgements; a
 * further request begins at p->first_byte. */
static void pair_init(struct pair *p)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct addr addr;
    char bytes[128] = {0};

    *p = (struct pair){.loop = loop_new()};
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &addr), 0);
    assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, &addr.sa, &addr.len), 0);
    p->conn = conn_connect(p->loop, &addr, &handler, p, (struct conn_limits){0});
    p->peer = accept(listener, NULL, NULL);
    assert_true(p->peer >= 0);
    close(listener);
    turn(p);
    for (int i = 0; i < 20; i++) {
        say(p, bytes, 100);
        turn(p);
        assert_int_equal(recv(p->peer, bytes, 100, MSG_WAITALL), 100);
        assert_int_equal(send(p->peer, bytes, 50, 0), 50);
        while (p->received < 50u * (unsigned)(i + 1))
            turn(p);
    }
    p->first_byte = conn_out_offset(p->conn);
    assert_int_equal(p->first_byte, 20 * 100);
}

static void pair_deinit(struct pair *p)
{
    if (p->conn != NULL)
        conn_abort(p->conn);
    loop_free(p->loop);
}

static void end(int fd)
{
    close(fd);
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

static void read_request(int fd)
{
    char bytes[128];

    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 7);
}

/* --- promises -------------------------------------------------------------------------------- */

static void what_is_sent_to_a_closed_socket_was_not_read(void **state UNUSED)
{
    struct pair p;

    pair_init(&p);
    conn_pause(p.conn);
    end(p.peer);
    say(&p, "request", 7);
    turn(&p);
    conn_resume(p.conn);
    while (!p.has_ended)
        turn(&p);
    assert_int_equal(p.left, p.first_byte + 7);
    assert_true(p.maybe_read <= p.first_byte);
    pair_deinit(&p);
}

static void what_was_read_before_the_end_counts_as_read(void **state UNUSED)
{
    struct pair p;

    pair_init(&p);
    say(&p, "request", 7);
    turn(&p);
    read_request(p.peer);
    end(p.peer);
    while (!p.has_ended)
        turn(&p);
    assert_true(p.maybe_read > p.first_byte);
    pair_deinit(&p);
}

/* The peer has not acknowledged the request when its reset comes. */
static void a_reset_proves_nothing(void **state UNUSED)
{
    struct pair p;

    pair_init(&p);
    say(&p, "request", 7);
    turn(&p);
    read_request(p.peer);
    reset(p.peer);
    while (!p.has_ended)
        turn(&p);
    assert_true(p.maybe_read > p.first_byte);
    pair_deinit(&p);
}

/* The second write meets the reset, and the read after it finds the end of a stream. */
static void a_reset_that_a_write_has_met_proves_nothing(void **state UNUSED)
{
    struct pair p;

    pair_init(&p);
    say(&p, "request", 7);
    turn(&p);
    read_request(p.peer);
    conn_pause(p.conn);
    reset(p.peer);
    turn(&p);
    say(&p, "more", 4);
    conn_resume(p.conn);
    while (!p.has_ended)
        turn(&p);
    assert_true(p.maybe_read > p.first_byte);
    pair_deinit(&p);
}

static void what_has_not_left_was_not_read(void **state UNUSED)
{
    struct pair p;

    pair_init(&p);
    reset(p.peer);
    say(&p, "request", 7);
    while (!p.has_ended)
        turn(&p);
    assert_true(p.maybe_read <= p.first_byte);
    pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_to_a_closed_socket_was_not_read),
        cmocka_unit_test(what_was_read_before_the_end_counts_as_read),
        cmocka_unit_test(a_reset_proves_nothing),
        cmocka_unit_test(a_reset_that_a_write_has_met_proves_nothing),
        cmocka_unit_test(what_has_not_left_was_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
