/* Overload: a pure decision from the shares of memory, descriptors and connections in use and from
 * the lag of the loops. Its facts are arguments, so it is tested without load. */
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

/* The level for these facts. The number of connections alone never leads to refused requests on open
 * connections. */
enum overload_level overload_decide(const struct overload_conf *conf,
                                    const struct overload_facts *facts);

struct overload {
    enum overload_level level;
    unsigned calm_ticks; /* for how many ticks a lower level was seen */
};

/* The level from now on: it rises at once and falls after OVERLOAD_CALM_TICKS. */
enum overload_level overload_step(struct overload *overload, enum overload_level seen);

const char *overload_word(enum overload_level level);

/* The cgroup's limit on memory; 0: none. */
uint64_t overload_memory_limit(void);
uint64_t overload_memory_now(void);
