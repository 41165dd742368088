/* Which bytes may stand where. */
#include "http/chars.h"

#include "http/chars_impl.h"

/* Behind char_is(): 1 token, 2 value, 4 path, 8 host, 16 plain name, 32 may hide something. */
/* clang-format off */
const uint8_t char_table[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0, /* 0x00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 0x10 */
     2, 15,  6,  3, 15, 47, 15, 15, 14, 14, 15, 15, 14, 31, 15,  6, /* 0x20 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6, 14,  6, 14,  6,  6, /* 0x30 */
     6, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 0x40 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6, 38,  6,  7, 15, /* 0x50 */
     7, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 0x60 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6,  7,  6, 15,  0, /* 0x70 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0x80 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0x90 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xa0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xb0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xc0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xd0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xe0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 0xf0 */
};
/* clang-format on */

bool token_is_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!char_is(text.ptr[i], CHAR_TOKEN))
            return false;
    }
    return text.len > 0;
}

bool field_value_is_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!char_is(text.ptr[i], CHAR_VALUE))
            return false;
    }
    return true;
}

/* Sixteen bytes at a time, in whatever the processor has for it. */
typedef uint8_t block __attribute__((vector_size(16)));

static bool block_is_plain(block bytes)
{
    block letter = (bytes | 0x20) - 'a', digit = bytes - '0';
    block plain = (block)(letter < 26) | (block)(digit < 10) | (block)(bytes == '-');
    uint64_t halves[2];

    memcpy(halves, &plain, sizeof(halves));
    return (halves[0] & halves[1]) == UINT64_MAX;
}

/* A block of the first and the last `half` bytes, which may overlap; the rest is plain. */
static bool ends_are_plain(struct str name, size_t half)
{
    char text[sizeof(block)] = "----------------";
    block bytes;

    memcpy(text, name.ptr, half);
    memcpy(text + 8, name.ptr + name.len - half, half);
    memcpy(&bytes, text, sizeof(bytes));
    return block_is_plain(bytes);
}

bool field_name_is_odd(struct str name)
{
    if (name.len < 4) {
        for (size_t i = 0; i < name.len; i++) {
            if (!char_is(name.ptr[i], CHAR_PLAIN))
                return true;
        }
        return false;
    }
    if (name.len < 8)
        return !ends_are_plain(name, 4);
    for (size_t at = 0; at + sizeof(block) < name.len; at += sizeof(block)) {
        block bytes;
        memcpy(&bytes, name.ptr + at, sizeof(bytes));
        if (!block_is_plain(bytes))
            return true;
    }
    if (name.len <= sizeof(block))
        return !ends_are_plain(name, 8);
    block last;
    memcpy(&last, name.ptr + name.len - sizeof(last), sizeof(last));
    return !block_is_plain(last);
}
