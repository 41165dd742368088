/* Helper threads: handshakes come back to the loop that sent them away, or are forgotten with their
 * connection; a library leaves the pool only when nobody works for it any more. */
#include "net/conn.h"
#include "tls/helpers_impl.h"

#include "plans.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 12 };

/* --- a server with an RSA key, and clients on socket pairs in the same loop ------------------ */

struct world {
    struct loop *loop;
    struct tls_library *tls_library;
    struct tls_helpers *helpers;
    struct tls_server *server;
    struct tls_client *client;
    unsigned opened, closed;
    enum reason reason; /* of the last one closed */
};

static char *text_of(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)len);

    BIO_free(bio);
    return text;
}

static void rsa_pem(char **chain, char **key)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    X509 *x509 = X509_new();
    BIO *chain_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());

    X509_set_version(x509, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x509), -86400L);
    X509_gmtime_adj(X509_getm_notAfter(x509), 30 * 86400L);
    X509_set_pubkey(x509, pkey);
    X509_sign(x509, pkey, EVP_sha256());
    PEM_write_bio_X509(chain_bio, x509);
    PEM_write_bio_PrivateKey(key_bio, pkey, NULL, NULL, 0, NULL, NULL);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    *chain = text_of(chain_bio);
    *key = text_of(key_bio);
}

static void world_init_on(struct world *w, unsigned threads, unsigned queue_max, bool share_cores)
{
    struct err err = {0};
    char *chain, *key;

    rsa_pem(&chain, &key);
    struct certificate_conf cert = {.chain_pem = str_of(chain), .key_pem = str_of(key)};
    struct tls_server_conf conf = {.certificates = &cert, .certificate_count = 1, .alpn_h1 = true};
    struct upstream_tls_conf trust = {.verify = false};

    *w = (struct world){.loop = loop_new(), .tls_library = tls_library_new()};
    if (threads > 0) {
        w->helpers = tls_helpers_new(threads, queue_max, share_cores, &err);
        assert_non_null(w->helpers);
    }
    tls_library_attach(w->tls_library, w->loop, w->helpers, queue_max);
    w->server = server_from(w->tls_library, NULL, &conf, &err);
    assert_string_equal(err.text, "");
    assert_non_null(w->server);
    w->client = client_from(w->tls_library, &trust, false, &err);
    assert_non_null(w->client);
    free(chain);
    free(key);
}

static void world_init(struct world *w, unsigned threads, unsigned queue_max)
{
    world_init_on(w, threads, queue_max, false);
}

static void world_deinit(struct world *w)
{
    tls_library_detach(w->tls_library);
    tls_helpers_free(w->helpers);
    loop_free(w->loop);
    tls_server_unref(&w->server);
    tls_client_unref(&w->client);
    tls_library_free(w->tls_library);
}

static void stop_when_all(struct world *w)
{
    if (w->opened + w->closed == CLIENTS)
        loop_stop(w->loop);
}

static void on_open(struct conn *conn)
{
    struct world *w = conn_arg(conn);

    w->opened++;
    stop_when_all(w);
}

static void on_closed(struct conn *conn, enum reason reason)
{
    struct world *w = conn_arg(conn);

    w->closed++;
    w->reason = reason;
    stop_when_all(w);
}

static const struct conn_handler handler = {.on_open = on_open, .on_closed = on_closed};

/* A client that has said its hello and says no more: a thread of its own would only be in the
 * way. */
static int hello_fd(struct world *w, struct conn **served)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    SSL_set_fd(ssl, fds[1]);
    assert_int_equal(SSL_connect(ssl), -1);
    SSL_set_fd(ssl, -1);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    *served = conn_accepted(w->loop, fds[0], &handler, w, (struct conn_limits){0});
    tls_accept(*served, w->server);
    return fds[1];
}

static struct loop *deadline_loop;

static void stop_loop(struct deadline *deadline UNUSED)
{
    loop_stop(deadline_loop);
}

static void run_for(struct world *w, int64_t ms)
{
    struct deadline deadline;

    deadline_loop = w->loop;
    deadline_init(&deadline, stop_loop);
    deadline_set(w->loop, &deadline, ms);
    loop_run(w->loop);
    deadline_deinit(&deadline);
}

/* Bytes of the server's flight that have come. */
static size_t answered(int fd)
{
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return n > 0 ? (size_t)n : 0;
}

