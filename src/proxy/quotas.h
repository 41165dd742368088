/* What all workers share of caps and rates: made once by the server, used by every worker's proxy
 * without a lock. Keys are secret hashes, so that no client can choose a collision. */
#pragma once

#include "base/hash.h"
#include "base/meter.h"
#include "base/tally.h"
#include "config/config.h"

#include <stdatomic.h>

enum { QUOTA_METERS = 65536 }; /* peers whose rates are remembered, 16 bytes each */

/* What a shortage means for connections and requests; each includes those before it. */
enum overload_level {
    OVERLOAD_NONE,
    OVERLOAD_NO_KEEPALIVE, /* connections end after what they are doing */
    OVERLOAD_REFUSE_NEW,   /* new ones: TLS is not begun, a plain one's request gets 503 */
    OVERLOAD_REFUSE,       /* so does every request */
};

struct quotas {
    struct hash_key secret;
    struct tally *connections; /* owns: open ones, by client */
    struct tally *listeners;   /* owns: the same, by listener: clients must not push one out */
    struct meter *meters;      /* owns: new connections and requests, by whatever limits them */
    unsigned worker_count;
    _Atomic unsigned overload; /* enum overload_level: written by the control thread */
};

struct quotas *quotas_new(const struct config *config, unsigned worker_count);
void quotas_free(struct quotas *quotas);

/* The key of `len` bytes; `scope` is another key, of the thing that has a limit. */
uint64_t quotas_key(const struct quotas *quotas, const void *data, size_t len, uint64_t scope);
