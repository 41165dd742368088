/* The loads that wrk and h2load do not make. One thread, epoll, one line of JSON at the end.
 *
 * bench_load handshakes --port P --count N [--concurrency C] [--resume] [--rsa] [--rate R]
 * - N TLS connections, C at a time or R per second: handshake and close, no request.
 *
 * bench_load hold --port P --count N [--concurrency C] [--h2] [--silent]
 * - Opens N TLS connections, one request on each (none when silent), says so, and holds them until
 *   standard input ends.
 *
 * bench_load rate --port P [--plain] --connections C --rate R --seconds S
 * - Open loop: R HTTP/1.1 requests per second, evenly spaced. Latency counts from the moment a
 *   request was due, so that a stalled server cannot hide behind fewer questions.
 *
 * bench_load closed --port P [--plain] --connections C --warm W --requests N
 * - W requests, says "ready", waits for a line on standard input, N requests, says so, waits for
 *   standard input to end. Nothing but N requests happens in between.
 *
 * Requests go to --hosts H different hosts, each with a cookie of its own. */
#include "tls_util.h"
#include <stdbool.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>

enum { HEAD_MAX = 4096 };

enum state { CONNECTING, HANDSHAKING, FREE, WAITING, CLOSING, FAILED };

struct client {
    struct client *next_free;
    SSL *ssl; /* NULL: plain */
    int fd;
    enum state state;
    int64_t due_ns;      /* when the running request should have left */
    size_t head_len;     /* bytes of `head` seen so far */
    int64_t body_left;   /* -1: still in the head */
    uint32_t answers;    /* how many responses have come */
    char head[HEAD_MAX]; /* of the response; with h2 a frame's header */
};

static struct {
    const char *mode;
    int port, count, concurrency, connections, rate, seconds, hosts;
    long warm, requests;
    bool resume, rsa, h2, silent, plain;
} opt = {.concurrency = 16, .connections = 64, .hosts = 1000, .rate = 0, .seconds = 5};

static SSL_CTX *ctx;
static SSL_SESSION *session; /* the one that is resumed */
static int epoll_fd;
static struct client *free_first,
    *free_last; /* first in, first out: every connection gets its turn */
static long opened, done, errors, resumed;
static uint64_t dice = 88172645463325252u;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static uint64_t roll(void) /* xorshift64: the same cookies every time */
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

/* --- connections ----------------------------------------------------------------------------- */

/* A copy: a connection that ends with an error makes its session useless for the others. */
static void offer_session(SSL *ssl)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);

    if (!copy || SSL_set_session(ssl, copy) != 1)
        die("session");
    SSL_SESSION_free(copy);
}

static void client_open(void)
{
    struct client *client = calloc(1, sizeof *client);
    struct sockaddr_in addr = loopback(opt.port);

    if (!client)
        die("calloc");
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0 ||
        (connect(client->fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EINPROGRESS))
        die("connect");
    set_nodelay(client->fd);
    client->body_left = -1;
    if (!opt.plain) {
        client->ssl = SSL_new(ctx);
        if (!client->ssl)
            die("SSL_new");
        SSL_set_fd(client->ssl, client->fd);
        SSL_set_tlsext_host_name(client->ssl, "w00000.wiki.test");
        if (session)
            offer_session(client->ssl);
        SSL_set_connect_state(client->ssl);
    }
    opened++;
    watch(epoll_fd, EPOLL_CTL_ADD, client->fd, EPOLLIN | EPOLLOUT, client);
}

static void client_close(struct client *client)
{
    SSL_free(client->ssl);
    close(client->fd);
    free(client);
}

static void leave_free_list(struct client *client)
{
    struct client **link = &free_first, *before = NULL;

    for (; *link && *link != client; link = &before->next_free)
        before = *link;
    if (!*link)
        return;
    *link = client->next_free;
    if (free_last == client)
        free_last = before;
}

/* It is closed when its event is over. */
static void client_fail(struct client *client)
{
    if (client->state == FAILED)
        return;
    if (client->state == FREE)
        leave_free_list(client);
    if (errors++ == 0)
        fprintf(stderr, "%s: connection failed in state %d after %u answers\n", opt.mode,
                (int)client->state, client->answers);
    client->state = FAILED;
}

