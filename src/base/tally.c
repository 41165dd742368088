/* One word per peer, 44 bits of the key and 20 of its count, in buckets of eight: a cache line. A
 * word whose count falls to zero is free, so the table never holds more than what is open. */
#include "base/tally.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BUCKET = 8, COUNT_BITS = 20, COUNT_MAX = (1 << COUNT_BITS) - 1 };

struct tally {
    _Atomic uint64_t *words; /* owns: [buckets][BUCKET] */
    size_t mask;             /* buckets - 1 */
};

struct tally *tally_new(size_t peers)
{
    struct tally *tally = mem_new(sizeof(*tally));
    size_t buckets = 1;

    while (buckets * BUCKET < peers * 2)
        buckets *= 2;
    tally->mask = buckets - 1;
    tally->words = mem_new(buckets * BUCKET * sizeof(*tally->words));
    return tally;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    free((void *)tally->words);
    free(tally);
}

static _Atomic uint64_t *bucket_of(const struct tally *tally, uint64_t key)
{
    return &tally->words[(key & tally->mask) * BUCKET];
}

/* Never 0: a free word has no tag. */
static uint64_t tag_of(uint64_t key)
{
    uint64_t tag = key & ~(uint64_t)COUNT_MAX;
    return tag != 0 ? tag : (uint64_t)1 << 63;
}

static bool is_of(uint64_t word, uint64_t tag)
{
    return (word & ~(uint64_t)COUNT_MAX) == tag;
}

/* The word of `tag`, or a free one, or NULL; *word is what was seen there. */
static _Atomic uint64_t *find(_Atomic uint64_t *bucket, uint64_t tag, uint64_t *word)
{
    _Atomic uint64_t *room = NULL;

    for (int i = 0; i < BUCKET; i++) {
        uint64_t seen = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        if (is_of(seen, tag)) {
            *word = seen;
            return &bucket[i];
        }
        if (seen == 0 && room == NULL)
            room = &bucket[i];
    }
    *word = 0;
    return room;
}

enum tally_answer tally_take(struct tally *tally, uint64_t key, uint32_t limit)
{
    _Atomic uint64_t *bucket = bucket_of(tally, key), *at;
    uint64_t tag = tag_of(key), word;

    limit = MIN(limit, (uint32_t)COUNT_MAX);
    do {
        at = find(bucket, tag, &word);
        if (at == NULL)
            return TALLY_FULL;
        if ((word & COUNT_MAX) >= limit)
            return TALLY_REFUSED;
    } while (!atomic_compare_exchange_weak_explicit(at, &word, (word != 0 ? word : tag) + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return TALLY_TAKEN;
}

void tally_give(struct tally *tally, uint64_t key)
{
    _Atomic uint64_t *bucket = bucket_of(tally, key);
    uint64_t tag = tag_of(key), word, next;

    for (;;) {
        _Atomic uint64_t *at = find(bucket, tag, &word);
        if (at == NULL || word == 0)
            continue; /* our count has moved behind our back: it was given for another's */
        next = (word & COUNT_MAX) > 1 ? word - 1 : 0;
        if (atomic_compare_exchange_weak_explicit(at, &word, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
    }
}
