/* How often names are looked up again; for the resolver and its test. */
#pragma once

#include "upstream/name_impl.h"
#include "upstream/resolver.h"

/* Other waits than the usual ones, from the next look-up on; the bounds of TTLs are those of the
 * configuration. */
void resolver_set_times(struct resolver *resolver, const struct name_times *times);
