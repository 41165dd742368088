/* How a connection's bytes get on and off its socket. `net/plain.c` is one way; `tls/` fills in the
 * other, so that net/ never says SSL_. All calls on the worker's thread, none blocks. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

struct conn;
struct conn_tls_info;

enum io {
    IO_OK,
    IO_WANT_READ,  /* nothing more now: wait until the socket is readable */
    IO_WANT_WRITE, /* nothing more now: wait until the socket is writable */
    IO_BUSY,       /* a helper thread works on it; conn_transport_ready() will be called */
    IO_EOF,        /* the peer has ended its side cleanly */
    IO_ERROR,      /* dead: errno or the transport's own words in conn_error_text() */
};

struct transport_ops {
    /* Goes on with the handshake; IO_OK when done (plain: always). */
    enum io (*handshake)(struct conn *conn);

    /* Reads up to `size` bytes (> 0) into `out`. IO_OK with *got > 0, or why not. */
    enum io (*read)(struct conn *conn, void *out, size_t size, size_t *got);

    /* Is more readable without asking the socket? Then no readiness event will tell. */
    bool (*has_pending)(struct conn *conn);

    /* Writes from the front of `q` as much as the socket takes and drops it from `q`; adds the
     * bytes that the socket took to *written (progress for the write deadline; with TLS, bytes of
     * records, which may go out later than they leave `q`). IO_OK when all is sent; `q` may be
     * empty before. */
    enum io (*write)(struct conn *conn, struct bufq *q, size_t *written);

    /* Says goodbye (close_notify) without waiting for an answer; best effort. */
    void (*goodbye)(struct conn *conn);

    /* What the handshake agreed on; NULL: the transport has none. Called on demand. */
    void (*info)(struct conn *conn, struct conn_tls_info *info);

    /* Frees conn->transport_state. After the turn in which the connection ended; its fd is
     * closed. */
    void (*free)(struct conn *conn);
};
