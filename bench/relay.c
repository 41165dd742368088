/* The bare relay: terminates TLS (or nothing), copies bytes both ways, parses nothing. What remains
 * when it is subtracted from a proxy's cost is what the proxy does with HTTP.
 *
 *   bench_relay PLAIN_PORT TLS_PORT UPSTREAM_PORT CHAIN KEY
 *
 * One thread, epoll, one upstream connection for each client connection. Interest in EPOLLOUT only
 * while bytes wait; one read per event unless it filled the buffer. */
#include "tls_util.h"
#include <stdbool.h>

enum { CHUNK = 64 * 1024 }; /* four TLS records: what one readable event moves */

struct relay;

/* One end. `pending` is what could not be written to it yet; while there is some, the other end is
 * not read. */
struct side {
    struct relay *relay;
    struct side *other;
    SSL *ssl; /* NULL: plain */
    int fd;
    uint32_t interest;
    char *pending;
    size_t pending_len;
};

struct relay {
    struct side client, upstream;
    bool dead;
    struct relay *next_dead;
};

static int epoll_fd;
static int upstream_port;
static struct relay *graveyard; /* freed after the events of this turn, which may still name them */
static char scratch[CHUNK];

enum { WOULD_BLOCK = -1, CLOSED = -2 };

static ssize_t side_read(struct side *side)
{
    if (!side->ssl) {
        ssize_t n = read(side->fd, scratch, CHUNK);

        return n > 0 ? n : n < 0 && errno == EAGAIN ? WOULD_BLOCK : CLOSED;
    }

    /* SSL_read gives one record at most; take what is decrypted or read ahead in the same turn. */
    size_t have = 0;

    ERR_clear_error();
    do {
        int n = SSL_read(side->ssl, scratch + have, (int)(CHUNK - have));

        if (n <= 0) {
            if (have)
                break;
            return SSL_get_error(side->ssl, n) == SSL_ERROR_WANT_READ ? WOULD_BLOCK : CLOSED;
        }
        have += (size_t)n;
    } while (have < CHUNK && SSL_has_pending(side->ssl));
    return (ssize_t)have;
}

/* Bytes taken; CLOSED on failure. */
static ssize_t side_write(struct side *side, const char *data, size_t len)
{
    size_t sent = 0;

    while (sent < len) {
        ssize_t n;

        if (side->ssl) {
            ERR_clear_error();
            n = SSL_write(side->ssl, data + sent, (int)(len - sent));
            if (n <= 0 && SSL_get_error(side->ssl, (int)n) == SSL_ERROR_WANT_WRITE)
                break;
        } else {
            n = write(side->fd, data + sent, len - sent);
            if (n < 0 && errno == EAGAIN)
                break;
        }
        if (n <= 0)
            return CLOSED;
        sent += (size_t)n;
    }
    return (ssize_t)sent;
}

static void set_interest(struct side *side)
{
    uint32_t wanted = (side->pending_len ? EPOLLOUT : 0) | (side->other->pending_len ? 0 : EPOLLIN);

    if (wanted != side->interest) {
        watch(epoll_fd, EPOLL_CTL_MOD, side->fd, wanted, side);
        side->interest = wanted;
    }
}

static void relay_bury(struct relay *relay)
{
    if (relay->dead)
        return;
    relay->dead = true;
    if (relay->client.ssl) {
        SSL_shutdown(relay->client.ssl);
        SSL_free(relay->client.ssl);
    }
    close(relay->client.fd);
    close(relay->upstream.fd);
    relay->next_dead = graveyard;
    graveyard = relay;
}

/* Keeps what `side` would not take. */
static void keep_pending(struct side *side, const char *data, size_t len)
{
    side->pending = malloc(len);
    if (!side->pending)
        die("malloc");
    memcpy(side->pending, data, len);
    side->pending_len = len;
}

static void pump(struct side *from)
{
    struct side *to = from->other;
    ssize_t n = side_read(from);

    if (n == WOULD_BLOCK)
        return;
    if (n == CLOSED) {
        relay_bury(from->relay);
        return;
    }

    ssize_t sent = side_write(to, scratch, (size_t)n);

    if (sent == CLOSED) {
        relay_bury(from->relay);
    } else if (sent < n) {
        keep_pending(to, scratch + sent, (size_t)(n - sent));
        set_interest(to);
        set_interest(from);
    } else if (from->ssl && SSL_has_pending(from->ssl)) {
        pump(from); /* read ahead: epoll will not tell of these bytes again */
    }
}

static void flush(struct side *side)
{
    ssize_t sent = side_write(side, side->pending, side->pending_len);

    if (sent == CLOSED) {
        relay_bury(side->relay);
        return;
    }
    side->pending_len -= (size_t)sent;
    memmove(side->pending, side->pending + sent, side->pending_len);
    if (side->pending_len)
        return;
    free(side->pending);
    side->pending = NULL;
    set_interest(side);
    set_interest(side->other);
    if (side->other->ssl && SSL_has_pending(side->other->ssl))
        pump(side->other);
}

static int connect_upstream(void)
{
    struct sockaddr_in addr = loopback(upstream_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("upstream");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    set_nodelay(fd);
    return fd;
}

static void relay_new(int fd, SSL_CTX *ctx)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (!relay)
        die("relay");
    relay->client = (struct side){.relay = relay, .other = &relay->upstream, .fd = fd};
    relay->upstream = (struct side){.relay = relay, .other = &relay->client};
    relay->upstream.fd = connect_upstream();
    set_nodelay(fd);
    if (ctx) {
        relay->client.ssl = SSL_new(ctx);
        if (!relay->client.ssl)
            die("SSL_new");
        SSL_set_fd(relay->client.ssl, fd);
        SSL_set_accept_state(relay->client.ssl);
    }
    relay->client.interest = relay->upstream.interest = EPOLLIN;
    watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, &relay->client);
    watch(epoll_fd, EPOLL_CTL_ADD, relay->upstream.fd, EPOLLIN, &relay->upstream);
}

static void accept_all(int listener, SSL_CTX *ctx)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        relay_new(fd, ctx);
}

static void on_event(struct side *side, uint32_t events)
{
    if (!side->relay->dead && events & EPOLLOUT && side->pending_len)
        flush(side);
    if (!side->relay->dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !side->other->pending_len)
        pump(side);
}

static void bury_for_good(void)
{
    while (graveyard) {
        struct relay *relay = graveyard;

        graveyard = relay->next_dead;
        free(relay->client.pending);
        free(relay->upstream.pending);
        free(relay);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s PLAIN_PORT TLS_PORT UPSTREAM_PORT CHAIN KEY\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    upstream_port = atoi(argv[3]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    SSL_CTX *ctx = server_context(argv[4], argv[5]);
    int plain = listen_on(atoi(argv[1])), tls = listen_on(atoi(argv[2]));
    static struct side plain_mark, tls_mark; /* only their addresses are used */

    watch(epoll_fd, EPOLL_CTL_ADD, plain, EPOLLIN, &plain_mark);
    watch(epoll_fd, EPOLL_CTL_ADD, tls, EPOLLIN, &tls_mark);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll_fd, events, 256, -1);

        for (int i = 0; i < count; i++) {
            struct side *side = events[i].data.ptr;

            if (side == &plain_mark)
                accept_all(plain, NULL);
            else if (side == &tls_mark)
                accept_all(tls, ctx);
            else
                on_event(side, events[i].events);
        }
        bury_for_good();
    }
}
