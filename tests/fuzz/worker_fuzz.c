/* A whole worker between clients and an upstream that are both the fuzzer's: the real loop,
 * connections, sessions, router, exchanges and pools, on socket pairs, with a clock that only the
 * input moves. TLS and threads are left out. What is promised, whatever anybody sends:
 *
 *   - no second request: what weir sends upstream, read again by worker_h1_reader and
 *     worker_h2_reader, is well-formed, and each request there is one that a client has sent, whole
 *     only if the client's was whole, with the same body; none comes twice but as a counted retry;
 *   - every request is answered or its connection closed: when nothing is in flight no client waits
 *     for anything, and when all fall silent the deadlines end everything;
 *   - an upstream connection is used again only after an answer that was whole, with nothing behind
 *     it, and that did not say it was the last;
 *   - the right client gets the right answer, in a form that the same readers accept, and all of
 * it;
 *   - nothing leaks: exchanges, leases, connections, buffers, quotas and descriptors are all back;
 *   - the loop comes to rest, and memory stays bounded.
 *
 * An input is a byte of settings and then a play, act by act (enum act); see worker_seeds.py. */
#include "worker_h1_reader_impl.h"
#include "worker_h2_reader_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/loop_impl.h"
#include "proxy/proxy_impl.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 4, UPSTREAMS = 64, CONFIGS = 2, LISTENERS = 4, TURNS_MAX = 20000 };
enum { MEMORY_MAX = 24 * 1024 * 1024, SMALL_SOCKET = 4096, READ_SIZE = 64 * 1024 };
enum { LISTENER_EDGE, LISTENER_TRUSTED, LISTENER_PROXY, LISTENER_SMALL };

/* %s is where our upstream listens; %s the protocol it speaks. */
static const char config_text[] =
    "max_connections: 64\n"
    "listeners:\n"
    "  - &edge\n"
    "    name: edge\n"
    "    bind: '127.0.0.1:1'\n"
    "    router: r\n"
    "    timeouts: { header: 2s, body: 2s, body_grace: 1s, write: 2s, idle: 4s }\n"
    "    limits: { max_body_bytes: 100000, max_requests: 20 }\n"
    "    headers: { request: { set: { X-From: '${client_ip}' }, remove: [X-Secret] } }\n"
    "  - name: trusted\n"
    "    bind: '127.0.0.1:2'\n"
    "    router: r\n"
    "    trusted_proxies: [192.0.2.0/24]\n"
    "    odd_names: keep\n"
    "    timeouts: { header: 2s, body: 2s, write: 2s, idle: 4s }\n"
    "    limits: { min_body_rate: 0, max_body_bytes: 1000 }\n"
    "  - name: proxied\n"
    "    bind: '127.0.0.1:3'\n"
    "    group: up\n"
    "    proxy_protocol: { from: [192.0.2.0/24] }\n"
    "    odd_names: reject\n"
    "    timeouts: { header: 2s, body: 2s, write: 2s, idle: 4s }\n"
    "  - name: small\n"
    "    bind: '127.0.0.1:4'\n"
    "    router: r\n"
    "    websocket: false\n"
    "    show_group: true\n"
    "    per_client: { max_connections: 2, new_per_second: 3 }\n"
    "    rate_limit: { rate: 5/s, burst: 6, key: 'header:X-Key' }\n"
    "    timeouts: { header: 500ms, body: 500ms, write: 500ms, idle: 1s }\n"
    "    limits: { max_header_bytes: 2048, max_header_count: 12, max_line_bytes: 512,\n"
    "              max_uri_bytes: 128, max_body_bytes: 100, max_streams: 3, max_requests: 5 }\n"
    "groups:\n"
    "  up: &up\n"
    "    endpoints: ['unix:%s']\n"
    "    protocol: %s\n"
    "    timeouts: { connect: 1s, response: 3s, idle: 3s, total: 20s, pool_idle: 1s }\n"
    "    max_connections: 4\n"
    "    max_pending: 4\n"
    "    max_idle: 2\n"
    "    max_requests: 8\n"
    "    max_response_header_bytes: 4096\n"
    "  half:\n"
    "    endpoints: ['unix:%s', 'unix:/nonexistent/up']\n"
    "    protocol: %s\n"
    "    balance: round_robin\n"
    "    timeouts: { connect: 1s, response: 3s, idle: 3s, pool_idle: 1s }\n"
    "    retries: 2\n"
    "  gone: { endpoints: ['unix:/nonexistent/up'] }\n"
    "routers:\n"
    "  r:\n"
    "    rules:\n"
    "      - { path: '=/answer', answer: 200 }\n"
    "      - { path: '=/teapot', answer: { status: 418, body: short } }\n"
    "      - { path: /rw/*, group: up, rewrite: { path: '/x${path}' },\n"
    "          headers: { response: { set: { X-Seen: '${path}' }, remove: [X-Powered-By] } } }\n"
    "      - { path: /half, group: half }\n"
    "      - { path: /gone, group: gone }\n"
    "      - { path: /limited, group: up, rate_limit: { rate: 1/s, burst: 2 } }\n"
    "      - { group: up }\n";

/* --- the world ------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *ptr; /* owns */
    size_t len, cap, at;
};

enum speaks_to { SPEAKS_NOTHING, SPEAKS_ONE, SPEAKS_TWO };

