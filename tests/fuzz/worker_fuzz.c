/* A whole worker between clients and an upstream that are both the fuzzer's: the real loop,
 * connections, sessions, router, exchanges and pools, on socket pairs, with a clock that only the
 * input moves. TLS and threads are not included. These promises hold for any input:
 *
 *   - No request is invented. What weir sends upstream is well-formed for the strict parsers
 *     worker_h1_reader and worker_h2_reader. Each request there was sent by a client, with the same
 *     body. It is complete only if the client's was complete, and is sent twice only as a counted
 *     retry.
 *   - Every request is answered or its connection closed. When no request is in flight, no client
 *     waits for a response. When all peers stop sending, the deadlines end all requests.
 *   - An upstream connection is used again only after a complete response that had no bytes after
 *     it and did not announce the end of the connection.
 *   - Each client gets the response to its own request, complete and well-formed.
 *   - Nothing leaks: exchanges, leases, connections, buffers, quotas and descriptors are released.
 *   - The loop becomes idle, and memory is bounded.
 *
 * An input is one byte of settings and a list of acts (enum act); worker_seeds.py writes some.
 * worker_world has the worker and its peers, and worker_judge*.c check the promises. */
#include "worker_answers_impl.h"
#include "worker_judge_impl.h"

#include "base/log.h"
#include "net/loop_impl.h"

#include <stdlib.h>

enum { CONFIGS = 2 };

static struct served served[CONFIGS];

/* --- the input ------------------------------------------------------------------------------- */

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

/* --- acts ------------------------------------------------------------------------------------ */

static struct peer *client(unsigned arg)
{
    return world_client(arg % CLIENTS);
}

static struct peer *upstream(unsigned arg)
{
    return world_upstream(arg & 3);
}

/* In pieces, each in a turn of its own. */
static void dribble(struct peer *p, struct str text, size_t piece)
{
    while (text.len > 0) {
        size_t n = MIN(text.len, piece);
        peer_say(p, text.ptr, n);
        world_turn();
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
        peer_say(p, text.ptr, text.len);
    if (!(arg & 4))
        world_settle();
}

static void act_frame(struct play *play, struct peer *p, unsigned arg)
{
    uint8_t type = take(play), flags = take(play), stream = take(play);
    struct str payload = take_text(play);

    peer_say_frame(p, type, flags, stream, payload.ptr, payload.len);
    if (!(arg & 4))
        world_settle();
}

/* The client's end may lie unread at weir, or ours at the client: neither is an answer. */
static void act_end(struct peer *p, unsigned arg)
{
    if (p->fd < 0)
        return;
    if (arg & 4)
        peer_close(p);
    else
        peer_shut(p);
    if (!(arg & 8))
        world_settle();
}

static void act_reload(unsigned arg)
{
    static struct tls_server_plan *no_listeners[16];
    static struct tls_client_plan *no_groups[16];
    static const struct tls_plans plain = {.listeners = no_listeners, .groups = no_groups};
    struct served *now = &served[arg % CONFIGS];

    proxy_adopt(world.proxy, now->config, &now->routers, &plain, NULL, NULL);
}

static void act_preface(struct peer *p, unsigned arg)
{
    static const uint8_t wide[] = {0, 4, 0x7f, 0xff, 0xff, 0xff}, none[] = {0, 4, 0, 0, 0, 0};

    if (p->is_client)
        peer_say(p, h2_magic, H2_PREFACE_LEN);
    peer_say_frame(p, NGHTTP2_SETTINGS, 0, 0, arg & 8 ? none : wide, arg & 4 ? 6 : 0);
    world_settle();
    peer_say_frame(p, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "", 0);
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
        act_bytes(play, upstream(arg), arg);
        break;
    case ACT_CLIENT_FRAME:
        act_frame(play, client(arg), arg);
        break;
    case ACT_UP_FRAME:
        act_frame(play, upstream(arg), arg);
        break;
    case ACT_UP_ANSWER:
        answer_oldest(upstream(arg), take(play));
        world_settle();
        break;
    case ACT_TURNS:
        for (unsigned i = 0; i < arg; i++)
            world_turn();
        if (arg == 0)
            world_settle();
        break;
    case ACT_TIME:
        world_pass(times_ms[arg]);
        world_settle();
        break;
    case ACT_CLIENT_END:
        act_end(client(arg), arg);
        break;
    case ACT_UP_END:
        act_end(upstream(arg), arg);
        break;
    case ACT_CLIENT_READS:
        client(arg)->is_reading ^= true;
        break;
    case ACT_UP_READS:
        upstream(arg)->is_reading ^= true;
        break;
    case ACT_CLIENT_PREFACE:
        act_preface(client(arg), arg);
        break;
    case ACT_UP_PREFACE:
        act_preface(upstream(arg), arg);
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

/* --- the end --------------------------------------------------------------------------------- */

/* All peers stop sending and read what they can. The deadlines must end the rest. */
static void fall_silent(void)
{
    enum { STEPS = 8, STEP_MS = 10000 };

    for (size_t i = 0; i < world.upstream_count; i++)
        world.upstreams[i].is_reading = true;
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i].is_reading = true;
    world_settle();
    judge_silence();
    for (int i = 0; i < STEPS && !world_is_empty(); i++) {
        world_pass(STEP_MS);
        world_settle();
        judge_waiting();
    }
    expect(world_is_empty(), "the deadlines end everything");
    expect(loop_bufs(world.loop)->in_use == 0, "no buffer in use");
}

static void cut_all(void)
{
    proxy_close_all(world.proxy);
    world_turn();
    expect(proxy_open_connections(world.proxy) == 0 && proxy_open_exchanges(world.proxy) == 0,
           "proxy_close_all ends everything");
    world_settle();
}

static void run(struct play *play)
{
    enum { CONFIG = 1, SMALL_SOCKETS = 8, CUT = 0x80 };
    uint8_t settings = take(play);

    world_begin(served[0].config, settings >> 1 & 3, settings & SMALL_SOCKETS);
    act_reload(settings & CONFIG);
    while (play->at < play->end)
        act(play);
    if (settings & CUT)
        cut_all();
    else
        fall_silent();
    judge_requests();
    judge_answers();
    judge_given_back();
    world_end();
}

/* --- once ------------------------------------------------------------------------------------ */

static void swallow(void *arg UNUSED, const char *line UNUSED, size_t len UNUSED)
{
}

static void clean_up(void)
{
    world_unlisten();
    for (int i = 0; i < CONFIGS; i++)
        served_deinit(&served[i]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    const char *socket_path = world_listen();

    served_init(&served[0], socket_path, "h1");
    served_init(&served[1], socket_path, "h2");
    atexit(clean_up);
    log_set_sink(swallow, NULL);
    log_set_level(LOG_LEVEL_DEBUG);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {data, data + size};
    int before = world_next_fd();

    run(&play);
    expect(world_next_fd() == before, "no descriptor left open");
    return 0;
}
