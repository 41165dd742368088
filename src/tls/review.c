/* What of the certificates is right and will probably fail with clients: a leaf without the
 * intermediate that its root needs, and hosts of a listener that no certificate is for. For `weir
 * check` alone: looking for roots loads the system's bundle. */
#include "tls/plan_impl.h"
#include "tls/tls_impl.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct review {
    const struct config *config;
    struct tls_loader loader; /* for its complaints */
    X509_STORE *known;        /* owns: roots of the system and of the configuration; made on use */
    struct str first;         /* of hosts that no certificate covers */
    struct place first_place;
    size_t uncovered;
};

/* --- chains ---------------------------------------------------------------------------------- */

static void add_bundle(X509_STORE *store, struct str file)
{
    if (file.len > 0)
        (void)!X509_STORE_load_file(store, file.ptr);
}

static X509_STORE *known_roots(const struct config *config)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL)
        return NULL;
    (void)!X509_STORE_set_default_paths(store);
    for (size_t i = 0; i < config->group_count; i++) {
        if (config->groups[i].tls != NULL)
            add_bundle(store, config->groups[i].tls->ca);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].tls != NULL)
            add_bundle(store, config->listeners[i].tls->client_certificate.ca);
    }
    ERR_clear_error();
    return store;
}

static bool has_known_issuer(struct review *review, X509 *x509)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *issuer = NULL;

    if (review->known == NULL)
        review->known = known_roots(review->config);
    bool is_known = ctx == NULL || review->known == NULL ||
                    X509_STORE_CTX_init(ctx, review->known, x509, NULL) != 1 ||
                    X509_STORE_CTX_get1_issuer(&issuer, ctx, x509) == 1;
    X509_free(issuer);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return is_known;
}

/* Of a chain that has an intermediate the issuer of the last one is taken for a root. */
static void review_chain(struct review *review, const struct certificate *cert,
                         const struct place *place)
{
    const struct der *last = &cert->chain[cert->chain_count - 1];
    const unsigned char *bytes = last->bytes;
    X509 *x509 = d2i_X509(NULL, &bytes, (long)last->len);
    char issuer[256];

    if (x509 != NULL && X509_check_ca(x509) == 0 &&
        X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) != 0 &&
        !has_known_issuer(review, x509)) {
        X509_NAME_oneline(X509_get_issuer_name(x509), issuer, sizeof(issuer));
        loader_warn(&review->loader, place,
                    "%s: no issuer stands behind the certificate, and \"%s\" is no root of this "
                    "system or of a \"ca\"; is an intermediate certificate missing?",
                    cert->file, issuer);
    }
    X509_free(x509);
    ERR_clear_error();
}

/* --- hosts ----------------------------------------------------------------------------------- */

static void look_at_host(struct review *review, const struct tls_server_plan *plan, struct str host,
                         struct place place)
{
    if (names_find(plan, host) >= 0 || host.len == 0 || host.ptr[0] == '[')
        return;
    if (review->uncovered++ > 0)
        return;
    review->first = host;
    review->first_place = place;
}

static void look_at_rules(struct review *review, const struct tls_server_plan *plan,
                          const struct router_conf *router)
{
    for (size_t i = 0; i < router->rule_count; i++) {
        const struct match_conf *match = &router->rules[i].match;
        for (size_t j = 0; j < match->host_count; j++) {
            const struct host_match_conf *host = &match->hosts[j];
            if (!host->is_regex && !host->is_suffix)
                look_at_host(review, plan, host->name, host->place);
        }
    }
}

static void review_hosts(struct review *review, const struct tls_server_plan *plan,
                         const struct listener_conf *listener)
{
    const struct router_conf *router = &review->config->routers[listener->router];
    char others[64] = "";

    review->uncovered = 0;
    look_at_rules(review, plan, router);
    for (size_t i = 0; i < router->split.host_count; i++)
        look_at_host(review, plan, router->split.hosts[i].host, router->split.hosts[i].place);
    if (review->uncovered == 0)
        return;
    if (review->uncovered > 1)
        snprintf(others, sizeof(others), " and %zu more hosts of its router",
                 review->uncovered - 1);
    loader_warn(&review->loader, &review->first_place,
                "listener \"%.*s\" has no certificate for \"%.*s\"%s", STR_FMT(listener->name),
                STR_FMT(review->first), others);
}

/* --- the whole ------------------------------------------------------------------------------- */

void tls_plans_review(const struct tls_plans *plans, const struct config *config,
                      tls_complain *complain, void *arg)
{
    struct review review = {.config = config, .loader = {.complain = complain, .arg = arg}};

    for (size_t i = 0; i < plans->listener_count; i++) {
        const struct tls_server_plan *plan = plans->listeners[i];
        const struct listener_conf *listener = &config->listeners[i];
        for (size_t c = 0; plan != NULL && c < plan->cert_count; c++)
            review_chain(&review, &plan->certs[c], &listener->tls->certificates[c].place);
        if (plan != NULL && listener->router >= 0)
            review_hosts(&review, plan, listener);
    }
    X509_STORE_free(review.known);
}
