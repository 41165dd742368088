/* Which certificates and which policy serve which name. Names with the same of both share a site,
 * and with it one SSL_CTX in each worker. */
#include "tls/plan_impl.h"
#include "tls/policy_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the table of names ---------------------------------------------------------------------- */

static struct sni_entry *sni_place(const struct tls_server_plan *plan, struct str name)
{
    size_t at = hash_sip13(plan->sni_key, name.ptr, name.len) & (plan->sni_size - 1);

    while (plan->sni[at].name != NULL && !str_eq(str_of(plan->sni[at].name), name))
        at = (at + 1) & (plan->sni_size - 1);
    return &plan->sni[at];
}

/* The site of `name` (lower case, which is changed) or of its wildcard (one label, RFC 6125 section
 * 6.4.3). */
static int sni_find(const struct tls_server_plan *plan, char *name, size_t len)
{
    const struct sni_entry *entry = sni_place(plan, str_make(name, len));
    ptrdiff_t dot = str_find_char(str_make(name, len), '.');

    if (entry->name != NULL)
        return (int)entry->site;
    if (dot <= 0)
        return -1;
    char *wild = name + dot - 1;
    *wild = '*';
    entry = sni_place(plan, str_make(wild, len - (size_t)(wild - name)));
    return entry->name != NULL ? (int)entry->site : -1;
}

/* One byte of a host name; an authority may have some of them as %XX (RFC 3986 section 3.2.2). */
static char next_byte(struct str host, size_t *at)
{
    size_t i = (*at)++;
    int high = host.ptr[i] == '%' && i + 2 < host.len ? hex_value(host.ptr[i + 1]) : -1;
    int low = high >= 0 ? hex_value(host.ptr[i + 2]) : -1;

    if (low < 0)
        return host.ptr[i];
    *at = i + 3;
    return (char)(high * 16 + low);
}

int names_find(const struct tls_server_plan *plan, struct str host)
{
    char name[NAME_MAX_LEN + 2]; /* a final dot may be too much */
    size_t len = 0;

    for (size_t at = 0; at < host.len;) {
        if (len == sizeof(name))
            return -1;
        name[len++] = ascii_lower(next_byte(host, &at));
    }
    if (len > 0 && name[len - 1] == '.')
        len--;
    return len > 0 && len <= NAME_MAX_LEN ? sni_find(plan, name, len) : -1;
}

/* --- the certificates of a name -------------------------------------------------------------- */

/* All names of all certificates, sorted, so that a name's certificates stand together. */
struct claim {
    const char *name;
    int cert;
};

struct claims {
    struct claim *items; /* owns */
    size_t count;
};

static int claim_cmp(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : x->cert - y->cert;
}

static struct claims claims_make(const struct tls_server_plan *plan)
{
    struct claims claims = {0};

    for (size_t i = 0; i < plan->cert_count; i++)
        claims.count += plan->certs[i].name_count;
    claims.items = mem_new((claims.count + 1) * sizeof(*claims.items));
    claims.count = 0;
    for (size_t i = 0; i < plan->cert_count; i++) {
        for (size_t j = 0; j < plan->certs[i].name_count; j++)
            claims.items[claims.count++] = (struct claim){plan->certs[i].names[j], (int)i};
    }
    qsort(claims.items, claims.count, sizeof(*claims.items), claim_cmp);
    return claims;
}

