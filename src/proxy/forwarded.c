/* Reading forwarding fields. A client may have begun the list and the nearest proxy has ended it,
 * so addresses are read from the end, and no further than proxies that are trusted. */
#include "proxy/forwarded.h"

/* --- lists with quoted strings --------------------------------------------------------------- */

/* Is the quote at `at` a byte of the quoted string rather than its end? */
static bool is_escaped(struct str text, size_t at)
{
    size_t backslashes = 0;

    while (backslashes < at && text.ptr[at - 1 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 1;
}

static bool is_quote(struct str text, size_t at)
{
    return text.ptr[at] == '"' && !is_escaped(text, at);
}

/* Where the last item begins. Quotes that do not pair are bytes like others. */
static size_t last_begin(struct str list)
{
    bool is_quoted = false;
    size_t at = list.len;

    for (; at > 0 && (is_quoted || list.ptr[at - 1] != ','); at--)
        is_quoted ^= is_quote(list, at - 1);
    if (!is_quoted)
        return at;
    for (at = list.len; at > 0 && list.ptr[at - 1] != ','; at--) {
    }
    return at;
}

/* Takes the last item off `*rest`. */
static bool take_last(struct str *rest, struct str *item)
{
    if (rest->len == 0)
        return false;
    size_t begin = last_begin(*rest);
    *item = str_trim(str_skip(*rest, begin));
    rest->len = begin > 0 ? begin - 1 : 0;
    return true;
}

/* Takes the first item off `*rest`. */
static bool take_first(struct str *rest, char separator, struct str *item)
{
    bool is_quoted = false;
    size_t end = 0;

    if (rest->len == 0)
        return false;
    for (; end < rest->len && (is_quoted || rest->ptr[end] != separator); end++)
        is_quoted ^= is_quote(*rest, end);
    *item = str_trim(str_make(rest->ptr, end));
    *rest = str_skip(*rest, MIN(end + 1, rest->len));
    return true;
}

static struct str without_quotes(struct str text)
{
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        return str_make(text.ptr + 1, text.len - 2);
    return text;
}

/* The value of `name` in one element of Forwarded; "" when it has none, or more than one. */
static struct str parameter(struct str element, struct str name)
{
    struct str pair, key, value, found = {0};
    unsigned count = 0;

    while (take_first(&element, ';', &pair)) {
        if (!str_cut(pair, '=', &key, &value) || !str_eq_nocase(str_trim(key), name))
            continue;
        found = without_quotes(str_trim(value));
        count++;
    }
    return count == 1 ? found : (struct str){0};
}

/* --- addresses ------------------------------------------------------------------------------- */

/* Digits, or an obfuscated port (RFC 7239 section 6.3). */
static bool is_port(struct str port)
{
    uint64_t value;

    return port.len == 0 || port.ptr[0] == '_' || (str_to_u64(port, &value) == 0 && value <= 65535);
}

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80, quoted or not. */
static int node_parse(struct str node, struct addr *addr)
{
    struct str host, port;

    node = without_quotes(node);
    if (node.len > 0 && node.ptr[0] == '[') {
        if (!str_cut(str_skip(node, 1), ']', &host, &port) || str_find_char(host, ':') < 0 ||
            (port.len > 0 && (port.ptr[0] != ':' || !is_port(str_skip(port, 1)))))
            return -1;
        return addr_parse_ip(host, 0, addr);
    }
    if (str_cut(node, ':', &host, &port) && str_find_char(port, ':') < 0)
        return is_port(port) ? addr_parse_ip(host, 0, addr) : -1;
    return addr_parse_ip(node, 0, addr);
}

enum element { ELEMENT_EMPTY, ELEMENT_ADDRESS, ELEMENT_UNREADABLE };

static enum element element_read(struct str item, bool is_forwarded, struct addr *addr)
{
    if (item.len == 0)
        return ELEMENT_EMPTY;
    if (is_forwarded)
        item = parameter(item, STR("for"));
    return node_parse(item, addr) == 0 ? ELEMENT_ADDRESS : ELEMENT_UNREADABLE;
}

static bool is_trusted(const struct listener_conf *conf, const struct addr *addr)
{
    uint8_t ip[16];

    addr_ip_bytes(addr, ip);
    return cidrs_contain(conf->trusted_proxies, conf->trusted_proxy_count, ip);
}

struct forwarded_client forwarded_client(const struct listener_conf *conf,
                                         struct str x_forwarded_for, struct str forwarded)
{
    bool is_forwarded = str_trim(x_forwarded_for).len == 0;
    struct str list = is_forwarded ? forwarded : x_forwarded_for, item;
    struct forwarded_client client = {0};
    struct addr addr;

    while (take_last(&list, &item)) {
        enum element element = element_read(item, is_forwarded, &addr);
        client.is_unreadable = element == ELEMENT_UNREADABLE;
        if (client.is_unreadable)
            break;
        if (element == ELEMENT_EMPTY)
            continue;
        client.addr = addr;
        client.is_known = true;
        if (!is_trusted(conf, &addr))
            break;
    }
    return client;
}

/* --- schemes --------------------------------------------------------------------------------- */

struct str forwarded_proto(struct str x_forwarded_proto, struct str forwarded)
{
    struct str item, proto;

    while (take_first(&x_forwarded_proto, ',', &item)) {
        item = without_quotes(item);
        if (item.len > 0)
            return item;
    }
    while (take_first(&forwarded, ',', &item)) {
        proto = parameter(item, STR("proto"));
        if (proto.len > 0)
            return proto;
    }
    return (struct str){0};
}
