/* TLS towards upstreams. What was verified is what is resumed: a saved session remembers under
 * which policy (authority, name, versions) it was made and is offered under no other, although its
 * slot may outlive a reload. CA stores are shared by all groups of a thread that name the same
 * bundle. */
#include "tls/client.h"

#include "base/hash.h"
#include "tls/tls_impl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ca_store {
    struct list node;
    unsigned refs;
    uint64_t key; /* of path and state of the file, or of the text */
    X509_STORE *store;
};

struct tls_client {
    unsigned refs;
    struct tls_library *library; /* borrows */
    SSL_CTX *ctx;                /* owns */
    struct ca_store *ca;         /* shares; NULL when nothing is verified */
    bool verify;
    uint64_t policy;
};

struct saved_session {
    SSL_SESSION *session; /* owns */
    uint64_t policy;
};

/* --- hashing what belongs together ----------------------------------------------------------- */

static uint64_t mix(uint64_t seed, const void *ptr, size_t len)
{
    return hash_sip13((struct hash_key){seed, len}, ptr, len);
}

static uint64_t mix_str(uint64_t seed, struct str text)
{
    return mix(seed, text.ptr, text.len);
}

/* --- CA stores ------------------------------------------------------------------------------- */

/* A file that was replaced is another key: a reload sees the new bundle. */
static uint64_t ca_key(const struct upstream_tls_conf *conf)
{
    char path[PATH_MAX];
    struct stat st = {0};
    uint64_t key = mix_str(mix_str(1, conf->ca), conf->ca_pem);

    if (conf->ca.len == 0)
        return key;
    snprintf(path, sizeof(path), "%.*s", STR_FMT(conf->ca));
    if (stat(path, &st) == 0) {
        key = mix(key, &st.st_ino, sizeof(st.st_ino));
        key = mix(key, &st.st_size, sizeof(st.st_size));
        key = mix(key, &st.st_mtim, sizeof(st.st_mtim));
    }
    return key;
}

static int store_add_text(X509_STORE *store, struct tls_library *library, struct str text,
                          struct err *err)
{
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    int count = 0;

