/* Certificates and keys from PEM, and every way in which they do not fit together, said in words.
 */
#include "tls/tls_impl.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHAIN_MAX = 16,         /* certificates of one chain file */
    EXPIRES_SOON_DAYS = 14, /* warned of */
};

/* --- reading --------------------------------------------------------------------------------- */

const char *certificate_file(const struct certificate_conf *conf, char *out, size_t size)
{
    if (conf->chain.len > 0)
        snprintf(out, size, "%.*s", STR_FMT(conf->chain));
    else
        snprintf(out, size, "(certificate in memory)");
    return out;
}

static const char *key_file(const struct certificate_conf *conf, char *out, size_t size)
{
    if (conf->key.len == 0)
        return certificate_file(conf, out, size);
    snprintf(out, size, "%.*s", STR_FMT(conf->key));
    return out;
}

static BIO *open_pem(struct str path, struct str text, struct err *err)
{
    char name[PATH_MAX];

    if (path.len == 0)
        return BIO_new_mem_buf(text.ptr, (int)text.len);
    snprintf(name, sizeof(name), "%.*s", STR_FMT(path));
    errno = 0;
    BIO *bio = BIO_new_file(name, "r");
    if (bio == NULL)
        err_set_errno(err, "cannot read %s", name);
    ERR_clear_error();
    return bio;
}

/* The next certificate of `bio`, or NULL at its end; *bad when there is rubbish instead. */
static X509 *next_x509(struct tls_library *library, BIO *bio, bool *bad)
{
    X509 *x509 = X509_new_ex(library->ctx, NULL);

    *bad = false;
    if (x509 != NULL && PEM_read_bio_X509(bio, &x509, NULL, NULL) != NULL)
        return x509;
    *bad = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    X509_free(x509);
    ERR_clear_error();
    return NULL;
}

static int read_chain(struct certificate *cert, struct tls_library *library, struct err *err)
{
    char file[PATH_MAX];
    BIO *bio = open_pem(cert->conf->chain, cert->conf->chain_pem, err);
    bool bad = false;
    X509 *x509;

    if (bio == NULL)
        return -1;
    cert->chain = sk_X509_new_null();
    while ((x509 = next_x509(library, bio, &bad)) != NULL) {
        if (cert->leaf == NULL)
            cert->leaf = x509;
        else
            sk_X509_push(cert->chain, x509);
        if (sk_X509_num(cert->chain) >= CHAIN_MAX)
            break;
    }
    BIO_free(bio);
    certificate_file(cert->conf, file, sizeof(file));
    if (bad)
        return err_set(err, "%s: certificate %d is damaged", file,
                       (cert->leaf != NULL) + sk_X509_num(cert->chain) + 1);
    if (cert->leaf == NULL)
        return err_set(err, "%s: no certificate in PEM form in it", file);
    return 0;
}

/* We never ask for a pass phrase; a worker has no terminal. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *arg)
{
    *(bool *)arg = true;
    return -1;
}

static int read_key(struct certificate *cert, struct tls_library *library, struct err *err)
{
    const struct certificate_conf *conf = cert->conf;
    bool own = conf->key.len > 0 || conf->key_pem.len > 0; /* else in the same file */
    BIO *bio = open_pem(own ? conf->key : conf->chain, own ? conf->key_pem : conf->chain_pem, err);
    char file[PATH_MAX];
    bool encrypted = false;

    if (bio == NULL)
        return -1;
    cert->key =
        PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, &encrypted, library->ctx, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (cert->key != NULL) {
        cert->kind = EVP_PKEY_get_base_id(cert->key);
        return 0;
    }
    key_file(conf, file, sizeof(file));
    if (encrypted)
        return err_set(err, "%s: the private key is encrypted; weir needs it without pass phrase",
                       file);
    return err_set(err, "%s: no private key in PEM form in it", file);
}

/* --- checking -------------------------------------------------------------------------------- */

static const char *subject_text(X509 *x509, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0,
                                          XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, out, (int)size - 1);
    out[MAX(n, 0)] = '\0';
    BIO_free(bio);
    return out;
}

