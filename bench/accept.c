/* The bare OpenSSL accept loop: what a TLS handshake, and an idle TLS connection, cost at least.
 *
 *   bench_accept PORT RSA_PORT CHAIN KEY RSA_CHAIN RSA_KEY
 *
 * It accepts, completes the handshake, and holds the connection until the client closes it. No
 * HTTP. */
#include "tls_util.h"

struct client {
    SSL *ssl;
    int fd;
};

static void client_free(struct client *client)
{
    SSL_shutdown(client->ssl); /* one close_notify, so that the session stays resumable */
    SSL_free(client->ssl);
    close(client->fd);
    free(client);
}

/* Handshake and reading are one: SSL_read does what is due. */
static void on_readable(struct client *client)
{
    char scratch[4096];
    int n;

    ERR_clear_error();
    do
        n = SSL_read(client->ssl, scratch, sizeof scratch);
    while (n > 0);
    if (SSL_get_error(client->ssl, n) != SSL_ERROR_WANT_READ)
        client_free(client);
}

static void accept_all(int epoll, int listener, SSL_CTX *ctx)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct client *client = malloc(sizeof *client);

        if (!client || !(client->ssl = SSL_new(ctx)))
            die("client");
        client->fd = fd;
        set_nodelay(fd);
        SSL_set_fd(client->ssl, fd);
        SSL_set_accept_state(client->ssl);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, client);
    }
}

/* A port with its certificate; told from clients by where it lies. */
struct listener {
    int fd;
    SSL_CTX *ctx;
};

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: %s PORT RSA_PORT CHAIN KEY RSA_CHAIN RSA_KEY\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();

    struct listener listeners[2] = {
        {.fd = listen_on(atoi(argv[1])), .ctx = server_context(argv[3], argv[4])},
        {.fd = listen_on(atoi(argv[2])), .ctx = server_context(argv[5], argv[6])},
    };
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    for (int i = 0; i < 2; i++)
        watch(epoll, EPOLL_CTL_ADD, listeners[i].fd, EPOLLIN, &listeners[i]);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < count; i++) {
            struct listener *listener = events[i].data.ptr;

            if (listener == &listeners[0] || listener == &listeners[1])
                accept_all(epoll, listener->fd, listener->ctx);
            else
                on_readable(events[i].data.ptr);
        }
    }
}
