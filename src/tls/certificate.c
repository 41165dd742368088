/* Certificates and keys from PEM, and every way in which they do not fit together, said in words.
 * What comes out is plain bytes: a worker makes its own objects of them (identity.c). */
#include "tls/plan_impl.h"
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
#include <unistd.h>

/* A certificate while it is loaded. */
struct draft {
    struct tls_loader *loader;           /* borrows */
    const struct certificate_conf *conf; /* borrows */
    struct certificate *cert;            /* borrows: what it becomes */
    STACK_OF(X509) * read;               /* owns: as they stand in the file, the leaf first */
    STACK_OF(X509) * sent;               /* owns the stack: some of them, in the order to send */
    EVP_PKEY *key;                       /* owns */
};

static X509 *leaf_of(const struct draft *draft)
{
    return sk_X509_value(draft->read, 0);
}

static OSSL_LIB_CTX *libctx_of(const struct draft *draft)
{
    return draft->loader->library->ctx;
}

#define COMPLAIN(draft, ...) loader_error((draft)->loader, &(draft)->conf->place, __VA_ARGS__)
#define WARN(draft, ...) loader_warn((draft)->loader, &(draft)->conf->place, __VA_ARGS__)

/* --- reading --------------------------------------------------------------------------------- */

static char *file_of(const struct certificate_conf *conf)
{
    return conf->chain.len > 0 ? strndup(conf->chain.ptr, conf->chain.len)
                               : strdup("(certificate in memory)");
}

static const char *key_file(const struct draft *draft, char *out, size_t size)
{
    if (draft->conf->key.len == 0)
        return draft->cert->file;
    snprintf(out, size, "%.*s", STR_FMT(draft->conf->key));
    return out;
}

/* The directory of `file` into `out`; false when it exists, or cannot be told. */
static bool has_no_directory(const char *file, char *out, size_t size)
{
    const char *slash = strrchr(file, '/');

    if (slash == NULL || slash == file)
        return false;
    snprintf(out, size, "%.*s", (int)(slash - file), file);
    return access(out, F_OK) < 0 && errno == ENOENT;
}

/* A directory that is not there is one mistake, however many files it should have. */
static void complain_unreadable(const struct draft *draft, const char *file)
{
    struct tls_loader *loader = draft->loader;
    int error = errno;
    char directory[PATH_MAX];

    if (error != ENOENT || !has_no_directory(file, directory, sizeof(directory))) {
        COMPLAIN(draft, "cannot read %s: %s", file, strerror(error));
        return;
    }
    if (strcmp(loader->missing_directory, directory) == 0) {
        loader->errors++;
        return;
    }
    snprintf(loader->missing_directory, sizeof(loader->missing_directory), "%.*s",
             (int)sizeof(loader->missing_directory) - 1, directory);
    COMPLAIN(draft, "cannot read %s: %s (there is no directory %s)", file, strerror(error),
             directory);
}

static BIO *open_pem(const struct draft *draft, struct str path, struct str text)
{
    char name[PATH_MAX];

    if (path.len == 0)
        return BIO_new_mem_buf(text.ptr, (int)text.len);
    snprintf(name, sizeof(name), "%.*s", STR_FMT(path));
    errno = 0;
    BIO *bio = BIO_new_file(name, "r");
    if (bio == NULL)
        complain_unreadable(draft, name);
    ERR_clear_error();
    return bio;
}

/* The next certificate of `bio`, or NULL at its end; *bad when there is rubbish instead. */
static X509 *next_x509(const struct draft *draft, BIO *bio, bool *bad)
{
    X509 *x509 = X509_new_ex(libctx_of(draft), NULL);

    *bad = false;
    if (x509 != NULL && PEM_read_bio_X509(bio, &x509, NULL, NULL) != NULL)
        return x509;
    *bad = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    X509_free(x509);
    ERR_clear_error();
    return NULL;
}

static int read_chain(struct draft *draft)
{
    BIO *bio = open_pem(draft, draft->conf->chain, draft->conf->chain_pem);
    bool bad = false;
    X509 *x509;

    if (bio == NULL)
        return -1;
    draft->read = sk_X509_new_null();
    while (sk_X509_num(draft->read) < CHAIN_MAX && (x509 = next_x509(draft, bio, &bad)) != NULL)
        sk_X509_push(draft->read, x509);
    BIO_free(bio);
    if (bad)
        return COMPLAIN(draft, "%s: certificate %d is damaged", draft->cert->file,
                        sk_X509_num(draft->read) + 1);
    if (sk_X509_num(draft->read) == 0)
        return COMPLAIN(draft, "%s: no certificate in PEM form in it", draft->cert->file);
    return 0;
}

