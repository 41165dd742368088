/* TLS server and client over loopback in one loop: names, protocols, resumption, verification, and
 * the words for certificates that do not fit. */
#include "net/conn.h"
#include "net/listener.h"
#include "plans.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the clock, in place of libc's ----------------------------------------------------------- */

static time_t later_s;

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec + later_s;
    return now.tv_sec + later_s;
}

/* --- certificates ---------------------------------------------------------------------------- */

struct pem {
    char *chain, *key;
};

static struct pem self_signed(const char *name)
{
    const char *names[] = {name};
    struct pem pem;
    struct err err;

    assert_int_equal(tls_self_signed(names, 1, &pem.chain, &pem.key, &err), 0);
    return pem;
}

static void pem_free(struct pem *pem)
{
    free(pem->chain);
    free(pem->key);
}

static char *text_of(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = calloc(1, (size_t)len + 1);

    memcpy(text, bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

/* A self-signed RSA certificate for `name` that ends `days` from now. */
static struct pem rsa_signed(const char *name, int days)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x509 = X509_new();
    char alt[128];

    snprintf(alt, sizeof(alt), "DNS:%s", name);
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 7);
    X509_gmtime_adj(X509_getm_notBefore(x509), -30 * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(x509), days * 86400L);
    X509_NAME *subject = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, subject);
    X509_set_pubkey(x509, key);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(x509, ext, -1);
    X509_EXTENSION_free(ext);
    X509_sign(x509, key, EVP_sha256());

    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, x509);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    X509_free(x509);
    EVP_PKEY_free(key);
    return (struct pem){text_of(chain), text_of(secret)};
}

static struct certificate_conf conf_of(const struct pem *pem)
{
    return (struct certificate_conf){.chain_pem = str_of(pem->chain), .key_pem = str_of(pem->key)};
}

/* --- both ends in one loop ------------------------------------------------------------------- */

enum { BIG = 300 * 1000 };

struct world {
    struct loop *loop;
    struct tls_library *tls_library;
    struct tls_server *server;
    struct listener_sock *listener;
    struct addr addr;
    struct conn *served;
    enum reason served_reason;
    char served_error[128], served_sni[64];
};

struct visit {
    struct world *world;
    struct conn *conn;
    const char *send;
    size_t expect; /* bytes that should come back */
    size_t got;
    uint64_t sum;
    bool opened, resumed;
    int closed;
    enum reason reason;
    char error[256], alpn[16], version[16], cipher[64], curve[32];
};

static size_t echo(struct conn *conn, struct slice data)
{
    struct world *world = conn_arg(conn);
    struct conn_tls_info *info = conn_tls_info(conn);

    snprintf(world->served_sni, sizeof(world->served_sni), "%.*s", STR_FMT(info->sni));
    if (conn_out(conn)->bytes > CONN_HIGH_MARK) {
        conn_pause(conn);
        return 0;
    }
    bufq_add(conn_out(conn), data);
    conn_flush_later(conn);
    return data.len;
}

static void echo_resume(struct conn *conn)
{
    conn_resume(conn);
}

static void echo_eof(struct conn *conn)
{
    conn_close(conn);
}

static void echo_closed(struct conn *conn, enum reason reason)
{
    struct world *world = conn_arg(conn);

    if (world->served == conn)
        world->served = NULL;
    world->served_reason = reason;
    snprintf(world->served_error, sizeof(world->served_error), "%s", conn_error_text(conn));
}

static const struct conn_handler echo_handler = {
    .on_data = echo,
    .on_writable = echo_resume,
    .on_eof = echo_eof,
    .on_closed = echo_closed,
};

static void took(void *arg, int fd, const struct addr *peer UNUSED)
{
    struct world *world = arg;

    world->served = conn_accepted(world->loop, fd, &echo_handler, world,
                                  (struct conn_limits){.handshake_ms = 5000});
    tls_accept(world->served, world->server);
}

static void keep(struct str from, char *to, size_t size)
{
    snprintf(to, size, "%.*s", STR_FMT(from));
}

static void visit_open(struct conn *conn)
{
    struct visit *v = conn_arg(conn);
    struct conn_tls_info *info = conn_tls_info(conn);

    v->opened = true;
    v->resumed = info->resumed;
    keep(info->alpn, v->alpn, sizeof(v->alpn));
    keep(info->version, v->version, sizeof(v->version));
    keep(info->cipher, v->cipher, sizeof(v->cipher));
    keep(info->curve, v->curve, sizeof(v->curve));
}

