/* Loading plans. What can be wrong is found here, on the job thread: after the
 * files were read, every context that a worker may ever make is made once and thrown away. */
#include "tls/plan_impl.h"
#include "tls/policy_impl.h"
#include "tls/server_impl.h"
#include "tls/tls_impl.h"
#include "tls/trust_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the loader ------------------------------------------------------------------------------ */

struct tls_loader *tls_loader_new(tls_complain *complain, void *arg)
{
    struct tls_loader *loader = mem_new(sizeof(*loader));

    *loader = (struct tls_loader){.library = tls_library_new(), .complain = complain, .arg = arg};
    return loader;
}

void tls_loader_free(struct tls_loader *loader)
{
    trust_files_free(loader->trusts);
    tls_library_free(loader->library);
    free(loader);
}

int loader_error(struct tls_loader *loader, const struct place *place, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    loader->errors++;
    loader->complain(loader->arg, place, true, text);
    return -1;
}

void loader_warn(struct tls_loader *loader, const struct place *place, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    loader->complain(loader->arg, place, false, text);
}

/* Asked between two certificates. What is not loaded then counts as an error. */
static bool is_cancelled(struct tls_loader *loader)
{
    if (loader->cancel == NULL || !atomic_load_explicit(loader->cancel, memory_order_relaxed))
        return false;
    loader->errors++;
    return true;
}

void der_array_free(struct der *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        OPENSSL_free(items[i].bytes);
    free(items);
}

/* --- a listener ------------------------------------------------------------------------------ */

static void add_protocol(struct tls_server_plan *plan, const char *name)
{
    size_t len = strlen(name);

    plan->alpn[plan->alpn_len++] = (unsigned char)len;
    memcpy(plan->alpn + plan->alpn_len, name, len);
    plan->alpn_len += (unsigned)len;
}

static struct tls_server_plan *server_plan_new(const struct tls_server_conf *conf)
{
    struct tls_server_plan *plan = mem_new(sizeof(*plan));

    atomic_init(&plan->refs, 1);
    plan->tickets = conf->tickets;
    plan->rejects_unknown_names = conf->unknown_sni == UNKNOWN_SNI_REJECT;
    plan->min_version = conf->min_version;
    plan->ciphers = str_copy(conf->ciphers);
    plan->ciphersuites = str_copy(conf->ciphersuites);
    plan->groups = str_copy(conf->curves);
    if (conf->alpn_h2)
        add_protocol(plan, "h2");
    if (conf->alpn_h1)
        add_protocol(plan, "http/1.1");
    return plan;
}

static void server_plan_free(struct tls_server_plan *plan)
{
    for (size_t i = 0; i < plan->sni_size; i++)
        free(plan->sni[i].name);
    for (size_t i = 0; i < plan->policy_count; i++)
        tls_policy_free(plan->policies[i]);
    for (size_t i = 0; i < plan->cert_count; i++)
        certificate_deinit(&plan->certs[i]);
    free(plan->sni);
    free(plan->sites);
    free(plan->policies);
    free(plan->certs);
    free(plan->expiries);
    free(plan->ciphers);
    free(plan->ciphersuites);
    free(plan->groups);
    free(plan);
}

static void load_certificates(struct tls_server_plan *plan, struct tls_loader *loader,
                              const struct tls_server_conf *conf)
{
    plan->certs = mem_new((conf->certificate_count + 1) * sizeof(*plan->certs));
    for (size_t i = 0; i < conf->certificate_count && !is_cancelled(loader); i++) {
        if (certificate_load(&plan->certs[plan->cert_count], loader, &conf->certificates[i]) == 0)
            plan->cert_count++;
    }
}

static int expiry_cmp(const void *a, const void *b)
{
    const struct tls_expiry *x = a, *y = b;
    int order = strcmp(x->file, y->file);

    return order != 0 ? order : (x->at_s > y->at_s) - (x->at_s < y->at_s);
}

/* Of each file the first end. */
static void collect_expiries(struct tls_server_plan *plan)
{
    struct tls_expiry *items = mem_new((plan->cert_count + 1) * sizeof(*items));
    size_t count = 0;

    for (size_t i = 0; i < plan->cert_count; i++)
        items[i] = (struct tls_expiry){plan->certs[i].file, plan->certs[i].expires_at_s};
    qsort(items, plan->cert_count, sizeof(*items), expiry_cmp);
    for (size_t i = 0; i < plan->cert_count; i++) {
        if (count == 0 || strcmp(items[count - 1].file, items[i].file) != 0)
            items[count++] = items[i];
    }
    plan->expiries = items;
    plan->expiry_count = count;
}

static void load_policy(struct tls_server_plan *plan, struct tls_loader *loader,
                        const struct tls_server_conf *conf, enum tls_version min_version,
                        const struct client_certificate_conf *client)
{
    struct tls_policy *policy = tls_policy_new(loader, conf, min_version, client);

    if (policy != NULL)
        plan->policies[plan->policy_count++] = policy;
}

static void load_policies(struct tls_server_plan *plan, struct tls_loader *loader,
                          const struct tls_server_conf *conf)
{
    plan->policies = mem_new((conf->host_count + 1) * sizeof(*plan->policies));
    load_policy(plan, loader, conf, conf->min_version, &conf->client_certificate);
    for (size_t i = 0; i < conf->host_count; i++) {
        const struct tls_host_conf *host = &conf->hosts[i];
        load_policy(plan, loader, conf, host->min_version, &host->client_certificate);
    }
}

