/* TLS towards clients: contexts, certificates chosen by SNI, ALPN, resumption. OpenSSL stays behind
 * this door. Each worker has its own OSSL_LIB_CTX and its own tls_server per listener and snapshot;
 * only the ticket keys are shared, so that a client may resume on any worker. */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "net/conn.h"
#include "tls/helpers.h"
#include "tls/plan.h"

/* A thread's OpenSSL library context; one per worker. */
struct tls_library;
struct tls_library *tls_library_new(void);
void tls_library_free(struct tls_library *library); /* detaches it first */

/* From now on full handshakes are admitted a few per turn of `loop`, and those with a slow key
 * (RSA) are done by `helpers` (NULL: by the worker). At most `queue_max` wait for their turn; the
 * next ends with HANDSHAKE_OVERFLOW. Until detached, which must come before `loop`
 * or `helpers` are freed and after every connection has gone; it waits for helpers that are at
 * work. A library that is not attached admits everyone at once. */
void tls_library_attach(struct tls_library *library, struct loop *loop, struct tls_helpers *helpers,
                        unsigned queue_max);
void tls_library_detach(struct tls_library *library);

/* Own thread. */
struct tls_figures {
    uint64_t offloaded; /* handshakes that a helper thread has done a part of */
};
const struct tls_figures *tls_library_figures(const struct tls_library *library);

/* Ticket keys shared by all workers of the process: the first encrypts, the others still decrypt.
 * Self-made and rotated, or from files. Readers do not wait; the rest is the control thread's. */
struct tls_tickets;
struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *tickets);
void tls_tickets_rotate(struct tls_tickets *tickets); /* every 8 h; files are left alone */

/* The keys of files (48 or 80 bytes each, at most 16), read on any thread; they may be none. NULL
 * with what is wrong. */
struct tls_ticket_files;
MUST_USE struct tls_ticket_files *tls_ticket_files_read(const struct str *paths, size_t count,
                                                        struct err *err);
void tls_ticket_files_free(struct tls_ticket_files *files);

/* From now on these keys and no others; none: from now on self-made ones. */
void tls_tickets_use(struct tls_tickets *tickets, const struct tls_ticket_files *files);

struct tls_server;

/* A listener in one worker. Its contexts are made as clients ask for their names, so this is cheap
 * however many certificates there are. Counted reference: connections keep it alive. */
struct tls_server *tls_server_new(struct tls_library *library, struct tls_tickets *tickets,
                                  struct tls_server_plan *plan);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server **server);

/* Makes `conn` (accepted, before its first callback) a TLS server connection. */
void tls_accept(struct conn *conn, struct tls_server *server);

/* The certificate a client has shown. Texts are printable ASCII without a comma but between
 * names. */
struct tls_peer {
    bool is_verified;
    struct str subject;     /* RFC 2253; "" when it is absurdly long */
    struct str names;       /* "DNS:a,URI:spiffe://b,IP:192.0.2.1"; the same */
    struct str fingerprint; /* SHA-256, hexadecimal */
};

/* Is a certificate asked for on this connection? On plain ones it never is. After the handshake. */
bool tls_asks_certificate(const struct conn *conn);

/* NULL when none was asked for or shown. Lives as long as the connection. */
const struct tls_peer *tls_peer(struct conn *conn);

/* May `host` (an authority as received, port and all) be asked for on this connection? Yes when
 * `server` demands no more and no less for it than for the name that the connection was made to
 * (RFC 9110 section 15.5.20). */
bool tls_host_fits(struct conn *conn, const struct tls_server *server, struct str host);

/* Would the name that the connection was made to ask the same of its client at `next` as it did at
 * `had`? NULL: a plain listener. After the handshake. */
bool tls_policy_stays(struct conn *conn, const struct tls_server *had,
                      const struct tls_server *next);

/* A fresh self-signed certificate (ECDSA P-256) for `names` as PEM text in malloc'ed strings, for
 * weir demo. */
MUST_USE int tls_self_signed(const char *const *names, size_t count, char **chain_pem,
                             char **key_pem, struct err *err);
