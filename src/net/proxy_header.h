/* The PROXY protocol, versions 1 and 2 (haproxy doc/proxy-protocol.txt): a few bytes before
 * everything else on a connection, by which a proxy that speaks no HTTP says who the client is.
 * Strict, and pure: bytes in, addresses out. */
#pragma once

#include "base/addr.h"

enum {
    PROXY_HEADER_V1_MAX = 107,  /* with its line end */
    PROXY_HEADER_MAX = 16 + 520 /* the longest version 2 header we take, TLVs included */
};

enum proxy_header_answer {
    PROXY_HEADER_MORE, /* so far so good: all of these bytes belong to it, and more are to come */
    PROXY_HEADER_DONE,
    PROXY_HEADER_NONE, /* not the beginning of one */
    PROXY_HEADER_BAD,  /* it began like one */
};

struct proxy_header {
    size_t len;     /* bytes of the header */
    bool has_addrs; /* false: LOCAL, UNKNOWN or a family we do not know: the socket's own count */
    struct addr client, server;
};

/* Looks at the first bytes of a connection. Fills `header` when DONE. */
enum proxy_header_answer proxy_header_parse(struct str bytes, struct proxy_header *header);

/* Writes the header of `version` (1 or 2) for a connection from `client` to `server` into `out` of
 * PROXY_HEADER_V1_MAX + 1 bytes; its length. Unix sockets, mixed families and addresses that are
 * none become UNKNOWN and LOCAL. */
size_t proxy_header_write(int version, const struct addr *client, const struct addr *server,
                          char *out);
