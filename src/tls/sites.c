/* Which certificates and which policy serve which name. Names with the same of both share a site,
 * and with it one SSL_CTX. */
#include "tls/server_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

const struct site *site_of(const struct tls_server *server, struct str host)
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

/* --- the certificates of a name -------------------------------------------------------------- */

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

/* --- sites ----------------------------------------------------------------------------------- */

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

static void site_free(struct site *site)
{
    SSL_CTX_free(site->ctx);
    for (unsigned i = 0; i < site->staple_count; i++)
        OPENSSL_free(site->staples[i].der);
    free(site);
}

static struct site *site_new(struct tls_server *server, const struct tls_server_conf *conf,
                             struct combo combo, const struct tls_policy *policy, struct err *err)
{
    SSL_CTX *ctx = server_ctx_new(server, conf, err);

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

/* --- every name ------------------------------------------------------------------------------ */

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

int sites_compile(struct tls_server *server, const struct tls_server_conf *conf,
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

void sites_free(struct tls_server *server)
{
    for (size_t i = 0; i < server->site_count; i++)
        site_free(server->sites[i]);
    for (size_t i = 0; i < server->sni_size; i++)
        free(server->sni[i].name);
    free(server->sites);
    free(server->sni);
}
