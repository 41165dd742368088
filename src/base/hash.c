/* SipHash-1-3 and its keys. */
#include "base/hash.h"

#include <sys/random.h>

static void random_bytes(void *out, size_t len)
{
    ssize_t got = getrandom(out, len, 0);
    ASSERT(got == (ssize_t)len);
}

struct hash_key hash_key_random(void)
{
    struct hash_key key;

    random_bytes(&key, sizeof(key));
    return key;
}

uint64_t rand_seed(void)
{
    uint64_t seed;

    random_bytes(&seed, sizeof(seed));
    return seed;
}

struct hash_key hash_key_from(struct str text)
{
    static const struct hash_key first = {0x77656972, 1}, second = {0x77656972, 2};

    return (struct hash_key){hash_sip13(first, text.ptr, text.len),
                             hash_sip13(second, text.ptr, text.len)};
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTL(v[1], 13) ^ v[0];
    v[0] = ROTL(v[0], 32);
    v[2] += v[3];
    v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTL(v[1], 17) ^ v[2];
    v[2] = ROTL(v[2], 32);
}

/* What is left behind the whole words, in the lower bytes of a word. Long texts take it out of
 * their last eight bytes, so that nothing depends on how many there are. */
static inline uint64_t last_bytes(const uint8_t *in, size_t len)
{
    size_t rest = len & 7;
    uint64_t word = 0;

    if (LIKELY(len >= 8)) {
        memcpy(&word, in + len - 8, 8);
        return rest > 0 ? word >> (64 - 8 * rest) : 0;
    }
    for (size_t i = 0; i < rest; i++)
        word |= (uint64_t)in[i] << (8 * i);
    return word;
}

uint64_t hash_sip13(struct hash_key key, const void *data, size_t len)
{
    const uint8_t *in = data;
    uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
                     key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
    uint64_t word;
    size_t whole = len & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, in + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56 | last_bytes(in, len);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