static void put_free(struct client *client)
{
    client->state = FREE;
    client->next_free = NULL;
    if (free_last)
        free_last->next_free = client;
    else
        free_first = client;
    free_last = client;
}

static struct client *take_free(void)
{
    struct client *client = free_first;

    if (client && !(free_first = client->next_free))
        free_last = NULL;
    return client;
}

/* Bytes read, 0 when there are none now; a connection that ended is FAILED. */
static size_t client_read(struct client *client, char *out, size_t size)
{
    ssize_t n;

    if (client->ssl) {
        ERR_clear_error();
        n = SSL_read(client->ssl, out, (int)size);
        if (n <= 0 && SSL_get_error(client->ssl, (int)n) == SSL_ERROR_WANT_READ)
            return 0;
    } else {
        n = read(client->fd, out, size);
        if (n < 0 && errno == EAGAIN)
            return 0;
    }
    if (n > 0)
        return (size_t)n;
    client_fail(client);
    return 0;
}

/* Requests are small: what does not fit into the socket at once is a failure. */
static void client_write(struct client *client, const char *data, size_t len)
{
    ssize_t n = client->ssl ? SSL_write(client->ssl, data, (int)len) : write(client->fd, data, len);

    if (n != (ssize_t)len)
        client_fail(client);
}

/* --- requests -------------------------------------------------------------------------------- */

static void send_h1_request(struct client *client)
{
    char text[512];
    uint64_t cookie = roll();
    int len = snprintf(text, sizeof text,
                       "GET /small HTTP/1.1\r\nHost: w%05u.wiki.test\r\nUser-Agent: bench\r\n"
                       "Accept: */*\r\nCookie: WMF-Uniq=%016llx\r\n\r\n",
                       (unsigned)(cookie % (unsigned)opt.hosts), (unsigned long long)cookie);

    client->state = WAITING;
    client_write(client, text, (size_t)len);
}

/* Preface, empty SETTINGS, and one GET of which every field but :authority and :path is in the
 * static table. */
static void send_h2_request(struct client *client)
{
    static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                "\0\0\0\x4\0\0\0\0\0"
                                "\0\0\x1c\x1\x5\0\0\0\x1"
                                "\x82\x87\x44\x06/small\x41\x10w00000.wiki.test";

    client->state = WAITING;
    client_write(client, bytes, sizeof bytes - 1);
}

static void send_request(struct client *client, int64_t due_ns)
{
    client->due_ns = due_ns;
    if (opt.h2)
        send_h2_request(client);
    else
        send_h1_request(client);
}

/* The length that the head announces; -1 when it is no 200 with a Content-Length. */
static int64_t body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");

    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || !field)
        return -1;
    return atoll(field + strlen("\r\ncontent-length:"));
}

/* True when `data` ended the response. */
static bool take_h1(struct client *client, const char *data, size_t len)
{
    if (client->body_left < 0) {
        size_t room = HEAD_MAX - 1 - client->head_len, copied = len < room ? len : room;

        memcpy(client->head + client->head_len, data, copied);
        client->head[client->head_len + copied] = '\0';

        char *end = strstr(client->head, "\r\n\r\n");

        if (!end) {
            client->head_len += copied;
            if (copied == room)
                client_fail(client);
            return false;
        }

        size_t used = (size_t)(end + 4 - client->head) - client->head_len;

        end[2] = '\0';
        client->head_len = 0;
        client->body_left = body_length(client->head);
        if (client->body_left < 0) {
            client_fail(client);
            return false;
        }
        len -= used;
    }
    client->body_left -= (int64_t)len;
    if (client->body_left > 0)
        return false;
    client->body_left = -1;
    return true;
}