/* There is no terminal on which to ask for a pass phrase. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *arg)
{
    *(bool *)arg = true;
    return -1;
}

static int read_key(struct draft *draft)
{
    const struct certificate_conf *conf = draft->conf;
    bool own = conf->key.len > 0 || conf->key_pem.len > 0; /* else in the same file */
    BIO *bio =
        open_pem(draft, own ? conf->key : conf->chain, own ? conf->key_pem : conf->chain_pem);
    char file[PATH_MAX];
    bool encrypted = false;

    if (bio == NULL)
        return -1;
    draft->key =
        PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, &encrypted, libctx_of(draft), NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (draft->key != NULL)
        return 0;
    key_file(draft, file, sizeof(file));
    if (encrypted)
        return COMPLAIN(
            draft, "%s: the private key is encrypted; weir needs it without pass phrase", file);
    return COMPLAIN(draft, "%s: no private key in PEM form in it", file);
}

/* --- checking -------------------------------------------------------------------------------- */

static int check_key_fits(const struct draft *draft)
{
    char key[PATH_MAX];

    for (int i = 0; i < sk_X509_num(draft->read); i++) {
        bool fits = X509_check_private_key(sk_X509_value(draft->read, i), draft->key) == 1;
        ERR_clear_error();
        if (fits && i == 0)
            return 0;
        if (fits)
            return COMPLAIN(draft,
                            "%s: wrong order: the server's own certificate must come first, "
                            "but the key belongs to certificate %d",
                            draft->cert->file, i + 1);
    }
    return COMPLAIN(draft, "%s: the private key does not belong to the certificate in %s",
                    key_file(draft, key, sizeof(key)), draft->cert->file);
}

static void warn_of_dates(const struct draft *draft)
{
    char what[PATH_MAX + 256], subject[160];

    snprintf(what, sizeof(what), "%s: the certificate", draft->cert->file);
    certificate_warn_of_dates(draft->loader, &draft->conf->place, what, leaf_of(draft));
    for (int i = 1; i < sk_X509_num(draft->sent); i++) {
        X509 *x509 = sk_X509_value(draft->sent, i);
        snprintf(what, sizeof(what), "%s: the issuing certificate (%s)", draft->cert->file,
                 certificate_subject(x509, subject, sizeof(subject)));
        certificate_warn_of_dates(draft->loader, &draft->conf->place, what, x509);
    }
}

/* --- the chain that is sent ------------------------------------------------------------------ */

static int place_in(const STACK_OF(X509) * stack, const X509 *x509)
{
    for (int i = 0; i < sk_X509_num(stack); i++) {
        if (X509_cmp(sk_X509_value(stack, i), x509) == 0)
            return i;
    }
    return -1;
}

static bool names_as_issuer(const X509 *below, const X509 *above)
{
    return X509_NAME_cmp(X509_get_issuer_name(below), X509_get_subject_name(above)) == 0;
}

/* Adds `x509`, then all in the file that may have issued it, each with its own issuers behind it.
 * The first path comes whole, as TLS 1.2 wants it (RFC 5246 section 7.4.2); issuers that were
 * signed by several authorities follow behind it (RFC 8446 section 4.4.2). */
static void add_with_issuers(struct draft *draft, X509 *x509)
{
    sk_X509_push(draft->sent, x509);
    for (int i = 1; i < sk_X509_num(draft->read); i++) {
        X509 *above = sk_X509_value(draft->read, i);
        if (names_as_issuer(x509, above) && place_in(draft->sent, above) < 0)
            add_with_issuers(draft, above);
    }
}

/* What was given but is sent otherwise. */
static void warn_of_chain(const struct draft *draft)
{
    char subject[160];
    bool in_order = true;

    for (int i = 0; i < sk_X509_num(draft->read); i++) {
        X509 *x509 = sk_X509_value(draft->read, i);
        int first = place_in(draft->read, x509), sent = place_in(draft->sent, x509);
        certificate_subject(x509, subject, sizeof(subject));
        if (first < i)
            WARN(draft, "%s: certificate %d (%s) repeats certificate %d; it is sent once",
                 draft->cert->file, i + 1, subject, first + 1);
        else if (sent < 0)
            WARN(draft, "%s: certificate %d (%s) issued none of the others; it is not sent",
                 draft->cert->file, i + 1, subject);
        else if (sent > i)
            in_order = false;
    }
    if (!in_order)
        WARN(
            draft,
            "%s: the certificates are not in order; they are sent with each followed by its issuer",
            draft->cert->file);
}

