#include "base/path.h"

/* --- escapes --------------------------------------------------------------------------------- */

enum { ESCAPE_LEN = 3 };

size_t escape_put(char *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";

    out[0] = '%';
    out[1] = digits[byte >> 4];
    out[2] = digits[byte & 15];
    return ESCAPE_LEN;
}

/* The byte that begins at `*at`, with its escape undone; `*at` moves behind it. */
static unsigned char byte_next(struct str path, size_t *at, bool *is_escaped)
{
    int byte = escape_at(path, *at);

    *is_escaped = byte >= 0;
    unsigned char plain = (unsigned char)path.ptr[*at];
    *at += byte >= 0 ? ESCAPE_LEN : 1;
    return byte >= 0 ? (unsigned char)byte : plain;
}

/* --- are all readers of one mind? ------------------------------------------------------------ */

/* One segment of a path as some server may read it. */
enum segment {
    SEGMENT_NAME,
    SEGMENT_VAGUE, /* one name, several or none, as the server has it: "a%2Fb", "a\\b", ";a" */
    SEGMENT_EMPTY,
    SEGMENT_SAME, /* "." */
    SEGMENT_UP,   /* ".." */
    SEGMENT_TRAP, /* never the same for all of them */
};

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* Reads the segment at `*at` up to its slash. A trap is "." or ".." for some servers and a name
 * for others: followed by ";…", cut off by a backslash or an encoded slash, or with encoded
 * controls, which some servers drop. So is a control byte, and an encoded NUL, which ends the path
 * for some. */
static enum segment segment_next(struct str path, size_t *at)
{
    unsigned dots = 0;
    bool is_name = false, has_trap = false, has_hidden_slash = false, has_control = false;
    bool is_escaped;
    bool is_all_parameter = *at < path.len && path.ptr[*at] == ';';

    while (*at < path.len && path.ptr[*at] != '/') {
        unsigned char c = byte_next(path, at, &is_escaped);
        if (is_control(c) && (!is_escaped || c == '\0'))
            return SEGMENT_TRAP;
        if (is_control(c)) {
            has_control = true;
        } else if (c == ';' || c == '\\' || c == '/') {
            has_trap |= !is_name && dots > 0 && dots <= 2;
            has_hidden_slash |= c != ';';
            is_name = c == ';';
            dots = 0;
        } else if (c == '.') {
            dots++;
        } else {
            is_name = true;
        }
    }
    bool is_dots = !is_name && dots > 0 && dots <= 2;
    if (has_trap || (has_hidden_slash && is_dots) || (has_control && is_dots))
        return SEGMENT_TRAP;
    is_name |= has_control;
    if (has_hidden_slash || is_all_parameter)
        return SEGMENT_VAGUE;
    if (is_name || dots > 2)
        return SEGMENT_NAME;
    return dots == 2 ? SEGMENT_UP : dots == 1 ? SEGMENT_SAME : SEGMENT_EMPTY;
}

bool path_has_control(struct str path)
{
    bool is_escaped;

    for (size_t at = 0; at < path.len;) {
        if (is_control(byte_next(path, &at, &is_escaped)))
            return true;
    }
    return false;
}

bool path_is_clear(struct str path)
{
    unsigned removable = 0; /* segments that ".." removes for every server */

    for (size_t at = 0; at < path.len;) {
        at++; /* the slash */
        switch (segment_next(path, &at)) {
        case SEGMENT_NAME:
            removable++;
            break;
        case SEGMENT_VAGUE:
        case SEGMENT_EMPTY:
            removable = 0;
            break;
        case SEGMENT_SAME:
            break;
        case SEGMENT_UP:
            if (removable-- == 0)
                return false;
            break;
        case SEGMENT_TRAP:
            return false;
        }
    }
    return true;
}

/* --- segments -------------------------------------------------------------------------------- */

