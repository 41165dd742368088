/* What a client's hello decides. It chooses the site, and with it the context, before anything else
 * looks at the connection: before tickets are opened and certificates picked, so that both follow
 * the name's own policy. */
#include "base/log.h"
#include "tls/server_impl.h"

#include <openssl/err.h>

#include <time.h>

enum { TICKETS_PER_HANDSHAKE = 1 };

static const char default_ciphers[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
static const char default_suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

/* In OpenSSL's order, but without the groups that cost a server ten times as much and that no
 * client needs: post-quantum first where the library has it (from 3.5 on), even if a client must be
 * asked for its share. The first list that the library understands is taken. */
static const char *const default_groups[] = {"X25519MLKEM768/X25519:P-256/P-384",
                                             "X25519:P-256:P-384"};

/* --- callbacks during the handshake ---------------------------------------------------------- */

static const struct site *site_of_ssl(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

const struct tls_policy *tls_policy_of(SSL *ssl)
{
    const struct site *site = site_of_ssl(ssl);

    return site->server->plan->policies[site->plan->policy];
}

/* The host name in a server_name extension (RFC 6066 section 3); empty when there is none. */
static struct str hello_name(SSL *ssl)
{
    const unsigned char *ext;
    size_t size;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &size) != 1 || size < 5)
        return (struct str){0};
    size_t name_len = (size_t)ext[3] << 8 | ext[4];
    if (ext[2] != TLSEXT_NAMETYPE_host_name || name_len > size - 5)
        return (struct str){0};
    return str_make(ext + 5, name_len);
}

/* Does a second hello, after a HelloRetryRequest, name another host? RFC 8446 section 4.1.2 forbids
 * it. */
static bool name_has_changed(struct tls_stream *s, struct str name)
{
    uint64_t hash = hash_sip13(s->server->plan->sni_key, name.ptr, name.len);
    bool has_changed = s->has_hello && hash != s->hello_name;

    s->has_hello = true;
    s->hello_name = hash;
    return has_changed;
}

static int refuse_hello(struct tls_stream *s, enum reason reason, int *alert, int why)
{
    s->refusal = (uint8_t)reason;
    *alert = why;
    return SSL_CLIENT_HELLO_ERROR;
}

/* Sets the site's context and policy for every hello, whatever an earlier one has set. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *server = arg;
    struct tls_stream *s = SSL_get_app_data(ssl);
    struct str name = hello_name(ssl);
    int index = names_find(server->plan, name);
    struct err err;

    if (name_has_changed(s, name))
        return refuse_hello(s, REASON_HANDSHAKE_FAILED, alert, SSL_AD_ILLEGAL_PARAMETER);
    if (index < 0 && name.len > 0 && server->plan->rejects_unknown_names)
        return refuse_hello(s, REASON_UNKNOWN_SNI, alert, SSL_AD_UNRECOGNIZED_NAME);
    struct site *site = site_get(server, index >= 0 ? (size_t)index : 0, &err);
    if (site == NULL) {
        LOG_LIMITED_BY(log_cause(0, err.text), LOG_LEVEL_ERROR, "certificate_unusable",
                       "error=\"%s\"", err.text);
        return refuse_hello(s, REASON_HANDSHAKE_FAILED, alert, SSL_AD_INTERNAL_ERROR);
    }
    SSL_set_SSL_CTX(ssl, site->ctx);
    tls_policy_set_on(tls_policy_of(ssl), ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* The choice has been made in on_client_hello; this acknowledges the name and lets OpenSSL keep
 * it. */
static int on_server_name(SSL *ssl UNUSED, int *alert UNUSED, void *arg UNUSED)
{
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl UNUSED, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_server *server = arg;
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_len, server->plan->alpn, server->plan->alpn_len, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 section 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_stream *s = SSL_get_app_data(ssl);
    const struct ticket_keys *keys = tls_tickets_keys(s->server->tickets);

    if (sealing)
        return tls_ticket_seal(s->library, keys, name, iv, cipher, mac);
    return tls_ticket_open(s->library, keys, SSL_version(ssl), name, iv, cipher, mac);
}

