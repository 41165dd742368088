/* How often names are looked up again; for the resolver and its test. */
#pragma once

#include "discovery/name_impl.h"
#include "discovery/resolver.h"

/* Other waits than the usual ones, from the next look-up on; the bounds of TTLs are those of the
 * configuration. */
void resolver_set_times(struct resolver *resolver, const struct name_times *times);

/* Another search list than resolv.conf's, from the next resolver_watch on. */
void resolver_set_search(struct resolver *resolver, const char *const *domains, size_t count,
                         int ndots);
