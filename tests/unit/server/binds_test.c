/* Which sockets stay, open and close when one configuration follows another. */
#include "server/binds.h"

#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 2 };

static struct addr address(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(str_of(text), &addr), 0);
    return addr;
}

/* A configuration with one listener on up to two addresses. */
static struct config config_of(struct listener_conf *listener, const struct addr *addrs,
                               size_t count)
{
    static struct bind_conf binds[8][2];
    static unsigned used;
    struct bind_conf *items = binds[used++ % ARRAY_LEN(binds)];

    for (size_t i = 0; i < count; i++)
        items[i] = (struct bind_conf){.addr = addrs[i], .mode = -1};
    *listener = (struct listener_conf){.binds = {items, count}, .inbound = true};
    return (struct config){.listeners = listener, .listener_count = 1};
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void every_worker_gets_a_socket_on_the_same_port(void **state UNUSED)
{
    struct listener_conf listener;
    struct addr addr = address("127.0.0.1:0"), bound;
    struct config config = config_of(&listener, &addr, 1);
    struct err err;
    struct binds *binds = binds_plan(NULL, &config, WORKERS, &err);

    assert_non_null(binds);
    assert_int_equal(binds->count, 1);
    assert_true(addr_port(&binds->items[0].bound) != 0);
    for (unsigned w = 0; w < WORKERS; w++) {
        bound.len = sizeof(bound.un);
        assert_int_equal(getsockname(binds->items[0].fds[w], &bound.sa, &bound.len), 0);
        assert_int_equal(addr_port(&bound), addr_port(&binds->items[0].bound));
    }
    binds_free(binds);
}

static void an_address_that_stays_is_not_opened_again(void **state UNUSED)
{
    struct listener_conf listener, next_listener;
    struct addr addrs[2] = {address("127.0.0.1:0"), address("[::1]:0")};
    struct config config = config_of(&listener, addrs, 1);
    struct err err;
    struct binds *current = binds_plan(NULL, &config, WORKERS, &err);

    assert_non_null(current);
    int taken = current->items[0].fds[0]; /* as a worker does */
    current->items[0].fds[0] = -1;

    struct config next_config = config_of(&next_listener, addrs, 2);
    struct binds *next = binds_plan(current, &next_config, WORKERS, &err);
    if (next == NULL)
        skip(); /* a machine without IPv6 */
    assert_int_equal(next->items[0].fds[0], -1);
    assert_int_equal(addr_port(&next->items[0].bound), addr_port(&current->items[0].bound));
    assert_true(next->items[1].fds[0] >= 0);

    binds_commit(current, next);
    assert_true(is_open(taken));
    close(taken);
    binds_free(next);
}

static void one_address_that_cannot_be_opened_opens_none(void **state UNUSED)
{
    struct listener_conf listener;
    struct addr addrs[2] = {address("127.0.0.1:0"), address("192.0.2.1:1")};
    struct config config = config_of(&listener, addrs, 2);
    struct err err;
    int before = dup(0);

    assert_null(binds_plan(NULL, &config, WORKERS, &err));
    assert_non_null(strstr(err.text, "192.0.2.1:1"));
    int after = dup(0);
    assert_int_equal(after, before + 1); /* nothing was left open between them */
    close(before);
    close(after);
}

static void an_address_of_another_process_is_not_shared(void **state UNUSED)
{
    struct listener_conf listener;
    struct addr addr = address("127.0.0.1:0");
    struct config config = config_of(&listener, &addr, 1);
    struct err err;
    struct binds *theirs = binds_plan(NULL, &config, WORKERS, &err);

    assert_non_null(theirs);
    addr = theirs->items[0].bound;
    config = config_of(&listener, &addr, 1);
    assert_null(binds_plan(NULL, &config, WORKERS, &err));
    assert_int_equal(err.errnum, EADDRINUSE);
    binds_free(theirs);
}

static void an_address_twice_is_an_error(void **state UNUSED)
{
    struct listener_conf listener;
    /* Below the ephemeral ports, which other connections can have in use. */
    struct addr addrs[2] = {address("127.0.0.1:24567"), address("127.0.0.1:24567")};
    struct config config = config_of(&listener, addrs, 2);
    struct err err;

    assert_null(binds_plan(NULL, &config, WORKERS, &err));
    assert_non_null(strstr(err.text, "twice"));
}

static void a_unix_socket_is_shared_and_removed_at_the_end(void **state UNUSED)
{
    char dir[] = "/tmp/weir-binds-XXXXXX", text[64];
    struct listener_conf listener, none = {0};
    struct err err;

    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof(text), "unix:%s/s", dir);
    struct addr addr = address(text);
    struct config config = config_of(&listener, &addr, 1);
    struct config empty = config_of(&none, NULL, 0);

    struct binds *binds = binds_plan(NULL, &config, WORKERS, &err);
    assert_non_null(binds);
    assert_true(binds->items[0].fds[0] >= 0 && binds->items[0].fds[1] >= 0);

    struct binds *same = binds_plan(binds, &config, WORKERS, &err);
    assert_non_null(same);
    binds_free(same);
    assert_int_equal(access(text + 5, F_OK), 0); /* abandoning took nothing away */

    same = binds_plan(binds, &config, WORKERS, &err);
    binds_commit(binds, same);
    assert_int_equal(access(text + 5, F_OK), 0);

    struct binds *gone = binds_plan(same, &empty, WORKERS, &err);
    assert_non_null(gone);
    binds_commit(same, gone);
    assert_int_equal(access(text + 5, F_OK), -1);
    binds_free(gone);
    rmdir(dir);
}

