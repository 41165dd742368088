/* A connection: a socket with its transport, one read in flight, one queue of bytes to write.
 *
 * Reading: when the socket is readable the connection takes a slab from the pool, reads once (and
 * again only while the transport has more pending) and hands the bytes to `on_data`, which says how
 * many it used. What it did not use is kept and offered again, first, with new bytes behind it or
 * after conn_kick(). When all was used the slab goes back: an idle connection owns no buffer.
 *
 * Writing: a user with bytes appends them to conn_out() and calls conn_flush_later(); all
 * connections touched in a turn are written once, at its end. EPOLLOUT is asked for only after
 * EAGAIN.
 *
 * Callbacks come from the loop, or from the end of the turn; never from inside a call made by the
 * user. After on_closed (called at most once, and not after conn_abort by the user) or conn_abort
 * the connection is dead; its memory goes at the end of the turn. Who closes and does not want to
 * hear of it any more takes its handler away: conn_set_handler(conn, NULL, NULL). */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "base/reason.h"
#include "net/loop.h"
#include "net/transport.h"

struct conn;

struct conn_handler {
    /* Connected, and the transport's handshake is done. */
    void (*on_open)(struct conn *conn);

    /* Bytes are here; answer how many were used. Slices that point into `data.buf` may be kept by
     * reference (bufq_add). */
    size_t (*on_data)(struct conn *conn, struct slice data);

    /* The peer ended its sending side; unused bytes were offered before. We may still write. */
    void (*on_eof)(struct conn *conn);

    /* The write queue has fallen below the low mark after it was above the high mark. */
    void (*on_writable)(struct conn *conn);

    /* Dead: connect failed, handshake failed or late, reset, write deadline. `reason` is one of
     * NONE (closed as asked, after conn_close), UPSTREAM_CONNECT, UPSTREAM_CONNECT_TIMEOUT,
     * HANDSHAKE_FAILED, HANDSHAKE_TIMEOUT, HANDSHAKE_OVERFLOW, UNKNOWN_SNI, PLAIN_HTTP,
     * TLS_FLOOD, UPSTREAM_TLS_VERIFY,
     * CLIENT_RESET (a reset by the peer, either direction), WRITE_TIMEOUT. */
    void (*on_closed)(struct conn *conn, enum reason reason);
};

enum {
    CONN_HIGH_MARK = 64 * 1024,   /* queued bytes above which on_writable is due */
    CONN_LOW_MARK = 16 * 1024,    /* on_writable comes at or below it */
    CONN_LINGER_MS = 1000,        /* how long a closed connection still swallows the peer's bytes */
    CONN_UNUSED_MAX = 128 * 1024, /* bytes kept unused; a peer that sends more to a handler that
                                   * uses none and does not pause is cut off (CLIENT_RESET) */
};

struct conn_limits {
    uint32_t connect_ms;   /* TCP connect and handshake of a client connection */
    uint32_t handshake_ms; /* handshake of an accepted connection */
    uint32_t write_ms;     /* without progress while bytes are queued; 0: none */
};

/* Takes over an accepted, non-blocking `fd`. Plain, unless another transport is installed
 * (tls_accept) before the caller returns to the loop, from where the first callback comes. */
struct conn *conn_accepted(struct loop *loop, int fd, const struct conn_handler *handler, void *arg,
                           struct conn_limits limits);

/* Starts connecting to `addr`; the result comes as on_open or on_closed, from the loop. */
struct conn *conn_connect(struct loop *loop, const struct addr *addr,
                          const struct conn_handler *handler, void *arg, struct conn_limits limits);

/* Client connections, right after conn_connect: a few bytes that go to the socket as they are,
 * before the transport's handshake. */
void conn_send_first(struct conn *conn, struct str bytes);

/* Replaces the plain transport; only before the first callback. `state` is owned by the
 * transport. */
void conn_set_transport(struct conn *conn, const struct transport_ops *ops, void *state);
void *conn_transport_state(const struct conn *conn);

/* For transports: what the socket has told. EPIPE is what follows after FIN. */
void conn_note_errno(struct conn *conn, int errnum);

