/* Text as everything here passes it: borrowed bytes with a length, not NUL-ended, never owned. */
#pragma once

#include "base/base.h"

#include <string.h>

struct str {
    const char *ptr; /* borrows; may be NULL when len is 0 */
    size_t len;
};

/* STR("literal") and its form for static initialisers. */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

/* For printf: "%.*s", STR_FMT(s). */
#define STR_FMT(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

static inline struct str str_make(const void *ptr, size_t len)
{
    return (struct str){(const char *)ptr, len};
}

static inline struct str str_of(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The rest of `s` after its first `n` bytes (n ≤ len). */
static inline struct str str_skip(struct str s, size_t n)
{
    return (struct str){s.ptr + n, s.len - n};
}

static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A copy on the heap that ends with NUL; the caller frees it. */
char *str_copy(struct str s);

/* Equal when ASCII case is ignored. */
bool str_eq_nocase(struct str a, struct str b);

/* memcmp order, the shorter first when one is a prefix of the other. */
int str_cmp(struct str a, struct str b);

/* Position of `c` in `s`, or -1. */
ptrdiff_t str_find_char(struct str s, char c);

/* Position of `needle` in `s`, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);

/* `s` without leading and trailing SP and HTAB (OWS of RFC 9110 section 5.6.3). */
struct str str_trim(struct str s);

/* Takes the next piece of `*rest` up to `sep` into `*piece` (not trimmed) and moves `*rest` behind
 * the separator. False when `*rest` was used up; "a;b;" gives "a", "b" and, as every text, ends. */
bool str_next(struct str *rest, char sep, struct str *piece);

/* Splits at the first `sep`: true and both sides, or false with `*left` = s and `*right` empty. */
bool str_cut(struct str s, char sep, struct str *left, struct str *right);

/* Decimal digits only, the whole of `s`, no sign and no space. -1 when it is not a number or does
 * not fit; then `*value` is untouched. */
MUST_USE int str_to_u64(struct str s, uint64_t *value);

/* Value of a hexadecimal digit, or -1. */
int hex_value(char c);

/* Writes `value` in decimal at `out` (at least 20 bytes); how many bytes it took. */
size_t u64_to_dec(uint64_t value, char *out);

/* Hundred-thousandths as a decimal number, exactly and in as few digits as it takes (0, 0.04, 1),
 * at `out` (at least 12 bytes); how many bytes it took. Shares are written so everywhere. */
size_t fraction_to_dec(uint32_t hundred_thousandths, char *out);

/* Edit distance of two short names (≤ 64 bytes compared), for "did you mean". */
unsigned str_distance(struct str a, struct str b);
