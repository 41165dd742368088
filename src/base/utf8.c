#include "base/utf8.h"

#include "base/path.h"

size_t utf8_sequence(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t len;

    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;

    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;

    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return len;
}

/* Bytes of `text` when they are escaped; 0 when it is not UTF-8. */
static size_t escaped_len(struct str text)
{
    size_t len = 0;

    while (text.len > 0) {
        bool is_ascii = (unsigned char)text.ptr[0] < 0x80;
        size_t n = is_ascii ? 1 : utf8_sequence(text);
        if (n == 0)
            return 0;
        len += is_ascii ? 1 : 3 * n;
        text = str_skip(text, n);
    }
    return len;
}

bool utf8_escape(struct arena *arena, struct str text, struct str *escaped)
{
    size_t len = escaped_len(text);

    if (len == 0)
        return text.len == 0;
    char *out = arena_alloc_aligned(arena, len, 1), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < 0x80)
            *at++ = text.ptr[i];
        else
            at += escape_put(at, byte);
    }
    *escaped = str_make(out, len);
    return true;
}
