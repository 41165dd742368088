/* Checks of a finished request head: are its target and its authority well-formed, and will all
 * servers behind weir read them alike? */
#include "base/path.h"
#include "base/utf8.h"
#include "http/authority.h"
#include "http/chars_impl.h"
#include "http/head.h"

static struct str without_query(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    return mark >= 0 ? str_make(target.ptr, (size_t)mark) : target;
}

static bool has_dot_segment(struct str path)
{
    const char *end = path.ptr + path.len;

    for (const char *slash = path.ptr; slash != NULL && slash + 1 < end;
         slash = memchr(slash + 1, '/', (size_t)(end - slash - 1))) {
        if (slash[1] == '.')
            return true;
    }
    return false;
}

/* Is there a backslash, or a control, ".", "/", or backslash in disguise? Titles in most languages
 * are full of escapes that are none of these. */
static bool hides_something(struct str path)
{
    const char *end = path.ptr + path.len, *at = path.ptr;

    if (memchr(path.ptr, '\\', path.len) != NULL)
        return true;
    while ((at = memchr(at, '%', (size_t)(end - at))) != NULL && end - at >= 3) {
        char high = at[1], low = ascii_lower(at[2]);
        if (high == '0' || high == '1' || (high == '2' && (low == 'e' || low == 'f')) ||
            (high == '5' && low == 'c') || (high == '7' && low == 'f'))
            return true;
        at++;
    }
    return false;
}

/* Only the rare target has bytes that must be encoded. */
static bool encode_utf8(struct head *head, unsigned rules)
{
    return (rules & TARGET_ENCODE_UTF8) != 0 && utf8_escape(head->arena, head->path, &head->path);
}

struct classes {
    uint8_t all, some; /* enum char_class: of every byte, of at least one */
};

static struct classes classes_of(struct str path)
{
    struct classes classes = {.all = CHAR_PATH, .some = 0};

    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = char_table[(uint8_t)path.ptr[i]];
        classes.all &= byte;
        classes.some |= byte;
    }
    return classes;
}

/* Origin form. Most paths have no escape, no backslash and no segment that begins with a dot: one
 * pass says so. */
static bool origin_form_is_valid(struct head *head, unsigned rules)
{
    struct classes classes = classes_of(head->path);

    if (UNLIKELY(classes.all == 0)) {
        if (!encode_utf8(head, rules) || (classes = classes_of(head->path)).all == 0)
            return false;
    }
    struct str path = head->path;
    bool hides = (classes.some & CHAR_HIDES) != 0 && hides_something(path);
    if (hides && (rules & TARGET_REFUSE_CONTROLS) != 0 && path_has_control(without_query(path)))
        return false;
    return !(hides || has_dot_segment(path)) || path_is_clear(without_query(path));
}

static bool path_is_valid(struct head *head, unsigned rules)
{
    struct str path = head->path;

    if (head->method == METHOD_CONNECT)
        return true;
    if (head->method == METHOD_OPTIONS && str_eq(path, STR("*")))
        return true;
    return path.len > 0 && path.ptr[0] == '/' && origin_form_is_valid(head, rules);
}

enum reason head_check_request(struct head *head, unsigned rules)
{
    bool may_lack_host = head->version == HTTP_1_0 && head->first[HEADER_HOST] == 0;

    if (!path_is_valid(head, rules))
        return REASON_BAD_TARGET;
    if (head->authority.len == 0)
        return may_lack_host ? REASON_NONE : REASON_BAD_HOST;
    return authority_is_valid(head->authority) ? REASON_NONE : REASON_BAD_HOST;
}

enum reason head_take_expect(struct head *head, bool has_body)
{
    if (head_has_other_token(head, HEADER_EXPECT, STR("100-continue")))
        return REASON_BAD_EXPECT;
    head->expects_continue = has_body && head_has_token(head, HEADER_EXPECT, STR("100-continue"));
    return REASON_NONE;
}