static int check_key_fits(const struct certificate *cert, struct err *err)
{
    char chain[PATH_MAX], key[PATH_MAX];

    if (X509_check_private_key(cert->leaf, cert->key) == 1)
        return 0;
    ERR_clear_error();
    certificate_file(cert->conf, chain, sizeof(chain));
    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        if (X509_check_private_key(sk_X509_value(cert->chain, i), cert->key) == 1)
            return err_set(err,
                           "%s: wrong order: the server's own certificate must come first, "
                           "but the key belongs to certificate %d",
                           chain, i + 2);
    }
    ERR_clear_error();
    return err_set(err, "%s: the private key does not belong to the certificate in %s",
                   key_file(cert->conf, key, sizeof(key)), chain);
}

static int check_order(const struct certificate *cert, struct err *err)
{
    char file[PATH_MAX], subject[160], issuer[160];
    X509 *below = cert->leaf;

    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        X509 *above = sk_X509_value(cert->chain, i);
        if (X509_NAME_cmp(X509_get_issuer_name(below), X509_get_subject_name(above)) != 0)
            return err_set(
                err,
                "%s: wrong order: certificate %d (%s) did not issue certificate %d (%s); "
                "each must be followed by its issuer",
                certificate_file(cert->conf, file, sizeof(file)), i + 2,
                subject_text(above, issuer, sizeof(issuer)), i + 1,
                subject_text(below, subject, sizeof(subject)));
        below = above;
    }
    return 0;
}

static void date_text(const ASN1_TIME *when, char *out, size_t size)
{
    struct tm tm = {0};

    ASN1_TIME_to_tm(when, &tm);
    strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static int check_dates(const struct certificate *cert, struct err *err)
{
    char file[PATH_MAX], date[64];
    const ASN1_TIME *from = X509_get0_notBefore(cert->leaf), *to = X509_get0_notAfter(cert->leaf);

    certificate_file(cert->conf, file, sizeof(file));
    if (X509_cmp_current_time(to) < 0) {
        date_text(to, date, sizeof(date));
        return err_set(err, "%s: the certificate expired on %s", file, date);
    }
    if (X509_cmp_current_time(from) > 0) {
        date_text(from, date, sizeof(date));
        return err_set(err, "%s: the certificate is not valid before %s", file, date);
    }
    return 0;
}

const char *certificate_warning(const struct certificate *cert, char *out, size_t size)
{
    char file[PATH_MAX], date[64];
    time_t soon = time(NULL) + EXPIRES_SOON_DAYS * 86400;
    const ASN1_TIME *to = X509_get0_notAfter(cert->leaf);

    out[0] = '\0';
    certificate_file(cert->conf, file, sizeof(file));
    if (X509_cmp_time(to, &soon) < 0) {
        date_text(to, date, sizeof(date));
        snprintf(out, size, "%s: the certificate expires soon, on %s", file, date);
    } else if (cert->staple != NULL && cert->staple_until_s <= (int64_t)time(NULL)) {
        snprintf(out, size, "%.*s: the OCSP response is out of date and will not be sent",
                 STR_FMT(cert->conf->ocsp));
    } else if (cert->name_count == 0) {
        snprintf(out, size, "%s: the certificate names no host", file);
    }
    return out;
}

/* --- OCSP ------------------------------------------------------------------------------------ */

enum { STAPLE_MAX = 16 * 1024 };

/* The response in `basic` about our certificate, by its serial number and issuer. */
static OCSP_SINGLERESP *find_response(const struct certificate *cert, OCSP_BASICRESP *basic)
{
    X509 *issuer = sk_X509_value(cert->chain, 0);

    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *have = OCSP_SINGLERESP_get0_id(single);
        ASN1_OBJECT *hash;
        ASN1_INTEGER *serial;
        OCSP_id_get0_info(NULL, &hash, NULL, &serial, (OCSP_CERTID *)(uintptr_t)have);
        if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert->leaf)) != 0)
            continue;
        if (issuer == NULL) /* the chain does not say who: the number must do */
            return single;
        OCSP_CERTID *want = OCSP_cert_to_id(EVP_get_digestbyobj(hash), cert->leaf, issuer);
        bool same = want != NULL && OCSP_id_cmp(want, have) == 0;
        OCSP_CERTID_free(want);
        if (same)
            return single;
    }
    return NULL;
}

