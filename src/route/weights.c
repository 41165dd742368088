/* From the shares of a configuration to the weights in force. The precedence (emergency, then the
 * most specific entry, in it the service's own value) is settled here, so that a decision reads one
 * item. */
#include "route/weights_impl.h"

#include <stdlib.h>

static enum why why_of_level(enum split_level level)
{
    switch (level) {
    case SPLIT_DEFAULT:
        return WHY_SPLIT_DEFAULT;
    case SPLIT_LIST:
        return WHY_SPLIT_LIST;
    case SPLIT_HOST:
        return WHY_SPLIT_HOST;
    }
    UNREACHABLE("every level is above");
}

static struct weight weight_of(const struct split_conf *split, const struct split_entry_conf *entry,
                               size_t service)
{
    switch (split->emergency) {
    case EMERGENCY_ALL_LEGACY:
        return (struct weight){0, WHY_EMERGENCY};
    case EMERGENCY_ALL_K8S:
        return (struct weight){SHARE_MAX, WHY_EMERGENCY};
    case EMERGENCY_NONE:
        break;
    }
    return (struct weight){share_of_service(&entry->k8s, service), why_of_level(entry->level)};
}

struct weights *weights_new(const struct router_conf *conf)
{
    const struct split_conf *split = &conf->split;
    const struct multi_dc_conf *multi_dc = &conf->multi_dc;
    size_t count = split->entry_count * conf->service_count;
    struct weights *weights = mem_new(sizeof(*weights) + count * sizeof(weights->items[0]) +
                                      multi_dc->host_count * sizeof(weights->dc_hosts[0]));
    uint32_t *dc_hosts = (uint32_t *)&weights->items[count];

    atomic_init(&weights->refs, 1);
    weights->service_count = (uint32_t)conf->service_count;
    for (size_t i = 0; i < count; i++)
        weights->items[i] =
            weight_of(split, &split->entries[i / conf->service_count], i % conf->service_count);
    weights->dc_share = multi_dc->share;
    for (size_t i = 0; i < multi_dc->host_count; i++)
        dc_hosts[i] = multi_dc->hosts[i].share;
    weights->dc_hosts = dc_hosts;
    return weights;
}

struct weights *weights_ref(struct weights *weights)
{
    atomic_fetch_add_explicit(&weights->refs, 1, memory_order_relaxed);
    return weights;
}

void weights_unref(struct weights **slot)
{
    struct weights *weights = *slot;

    *slot = NULL;
    if (weights != NULL && atomic_fetch_sub_explicit(&weights->refs, 1, memory_order_acq_rel) == 1)
        free(weights);
}

struct weighed route_weigh(const struct router *router, const struct weights *weights,
                           struct str host, int service)
{
    const struct host_record *exact = NULL, *folded = NULL;
    char text[FOLD_MAX];

    if (host.len > 0) {
        struct str wiki = mobile_fold(&router->conf->split, host, text);
        exact = host_table_find(&router->hosts, host, host_hash(host));
        folded = host_table_find(&router->hosts, wiki, host_hash(wiki));
    }
    return weigh(weights, exact, folded, service);
}