static size_t claims_first(const struct claims *claims, const char *name)
{
    size_t low = 0, high = claims->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(claims->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool combo_has_kind(const struct combo *combo, const struct certificate *certs, int kind)
{
    for (size_t i = 0; i < KINDS_MAX && combo->certs[i] >= 0; i++) {
        if (certs[combo->certs[i]].kind == kind)
            return true;
    }
    return false;
}

static void combo_add(struct combo *combo, const struct certificate *certs, int cert)
{
    if (combo_has_kind(combo, certs, certs[cert].kind))
        return;
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (combo->certs[i] < 0) {
            combo->certs[i] = cert;
            return;
        }
    }
}

static void combo_add_named(struct combo *combo, const struct tls_server_plan *plan,
                            const struct claims *claims, const char *name)
{
    for (size_t i = claims_first(claims, name);
         i < claims->count && strcmp(claims->items[i].name, name) == 0; i++)
        combo_add(combo, plan->certs, claims->items[i].cert);
}

/* Adds of each kind the first certificate that names `name`, else the first whose wildcard covers
 * it. */
static void combo_add_covering(struct combo *combo, const struct tls_server_plan *plan,
                               const struct claims *claims, const char *name)
{
    const char *rest = strchr(name, '.'); /* a wildcard stands for one whole label */
    char wild[NAME_MAX_LEN + 3];

    combo_add_named(combo, plan, claims, name);
    if (rest == NULL)
        return;
    snprintf(wild, sizeof(wild), "*%s", rest);
    combo_add_named(combo, plan, claims, wild);
}

/* The first certificate, and those of other kinds that share its first name, answer clients without
 * SNI or with a name that no certificate has. */
static struct combo default_combo(const struct tls_server_plan *plan, const struct claims *claims)
{
    struct combo combo = {{0, -1, -1, -1}};

    if (plan->certs[0].name_count > 0)
        combo_add_covering(&combo, plan, claims, plan->certs[0].names[0]);
    return combo;
}

/* --- sites ----------------------------------------------------------------------------------- */

static unsigned site_add(struct tls_server_plan *plan, struct combo combo, unsigned policy)
{
    struct site_plan *site;

    plan->sites = mem_resize(plan->sites, (plan->site_count + 1) * sizeof(*plan->sites));
    site = &plan->sites[plan->site_count];
    *site = (struct site_plan){.combo = combo, .policy = policy};
    for (size_t i = 0; i < KINDS_MAX && combo.certs[i] >= 0; i++) {
        if (plan->certs[combo.certs[i]].is_fast)
            site->has_fast_key = true;
        else
            site->has_slow_key = true;
    }
    return (unsigned)plan->site_count++;
}

static unsigned site_for(struct tls_server_plan *plan, struct combo combo, unsigned policy)
{
    for (size_t i = plan->site_count; i-- > 0;) { /* names of one certificate come together */
        const struct site_plan *site = &plan->sites[i];
        if (site->policy == policy && memcmp(&site->combo, &combo, sizeof(combo)) == 0)
            return (unsigned)i;
    }
    return site_add(plan, combo, policy);
}

/* --- every name ------------------------------------------------------------------------------ */

static bool wildcard_covers(struct str pattern, const char *name)
{
    const char *rest = strchr(name, '.');

    return str_starts(pattern, STR("*.")) && rest != NULL &&
           str_eq(str_skip(pattern, 1), str_of(rest));
}

/* What conf->hosts says of `name`: its own line, its wildcard's, or the listener's own policy. */
static unsigned policy_for(const struct tls_server_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->host_count; i++) {
        if (str_eq(conf->hosts[i].name, str_of(name)))
            return (unsigned)i + 1;
    }
    for (size_t i = 0; i < conf->host_count; i++) {
        if (wildcard_covers(conf->hosts[i].name, name))
            return (unsigned)i + 1;
    }
    return 0;
}

static void compile_name(struct tls_server_plan *plan, const struct tls_server_conf *conf,
                         const struct claims *claims, const char *name)
{
    struct sni_entry *entry = sni_place(plan, str_of(name));
    struct combo combo = {{-1, -1, -1, -1}};

    if (entry->name != NULL)
        return;
    combo_add_covering(&combo, plan, claims, name);
    if (combo.certs[0] < 0)
        combo = plan->sites[0].combo;
    *entry = (struct sni_entry){strdup(name), site_for(plan, combo, policy_for(conf, name))};
}

void names_compile(struct tls_server_plan *plan, const struct tls_server_conf *conf)
{
    struct claims claims = claims_make(plan);
    size_t names = conf->host_count + claims.count;

    plan->sni_key = hash_key_random();
    for (plan->sni_size = 8; plan->sni_size < 2 * names;)
        plan->sni_size *= 2;
    plan->sni = mem_new(plan->sni_size * sizeof(*plan->sni));
    site_add(plan, default_combo(plan, &claims), 0);
    for (size_t i = 0; i < plan->cert_count; i++) {
        for (size_t j = 0; j < plan->certs[i].name_count; j++)
            compile_name(plan, conf, &claims, plan->certs[i].names[j]);
    }
    for (size_t i = 0; i < conf->host_count; i++) {
        char name[NAME_MAX_LEN + 3];
        snprintf(name, sizeof(name), "%.*s", STR_FMT(conf->hosts[i].name));
        compile_name(plan, conf, &claims, name);
    }
    free(claims.items);
}
