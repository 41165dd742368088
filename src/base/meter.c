/* A slot is the peer's tag and the instant at which its bucket will be full again; who is in the
 * past has nothing to remember, so its slot is free. Buckets of four slots: a cache
 * line. */
#include "base/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BUCKET = 4 };

struct slot {
    _Atomic uint64_t tag;
    _Atomic int64_t full_at_us;
};

struct meter {
    struct slot *slots; /* owns: [buckets][BUCKET] */
    size_t mask;        /* buckets - 1 */
};

struct meter *meter_new(size_t peers)
{
    struct meter *meter = mem_new(sizeof(*meter));
    size_t buckets = 1;

    while (buckets * BUCKET < peers)
        buckets *= 2;
    meter->mask = buckets - 1;
    meter->slots = mem_new(buckets * BUCKET * sizeof(*meter->slots));
    return meter;
}

void meter_free(struct meter *meter)
{
    if (meter == NULL)
        return;
    free(meter->slots);
    free(meter);
}

/* The slot of `tag`; else the one that has least to remember becomes its. */
static struct slot *slot_for(struct slot *bucket, uint64_t tag)
{
    struct slot *oldest = &bucket[0];
    int64_t oldest_at = INT64_MAX;

    for (int i = 0; i < BUCKET; i++) {
        if (atomic_load_explicit(&bucket[i].tag, memory_order_relaxed) == tag)
            return &bucket[i];
        int64_t at = atomic_load_explicit(&bucket[i].full_at_us, memory_order_relaxed);
        if (at < oldest_at) {
            oldest_at = at;
            oldest = &bucket[i];
        }
    }
    atomic_store_explicit(&oldest->tag, tag, memory_order_relaxed);
    atomic_store_explicit(&oldest->full_at_us, 0, memory_order_relaxed);
    return oldest;
}

int64_t meter_take(struct meter *meter, uint64_t key, struct meter_rate rate, int64_t now_us)
{
    uint64_t tag = key != 0 ? key : 1;
    struct slot *slot = slot_for(&meter->slots[(key & meter->mask) * BUCKET], tag);
    int64_t room_us = (int64_t)rate.every_us * rate.burst;
    int64_t full_at = atomic_load_explicit(&slot->full_at_us, memory_order_relaxed), next;

    do {
        next = MAX(full_at, now_us) + rate.every_us;
        if (next - now_us > room_us)
            return next - now_us - room_us;
    } while (!atomic_compare_exchange_weak_explicit(&slot->full_at_us, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}
