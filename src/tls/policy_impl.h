/* What a name demands of its clients. Made with a plan, never changed. */
#pragma once

#include "tls/plan_impl.h"

#include <openssl/ssl.h>

struct ca_store;

struct tls_policy {
    enum tls_version min_version;
    enum client_auth mode;
    struct tls_trust *trust; /* shares: who may issue client certificates; NULL: none asked */
    char **names;            /* owns: alternative names let in; none: all */
    size_t name_count;
    unsigned char id[SHA256_DIGEST_LENGTH];   /* session id context */
    unsigned char auth[SHA256_DIGEST_LENGTH]; /* what a client has proved under it */
};

/* NULL after a complaint. */
MUST_USE struct tls_policy *tls_policy_new(struct tls_loader *loader,
                                           const struct tls_server_conf *conf,
                                           enum tls_version min_version,
                                           const struct client_certificate_conf *client);
void tls_policy_free(struct tls_policy *policy);

/* May names of both be asked for on one connection? */
bool tls_policy_same_auth(const struct tls_policy *a, const struct tls_policy *b);

/* For all connections of `ctx`, `ca` being the store of policy->trust; and for one connection that
 * has just changed over to such a context. */
void tls_policy_set(const struct tls_policy *policy, const struct ca_store *ca, SSL_CTX *ctx);
void tls_policy_set_on(const struct tls_policy *policy, SSL *ssl);

/* The policy that the client's name has chosen (server_ctx.c). */
const struct tls_policy *tls_policy_of(SSL *ssl);
