/* Time and dice reach weir through functions that stand in the place of libc's and of
 * base/clock.c's; everything else in it is the real thing. */
#include "worker_world_impl.h"

#include "worker_judge_impl.h"

#include "base/clock.h"
#include "net/loop_impl.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TURNS_MAX = 20000, MEMORY_MAX = 24 * 1024 * 1024, SMALL_SOCKET = 4096 };

struct world world;

static int upstream_socket; /* where weir's upstream listens, in every world */
static char socket_dir[64], socket_path[80];

/* --- in the place of libc's and base/clock.c's ----------------------------------------------- */

int64_t clock_mono_us(void)
{
    return world.now_us;
}

int64_t clock_mono_ms(void)
{
    return world.now_us / 1000;
}

int64_t clock_wall_us(void)
{
    return 1700000000000000 + world.now_us;
}

/* libev asks on its own. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (!world.is_on || id != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec = world.now_us / 1000000;
    ts->tv_nsec = world.now_us % 1000000 * 1000;
    return 0;
}

/* The same dice in every run. */
ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    if (!world.is_on)
        return syscall(SYS_getrandom, out, len, flags);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(rand_next(&world.dice) >> 32);
    return (ssize_t)len;
}

/* weir's own end of an upstream connection is to be found nowhere else. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (world.is_on && world.has_small_sockets)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SMALL_SOCKET}, sizeof(int));
    return (int)syscall(SYS_connect, fd, addr, len);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void on_pending(struct ev_loop *ev)
{
    world.pending += ev_pending_count(ev);
    ev_invoke_pending(ev);
}

bool world_turn(void)
{
    world.pending = 0;
    ev_run(loop_ev(world.loop), EVRUN_NOWAIT);
    expect(loop_bufs(world.loop)->bytes_in_use < MEMORY_MAX, "bounded buffers");
    return world.pending > 2; /* two always are: the turn's begin and its end */
}

static bool accept_upstreams(void)
{
    bool any = false;
    int fd;

    while ((fd = accept4(upstream_socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        any = true;
        if (world.upstream_count == UPSTREAMS) {
            close(fd);
            continue;
        }
        if (world.has_small_sockets)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SMALL_SOCKET}, sizeof(int));
        size_t i = world.upstream_count++;
        peer_init_upstream(&world.upstreams[i], fd, (int)i);
    }
    return any;
}

static bool peers_move(void)
{
    bool any = accept_upstreams();

    for (size_t i = 0; i < world.upstream_count; i++) {
        any |= peer_send(&world.upstreams[i]);
        any |= peer_read(&world.upstreams[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        any |= peer_send(&world.clients[i]);
        any |= peer_read(&world.clients[i]);
    }
    return any;
}

void world_settle(void)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        bool moved = world_turn();
        if (!peers_move() && !moved) {
            judge_surplus();
            return;
        }
    }
    fail("the loop comes to rest", "");
}

void world_pass(int64_t ms)
{
    world.now_us += ms * 1000;
}

/* --- the peers ------------------------------------------------------------------------------- */

struct peer *world_client(unsigned i)
{
    struct peer *p = &world.clients[i];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(40000 + i))};
    struct addr addr = {.len = sizeof(in)};
    int fds[2];

    if (p->fd >= 0 || p->was_cut || p->got_eof)
        return p;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return p;
    if (world.has_small_sockets)
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int){SMALL_SOCKET}, sizeof(int));
    in.sin_addr.s_addr = htonl(0xc0000201 + i);
    addr.in = in;
    peer_init_client(p, fds[0], (int)i, world.listener == LISTENER_PROXY);
    proxy_accept(world.proxy, (size_t)world.listener, fds[1], &addr);
    return p;
}

struct peer *world_upstream(unsigned newest)
{
    static struct peer nobody = {.fd = -1};

    return newest < world.upstream_count ? &world.upstreams[world.upstream_count - 1 - newest]
                                         : &nobody;
}

/* --- its begin and its end ------------------------------------------------------------------- */

void world_begin(const struct config *config, enum listener listener, bool has_small_sockets)
{
    world.is_on = true;
    world.now_us = INT64_C(1) << 40;
    world.dice = 1;
    world.has_small_sockets = has_small_sockets;
    world.listener = listener;
    world.loop = loop_new();
    ev_set_invoke_pending_cb(loop_ev(world.loop), on_pending);
    world.metrics = metrics_new();
    world.quotas = quotas_new(config, 1);
    world.proxy = proxy_new(world.loop, NULL, NULL, world.metrics, NULL);
    proxy_share(world.proxy, world.quotas);
    world.upstreams = mem_new(UPSTREAMS * sizeof(*world.upstreams));
    world.upstream_count = 0;
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i] = (struct peer){.fd = -1};
}

void world_end(void)
{
    for (size_t i = 0; i < world.upstream_count; i++)
        peer_deinit(&world.upstreams[i]);
    for (size_t i = 0; i < CLIENTS; i++)
        peer_deinit(&world.clients[i]);
    free(world.upstreams);
    proxy_free(world.proxy);
    loop_free(world.loop);
    quotas_free(world.quotas);
    metrics_free(world.metrics);
    world.is_on = false;
}

bool world_is_empty(void)
{
    return proxy_open_connections(world.proxy) == 0 && proxy_open_exchanges(world.proxy) == 0 &&
           metric_get(&world.metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN]) == 0 &&
           list_is_empty(loop_conns(world.loop));
}

int world_next_fd(void)
{
    int fd = dup(upstream_socket);

    close(fd);
    return fd;
}

/* --- once ------------------------------------------------------------------------------------ */

const char *world_listen(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    snprintf(socket_dir, sizeof(socket_dir), "%s/weir-fuzz-XXXXXX", "/tmp");
    expect(mkdtemp(socket_dir) != NULL, "a directory for the upstream's socket");
    snprintf(socket_path, sizeof(socket_path), "%s/up", socket_dir);
    memcpy(un.sun_path, socket_path, sizeof(socket_path));
    upstream_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    expect(bind(upstream_socket, (struct sockaddr *)&un, sizeof(un)) == 0 &&
               listen(upstream_socket, 128) == 0,
           "a socket for the upstream");
    return socket_path;
}

void world_unlisten(void)
{
    unlink(socket_path);
    rmdir(socket_dir);
}
