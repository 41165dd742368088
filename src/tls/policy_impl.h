/* What a name demands of its clients. Made with a tls_server, never changed. */
#pragma once

#include "tls/tls_impl.h"

#include <openssl/sha.h>

struct tls_policy {
    enum tls_version min_version;
    enum client_auth mode;
    X509_STORE *store;             /* owns: who may issue client certificates; NULL: none asked */
    STACK_OF(X509_NAME) * issuers; /* owns: the same as names, which clients choose by */
    char **names;                  /* owns: alternative names let in; none: all */
    size_t name_count;
    unsigned char id[SHA256_DIGEST_LENGTH];   /* session id context */
    unsigned char auth[SHA256_DIGEST_LENGTH]; /* what a client has proved under it */
};

MUST_USE struct tls_policy *tls_policy_new(struct tls_library *library,
                                           const struct tls_server_conf *conf,
                                           enum tls_version min_version,
                                           const struct client_certificate_conf *client,
                                           struct err *err);
void tls_policy_free(struct tls_policy *policy);

/* May names of both be asked for on one connection? */
bool tls_policy_same_auth(const struct tls_policy *a, const struct tls_policy *b);

/* For all connections of `ctx`; and for one that has just changed over to such a context. */
void tls_policy_set(const struct tls_policy *policy, SSL_CTX *ctx);
void tls_policy_set_on(const struct tls_policy *policy, SSL *ssl);

/* The policy that the client's name has chosen (server_ctx.c). */
const struct tls_policy *tls_policy_of(SSL *ssl);
