/* How a decision and route_weigh find a weight; for this room alone. */
#pragma once

#include "route/route_impl.h"
#include "route/weights.h"

/* The weight of a host: `exact` is its own record, `folded` that of the wiki that it stands for.
 * Either may be NULL. */
static inline struct weighed weigh(const struct weights *weights, const struct host_record *exact,
                                   const struct host_record *folded, int service)
{
    const struct host_record *record = exact != NULL && exact->split_host >= 0 ? exact : folded;
    bool is_listed = record != NULL && record->split_host >= 0;
    int entry = is_listed ? (int)record->entry : 0;

    return (struct weighed){
        .weight = *weights_get(weights, entry, service),
        .entry = entry,
        .host = is_listed ? record->split_host : -1,
    };
}
