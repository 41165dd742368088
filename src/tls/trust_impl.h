/* A worker's store of authorities, made from a plan's. */
#pragma once

#include "base/list.h"
#include "tls/plan_impl.h"

#include <openssl/x509_vfy.h>

/* Shared by all contexts of a library that trust the same authorities. */
struct ca_store {
    struct list node; /* in library->ca_stores */
    unsigned refs;
    uint64_t key;                  /* tls_trust.key */
    X509_STORE *store;             /* owns */
    STACK_OF(X509_NAME) * issuers; /* owns: the authorities' names, which clients choose by */
};

struct ca_store *ca_store_get(struct tls_library *library, const struct tls_trust *trust);
void ca_store_unref(struct ca_store **ca);

/* A verify callback, and what others begin with: is this error one that we do not mind? */
int trust_verdict(int ok, X509_STORE_CTX *store_ctx);

/* The loader ends. */
struct trust_file;
void trust_files_free(struct trust_file *file);
