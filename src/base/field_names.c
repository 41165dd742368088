#include "base/field_names.h"

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

static bool byte_is_plain(char c)
{
    char lower = ascii_lower(c);

    return (lower >= 'a' && lower <= 'z') || ascii_is_digit(c) || c == '-';
}

bool field_name_is_odd(struct str name)
{
    if (name.len < 4) {
        for (size_t i = 0; i < name.len; i++) {
            if (!byte_is_plain(name.ptr[i]))
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
