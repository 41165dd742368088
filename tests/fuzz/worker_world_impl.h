/* One worker and its peers: the real loop and proxy, clients on socket pairs, an upstream on a
 * socket, and a clock that only world_pass() moves. Every run of an input is the same. */
#pragma once

#include "worker_config_impl.h"
#include "worker_peer_impl.h"

#include "proxy/proxy_impl.h"

enum { CLIENTS = 4, UPSTREAMS = 64 };

struct world {
    bool is_on; /* otherwise libc is libc's */
    int64_t now_us;
    uint64_t dice;
    bool has_small_sockets;
    enum listener listener; /* all clients come there */

    struct loop *loop;
    struct metrics *metrics;
    struct quotas *quotas;
    struct proxy *proxy;
    unsigned pending; /* events of this turn */
    struct peer clients[CLIENTS];
    struct peer *upstreams; /* owns [UPSTREAMS]: weir's connections to its upstream, as they came */
    size_t upstream_count;
};

extern struct world world;

/* Once: where the upstreams of all worlds listen. */
const char *world_listen(void);
void world_unlisten(void);

/* `config` gives the quotas; the proxy has adopted nothing yet. */
void world_begin(const struct config *config, enum listener listener, bool has_small_sockets);
void world_end(void);

/* Client i, connected if it has not been yet. */
struct peer *world_client(unsigned i);

/* Upstream connections, the latest first: it is the most interesting. Beyond them a peer without
 * one. */
struct peer *world_upstream(unsigned newest);

/* One turn of weir's loop; did anything happen? */
bool world_turn(void);

/* Turns, and the peers send and read, until nothing happens. */
void world_settle(void);

void world_pass(int64_t ms);

/* No connection and no exchange. */
bool world_is_empty(void);

/* The lowest descriptor that is free. */
int world_next_fd(void);
