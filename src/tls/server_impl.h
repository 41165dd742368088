/* A TLS listener in one worker: a plan, and what has been made of it so far. */
#pragma once

#include "tls/policy_impl.h"
#include "tls/tls_impl.h"
#include "tls/trust_impl.h"

/* A certificate as OpenSSL's objects of this worker's library. */
struct identity {
    X509 *leaf;             /* owns; NULL: not made yet */
    STACK_OF(X509) * chain; /* owns: issuers, nearest first */
    EVP_PKEY *key;          /* owns */
};

/* Names with the same certificates and the same policy. */
struct site {
    const struct tls_server *server; /* borrows: the context's connections keep it alive */
    const struct site_plan *plan;    /* borrows */
    SSL_CTX *ctx;                    /* owns; its app data is the site; NULL: not made yet */
};

struct tls_server {
    unsigned refs;
    struct tls_library *library;  /* borrows */
    struct tls_tickets *tickets;  /* borrows; NULL: no resumption */
    struct tls_server_plan *plan; /* shares */
    struct identity *identities;  /* owns: one for each of plan->certs */
    struct site *sites;           /* owns: one for each of plan->sites */
    struct ca_store **stores;     /* owns references: one for each of plan->policies */
};

/* The site with its context, which is made the first time: about 0.4 ms. NULL when OpenSSL refuses
 * what it took when the plan was loaded. */
struct site *site_get(struct tls_server *server, size_t index, struct err *err);
void sites_free(struct tls_server *server);

/* The policy for a name in any case, with or without its last dot. */
const struct tls_policy *policy_of_host(const struct tls_server *server, struct str host);

/* A context with the listener's settings and no certificate; NULL with what is wrong with them
 * (server_ctx.c). */
MUST_USE SSL_CTX *server_ctx_new(struct tls_server *server, struct err *err);

/* --- how long a client may resume (resumption.c) ---------------------------------------------- */

enum { SESSION_SECONDS = 86400 }; /* after the full handshake */

void resumption_set(SSL_CTX *ctx);