/* The far end of one of the worker's connections, client or upstream. */
struct peer {
    int fd; /* owns; -1: none, or closed */
    bool is_client, is_reading, has_shut, got_eof, was_cut;
    bool is_blind;   /* an upstream that answers what it has not read */
    bool is_spoiled; /* … that has said more than it was asked, and weir has read it */
    int index;
    struct bytes out;     /* to be sent */
    struct bytes opening; /* clients: what has been sent, until the protocol is clear */
    enum speaks_to speaks;
    struct h1_reader sent1, got1;
    struct h2_reader sent2, got2; /* sent2: clients only */
};

static struct {
    bool is_on;
    int64_t now_us;
    uint64_t dice;
    bool has_small_sockets;
    int listener;

    struct loop *loop;
    struct metrics *metrics;
    struct quotas *quotas;
    struct proxy *proxy;
    unsigned pending;
    struct peer clients[CLIENTS];
    struct peer *upstreams; /* owns [UPSTREAMS] */
    size_t upstream_count;
} world;

/* Made once. */
static struct config *configs[CONFIGS];
static struct routers routers[CONFIGS];
static int upstream_socket;
static char socket_dir[64], socket_path[80];

static void show_all(void);

static void fail(const char *why, const char *more)
{
    fprintf(stderr, "broken promise: %s%s%s\n", why, more[0] != '\0' ? ": " : "", more);
    show_all();
    abort();
}

static void expect(bool holds, const char *why)
{
    if (!holds)
        fail(why, "");
}

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

/* --- peers ----------------------------------------------------------------------------------- */

static void bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->ptr = mem_resize(b->ptr, b->cap);
    }
    if (len > 0)
        memcpy(b->ptr + b->len, data, len);
    b->len += len;
}

static bool is_magic(const struct bytes *b)
{
    return memcmp(b->ptr, h2_magic, MIN(b->len, (size_t)H2_PREFACE_LEN)) == 0;
}

/* A PROXY header that is whole stands in front of everything; -1: not yet. */
static ptrdiff_t proxy_header_len(const struct bytes *b)
{
    static const uint8_t sign[] = "\r\n\r\n\0\r\nQUIT\n";
    const uint8_t *end = memchr(b->ptr, '\n', b->len);

    if (world.listener != LISTENER_PROXY)
        return 0;
    if (memcmp(b->ptr, sign, MIN(b->len, sizeof(sign) - 1)) == 0) {
        if (b->len < 16)
            return -1;
        size_t len = 16 + ((size_t)b->ptr[14] << 8 | b->ptr[15]);
        return b->len < len ? -1 : (ptrdiff_t)len;
    }
    return end != NULL ? end - b->ptr + 1 : -1;
}

static void read_sent(struct peer *p, const uint8_t *data, size_t len)
{
    if (p->speaks == SPEAKS_TWO)
        h2_reader_read(&p->sent2, data, len);
    else if (p->speaks == SPEAKS_ONE)
        h1_reader_read(&p->sent1, data, len);
}

static void read_opening(struct peer *p)
{
    ptrdiff_t skip = proxy_header_len(&p->opening);

    if (skip < 0)
        return;
    struct bytes rest = {.ptr = p->opening.ptr + skip, .len = p->opening.len - (size_t)skip};
    if (rest.len == 0 || (is_magic(&rest) && rest.len < H2_PREFACE_LEN))
        return;
    p->speaks = is_magic(&rest) ? SPEAKS_TWO : SPEAKS_ONE;
    read_sent(p, rest.ptr, rest.len);
}

/* The bytes are on their way: what has the client asked for, what has the upstream answered? */
static void note_sent(struct peer *p, const uint8_t *data, size_t len)
{
    if (!p->is_client) {
        p->is_blind |= !p->is_reading || p->speaks == SPEAKS_NOTHING;
        if (p->speaks == SPEAKS_ONE)
            h1_reader_read(&p->sent1, data, len);
        return;
    }
    if (p->speaks != SPEAKS_NOTHING) {
        read_sent(p, data, len);
        return;
    }
    bytes_add(&p->opening, data, len);
    read_opening(p);
}

static bool peer_read(struct peer *p);

/* An upstream reads before it speaks: what it says is said in the knowledge of that. */
static bool peer_send(struct peer *p)
{
    if (p->fd < 0 || p->out.at == p->out.len || p->has_shut)
        return false;
    bool has_read = !p->is_client && peer_read(p);
    ssize_t n =
        send(p->fd, p->out.ptr + p->out.at, p->out.len - p->out.at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) {
        if (errno != EAGAIN)
            p->out.at = p->out.len;
        return has_read;
    }
    note_sent(p, p->out.ptr + p->out.at, (size_t)n);
    p->out.at += (size_t)n;
    if (p->out.at == p->out.len)
        p->out.at = p->out.len = 0;
    return true;
}

static void check_readers(const struct peer *p)
{
    const char *side = p->is_client ? "to a client" : "to an upstream";

    if (p->got1.wrong != NULL)
        fail(side, p->got1.wrong);
    if (p->got2.wrong != NULL)
        fail(side, p->got2.wrong);
}

/* May the connection carry another request behind the one of that index? */
static bool stays_open(const struct peer *p, size_t index)
{
    const struct messages *answers = &p->sent1.messages;

    return index < answers->count && answers->items[index].is_whole &&
           !answers->items[index].says_close && answers->items[index].status != 101 &&
           !p->got1.messages.items[index].says_close;
}

