/* The canonical form of an authority, in one pass onto the caller's stack. */
#include "route/route_impl.h"

#include "base/addr.h"

/* 1: may stand in a host name, after lower-casing. RFC 3986 allows more in a reg-name; no host has
 * it. */
static const char host_char[256] = {
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n',
    ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',
    ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b',
    ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i',
    ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w',
    ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3',
    ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['-'] = '-',
    ['_'] = '_', ['.'] = '.',
};

/* ":" and an optional port (RFC 3986 section 3.2.3). */
static bool is_port(struct str text)
{
    uint64_t port;

    if (text.len == 0)
        return true;
    if (text.ptr[0] != ':')
        return false;
    text = str_skip(text, 1);
    return text.len == 0 || (text.len <= 5 && str_to_u64(text, &port) == 0 && port <= 65535);
}

static int literal_canonical(struct str authority, char *out, size_t size, struct str *host)
{
    ptrdiff_t end = str_find_char(authority, ']');
    char text[ADDR_TEXT_MAX];

    if (end < 0 || !is_port(str_skip(authority, (size_t)end + 1)))
        return -1;
    int len = ip_literal_canonical(str_make(authority.ptr + 1, (size_t)end - 1), text);
    if (len < 0 || (size_t)len + 2 > size)
        return -1;
    out[0] = '[';
    memcpy(out + 1, text, (size_t)len);
    out[len + 1] = ']';
    *host = str_make(out, (size_t)len + 2);
    return 0;
}

/* "-" and "_" alone name nothing. Nearly always the first character tells. */
static bool has_letter_or_digit(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] > '.' && host.ptr[i] != '_')
            return true;
    }
    return false;
}

static int name_read(struct str authority, char *out, size_t size, struct str *host,
                     bool *is_mobile)
{
    size_t len = 0, label = 0, room = MIN(authority.len, size);

    for (; len < room; len++) {
        char c = out[len] = host_char[(unsigned char)authority.ptr[len]];
        if (LIKELY(c > '.'))
            continue;
        if (c == '\0')
            break;
        if (c == '-')
            continue;
        if (len == label)
            return -1;
        *is_mobile |= len == label + 1 && out[label] == 'm';
        label = len + 1;
    }
    if (len == size)
        return -1;
    if (len < authority.len && !is_port(str_skip(authority, len)))
        return -1;
    if (len > 0 && len == label)
        len--;
    *host = str_make(out, len);
    return has_letter_or_digit(*host) ? 0 : -1;
}

/* --- the usual host: short, and nothing but letters, digits, hyphens and dots ------------------
 *
 * Sixteen bytes at a time and without a branch that depends on them. The text stands in a buffer
 * behind "..", and letters fill up what it leaves free. */

typedef int8_t block __attribute__((vector_size(16)));
enum { SHORT_MAX = 2 * sizeof(block), BEFORE = 2 };

static block load(const char *at)
{
    block bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return bytes;
}

static bool any(block bits)
{
    uint64_t halves[2];

    memcpy(halves, &bits, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

static block lower(block c)
{
    return c | ((block)(c >= 'A') & (block)(c <= 'Z') & 0x20);
}

static block is_name_char(block c)
{
    return ((block)(c >= 'a') & (block)(c <= 'z')) | ((block)(c >= '0') & (block)(c <= '9')) |
           (block)(c == '-') | (block)(c == '.') | (block)(c == '_');
}

/* Is `at[0]` to `at[15]` fine? Adds what it finds of empty labels and of labels "m". */
static block read_block(const char *at, char *out, block *empty, block *mobile)
{
    block c = lower(load(at)), before = lower(load(at - 1)), before2 = load(at - 2);
    block dot = (block)(c == '.');

    memcpy(out, &c, sizeof(c));
    *empty |= dot & (block)(before == '.');
    *mobile |= dot & (block)(before == 'm') & (block)(before2 == '.');
    return is_name_char(c);
}

/* False: it must be looked at byte by byte, if only to be refused. */
static bool short_name_read(struct str authority, char *out, struct str *host, bool *is_mobile)
{
    char text[BEFORE + SHORT_MAX];
    block empty = {0}, mobile = {0};

    memset(text, 'a', sizeof(text));
    text[0] = text[1] = '.';
    memcpy(text + BEFORE, authority.ptr, authority.len);
    block fine = read_block(text + BEFORE, out, &empty, &mobile);
    fine &= read_block(text + BEFORE + sizeof(block), out + sizeof(block), &empty, &mobile);
    if (any(~fine) || any(empty))
        return false;
    *host = authority;
    host->ptr = out;
    host->len -= out[authority.len - 1] == '.';
    *is_mobile = any(mobile);
    return has_letter_or_digit(*host);
}

int host_read(struct str authority, char *out, struct str *host, bool *is_mobile)
{
    *is_mobile = false;
    if (LIKELY(authority.len > 0 && authority.len <= SHORT_MAX) &&
        LIKELY(short_name_read(authority, out, host, is_mobile)))
        return 0;
    *is_mobile = false;
    if (authority.len > 0 && authority.ptr[0] == '[')
        return literal_canonical(authority, out, HOST_BYTES_MAX, host);
    return name_read(authority, out, HOST_BYTES_MAX, host, is_mobile);
}

int host_canonical(struct str authority, char *out, size_t size, struct str *host)
{
    bool is_mobile = false;

    if (authority.len > 0 && authority.ptr[0] == '[')
        return literal_canonical(authority, out, size, host);
    return name_read(authority, out, size, host, &is_mobile);
}