static void warn_of_several_issuers(const struct draft *draft)
{
    char subject[160];

    for (int i = 1; i < sk_X509_num(draft->sent); i++) {
        const X509 *x509 = sk_X509_value(draft->sent, i);
        for (int j = 1; j < i; j++) {
            if (X509_NAME_cmp(X509_get_subject_name(x509),
                              X509_get_subject_name(sk_X509_value(draft->sent, j))) != 0)
                continue;
            WARN(draft, "%s: several certificates are for %s; all of them are sent",
                 draft->cert->file, certificate_subject(x509, subject, sizeof(subject)));
            return;
        }
    }
}

static void order_chain(struct draft *draft)
{
    draft->sent = sk_X509_new_null();
    add_with_issuers(draft, leaf_of(draft));
    warn_of_chain(draft);
    warn_of_several_issuers(draft);
}

/* --- OCSP ------------------------------------------------------------------------------------ */

enum { STAPLE_MAX = 16 * 1024 };

/* The response in `basic` about our certificate, by its serial number and issuer. */
static OCSP_SINGLERESP *find_response(const struct draft *draft, OCSP_BASICRESP *basic)
{
    X509 *issuer = sk_X509_value(draft->sent, 1);

    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *have = OCSP_SINGLERESP_get0_id(single);
        ASN1_OBJECT *hash;
        ASN1_INTEGER *serial;
        OCSP_id_get0_info(NULL, &hash, NULL, &serial, (OCSP_CERTID *)(uintptr_t)have);
        if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf_of(draft))) != 0)
            continue;
        if (issuer == NULL) /* the chain does not say who: the number must do */
            return single;
        OCSP_CERTID *want = OCSP_cert_to_id(EVP_get_digestbyobj(hash), leaf_of(draft), issuer);
        bool same = want != NULL && OCSP_id_cmp(want, have) == 0;
        OCSP_CERTID_free(want);
        if (same)
            return single;
    }
    return NULL;
}

/* What speaks against sending it; NULL: nothing. */
static const char *staple_fault(struct draft *draft, OCSP_RESPONSE *response)
{
    ASN1_GENERALIZEDTIME *next = NULL;

    if (response == NULL)
        return "not an OCSP response in DER form";
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return OCSP_response_status_str(OCSP_response_status(response));
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    OCSP_SINGLERESP *single = basic != NULL ? find_response(draft, basic) : NULL;
    int status = single != NULL ? OCSP_single_get0_status(single, NULL, NULL, NULL, &next) : -1;

    draft->cert->staple_until_s = certificate_seconds(next);
    OCSP_BASICRESP_free(basic);
    if (single == NULL)
        return "the OCSP response is not about this certificate";
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return "the OCSP response says \"revoked\"";
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return "the OCSP response says \"unknown\"";
    if (draft->cert->staple_until_s <= (int64_t)time(NULL))
        return "the OCSP response is out of date";
    return NULL;
}

/* A response is renewed by other means than its certificate, so one that does not fit is no reason
 * to refuse the certificate: it is not sent. */
static void check_staple(struct draft *draft, const char *file)
{
    struct certificate *cert = draft->cert;
    const unsigned char *at = cert->staple;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)cert->staple_len);
    const char *fault = staple_fault(draft, response);

    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    if (fault == NULL)
        return;
    WARN(draft, "%s: %s; it is not sent", file, fault);
    free(cert->staple);
    cert->staple = NULL;
}

static int read_staple(struct draft *draft)
{
    struct certificate *cert = draft->cert;
    char file[PATH_MAX];

    if (draft->conf->ocsp.len == 0)
        return 0;
    snprintf(file, sizeof(file), "%.*s", STR_FMT(draft->conf->ocsp));
    FILE *in = fopen(file, "rbe");
    if (in == NULL)
        return COMPLAIN(draft, "cannot read %s: %s", file, strerror(errno));
    cert->staple = mem_new(STAPLE_MAX);
    cert->staple_len = fread(cert->staple, 1, STAPLE_MAX, in);
    fclose(in);
    if (cert->staple_len == STAPLE_MAX)
        return COMPLAIN(draft, "%s: too large for an OCSP response", file);
    check_staple(draft, file);
    return 0;
}

