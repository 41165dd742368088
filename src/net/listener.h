/* A listening socket in one worker's loop (SO_REUSEPORT: each worker has its own for the same
 * address), and the accept path with its answer to a want of descriptors. */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "net/loop.h"

struct listener_sock;

/* Opens and binds, non-blocking and close-on-exec, with SO_REUSEPORT (TCP) and IPV6_V6ONLY. A stale
 * unix socket file is replaced; a live one is an error. Any thread. -1 with err, or the fd. */
MUST_USE int listener_bind(const struct addr *addr, struct err *err);

/* Connections are taken from now on; harmless when they are already. */
MUST_USE int listener_listen(int fd, const struct addr *addr, struct err *err);

/* Both in one step. */
MUST_USE int listener_open(const struct addr *addr, struct err *err);

/* Is this TCP address free? Sockets with SO_REUSEPORT of two processes share an address silently,
 * and would divide its connections, so a caller that opens an address for the first time asks here.
 * Unix sockets and port 0 are always free. -1 with err when it is taken. */
MUST_USE int listener_check_free(const struct addr *addr, struct err *err);

/* Called for every accepted connection with a non-blocking fd that the callee now owns. */
typedef void listener_accepted(void *arg, int fd, const struct addr *peer);

struct listener_figures {
    uint64_t refused; /* connections closed at once for want of descriptors */
    uint64_t pauses;  /* pauses of accepting after that */
};

/* Starts accepting on `fd` (owned from now on). At most 32 connections are taken per turn. When
 * descriptors run out (loop_limit_descriptors, or the kernel's EMFILE) the listener refuses one
 * connection, pauses for 100 ms, in which others wait in the kernel's backlog, and goes on;
 * `figures` (may be NULL) counts. */
struct listener_sock *listener_start(struct loop *loop, int fd, listener_accepted *accepted,
                                     void *arg, struct listener_figures *figures);

/* Of what it cannot send yet, the kernel takes no more than about `max_bytes` from each connection
 * that is accepted from now on: not megabytes of our encrypting, and of its memory, for a client
 * that reads slowly or has gone by the time they would be sent (TCP_NOTSENT_LOWAT). They begin with
 * 64 KiB of it at most; see conn_let_unsent_grow. */
void listener_limit_unsent(struct listener_sock *listener, uint32_t max_bytes);

/* Takes now what waits in the kernel's backlog. */
void listener_accept_waiting(struct listener_sock *listener);

/* Stops accepting; what was accepted stays. Connections still in the kernel's backlog are taken and
 * handed over first, so that a drain loses none. Closes the fd. */
void listener_stop(struct listener_sock *listener);
