/* How many of something each peer has at the moment (connections of a client address), in bounded
 * memory, over all threads. Keys are 64-bit SipHash values of whatever names the peer; two peers
 * share a count only when 44 bits of a secret hash agree. */
#pragma once

#include "base/base.h"

struct tally;

/* Room for about `peers` different peers at once: a quarter more before any is turned away from the
 * table, twice that in memory (8 bytes each). */
struct tally *tally_new(size_t peers);
void tally_free(struct tally *tally);

enum tally_answer {
    TALLY_TAKEN,   /* counted: tally_give is due */
    TALLY_REFUSED, /* the peer has `limit` already */
    TALLY_FULL,    /* no room to count it: the caller decides; nothing is due */
};

/* One more for `key`, at most `limit` (capped at 2^20 - 1). Any thread, no lock; two threads that
 * see a new peer at the same instant may give it two counts: it then gets at most twice its
 * limit. */
enum tally_answer tally_take(struct tally *tally, uint64_t key, uint32_t limit);
void tally_give(struct tally *tally, uint64_t key);