/* --- names ----------------------------------------------------------------------------------- */

static void add_name(struct certificate *cert, const char *text, size_t len)
{
    if (len == 0 || len > NAME_MAX_LEN || memchr(text, '\0', len) != NULL)
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
static void collect_names(const struct draft *draft)
{
    struct certificate *cert = draft->cert;
    X509 *leaf = leaf_of(draft);
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alt, i);
        if (name->type == GEN_DNS)
            add_asn1_name(cert, name->d.dNSName);
    }
    if (alt == NULL) {
        X509_NAME *subject = X509_get_subject_name(leaf);
        int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at >= 0)
            add_asn1_name(cert, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
    GENERAL_NAMES_free(alt);
    ERR_clear_error();
    if (cert->name_count == 0)
        WARN(draft, "%s: the certificate names no host", cert->file);
}

/* --- plain bytes ----------------------------------------------------------------------------- */

static bool key_is_fast(EVP_PKEY *key)
{
    char group[32];
    size_t len;

    if (EVP_PKEY_is_a(key, "ED25519"))
        return true;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

static int keep_key(const struct draft *draft)
{
    struct certificate *cert = draft->cert;
    const char *type = EVP_PKEY_get0_type_name(draft->key);
    char file[PATH_MAX], why[256];

    cert->kind = EVP_PKEY_get_base_id(draft->key);
    cert->is_fast = key_is_fast(draft->key);
    snprintf(cert->key_type, sizeof(cert->key_type), "%s", type != NULL ? type : "");
    if (EVP_PKEY_todata(draft->key, EVP_PKEY_KEYPAIR, &cert->key) == 1)
        return 0;
    return COMPLAIN(draft, "%s: a private key that cannot be used: %s",
                    key_file(draft, file, sizeof(file)), tls_error_text(why, sizeof(why)));
}

static int keep_chain(const struct draft *draft)
{
    struct certificate *cert = draft->cert;

    for (int i = 0; i < sk_X509_num(draft->sent); i++) {
        struct der *der = &cert->chain[cert->chain_count++];
        int len = i2d_X509(sk_X509_value(draft->sent, i), &der->bytes);
        if (len <= 0)
            return COMPLAIN(draft, "%s: certificate %d is damaged", cert->file, i + 1);
        der->len = (size_t)len;
    }
    cert->expires_at_s = certificate_seconds(X509_get0_notAfter(leaf_of(draft)));
    return 0;
}

/* --- doors ----------------------------------------------------------------------------------- */

static int draft_load(struct draft *draft)
{
    if (read_chain(draft) < 0 || read_key(draft) < 0 || check_key_fits(draft) < 0)
        return -1;
    order_chain(draft);
    warn_of_dates(draft);
    if (read_staple(draft) < 0 || keep_key(draft) < 0 || keep_chain(draft) < 0)
        return -1;
    collect_names(draft);
    return 0;
}

int certificate_load(struct certificate *cert, struct tls_loader *loader,
                     const struct certificate_conf *conf)
{
    struct draft draft = {.loader = loader, .conf = conf, .cert = cert};

    *cert = (struct certificate){.file = file_of(conf)};
    int result = draft_load(&draft);
    sk_X509_free(draft.sent);
    sk_X509_pop_free(draft.read, X509_free);
    EVP_PKEY_free(draft.key);
    if (result < 0)
        certificate_deinit(cert);
    return result;
}

static void key_free(OSSL_PARAM *key)
{
    for (OSSL_PARAM *param = key; param != NULL && param->key != NULL; param++)
        OPENSSL_cleanse(param->data, param->data_size);
    OSSL_PARAM_free(key);
}

void certificate_deinit(struct certificate *cert)
{
    for (size_t i = 0; i < cert->chain_count; i++)
        OPENSSL_free(cert->chain[i].bytes);
    key_free(cert->key);
    for (size_t i = 0; i < cert->name_count; i++)
        free(cert->names[i]);
    free(cert->names);
    free(cert->staple);
    free(cert->file);
    *cert = (struct certificate){0};
}
