/* RFC 8259, nothing added: no comments, no trailing commas, no lone surrogates. Bytes above 0x7f in
 * strings pass unchanged: what becomes a header value is bytes. */
#include "cli/scan.h"

#include <endian.h>

void scan_init(struct scan *scan, char *text, size_t len)
{
    *scan = (struct scan){.at = text, .end = text + len};
}

static bool fail(struct scan *scan, const char *error)
{
    if (scan->error == NULL)
        scan->error = error;
    return false;
}

static char look(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

enum scan_kind scan_peek(struct scan *scan)
{
    char c = look(scan);

    switch (c) {
    case '"':
        return SCAN_STRING;
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_LIST;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        return c == '-' || ascii_is_digit(c) ? SCAN_NUMBER : SCAN_END;
    }
}

/* --- strings --------------------------------------------------------------------------------- */

/* Eight bytes at a time: the high bit of each byte that ends a plain run (quote, backslash or
 * control); exact for the lowest such byte, which is the one that counts. */
static uint64_t specials(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');

    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
            ((word - ones * 0x20) & ~word)) &
           highs;
}

/* The first byte at or behind `at` that is not a plain character of a string. */
static char *plain_end(char *at, const char *end)
{
    uint64_t word;

    for (; end - at >= 8; at += 8) {
        memcpy(&word, at, 8);
        uint64_t found = specials(le64toh(word));
        if (found != 0)
            return at + __builtin_ctzll(found) / 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static int hex4(struct scan *scan, uint32_t *value)
{
    *value = 0;
    if (scan->end - scan->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(*scan->at++);
        if (digit < 0)
            return -1;
        *value = *value << 4 | (uint32_t)digit;
    }
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12);
        } else {
            *out++ = (char)(0xf0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* Behind "\u"; never longer decoded than it was written. */
static char *unescape_unicode(struct scan *scan, char *out)
{
    uint32_t c, low;

    if (hex4(scan, &c) < 0 || (c >= 0xdc00 && c <= 0xdfff))
        return NULL;
    if (c < 0xd800 || c > 0xdbff)
        return put_utf8(out, c);
    if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u')
        return NULL;
    scan->at += 2;
    if (hex4(scan, &low) < 0 || low < 0xdc00 || low > 0xdfff)
        return NULL;
    return put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
}

/* Behind the backslash; the end of what was written, or NULL. */
static char *unescape(struct scan *scan, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (scan->at == scan->end)
        return NULL;
    char c = *scan->at++;
    if (c == 'u')
        return unescape_unicode(scan, out);
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found == NULL)
        return NULL;
    *out = to[found - from];
    return out + 1;
}

bool scan_string(struct scan *scan, struct str *value)
{
    if (look(scan) != '"')
        return fail(scan, "expected a string");
    char *start = ++scan->at, *out = start;
    while (true) {
        char *end = plain_end(scan->at, scan->end);
        size_t len = (size_t)(end - scan->at);
        if (out != scan->at)
            memmove(out, scan->at, len);
        out += len;
        scan->at = end;
        if (end == scan->end || (*end != '"' && *end != '\\'))
            return fail(scan, end == scan->end ? "a string does not end"
                                               : "a control character in a string");
        scan->at++;
        if (*end == '"')
            break;
        out = unescape(scan, out);
        if (out == NULL)
            return fail(scan, "a bad escape in a string");
    }
    *value = str_make(start, (size_t)(out - start));
    return true;
}

/* --- other scalars --------------------------------------------------------------------------- */

static bool word(struct scan *scan, struct str text)
{
    look(scan);
    if (!str_starts(str_make(scan->at, (size_t)(scan->end - scan->at)), text))
        return fail(scan, "expected a value");
    scan->at += text.len;
    return true;
}

bool scan_bool(struct scan *scan, bool *value)
{
    *value = scan_peek(scan) == SCAN_TRUE;
    return word(scan, *value ? STR("true") : STR("false")) || fail(scan, "expected true or false");
}

bool scan_null(struct scan *scan)
{
    return word(scan, STR("null"));
}

static bool digits(struct scan *scan)
{
    char *start = scan->at;

    while (scan->at < scan->end && ascii_is_digit(*scan->at))
        scan->at++;
    return scan->at > start;
}

static bool accept(struct scan *scan, const char *any)
{
    if (scan->at == scan->end || *scan->at == '\0' || strchr(any, *scan->at) == NULL)
        return false;
    scan->at++;
    return true;
}

bool scan_number(struct scan *scan, struct str *value)
{
    look(scan);
    char *start = scan->at;
    accept(scan, "-");
    if (!accept(scan, "0") && !digits(scan))
        return fail(scan, "expected a number");
    if (accept(scan, ".") && !digits(scan))
        return fail(scan, "a number does not end");
    if (accept(scan, "eE")) {
        accept(scan, "+-");
        if (!digits(scan))
            return fail(scan, "a number does not end");
    }
    *value = str_make(start, (size_t)(scan->at - start));
    return true;
}

/* --- collections ----------------------------------------------------------------------------- */

bool scan_enter(struct scan *scan, enum scan_kind kind)
{
    if (scan_peek(scan) != kind)
        return fail(scan, kind == SCAN_OBJECT ? "expected an object" : "expected a list");
    scan->at++;
    scan->is_first = true;
    return true;
}

/* The comma between members; false at the closing bracket or after an error. */
static bool next_member(struct scan *scan, char close)
{
    char c = look(scan);
    bool is_first = scan->is_first;

    scan->is_first = false;
    if (scan->error != NULL)
        return false;
    if (c == close) {
        scan->at++;
        return false;
    }
    if (is_first)
        return true;
    if (c != ',')
        return fail(scan, "expected a comma");
    scan->at++;
    return true;
}

bool scan_next_key(struct scan *scan, struct str *key)
{
    if (!next_member(scan, '}') || !scan_string(scan, key))
        return false;
    if (look(scan) != ':')
        return fail(scan, "expected a colon");
    scan->at++;
    return true;
}

bool scan_next_item(struct scan *scan)
{
    return next_member(scan, ']');
}

static bool skip_value(struct scan *scan, unsigned depth)
{
    struct str text;
    bool flag;

    if (depth == 0)
        return fail(scan, "nested too deeply");
    switch (scan_peek(scan)) {
    case SCAN_STRING:
        return scan_string(scan, &text);
    case SCAN_NUMBER:
        return scan_number(scan, &text);
    case SCAN_TRUE:
    case SCAN_FALSE:
        return scan_bool(scan, &flag);
    case SCAN_NULL:
        return scan_null(scan);
    case SCAN_OBJECT:
        scan_enter(scan, SCAN_OBJECT);
        while (scan_next_key(scan, &text)) {
            if (!skip_value(scan, depth - 1))
                return false;
        }
        return scan->error == NULL;
    case SCAN_LIST:
        scan_enter(scan, SCAN_LIST);
        while (scan_next_item(scan)) {
            if (!skip_value(scan, depth - 1))
                return false;
        }
        return scan->error == NULL;
    case SCAN_END:
        return fail(scan, "expected a value");
    }
    UNREACHABLE("skip_value");
}

bool scan_skip(struct scan *scan)
{
    return skip_value(scan, SCAN_DEPTH_MAX);
}

bool scan_ended(struct scan *scan)
{
    look(scan);
    return scan->at == scan->end || fail(scan, "something follows the value");
}