/* True when a frame with END_STREAM has passed. Frame headers are collected in `head`. */
static bool take_h2(struct client *client, const char *data, size_t len)
{
    enum {
        FRAME_HEAD = 9,
        DATA = 0,
        HEADERS = 1,
        SETTINGS = 4,
        GOAWAY = 7,
        END_STREAM = 1,
        ACK = 1
    };
    static const char settings_ack[FRAME_HEAD] = {0, 0, 0, SETTINGS, ACK};
    bool ended = false;

    while (len > 0) {
        if (client->body_left > 0) {
            size_t skip = len < (size_t)client->body_left ? len : (size_t)client->body_left;

            data += skip;
            len -= skip;
            client->body_left -= (int64_t)skip;
            continue;
        }
        client->head[client->head_len++] = *data++;
        len--;
        if (client->head_len < FRAME_HEAD)
            continue;

        const unsigned char *head = (const unsigned char *)client->head;

        client->head_len = 0;
        client->body_left = head[0] << 16 | head[1] << 8 | head[2];
        if (head[3] == GOAWAY)
            client_fail(client);
        if (head[3] == SETTINGS && !(head[4] & ACK))
            client_write(client, settings_ack, sizeof settings_ack);
        if ((head[3] == DATA || head[3] == HEADERS) && head[4] & END_STREAM)
            ended = true;
    }
    return ended;
}

/* --- what a mode does with an answer --------------------------------------------------------- */

static double *latencies; /* microseconds, for mode rate */
static size_t latency_count, latency_cap;

static void note_latency(const struct client *client)
{
    if (latency_count < latency_cap)
        latencies[latency_count++] = (double)(now_ns() - client->due_ns) / 1000.0;
}

static bool is_mode(const char *mode)
{
    return strcmp(opt.mode, mode) == 0;
}

static void on_answer(struct client *client)
{
    client->answers++;
    done++;
    if (latencies)
        note_latency(client);
    put_free(client);
}

/* A handshake alone is over when the server has seen our close_notify and closed too: no reset, no
 * ticket left unread. */
static void on_secure(struct client *client)
{
    if (is_mode("handshakes")) {
        resumed += SSL_session_reused(client->ssl);
        SSL_shutdown(client->ssl);
        shutdown(client->fd, SHUT_WR);
        client->state = CLOSING;
    } else if (is_mode("hold") && !opt.silent) {
        send_request(client, now_ns());
    } else {
        if (is_mode("hold"))
            done++;
        put_free(client);
    }
    watch(epoll_fd, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
}

static void handshake(struct client *client)
{
    int n;

    if (!client->ssl) {
        on_secure(client);
        return;
    }
    ERR_clear_error();
    n = SSL_do_handshake(client->ssl);
    if (n == 1) {
        on_secure(client);
        return;
    }
    switch (SSL_get_error(client->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        if (client->state == CONNECTING)
            watch(epoll_fd, EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
        client->state = HANDSHAKING;
        break;
    case SSL_ERROR_WANT_WRITE:
        break;
    default:
        client_fail(client);
    }
}

static void drain_closing(struct client *client)
{
    char scratch[4096];
    int n;

    do
        n = SSL_read(client->ssl, scratch, sizeof scratch);
    while (n > 0);
    if (SSL_get_error(client->ssl, n) == SSL_ERROR_WANT_READ)
        return;
    done++;
    client_close(client);
}

static void on_event(struct client *client)
{
    static char buffer[64 * 1024];

    if (client->state == CLOSING) {
        drain_closing(client);
        return;
    }
    if (client->state == CONNECTING || client->state == HANDSHAKING) {
        handshake(client);
        if (client->state == FAILED)
            client_close(client);
        return;
    }
    for (size_t n;
         client->state != FAILED && (n = client_read(client, buffer, sizeof buffer)) > 0;) {
        if (client->state != WAITING && !opt.h2)
            client_fail(client); /* an answer to no question */
        else if (opt.h2 ? take_h2(client, buffer, n) : take_h1(client, buffer, n))
            on_answer(client);
        if (n < sizeof buffer && !(client->ssl && SSL_has_pending(client->ssl)))
            break;
    }
    if (client->state == FAILED)
        client_close(client);
}

/* One turn of the loop; false when the timer has something to say. */
static bool turn(int timeout_ms)
{
    struct epoll_event events[128];
    int count = epoll_wait(epoll_fd, events, 128, timeout_ms);
    bool quiet = true;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            on_event(events[i].data.ptr);
        else
            quiet = false;
    }
    return quiet;
}

static void give_up_on_errors(void)
{
    if (errors > 100) {
        errno = 0;
        die("too many errors");
    }
}

/* --- modes ----------------------------------------------------------------------------------- */

/* A timer that ticks `rate` times a second, in the loop as the event without a client. */
static int open_ticker(int rate)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    long ns = 1000000000l / rate;
    struct itimerspec spec = {.it_interval = {ns / 1000000000l, ns % 1000000000l},
                              .it_value = {ns / 1000000000l, ns % 1000000000l}};

    if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0)
        die("timerfd");
    watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, NULL);
    return fd;
}

