/* Paths as the server behind reads them, for matching only; the raw path is what is sent. Most
 * paths need no decoding: one scan says so, and nothing is copied. */
#include "base/path.h"
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

/* No escape, no backslash, no slash before a slash or a dot, no query; `next` is what stands one
 * byte further. */
static bool is_plain_block(block here, block next)
{
    block segment = (block)((next | ('.' ^ '/')) == '/'); /* a slash or a dot */

    return is_none((block)(here == '%') | (block)(here == '?') | (block)(here == '\\') |
                   ((block)(here == '/') & segment));
}

static bool is_plain_byte(char c)
{
    return c != '%' && c != '?' && c != '\\';
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

/* How many bytes from the front are known to have no escape, no backslash, no empty segment, none
 * that begins with a dot, and no query: all of them, or a multiple of STEP. */
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

/* The second reading is written behind the first. */
static int decode(struct str raw, char *out, struct request *request)
{
    request->path = raw;
    if (raw.len == 0 || raw.ptr[0] != '/' || plain_length(raw) == raw.len)
        return 0;
    if (path_decode(raw, out, PATH_BYTES_MAX, &request->path) < 0)
        return -1;
    path_undo_slashes(request->path, out + request->path.len, &request->undone);
    return 0;
}

/* A "#" does not come over the wire: the codecs refuse it. */
int target_read(struct str target, char *out, struct request *request)
{
    size_t plain = plain_length(target);
    const char *mark;

    request->path = target;
    request->query = STR("");
    request->undone = (struct str){NULL, 0};
    if (LIKELY(plain == target.len))
        return 0;
    mark = memchr(target.ptr + plain, '?', target.len - plain);
    if (mark == NULL)
        return decode(target, out, request);
    request->query = str_skip(target, (size_t)(mark - target.ptr) + 1);
    return decode(str_make(target.ptr, (size_t)(mark - target.ptr)), out, request);
}

bool route_target_is_clear(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    return path_is_clear(mark >= 0 ? str_make(target.ptr, (size_t)mark) : target);
}
