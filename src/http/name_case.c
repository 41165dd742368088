/* Spelling names eight bytes at a time; the last word of a name overlaps the one before it. */
#include "http/name_case.h"

#include <endian.h>

enum { WORD = sizeof(uint64_t) };

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))
#define HIGH_BITS EACH_BYTE(0x80)

/* The high bit of each byte from `first` to `last`; all bytes are below 0x80. */
static inline uint64_t bytes_between(uint64_t word, char first, char last)
{
    return (word + EACH_BYTE(0x80 - (unsigned)first)) & ~(word + EACH_BYTE(0x7f - (unsigned)last)) &
           HIGH_BITS;
}

static inline uint64_t word_lower(uint64_t word)
{
    return word | bytes_between(word, 'A', 'Z') >> 2; /* 0x20 */
}

static inline uint64_t word_proper(uint64_t word, char before)
{
    word = word_lower(word);
    uint64_t begins = bytes_between(word, '-', '-') << 8 | (before == '-' ? 0x80 : 0);
    return word ^ (begins & bytes_between(word, 'a', 'z')) >> 2;
}

static inline uint64_t load(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static inline void store(char *at, uint64_t word)
{
    word = htole64(word);
    memcpy(at, &word, sizeof(word));
}

/* Of names that are shorter than a word. */
static char *put_short(char *at, struct str name, bool is_proper)
{
    char before = '-';

    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        bool is_capital = is_proper && before == '-' && c >= 'a' && c <= 'z';
        at[i] = is_capital ? (char)(c - 0x20) : c;
        before = c;
    }
    return at + name.len;
}

char *name_put_lower(char *at, struct str name)
{
    if (name.len < WORD)
        return put_short(at, name, false);
    for (size_t i = 0; i + WORD < name.len; i += WORD)
        store(at + i, word_lower(load(name.ptr + i)));
    size_t last = name.len - WORD;
    store(at + last, word_lower(load(name.ptr + last)));
    return at + name.len;
}

char *name_put_proper(char *at, struct str name)
{
    char before = '-';

    if (name.len < WORD)
        return put_short(at, name, true);
    for (size_t i = 0; i + WORD < name.len; i += WORD) {
        store(at + i, word_proper(load(name.ptr + i), before));
        before = name.ptr[i + WORD - 1];
    }
    size_t last = name.len - WORD;
    store(at + last, word_proper(load(name.ptr + last), last > 0 ? name.ptr[last - 1] : '-'));
    return at + name.len;
}