/* Makes every context as a worker will; the first that fails is reported with its certificate. */
static void try_sites(struct tls_server_plan *plan, struct tls_loader *loader,
                      const struct tls_server_conf *conf)
{
    struct tls_server *server = tls_server_new(loader->library, NULL, plan);
    struct err err;

    for (size_t i = 0; i < plan->site_count && !is_cancelled(loader); i++) {
        if (site_get(server, i, &err) != NULL)
            continue;
        loader_error(loader, &conf->certificates[plan->sites[i].combo.certs[0]].place, "%s",
                     err.text);
        break;
    }
    tls_server_unref(&server);
}

struct tls_server_plan *tls_server_plan_load(struct tls_loader *loader,
                                             const struct tls_server_conf *conf)
{
    struct tls_server_plan *plan = server_plan_new(conf);
    unsigned before = loader->errors;

    load_certificates(plan, loader, conf);
    load_policies(plan, loader, conf);
    if (conf->certificate_count == 0)
        loader_error(loader, NULL, "a TLS listener needs at least one certificate");
    if (loader->errors == before) {
        collect_expiries(plan);
        names_compile(plan, conf);
        try_sites(plan, loader, conf);
    }
    if (loader->errors > before)
        tls_server_plan_unref(&plan);
    return plan;
}

struct tls_server_plan *tls_server_plan_ref(struct tls_server_plan *plan)
{
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

void tls_server_plan_unref(struct tls_server_plan **slot)
{
    struct tls_server_plan *plan = *slot;

    *slot = NULL;
    if (plan != NULL && atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) == 1)
        server_plan_free(plan);
}

const struct tls_expiry *tls_server_plan_expiries(const struct tls_server_plan *plan, size_t *count)
{
    *count = plan->expiry_count;
    return plan->expiries;
}

/* --- a group --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t seed, const void *ptr, size_t len)
{
    return hash_sip13((struct hash_key){seed, len}, ptr, len);
}

static uint64_t client_policy(const struct tls_client_plan *plan)
{
    const uint32_t facts[] = {plan->verify, (uint32_t)plan->min_version, plan->alpn_h2};
    uint64_t key = plan->trust != NULL ? plan->trust->key : 0;

    return mix(mix(key, facts, sizeof(facts)), plan->ciphers, strlen(plan->ciphers));
}

static void client_plan_free(struct tls_client_plan *plan)
{
    trust_unref(&plan->trust);
    free(plan->ciphers);
    free(plan);
}

static int try_client(struct tls_client_plan *plan, struct tls_loader *loader,
                      const struct place *place)
{
    struct err err;

    if (client_ctx_check(loader->library, plan, &err) == 0)
        return 0;
    return loader_error(loader, place, "%s", err.text);
}

struct tls_client_plan *tls_client_plan_load(struct tls_loader *loader, const struct place *place,
                                             const struct upstream_tls_conf *conf, bool alpn_h2)
{
    struct tls_client_plan *plan = mem_new(sizeof(*plan));
    unsigned before = loader->errors;

    atomic_init(&plan->refs, 1);
    plan->verify = conf->verify;
    plan->alpn_h2 = alpn_h2;
    plan->min_version = conf->min_version;
    plan->ciphers = str_copy(conf->ciphers);
    if (conf->verify)
        plan->trust = trust_load(loader, place, conf->ca, conf->ca_pem, conf->crl);
    plan->policy = client_policy(plan);
    if (loader->errors == before)
        (void)!try_client(plan, loader, place);
    if (loader->errors > before)
        tls_client_plan_unref(&plan);
    return plan;
}

struct tls_client_plan *tls_client_plan_ref(struct tls_client_plan *plan)
{
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

void tls_client_plan_unref(struct tls_client_plan **slot)
{
    struct tls_client_plan *plan = *slot;

    *slot = NULL;
    if (plan != NULL && atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) == 1)
        client_plan_free(plan);
}

uint64_t tls_client_plan_policy(const struct tls_client_plan *plan)
{
    return plan->policy;
}

/* --- a configuration ------------------------------------------------------------------------- */

int tls_plans_load(struct tls_plans *plans, const struct config *config, const atomic_bool *cancel,
                   tls_complain *complain, void *arg)
{
    struct tls_loader *loader = tls_loader_new(complain, arg);

    loader->cancel = cancel;
    *plans = (struct tls_plans){
        .listeners = mem_new((config->listener_count + 1) * sizeof(*plans->listeners)),
        .groups = mem_new((config->group_count + 1) * sizeof(*plans->groups)),
        .listener_count = config->listener_count,
        .group_count = config->group_count,
    };
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].tls != NULL)
            plans->listeners[i] = tls_server_plan_load(loader, config->listeners[i].tls);
    }
    for (size_t i = 0; i < config->group_count && !is_cancelled(loader); i++) {
        const struct group_conf *group = &config->groups[i];
        if (group->tls != NULL)
            plans->groups[i] = tls_client_plan_load(loader, &group->place, group->tls,
                                                    group->protocol != PROTOCOL_H1);
    }
    unsigned errors = loader->errors;
    tls_loader_free(loader);
    return errors == 0 ? 0 : -1;
}

void tls_plans_free(struct tls_plans *plans)
{
    for (size_t i = 0; i < plans->listener_count; i++)
        tls_server_plan_unref(&plans->listeners[i]);
    for (size_t i = 0; i < plans->group_count; i++)
        tls_client_plan_unref(&plans->groups[i]);
    free(plans->listeners);
    free(plans->groups);
    *plans = (struct tls_plans){0};
}
