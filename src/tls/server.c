/* TLS towards clients. For every name that the certificates cover there is one SSL_CTX with the
 * best certificate of each kind (RSA, ECDSA, …), and names with the same certificates share it. The
 * client's hello chooses the context before anything else looks at the connection: before tickets
 * are opened and certificates picked, so that both follow the name's own policy. */
#include "tls/server.h"

#include "base/hash.h"
#include "tls/tls_impl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KINDS_MAX = 4, /* certificates that stand side by side for one name */
    TICKETS_PER_HANDSHAKE = 1,
    SESSION_SECONDS = 86400, /* how long a ticket resumes */
    NAME_MAX_LEN = 253,
};

static const char default_ciphers[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
static const char default_suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char default_curves[] = "X25519:P-256:P-384";

/* The certificates of one name: indices into the loaded ones, one per kind, -1 at the end. */
struct combo {
    int certs[KINDS_MAX];
};

struct site {
    struct combo combo;
    SSL_CTX *ctx; /* owns; its app data is the site */
    bool has_fast_key, has_slow_key;
};

struct sni_entry {
    char *name; /* owns; NULL: empty place */
    SSL_CTX *ctx;
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
    unsigned char policy[SHA256_DIGEST_LENGTH]; /* session id context */
};

/* --- the table of names
 * ------------------------------------------------------------------------------ */

static struct sni_entry *sni_place(const struct tls_server *server, struct str name)
{
    size_t at = hash_sip13(server->sni_key, name.ptr, name.len) & (server->sni_size - 1);

    while (server->sni[at].name != NULL && !str_eq(str_of(server->sni[at].name), name))
        at = (at + 1) & (server->sni_size - 1);
    return &server->sni[at];
}

/* The context for `name` (lower case): its own, its wildcard's (one label, RFC 6125 section 6.4.3),
 * or the default. `name` has room for a byte in front of its first dot; it is changed. */
static SSL_CTX *sni_find(const struct tls_server *server, char *name, size_t len)
{
    const struct sni_entry *entry = sni_place(server, str_make(name, len));

    if (entry->name != NULL)
        return entry->ctx;
    ptrdiff_t dot = str_find_char(str_make(name, len), '.');
    if (dot > 0) {
        char *wild = name + dot - 1;
        *wild = '*';
        entry = sni_place(server, str_make(wild, len - (size_t)(wild - name)));
        if (entry->name != NULL)
            return entry->ctx;
    }
    return server->sites[0]->ctx;
}

/* --- callbacks during the handshake
 * ------------------------------------------------------------------ */

/* The host name in a server_name extension (RFC 6066 section 3); empty when there is none. */
static struct str hello_name(SSL *ssl)
{
    const unsigned char *ext;
    size_t size;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &size) != 1 || size < 5)
        return (struct str){0};
    size_t name_len = (size_t)ext[3] << 8 | ext[4];
    if (ext[2] != TLSEXT_NAMETYPE_host_name || name_len > size - 5)
        return (struct str){0};
    return str_make(ext + 5, name_len);
}