static size_t visit_data(struct conn *conn, struct slice data)
{
    struct visit *v = conn_arg(conn);

    for (size_t i = 0; i < data.len; i++)
        v->sum += (uint64_t)(unsigned char)data.ptr[i] * (v->got + i + 1);
    v->got += data.len;
    if (v->got >= v->expect)
        conn_close(conn);
    return data.len;
}

static void visit_closed(struct conn *conn, enum reason reason)
{
    struct visit *v = conn_arg(conn);

    v->closed++;
    v->reason = reason;
    snprintf(v->error, sizeof(v->error), "%s", conn_error_text(conn));
    loop_stop(v->world->loop);
}

static const struct conn_handler visit_handler = {
    .on_open = visit_open,
    .on_data = visit_data,
    .on_closed = visit_closed,
};

static struct tls_server_conf server_conf(struct certificate_conf *certs, size_t count)
{
    return (struct tls_server_conf){
        .certificates = certs,
        .certificate_count = count,
        .alpn_h2 = true,
        .alpn_h1 = true,
        .tickets = true,
    };
}

static void world_init(struct world *w, struct tls_tickets *tickets,
                       const struct tls_server_conf *conf)
{
    struct err err = {0};

    *w = (struct world){.loop = loop_new(), .tls_library = tls_library_new()};
    w->server = server_from(w->tls_library, tickets, conf, &err);
    assert_string_equal(err.text, "");
    assert_non_null(w->server);
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &w->addr), 0);
    int fd = listener_open(&w->addr, &err);
    assert_true(fd >= 0);
    w->addr.len = sizeof(w->addr.in);
    assert_int_equal(getsockname(fd, &w->addr.sa, &w->addr.len), 0);
    w->listener = listener_start(w->loop, fd, took, w, NULL);
}

static void world_deinit(struct world *w)
{
    listener_stop(w->listener);
    loop_free(w->loop);
    tls_server_unref(&w->server);
    tls_library_free(w->tls_library);
}

static struct tls_client *client_new(struct world *w, const struct upstream_tls_conf *conf, bool h2)
{
    struct err err = {0};
    struct tls_client *client = client_from(w->tls_library, conf, h2, &err);

    assert_string_equal(err.text, "");
    assert_non_null(client);
    return client;
}

/* Connects, sends `text`, waits for its echo, closes. */
static struct visit visit(struct world *w, struct tls_client *client, const char *name,
                          struct tls_session_slot *slot, const char *text)
{
    struct visit v = {.world = w, .send = text, .expect = strlen(text)};

    v.conn = conn_connect(w->loop, &w->addr, &visit_handler, &v,
                          (struct conn_limits){.connect_ms = 5000, .write_ms = 5000});
    tls_connect(v.conn, client, str_of(name), slot);
    bufq_copy(conn_out(v.conn), text, v.expect);
    loop_run(w->loop);
    assert_int_equal(v.closed, 1);
    if (w->served != NULL)
        conn_abort(w->served);
    w->served = NULL;
    return v;
}

/* --- promises -------------------------------------------------------------------------------- */