/* Which of its keys a site is going to use. Where both kinds stand side by side OpenSSL has not
 * chosen yet; in TLS 1.3 the first algorithm that both sides like will decide, in 1.2 the cipher
 * has a say too, so we think the worst. */
static enum key_speed speed_of(const struct site_plan *site, SSL *ssl)
{
    int key = NID_undef, hash = NID_undef;

    if (!site->has_slow_key)
        return KEY_FAST;
    if (!site->has_fast_key || SSL_version(ssl) < TLS1_3_VERSION)
        return KEY_SLOW;
    if (SSL_get_shared_sigalgs(ssl, 0, &key, &hash, NULL, NULL, NULL) < 1)
        return KEY_SLOW;
    bool is_fast = (key == EVP_PKEY_EC && hash == NID_sha256) || key == EVP_PKEY_ED25519;
    return is_fast ? KEY_FAST : KEY_SLOW;
}

/* Only full handshakes come by here, before anything is signed; -1 suspends them. */
static int on_certificate(SSL *ssl, void *arg UNUSED)
{
    const struct site *site = site_of_ssl(ssl);

    return tls_may_sign(SSL_get_app_data(ssl), speed_of(site->plan, ssl)) ? 1 : -1;
}

/* The certificate that `leaf` was made of, among the site's. */
static const struct certificate *certificate_of(const struct site *site, const X509 *leaf)
{
    for (size_t i = 0; i < KINDS_MAX && site->plan->combo.certs[i] >= 0; i++) {
        int cert = site->plan->combo.certs[i];
        if (site->server->identities[cert].leaf == leaf)
            return &site->server->plan->certs[cert];
    }
    return NULL;
}

static int on_status(SSL *ssl, void *arg UNUSED)
{
    const struct certificate *cert = certificate_of(site_of_ssl(ssl), SSL_get_certificate(ssl));

    if (cert == NULL || cert->staple == NULL || cert->staple_until_s <= (int64_t)time(NULL))
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(cert->staple, cert->staple_len);
    if (copy != NULL && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)cert->staple_len) == 1)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_NOACK;
}

/* --- contexts -------------------------------------------------------------------------------- */

static const char *or_default(const char *text, const char *fallback)
{
    return text[0] != '\0' ? text : fallback;
}

static int set_groups(SSL_CTX *ctx, const struct tls_server_plan *plan, struct err *err)
{
    if (plan->groups[0] != '\0')
        return SSL_CTX_set1_groups_list(ctx, plan->groups) == 1
                   ? 0
                   : err_set(err, "curves: unknown curve in \"%s\"", plan->groups);
    for (size_t i = 0; i < ARRAY_LEN(default_groups); i++) {
        if (SSL_CTX_set1_groups_list(ctx, default_groups[i]) == 1)
            break;
        ERR_clear_error();
    }
    return 0;
}

static int set_algorithms(SSL_CTX *ctx, const struct tls_server_plan *plan, struct err *err)
{
    if (SSL_CTX_set_cipher_list(ctx, or_default(plan->ciphers, default_ciphers)) != 1)
        return err_set(err, "ciphers: no known cipher in \"%s\"", plan->ciphers);
    if (SSL_CTX_set_ciphersuites(ctx, or_default(plan->ciphersuites, default_suites)) != 1)
        return err_set(err, "ciphersuites: unknown TLS 1.3 suite in \"%s\"", plan->ciphersuites);
    return set_groups(ctx, plan, err);
}

static void set_resumption(struct tls_server *server, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
    if (server->tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_num_tickets(ctx, TICKETS_PER_HANDSHAKE);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    resumption_set(ctx);
}

SSL_CTX *server_ctx_new(struct tls_server *server, struct err *err)
{
    const struct tls_server_plan *plan = server->plan;
    SSL_CTX *ctx = SSL_CTX_new_ex(server->library->ctx, NULL, TLS_server_method());

    if (ctx == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    tls_ctx_common(ctx, plan->min_version);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    set_resumption(server, ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, server);
    SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_info_callback(ctx, tls_on_info);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    if (plan->alpn_len > 0)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, server);
    if (set_algorithms(ctx, plan, err) < 0) {
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}
