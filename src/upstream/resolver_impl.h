/* How often names are looked up again; for the resolver and its test. */
#pragma once

#include "upstream/resolver.h"

enum {
    RESOLVER_MIN_MS = 5 * 1000,   /* however short the TTL */
    RESOLVER_MAX_MS = 300 * 1000, /* however long */
    RESOLVER_RETRY_MS = 5 * 1000, /* after a failure */
    RESOLVER_QUERY_MS = 2 * 1000, /* first wait for a server's answer; c-ares makes it longer */
    RESOLVER_QUERY_TRIES = 3,
};

struct resolver_times {
    int64_t min_ms, max_ms, retry_ms;
};

/* Other times than those above, from the next look-up on. */
void resolver_set_times(struct resolver *resolver, struct resolver_times times);