static void the_name_chooses_the_certificate(void **state UNUSED)
{
    struct pem one = self_signed("one.example"), two = self_signed("*.two.example");
    struct certificate_conf certs[] = {conf_of(&one), conf_of(&two)};
    struct tls_server_conf conf = server_conf(certs, 2);
    struct world w;
    world_init(&w, NULL, &conf);
    struct upstream_tls_conf trust_one = {.verify = true, .ca_pem = str_of(one.chain)};
    struct upstream_tls_conf trust_two = {.verify = true, .ca_pem = str_of(two.chain)};
    struct tls_client *c1 = client_new(&w, &trust_one, true);
    struct tls_client *c2 = client_new(&w, &trust_two, false);

    struct visit v = visit(&w, c1, "One.Example.", NULL, "hello");
    assert_int_equal(v.got, 5);
    assert_int_equal(v.reason, REASON_NONE);
    assert_string_equal(v.alpn, "h2");
    assert_string_equal(v.version, "TLSv1.3");
    if (strcmp(v.curve, "X25519MLKEM768") != 0) /* OpenSSL has it from 3.5 on */
        assert_string_equal(v.curve, "x25519");
    assert_string_equal(w.served_sni, "One.Example");

    v = visit(&w, c2, "a.two.example", NULL, "hello");
    assert_int_equal(v.got, 5);
    assert_string_equal(v.alpn, "http/1.1");

    /* A wildcard stands for one label: the default answers, and its name is not this one. */
    v = visit(&w, c1, "a.b.two.example", NULL, "hello");
    assert_int_equal(v.got, 0);
    assert_int_equal(v.reason, REASON_UPSTREAM_TLS_VERIFY);
    assert_non_null(strstr(v.error, "ostname mismatch"));

    /* An authority that we do not trust. */
    v = visit(&w, c2, "one.example", NULL, "hello");
    assert_false(v.opened);
    assert_int_equal(v.reason, REASON_UPSTREAM_TLS_VERIFY);
    assert_non_null(strstr(v.error, "self"));

    tls_client_unref(&c1);
    tls_client_unref(&c2);
    world_deinit(&w);
    pem_free(&one);
    pem_free(&two);
}

static void an_address_is_verified_as_one(void **state UNUSED)
{
    struct pem pem = self_signed("127.0.0.1");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct world w;
    world_init(&w, NULL, &conf);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);

    assert_int_equal(visit(&w, client, "127.0.0.1", NULL, "x").got, 1);
    assert_string_equal(w.served_sni, "");
    assert_int_equal(visit(&w, client, "127.0.0.2", NULL, "x").reason, REASON_UPSTREAM_TLS_VERIFY);
    assert_int_equal(visit(&w, client, "", NULL, "x").reason, REASON_UPSTREAM_TLS_VERIFY);
    tls_client_unref(&client);
    world_deinit(&w);
    pem_free(&pem);
}

/* A client of its own on another thread, which can say what signatures it understands. */
struct picky {
    const struct addr *addr;
    const char *signatures;
    int kind; /* of the certificate it got; 0: the handshake failed */
};

static void *picky_visit(void *arg)
{
    struct picky *picky = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    SSL_set1_sigalgs_list(ssl, picky->signatures);
    SSL_set_tlsext_host_name(ssl, "both.example");
    if (connect(fd, &picky->addr->sa, picky->addr->len) == 0 && SSL_set_fd(ssl, fd) == 1 &&
        SSL_connect(ssl) == 1)
        picky->kind = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(ssl)));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

static void stop_when_gone(struct conn *conn, enum reason reason UNUSED)
{
    struct world *world = conn_arg(conn);

    world->served = NULL;
    loop_stop(world->loop);
}

static const struct conn_handler wait_handler = {.on_data = echo, .on_closed = stop_when_gone};

static void took_picky(void *arg, int fd, const struct addr *peer)
{
    took(arg, fd, peer);
    struct world *world = arg;
    conn_set_handler(world->served, &wait_handler, world);
}

static int kind_served(struct world *w, const char *signatures)
{
    struct picky picky = {.addr = &w->addr, .signatures = signatures};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, picky_visit, &picky), 0);
    loop_run(w->loop);
    pthread_join(thread, NULL);
    return picky.kind;
}

static void rsa_and_ecdsa_stand_side_by_side(void **state UNUSED)
{
    struct pem ec = self_signed("both.example"), rsa = rsa_signed("both.example", 30);
    struct certificate_conf certs[] = {conf_of(&ec), conf_of(&rsa)};
    struct tls_server_conf conf = server_conf(certs, 2);
    struct world w;
    struct err err;
    world_init(&w, NULL, &conf);
    listener_stop(w.listener);
    int fd = listener_open(&w.addr, &err);
    w.listener = listener_start(w.loop, fd, took_picky, &w, NULL);

    assert_int_equal(kind_served(&w, "rsa_pss_rsae_sha256"), EVP_PKEY_RSA);
    assert_int_equal(kind_served(&w, "ecdsa_secp256r1_sha256"), EVP_PKEY_EC);
    assert_int_equal(kind_served(&w, "ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256"), EVP_PKEY_EC);
    assert_int_equal(kind_served(&w, "ed25519"), 0);
    world_deinit(&w);
    pem_free(&ec);
    pem_free(&rsa);
}