/* Behind a request to upgrade comes nothing before the upstream has said 101. */
static bool is_raw_too_soon(const struct peer *p)
{
    const struct messages *asked = &p->got1.messages, *answers = &p->sent1.messages;

    return p->got1.place == AT_RAW && asked->items[asked->count - 1].body_bytes > 0 &&
           (answers->count < asked->count || answers->items[asked->count - 1].status != 101);
}

/* A connection is used again only after an answer that was whole, and nothing but an answer. */
static void check_reuse(const struct peer *p, size_t asked_before)
{
    if (p->is_client || p->speaks != SPEAKS_ONE || p->is_blind)
        return;
    expect(!is_raw_too_soon(p), "a wish to upgrade that was not granted is the last request");
    for (size_t i = MAX(asked_before, (size_t)1); i < p->got1.messages.count; i++) {
        expect(stays_open(p, i - 1), "a connection is used again only after a whole answer");
        expect(!p->is_spoiled, "a connection is used again only after nothing but the answer");
    }
}

/* An upstream has answered everything, and goes on speaking. */
static bool says_too_much(const struct peer *p)
{
    const struct h1_reader *said = &p->sent1;
    size_t asked = p->got1.messages.count;
    bool is_at_end = said->place == AT_START || said->place == AT_NOTHING;

    return messages_whole(&said->messages) >= asked &&
           (said->messages.count > asked || !is_at_end || said->len > 0 || said->interims > 0 ||
            said->skipped_line);
}

static void read_got(struct peer *p, const uint8_t *data, size_t len)
{
    if (p->speaks == SPEAKS_NOTHING && !p->is_client) /* weir says its preface in one piece */
        p->speaks = len >= H2_PREFACE_LEN && memcmp(data, h2_magic, H2_PREFACE_LEN) == 0
                        ? SPEAKS_TWO
                        : SPEAKS_ONE;
    size_t asked_before = p->got1.messages.count;
    if (p->speaks == SPEAKS_TWO)
        h2_reader_read(&p->got2, data, len);
    else
        h1_reader_read(&p->got1, data, len);
    check_readers(p);
    check_reuse(p, asked_before);
}

/* A client that asked for an upgrade knows what its next bytes were once the answer is there. */
static void settle_upgrade(struct peer *p)
{
    const struct messages *asked = &p->sent1.messages, *got = &p->got1.messages;

    while (p->sent1.place == AT_ASKING && got->count >= asked->count) {
        const struct message *answer = &got->items[asked->count - 1];
        if (!answer->has_head)
            return;
        h1_reader_upgraded(&p->sent1, answer->status == 101);
    }
}

static bool peer_read(struct peer *p)
{
    static uint8_t data[READ_SIZE];

    if (p->fd < 0 || !p->is_reading || p->got_eof)
        return false;
    ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        p->got_eof = true;
        return true;
    }
    read_got(p, data, (size_t)n);
    if (p->is_client)
        settle_upgrade(p);
    return true;
}

static void peer_init(struct peer *p, int fd, int index, bool is_client)
{
    *p = (struct peer){.fd = fd, .index = index, .is_client = is_client, .is_reading = true};
    p->got1.canonical = p->got2.canonical = true;
    p->got1.is_response = p->got2.is_response = is_client;
    if (!is_client) {
        p->sent1.is_response = true;
        p->sent1.asked = &p->got1.messages;
        return;
    }
    p->got1.asked = &p->sent1.messages;
    p->got2.asked = &p->sent2.messages;
}

static void peer_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    close(p->fd);
    p->fd = -1;
    p->was_cut = !p->got_eof;
}

static void peer_deinit(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    h1_reader_free(&p->sent1);
    h1_reader_free(&p->got1);
    h2_reader_free(&p->sent2);
    h2_reader_free(&p->got2);
    free(p->out.ptr);
    free(p->opening.ptr);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void on_pending(struct ev_loop *ev)
{
    world.pending += ev_pending_count(ev);
    ev_invoke_pending(ev);
}

/* One turn; did anything happen? Two watchers are always pending: the turn's begin and its end. */
static bool turn(void)
{
    world.pending = 0;
    ev_run(loop_ev(world.loop), EVRUN_NOWAIT);
    expect(loop_bufs(world.loop)->bytes_in_use < MEMORY_MAX, "bounded buffers");
    return world.pending > 2;
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
        peer_init(&world.upstreams[i], fd, (int)i, false);
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

static size_t unread_bytes(const struct peer *p)
{
    int unread = 0;

    if (p->fd < 0 || ioctl(p->fd, SIOCOUTQ, &unread) < 0)
        return 0;
    return (size_t)unread + p->out.len - p->out.at;
}

/* At rest weir has written what it had to write: it has chosen no connection that it would not
 * choose now. Before, surplus bytes and the next request may have crossed. */
static void note_spoiled(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        struct peer *p = &world.upstreams[i];
        if (p->speaks == SPEAKS_ONE && p->is_reading && !p->is_blind && says_too_much(p) &&
            unread_bytes(p) == 0)
            p->is_spoiled = true;
    }
}

static void settle(void)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        bool moved = turn();
        if (!peers_move() && !moved) {
            note_spoiled();
            return;
        }
    }
    fail("the loop comes to rest", "");
}

static void pass_time(int64_t ms)
{
    world.now_us += ms * 1000;
}

/* --- acts ------------------------------------------------------------------------------------ */

struct play {
    const uint8_t *at, *end;
};

static uint8_t take(struct play *play)
{
    return play->at < play->end ? *play->at++ : 0;
}

