/* How much of the traffic each part of a split sends to k8s at this moment. The configuration says
 * where a share may be written; weights are what is in force there. They are compiled beside a
 * router and given to route_decide, so that they can be replaced while the router stays.
 *
 * Weights are immutable and counted; any thread may read them. */
#pragma once

#include "config/router_conf.h"
#include "route/route.h"

#include <stdatomic.h>

/* What is in force for one entry of the split and one service. */
struct weight {
    uint32_t share; /* on k8s, 0..SHARE_MAX */
    enum why why;   /* what decided: the level of the entry, or the emergency switch */
};

struct weights {
    atomic_uint refs;
    uint32_t service_count;
    uint32_t dc_share;        /* of the reads that may stay local: how many do, 0..SHARE_MAX */
    const uint32_t *dc_hosts; /* the same for each of multi_dc.hosts */
    struct weight items[];    /* service_count for each of split.entries */
};

/* The weights that the configuration asks for, with one reference. */
struct weights *weights_new(const struct router_conf *conf);
struct weights *weights_ref(struct weights *weights);
void weights_unref(struct weights **weights);

static inline const struct weight *weights_get(const struct weights *weights, int entry,
                                               int service)
{
    return &weights->items[(size_t)entry * weights->service_count + (size_t)service];
}

/* The weight of a host, and where in the split it is written. */
struct weighed {
    struct weight weight;
    int entry; /* index in split.entries */
    int host;  /* index in split.hosts; -1: the host is not listed */
};

/* What route_decide compares for requests of `host` (canonical; "": any host that is not listed) to
 * `service`, an index. A mobile host without an entry has that of its wiki. */
struct weighed route_weigh(const struct router *router, const struct weights *weights,
                           struct str host, int service);
