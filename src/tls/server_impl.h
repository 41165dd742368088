/* What the files of a TLS listener share: the names it answers to, and the context of each. */
#pragma once

#include "base/hash.h"
#include "tls/policy_impl.h"

enum {
    KINDS_MAX = 4, /* certificates that stand side by side for one name */
    NAME_MAX_LEN = 253,
};

/* The certificates of one name: indices into the loaded ones, one per kind, -1 at the end. */
struct combo {
    int certs[KINDS_MAX];
};

/* A response to "is this certificate revoked?" that we send along (RFC 6066 section 8). */
struct staple {
    X509 *leaf; /* borrows from the context */
    unsigned char *der;
    size_t len;
    int64_t until_s;
};

/* Names with the same certificates and the same policy. */
struct site {
    struct combo combo;
    const struct tls_policy *policy; /* borrows from the server */
    struct staple staples[KINDS_MAX];
    unsigned staple_count;
    SSL_CTX *ctx; /* owns; its app data is the site */
    bool has_fast_key, has_slow_key;
};

struct sni_entry {
    char *name; /* owns; NULL: empty place */
    struct site *site;
};

struct tls_server {
    unsigned refs;
    struct tls_library *library; /* borrows */
    struct tls_tickets *tickets; /* borrows; NULL: no resumption */
    struct site **sites;         /* owns; the first is the default */
    size_t site_count;
    struct hash_key sni_key;
    struct sni_entry *sni; /* owns: open addressing, sni_size is a power of two */
    size_t sni_size;
    unsigned char alpn[16]; /* as on the wire, our preference first */
    unsigned alpn_len;
    struct tls_policy **policies; /* owns: the listener's own, then one per conf->hosts */
    size_t policy_count;
};

/* --- one context for each site (server_ctx.c) ------------------------------------------------- */

/* A context with the listener's settings and no certificate; NULL with what is wrong with them. */
MUST_USE SSL_CTX *server_ctx_new(struct tls_server *server, const struct tls_server_conf *conf,
                                 struct err *err);

/* --- the sites of the names (sites.c) --------------------------------------------------------- */

/* Fills server->sites and server->sni from the loaded certificates and the policies. */
MUST_USE int sites_compile(struct tls_server *server, const struct tls_server_conf *conf,
                           const struct certificate *certs, size_t count, struct err *err);
void sites_free(struct tls_server *server);

/* The site for a name in any case, with or without its last dot: its own, its wildcard's, or the
 * default. */
const struct site *site_of(const struct tls_server *server, struct str host);
