/* The parts of a plan. Written while it is loaded, read by all workers afterwards. */
#pragma once

#include "base/hash.h"
#include "tls/plan.h"

#include <openssl/params.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdatomic.h>

enum {
    CHAIN_MAX = 16, /* certificates of one chain file */
    KINDS_MAX = 4,  /* certificates that stand side by side for one name */
    NAME_MAX_LEN = 253,
};

/* What the loading of plans shares; one thread. */
struct tls_loader {
    struct tls_library *library; /* owns: for parsing, and for trying what was loaded */
    tls_complain *complain;
    void *arg;
    struct trust_file *trusts; /* owns: bundles that were read */
    const atomic_bool *cancel; /* borrows; NULL: it cannot be cancelled */
    unsigned errors;
    char missing_directory[4096]; /* the last one that was reported; "" = none */
};

int loader_error(struct tls_loader *loader, const struct place *place, const char *fmt, ...)
    PRINTF(3, 4); /* -1 */
void loader_warn(struct tls_loader *loader, const struct place *place, const char *fmt, ...)
    PRINTF(3, 4);

/* Bytes in DER form. */
struct der {
    unsigned char *bytes; /* owns: OpenSSL's memory */
    size_t len;
};
void der_array_free(struct der *items, size_t count);

/* --- certificates (certificate.c) ------------------------------------------------------------ */

struct certificate {
    char *file; /* owns: for messages */
    struct der chain[CHAIN_MAX];
    size_t chain_count; /* the leaf first, each followed by its issuer as far as there is one */
    OSSL_PARAM *key;    /* owns: what EVP_PKEY_fromdata makes a key of */
    char key_type[32];
    int kind;     /* EVP_PKEY_RSA, EVP_PKEY_EC, …: one of each kind may serve one name */
    bool is_fast; /* signing takes tens of microseconds; else rather a millisecond */
    char **names; /* owns: lower case; "*.example.org" as it is */
    size_t name_count;
    unsigned char *staple; /* owns: an OCSP response in DER; NULL: none */
    size_t staple_len;
    int64_t staple_until_s; /* wall clock; after that it is not sent */
    int64_t expires_at_s;
};

/* Reads, parses and checks; -1 after complaints. */
MUST_USE int certificate_load(struct certificate *cert, struct tls_loader *loader,
                              const struct certificate_conf *conf);
void certificate_deinit(struct certificate *cert);

/* --- what certificates say, for messages (certificate_text.c) --------------------------------- */

const char *certificate_subject(const X509 *x509, char *out, size_t size);
const char *certificate_date(const ASN1_TIME *when, char *out, size_t size);
int64_t certificate_seconds(const ASN1_TIME *when);

/* Warns when `x509` is not valid now or ends soon; `what` says which it is ("ca.pem: authority
 * 2"). */
void certificate_warn_of_dates(struct tls_loader *loader, const struct place *place,
                               const char *what, const X509 *x509);

/* --- authorities (trust.c) -------------------------------------------------------------------- */

/* Who may issue the peer's certificates, and what they have revoked. */
struct tls_trust {
    atomic_uint refs;
    struct der *anchors, *crls; /* own */
    size_t anchor_count, crl_count;
    bool uses_directory; /* the system keeps its authorities in a directory, not in a file */
    uint64_t key;        /* of all of the above: the same bytes, the same key */
};

/* NULL after a complaint. `ca` "": the system's authorities. */
MUST_USE struct tls_trust *trust_load(struct tls_loader *loader, const struct place *place,
                                      struct str ca, struct str ca_pem, struct str crl);
struct tls_trust *trust_ref(struct tls_trust *trust);
void trust_unref(struct tls_trust **trust);

/* --- the names of a listener (names.c) -------------------------------------------------------- */

/* The certificates of one name: indices into the plan's, one per kind, -1 at the end. */
struct combo {
    int certs[KINDS_MAX];
};

/* Names with the same certificates and the same policy. */
struct site_plan {
    struct combo combo;
    unsigned policy; /* index in plan->policies */
    bool has_fast_key, has_slow_key;
};

struct sni_entry {
    char *name;    /* owns; NULL: empty place */
    unsigned site; /* index in plan->sites */
};

struct tls_policy;

struct tls_server_plan {
    atomic_uint refs;
    struct certificate *certs; /* owns */
    size_t cert_count;
    struct tls_expiry *expiries; /* owns; the texts are the certificates' */
    size_t expiry_count;
    struct tls_policy **policies; /* owns: the listener's own, then one per conf->hosts */
    size_t policy_count;
    struct site_plan *sites; /* owns; the first is the default */
    size_t site_count;
    struct hash_key sni_key;
    struct sni_entry *sni; /* owns: open addressing, sni_size is a power of two */
    size_t sni_size;
    unsigned char alpn[16]; /* as on the wire, our preference first */
    unsigned alpn_len;
    bool tickets, rejects_unknown_names;
    enum tls_version min_version;
    char *ciphers, *ciphersuites, *groups; /* own; "": weir's default */
};

/* Fills sites and sni from the certificates and the policies. */
void names_compile(struct tls_server_plan *plan, const struct tls_server_conf *conf);

/* The index of the site for a name in any case, with or without its last dot: its own, its
 * wildcard's (one label), or -1. */
int names_find(const struct tls_server_plan *plan, struct str host);

/* --- groups ----------------------------------------------------------------------------------- */

struct tls_client_plan {
    atomic_uint refs;
    struct tls_trust *trust; /* shares; NULL when nothing is verified */
    bool verify, alpn_h2;
    enum tls_version min_version;
    char *ciphers;   /* owns; "": OpenSSL's default */
    uint64_t policy; /* sessions made under one are not resumed under another */
};
