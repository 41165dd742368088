/* Authorities and revocation lists: read and checked once for all workers, then made into a store
 * by each worker that needs one. Both directions use them in the same way: whatever certificate the
 * operator names is an anchor, be it a root, an intermediate or the peer's own. */
#include "tls/tls_impl.h"
#include "tls/trust_impl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A bundle that the loader has read, so that groups that share it read it once. */
struct trust_file {
    struct trust_file *next;
    struct str ca, ca_pem, crl; /* borrow from the configuration */
    struct tls_trust *trust;    /* shares */
};

/* --- reading --------------------------------------------------------------------------------- */

struct bundle {
    struct tls_loader *loader;
    const struct place *place;
    const char *file;        /* for messages */
    struct tls_trust *trust; /* what it is added to */
    bool is_system;          /* the operator of weir cannot mend it: no warnings */
};

static void add_der(struct der **items, size_t *count, unsigned char *bytes, int len)
{
    *items = mem_resize(*items, (*count + 1) * sizeof(**items));
    (*items)[(*count)++] = (struct der){bytes, (size_t)len};
}

static void add_anchor(struct bundle *bundle, X509 *x509)
{
    struct tls_trust *trust = bundle->trust;
    unsigned char *bytes = NULL;
    char what[PATH_MAX + 256], subject[160];
    int len = i2d_X509(x509, &bytes);

    if (len <= 0)
        return;
    add_der(&trust->anchors, &trust->anchor_count, bytes, len);
    if (bundle->is_system)
        return;
    snprintf(what, sizeof(what), "ca: %s: the authority %s", bundle->file,
             certificate_subject(x509, subject, sizeof(subject)));
    certificate_warn_of_dates(bundle->loader, bundle->place, what, x509);
}

static void add_crl(struct bundle *bundle, X509_CRL *crl)
{
    struct tls_trust *trust = bundle->trust;
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    unsigned char *bytes = NULL;
    char date[64];
    int len = i2d_X509_CRL(crl, &bytes);

    if (len <= 0)
        return;
    add_der(&trust->crls, &trust->crl_count, bytes, len);
    if (next != NULL && certificate_seconds(next) < (int64_t)time(NULL))
        loader_warn(bundle->loader, bundle->place,
                    "crl: %s: the revocation list was due to be replaced on %s; certificates that "
                    "it is about are refused",
                    bundle->file, certificate_date(next, date, sizeof(date)));
}

static int add_pem(struct bundle *bundle, BIO *bio)
{
    OSSL_LIB_CTX *libctx = bundle->loader->library->ctx;
    STACK_OF(X509_INFO) *items = PEM_X509_INFO_read_bio_ex(bio, NULL, NULL, NULL, libctx, NULL);
    char why[256];

    BIO_free(bio);
    if (items == NULL)
        return loader_error(bundle->loader, bundle->place, "%s is damaged: %s", bundle->file,
                            tls_error_text(why, sizeof(why)));
    for (int i = 0; i < sk_X509_INFO_num(items); i++) {
        const X509_INFO *item = sk_X509_INFO_value(items, i);
        if (item->x509 != NULL)
            add_anchor(bundle, item->x509);
        if (item->crl != NULL)
            add_crl(bundle, item->crl);
    }
    sk_X509_INFO_pop_free(items, X509_INFO_free);
    ERR_clear_error();
    return 0;
}

static int add_file(struct bundle *bundle, const char *key)
{
    errno = 0;
    BIO *bio = BIO_new_file(bundle->file, "r");

    ERR_clear_error();
    if (bio == NULL)
        return loader_error(bundle->loader, bundle->place, "%s: cannot read %s: %s", key,
                            bundle->file, strerror(errno));
    return add_pem(bundle, bio);
}

/* The system's authorities, from one file where there is one; a directory of hashed names, which a
 * worker would have to look into in the middle of a handshake, is the last resort. */