static uint64_t ticks(int timer)
{
    uint64_t count = 0;

    return read(timer, &count, sizeof count) == sizeof count ? count : 0;
}

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    if (session || !opt.resume)
        return 0;
    session = SSL_SESSION_dup(fresh);
    return 0;
}

/* The one full handshake that yields the ticket. TLS 1.3 sends it after the handshake. */
static void fetch_ticket(void)
{
    int64_t deadline = now_ns() + 5000000000ll;

    client_open();
    while (done + errors < opened && now_ns() < deadline)
        turn(100);
    if (!session) {
        errno = 0;
        die("the server gave no ticket");
    }
    opened = done = resumed = 0;
}

static void run_handshakes(void)
{
    if (opt.resume)
        fetch_ticket();

    int64_t began = now_ns();

    if (opt.rate) {
        int timer = open_ticker(opt.rate);

        while (done + errors < opt.count) {
            if (!turn(1000))
                for (uint64_t due = ticks(timer); due > 0 && opened < opt.count; due--)
                    if (opened - done - errors < opt.concurrency)
                        client_open();
            give_up_on_errors();
        }
    } else {
        while (done + errors < opt.count) {
            while (opened < opt.count && opened - done - errors < opt.concurrency)
                client_open();
            turn(1000);
            give_up_on_errors();
        }
    }
    printf("{\"done\": %ld, \"errors\": %ld, \"resumed\": %ld, \"seconds\": %.6f}\n", done, errors,
           resumed, (double)(now_ns() - began) / 1e9);
}

static void wait_for_input(bool only_a_line)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) == 1 && !(only_a_line && byte == '\n'))
        ;
}

static void run_hold(void)
{
    while (done + errors < opt.count) {
        while (opened < opt.count && opened - done - errors < opt.concurrency)
            client_open();
        turn(1000);
        give_up_on_errors();
    }
    printf("{\"done\": %ld, \"errors\": %ld}\n", done, errors);
    fflush(stdout);
    wait_for_input(false);
}