/* How many dots the segment is, if it is nothing else; else 3. */
static unsigned dots_of(struct str segment)
{
    unsigned dots = 0;
    bool is_escaped;

    for (size_t at = 0; at < segment.len && dots < 3; dots++) {
        if (byte_next(segment, &at, &is_escaped) != '.')
            return 3;
    }
    return dots;
}

/* Resolves ".", ".." and empty segments in place (RFC 3986 section 5.2.4); never above the root. */
static size_t resolve(char *text, size_t len)
{
    size_t out = 0, at = 0;

    while (at < len) {
        size_t start = ++at; /* behind the slash */
        while (at < len && text[at] != '/')
            at++;
        struct str segment = str_make(text + start, at - start);
        bool is_last = at >= len;
        unsigned dots = dots_of(segment);
        if (dots == 2) {
            while (out > 0 && text[--out] != '/')
                ;
        } else if (dots > 2) {
            text[out++] = '/';
            memmove(text + out, segment.ptr, segment.len);
            out += segment.len;
            continue;
        }
        if (is_last)
            text[out++] = '/';
    }
    return out;
}

bool path_is_resolved(struct str path)
{
    struct str rest = str_skip(path, MIN(path.len, (size_t)1)), segment;

    while (str_next(&rest, '/', &segment)) {
        if (dots_of(segment) <= 2)
            return false;
    }
    return true;
}

/* --- forms of the whole ---------------------------------------------------------------------- */

int path_decode(struct str path, char *out, size_t size, struct str *decoded)
{
    size_t len = 0;
    bool is_escaped;

    for (size_t at = 0; at < path.len;) {
        unsigned char c = byte_next(path, &at, &is_escaped);
        bool stays = c == '%' || (c == '/' && is_escaped);
        if (size - len < (stays ? ESCAPE_LEN : 1))
            return -1;
        if (stays)
            len += escape_put(out + len, c);
        else
            out[len++] = (char)c;
    }
    *decoded = str_make(out, resolve(out, len));
    return 0;
}

bool path_undo_slashes(struct str path, char *out, struct str *undone)
{
    size_t len = 0;
    bool is_escaped, is_found = false;

    for (size_t at = 0; at < path.len && !is_found;)
        is_found = path.ptr[at] == '\\' || (byte_next(path, &at, &is_escaped) == '/' && is_escaped);
    for (size_t at = 0; at < path.len && is_found;) {
        size_t start = at;
        unsigned char c = byte_next(path, &at, &is_escaped);
        if (c == '%') {
            memcpy(out + len, path.ptr + start, at - start);
            len += at - start;
        } else {
            out[len++] = c == '\\' ? '/' : (char)c;
        }
    }
    if (is_found)
        *undone = str_make(out, resolve(out, len));
    return is_found;
}

/* pchar of RFC 3986 section 3.3, or "/". */
static bool may_stand_in_path(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
}

static bool is_unreserved(unsigned char c)
{
    bool is_letter_like = c >= 'A' && may_stand_in_path(c); /* with "_" and "~" */

    return is_letter_like || c == '-' || c == '.' || (c >= '0' && c <= '9');
}

int path_normalize(struct str path, char *out, size_t size, struct str *normal)
{
    size_t len = 0;
    bool is_escaped;

    for (size_t at = 0; at < path.len;) {
        unsigned char c = byte_next(path, &at, &is_escaped);
        bool is_plain = is_escaped ? is_unreserved(c) : may_stand_in_path(c);
        if (size - len < (is_plain ? 1 : ESCAPE_LEN))
            return -1;
        if (is_plain)
            out[len++] = (char)c;
        else
            len += escape_put(out + len, c);
    }
    *normal = str_make(out, resolve(out, len));
    return 0;
}

struct str path_skip_decoded(struct str path, size_t decoded_len)
{
    size_t at = 0;
    bool is_escaped;

    for (size_t len = 0; at < path.len && len < decoded_len;) {
        unsigned char c = byte_next(path, &at, &is_escaped);
        len += c == '%' || (c == '/' && is_escaped) ? ESCAPE_LEN : 1;
    }
    return str_skip(path, at);
}
