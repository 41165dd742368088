/* TLS towards clients. For every name that the certificates cover there is one SSL_CTX with the
 * best certificate of each kind (RSA, ECDSA, …), and names with the same certificates share it. The
 * client's hello chooses the context before anything else looks at the connection: before tickets
 * are opened and certificates picked, so that both follow the name's own policy. */
#include "tls/server.h"

#include "base/hash.h"
#include "tls/policy_impl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* --- the table of names ---------------------------------------------------------------------- */

static struct sni_entry *sni_place(const struct tls_server *server, struct str name)
{
    size_t at = hash_sip13(server->sni_key, name.ptr, name.len) & (server->sni_size - 1);

    while (server->sni[at].name != NULL && !str_eq(str_of(server->sni[at].name), name))
        at = (at + 1) & (server->sni_size - 1);
    return &server->sni[at];
}

/* The site for `name` (lower case): its own, its wildcard's (one label, RFC 6125 section 6.4.3), or
 * the default. `name` is changed. */
static const struct site *sni_find(const struct tls_server *server, char *name, size_t len)
{
    const struct sni_entry *entry = sni_place(server, str_make(name, len));

    if (entry->name != NULL)
        return entry->site;
    ptrdiff_t dot = str_find_char(str_make(name, len), '.');
    if (dot > 0) {
        char *wild = name + dot - 1;
        *wild = '*';
        entry = sni_place(server, str_make(wild, len - (size_t)(wild - name)));
        if (entry->name != NULL)
            return entry->site;
    }
    return server->sites[0];
}

/* The same for a name in any case, with or without its last dot. */
static const struct site *site_of(const struct tls_server *server, struct str host)
{
    char name[NAME_MAX_LEN + 1];

    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len > NAME_MAX_LEN)
        return server->sites[0];
    for (size_t i = 0; i < host.len; i++)
        name[i] = ascii_lower(host.ptr[i]);
    return sni_find(server, name, host.len);
}

static const struct site *site_of_ssl(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

const struct tls_policy *tls_policy_of(SSL *ssl)
{
    return site_of_ssl(ssl)->policy;
}

/* --- callbacks during the handshake ---------------------------------------------------------- */

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
    const struct site *site = site_of(server, hello_name(ssl));

    if (site == server->sites[0])
        return SSL_CLIENT_HELLO_SUCCESS;
    SSL_set_SSL_CTX(ssl, site->ctx);
    if (site->policy != server->sites[0]->policy)
        tls_policy_set_on(site->policy, ssl);
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
                                          key->secret_len),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 ? 1 : -1;
}

static const EVP_CIPHER *ticket_cipher(const struct tls_server *server,
                                       const struct ticket_key *key)
{
    return key->secret_len == 16 ? server->library->aes128 : server->library->aes256;
}