static void open_all_connections(void)
{
    struct client *last = NULL;
    int64_t deadline = now_ns() + 10000000000ll;

    for (int ready = 0; ready < opt.connections;) {
        if (opened - ready < opt.concurrency && opened < opt.connections)
            client_open();
        turn(opened < opt.connections ? 0 : 100);
        for (; free_last != last && ready < opt.connections; ready++)
            last = last ? last->next_free : free_first;
        if (errors || now_ns() > deadline)
            die("could not open all connections");
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(double p)
{
    if (!latency_count)
        return 0;

    size_t at = (size_t)(p / 100.0 * (double)latency_count);

    return latencies[at < latency_count ? at : latency_count - 1];
}

static void run_rate(void)
{
    enum { WARM_TICKS_OF_A_SECOND = 2 }; /* half a second at the same rate is not counted */
    long warm = opt.rate / WARM_TICKS_OF_A_SECOND, total = warm + (long)opt.rate * opt.seconds;
    int64_t period_ns = 1000000000ll / opt.rate;
    double *kept = malloc(sizeof(double) * (size_t)total);

    if (!kept)
        die("malloc");
    open_all_connections();

    int timer = open_ticker(opt.rate);
    int64_t began = now_ns();
    long sent = 0, late = 0;

    latency_cap = (size_t)total;
    while (done + errors < total && now_ns() < began + (total + opt.rate * 10ll) * period_ns) {
        if (!turn(1000))
            ticks(timer);
        if (!latencies && done >= warm)
            latencies = kept;
        for (int64_t due; sent < total && (due = began + sent * period_ns) <= now_ns(); sent++) {
            struct client *client = take_free();

            if (!client) {
                late++;
                break; /* asked again on the next turn; its latency counts from when it was due */
            }
            send_request(client, due);
        }
        give_up_on_errors();
    }
    latencies = kept;
    qsort(latencies, latency_count, sizeof *latencies, by_value);
    printf("{\"done\": %ld, \"errors\": %ld, \"waited\": %ld, \"p50\": %.1f, \"p90\": %.1f, "
           "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
           done, errors + (total - done), late, percentile(50), percentile(90), percentile(99),
           percentile(99.9), percentile(100));
}

static void run_requests(long count)
{
    long target = done + count, sent = done;

    while (done < target && !errors) {
        for (struct client *client; sent < target && (client = take_free()); sent++)
            send_request(client, 0);
        turn(1000);
    }
}

static void run_closed(void)
{
    open_all_connections();
    run_requests(opt.warm);
    puts("ready");
    fflush(stdout);
    wait_for_input(true);

    long before = done;
    int64_t began = now_ns();

    run_requests(opt.requests);
    printf("{\"done\": %ld, \"errors\": %ld, \"seconds\": %.6f}\n", done - before, errors,
           (double)(now_ns() - began) / 1e9);
    fflush(stdout);
    wait_for_input(false);
}

/* --- start ----------------------------------------------------------------------------------- */

static const struct number_option {
    const char *name;
    int *value;
} number_options[] = {
    {"--port", &opt.port},   {"--count", &opt.count},     {"--concurrency", &opt.concurrency},
    {"--rate", &opt.rate},   {"--seconds", &opt.seconds}, {"--connections", &opt.connections},
    {"--hosts", &opt.hosts},
};

static const struct flag_option {
    const char *name;
    bool *value;
} flag_options[] = {{"--resume", &opt.resume},
                    {"--rsa", &opt.rsa},
                    {"--h2", &opt.h2},
                    {"--silent", &opt.silent},
                    {"--plain", &opt.plain}};

/* How many arguments were used up; 0: unknown. */
static int read_option(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof flag_options / sizeof *flag_options; i++)
        if (strcmp(name, flag_options[i].name) == 0)
            return *flag_options[i].value = true;
    if (!value)
        return 0;
    for (size_t i = 0; i < sizeof number_options / sizeof *number_options; i++)
        if (strcmp(name, number_options[i].name) == 0)
            return *number_options[i].value = atoi(value), 2;
    if (strcmp(name, "--warm") == 0)
        return opt.warm = atol(value), 2;
    if (strcmp(name, "--requests") == 0)
        return opt.requests = atol(value), 2;
    return 0;
}

static _Noreturn void usage(void)
{
    fputs("usage: bench_load handshakes|hold|rate|closed --port P ... (see the head of load.c)\n",
          stderr);
    exit(2);
}

static void set_up_tls(void)
{
    static const unsigned char h1[] = "\x8http/1.1", h2[] = "\x2h2";

    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        die("SSL_CTX_new");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    if (opt.rsa) {
        SSL_CTX_set1_sigalgs_list(ctx, "RSA-PSS+SHA256:RSA+SHA256");
        /* nghttpx takes who offers P-256 for one who understands ECDSA. */
        SSL_CTX_set1_groups_list(ctx, "X25519");
    }
    if (opt.h2)
        SSL_CTX_set_alpn_protos(ctx, h2, sizeof h2 - 1);
    else
        SSL_CTX_set_alpn_protos(ctx, h1, sizeof h1 - 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"handshakes", run_handshakes},
                 {"hold", run_hold},
                 {"rate", run_rate},
                 {"closed", run_closed}};

    if (argc < 2)
        usage();
    opt.mode = argv[1];
    for (int i = 2, used; i < argc; i += used)
        if (!(used = read_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL)))
            usage();
    if (!opt.port)
        usage();

    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    prctl(PR_SET_TIMERSLACK, 1ul);
    set_up_tls();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (is_mode(modes[i].name)) {
            modes[i].run();
            return errors ? 1 : 0;
        }
    usage();
}