static int add_system(struct bundle *bundle)
{
    const char *const files[] = {getenv(X509_get_default_cert_file_env()),
                                 X509_get_default_cert_file(), "/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/tls/certs/ca-bundle.crt"};

    bundle->is_system = true;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (files[i] == NULL || access(files[i], R_OK) != 0)
            continue;
        bundle->file = files[i];
        return add_file(bundle, "ca");
    }
    bundle->trust->uses_directory = true;
    return 0;
}

static int add_authorities(struct bundle *bundle, struct str ca, struct str ca_pem)
{
    char path[PATH_MAX];

    if (ca.len == 0 && ca_pem.len == 0)
        return add_system(bundle);
    snprintf(path, sizeof(path), "%.*s", STR_FMT(ca));
    bundle->file = ca.len > 0 ? path : "(authorities in memory)";
    int result = ca.len > 0 ? add_file(bundle, "ca")
                            : add_pem(bundle, BIO_new_mem_buf(ca_pem.ptr, (int)ca_pem.len));
    if (result == 0 && bundle->trust->anchor_count == 0)
        result = loader_error(bundle->loader, bundle->place, "ca: no certificate in PEM form in %s",
                              bundle->file);
    return result;
}

static int add_revocations(struct bundle *bundle, struct str crl)
{
    size_t before = bundle->trust->crl_count, anchors = bundle->trust->anchor_count;
    char path[PATH_MAX];

    if (crl.len == 0)
        return 0;
    snprintf(path, sizeof(path), "%.*s", STR_FMT(crl));
    bundle->file = path;
    if (add_file(bundle, "crl") < 0)
        return -1;
    if (bundle->trust->anchor_count > anchors)
        return loader_error(bundle->loader, bundle->place,
                            "crl: %s has certificates in it; they belong into \"ca\"", path);
    if (bundle->trust->crl_count == before)
        return loader_error(bundle->loader, bundle->place,
                            "crl: no revocation list in PEM form in %s", path);
    return 0;
}

/* --- loading --------------------------------------------------------------------------------- */

static uint64_t key_add(uint64_t key, const struct der *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        key = hash_sip13((struct hash_key){key, items[i].len}, items[i].bytes, items[i].len);
    return hash_sip13((struct hash_key){key, count}, &count, sizeof(count));
}

static void trust_free(struct tls_trust *trust)
{
    der_array_free(trust->anchors, trust->anchor_count);
    der_array_free(trust->crls, trust->crl_count);
    free(trust);
}

static struct tls_trust *trust_read(struct tls_loader *loader, const struct place *place,
                                    struct str ca, struct str ca_pem, struct str crl)
{
    struct tls_trust *trust = mem_new(sizeof(*trust));
    struct bundle bundle = {.loader = loader, .place = place, .trust = trust};

    atomic_init(&trust->refs, 1);
    if (add_authorities(&bundle, ca, ca_pem) < 0 || add_revocations(&bundle, crl) < 0) {
        trust_free(trust);
        return NULL;
    }
    trust->key = key_add(1 + trust->uses_directory, trust->anchors, trust->anchor_count);
    trust->key = key_add(trust->key, trust->crls, trust->crl_count);
    return trust;
}

struct tls_trust *trust_load(struct tls_loader *loader, const struct place *place, struct str ca,
                             struct str ca_pem, struct str crl)
{
    for (struct trust_file *file = loader->trusts; file != NULL; file = file->next) {
        if (str_eq(file->ca, ca) && str_eq(file->ca_pem, ca_pem) && str_eq(file->crl, crl))
            return trust_ref(file->trust);
    }
    struct tls_trust *trust = trust_read(loader, place, ca, ca_pem, crl);
    if (trust == NULL)
        return NULL;
    struct trust_file *file = mem_new(sizeof(*file));
    *file = (struct trust_file){loader->trusts, ca, ca_pem, crl, trust_ref(trust)};
    loader->trusts = file;
    return trust;
}

void trust_files_free(struct trust_file *file)
{
    while (file != NULL) {
        struct trust_file *next = file->next;
        trust_unref(&file->trust);
        free(file);
        file = next;
    }
}