static int ticket_seal(const struct tls_server *server, const struct ticket_keys *keys,
                       unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    const struct ticket_key *key = &keys->keys[0];

    memcpy(name, key->name, sizeof(key->name));
    if (RAND_bytes_ex(server->library->ctx, iv, 16, 0) != 1)
        return -1;
    if (EVP_EncryptInit_ex2(cipher, ticket_cipher(server, key), key->aes, iv, NULL) != 1)
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
        if (EVP_DecryptInit_ex2(cipher, ticket_cipher(server, key), key->aes, iv, NULL) != 1 ||
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
    const struct site *site = site_of_ssl(ssl);

    return tls_may_sign(SSL_get_app_data(ssl), speed_of(site, ssl)) ? 1 : -1;
}

static int on_status(SSL *ssl, void *arg UNUSED)
{
    const struct site *site = site_of_ssl(ssl);
    const X509 *leaf = SSL_get_certificate(ssl);

    for (unsigned i = 0; i < site->staple_count; i++) {
        const struct staple *staple = &site->staples[i];
        if (staple->leaf != leaf || staple->until_s <= (int64_t)time(NULL))
            continue;
        unsigned char *copy = OPENSSL_memdup(staple->der, staple->len);
        if (copy != NULL && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len) == 1)
            return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* --- contexts -------------------------------------------------------------------------------- */

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
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_info_callback(ctx, tls_on_info);
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

/* Takes the staple over from `cert`. */
static void site_staple(struct site *site, const struct certificate *cert)
{
    if (cert->staple == NULL)
        return;
    site->staples[site->staple_count++] =
        (struct staple){.leaf = cert->leaf,
                        .der = OPENSSL_memdup(cert->staple, cert->staple_len),
                        .len = cert->staple_len,
                        .until_s = cert->staple_until_s};
}

static int site_use(struct site *site, const struct certificate *cert, struct err *err)
{
    char file[256], why[256];

    if (key_is_fast(cert->key))
        site->has_fast_key = true;
    else
        site->has_slow_key = true;
    site_staple(site, cert);
    if (SSL_CTX_use_cert_and_key(site->ctx, cert->leaf, cert->key, cert->chain, 1) == 1)
        return 0;
    return err_set(err, "%s: %s", certificate_file(cert->conf, file, sizeof(file)),
                   tls_error_text(why, sizeof(why)));
}

/* --- which certificates serve which name ----------------------------------------------------- */

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

static struct site *site_new(struct tls_server *server, const struct tls_server_conf *conf,
                             struct combo combo, const struct tls_policy *policy, struct err *err)
{
    SSL_CTX *ctx = ctx_new(server, conf, err);

    if (ctx == NULL)
        return NULL;
    struct site *site = mem_new(sizeof(*site));
    site->combo = combo;
    site->policy = policy;
    site->ctx = ctx;
    SSL_CTX_set_app_data(ctx, site);
    tls_policy_set(policy, ctx);
    server->sites = mem_resize(server->sites, (server->site_count + 1) * sizeof(struct site *));
    server->sites[server->site_count++] = site;
    return site;
}

static void site_free(struct site *site)
{
    SSL_CTX_free(site->ctx);
    for (unsigned i = 0; i < site->staple_count; i++)
        OPENSSL_free(site->staples[i].der);
    free(site);
}

static struct site *site_for(struct tls_server *server, const struct tls_server_conf *conf,
                             const struct certificate *certs, struct combo combo,
                             const struct tls_policy *policy, struct err *err)
{
    for (size_t i = 0; i < server->site_count; i++) {
        struct site *site = server->sites[i];
        if (site->policy == policy && memcmp(&site->combo, &combo, sizeof(combo)) == 0)
            return site;
    }
    struct site *site = site_new(server, conf, combo, policy, err);
    for (size_t i = 0; site != NULL && i < KINDS_MAX && combo.certs[i] >= 0; i++) {
        if (site_use(site, &certs[combo.certs[i]], err) < 0)
            return NULL;
    }
    return site;
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

static bool wildcard_covers(struct str pattern, const char *name)
{
    const char *rest = strchr(name, '.');

    return str_starts(pattern, STR("*.")) && rest != NULL &&
           str_eq(str_skip(pattern, 1), str_of(rest));
}

/* What conf->hosts says of `name`: its own line, its wildcard's, or the listener's own policy. */
static const struct tls_policy *policy_for(const struct tls_server *server,
                                           const struct tls_server_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->host_count; i++) {
        if (str_eq(conf->hosts[i].name, str_of(name)))
            return server->policies[i + 1];
    }
    for (size_t i = 0; i < conf->host_count; i++) {
        if (wildcard_covers(conf->hosts[i].name, name))
            return server->policies[i + 1];
    }
    return server->policies[0];
}

static int compile_name(struct tls_server *server, const struct tls_server_conf *conf,
                        const struct certificate *certs, size_t count, const char *name,
                        struct err *err)
{
    struct sni_entry *entry = sni_place(server, str_of(name));
    struct combo combo = combo_for(certs, count, name);

    if (entry->name != NULL)
        return 0;
    if (combo.certs[0] < 0)
        combo = server->sites[0]->combo;
    struct site *site = site_for(server, conf, certs, combo, policy_for(server, conf, name), err);
    if (site == NULL)
        return -1;
    *entry = (struct sni_entry){strdup(name), site};
    return 0;
}

static int compile_names(struct tls_server *server, const struct tls_server_conf *conf,
                         const struct certificate *certs, size_t count, struct err *err)
{
    size_t names = conf->host_count;
    struct combo first = default_combo(certs, count);

    if (site_for(server, conf, certs, first, server->policies[0], err) == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        names += certs[i].name_count;
    for (server->sni_size = 8; server->sni_size < 2 * names;)
        server->sni_size *= 2;
    server->sni = mem_new(server->sni_size * sizeof(*server->sni));

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < certs[i].name_count; j++) {
            if (compile_name(server, conf, certs, count, certs[i].names[j], err) < 0)
                return -1;
        }
    }
    for (size_t i = 0; i < conf->host_count; i++) {
        char name[NAME_MAX_LEN + 3];
        snprintf(name, sizeof(name), "%.*s", STR_FMT(conf->hosts[i].name));
        if (compile_name(server, conf, certs, count, name, err) < 0)
            return -1;
    }
    return 0;
}

/* --- building -------------------------------------------------------------------------------- */

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

static int add_policy(struct tls_server *server, const struct tls_server_conf *conf,
                      enum tls_version min_version, const struct client_certificate_conf *client,
                      struct err *err)
{
    struct tls_policy *policy = tls_policy_new(server->library, conf, min_version, client, err);

    if (policy == NULL) {
        err_place(err, &client->place);
        return -1;
    }
    server->policies[server->policy_count++] = policy;
    return 0;
}

static int compile_policies(struct tls_server *server, const struct tls_server_conf *conf,
                            struct err *err)
{
    server->policies = mem_new((conf->host_count + 1) * sizeof(struct tls_policy *));
    if (add_policy(server, conf, conf->min_version, &conf->client_certificate, err) < 0)
        return -1;
    for (size_t i = 0; i < conf->host_count; i++) {
        const struct tls_host_conf *host = &conf->hosts[i];
        if (add_policy(server, conf, host->min_version, &host->client_certificate, err) < 0)
            return -1;
    }
    return 0;
}

static void server_free(struct tls_server *server)
{
    for (size_t i = 0; i < server->site_count; i++)
        site_free(server->sites[i]);
    for (size_t i = 0; i < server->policy_count; i++)
        tls_policy_free(server->policies[i]);
    free(server->policies);
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

    size_t loaded = load_certificates(certs, library, conf, err);
    bool ok = loaded == conf->certificate_count && compile_policies(server, conf, err) == 0;
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
            struct place place = {err.file, err.line, err.column};
            complain(arg, err.line > 0 ? &place : &nowhere, true, err.text);
            errors++;
        }
        tls_server_unref(&server);
    }
    tls_library_free(library);
    return errors;
}

/* The name in "name:port", "[::1]:port" or either alone. */
static struct str without_port(struct str authority)
{
    if (authority.len > 0 && authority.ptr[0] == '[')
        return authority;
    ptrdiff_t colon = str_find_char(authority, ':');
    return colon >= 0 ? str_make(authority.ptr, (size_t)colon) : authority;
}

bool tls_host_fits(struct conn *conn, const struct tls_server *server, struct str host)
{
    const struct tls_stream *s = conn_transport_state(conn);

    if (s == NULL || s->server == NULL)
        return true;
    const struct tls_policy *have = tls_policy_of(s->ssl);
    if (server->policy_count == 1)
        return tls_policy_same_auth(have, server->policies[0]);
    return tls_policy_same_auth(have, site_of(server, without_port(host))->policy);
}

void tls_accept(struct conn *conn, struct tls_server *server)
{
    SSL *ssl = SSL_new(server->sites[0]->ctx);
    struct tls_stream *s = tls_stream_new(conn, server->library, ssl);

    s->server = tls_server_ref(server);
    SSL_set_accept_state(ssl);
}
