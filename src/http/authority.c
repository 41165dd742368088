/* Authorities: which are valid, and which are the same. Nothing is rewritten here: the text that
 * came is the text that is sent on. */
#include "http/authority.h"

#include "base/addr.h"
#include "http/chars_impl.h"

struct parts {
    struct str host; /* an IP literal with its brackets */
    struct str port; /* digits, or "" */
};

/* False when something else than a port stands behind the host. */
static bool parts_of(struct str authority, struct parts *parts)
{
    struct str rest;

    if (authority.len == 0 || authority.ptr[0] != '[') {
        str_cut(authority, ':', &parts->host, &parts->port);
        return true;
    }
    ptrdiff_t end = str_find_char(authority, ']');
    if (end < 0)
        return false;
    parts->host = str_make(authority.ptr, (size_t)end + 1);
    rest = str_skip(authority, (size_t)end + 1);
    parts->port = rest.len > 0 ? str_skip(rest, 1) : rest;
    return rest.len == 0 || rest.ptr[0] == ':';
}

/* --- validity -------------------------------------------------------------------------------- */

static bool port_is_valid(struct str port)
{
    uint64_t value;

    return port.len == 0 || (str_to_u64(port, &value) == 0 && value <= 65535);
}

/* An escape stands for a byte of UTF-8 only. Encoded ASCII is a name's second spelling, which
 * policies by name would not recognise, or a "/", "@" or ":" in disguise. */
static bool escape_is_valid(struct str name, size_t at)
{
    return at + 2 < name.len && hex_value(name.ptr[at + 1]) >= 8 &&
           hex_value(name.ptr[at + 2]) >= 0;
}

static bool name_is_valid(struct str name)
{
    for (size_t at = 0; at < name.len; at++) {
        if (!char_is(name.ptr[at], CHAR_HOST))
            return false;
        if (name.ptr[at] != '%')
            continue;
        if (!escape_is_valid(name, at))
            return false;
        at += 2;
    }
    return name.len > 0 && name.len <= 255;
}

static bool is_literal(struct str host)
{
    return host.len >= 2 && host.ptr[0] == '[';
}

static struct str between_brackets(struct str host)
{
    return str_make(host.ptr + 1, host.len - 2);
}

bool authority_is_valid(struct str authority)
{
    struct parts parts;
    char text[ADDR_TEXT_MAX];

    if (!parts_of(authority, &parts) || !port_is_valid(parts.port))
        return false;
    if (is_literal(parts.host))
        return ip_literal_canonical(between_brackets(parts.host), text) > 0;
    return name_is_valid(parts.host);
}

/* --- equality -------------------------------------------------------------------------------- */

static bool literal_same(struct str a, struct str b)
{
    char left[ADDR_TEXT_MAX], right[ADDR_TEXT_MAX];
    int left_len = ip_literal_canonical(between_brackets(a), left);
    int right_len = ip_literal_canonical(between_brackets(b), right);

    return left_len > 0 && left_len == right_len && memcmp(left, right, (size_t)left_len) == 0;
}

static struct str without_dot(struct str name)
{
    name.len -= name.len > 0 && name.ptr[name.len - 1] == '.';
    return name;
}

static bool host_same(struct str a, struct str b)
{
    if (is_literal(a) && is_literal(b))
        return literal_same(a, b);
    return str_eq_nocase(without_dot(a), without_dot(b));
}

enum { PORT_NONE = 65536 };

static uint64_t port_of(struct str port, struct str scheme)
{
    uint64_t value = PORT_NONE;

    if (port.len > 0 && str_to_u64(port, &value) == 0)
        return value;
    if (str_eq_nocase(scheme, STR("https")))
        return 443;
    return str_eq_nocase(scheme, STR("http")) ? 80 : PORT_NONE;
}

bool authority_same(struct str a, struct str b, struct str scheme)
{
    struct parts left, right;

    if (str_eq(a, b))
        return true;
    return parts_of(a, &left) && parts_of(b, &right) && host_same(left.host, right.host) &&
           port_of(left.port, scheme) == port_of(right.port, scheme);
}