    for (;; count++) {
        X509 *x509 = X509_new_ex(library->ctx, NULL);
        if (x509 == NULL || PEM_read_bio_X509(bio, &x509, NULL, NULL) == NULL) {
            X509_free(x509);
            break;
        }
        X509_STORE_add_cert(store, x509);
        X509_free(x509);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count > 0 ? 0 : err_set(err, "ca: no certificate in PEM form in the given text");
}

/* The system's authorities, from one file where there is one, so that no worker has to look for
 * files in the middle of a handshake; a directory of hashed names is only the last resort. */
static bool store_fill_system(X509_STORE *store, struct tls_library *library)
{
    const char *const bundles[] = {
        getenv(X509_get_default_cert_file_env()), X509_get_default_cert_file(),
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"};

    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        if (bundles[i] != NULL && access(bundles[i], R_OK) == 0 &&
            X509_STORE_load_file_ex(store, bundles[i], library->ctx, NULL) == 1)
            return true;
    }
    ERR_clear_error();
    return X509_STORE_set_default_paths_ex(store, library->ctx, NULL) == 1;
}

static int store_fill(X509_STORE *store, struct tls_library *library,
                      const struct upstream_tls_conf *conf, struct err *err)
{
    char path[PATH_MAX], why[256];

    if (conf->ca.len == 0 && conf->ca_pem.len > 0)
        return store_add_text(store, library, conf->ca_pem, err);
    if (conf->ca.len == 0) {
        if (store_fill_system(store, library))
            return 0;
        return err_set(err, "ca: cannot use the system's CA certificates: %s",
                       tls_error_text(why, sizeof(why)));
    }
    snprintf(path, sizeof(path), "%.*s", STR_FMT(conf->ca));
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set_errno(err, "ca: cannot read %s", path);
    if (X509_STORE_load_file_ex(store, path, library->ctx, NULL) == 1)
        return 0;
    return err_set(err, "ca: no usable certificates in %s: %s", path,
                   tls_error_text(why, sizeof(why)));
}

static struct ca_store *ca_store_get(struct tls_library *library,
                                     const struct upstream_tls_conf *conf, struct err *err)
{
    uint64_t key = ca_key(conf);

    LIST_EACH(node, &library->ca_stores)
    {
        struct ca_store *ca = CONTAINER_OF(node, struct ca_store, node);
        if (ca->key == key) {
            ca->refs++;
            return ca;
        }
    }
    X509_STORE *store = X509_STORE_new();
    if (store == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    if (store_fill(store, library, conf, err) < 0) {
        X509_STORE_free(store);
        return NULL;
    }
    /* A bundle may name an intermediate, or the very certificate, as what we trust. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    struct ca_store *ca = mem_new(sizeof(*ca));
    *ca = (struct ca_store){.refs = 1, .key = key, .store = store};
    list_init(&ca->node);
    list_push_back(&library->ca_stores, &ca->node);
    return ca;
}

static void ca_store_unref(struct ca_store *ca)
{
    if (ca == NULL || --ca->refs > 0)
        return;
    list_remove(&ca->node);
    X509_STORE_free(ca->store);
    free(ca);
}

/* --- sessions -------------------------------------------------------------------------------- */

void tls_session_slot_clear(struct tls_session_slot *slot)
{
    struct saved_session *saved = slot->session;

    slot->session = NULL;
    if (saved == NULL)
        return;
    SSL_SESSION_free(saved->session);
    free(saved);
}

/* A ticket has come: during the handshake (TLS 1.2) or some time after (1.3). */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_stream *s = SSL_get_app_data(ssl);

    if (s->slot == NULL)
        return 0;
    tls_session_slot_clear(s->slot);
    struct saved_session *saved = mem_new(sizeof(*saved));
    *saved = (struct saved_session){session, s->slot_policy};
    s->slot->session = saved;
    return 1; /* the reference is ours now */
}

static void offer_session(struct tls_stream *s)
{
    const struct saved_session *saved = s->slot != NULL ? s->slot->session : NULL;

    if (saved == NULL)
        return;
    if (saved->policy != s->slot_policy || !SSL_SESSION_is_resumable(saved->session)) {
        tls_session_slot_clear(s->slot);
        return;
    }
    /* A copy: OpenSSL spends a TLS 1.3 session with the first connection that uses it, while a pool
     * opens several at once. (That a ticket is used twice only matters to a client that hides.) */
    SSL_SESSION *copy = SSL_SESSION_dup(saved->session);
    if (copy != NULL)
        SSL_set_session(s->ssl, copy);
    SSL_SESSION_free(copy);
}

/* --- the client ------------------------------------------------------------------------------ */

static int set_ciphers(SSL_CTX *ctx, struct str ciphers, struct err *err)
{
    char text[1024];

    if (ciphers.len == 0)
        return 0;
    snprintf(text, sizeof(text), "%.*s", STR_FMT(ciphers));
    if (SSL_CTX_set_cipher_list(ctx, text) == 1)
        return 0;
    ERR_clear_error();
    return err_set(err, "ciphers: no known cipher in \"%s\"", text);
}

static int set_up(struct tls_client *client, const struct upstream_tls_conf *conf, bool alpn_h2,
                  struct err *err)
{
    static const unsigned char h2_h1[] = "\x02h2\x08http/1.1", h1[] = "\x08http/1.1";
    SSL_CTX *ctx = client->ctx;

    tls_ctx_common(ctx, conf->min_version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_alpn_protos(ctx, alpn_h2 ? h2_h1 : h1,
                            alpn_h2 ? sizeof(h2_h1) - 1 : sizeof(h1) - 1);
    if (set_ciphers(ctx, conf->ciphers, err) < 0)
        return -1;
    SSL_CTX_set_verify(ctx, conf->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!conf->verify)
        return 0;
    client->ca = ca_store_get(client->library, conf, err);
    if (client->ca == NULL)
        return -1;
    SSL_CTX_set1_cert_store(ctx, client->ca->store);
    return 0;
}

static uint64_t policy_of(const struct tls_client *client, const struct upstream_tls_conf *conf,
                          bool alpn_h2)
{
    const uint32_t facts[] = {conf->verify, (uint32_t)conf->min_version, alpn_h2};
    uint64_t key = client->ca != NULL ? client->ca->key : 0;

    return mix_str(mix(key, facts, sizeof(facts)), conf->ciphers);
}

struct tls_client *tls_client_new(struct tls_library *library, const struct upstream_tls_conf *conf,
                                  bool alpn_h2, struct err *err)
{
    struct tls_client *client = mem_new(sizeof(*client));

    client->refs = 1;
    client->library = library;
    client->verify = conf->verify;
    client->ctx = SSL_CTX_new_ex(library->ctx, NULL, TLS_client_method());
    if (client->ctx == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    if (set_up(client, conf, alpn_h2, err) < 0) {
        tls_client_unref(&client);
        return NULL;
    }
    client->policy = policy_of(client, conf, alpn_h2);
    return client;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
    client->refs++;
    return client;
}

void tls_client_unref(struct tls_client **slot)
{
    struct tls_client *client = *slot;

    *slot = NULL;
    if (client == NULL || --client->refs > 0)
        return;
    SSL_CTX_free(client->ctx);
    ca_store_unref(client->ca);
    free(client);
}

/* The name the certificate must carry: a host, or an address as such (RFC 9110 section 4.3.5). */
static void expect_name(const struct tls_client *client, SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    struct addr addr;
    bool is_ip = addr_parse_ip(str_of(name), 0, &addr) == 0;
    bool ok;

    if (!is_ip)
        SSL_set_tlsext_host_name(ssl, name);
    if (!client->verify)
        return;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_ip)
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    else
        ok = name[0] != '\0' && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
    /* An empty host would mean "any name"; a label that no certificate can carry means none. */
    if (!ok)
        X509_VERIFY_PARAM_set1_host(param, "invalid.", 0);
}

void tls_connect(struct conn *conn, struct tls_client *client, struct str name,
                 struct tls_session_slot *slot)
{
    SSL *ssl = SSL_new(client->ctx);
    struct tls_stream *s = tls_stream_new(conn, client->library, ssl);
    char text[256];

    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > 1 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_make(name.ptr + 1, name.len - 2);
    snprintf(text, sizeof(text), "%.*s", STR_FMT(name));

    s->client = tls_client_ref(client);
    s->slot = slot;
    s->slot_policy = mix_str(client->policy, name);
    SSL_set_connect_state(ssl);
    expect_name(client, ssl, text);
    offer_session(s);
    ERR_clear_error();
}
