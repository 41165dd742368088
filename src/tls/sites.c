/* A worker's contexts: one for each site of the plan, made when the first client asks for one of
 * its names. So a reload costs a worker the same whether it has ten certificates or a thousand. */
#include "tls/server_impl.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>

/* --- identities ------------------------------------------------------------------------------ */

static X509 *x509_from(const struct tls_library *library, const struct der *der)
{
    const unsigned char *at = der->bytes;
    X509 *x509 = X509_new_ex(library->ctx, NULL);

    if (x509 != NULL && d2i_X509(&x509, &at, (long)der->len) != NULL)
        return x509;
    X509_free(x509);
    return NULL;
}

static EVP_PKEY *key_from(const struct tls_library *library, const struct certificate *cert)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library->ctx, cert->key_type, NULL);
    EVP_PKEY *key = NULL;

    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, cert->key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void identity_free(struct identity *identity)
{
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct identity){0};
}

static bool identity_make(struct identity *identity, const struct tls_library *library,
                          const struct certificate *cert)
{
    identity->leaf = x509_from(library, &cert->chain[0]);
    identity->chain = sk_X509_new_null();
    identity->key = key_from(library, cert);
    for (size_t i = 1; i < cert->chain_count; i++) {
        X509 *issuer = x509_from(library, &cert->chain[i]);
        if (issuer != NULL)
            sk_X509_push(identity->chain, issuer);
    }
    return identity->leaf != NULL && identity->key != NULL &&
           sk_X509_num(identity->chain) == (int)cert->chain_count - 1;
}

/* NULL: see OpenSSL's errors. */
static const struct identity *identity_get(struct tls_server *server, int cert)
{
    struct identity *identity = &server->identities[cert];

    if (identity->leaf == NULL &&
        !identity_make(identity, server->library, &server->plan->certs[cert])) {
        identity_free(identity);
        return NULL;
    }
    return identity;
}

/* --- contexts -------------------------------------------------------------------------------- */

static const struct ca_store *store_get(struct tls_server *server, unsigned policy)
{
    const struct tls_trust *trust = server->plan->policies[policy]->trust;

    if (trust != NULL && server->stores[policy] == NULL)
        server->stores[policy] = ca_store_get(server->library, trust);
    return server->stores[policy];
}

static int use_certificate(struct site *site, struct tls_server *server, int cert, struct err *err)
{
    const struct identity *identity = identity_get(server, cert);
    char why[256];

    if (identity != NULL &&
        SSL_CTX_use_cert_and_key(site->ctx, identity->leaf, identity->key, identity->chain, 1) == 1)
        return 0;
    return err_set(err, "%s: %s", server->plan->certs[cert].file, tls_error_text(why, sizeof(why)));
}

static int site_make(struct site *site, struct tls_server *server, struct err *err)
{
    const struct site_plan *plan = site->plan;

    site->ctx = server_ctx_new(server, err);
    if (site->ctx == NULL)
        return -1;
    SSL_CTX_set_app_data(site->ctx, site);
    tls_policy_set(server->plan->policies[plan->policy], store_get(server, plan->policy),
                   site->ctx);
    for (size_t i = 0; i < KINDS_MAX && plan->combo.certs[i] >= 0; i++) {
        if (use_certificate(site, server, plan->combo.certs[i], err) < 0) {
            SSL_CTX_free(site->ctx);
            site->ctx = NULL;
            return -1;
        }
    }
    return 0;
}

struct site *site_get(struct tls_server *server, size_t index, struct err *err)
{
    struct site *site = &server->sites[index];

    if (LIKELY(site->ctx != NULL))
        return site;
    site->server = server;
    site->plan = &server->plan->sites[index];
    return site_make(site, server, err) == 0 ? site : NULL;
}

const struct tls_policy *policy_of_host(const struct tls_server *server, struct str host)
{
    const struct tls_server_plan *plan = server->plan;
    int site = names_find(plan, host);

    return plan->policies[plan->sites[site >= 0 ? site : 0].policy];
}

void sites_free(struct tls_server *server)
{
    for (size_t i = 0; i < server->plan->site_count; i++)
        SSL_CTX_free(server->sites[i].ctx);
    for (size_t i = 0; i < server->plan->cert_count; i++)
        identity_free(&server->identities[i]);
    for (size_t i = 0; i < server->plan->policy_count; i++)
        ca_store_unref(&server->stores[i]);
    free(server->sites);
    free(server->identities);
    free(server->stores);
}
