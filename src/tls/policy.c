/* What a name demands of its clients: the lowest version, and whether they must show a certificate,
 * of whom, with which name. A policy has two digests. `id` covers all that a ticket must not carry
 * a client around (RFC 8446 section 4.2.11; CVE-2025-23419): a ticket made under one id resumes
 * under no other. `auth` covers what the client has proved of itself: names that agree in it may
 * be asked for on one connection, others are misdirected (RFC 9110 section 15.5.20). */
#include "tls/policy_impl.h"
#include "tls/tls_impl.h"
#include "tls/trust_impl.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

enum { CLIENT_CHAIN_MAX = 5, CLIENT_CHAIN_BYTES = 32 * 1024 };

/* --- digests --------------------------------------------------------------------------------- */

struct digest {
    EVP_MD *sha256;
    EVP_MD_CTX *md;
};

static struct digest digest_begin(struct tls_library *library)
{
    struct digest digest = {EVP_MD_fetch(library->ctx, "SHA256", NULL), EVP_MD_CTX_new()};

    if (digest.sha256 == NULL || digest.md == NULL ||
        EVP_DigestInit_ex2(digest.md, digest.sha256, NULL) != 1)
        assert_failed("OpenSSL has no SHA-256", __FILE__, __LINE__);
    return digest;
}

static void digest_add(struct digest *digest, const void *ptr, size_t len)
{
    uint32_t size = (uint32_t)len;

    EVP_DigestUpdate(digest->md, &size, sizeof(size)); /* so that two texts do not run together */
    EVP_DigestUpdate(digest->md, ptr, len);
}

static void digest_add_str(struct digest *digest, struct str text)
{
    digest_add(digest, text.ptr, text.len);
}

static void digest_end(struct digest *digest, unsigned char out[SHA256_DIGEST_LENGTH])
{
    EVP_DigestFinal_ex(digest->md, out, NULL);
    EVP_MD_CTX_free(digest->md);
    EVP_MD_free(digest->sha256);
}

static void digest_add_ders(struct digest *digest, const struct der *items, size_t count)
{
    uint32_t number = (uint32_t)count;

    digest_add(digest, &number, sizeof(number));
    for (size_t i = 0; i < count; i++)
        digest_add(digest, items[i].bytes, items[i].len);
}

/* The authorities themselves, not their file's name: a replaced bundle is another policy. */
static void digest_add_trust(struct digest *digest, const struct tls_trust *trust)
{
    digest_add_ders(digest, trust->anchors, trust->anchor_count);
    digest_add_ders(digest, trust->crls, trust->crl_count);
}

static void make_auth(struct tls_policy *policy, struct tls_library *library)
{
    struct digest digest = digest_begin(library);
    uint32_t facts[] = {(uint32_t)policy->min_version, (uint32_t)policy->mode};

    digest_add(&digest, facts, sizeof(facts));
    for (size_t i = 0; i < policy->name_count; i++)
        digest_add_str(&digest, str_of(policy->names[i]));
    if (policy->trust != NULL)
        digest_add_trust(&digest, policy->trust);
    digest_end(&digest, policy->auth);
}

static void make_id(struct tls_policy *policy, struct tls_library *library,
                    const struct tls_server_conf *conf)
{
    struct digest digest = digest_begin(library);
    uint32_t protocols = (uint32_t)conf->alpn_h2 << 1 | (uint32_t)conf->alpn_h1;

    digest_add(&digest, policy->auth, sizeof(policy->auth));
    digest_add(&digest, &protocols, sizeof(protocols));
    digest_add_str(&digest, conf->ciphers);
    digest_add_str(&digest, conf->ciphersuites);
    digest_add_str(&digest, conf->curves);
    digest_end(&digest, policy->id);
}

/* --- client certificates --------------------------------------------------------------------- */

static void copy_names(struct tls_policy *policy, const struct client_certificate_conf *conf)
{
    policy->names = mem_new((conf->name_count + 1) * sizeof(*policy->names));
    for (size_t i = 0; i < conf->name_count; i++)
        policy->names[policy->name_count++] = str_copy(conf->names[i]);
}

/* "*.x" stands for one label. Names of hosts are compared without regard to case, others
 * exactly. */
static bool name_matches(const char *pattern, struct str name, bool is_host)
{
    struct str want = str_of(pattern);

    if (is_host && str_starts(want, STR("*."))) {
        ptrdiff_t dot = str_find_char(name, '.');
        if (dot <= 0)
            return false;
        want = str_skip(want, 1);
        name = str_skip(name, (size_t)dot);
    }
    return is_host ? str_eq_nocase(want, name) : str_eq(want, name);
}

