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

static bool is_normal(struct str path)
{
    if (memchr(path.ptr, '%', path.len) != NULL)
        return false;
    const char *end = path.ptr + path.len, *at = path.ptr;
    while ((at = memchr(at, '/', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && (*at == '/' || *at == '.'))
            return false;
    }
    return true;
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

int path_normalise(struct str target, char *out, struct str *path)
{
    struct str raw = target_path(target);

    *path = raw;
    if (raw.len == 0 || raw.ptr[0] != '/' || is_normal(raw))
        return 0;
    if (raw.len >= PATH_BYTES_MAX)
        return -1;
    size_t len = decode_unreserved(raw, out);
    *path = str_make(out, resolve_segments(out, len));
    return 0;
}