static struct str take_text(struct play *play)
{
    size_t high = take(play), len = high << 8 | take(play);
    size_t left = (size_t)(play->end - play->at);
    struct str text = str_make(play->at, MIN(len, left));

    play->at += text.len;
    return text;
}

static struct peer *client(unsigned arg)
{
    unsigned i = arg % CLIENTS;
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
    peer_init(p, fds[0], (int)i, true);
    proxy_accept(world.proxy, (size_t)world.listener, fds[1], &addr);
    return p;
}

static struct peer *upstream(unsigned arg)
{
    static struct peer nobody = {.fd = -1};

    /* The latest is the most interesting. */
    return arg < world.upstream_count ? &world.upstreams[world.upstream_count - 1 - arg] : &nobody;
}

static void say(struct peer *p, const void *data, size_t len)
{
    if (p->fd < 0 || p->has_shut)
        return;
    bytes_add(&p->out, data, len);
    peer_send(p);
}

static void say_text(struct peer *p, const char *text)
{
    say(p, text, strlen(text));
}

static void say_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream,
                      const void *data, size_t len)
{
    uint8_t head[H2_FRAME_HEAD] = {(uint8_t)(len >> 16),
                                   (uint8_t)(len >> 8),
                                   (uint8_t)len,
                                   type,
                                   flags,
                                   (uint8_t)(stream >> 24),
                                   (uint8_t)(stream >> 16),
                                   (uint8_t)(stream >> 8),
                                   (uint8_t)stream};

    if (p->fd < 0 || p->has_shut)
        return;
    bytes_add(&p->out, head, sizeof(head));
    bytes_add(&p->out, data, len);
    peer_send(p);
}

/* In pieces, each in a turn of its own. */
static void dribble(struct peer *p, struct str text, size_t piece)
{
    while (text.len > 0) {
        size_t n = MIN(text.len, piece);
        say(p, text.ptr, n);
        turn();
        text = str_skip(text, n);
    }
}

static void act_bytes(struct play *play, struct peer *p, unsigned arg)
{
    size_t piece = arg & 8 ? 1 + take(play) % 64u : 0;
    struct str text = take_text(play);

    if (piece > 0)
        dribble(p, text, MAX(piece, text.len / 256));
    else
        say(p, text.ptr, text.len);
    if (!(arg & 4))
        settle();
}

static void act_frame(struct play *play, struct peer *p, unsigned arg)
{
    uint8_t type = take(play), flags = take(play), stream = take(play);
    struct str payload = take_text(play);

    say_frame(p, type, flags, stream, payload.ptr, payload.len);
    if (!(arg & 4))
        settle();
}

/* Good answers, so that what comes after them is reached. X-Was stands between the two texts. */
static const struct answer_text {
    const char *start, *rest;
} answers_h1[] = {
    {"HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n\r\nhello"},
    {"HTTP/1.1 200 OK\r\n",
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\n",
     "Content-Length: 2\r\n\r\nno"},
    {"HTTP/1.1 204 No Content\r\n", "\r\n"},
    {"HTTP/1.1 304 Not Modified\r\n", "Content-Length: 9\r\n\r\n"},
    {"HTTP/1.1 100 Continue\r\n", "\r\n"},
    {"HTTP/1.1 101 Switching Protocols\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"HTTP/1.0 200 OK\r\n", "\r\nuntil the end"},
    {"HTTP/1.1 200 OK\r\n", "Connection: close\r\nContent-Length: 1\r\n\r\n1"},
    {"HTTP/1.1 500 Oops\r\n", "Content-Length: 200000\r\n\r\n"},
};
enum { ANSWER_CONTINUE = 5, ANSWER_BIG = 9, BIG = 200000 };

static int was_digit(const struct message *m)
{
    return '0' + (m->client >= 0 ? m->client : 9);
}

static void answer_h1(struct peer *p, unsigned kind, struct message *m)
{
    static char big[BIG];
    const struct answer_text *text = &answers_h1[kind % ARRAY_LEN(answers_h1)];
    bool is_big = text == &answers_h1[ANSWER_BIG], has_body = strcmp(m->method, "HEAD") != 0;
    const char *body = strstr(text->rest, "\r\n\r\n");
    char was[TAIL_MAX + 16];

    snprintf(was, sizeof(was), "X-Was: %c %s\r\n", was_digit(m), m->tail);
    say_text(p, text->start);
    say_text(p, was);
    if (has_body || body == NULL)
        say_text(p, text->rest);
    else
        say(p, text->rest, (size_t)(body - text->rest) + 4);
    if (is_big && has_body)
        say(p, big, sizeof(big));
    m->is_answered = text != &answers_h1[ANSWER_CONTINUE];
}

static size_t put_literal(uint8_t *out, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value), at = 0;

    out[at++] = 0x10; /* never indexed, new name (RFC 7541 section 6.2.3) */
    out[at++] = (uint8_t)name_len;
    memcpy(out + at, name, name_len);
    at += name_len;
    out[at++] = (uint8_t)value_len;
    memcpy(out + at, value, value_len);
    return at + value_len;
}