static bool is_listed(const struct tls_policy *policy, struct str name, bool is_host)
{
    for (size_t i = 0; i < policy->name_count; i++) {
        if (name_matches(policy->names[i], name, is_host))
            return true;
    }
    return false;
}

static struct str asn1_str(const ASN1_STRING *text)
{
    return str_make(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static bool alternative_is_listed(const struct tls_policy *policy, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        return is_listed(policy, asn1_str(name->d.dNSName), true);
    case GEN_URI:
        return is_listed(policy, asn1_str(name->d.uniformResourceIdentifier), false);
    case GEN_EMAIL:
        return is_listed(policy, asn1_str(name->d.rfc822Name), false);
    default:
        return false;
    }
}

/* One of its alternative names must be on the list; the common name does not count. */
static bool is_let_in(const struct tls_policy *policy, X509 *x509)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++)
        found = alternative_is_listed(policy, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return found;
}

/* OpenSSL has verified this certificate of the chain, or says no; the leaf comes last. */
static int on_verify(int ok, X509_STORE_CTX *store_ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_policy *policy = tls_policy_of(ssl);

    ok = trust_verdict(ok, store_ctx);
    if (!ok || X509_STORE_CTX_get_error_depth(store_ctx) > 0 || policy->name_count == 0)
        return ok;
    if (is_let_in(policy, X509_STORE_CTX_get_current_cert(store_ctx)))
        return 1;
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static int verify_mode(const struct tls_policy *policy)
{
    switch (policy->mode) {
    case CLIENT_AUTH_NONE:
        return SSL_VERIFY_NONE;
    case CLIENT_AUTH_OPTIONAL:
        return SSL_VERIFY_PEER;
    case CLIENT_AUTH_REQUIRED:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    return SSL_VERIFY_NONE;
}

/* --- doors ----------------------------------------------------------------------------------- */

struct tls_policy *tls_policy_new(struct tls_loader *loader, const struct tls_server_conf *conf,
                                  enum tls_version min_version,
                                  const struct client_certificate_conf *client)
{
    struct tls_policy *policy = mem_new(sizeof(*policy));

    policy->min_version = min_version;
    policy->mode = client->mode;
    copy_names(policy, client);
    if (policy->mode != CLIENT_AUTH_NONE) {
        policy->trust = trust_load(loader, &client->place, client->ca, STR(""), client->crl);
        if (policy->trust == NULL) {
            tls_policy_free(policy);
            return NULL;
        }
    }
    make_auth(policy, loader->library);
    make_id(policy, loader->library, conf);
    return policy;
}

void tls_policy_free(struct tls_policy *policy)
{
    if (policy == NULL)
        return;
    for (size_t i = 0; i < policy->name_count; i++)
        free(policy->names[i]);
    free(policy->names);
    trust_unref(&policy->trust);
    free(policy);
}

bool tls_policy_same_auth(const struct tls_policy *a, const struct tls_policy *b)
{
    return a == b || memcmp(a->auth, b->auth, sizeof(a->auth)) == 0;
}

static int protocol_version(const struct tls_policy *policy)
{
    return policy->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

void tls_policy_set(const struct tls_policy *policy, const struct ca_store *ca, SSL_CTX *ctx)
{
    SSL_CTX_set_session_id_context(ctx, policy->id, sizeof(policy->id));
    SSL_CTX_set_min_proto_version(ctx, protocol_version(policy));
    SSL_CTX_set_verify(ctx, verify_mode(policy), on_verify);
    if (policy->mode == CLIENT_AUTH_NONE)
        return;
    SSL_CTX_set_verify_depth(ctx, CLIENT_CHAIN_MAX);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_BYTES);
    SSL_CTX_set1_verify_cert_store(ctx, ca->store);
    SSL_CTX_set_client_CA_list(ctx, SSL_dup_CA_list(ca->issuers));
}

/* SSL_set_SSL_CTX changes certificates and stores, but not these. The list of issuers is the
 * context's: it follows by itself. */
void tls_policy_set_on(const struct tls_policy *policy, SSL *ssl)
{
    SSL_set_session_id_context(ssl, policy->id, sizeof(policy->id));
    SSL_set_min_proto_version(ssl, protocol_version(policy));
    SSL_set_verify(ssl, verify_mode(policy), on_verify);
    SSL_set_verify_depth(ssl, CLIENT_CHAIN_MAX);
    SSL_set_max_cert_list(ssl, CLIENT_CHAIN_BYTES);
}
