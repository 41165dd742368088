/* Paths as the server behind will understand them, for matching only; the raw path is what is sent.
 * Most paths are in normal form already: one scan says so, and nothing is copied. */
#include "route/route_impl.h"

struct str target_query(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    return mark >= 0 ? str_skip(target, (size_t)mark + 1) : str_make(target.ptr, 0);
}

static struct str target_path(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    if (mark >= 0)
        target.len = (size_t)mark;
    mark = str_find_char(target, '#');
    return mark >= 0 ? str_make(target.ptr, (size_t)mark) : target;
}

/* Sixteen bytes at a time, in whatever the processor has for it. */
typedef uint8_t block __attribute__((vector_size(16)));

static block load(const char *at)
{
    block bytes;

    memcpy(&bytes, at, sizeof(bytes));
    return bytes;
}

/* Non-zero where `at` has an escape, or a slash before a slash or a dot; 17 bytes are read. */
static bool block_is_normal(const char *at)
{
    block here = load(at), next = load(at + 1);
    block odd = (block)(here == '%') |
                ((block)(here == '/') & ((block)(next == '/') | (block)(next == '.')));
    uint64_t halves[2];

    memcpy(halves, &odd, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

/* The same behind which nothing stands that could be read: letters do. */
static bool is_normal_short(struct str path)
{
    char text[sizeof(block) + 1];

    memset(text, 'a', sizeof(text));
    memcpy(text, path.ptr, path.len);
    return block_is_normal(text);
}

/* No escapes, no empty segment, none that begins with a dot. */
static bool is_normal(struct str path)
{
    enum { STEP = sizeof(block), READ = STEP + 1 };
    size_t at = 0;

    if (path.len < READ)
        return is_normal_short(path);
    for (; at + READ <= path.len; at += STEP) {
        if (!block_is_normal(path.ptr + at))
            return false;
    }
    return block_is_normal(path.ptr + path.len - READ) && path.ptr[path.len - 1] != '%';
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

int path_normalise(struct str target, char *out, struct str *path)
{
    return normalise(target_path(target), out, path);
}

/* A "#" does not come over the wire: the codecs refuse it. */
int target_read(struct str target, char *out, struct str *path, struct str *query)
{
    const char *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    size_t len = mark != NULL ? (size_t)(mark - target.ptr) : target.len;

    *query = str_skip(target, mark != NULL ? len + 1 : len);
    return normalise(str_make(target.ptr, len), out, path);
}
