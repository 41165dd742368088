/* What the proxies in front say of a client: X-Forwarded-For, X-Forwarded-Proto and Forwarded
 * (RFC 7239). Pure; the caller knows whether the peer is one whose word counts. */
#pragma once

#include "base/addr.h"
#include "config/config.h"

struct forwarded_client {
    struct addr addr;   /* the client, when is_known */
    bool is_known;      /* else the peer itself is all that is known */
    bool is_unreadable; /* an element that had to be read names no address */
};

/* The last address that is not one of the trusted proxies, which is the last one that one of them
 * has seen; when all are proxies, the first. Ports are ignored and empty elements skipped. What
 * stands in front of an element without an address ("unknown", "_hidden") is not believed: it came
 * from a place that cannot be checked. Forwarded counts where X-Forwarded-For is empty. */
struct forwarded_client forwarded_client(const struct listener_conf *conf,
                                         struct str x_forwarded_for, struct str forwarded);

/* The scheme that the client used, as the first element says that names one; "" when none does. */
struct str forwarded_proto(struct str x_forwarded_proto, struct str forwarded);