static int64_t seconds_of(const ASN1_GENERALIZEDTIME *when)
{
    struct tm tm = {0};

    return when != NULL && ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

static int check_staple(struct certificate *cert, OCSP_RESPONSE *response, const char *file,
                        struct err *err)
{
    ASN1_GENERALIZEDTIME *next = NULL;
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    OCSP_SINGLERESP *single = basic != NULL ? find_response(cert, basic) : NULL;
    int status = single != NULL ? OCSP_single_get0_status(single, NULL, NULL, NULL, &next) : -1;

    cert->staple_until_s = seconds_of(next);
    OCSP_BASICRESP_free(basic);
    if (single == NULL)
        return err_set(err, "%s: the OCSP response is not about this certificate", file);
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return err_set(err, "%s: the OCSP response says \"%s\"", file,
                       OCSP_cert_status_str(status));
    return 0;
}

static int parse_staple(struct certificate *cert, const char *file, struct err *err)
{
    const unsigned char *at = cert->staple;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)cert->staple_len);
    int result;

    if (response == NULL)
        result = err_set(err, "%s: not an OCSP response in DER form", file);
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        result = err_set(err, "%s: the OCSP responder answered \"%s\"", file,
                         OCSP_response_status_str(OCSP_response_status(response)));
    else
        result = check_staple(cert, response, file, err);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return result;
}

static int read_staple(struct certificate *cert, struct err *err)
{
    char file[PATH_MAX];

    if (cert->conf->ocsp.len == 0)
        return 0;
    snprintf(file, sizeof(file), "%.*s", STR_FMT(cert->conf->ocsp));
    FILE *in = fopen(file, "rbe");
    if (in == NULL)
        return err_set_errno(err, "cannot read %s", file);
    cert->staple = mem_new(STAPLE_MAX);
    cert->staple_len = fread(cert->staple, 1, STAPLE_MAX, in);
    fclose(in);
    if (cert->staple_len == STAPLE_MAX)
        return err_set(err, "%s: too large for an OCSP response", file);
    return parse_staple(cert, file, err);
}

/* --- names ----------------------------------------------------------------------------------- */

static void add_name(struct certificate *cert, const char *text, size_t len)
{
    if (len == 0 || len > 253 || memchr(text, '\0', len) != NULL)
        return;
    char *name = mem_new(len + 1);
    for (size_t i = 0; i < len; i++)
        name[i] = ascii_lower(text[i]);
    cert->names = mem_resize(cert->names, (cert->name_count + 1) * sizeof(*cert->names));
    cert->names[cert->name_count++] = name;
}

static void add_asn1_name(struct certificate *cert, const ASN1_STRING *text)
{
    add_name(cert, (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

/* Subject alternative names; only without any, the common name (RFC 6125 section 6.4.4). */
static void collect_names(struct certificate *cert)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(cert->leaf, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alt, i);
        if (name->type == GEN_DNS)
            add_asn1_name(cert, name->d.dNSName);
    }
    if (alt == NULL) {
        X509_NAME *subject = X509_get_subject_name(cert->leaf);
        int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at >= 0)
            add_asn1_name(cert, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
    GENERAL_NAMES_free(alt);
    ERR_clear_error();
}

bool certificate_covers(const struct certificate *cert, const char *name)
{
    const char *rest = strchr(name, '.'); /* a wildcard stands for one whole label */

    for (size_t i = 0; i < cert->name_count; i++) {
        const char *have = cert->names[i];
        if (strcmp(have, name) == 0)
            return true;
        if (have[0] == '*' && rest != NULL && strcmp(have + 1, rest) == 0)
            return true;
    }
    return false;
}

/* --- doors ----------------------------------------------------------------------------------- */

int certificate_load(struct certificate *cert, struct tls_library *library,
                     const struct certificate_conf *conf, struct err *err)
{
    *cert = (struct certificate){.conf = conf};
    if (read_chain(cert, library, err) < 0 || read_key(cert, library, err) < 0 ||
        check_key_fits(cert, err) < 0 || check_order(cert, err) < 0 || check_dates(cert, err) < 0 ||
        read_staple(cert, err) < 0) {
        certificate_deinit(cert);
        return -1;
    }
    collect_names(cert);
    return 0;
}

void certificate_deinit(struct certificate *cert)
{
    X509_free(cert->leaf);
    sk_X509_pop_free(cert->chain, X509_free);
    EVP_PKEY_free(cert->key);
    for (size_t i = 0; i < cert->name_count; i++)
        free(cert->names[i]);
    free(cert->names);
    free(cert->staple);
    *cert = (struct certificate){0};
}
