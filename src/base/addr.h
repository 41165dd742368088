/* Network addresses as plain data: IPv4, IPv6 and unix sockets, and CIDR blocks. No DNS, no
 * socket. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ADDR_TEXT_MAX = 128 };

struct addr {
    socklen_t len; /* of the member in use; 0: no address */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* "192.0.2.1:443", "[2001:db8::1]:443", "unix:/run/weir.sock". -1 when it is none of these; a host
 * name is none of these. */
MUST_USE int addr_parse(struct str text, struct addr *addr);

/* A numeric address without a port ("192.0.2.1", "2001:db8::1"), with or without brackets. */
MUST_USE int addr_parse_ip(struct str text, uint16_t port, struct addr *addr);

/* What stands between the brackets of an IP literal in a URI (RFC 3986 section 3.2.2), an IPv6
 * address without a zone or IPvFuture, in its one canonical form into `out` (ADDR_TEXT_MAX). Its
 * length, or -1 when `text` is neither. */
int ip_literal_canonical(struct str text, char *out);

/* The same form addr_parse takes, into `out` (ADDR_TEXT_MAX); its length. */
size_t addr_format(const struct addr *addr, char *out);

/* Only the IP, without brackets and port, IPv4-mapped addresses as IPv4; "unix" for a unix
 * socket. */
size_t addr_format_ip(const struct addr *addr, char *out);

bool addr_eq(const struct addr *a, const struct addr *b);

/* Does a socket bound to `bound` take connections to `addr`? The same address, or the wildcard of
 * its family with the same port. */
bool addr_covers(const struct addr *bound, const struct addr *addr);

uint16_t addr_port(const struct addr *addr);
bool addr_is_unix(const struct addr *addr);

/* The IP as 16 bytes (IPv4 as ::ffff:a.b.c.d); zero for unix sockets. */
void addr_ip_bytes(const struct addr *addr, uint8_t out[16]);

struct cidr {
    uint8_t ip[16]; /* IPv4 mapped */
    uint8_t bits;   /* 0..128 */
};

/* "10.0.0.0/8", "2001:db8::/32", or a single address. */
MUST_USE int cidr_parse(struct str text, struct cidr *cidr);
/* Whether bits behind the prefix are set, as in 10.1.2.3/8; the network alone, as text, into `out`
 * (ADDR_TEXT_MAX), whose length is the answer; 0 when there are none. */
size_t cidr_without_host_bits(const struct cidr *cidr, char *out);
bool cidr_contains(const struct cidr *cidr, const uint8_t ip[16]);
bool cidrs_contain(const struct cidr *cidrs, size_t count, const uint8_t ip[16]); /* any of them */
