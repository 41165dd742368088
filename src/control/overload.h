/* When there is too little of something: a pure decision from shares of memory, descriptors and
 * connections and from the lag of the loops, and the facts it is made from. */
#pragma once

#include "config/config.h"
#include "proxy/quotas.h"

enum { OVERLOAD_TICK_MS = 250, OVERLOAD_CALM_TICKS = 4 };

struct overload_facts {
    uint64_t memory_bytes, memory_max; /* resident; max 0: not watched */
    uint64_t descriptors, descriptors_max;
    uint64_t connections, connections_max;
    int64_t lag_ms; /* of the slowest loop */
};

/* How bad it is. Connections alone never refuse requests on the connections there are. */
enum overload_level overload_decide(const struct overload_conf *conf,
                                    const struct overload_facts *facts);

struct overload {
    enum overload_level level;
    unsigned calm_ticks; /* how long it has been better than `level` */
};

/* The level from now on: worse at once, better after OVERLOAD_CALM_TICKS. */
enum overload_level overload_step(struct overload *overload, enum overload_level seen);

const char *overload_word(enum overload_level level);

/* The cgroup's limit on memory; 0: none. */
uint64_t overload_memory_limit(void);
uint64_t overload_memory_now(void);