static void answer_h2(struct peer *p, unsigned kind, struct message *m)
{
    static const uint8_t ok = 0x88, not_modified = 0x8b;
    static char big[16000];
    uint8_t head[256], flags = NGHTTP2_FLAG_END_HEADERS, ends = flags | NGHTTP2_FLAG_END_STREAM;
    char was[TAIL_MAX + 8];
    size_t len = 0;

    snprintf(was, sizeof(was), "%c %s", was_digit(m), m->tail);
    head[len++] = ok;
    len += put_literal(head + len, "x-was", was);
    m->is_answered = true;
    if (strcmp(m->method, "HEAD") == 0)
        kind = 0;
    switch (kind % 8) {
    case 0:
        say_frame(p, NGHTTP2_HEADERS, ends, m->stream, head, len);
        return;
    case 1:
        say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        say_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, m->stream, "hello", 5);
        return;
    case 2:
        say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        say_frame(p, NGHTTP2_DATA, 0, m->stream, big, sizeof(big));
        len = put_literal(head, "x-sum", "1");
        say_frame(p, NGHTTP2_HEADERS, ends, m->stream, head, len);
        return;
    case 3:
        say_frame(p, NGHTTP2_RST_STREAM, 0, m->stream, "\0\0\0\7", 4);
        return;
    case 4:
        say_frame(p, NGHTTP2_HEADERS, ends, m->stream, &not_modified, 1);
        return;
    case 5:
        m->is_answered = false;
        len = 2;
        memcpy(head, "\x08\x03", 2); /* :status, literal */
        memcpy(head + len, "103", 3);
        say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len + 3);
        return;
    case 6:
        say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        for (int i = 0; i < 3; i++)
            say_frame(p, NGHTTP2_DATA, 0, m->stream, big, sizeof(big));
        say_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, m->stream, "", 0);
        return;
    default:
        say_frame(p, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
        return;
    }
}

static bool awaits_answer(const struct message *m)
{
    return m->has_head && !m->is_answered && !m->was_reset;
}

static void answer_oldest_h2(struct peer *p, unsigned kind)
{
    struct messages *asked = &p->got2.messages;

    for (size_t i = 0; i < asked->count; i++) {
        if (awaits_answer(&asked->items[i])) {
            answer_h2(p, kind, &asked->items[i]);
            return;
        }
    }
}

/* In HTTP/1 those before the last have been answered, if only by bytes of the input's own. */
static void act_answer(struct peer *p, unsigned kind)
{
    struct messages *asked = &p->got1.messages;

    if (p->speaks == SPEAKS_TWO)
        answer_oldest_h2(p, kind);
    else if (asked->count > 0 && awaits_answer(&asked->items[asked->count - 1]))
        answer_h1(p, kind, &asked->items[asked->count - 1]);
    settle();
}

/* The client's end may lie unread at weir, or ours at the client: neither is an answer. */
static void act_end(struct peer *p, unsigned arg)
{
    if (p->fd < 0)
        return;
    if (arg & 4) {
        peer_close(p);
    } else {
        shutdown(p->fd, SHUT_WR);
        p->has_shut = true;
        p->out.at = p->out.len = 0; /* never to be sent */
    }
    if (!(arg & 8))
        settle();
}

static void act_reload(unsigned arg)
{
    struct err err;
    unsigned i = arg % CONFIGS;

    expect(proxy_adopt(world.proxy, configs[i], &routers[i], NULL, NULL, &err) == 0,
           "a configuration is adopted");
}

static void act_preface(struct peer *p, unsigned arg)
{
    static const uint8_t wide[] = {0, 4, 0x7f, 0xff, 0xff, 0xff}, none[] = {0, 4, 0, 0, 0, 0};

    if (p->is_client)
        say(p, h2_magic, H2_PREFACE_LEN);
    say_frame(p, NGHTTP2_SETTINGS, 0, 0, arg & 8 ? none : wide, arg & 4 ? 6 : 0);
    settle();
    say_frame(p, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "", 0);
}

enum act {
    ACT_CLIENT_BYTES, /* arg: client, 4: without a turn, 8: in pieces of a size that follows */
    ACT_UP_BYTES,     /* the same; arg: upstream connection, the latest first */
    ACT_CLIENT_FRAME, /* type, flags, stream, payload */
    ACT_UP_FRAME,
    ACT_UP_ANSWER,  /* a well-formed answer to the oldest request; its kind follows */
    ACT_TURNS,      /* arg: that many; 0: until nothing happens */
    ACT_TIME,       /* arg: index of times_ms */
    ACT_CLIENT_END, /* arg: client, 4: both directions, 8: without a turn */
    ACT_UP_END,
    ACT_CLIENT_READS, /* on or off */
    ACT_UP_READS,
    ACT_CLIENT_PREFACE, /* arg: client, 4: the windows are wide, 8: … or shut */
    ACT_UP_PREFACE,
    ACT_RELOAD,   /* arg: configuration */
    ACT_OVERLOAD, /* arg: level */
    ACT_DRAIN,
};

static const int64_t times_ms[16] = {1,    5,    16,   50,   100,  250,  490,   600,
                                     1000, 1500, 2100, 3100, 4200, 9000, 30000, 600000};

