/* TLS towards upstreams. What was verified is what is resumed: a saved session remembers under
 * which policy (authority, name, versions) it was made and is offered under no other, although its
 * slot may outlive a reload. */
#include "tls/client.h"

#include "base/hash.h"
#include "tls/tls_impl.h"
#include "tls/trust_impl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_client {
    unsigned refs;
    struct tls_library *library;  /* borrows */
    struct tls_client_plan *plan; /* shares */
    SSL_CTX *ctx;                 /* owns; NULL: not made yet */
    struct ca_store *ca;          /* shares; NULL when nothing is verified */
};

struct saved_session {
    SSL_SESSION *session; /* owns */
    uint64_t policy;
};

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

static int set_ciphers(SSL_CTX *ctx, const char *ciphers, struct err *err)
{
    if (ciphers[0] == '\0' || SSL_CTX_set_cipher_list(ctx, ciphers) == 1)
        return 0;
    ERR_clear_error();
    return err_set(err, "ciphers: no known cipher in \"%s\"", ciphers);
}

/* All but the authorities. */
static SSL_CTX *ctx_new(struct tls_library *library, const struct tls_client_plan *plan,
                        struct err *err)
{
    static const unsigned char h2_h1[] = "\x02h2\x08http/1.1", h1[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new_ex(library->ctx, NULL, TLS_client_method());

    if (ctx == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    tls_ctx_common(ctx, plan->min_version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_alpn_protos(ctx, plan->alpn_h2 ? h2_h1 : h1,
                            plan->alpn_h2 ? sizeof(h2_h1) - 1 : sizeof(h1) - 1);
    SSL_CTX_set_verify(ctx, plan->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (set_ciphers(ctx, plan->ciphers, err) == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

int client_ctx_check(struct tls_library *library, const struct tls_client_plan *plan,
                     struct err *err)
{
    SSL_CTX *ctx = ctx_new(library, plan, err);

    SSL_CTX_free(ctx);
    return ctx != NULL ? 0 : -1;
}

static SSL_CTX *ctx_get(struct tls_client *client)
{
    struct err err;

    if (LIKELY(client->ctx != NULL))
        return client->ctx;
    client->ctx = ctx_new(client->library, client->plan, &err);
    if (client->ctx == NULL) /* it could be made when the plan was loaded */
        assert_failed("out of memory", __FILE__, __LINE__);
    if (client->plan->trust != NULL) {
        client->ca = ca_store_get(client->library, client->plan->trust);
        SSL_CTX_set1_cert_store(client->ctx, client->ca->store);
    }
    return client->ctx;
}

struct tls_client *tls_client_new(struct tls_library *library, struct tls_client_plan *plan)
{
    struct tls_client *client = mem_new(sizeof(*client));

    *client = (struct tls_client){.refs = 1, .library = library, .plan = tls_client_plan_ref(plan)};
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
    ca_store_unref(&client->ca);
    tls_client_plan_unref(&client->plan);
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
    if (!client->plan->verify)
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
    SSL *ssl = SSL_new(ctx_get(client));
    struct tls_stream *s = tls_stream_new(conn, client->library, ssl);
    char text[256];

    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > 1 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_make(name.ptr + 1, name.len - 2);
    snprintf(text, sizeof(text), "%.*s", STR_FMT(name));

    s->client = tls_client_ref(client);
    s->slot = slot;
    s->slot_policy =
        hash_sip13((struct hash_key){client->plan->policy, name.len}, name.ptr, name.len);
    SSL_set_connect_state(ssl);
    expect_name(client, ssl, text);
    offer_session(s);
    ERR_clear_error();
}