/* For transports: the socket has taken `bytes` in another operation than write. */
void conn_note_sent(struct conn *conn, size_t bytes);

/* A helper thread's part is done (IO_BUSY): go on. The worker's own thread. */
void conn_transport_ready(struct conn *conn);

void *conn_arg(const struct conn *conn);

/* Calls go to another handler from now on. With a NULL handler bytes are swallowed, the end is
 * silent. */
void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg);
struct loop *conn_loop(const struct conn *conn);
int conn_fd(const struct conn *conn);

/* Bytes to be written; append, then conn_flush_later. Valid until the connection is closed. */
struct bufq *conn_out(struct conn *conn);
void conn_flush_later(struct conn *conn);

/* What the kernel takes unsent is at first no more than `max_bytes` >> conn_unsent_shift: at most
 * 64 KiB. An accepted connection that lets it grow has all of `max_bytes` once the peer has read
 * enough to make room: who does not read costs no more than the beginning. */
uint8_t conn_unsent_shift(uint32_t max_bytes);
void conn_let_unsent_grow(struct conn *conn, uint32_t max_bytes);

/* Stops and restarts on_data. Pausing is lazy: the socket is only taken out of epoll when it
 * becomes readable meanwhile. Resuming offers unused bytes again at the end of this turn. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* Calls on_data at the end of this turn even if nothing new came: with the unused bytes, or with
 * none. */
void conn_kick(struct conn *conn);

/* How many received bytes are kept unused. */
size_t conn_unused(const struct conn *conn);

/* True when the peer has closed or sent something on a connection we think is idle: one recv with
 * MSG_PEEK. For the rare caller that must know before it sends. */
bool conn_peek_dead(struct conn *conn);

/* After on_eof, of which nothing more is read: has the peer reset the connection, or closed its
 * unix socket? */
bool conn_is_reset(const struct conn *conn);

/* Writes what is queued, says goodbye, ends our side, swallows what still comes for CONN_LINGER_MS,
 * so that the peer reads our last words before it sees a reset; then on_closed(NONE). on_data is
 * not called any more. */
void conn_close(struct conn *conn);

/* Closes at once, without on_closed. Safe anywhere, and safe twice. */
void conn_abort(struct conn *conn);

/* The same with a reset instead of an end: what the peer has is not all there is to it. */
void conn_reset(struct conn *conn);

/* --- facts for logs and decisions ------------------------------------------------------------ */

/* What TLS agreed on; all zero and "" on plain connections. Strings borrow from the connection. */
struct conn_tls_info {
    bool is_tls, resumed;
    struct str version; /* "TLSv1.3" */
    struct str cipher, curve;
    struct str auth; /* of our own certificate: "RSA", "ECDSA", or "" */
    struct str alpn; /* "h2", "http/1.1", or "" */
    struct str sni;
};
struct conn_tls_info *conn_tls_info(struct conn *conn);

uint64_t conn_bytes_in(const struct conn *conn);  /* as handed to on_data */
uint64_t conn_bytes_out(const struct conn *conn); /* as taken by the socket: with TLS, records */

/* Client connections. Behind which of our bytes those stand that are appended to conn_out() from
 * now on; with TLS, that or a lower number. */
uint64_t conn_out_offset(const struct conn *conn);

/* Up to which of our bytes the peer may have read, now that the connection has ended; none behind
 * them was read. When the peer has sent FIN, its system has acknowledged all that it had received
 * until then, and what comes later is not read. A reset proves nothing: an
 * acknowledgement that the peer has delayed is lost with it. */
uint64_t conn_maybe_read(struct conn *conn);

/* A few words about what went wrong, for the log; "" when nothing did. */
const char *conn_error_text(const struct conn *conn);

/* For transports, before they answer IO_ERROR. `reason` goes to on_closed; NONE: the usual one of
 * the state the connection is in. Copies `text`. */
void conn_set_error(struct conn *conn, enum reason reason, const char *text);

/* For transports, before they answer IO_ERROR in a handshake, after conn_set_error with a reason:
 * what they have sent is an answer that the peer shall read, so the connection lingers as after
 * conn_close and then ends with that reason. */
void conn_set_last_words(struct conn *conn);
