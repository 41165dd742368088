/* A certificate made on the spot, for weir demo and for tests. */
#include "tls/tls_impl.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

enum { VALID_DAYS = 90, CLOCK_SKEW_SECONDS = 3600 };

static int add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

    int ok = ext != NULL && X509_add_ext(x509, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : -1;
}

static bool push_name(GENERAL_NAMES *alt, const char *text)
{
    struct addr addr;
    bool is_ip = addr_parse_ip(str_of(text), 0, &addr) == 0;
    GENERAL_NAME *name = a2i_GENERAL_NAME(NULL, NULL, NULL, is_ip ? GEN_IPADD : GEN_DNS, text, 0);

    if (name == NULL)
        return false;
    if (sk_GENERAL_NAME_push(alt, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static int add_names(X509 *x509, const char *const *names, size_t count)
{
    GENERAL_NAMES *alt = sk_GENERAL_NAME_new_null();
    bool ok = alt != NULL;

    for (size_t i = 0; i < count && ok; i++)
        ok = push_name(alt, names[i]);
    ok = ok && X509_add1_ext_i2d(x509, NID_subject_alt_name, alt, 0, 0) == 1;
    GENERAL_NAMES_free(alt);
    return ok ? 0 : -1;
}

static int set_serial(X509 *x509)
{
    unsigned char bytes[16];
    BIGNUM *number = NULL;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -1;
    bytes[0] = (bytes[0] & 0x7f) | 1; /* positive, not zero (RFC 5280 section 4.1.2.2) */
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
    BN_free(number);
    return ok ? 0 : -1;
}

static int fill(X509 *x509, EVP_PKEY *key, const char *const *names, size_t count)
{
    X509_NAME *subject = X509_get_subject_name(x509);
    const unsigned char *common =
        (const unsigned char *)(strlen(names[0]) <= 64 ? names[0] : "weir");

    if (X509_set_version(x509, X509_VERSION_3) != 1 || set_serial(x509) < 0)
        return -1;
    X509_gmtime_adj(X509_getm_notBefore(x509), -CLOCK_SKEW_SECONDS);
    X509_gmtime_adj(X509_getm_notAfter(x509), VALID_DAYS * 86400L);
    if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, common, -1, -1, 0) != 1 ||
        X509_set_issuer_name(x509, subject) != 1 || X509_set_pubkey(x509, key) != 1)
        return -1;
    if (add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        add_extension(x509, NID_key_usage, "critical,digitalSignature") < 0 ||
        add_extension(x509, NID_ext_key_usage, "serverAuth") < 0 ||
        add_extension(x509, NID_subject_key_identifier, "hash") < 0 ||
        add_names(x509, names, count) < 0)
        return -1;
    return X509_sign(x509, key, EVP_sha256()) > 0 ? 0 : -1;
}

/* What was written into `bio`, as a NUL-ended malloc'ed string. */
static char *bio_text(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = mem_new((size_t)len + 1);

    memcpy(text, bytes, (size_t)len);
    return text;
}

static int write_pem(X509 *x509, EVP_PKEY *key, char **chain_pem, char **key_pem)
{
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
    int result = -1;

    if (chain != NULL && secret != NULL && PEM_write_bio_X509(chain, x509) == 1 &&
        PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1) {
        *chain_pem = bio_text(chain);
        *key_pem = bio_text(secret);
        result = 0;
    }
    BIO_free(chain);
    BIO_free(secret);
    return result;
}

int tls_self_signed(const char *const *names, size_t count, char **chain_pem, char **key_pem,
                    struct err *err)
{
    char why[256];

    if (count == 0)
        return err_set(err, "a certificate needs a name");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    int result = -1;
    if (key != NULL && x509 != NULL && fill(x509, key, names, count) == 0)
        result = write_pem(x509, key, chain_pem, key_pem);
    X509_free(x509);
    EVP_PKEY_free(key);
    if (result < 0)
        return err_set(err, "cannot make a certificate: %s", tls_error_text(why, sizeof(why)));
    return 0;
}
