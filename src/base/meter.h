/* How often something may happen, per peer, in bounded memory, over all threads: token buckets in
 * the form of GCRA (ITU-T I.371), one instant per peer. */
#pragma once

#include "base/base.h"

struct meter;

/* `peers` at once, 16 bytes each. When more come, the one whose bucket is nearest to full goes: it
 * gains at most the burst it had used. */
struct meter *meter_new(size_t peers);
void meter_free(struct meter *meter);

/* One bucket: `burst` at once, and one more every `every_us`. */
struct meter_rate {
    uint32_t every_us; /* at least 1 */
    uint32_t burst;    /* at least 1 */
};

/* May `key` (a secret hash) once more at `now_us`, of a clock that all threads share? 0: yes, and
 * it is counted; else the microseconds until it may. Any thread, no lock. Exact over all threads
 * but for peers that enter the table in two threads at once (twice their burst, once) and for those
 * that were pushed out of it. */
int64_t meter_take(struct meter *meter, uint64_t key, struct meter_rate rate, int64_t now_us);
