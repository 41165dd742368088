/* Parsing and printing of addresses. Everything is compared in its 16-byte form, so that an IPv4
 * client on an IPv6 socket is the same client. */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static int parse_port(struct str text, uint16_t *port)
{
    uint64_t value;

    if (str_to_u64(text, &value) < 0 || value > 65535)
        return -1;
    *port = (uint16_t)value;
    return 0;
}

static int parse_unix(struct str path, struct addr *addr)
{
    *addr = (struct addr){0};
    if (path.len == 0 || path.len >= sizeof(addr->un.sun_path))
        return -1;
    addr->un.sun_family = AF_UNIX;
    memcpy(addr->un.sun_path, path.ptr, path.len);
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return 0;
}

int addr_parse_ip(struct str text, uint16_t port, struct addr *addr)
{
    char ip[INET6_ADDRSTRLEN];

    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = str_make(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(ip))
        return -1;
    memcpy(ip, text.ptr, text.len);
    ip[text.len] = '\0';

    *addr = (struct addr){0};
    if (inet_pton(AF_INET, ip, &addr->in.sin_addr) == 1) {
        addr->in.sin_family = AF_INET;
        addr->in.sin_port = htons(port);
        addr->len = sizeof(addr->in);
        return 0;
    }
    if (inet_pton(AF_INET6, ip, &addr->in6.sin6_addr) == 1) {
        addr->in6.sin6_family = AF_INET6;
        addr->in6.sin6_port = htons(port);
        addr->len = sizeof(addr->in6);
        return 0;
    }
    return -1;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_ip_future(struct str text)
{
    static const char others[] = "-._~!$&'()*+,;=:";
    struct str version, address;

    if (text.len < 2 || ascii_lower(text.ptr[0]) != 'v' ||
        !str_cut(str_skip(text, 1), '.', &version, &address))
        return false;
    for (size_t i = 0; i < version.len; i++) {
        if (hex_value(version.ptr[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < address.len; i++) {
        char c = ascii_lower(address.ptr[i]);
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'z') &&
            memchr(others, c, sizeof(others) - 1) == NULL)
            return false;
    }
    return version.len > 0 && address.len > 0;
}

int ip_literal_canonical(struct str text, char *out)
{
    struct in6_addr ip6;

    if (text.len == 0 || text.len >= ADDR_TEXT_MAX || memchr(text.ptr, '\0', text.len) != NULL)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        out[i] = ascii_lower(text.ptr[i]);
    out[text.len] = '\0';
    if (out[0] == 'v')
        return is_ip_future(text) ? (int)text.len : -1;
    if (inet_pton(AF_INET6, out, &ip6) != 1)
        return -1;
    inet_ntop(AF_INET6, &ip6, out, ADDR_TEXT_MAX);
    return (int)strlen(out);
}

int addr_parse(struct str text, struct addr *addr)
{
    uint16_t port;

    if (str_starts(text, STR("unix:")))
        return parse_unix(str_skip(text, 5), addr);

    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || parse_port(str_skip(text, colon), &port) < 0)
        return -1;

    struct str host = str_make(text.ptr, colon - 1);
    bool has_colon = str_find_char(host, ':') >= 0;
    bool bracketed = host.len > 0 && host.ptr[0] == '[';
    if (has_colon != bracketed)
        return -1; /* "::1:443" could be read two ways */
    return addr_parse_ip(host, port, addr);
}

size_t addr_format_ip(const struct addr *addr, char *out)
{
    out[0] = '\0';
    if (addr->sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &addr->in.sin_addr, out, ADDR_TEXT_MAX);
    else if (addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
        inet_ntop(AF_INET, &addr->in6.sin6_addr.s6_addr[12], out, ADDR_TEXT_MAX);
    else if (addr->sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &addr->in6.sin6_addr, out, ADDR_TEXT_MAX);
    else
        memcpy(out, "unix", 5);
    return strlen(out);
}

size_t addr_format(const struct addr *addr, char *out)
{
    char ip[ADDR_TEXT_MAX];
    int len;

    addr_format_ip(addr, ip);
    if (addr->sa.sa_family == AF_UNIX)
        len = snprintf(out, ADDR_TEXT_MAX, "unix:%s", addr->un.sun_path);
    else if (strchr(ip, ':') != NULL)
        len = snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, addr_port(addr));
    else
        len = snprintf(out, ADDR_TEXT_MAX, "%s:%u", ip, addr_port(addr));
    return (size_t)len;
}

void addr_ip_bytes(const struct addr *addr, uint8_t out[16])
{
    memset(out, 0, 16);
    if (addr->sa.sa_family == AF_INET) {
        memcpy(out, v4_mapped, 12);
        memcpy(out + 12, &addr->in.sin_addr, 4);
    } else if (addr->sa.sa_family == AF_INET6) {
        memcpy(out, &addr->in6.sin6_addr, 16);
    }
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

static bool is_wildcard(const struct addr *addr)
{
    if (addr->sa.sa_family == AF_INET)
        return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

bool addr_covers(const struct addr *bound, const struct addr *addr)
{
    if (addr_eq(bound, addr))
        return true;
    return is_wildcard(bound) && bound->sa.sa_family == addr->sa.sa_family &&
           addr_port(bound) == addr_port(addr);
}

uint16_t addr_port(const struct addr *addr)
{
    if (addr->sa.sa_family == AF_INET)
        return ntohs(addr->in.sin_port);
    if (addr->sa.sa_family == AF_INET6)
        return ntohs(addr->in6.sin6_port);
    return 0;
}

bool addr_is_unix(const struct addr *addr)
{
    return addr->sa.sa_family == AF_UNIX;
}

int cidr_parse(struct str text, struct cidr *cidr)
{
    struct str ip, bits_text;
    struct addr addr;
    uint64_t bits;
    bool has_bits = str_cut(text, '/', &ip, &bits_text);

    if (addr_parse_ip(ip, 0, &addr) < 0)
        return -1;
    unsigned width = addr.sa.sa_family == AF_INET ? 32 : 128;
    bits = width;
    if (has_bits && (str_to_u64(bits_text, &bits) < 0 || bits > width))
        return -1;
    addr_ip_bytes(&addr, cidr->ip);
    cidr->bits = (uint8_t)(bits + 128 - width);
    return 0;
}

size_t cidr_without_host_bits(const struct cidr *cidr, char *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_ipv4 = cidr->bits >= 96 && memcmp(cidr->ip, mapped, sizeof(mapped)) == 0;
    uint8_t network[16];

    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = cidr->bits > i * 8 ? MIN(cidr->bits - i * 8, 8u) : 0;
        network[i] = cidr->ip[i] & (uint8_t)(0xff00 >> kept);
    }
    if (memcmp(network, cidr->ip, sizeof(network)) == 0 ||
        inet_ntop(is_ipv4 ? AF_INET : AF_INET6, network + (is_ipv4 ? 12 : 0), out, ADDR_TEXT_MAX) ==
            NULL)
        return 0;
    return strlen(out) + (size_t)sprintf(out + strlen(out), "/%u", cidr->bits - (is_ipv4 ? 96 : 0));
}

bool cidr_contains(const struct cidr *cidr, const uint8_t ip[16])
{
    unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

    if (memcmp(cidr->ip, ip, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (cidr->ip[whole] & mask) == (ip[whole] & mask);
}

bool cidrs_contain(const struct cidr *cidrs, size_t count, const uint8_t ip[16])
{
    for (size_t i = 0; i < count; i++) {
        if (cidr_contains(&cidrs[i], ip))
            return true;
    }
    return false;
}
