/* See proxy_header.h. Version 1 is a line of text, version 2 a binary struct with optional TLVs, of
 * which only the checksum concerns us. */
#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    V2_HEAD = 16, /* signature, version and command, family, length */
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_IP4_BYTES = 12,
    V2_IP6_BYTES = 36,
    V2_TLV_CRC32C = 0x03,
};

/* --- version 1 ------------------------------------------------------------------------------- */

/* A word up to a space; false when there is none, or it is empty. */
static bool take_word(struct str *line, struct str *word)
{
    struct str rest;

    if (!str_cut(*line, ' ', word, &rest))
        return false;
    *line = rest;
    return word->len > 0;
}

/* Decimal, no leading zero, at most 65535. */
static bool read_port(struct str text, uint16_t *port)
{
    uint64_t value;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[0] == '0') ||
        str_to_u64(text, &value) < 0 || value > 65535)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool read_ip(struct str text, uint16_t port, sa_family_t family, struct addr *addr)
{
    if (text.len > 0 && text.ptr[0] == '[')
        return false;
    return addr_parse_ip(text, port, addr) == 0 && addr->sa.sa_family == family;
}

static bool read_v1_addrs(struct str line, sa_family_t family, struct proxy_header *header)
{
    struct str client, server, client_port_text;
    uint16_t client_port, server_port;

    if (!take_word(&line, &client) || !take_word(&line, &server) ||
        !take_word(&line, &client_port_text))
        return false;
    header->has_addrs = true;
    return read_port(client_port_text, &client_port) && read_port(line, &server_port) &&
           read_ip(client, client_port, family, &header->client) &&
           read_ip(server, server_port, family, &header->server);
}

static enum proxy_header_answer parse_v1(struct str bytes, struct proxy_header *header)
{
    struct str line = str_make(bytes.ptr, MIN(bytes.len, (size_t)PROXY_HEADER_V1_MAX)), kind;
    ptrdiff_t end = str_find_char(line, '\n');

    if (end < 0)
        return bytes.len >= PROXY_HEADER_V1_MAX ? PROXY_HEADER_BAD : PROXY_HEADER_MORE;
    if (line.ptr[end - 1] != '\r')
        return PROXY_HEADER_BAD;
    header->len = (size_t)end + 1;
    line = str_skip(str_make(line.ptr, (size_t)end - 1), 6);
    if (str_eq(line, STR("UNKNOWN")))
        return PROXY_HEADER_DONE;
    if (!take_word(&line, &kind))
        return PROXY_HEADER_BAD;
    if (str_eq(kind, STR("UNKNOWN")))
        return PROXY_HEADER_DONE; /* what follows is to be ignored */
    bool is_good = (str_eq(kind, STR("TCP4")) && read_v1_addrs(line, AF_INET, header)) ||
                   (str_eq(kind, STR("TCP6")) && read_v1_addrs(line, AF_INET6, header));
    return is_good ? PROXY_HEADER_DONE : PROXY_HEADER_BAD;
}

/* --- version 2 ------------------------------------------------------------------------------- */

static unsigned read_u16(const char *at)
{
    return (unsigned)(uint8_t)at[0] << 8 | (uint8_t)at[1];
}

static uint32_t crc32c_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    return crc;
}

/* Over the whole header, with the checksum itself taken as zero. */
static bool checksum_is_right(struct str header, size_t checksum_at)
{
    uint32_t crc = ~0u, said = 0;

    for (size_t i = 0; i < header.len; i++) {
        bool is_checksum = i >= checksum_at && i < checksum_at + 4;
        crc = crc32c_byte(crc, is_checksum ? 0 : (uint8_t)header.ptr[i]);
    }
    for (size_t i = 0; i < 4; i++)
        said = said << 8 | (uint8_t)header.ptr[checksum_at + i];
    return ~crc == said;
}

static bool tlvs_are_valid(struct str header, size_t at)
{
    while (at < header.len) {
        if (header.len - at < 3)
            return false;
        size_t len = read_u16(header.ptr + at + 1);
        if (header.len - at - 3 < len)
            return false;
        if ((uint8_t)header.ptr[at] == V2_TLV_CRC32C &&
            (len != 4 || !checksum_is_right(header, at + 3)))
            return false;
        at += 3 + len;
    }
    return true;
}

static void addr_ip4(struct addr *addr, const char *ip, const char *port)
{
    *addr = (struct addr){.len = sizeof(addr->in)};
    addr->in.sin_family = AF_INET;
    memcpy(&addr->in.sin_addr, ip, 4);
    memcpy(&addr->in.sin_port, port, 2);
}

static void addr_ip6(struct addr *addr, const char *ip, const char *port)
{
    *addr = (struct addr){.len = sizeof(addr->in6)};
    addr->in6.sin6_family = AF_INET6;
    memcpy(&addr->in6.sin6_addr, ip, 16);
    memcpy(&addr->in6.sin6_port, port, 2);
}