static void act(struct play *play)
{
    uint8_t byte = take(play);
    unsigned arg = byte >> 4;

    switch ((enum act)(byte & 15)) {
    case ACT_CLIENT_BYTES:
        act_bytes(play, client(arg), arg);
        break;
    case ACT_UP_BYTES:
        act_bytes(play, upstream(arg & 3), arg);
        break;
    case ACT_CLIENT_FRAME:
        act_frame(play, client(arg), arg);
        break;
    case ACT_UP_FRAME:
        act_frame(play, upstream(arg & 3), arg);
        break;
    case ACT_UP_ANSWER:
        act_answer(upstream(arg & 3), take(play));
        break;
    case ACT_TURNS:
        for (unsigned i = 0; i < arg; i++)
            turn();
        if (arg == 0)
            settle();
        break;
    case ACT_TIME:
        pass_time(times_ms[arg]);
        settle();
        break;
    case ACT_CLIENT_END:
        act_end(client(arg), arg);
        break;
    case ACT_UP_END:
        act_end(upstream(arg & 3), arg);
        break;
    case ACT_CLIENT_READS:
        client(arg)->is_reading ^= true;
        break;
    case ACT_UP_READS:
        upstream(arg & 3)->is_reading ^= true;
        break;
    case ACT_CLIENT_PREFACE:
        act_preface(client(arg), arg);
        break;
    case ACT_UP_PREFACE:
        act_preface(upstream(arg & 3), arg);
        break;
    case ACT_RELOAD:
        act_reload(arg);
        break;
    case ACT_OVERLOAD:
        atomic_store(&world.quotas->overload, arg & 3);
        break;
    case ACT_DRAIN:
        proxy_drain(world.proxy);
        break;
    }
}

/* --- for whoever reads a finding ------------------------------------------------------------- */

static void show(const char *side, int index, const struct messages *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct message *m = &list->items[i];
        fprintf(stderr, "%s %d: %s%.0d \"%s\" stream=%u body=%llu client=%d id=%s%s%s%s%s%s\n",
                side, index, m->method, m->status, m->tail, m->stream,
                (unsigned long long)m->body_bytes, m->client, m->id, m->has_head ? " head" : "",
                m->is_whole ? " whole" : "", m->was_reset ? " reset" : "",
                m->is_bad || m->is_malformed ? " bad" : "", m->is_matched ? " matched" : "");
    }
}

static void show_all(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        show("asked by", i, &world.clients[i].sent1.messages);
        show("asked by", i, &world.clients[i].sent2.messages);
        show("answer to", i, &world.clients[i].got1.messages);
        show("answer to", i, &world.clients[i].got2.messages);
    }
    for (size_t i = 0; i < world.upstream_count; i++) {
        show("upstream", (int)i, &world.upstreams[i].got1.messages);
        show("upstream", (int)i, &world.upstreams[i].got2.messages);
    }
}

/* --- no second request ----------------------------------------------------------------------- */

/* The end of what the client asked for is the end of what the upstream is asked for, also when the
 * router has put something in front of it. */
static bool is_same_target(const char *up, const char *asked)
{
    size_t up_len = strlen(up), asked_len = strlen(asked), len = MIN(up_len, asked_len);

    return memcmp(up + up_len - len, asked + asked_len - len, len) == 0;
}

/* HTTP/2: as many bytes came as were announced, and then no end, or more: nobody can know before.
 */
static bool has_all_announced(const struct message *up, const struct message *asked)
{
    return asked->content_length >= 0 && up->body_bytes == (uint64_t)asked->content_length &&
           asked->body_bytes >= up->body_bytes && up->body_hash == asked->length_hash;
}

static bool is_same_request(const struct message *up, const struct message *asked)
{
    if (!asked->has_head || asked->is_malformed || strcmp(up->method, asked->method) != 0 ||
        !is_same_target(up->tail, asked->tail))
        return false;
    if (asked->asks_upgrade)
        return true; /* what follows is raw */
    if (!up->is_whole)
        return up->body_bytes <= asked->body_bytes;
    return asked->is_whole
               ? up->body_bytes == asked->body_bytes && up->body_hash == asked->body_hash
               : has_all_announced(up, asked);
}

static struct message *find_asked(const struct message *up, const struct messages *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].is_matched && is_same_request(up, &list->items[i]))
            return &list->items[i];
    }
    return NULL;
}

/* Marks the client's request that `up` stands for. */
static bool match(const struct message *up)
{
    struct message *found = NULL;

    for (int i = 0; i < CLIENTS && found == NULL; i++) {
        struct peer *p = &world.clients[i];
        if (world.listener != LISTENER_PROXY && up->client != i)
            continue;
        found = find_asked(up, p->speaks == SPEAKS_TWO ? &p->sent2.messages : &p->sent1.messages);
    }
    if (found != NULL)
        found->is_matched = true;
    return found != NULL;
}

static struct messages *upstream_messages(size_t i)
{
    struct peer *p = &world.upstreams[i];

    return p->speaks == SPEAKS_TWO ? &p->got2.messages : &p->got1.messages;
}

/* The request of the same id that came before the `upto_message`th of upstream connection `upto`.
 */
static const struct message *seen_before(const char *id, size_t upto, size_t upto_message)
{
    for (size_t i = 0; i <= upto; i++) {
        const struct messages *list = upstream_messages(i);
        size_t count = i == upto ? upto_message : list->count;
        for (size_t k = 0; k < count; k++) {
            if (list->items[k].has_head && strcmp(list->items[k].id, id) == 0)
                return &list->items[k];
        }
    }
    return NULL;
}

static bool may_be_done_twice(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/* Has one of this id found its client already? */
static bool is_accounted_for(const char *id)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            if (list->items[k].is_matched && strcmp(list->items[k].id, id) == 0)
                return true;
        }
    }
    return false;
}