static void many_bytes_go_round_unharmed(void **state UNUSED)
{
    struct pem pem = self_signed("big.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct world w;
    world_init(&w, NULL, &conf);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);
    char *text = malloc(BIG + 1);
    uint64_t sum = 0;

    for (size_t i = 0; i < BIG; i++) {
        text[i] = (char)('a' + i * 7 % 23);
        sum += (uint64_t)(unsigned char)text[i] * (i + 1);
    }
    text[BIG] = '\0';
    struct visit v = visit(&w, client, "big.example", NULL, text);
    assert_int_equal(v.got, BIG);
    assert_true(v.sum == sum);
    free(text);
    tls_client_unref(&client);
    world_deinit(&w);
    pem_free(&pem);
}

static void a_ticket_resumes_on_any_worker_and_after_rotation(void **state UNUSED)
{
    struct pem pem = self_signed("t.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1), other = conf;
    struct tls_tickets *tickets = tls_tickets_new();
    struct world w, sibling, stranger;
    other.alpn_h2 = false; /* another policy */
    world_init(&w, tickets, &conf);
    world_init(&sibling, tickets, &conf);
    world_init(&stranger, tickets, &other);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);
    struct tls_session_slot slot = {0};

    assert_false(visit(&w, client, "t.example", &slot, "x").resumed);
    assert_non_null(slot.session);
    assert_true(visit(&w, client, "t.example", &slot, "x").resumed);

    struct tls_server *server = w.server;
    w.server = sibling.server;
    assert_true(visit(&w, client, "t.example", &slot, "x").resumed);
    tls_tickets_rotate(tickets);
    assert_true(visit(&w, client, "t.example", &slot, "x").resumed);
    w.server = stranger.server;
    assert_false(visit(&w, client, "t.example", &slot, "x").resumed);
    w.server = server;
    for (int i = 0; i < 4; i++)
        tls_tickets_rotate(tickets);
    assert_false(visit(&w, client, "t.example", &slot, "x").resumed);

    /* What was verified under one name is not resumed under another. */
    assert_int_equal(visit(&w, client, "u.example", &slot, "x").reason, REASON_UPSTREAM_TLS_VERIFY);

    tls_session_slot_clear(&slot);
    tls_client_unref(&client);
    world_deinit(&w);
    world_deinit(&sibling);
    world_deinit(&stranger);
    tls_tickets_free(tickets);
    pem_free(&pem);
}

/* Every resumption in TLS 1.3 brings a fresh ticket; none of them prolongs what was proved once. */
static void a_session_is_resumed_for_a_day_at_most(void **state UNUSED)
{
    static const struct {
        int after_hours;
        bool resumed;
    } visits[] = {{0, false}, {20, true}, {23, true}, {25, false}, {40, true}, {50, false}};
    struct pem pem = self_signed("t.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct tls_tickets *tickets = tls_tickets_new();
    struct world w;
    world_init(&w, tickets, &conf);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);
    struct tls_session_slot slot = {0};

    for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
        later_s = visits[i].after_hours * 3600L;
        struct visit v = visit(&w, client, "t.example", &slot, "x");
        assert_int_equal(v.got, 1);
        if (v.resumed != visits[i].resumed)
            fail_msg("after %d hours: resumed %d", visits[i].after_hours, v.resumed);
    }
    later_s = 0;
    tls_session_slot_clear(&slot);
    tls_client_unref(&client);
    world_deinit(&w);
    tls_tickets_free(tickets);
    pem_free(&pem);
}

static void tickets_can_be_turned_off(void **state UNUSED)
{
    struct pem pem = self_signed("t.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct tls_tickets *tickets = tls_tickets_new();
    struct world w;
    conf.tickets = false;
    world_init(&w, tickets, &conf);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);
    struct tls_session_slot slot = {0};

    assert_false(visit(&w, client, "t.example", &slot, "x").resumed);
    assert_false(visit(&w, client, "t.example", &slot, "x").resumed);
    tls_session_slot_clear(&slot);
    tls_client_unref(&client);
    world_deinit(&w);
    tls_tickets_free(tickets);
    pem_free(&pem);
}

