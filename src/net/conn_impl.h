/* The inside of a connection, for conn*.c, plain.c and the loop's end. */
#pragma once

#include "net/conn.h"
#include "net/loop_impl.h"

#include <ev.h>

enum conn_state {
    CONN_CONNECTING, /* waiting for the TCP handshake */
    CONN_HANDSHAKE,  /* waiting for the transport's handshake */
    CONN_OPEN,       /* bytes go both ways */
    CONN_CLOSING,    /* our last words are still being written */
    CONN_LINGER,     /* all said; swallowing until the peer ends too */
    CONN_DEAD,       /* freed at the end of this turn */
};

/* Kept small: tens of thousands of them are idle. What is rarely needed hangs behind a pointer. */
struct conn {
    ev_io io;
    struct list node; /* in the loop's list of connections */
    struct loop *loop;
    const struct conn_handler *handler; /* NULL: events are ignored */
    void *arg;
    const struct transport_ops *ops;
    void *transport_state; /* owns, through ops->free */

    struct buf *in; /* shares: received bytes; [in_off, in->len) are unused */
    uint32_t in_off;
    uint32_t swallowed; /* bytes thrown away since conn_close */
    struct bufq out;

    struct task task;
    struct deadline deadline; /* of connect, handshake, write progress or linger, by state */
    struct reap reap;
    struct conn_limits limits;

    uint8_t state; /* enum conn_state */
    uint8_t todo;  /* TODO_ bits: what the task is for */
    uint8_t
        read_end; /* enum io: IO_EOF or IO_ERROR came, but unused bytes had to be offered first */
    bool is_client : 1;
    bool paused : 1;           /* by the user */
    bool kicked : 1;           /* conn_kick: on_data comes even without bytes */
    bool read_off : 1;         /* readable but not wanted: out of epoll */
    bool write_wait : 1;       /* the socket is full: EPOLLOUT is on */
    bool write_needs_read : 1; /* the transport must read before it can write on */
    bool busy : 1;             /* a helper thread has the transport */
    bool eof : 1;              /* the peer has ended its side */
    bool was_full : 1;         /* above the high mark since on_writable was last called */
    bool tls_info_final : 1;   /* asked for after the handshake: it changes no more */
    bool is_bulky : 1;         /* the last read has filled its slab: the next gets a large one */
    bool is_silent : 1;        /* closed before it was open: no last words */
    bool has_first : 1;        /* `out` holds what goes before the handshake (conn_send_first) */
    bool has_last_words : 1;   /* the handshake has failed; its answer shall arrive */
    bool was_reset : 1;        /* the socket has told an error that is no consequence of FIN */
    uint8_t unsent_shift;      /* > 0: it may grow by so much (conn_let_unsent_grow) */

    uint16_t reason;                /* enum reason: what a transport has found out */
    int errnum;                     /* why connecting failed at once, or 0 */
    char *error_text;               /* owns; NULL: none */
    struct conn_tls_info *tls_info; /* owns; NULL: not asked for yet */
    uint64_t bytes_in, bytes_out;
    uint64_t maybe_read; /* of a client connection that has ended: see conn_maybe_read */
};

/* What the task at the end of the turn is for. */
enum {
    TODO_START = BIT(0),
    TODO_OFFER = BIT(1), /* unused bytes again, then what the transport has pending */
    TODO_FLUSH = BIT(2),
    TODO_READY = BIT(3), /* conn_transport_ready */
};

extern const struct transport_ops plain_ops;

/* --- conn.c ---------------------------------------------------------------------------------- */

/* A connection that begins with the handshake of its transport, and a task to start it. */
struct conn *conn_new(struct loop *loop, int fd, const struct conn_handler *handler, void *arg,
                      struct conn_limits limits);

/* Ends it for `reason` and tells the user. Memory goes after the turn. */
void conn_end(struct conn *conn, enum reason reason);

/* Ends with what the transport found out, or else with `reason`. */
void conn_fail(struct conn *conn, enum reason reason);

/* Tells epoll, by way of libev, when what the connection waits for has changed; mostly it has not. */
void conn_watch(struct conn *conn);

/* Does what the TODO_ bits say at the end of this turn. */
void conn_do_later(struct conn *conn, unsigned todo);

/* --- conn_write.c ---------------------------------------------------------------------------- */

void conn_flush(struct conn *conn);

/* The socket was full, and is writable now. */
void conn_made_room(struct conn *conn);

/* All is written: says goodbye, and waits for the peer's end. */
void conn_linger(struct conn *conn);
void conn_end_lingering(struct conn *conn);

/* --- conn_read.c ----------------------------------------------------------------------------- */

void conn_read(struct conn *conn);
void conn_readable(struct conn *conn);

/* Offers unused bytes once more: after conn_resume or conn_kick. */
void conn_offer_again(struct conn *conn);

/* Throws away what the peer still sends after conn_close. */
void conn_swallow(struct conn *conn);

/* --- conn_open.c ----------------------------------------------------------------------------- */

/* The first turn of a new connection. */
void conn_start(struct conn *conn);

/* connect() has ended, well or not. */
void conn_connected(struct conn *conn);
void conn_handshake(struct conn *conn);
void conn_handshake_event(struct conn *conn);

/* What conn_maybe_read answers, asked of the socket. */
uint64_t conn_find_maybe_read(const struct conn *conn);