struct tls_trust *trust_ref(struct tls_trust *trust)
{
    atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    return trust;
}

void trust_unref(struct tls_trust **slot)
{
    struct tls_trust *trust = *slot;

    *slot = NULL;
    if (trust != NULL && atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel) == 1)
        trust_free(trust);
}

/* --- a worker's store ------------------------------------------------------------------------ */

static bool is_about_missing_list(int error)
{
    return error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER;
}

/* The peer's own certificate needs a list of its issuer, once there are lists at all. For those
 * above it a list counts if it is there. An anchor is trusted because the operator says so. */
int trust_verdict(int ok, X509_STORE_CTX *store_ctx)
{
    int depth = X509_STORE_CTX_get_error_depth(store_ctx);
    int error = X509_STORE_CTX_get_error(store_ctx);

    if (ok || depth == 0)
        return ok;
    bool is_anchor = depth == sk_X509_num(X509_STORE_CTX_get0_chain(store_ctx)) - 1;
    if (!is_about_missing_list(error) && !(is_anchor && error == X509_V_ERR_CRL_SIGNATURE_FAILURE))
        return ok;
    X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
    return 1;
}

static void store_add_anchor(struct ca_store *ca, struct tls_library *library,
                             const struct der *der)
{
    const unsigned char *at = der->bytes;
    X509 *x509 = X509_new_ex(library->ctx, NULL);

    if (x509 != NULL && d2i_X509(&x509, &at, (long)der->len) != NULL) {
        X509_STORE_add_cert(ca->store, x509);
        sk_X509_NAME_push(ca->issuers, X509_NAME_dup(X509_get_subject_name(x509)));
    }
    X509_free(x509);
}

static void store_add_crl(struct ca_store *ca, struct tls_library *library, const struct der *der)
{
    const unsigned char *at = der->bytes;
    X509_CRL *crl = X509_CRL_new_ex(library->ctx, NULL);

    if (crl != NULL && d2i_X509_CRL(&crl, &at, (long)der->len) != NULL)
        X509_STORE_add_crl(ca->store, crl);
    X509_CRL_free(crl);
}

static struct ca_store *ca_store_new(struct tls_library *library, const struct tls_trust *trust)
{
    struct ca_store *ca = mem_new(sizeof(*ca));
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

    *ca = (struct ca_store){.refs = 1,
                            .key = trust->key,
                            .store = X509_STORE_new(),
                            .issuers = sk_X509_NAME_new_null()};
    if (ca->store == NULL || ca->issuers == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    for (size_t i = 0; i < trust->anchor_count; i++)
        store_add_anchor(ca, library, &trust->anchors[i]);
    for (size_t i = 0; i < trust->crl_count; i++)
        store_add_crl(ca, library, &trust->crls[i]);
    if (trust->uses_directory)
        X509_STORE_set_default_paths_ex(ca->store, library->ctx, NULL);
    if (trust->crl_count > 0)
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_STORE_set_flags(ca->store, flags);
    X509_STORE_set_verify_cb(ca->store, trust_verdict);
    list_init(&ca->node);
    list_push_back(&library->ca_stores, &ca->node);
    ERR_clear_error();
    return ca;
}

struct ca_store *ca_store_get(struct tls_library *library, const struct tls_trust *trust)
{
    LIST_EACH(node, &library->ca_stores)
    {
        struct ca_store *ca = CONTAINER_OF(node, struct ca_store, node);
        if (ca->key == trust->key) {
            ca->refs++;
            return ca;
        }
    }
    return ca_store_new(library, trust);
}

void ca_store_unref(struct ca_store **slot)
{
    struct ca_store *ca = *slot;

    *slot = NULL;
    if (ca == NULL || --ca->refs > 0)
        return;
    list_remove(&ca->node);
    X509_STORE_free(ca->store);
    sk_X509_NAME_pop_free(ca->issuers, X509_NAME_free);
    free(ca);
}