/* An HTTP/2 upstream may have said that it has not begun; one of HTTP/1 cannot. */
static bool is_retry(const struct message *m, size_t upstream, size_t index)
{
    const struct message *first = seen_before(m->id, upstream, index);

    if (metric_get(&world.metrics->counters[COUNTER_UP_RETRIES]) == 0 || !is_accounted_for(m->id))
        return false;
    expect(first == NULL || first->stream != 0 || may_be_done_twice(first->method),
           "nothing is done twice that must not be");
    return true;
}

/* One of each id; whole requests first: what is not whole fits in more places. */
static void match_firsts(bool whole)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            struct message *m = &list->items[k];
            if (!m->has_head || m->is_whole != whole)
                continue;
            expect(m->id_count == 1, "one X-Request-Id in each request");
            if (!is_accounted_for(m->id))
                m->is_matched = match(m);
        }
    }
}

/* Then the retries, which must not have the place of another's like request. Clients whom weir
 * trusts choose the id: theirs may be the same and no retry. */
static void match_rest(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            const struct message *m = &list->items[k];
            if (m->has_head && !m->is_matched && !match(m) && !is_retry(m, i, k))
                fail("upstream sees only what a client asked for", m->tail);
        }
    }
}

static void check_requests(void)
{
    const metric *counters = world.metrics->counters;
    uint64_t asked = metric_get(&counters[COUNTER_DOWN_REQUESTS_H1]) +
                     metric_get(&counters[COUNTER_DOWN_REQUESTS_H2]) +
                     metric_get(&counters[COUNTER_UP_RETRIES]);
    uint64_t seen = 0;

    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++)
            seen += list->items[k].has_head;
    }
    expect(seen <= asked, "no more requests upstream than were asked for");
    match_firsts(true);
    match_firsts(false);
    match_rest();
}

/* --- the right answer ------------------------------------------------------------------------ */

static void check_answer(const struct peer *p, const struct message *answer,
                         const struct message *asked)
{
    if (answer->was_client == NO_CLIENT || asked == NULL || !asked->has_head)
        return;
    if (world.listener != LISTENER_PROXY)
        expect(answer->was_client == p->index, "an answer for this client");
    expect(is_same_target(answer->was, asked->tail), "the answer to this request");
}

static void check_answers(const struct peer *p)
{
    for (size_t i = 0; i < p->got1.messages.count; i++) {
        const struct messages *asked = &p->sent1.messages;
        check_answer(p, &p->got1.messages.items[i], i < asked->count ? &asked->items[i] : NULL);
    }
    for (size_t i = 0; i < p->got2.messages.count; i++) {
        const struct message *answer = &p->got2.messages.items[i];
        check_answer(p, answer, messages_on_stream(&p->sent2.messages, answer->stream));
    }
}

/* --- everybody is answered ------------------------------------------------------------------- */

static bool is_answered_h1(const struct peer *p)
{
    return messages_whole(&p->got1.messages) >= messages_whole(&p->sent1.messages);
}

/* The rest of an answer may wait for the client's windows. */
static bool is_answered_h2(const struct peer *p)
{
    if (p->got2.says_goaway)
        return true;
    for (size_t i = 0; i < p->sent2.messages.count; i++) {
        const struct message *asked = &p->sent2.messages.items[i];
        const struct message *answer = messages_on_stream(&p->got2.messages, asked->stream);
        if (!asked->is_whole || asked->was_reset || asked->stream % 2 == 0)
            continue;
        if (answer == NULL)
            return false;
    }
    return true;
}

/* Nothing is in flight: then nobody who can be told may be waiting. */
static void check_nobody_waits(void)
{
    if (proxy_open_exchanges(world.proxy) > 0)
        return;
    for (int i = 0; i < CLIENTS; i++) {
        const struct peer *p = &world.clients[i];
        bool can_be_told = p->fd >= 0 && !p->got_eof && !p->has_shut && p->out.at == p->out.len;
        if (!can_be_told || p->speaks == SPEAKS_NOTHING)
            continue;
        expect(p->speaks == SPEAKS_TWO ? p->sent2.wrong != NULL || is_answered_h2(p)
                                       : is_answered_h1(p),
               "a request is answered or its connection closed");
    }
}

/* Every client reads, and no window is shut: then there is no reason to leave an upstream's bytes
 * where they are. */
static void check_upstreams_are_read(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (world.clients[i].speaks == SPEAKS_TWO)
            return;
    }
    for (size_t i = 0; i < world.upstream_count; i++)
        expect(unread_bytes(&world.upstreams[i]) == 0, "who is slow no more is sent the rest");
}

/* Of an upstream of HTTP/1: no more is to be expected of it for what it has been asked. */
static bool has_said_all(const struct peer *p)
{
    if (p->fd < 0 || p->has_shut || p->got_eof)
        return true;
    return p->speaks == SPEAKS_ONE && !p->is_blind && p->out.at == p->out.len &&
           messages_whole(&p->sent1.messages) >= p->got1.messages.count;
}