static void no_common_protocol_ends_the_handshake(void **state UNUSED)
{
    struct pem pem = self_signed("p.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct world w;
    conf.alpn_h1 = false;
    world_init(&w, NULL, &conf);
    struct upstream_tls_conf trust = {.verify = true, .ca_pem = str_of(pem.chain)};
    struct tls_client *client = client_new(&w, &trust, false);

    struct visit v = visit(&w, client, "p.example", NULL, "x");
    assert_false(v.opened);
    assert_int_equal(v.reason, REASON_HANDSHAKE_FAILED);
    assert_non_null(strstr(v.error, "no application protocol"));
    assert_int_equal(w.served_reason, REASON_HANDSHAKE_FAILED);
    tls_client_unref(&client);
    world_deinit(&w);
    pem_free(&pem);
}

static size_t talk_plain(struct conn *conn UNUSED, struct slice data)
{
    return data.len;
}

static void say_hello(struct conn *conn)
{
    bufq_copy(conn_out(conn), "HTTP/1.1 200 OK\r\n\r\n", 19);
    conn_flush_later(conn);
}

static const struct conn_handler plain_handler = {.on_open = say_hello, .on_data = talk_plain};

static void took_plain(void *arg, int fd, const struct addr *peer UNUSED)
{
    struct world *world = arg;

    conn_accepted(world->loop, fd, &plain_handler, world, (struct conn_limits){0});
}

static void plaintext_before_the_handshake_is_an_error(void **state UNUSED)
{
    struct pem pem = self_signed("q.example");
    struct certificate_conf certs[] = {conf_of(&pem)};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct world w;
    struct err err;
    world_init(&w, NULL, &conf);
    listener_stop(w.listener);
    assert_int_equal(addr_parse(STR("127.0.0.1:0"), &w.addr), 0);
    int fd = listener_open(&w.addr, &err);
    w.addr.len = sizeof(w.addr.in);
    getsockname(fd, &w.addr.sa, &w.addr.len);
    w.listener = listener_start(w.loop, fd, took_plain, &w, NULL);
    struct upstream_tls_conf trust = {.verify = false};
    struct tls_client *client = client_new(&w, &trust, false);

    struct visit v = visit(&w, client, "q.example", NULL, "x");
    assert_false(v.opened);
    assert_int_equal(v.reason, REASON_HANDSHAKE_FAILED);
    assert_string_not_equal(v.error, "");
    tls_client_unref(&client);
    world_deinit(&w);
    pem_free(&pem);
}

/* --- words for certificates ------------------------------------------------------------------ */

static void assert_refused(const struct certificate_conf *cert, const char *words)
{
    struct certificate_conf certs[] = {*cert};
    struct tls_server_conf conf = server_conf(certs, 1);
    struct tls_library *library = tls_library_new();
    struct err err = {0};

    certs[0].place = (struct place){"edge.yaml", 7, 9};
    assert_null(server_from(library, NULL, &conf, &err));
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(err.line, 7);
    tls_library_free(library);
}

static char *joined(const char *a, const char *b)
{
    char *text = malloc(strlen(a) + strlen(b) + 1);

    strcpy(text, a);
    strcat(text, b);
    return text;
}

static void what_does_not_fit_is_explained(void **state UNUSED)
{
    struct pem a = self_signed("a.example"), b = self_signed("b.example");
    char *ab = joined(a.chain, b.chain), *cut = strdup(a.chain);
    cut[strlen(cut) / 2] = '\0';

    assert_refused(&(struct certificate_conf){.chain = STR("/nonexistent/chain.pem"),
                                              .key = STR("/nonexistent/key.pem")},
                   "cannot read /nonexistent/chain.pem: No such file");
    assert_refused(
        &(struct certificate_conf){.chain_pem = str_of("rubbish"), .key_pem = str_of(a.key)},
        "no certificate in PEM form");
    assert_refused(&(struct certificate_conf){.chain_pem = str_of(cut), .key_pem = str_of(a.key)},
                   "certificate 1 is damaged");
    assert_refused(
        &(struct certificate_conf){.chain_pem = str_of(a.chain), .key_pem = str_of("rubbish")},
        "no private key in PEM form");
    assert_refused(
        &(struct certificate_conf){.chain_pem = str_of(a.chain), .key_pem = str_of(b.key)},
        "does not belong to the certificate");
    assert_refused(&(struct certificate_conf){.chain_pem = str_of(ab), .key_pem = str_of(b.key)},
                   "the key belongs to certificate 2");
    free(ab);
    free(cut);
    pem_free(&a);
    pem_free(&b);
}

struct heard {
    int errors, notes;
    char last[512];
};

static void hear(void *arg, const struct place *place UNUSED, bool is_error, const char *text)
{
    struct heard *heard = arg;

    heard->errors += is_error;
    heard->notes += !is_error;
    snprintf(heard->last, sizeof(heard->last), "%s", text);
}

static int check(const struct tls_server_conf *conf, struct heard *heard)
{
    struct tls_loader *loader = tls_loader_new(hear, heard);
    struct tls_server_plan *plan = tls_server_plan_load(loader, conf);

    assert_int_equal(plan == NULL, heard->errors > 0);
    tls_server_plan_unref(&plan);
    tls_loader_free(loader);
    return heard->errors;
}

/* What keeps an operator from rolling something else back is a warning. */
static void what_clients_may_not_like_is_a_warning(void **state UNUSED)
{
    struct pem a = self_signed("a.example"), b = self_signed("b.example");
    struct pem old = rsa_signed("old.example", -1), soon = rsa_signed("soon.example", 3);
    char *ab = joined(a.chain, b.chain), *aa = joined(a.chain, a.chain);
    const struct {
        const char *chain, *key, *words;
    } cases[] = {
        {old.chain, old.key, "the certificate expired on"},
        {soon.chain, soon.key, "the certificate expires soon, on"},
        {ab, a.key, "issued none of the others; it is not sent"},
        {aa, a.key, "repeats certificate 1; it is sent once"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct certificate_conf certs[] = {
            {.chain_pem = str_of(cases[i].chain), .key_pem = str_of(cases[i].key)}};
        struct tls_server_conf conf = server_conf(certs, 1);
        struct heard heard = {0};
        assert_int_equal(check(&conf, &heard), 0);
        assert_int_equal(heard.notes, 1);
        if (strstr(heard.last, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", heard.last, cases[i].words);
    }
    free(ab);
    free(aa);
    pem_free(&a);
    pem_free(&b);
    pem_free(&old);
    pem_free(&soon);
}

static void a_check_reports_all_errors_and_certificates_that_expire_soon(void **state UNUSED)
{
    struct pem a = self_signed("a.example"), soon = rsa_signed("soon.example", 3);
    struct certificate_conf certs[] = {conf_of(&a), conf_of(&soon), conf_of(&a)};
    struct tls_server_conf conf = server_conf(certs, 2);
    struct heard heard = {0};

    assert_int_equal(check(&conf, &heard), 0);
    assert_int_equal(heard.notes, 1);
    assert_non_null(strstr(heard.last, "expires soon"));

    certs[0].key_pem = certs[1].key_pem;
    certs[2].key_pem = certs[1].key_pem;
    conf.certificate_count = 3;
    heard = (struct heard){0};
    assert_int_equal(check(&conf, &heard), 2);
    assert_int_equal(heard.errors, 2);

    certs[0] = conf_of(&a);
    conf.certificate_count = 1;
    conf.curves = STR("P-2560");
    heard = (struct heard){0};
    assert_int_equal(check(&conf, &heard), 1);
    assert_non_null(strstr(heard.last, "unknown curve"));
    pem_free(&a);
    pem_free(&soon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_chooses_the_certificate),
        cmocka_unit_test(an_address_is_verified_as_one),
        cmocka_unit_test(rsa_and_ecdsa_stand_side_by_side),
        cmocka_unit_test(many_bytes_go_round_unharmed),
        cmocka_unit_test(a_ticket_resumes_on_any_worker_and_after_rotation),
        cmocka_unit_test(a_session_is_resumed_for_a_day_at_most),
        cmocka_unit_test(tickets_can_be_turned_off),
        cmocka_unit_test(no_common_protocol_ends_the_handshake),
        cmocka_unit_test(plaintext_before_the_handshake_is_an_error),
        cmocka_unit_test(what_does_not_fit_is_explained),
        cmocka_unit_test(what_clients_may_not_like_is_a_warning),
        cmocka_unit_test(a_check_reports_all_errors_and_certificates_that_expire_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
