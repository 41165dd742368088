/* What TLS takes from a configuration and from the files that it names: certificates and keys,
 * authorities and revocation lists, the table of server names. A plan is loaded and checked once,
 * on any thread, and never changed. All workers read it, and each builds contexts of its own from
 * it when the first client asks for a name (server.h, client.h). A plan holds bytes and numbers,
 * no object of OpenSSL's, so workers share neither locks nor counters through it.
 *
 * Plans are counted; any thread may take and drop references. */
#pragma once

#include "config/config.h"

#include <stdatomic.h>

/* Something to say about the item at `place`; `text` is valid during the call. */
typedef void tls_complain(void *arg, const struct place *place, bool is_error, const char *text);

/* Loads the plans of one configuration; files that several of them name are read once. */
struct tls_loader;
struct tls_loader *tls_loader_new(tls_complain *complain, void *arg);
void tls_loader_free(struct tls_loader *loader);

/* A TLS listener. NULL after at least one error, all of which were complained of: an unreadable or
 * damaged file, a key that does not fit, an unknown cipher. What a client may not like but what is
 * no mistake of form is a warning: a certificate that has expired, a chain that is not in order. */
struct tls_server_plan;
MUST_USE struct tls_server_plan *tls_server_plan_load(struct tls_loader *loader,
                                                      const struct tls_server_conf *conf);
struct tls_server_plan *tls_server_plan_ref(struct tls_server_plan *plan);
void tls_server_plan_unref(struct tls_server_plan **plan);

/* When the certificates of the listener end, each file once; the array belongs to the plan. */
struct tls_expiry {
    char *file;
    int64_t at_s; /* since 1970 */
};
const struct tls_expiry *tls_server_plan_expiries(const struct tls_server_plan *plan,
                                                  size_t *count);

/* Connections to a group, which is at `place`. `alpn_h2` offers h2 before http/1.1. */
struct tls_client_plan;
MUST_USE struct tls_client_plan *tls_client_plan_load(struct tls_loader *loader,
                                                      const struct place *place,
                                                      const struct upstream_tls_conf *conf,
                                                      bool alpn_h2);
struct tls_client_plan *tls_client_plan_ref(struct tls_client_plan *plan);
void tls_client_plan_unref(struct tls_client_plan **plan);

/* The same for plans that verify in the same way and by the same authorities. */
uint64_t tls_client_plan_policy(const struct tls_client_plan *plan);

/* All plans of one configuration; what is plain is NULL. */
struct tls_plans {
    struct tls_server_plan **listeners; /* owns: one for each of config.listeners */
    struct tls_client_plan **groups;    /* owns: one for each of config.groups */
    size_t listener_count, group_count;
};

/* Loads all of them; -1 when at least one has failed, what was loaded has to be freed then too.
 * Fails soon after `cancel` (may be NULL), which any thread may set, has become true. */
MUST_USE int tls_plans_load(struct tls_plans *plans, const struct config *config,
                            const atomic_bool *cancel, tls_complain *complain, void *arg);
void tls_plans_free(struct tls_plans *plans);

/* Warns of leaves without an intermediate whose issuer is no root of the system or of the
 * configuration, and of hosts that rules and lists name and no certificate of their listener is
 * for. Loads the system's roots. */
void tls_plans_review(const struct tls_plans *plans, const struct config *config,
                      tls_complain *complain, void *arg);