/* Every client reads: then an answer that is whole at the upstream is whole at the client. */
static void check_answers_are_passed_on(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        if (!has_said_all(&world.upstreams[i]))
            return;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct peer *p = &world.clients[i];
        if (p->fd < 0 || p->got_eof || p->got1.messages.count == 0)
            continue;
        const struct message *last = messages_last(&p->got1.messages);
        expect(!last->has_head || last->is_whole, "an answer that is whole is passed on whole");
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static uint64_t gauge(enum gauge gauge)
{
    return metric_get(&world.metrics->gauges[gauge]);
}

static bool is_over(void)
{
    return proxy_open_connections(world.proxy) == 0 && proxy_open_exchanges(world.proxy) == 0 &&
           gauge(GAUGE_UP_CONNECTIONS_OPEN) == 0 && list_is_empty(loop_conns(world.loop));
}

/* Everybody falls silent, and takes what there is to take: the deadlines do the rest. */
static void fall_silent(void)
{
    enum { STEPS = 8, STEP_MS = 10000 };

    for (size_t i = 0; i < world.upstream_count; i++)
        world.upstreams[i].is_reading = true;
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i].is_reading = true;
    settle();
    check_upstreams_are_read();
    check_answers_are_passed_on();
    check_nobody_waits();
    for (int i = 0; i < STEPS && !is_over(); i++) {
        pass_time(STEP_MS);
        settle();
        check_nobody_waits();
    }
    expect(is_over(), "the deadlines end everything");
    expect(loop_bufs(world.loop)->in_use == 0, "no buffer in use");
}

static void cut_all(void)
{
    proxy_close_all(world.proxy);
    turn();
    expect(proxy_open_connections(world.proxy) == 0 && proxy_open_exchanges(world.proxy) == 0,
           "proxy_close_all ends everything");
    settle();
}

static void check_counters(void)
{
    struct metrics *metrics = world.metrics;
    uint64_t requests = metric_get(&metrics->counters[COUNTER_DOWN_REQUESTS_H1]) +
                        metric_get(&metrics->counters[COUNTER_DOWN_REQUESTS_H2]);
    uint64_t recorded = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        recorded += metric_get(&metrics->duration.bucket[i]);
    expect(gauge(GAUGE_DOWN_CONNECTIONS_OPEN) == 0, "no connection open");
    expect(gauge(GAUGE_DOWN_STREAMS_OPEN) == 0, "no stream open");
    expect(recorded == requests, "each request recorded once");
    for (struct group_metrics *group = metrics->groups; group != NULL; group = group->next)
        expect(metric_get(&group->active) == 0, "no request active in a group");
}

/* Counts of connections, by listener and by client, are back at nothing: there is room for one. */
static void check_quotas(void)
{
    struct tally *tally = world.quotas->connections;
    const struct serving_listener *listener = &world.proxy->serving->listeners[world.listener];

    expect(tally_take(tally, listener->key, 1) == TALLY_TAKEN, "no connection counted");
    tally_give(tally, listener->key);
}

static void world_begin(uint8_t settings)
{
    world.is_on = true;
    world.now_us = INT64_C(1) << 40;
    world.dice = 1;
    world.has_small_sockets = settings & 8;
    world.listener = settings >> 1 & 3;
    world.loop = loop_new();
    ev_set_invoke_pending_cb(loop_ev(world.loop), on_pending);
    world.metrics = metrics_new();
    world.quotas = quotas_new(configs[0], 1);
    world.proxy = proxy_new(world.loop, NULL, NULL, world.metrics, NULL);
    proxy_share(world.proxy, world.quotas);
    act_reload(settings & 1);
    world.upstreams = mem_new(UPSTREAMS * sizeof(*world.upstreams));
    world.upstream_count = 0;
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i] = (struct peer){.fd = -1};
}

static void world_end(void)
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

/* The lowest descriptor that is free. */
static int next_fd(void)
{
    int fd = dup(upstream_socket);

    close(fd);
    return fd;
}

static void run(struct play *play)
{
    enum { CUT = 0x80 };
    uint8_t settings = take(play);

    world_begin(settings);
    while (play->at < play->end)
        act(play);
    if (settings & CUT)
        cut_all();
    else
        fall_silent();
    check_requests();
    for (size_t i = 0; i < CLIENTS; i++)
        check_answers(&world.clients[i]);
    check_counters();
    check_quotas();
    world_end();
}

/* --- once ------------------------------------------------------------------------------------ */

static struct config *load(const char *protocol)
{
    struct complaints complaints;
    char text[sizeof(config_text) + 512], line[512];

    snprintf(text, sizeof(text), config_text, socket_path, protocol, socket_path, protocol);
    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), "worker_fuzz", &complaints);
    if (config == NULL)
        fail("the configuration is good", complaint_line(&complaints.items[0], line, sizeof(line)));
    complaints_deinit(&complaints);
    return config;
}

static void swallow(void *arg UNUSED, const char *line UNUSED, size_t len UNUSED)
{
}

static void clean_up(void)
{
    unlink(socket_path);
    rmdir(socket_dir);
    for (int i = 0; i < CONFIGS; i++) {
        for (size_t k = 0; k < routers[i].count; k++)
            router_free(routers[i].items[k]);
        free(routers[i].items);
        config_free(configs[i]);
    }
}

static void listen_upstream(void)
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
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    struct err err;

    listen_upstream();
    for (int i = 0; i < CONFIGS; i++) {
        configs[i] = load(i == 0 ? "h1" : "h2");
        routers[i].items = mem_new(configs[i]->router_count * sizeof(struct router *));
        for (size_t k = 0; k < configs[i]->router_count; k++)
            routers[i].items[routers[i].count++] = router_new(configs[i], k, &err);
    }
    atexit(clean_up);
    log_set_sink(swallow, NULL);
    log_set_level(LOG_LEVEL_DEBUG);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {data, data + size};
    int before = next_fd();

    run(&play);
    expect(next_fd() == before, "no descriptor left open");
    return 0;
}
