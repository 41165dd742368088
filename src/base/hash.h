/* Hashing. SipHash with a key for everything that a peer can choose. */
#pragma once

#include "base/base.h"
#include "base/str.h"

struct hash_key {
    uint64_t k0, k1;
};

/* A key from the kernel's random source. */
struct hash_key hash_key_random(void);

/* A key that is a function of `text`: the same salt, the same buckets, on every machine for
 * ever. */
struct hash_key hash_key_from(struct str text);

/* SipHash-1-3 (Aumasson, Bernstein): hash tables with attacker-chosen keys, sticky buckets. */
uint64_t hash_sip13(struct hash_key key, const void *data, size_t len);

/* splitmix64: a generator for choices that need no secrecy (picking endpoints). */
static inline uint64_t rand_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A seed from the kernel's random source. */
uint64_t rand_seed(void);
