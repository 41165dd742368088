/* A client: who is connected to a listener. Its address, whether its forwarding fields are trusted,
 * the caps that it counts for, and what a PROXY header to an upstream says of it. Every listener
 * needs this, whatever its protocol. The HTTP session on the connection is downstream.c. */
#pragma once

#include "base/addr.h"
#include "upstream/upstream.h"

struct proxy;
struct serving_listener;

struct client {
    struct proxy *proxy;                     /* borrows */
    const struct serving_listener *listener; /* borrows from the configuration of its connection */
    uint64_t key, listener_key;              /* its own, and its listener's, among the quotas */
    struct upstream_client *identity; /* owns; NULL: not needed yet, and no PROXY header came */
    uint16_t port;
    bool is_trusted : 1; /* one of trusted_proxies, or on a unix socket that is trusted */
    bool is_unix : 1;
    bool is_unwelcome : 1; /* came while weir was overloaded: its requests get 503 */
    bool is_tallied : 1;   /* counted among the connections of its address */
    uint8_t text_len;
    uint8_t ip[16]; /* IPv4 mapped */
    char text[47];  /* its IP, for forwarding fields */
};

/* `peer` is the client as far as it is known. `server` is where it believes to be connected to, from
 * a PROXY header; NULL: the socket's own address. Zeroed before. */
void client_init(struct client *client, struct proxy *proxy,
                 const struct serving_listener *listener, const struct addr *peer,
                 const struct addr *server);

/* Connections that upstreams keep for this client close; no lease of it is open. */
void client_end(struct client *client);

/* After client_end, when no call up the stack holds the identity. */
void client_deinit(struct client *client);

/* The same listener in a new configuration: trust is decided anew. */
void client_follow(struct client *client, const struct serving_listener *listener);

/* What a PROXY header to an upstream says of it: both ends of its connection, whose descriptor is
 * `fd`; -1: it is closed. Made at the first call. */
struct upstream_client *client_identity(struct client *client, int fd);

static inline struct str client_text(const struct client *client)
{
    return str_make(client->text, client->text_len);
}