static void two_free_ports_of_one_listener_are_two_addresses(void **state UNUSED)
{
    struct listener_conf listener;
    struct addr addrs[2] = {address("127.0.0.1:0"), address("127.0.0.1:0")};
    struct config config = config_of(&listener, addrs, 2);
    struct err err;
    struct binds *current = binds_plan(NULL, &config, WORKERS, &err);

    assert_non_null(current);
    struct binds *next = binds_plan(current, &config, WORKERS, &err);
    assert_non_null(next);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(next->items[i].fds[0], -1);
        assert_int_equal(addr_port(&next->items[i].bound), addr_port(&current->items[i].bound));
    }
    assert_false(bind_is_same(&next->items[0], &next->items[1]));
    binds_commit(current, next);
    binds_free(next);
}

/* On one port: the wildcard and a specific address follow each other, and stand side by side. */
static void our_own_sockets_are_no_conflict(void **state UNUSED)
{
    struct addr both[2] = {address("0.0.0.0:9568"), address("127.0.0.1:9568")};
    struct listener_conf listeners[4];
    struct config configs[] = {
        config_of(&listeners[0], &both[0], 1),
        config_of(&listeners[1], &both[1], 1),
        config_of(&listeners[2], both, 2),
        config_of(&listeners[3], &both[1], 1),
    };
    struct err err;
    struct binds *current = NULL;

    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        struct binds *next = binds_plan(current, &configs[i], WORKERS, &err);
        assert_non_null(next);
        assert_int_equal(binds_listen(next, &err), 0);
        binds_commit(current, next);
        current = next;
    }
    binds_free(current);
}

static bool listens(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len), 0);
    return value != 0;
}

/* Its clients would wait at a socket that nobody serves yet. */
static void a_socket_beside_one_in_use_does_not_listen_before_it_is_served(void **state UNUSED)
{
    struct addr wild = address("0.0.0.0:34569"), own = address("127.0.0.1:34569");
    struct listener_conf listener, next_listener;
    struct config config = config_of(&listener, &wild, 1);
    struct config next_config = config_of(&next_listener, &own, 1);
    struct err err;
    struct binds *current = binds_plan(NULL, &config, WORKERS, &err);

    assert_non_null(current);
    assert_true(listens(current->items[0].fds[0]));
    struct binds *next = binds_plan(current, &next_config, WORKERS, &err);
    assert_non_null(next);
    assert_false(listens(next->items[0].fds[0]));
    assert_int_equal(binds_listen(next, &err), 0);
    assert_true(listens(next->items[0].fds[0]));
    binds_free(next);
    binds_free(current);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_gets_a_socket_on_the_same_port),
        cmocka_unit_test(an_address_that_stays_is_not_opened_again),
        cmocka_unit_test(one_address_that_cannot_be_opened_opens_none),
        cmocka_unit_test(an_address_of_another_process_is_not_shared),
        cmocka_unit_test(an_address_twice_is_an_error),
        cmocka_unit_test(a_unix_socket_is_shared_and_removed_at_the_end),
        cmocka_unit_test(two_free_ports_of_one_listener_are_two_addresses),
        cmocka_unit_test(our_own_sockets_are_no_conflict),
        cmocka_unit_test(a_socket_beside_one_in_use_does_not_listen_before_it_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