/* The addresses of a whole PROXY header; how many bytes they take, or -1. */
static int read_v2_addrs(struct str whole, struct proxy_header *header)
{
    const char *at = whole.ptr + V2_HEAD;
    size_t room = whole.len - V2_HEAD;

    switch ((uint8_t)whole.ptr[13]) {
    case V2_TCP4:
        if (room < V2_IP4_BYTES)
            return -1;
        addr_ip4(&header->client, at, at + 8);
        addr_ip4(&header->server, at + 4, at + 10);
        header->has_addrs = true;
        return V2_IP4_BYTES;
    case V2_TCP6:
        if (room < V2_IP6_BYTES)
            return -1;
        addr_ip6(&header->client, at, at + 32);
        addr_ip6(&header->server, at + 16, at + 34);
        header->has_addrs = true;
        return V2_IP6_BYTES;
    default:
        return (int)room; /* unspecified, datagrams, unix: nothing we could use */
    }
}

static enum proxy_header_answer parse_v2(struct str bytes, struct proxy_header *header)
{
    if (bytes.len > 12 && (uint8_t)bytes.ptr[12] != 0x20 && (uint8_t)bytes.ptr[12] != 0x21)
        return PROXY_HEADER_BAD;
    if (bytes.len < V2_HEAD)
        return PROXY_HEADER_MORE;
    size_t len = V2_HEAD + read_u16(bytes.ptr + 14);
    if (len > PROXY_HEADER_MAX)
        return PROXY_HEADER_BAD;
    if (bytes.len < len)
        return PROXY_HEADER_MORE;
    struct str whole = str_make(bytes.ptr, len);
    header->len = len;
    if ((uint8_t)bytes.ptr[12] == 0x20)
        return PROXY_HEADER_DONE; /* LOCAL: the proxy speaks for itself */
    int addrs = read_v2_addrs(whole, header);
    if (addrs < 0 || !tlvs_are_valid(whole, V2_HEAD + (size_t)addrs))
        return PROXY_HEADER_BAD;
    return PROXY_HEADER_DONE;
}

/* --- the door -------------------------------------------------------------------------------- */

static bool begins_alike(struct str bytes, struct str wanted)
{
    return memcmp(bytes.ptr, wanted.ptr, MIN(bytes.len, wanted.len)) == 0;
}

enum proxy_header_answer proxy_header_parse(struct str bytes, struct proxy_header *header)
{
    const struct str v1 = STR_INIT("PROXY "), v2 = {v2_signature, sizeof(v2_signature)};

    *header = (struct proxy_header){0};
    if (bytes.len == 0)
        return PROXY_HEADER_MORE;
    if (begins_alike(bytes, v1))
        return bytes.len < v1.len ? PROXY_HEADER_MORE : parse_v1(bytes, header);
    if (begins_alike(bytes, v2))
        return bytes.len < v2.len ? PROXY_HEADER_MORE : parse_v2(bytes, header);
    return PROXY_HEADER_NONE;
}

/* Two addresses of one IP family, which is all that a header can say. */
static bool are_known(const struct addr *client, const struct addr *server)
{
    sa_family_t family = client->sa.sa_family;

    return family == server->sa.sa_family && (family == AF_INET || family == AF_INET6);
}

static size_t write_v1(const struct addr *client, const struct addr *server, char *out)
{
    char client_text[ADDR_TEXT_MAX], server_text[ADDR_TEXT_MAX];
    size_t room = PROXY_HEADER_V1_MAX + 1;

    if (!are_known(client, server))
        return (size_t)snprintf(out, room, "PROXY UNKNOWN\r\n");
    bool is_ip4 = client->sa.sa_family == AF_INET;
    const void *client_ip =
        is_ip4 ? (const void *)&client->in.sin_addr : (const void *)&client->in6.sin6_addr;
    const void *server_ip =
        is_ip4 ? (const void *)&server->in.sin_addr : (const void *)&server->in6.sin6_addr;
    inet_ntop(client->sa.sa_family, client_ip, client_text, sizeof(client_text));
    inet_ntop(client->sa.sa_family, server_ip, server_text, sizeof(server_text));
    return (size_t)snprintf(out, room, "PROXY TCP%c %s %s %u %u\r\n", is_ip4 ? '4' : '6',
                            client_text, server_text, addr_port(client), addr_port(server));
}

static size_t write_v2(const struct addr *client, const struct addr *server, char *out)
{
    bool is_known = are_known(client, server);
    char *at = out + V2_HEAD;

    memcpy(out, v2_signature, sizeof(v2_signature));
    out[12] = is_known ? 0x21 : 0x20;
    out[13] = 0;
    if (is_known && client->sa.sa_family == AF_INET) {
        out[13] = V2_TCP4;
        memcpy(at, &client->in.sin_addr, 4);
        memcpy(at + 4, &server->in.sin_addr, 4);
        memcpy(at + 8, &client->in.sin_port, 2);
        memcpy(at + 10, &server->in.sin_port, 2);
        at += V2_IP4_BYTES;
    } else if (is_known) {
        out[13] = V2_TCP6;
        memcpy(at, &client->in6.sin6_addr, 16);
        memcpy(at + 16, &server->in6.sin6_addr, 16);
        memcpy(at + 32, &client->in6.sin6_port, 2);
        memcpy(at + 34, &server->in6.sin6_port, 2);
        at += V2_IP6_BYTES;
    }
    out[14] = 0;
    out[15] = (char)(at - out - V2_HEAD);
    return (size_t)(at - out);
}

size_t proxy_header_write(int version, const struct addr *client, const struct addr *server,
                          char *out)
{
    return version == 1 ? write_v1(client, server, out) : write_v2(client, server, out);
}
