/* Paths as the server behind will understand them, for matching only; the raw path is what is sent.
 * Most paths are in normal form already: one scan says so, and nothing is copied. */
#include "route/route_impl.h"

/* Sixteen bytes at a time, in whatever the processor has for it. */
typedef uint8_t block __attribute__((vector_size(16)));
enum { STEP = sizeof(block), READ = STEP + 1 };

static block load(const char *at)
{
    block bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return bytes;
}

static block load_halves(const char *first, const char *second)
{
    uint64_t halves[2];

    memcpy(&halves[0], first, sizeof(halves[0]));
    memcpy(&halves[1], second, sizeof(halves[1]));
    block bytes;
    memcpy(&bytes, halves, sizeof(bytes));
    return bytes;
}

static bool is_none(block bytes)
{
    uint64_t halves[2];

    memcpy(halves, &bytes, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

/* No escape, no slash before a slash or a dot, no query; `next` is what stands one byte further. */
static bool is_plain_block(block here, block next)
{
    block segment = (block)(next == '/') | (block)(next == '.');

    return is_none((block)(here == '%') | (block)(here == '?') | ((block)(here == '/') & segment));
}

static bool is_plain_byte(char c)
{
    return c != '%' && c != '?';
}

static bool is_plain_short(struct str path)
{
    for (size_t i = 0; i + 1 < path.len; i++) {
        char next = path.ptr[i + 1];
        if (!is_plain_byte(path.ptr[i]) || (path.ptr[i] == '/' && (next == '/' || next == '.')))
            return false;
    }
    return path.len == 0 || is_plain_byte(path.ptr[path.len - 1]);
}

/* How many bytes from the front are known to have no escape, no empty segment, none that begins
 * with a dot, and no query: all of them, or a multiple of STEP. */
static size_t plain_length(struct str path)
{
    enum { HALF = STEP / 2 };
    size_t at = 0;

    if (path.len <= HALF)
        return is_plain_short(path) ? path.len : 0;
    const char *end = path.ptr + path.len;
    if (path.len < READ) {
        block here = load_halves(path.ptr, end - HALF - 1);
        block next = load_halves(path.ptr + 1, end - HALF);
        return is_plain_block(here, next) && is_plain_byte(end[-1]) ? path.len : 0;
    }
    for (; at + READ <= path.len; at += STEP) {
        if (!is_plain_block(load(path.ptr + at), load(path.ptr + at + 1)))
            return at;
    }
    bool is_plain = is_plain_block(load(end - READ), load(end - STEP)) && is_plain_byte(end[-1]);
    return is_plain ? path.len : at;
}

static bool is_normal(struct str path)
{
    return plain_length(path) == path.len;
}

static bool is_unreserved(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static char upper(char c)
{
    return c >= 'a' && c <= 'f' ? (char)(c - 32) : c;
}

/* Decodes what has no meaning encoded; the rest keeps its triplet, in upper case. At most path.len.
 */
static size_t decode_unreserved(struct str path, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < path.len; i++) {
        int high = path.ptr[i] == '%' && i + 2 < path.len ? hex_value(path.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(path.ptr[i + 2]) : -1;
        if (low < 0) {
            out[len++] = path.ptr[i];
            continue;
        }
        if (is_unreserved(high * 16 + low)) {
            out[len++] = (char)(high * 16 + low);
        } else {
            out[len++] = '%';
            out[len++] = upper(path.ptr[i + 1]);
            out[len++] = upper(path.ptr[i + 2]);
        }
        i += 2;
    }
    return len;
}

/* Resolves ".", ".." and empty segments in place (RFC 3986 section 5.2.4); never above the root. */
static size_t resolve_segments(char *text, size_t len)
{
    size_t out = 0, at = 0;

    while (at < len) {
        size_t start = ++at; /* behind the slash */
        while (at < len && text[at] != '/')
            at++;
        struct str segment = str_make(text + start, at - start);
        bool is_last = at >= len;
        if (str_eq(segment, STR(".."))) {
            while (out > 0 && text[--out] != '/')
                ;
        } else if (segment.len > 0 && !str_eq(segment, STR("."))) {
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

static int normalise(struct str raw, char *out, struct str *path)
{
    *path = raw;
    if (raw.len == 0 || raw.ptr[0] != '/' || LIKELY(is_normal(raw)))
        return 0;
    if (raw.len >= PATH_BYTES_MAX)
        return -1;
    size_t len = decode_unreserved(raw, out);
    *path = str_make(out, resolve_segments(out, len));
    return 0;
}

/* A "#" does not come over the wire: the codecs refuse it. */
int target_read(struct str target, char *out, struct str *path, struct str *query)
{
    size_t plain = plain_length(target);
    const char *mark;

    *path = target;
    *query = STR("");
    if (plain == target.len)
        return 0;
    mark = memchr(target.ptr + plain, '?', target.len - plain);
    if (mark != NULL) {
        path->len = (size_t)(mark - target.ptr);
        *query = str_skip(target, path->len + 1);
    }
    return normalise(*path, out, path);
}