/* --- promises -------------------------------------------------------------------------------- */

static void the_flight_comes_back_to_the_loop(void **state UNUSED)
{
    struct world w;
    struct conn *served[CLIENTS];
    int fds[CLIENTS];

    world_init(&w, 2, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = hello_fd(&w, &served[i]);
    while (tls_library_figures(w.tls_library)->offloaded < CLIENTS)
        run_for(&w, 20);
    for (int i = 0; i < CLIENTS; i++) {
        while (answered(fds[i]) == 0)
            run_for(&w, 20);
        close(fds[i]);
    }
    while (w.closed < CLIENTS)
        run_for(&w, 20);
    assert_int_equal(w.reason, REASON_HANDSHAKE_FAILED);
    world_deinit(&w);
}

static void what_does_not_fit_is_refused(void **state UNUSED)
{
    struct world w;
    struct conn *served[CLIENTS];
    int fds[CLIENTS];

    for (unsigned threads = 0; threads <= 1; threads++) {
        world_init(&w, threads, 2);
        for (int i = 0; i < CLIENTS; i++)
            fds[i] = hello_fd(&w, &served[i]);
        while (w.closed == 0)
            run_for(&w, 20);
        assert_int_equal(w.reason, REASON_HANDSHAKE_OVERFLOW);
        for (int i = 0; i < CLIENTS; i++)
            close(fds[i]);
        while (w.closed < CLIENTS)
            run_for(&w, 20);
        world_deinit(&w);
    }
}

static void a_connection_may_go_while_a_helper_has_its_stream(void **state UNUSED)
{
    struct world w;
    struct conn *served[CLIENTS];
    int fds[CLIENTS];

    world_init(&w, 1, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = hello_fd(&w, &served[i]);
    while (tls_library_figures(w.tls_library)->offloaded < CLIENTS)
        run_for(&w, 1);
    for (int i = 0; i < CLIENTS; i++) {
        conn_abort(served[i]);
        close(fds[i]);
    }
    run_for(&w, 1);
    world_deinit(&w); /* waits for the helper; sanitizers tell what was forgotten */
}

static void without_helpers_the_worker_signs_in_turns(void **state UNUSED)
{
    struct world w;
    struct conn *served[CLIENTS];
    int fds[CLIENTS];

    world_init(&w, 0, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = hello_fd(&w, &served[i]);
    for (int i = 0; i < CLIENTS; i++) {
        while (answered(fds[i]) == 0)
            run_for(&w, 20);
    }
    assert_int_equal(tls_library_figures(w.tls_library)->offloaded, 0);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    while (w.closed < CLIENTS)
        run_for(&w, 20);
    world_deinit(&w);
}

static size_t take_all(struct conn *conn UNUSED, struct slice data)
{
    return data.len;
}

/* A client without TLS that has sent something, and then something more. */
static struct conn *kept_client(struct world *w, int *fd)
{
    static const struct conn_handler reader = {.on_data = take_all, .on_closed = on_closed};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct conn *conn = conn_accepted(w->loop, fds[0], &reader, w, (struct conn_limits){0});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(fds[1], "x", 1, 0), 1);
        run_for(w, 20);
    }
    *fd = fds[1];
    return conn;
}

static void a_helper_without_a_core_is_used_only_while_clients_wait(void **state UNUSED)
{
    struct world w;
    struct conn *served, *kept;
    int first, second, neighbour;

    world_init_on(&w, 1, CLIENTS, true);
    first = hello_fd(&w, &served);
    while (answered(first) == 0)
        run_for(&w, 20);
    assert_int_equal(tls_library_figures(w.tls_library)->offloaded, 0);

    kept = kept_client(&w, &neighbour);
    second = hello_fd(&w, &served);
    while (answered(second) == 0)
        run_for(&w, 20);
    assert_int_equal(tls_library_figures(w.tls_library)->offloaded, 1);

    close(first);
    close(second);
    while (w.closed < 2)
        run_for(&w, 20);
    conn_abort(kept);
    close(neighbour);
    run_for(&w, 1);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_flight_comes_back_to_the_loop),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_connection_may_go_while_a_helper_has_its_stream),
        cmocka_unit_test(without_helpers_the_worker_signs_in_turns),
        cmocka_unit_test(a_helper_without_a_core_is_used_only_while_clients_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
