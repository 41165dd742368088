/* Bodies in pieces, over a real socket: a slow client makes the server wait, and its memory does not
 * grow. */
#include "admin/pages.h"

#include "net/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIECE = 16 * 1024, PIECES = 4096, QUEUED_MAX = 8 * 1024 * 1024 };

static struct loop *loop;
static struct page_server *server;
static struct addr bound;

static struct {
    struct page_body body;
    unsigned made, frees, wait_at; /* wait_at: pieces before PAGE_WAIT; 0: never */
} big;

static enum page_next next_piece(struct page_body *body UNUSED, struct text *out)
{
    assert_int_equal(out->len, 0);
    if (big.wait_at > 0 && big.made == big.wait_at) {
        big.wait_at = 0;
        return PAGE_WAIT;
    }
    memset(text_room(out, PIECE), 'a' + (int)(big.made % 26), PIECE);
    out->len = PIECE;
    return ++big.made == PIECES ? PAGE_END : PAGE_MORE;
}

static void free_big(struct page_body *body UNUSED)
{
    big.frees++;
}

static void answer(void *arg UNUSED, const struct head *request UNUSED, struct page_reply *reply)
{
    static const struct page_body_ops ops = {.next = next_piece, .free = free_big};

    big.body.ops = &ops;
    reply->stream = &big.body;
}

static int set_up(void **state UNUSED)
{
    static const struct page_limits limits = {
        .max_connections = 4, .max_body_bytes = 0, .head_ms = 1000, .idle_ms = 10000};
    struct err err;

    memset(&big, 0, sizeof(big));
    loop = loop_new();
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &bound), 0);
    int fd = listener_open(&bound, &err);
    assert_true(fd >= 0);
    bound.len = sizeof(bound.in);
    assert_int_equal(getsockname(fd, &bound.sa, &bound.len), 0);
    server = page_server_new(loop, fd, &limits, answer, NULL);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    page_server_free(server);
    loop_free(loop);
    return 0;
}

/* A client with a small receive buffer, so that the kernel does not take the page for it. */
static int ask(const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(connect(fd, &bound.sa, bound.len), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

/* Turns until the server makes no more pieces. */
static void run_until_it_rests(void)
{
    unsigned made, rests = 0;

    while (rests < 20) {
        made = big.made;
        usleep(500);
        loop_turn(loop);
        rests = big.made == made ? rests + 1 : 0;
    }
}

static size_t read_all(int fd)
{
    static char buf[256 * 1024];
    size_t total = 0;

    for (unsigned idle = 0; idle < 1000;) {
        ssize_t got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (got == 0)
            break;
        if (got > 0) {
            total += (size_t)got;
            idle = 0;
        } else {
            usleep(500);
            idle++;
        }
        loop_turn(loop);
    }
    return total;
}

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static void a_slow_client_stops_the_making_of_pieces(void **state UNUSED)
{
    int fd = ask(get);

    run_until_it_rests();
    assert_true(big.made > 0);
    assert_true((size_t)big.made * PIECE < QUEUED_MAX); /* of 64 MiB */
    assert_int_equal(big.frees, 0);

    assert_true(read_all(fd) > (size_t)PIECES * PIECE); /* with the head and the chunks' sizes */
    assert_int_equal(big.made, PIECES);
    assert_int_equal(big.frees, 1);
    close(fd);
}

static void a_client_that_closes_frees_the_body(void **state UNUSED)
{
    int fd = ask(get);

    run_until_it_rests();
    close(fd);
    for (unsigned i = 0; i < 1000 && big.frees == 0; i++) {
        usleep(500);
        loop_turn(loop);
    }
    assert_int_equal(big.frees, 1);
    assert_true(big.made < PIECES);
}

static void the_end_of_the_server_frees_the_body(void **state UNUSED)
{
    int fd = ask(get);

    run_until_it_rests();
    page_server_free(server);
    server = NULL;
    assert_int_equal(big.frees, 1);
    close(fd);
}

static void a_body_that_waits_goes_on_when_it_is_woken(void **state UNUSED)
{
    big.wait_at = 2;
    int fd = ask(get);

    run_until_it_rests();
    assert_int_equal(big.made, 2);
    page_body_wake(&big.body);
    assert_true(big.made > 2);
    assert_true(read_all(fd) > (size_t)PIECES * PIECE);
    assert_int_equal(big.made, PIECES);
    assert_int_equal(big.frees, 1);
    close(fd);
}

static void head_gets_no_piece(void **state UNUSED)
{
    int fd = ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    run_until_it_rests();
    size_t total = read_all(fd);
    assert_true(total > 0 && total < 1024);
    assert_int_equal(big.made, 0);
    assert_int_equal(big.frees, 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_client_stops_the_making_of_pieces, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_closes_frees_the_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_the_server_frees_the_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_that_waits_goes_on_when_it_is_woken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(head_gets_no_piece, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
