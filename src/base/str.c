/* Borrowed text: comparing, cutting, and numbers. Nothing here allocates. */
#include "base/str.h"

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t common = MIN(a.len, b.len);
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

ptrdiff_t str_find_char(struct str s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at != NULL ? at - s.ptr : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len > 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at != NULL ? at - s.ptr : -1;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_ows(s.ptr[0]))
        s = str_skip(s, 1);
    while (s.len > 0 && is_ows(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_next(struct str *rest, char sep, struct str *piece)
{
    if (rest->len == 0)
        return false;
    ptrdiff_t at = str_find_char(*rest, sep);
    if (at < 0) {
        *piece = *rest;
        *rest = str_skip(*rest, rest->len);
        return true;
    }
    *piece = str_make(rest->ptr, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    return true;
}

bool str_cut(struct str s, char sep, struct str *left, struct str *right)
{
    ptrdiff_t at = str_find_char(s, sep);
    if (at < 0) {
        *left = s;
        *right = (struct str){s.ptr, 0};
        return false;
    }
    *left = str_make(s.ptr, (size_t)at);
    *right = str_skip(s, (size_t)at + 1);
    return true;
}

int str_to_u64(struct str s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.ptr[i]))
            return -1;
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(s.ptr[i] - '0'), &sum))
            return -1;
    }
    *value = sum;
    return 0;
}

int hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

size_t u64_to_dec(uint64_t value, char *out)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

size_t fraction_to_dec(uint32_t hundred_thousandths, char *out)
{
    enum { DECIMALS = 5, ONE = 100000 };
    uint32_t rest = hundred_thousandths % ONE;
    size_t len = u64_to_dec(hundred_thousandths / ONE, out);

    if (rest == 0)
        return len;
    out[len++] = '.';
    for (int i = DECIMALS - 1; i >= 0; i--, rest /= 10)
        out[len + (size_t)i] = (char)('0' + rest % 10);
    len += DECIMALS;
    while (out[len - 1] == '0')
        len--;
    return len;
}

unsigned str_distance(struct str a, struct str b)
{
    unsigned row[65];

    a.len = MIN(a.len, 64);
    b.len = MIN(b.len, 64);
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned swap = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            row[j] = MIN(swap, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

char *str_copy(struct str s)
{
    char *copy = mem_new(s.len + 1); /* zeroed */

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}