static int on_client_hello(SSL *ssl, int *alert UNUSED, void *arg)
{
    const struct tls_server *server = arg;
    struct str sni = hello_name(ssl);
    char name[NAME_MAX_LEN + 1];

    if (sni.len > 0 && sni.ptr[sni.len - 1] == '.')
        sni.len--;
    if (sni.len == 0 || sni.len > NAME_MAX_LEN)
        return SSL_CLIENT_HELLO_SUCCESS;
    for (size_t i = 0; i < sni.len; i++)
        name[i] = ascii_lower(sni.ptr[i]);
    SSL_CTX *ctx = sni_find(server, name, sni.len);
    if (ctx != server->sites[0]->ctx)
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* The choice has been made in on_client_hello; this acknowledges the name and lets OpenSSL keep it.
 */
static int on_server_name(SSL *ssl UNUSED, int *alert UNUSED, void *arg UNUSED)
{
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl UNUSED, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_server *server = arg;
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_len, server->alpn, server->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 section 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int mac_init(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac,
                                          sizeof(key->hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 ? 1 : -1;
}

static int ticket_seal(const struct tls_server *server, const struct ticket_keys *keys,
                       unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    const struct ticket_key *key = &keys->keys[0];

    memcpy(name, key->name, sizeof(key->name));
    if (RAND_bytes_ex(server->library->ctx, iv, 16, 0) != 1)
        return -1;
    if (EVP_EncryptInit_ex2(cipher, server->library->ticket_cipher, key->aes, iv, NULL) != 1)
        return -1;
    return mac_init(mac, key);
}

static int ticket_open(const struct tls_server *server, const struct ticket_keys *keys, int version,
                       const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct ticket_key *key = &keys->keys[i];
        if (memcmp(key->name, name, sizeof(key->name)) != 0)
            continue;
        if (EVP_DecryptInit_ex2(cipher, server->library->ticket_cipher, key->aes, iv, NULL) != 1 ||
            mac_init(mac, key) != 1)
            return -1;
        /* 2: good, but give the client a fresh one; TLS 1.3 clients use each only once (RFC 8446
         * appendix C.4). */
        return i == 0 && version < TLS1_3_VERSION ? 1 : 2;
    }
    return 0; /* unknown or too old: a full handshake */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_stream *s = SSL_get_app_data(ssl);
    const struct ticket_keys *keys = tls_tickets_keys(s->server->tickets);

    if (sealing)
        return ticket_seal(s->server, keys, name, iv, cipher, mac);
    return ticket_open(s->server, keys, SSL_version(ssl), name, iv, cipher, mac);
}

/* Signing with these takes tens of microseconds; with all others (RSA, the bigger curves) rather a
 * millisecond. */
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

/* Which of its keys a site is going to use. Where both kinds stand side by side OpenSSL has not
 * chosen yet; in TLS 1.3 the first algorithm that both sides like will decide, in 1.2 the cipher
 * has a say too, so we think the worst. */
static enum key_speed speed_of(const struct site *site, SSL *ssl)
{
    int key = NID_undef, hash = NID_undef;

    if (!site->has_slow_key)
        return KEY_FAST;
    if (!site->has_fast_key || SSL_version(ssl) < TLS1_3_VERSION)
        return KEY_SLOW;
    if (SSL_get_shared_sigalgs(ssl, 0, &key, &hash, NULL, NULL, NULL) < 1)
        return KEY_SLOW;
    bool is_fast = (key == EVP_PKEY_EC && hash == NID_sha256) || key == EVP_PKEY_ED25519;
    return is_fast ? KEY_FAST : KEY_SLOW;
}

/* Only full handshakes come by here, before anything is signed; -1 suspends them. */
static int on_certificate(SSL *ssl, void *arg UNUSED)
{
    const struct site *site = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return tls_may_sign(SSL_get_app_data(ssl), speed_of(site, ssl)) ? 1 : -1;
}

/* --- contexts
 * ---------------------------------------------------------------------------------------- */

static const char *or_default(struct str text, const char *fallback, char *out, size_t size)
{
    if (text.len == 0)
        return fallback;
    snprintf(out, size, "%.*s", STR_FMT(text));
    return out;
}

static int set_algorithms(SSL_CTX *ctx, const struct tls_server_conf *conf, struct err *err)
{
    char text[1024];

    if (SSL_CTX_set_cipher_list(
            ctx, or_default(conf->ciphers, default_ciphers, text, sizeof(text))) != 1)
        return err_set(err, "ciphers: no known cipher in \"%.*s\"", STR_FMT(conf->ciphers));
    if (SSL_CTX_set_ciphersuites(
            ctx, or_default(conf->ciphersuites, default_suites, text, sizeof(text))) != 1)
        return err_set(err, "ciphersuites: unknown TLS 1.3 suite in \"%.*s\"",
                       STR_FMT(conf->ciphersuites));
    if (SSL_CTX_set1_groups_list(ctx,
                                 or_default(conf->curves, default_curves, text, sizeof(text))) != 1)
        return err_set(err, "curves: unknown curve in \"%.*s\"", STR_FMT(conf->curves));
    return 0;
}

static void set_resumption(struct tls_server *server, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, server->policy, sizeof(server->policy));
    SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
    if (server->tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_num_tickets(ctx, TICKETS_PER_HANDSHAKE);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}

static SSL_CTX *ctx_new(struct tls_server *server, const struct tls_server_conf *conf,
                        struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(server->library->ctx, NULL, TLS_server_method());

    if (ctx == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    tls_ctx_common(ctx, conf->min_version);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    set_resumption(server, ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, server);
    SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    if (server->alpn_len > 0)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, server);
    if (set_algorithms(ctx, conf, err) < 0) {
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static int site_use(struct site *site, const struct certificate *cert, struct err *err)
{
    char file[256], why[256];

    if (key_is_fast(cert->key))
        site->has_fast_key = true;
    else
        site->has_slow_key = true;
    if (SSL_CTX_use_cert_and_key(site->ctx, cert->leaf, cert->key, cert->chain, 1) == 1)
        return 0;
    return err_set(err, "%s: %s", certificate_file(cert->conf, file, sizeof(file)),
                   tls_error_text(why, sizeof(why)));
}

/* --- which certificates serve which name
 * ------------------------------------------------------------- */

static bool combo_has_kind(const struct combo *combo, const struct certificate *certs, int kind)
{
    for (size_t i = 0; i < KINDS_MAX && combo->certs[i] >= 0; i++) {
        if (certs[combo->certs[i]].kind == kind)
            return true;
    }
    return false;
}

static void combo_add(struct combo *combo, const struct certificate *certs, size_t index)
{
    if (combo_has_kind(combo, certs, certs[index].kind))
        return;
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (combo->certs[i] < 0) {
            combo->certs[i] = (int)index;
            return;
        }
    }
}

static bool names_exactly(const struct certificate *cert, const char *name)
{
    for (size_t i = 0; i < cert->name_count; i++) {
        if (strcmp(cert->names[i], name) == 0)
            return true;
    }
    return false;
}

/* Of each kind the first certificate that names `name`, else the first whose wildcard covers it. */
static struct combo combo_for(const struct certificate *certs, size_t count, const char *name)
{
    struct combo combo;

    for (size_t i = 0; i < KINDS_MAX; i++)
        combo.certs[i] = -1;
    for (size_t i = 0; i < count; i++) {
        if (names_exactly(&certs[i], name))
            combo_add(&combo, certs, i);
    }
    for (size_t i = 0; i < count; i++) {
        if (certificate_covers(&certs[i], name))
            combo_add(&combo, certs, i);
    }
    return combo;
}

static SSL_CTX *site_for(struct tls_server *server, const struct tls_server_conf *conf,
                         const struct certificate *certs, struct combo combo, struct err *err)
{
    for (size_t i = 0; i < server->site_count; i++) {
        if (memcmp(&server->sites[i]->combo, &combo, sizeof(combo)) == 0)
            return server->sites[i]->ctx;
    }
    SSL_CTX *ctx = ctx_new(server, conf, err);
    if (ctx == NULL)
        return NULL;
    struct site *site = mem_new(sizeof(*site));
    site->combo = combo;
    site->ctx = ctx;
    SSL_CTX_set_app_data(ctx, site);
    server->sites = mem_resize(server->sites, (server->site_count + 1) * sizeof(struct site *));
    server->sites[server->site_count++] = site;
    for (size_t i = 0; i < KINDS_MAX && combo.certs[i] >= 0; i++) {
        if (site_use(site, &certs[combo.certs[i]], err) < 0)
            return NULL;
    }
    return ctx;
}

/* The first certificate, and those of other kinds that share its first name, answer clients without
 * SNI or with a name that nobody has. */
static struct combo default_combo(const struct certificate *certs, size_t count)
{
    struct combo combo = {{0, -1, -1, -1}};

    for (size_t i = 1; i < count && certs[0].name_count > 0; i++) {
        if (certificate_covers(&certs[i], certs[0].names[0]))
            combo_add(&combo, certs, i);
    }
    return combo;
}

static int compile_names(struct tls_server *server, const struct tls_server_conf *conf,
                         const struct certificate *certs, size_t count, struct err *err)
{
    size_t names = 0;

    if (site_for(server, conf, certs, default_combo(certs, count), err) == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        names += certs[i].name_count;
    for (server->sni_size = 8; server->sni_size < 2 * names;)
        server->sni_size *= 2;
    server->sni = mem_new(server->sni_size * sizeof(*server->sni));

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < certs[i].name_count; j++) {
            const char *name = certs[i].names[j];
            struct sni_entry *entry = sni_place(server, str_of(name));
            if (entry->name != NULL)
                continue;
            SSL_CTX *ctx = site_for(server, conf, certs, combo_for(certs, count, name), err);
            if (ctx == NULL)
                return -1;
            *entry = (struct sni_entry){strdup(name), ctx};
        }
    }
    return 0;
}

/* --- building
 * ---------------------------------------------------------------------------------------- */

static void err_place(struct err *err, const struct place *place)
{
    if (place->file == NULL)
        return;
    snprintf(err->file, sizeof(err->file), "%s", place->file);
    err->line = place->line;
    err->column = place->column;
}

static void add_protocol(struct tls_server *server, const char *name)
{
    size_t len = strlen(name);

    server->alpn[server->alpn_len++] = (unsigned char)len;
    memcpy(server->alpn + server->alpn_len, name, len);
    server->alpn_len += (unsigned)len;
}

static void policy_add(EVP_MD_CTX *md, const void *ptr, size_t len)
{
    uint32_t size = (uint32_t)len;

    EVP_DigestUpdate(md, &size, sizeof(size)); /* so that two texts do not run together */
    EVP_DigestUpdate(md, ptr, len);
}

/* A ticket resumes only under the policy that it was made under. */
static void policy_make(struct tls_server *server, const struct tls_server_conf *conf)
{
    EVP_MD *sha256 = EVP_MD_fetch(server->library->ctx, "SHA256", NULL);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint32_t version = (uint32_t)conf->min_version;

    if (sha256 == NULL || md == NULL || EVP_DigestInit_ex2(md, sha256, NULL) != 1)
        assert_failed("OpenSSL has no SHA-256", __FILE__, __LINE__);
    policy_add(md, &version, sizeof(version));
    policy_add(md, conf->ciphers.ptr, conf->ciphers.len);
    policy_add(md, conf->ciphersuites.ptr, conf->ciphersuites.len);
    policy_add(md, conf->curves.ptr, conf->curves.len);
    policy_add(md, server->alpn, server->alpn_len);
    EVP_DigestFinal_ex(md, server->policy, NULL);
    EVP_MD_CTX_free(md);
    EVP_MD_free(sha256);
}

static void server_free(struct tls_server *server)
{
    for (size_t i = 0; i < server->site_count; i++) {
        SSL_CTX_free(server->sites[i]->ctx);
        free(server->sites[i]);
    }
    for (size_t i = 0; i < server->sni_size; i++)
        free(server->sni[i].name);
    free(server->sites);
    free(server->sni);
    free(server);
}

/* How many of the certificates loaded: all of them, or up to the first mistake, which is in `err`.
 */
static size_t load_certificates(struct certificate *certs, struct tls_library *library,
                                const struct tls_server_conf *conf, struct err *err)
{
    size_t loaded = 0;

    for (size_t i = 0; i < conf->certificate_count; i++) {
        const struct certificate_conf *item = &conf->certificates[i];
        if (certificate_load(&certs[loaded], library, item, err) < 0) {
            err_place(err, &item->place);
            break;
        }
        loaded++;
    }
    return loaded;
}

static void certificates_free(struct certificate *certs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        certificate_deinit(&certs[i]);
    free(certs);
}

struct tls_server *tls_server_new(struct tls_library *library, struct tls_tickets *tickets,
                                  const struct tls_server_conf *conf, struct err *err)
{
    if (conf->certificate_count == 0) {
        err_set(err, "a TLS listener needs at least one certificate");
        return NULL;
    }
    struct tls_server *server = mem_new(sizeof(*server));
    struct certificate *certs = mem_new(conf->certificate_count * sizeof(*certs));

    server->refs = 1;
    server->library = library;
    server->tickets = conf->tickets ? tickets : NULL;
    server->sni_key = hash_key_random();
    if (conf->alpn_h2)
        add_protocol(server, "h2");
    if (conf->alpn_h1)
        add_protocol(server, "http/1.1");
    policy_make(server, conf);

    size_t loaded = load_certificates(certs, library, conf, err);
    bool ok = loaded == conf->certificate_count;
    if (ok && compile_names(server, conf, certs, loaded, err) < 0) {
        err_place(err, &conf->certificates[0].place);
        ok = false;
    }
    certificates_free(certs, loaded);
    if (ok)
        return server;
    server_free(server);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    server->refs++;
    return server;
}

void tls_server_unref(struct tls_server **slot)
{
    struct tls_server *server = *slot;

    *slot = NULL;
    if (server != NULL && --server->refs == 0)
        server_free(server);
}

/* One certificate alone: its errors and its warning. */
static int check_one(struct tls_library *library, const struct certificate_conf *conf,
                     tls_complain *complain, void *arg)
{
    struct certificate cert;
    struct err err = {0};
    char text[ERR_TEXT_MAX];

    if (certificate_load(&cert, library, conf, &err) < 0) {
        complain(arg, &conf->place, true, err.text);
        return 1;
    }
    if (certificate_warning(&cert, text, sizeof(text))[0] != '\0')
        complain(arg, &conf->place, false, text);
    certificate_deinit(&cert);
    return 0;
}

int tls_server_check(const struct tls_server_conf *conf, tls_complain *complain, void *arg)
{
    struct tls_library *library = tls_library_new();
    const struct place nowhere = {0};
    int errors = 0;

    for (size_t i = 0; i < conf->certificate_count; i++)
        errors += check_one(library, &conf->certificates[i], complain, arg);
    if (errors == 0) {
        struct err err = {0};
        struct tls_server *server = tls_server_new(library, NULL, conf, &err);
        if (server == NULL) {
            bool placed = conf->certificate_count > 0;
            complain(arg, placed ? &conf->certificates[0].place : &nowhere, true, err.text);
            errors++;
        }
        tls_server_unref(&server);
    }
    tls_library_free(library);
    return errors;
}

void tls_accept(struct conn *conn, struct tls_server *server)
{
    SSL *ssl = SSL_new(server->sites[0]->ctx);
    struct tls_stream *s = tls_stream_new(conn, server->library, ssl);

    s->server = tls_server_ref(server);
    SSL_set_accept_state(ssl);
}
