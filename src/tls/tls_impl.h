/* What the files of tls/ share: the library context, one connection's TLS state, loaded
 * certificates. */
#pragma once

#include "base/list.h"
#include "net/conn.h"
#include "tls/client.h"
#include "tls/server.h"

#include <openssl/ssl.h>

struct tls_library {
    OSSL_LIB_CTX *ctx;           /* owns */
    BIO_METHOD *bio;             /* owns: how records get on and off the socket */
    EVP_CIPHER *aes128, *aes256; /* own: fetched once, not per ticket */
    struct list ca_stores;       /* ca_store.node: shared by the clients of this thread */

    /* admission of full handshakes (admission.c); loop NULL: everyone signs at once */
    struct loop *loop;           /* borrows */
    struct tls_helpers *helpers; /* borrows; NULL: the worker signs itself */
    struct wakeup *wakeup;       /* owns: a helper has finished; NULL without helpers */
    struct list done;            /* tls_step.node, under the helpers' mutex */
    struct list waiting;         /* tls_step.node: for a turn of this loop */
    unsigned waiting_count, queue_max;
    unsigned credit; /* what handshakes may still cost in the turn of credit_at_us */
    int64_t credit_at_us;
    struct task turn;
    struct tls_figures figures;
};

/* --- one connection -------------------------------------------------------------------------- */

/* What signing with a key costs: RSA (and whatever we do not know) is slow. */
enum key_speed { KEY_FAST, KEY_SLOW };

struct tls_step;

struct tls_stream {
    SSL *ssl;                      /* owns */
    struct conn *conn;             /* borrows; NULL: gone while a helper had the stream */
    struct tls_library *library;   /* borrows */
    struct tls_step *step;         /* owns: the handshake waits; NULL: it does not */
    struct tls_server *server;     /* shares; NULL on client connections */
    struct tls_client *client;     /* shares; NULL on server connections */
    struct tls_session_slot *slot; /* borrows; may be NULL */
    struct tls_peer_text *peer;    /* owns; NULL: the client's certificate was not asked for */
    union {
        uint64_t slot_policy; /* clients: under which what is saved in `slot` may be resumed */
        uint64_t hello_name;  /* servers: hash of the name in the first hello */
    };

    struct buf *left; /* owns: records the socket did not take, [left_off, left->len) */
    uint32_t left_off;
    uint32_t gathered;  /* bytes in `gather` */
    char *gather;       /* borrows: the loop's scratch, while one operation runs */
    size_t sent;        /* bytes the socket took during this operation */
    int sock_errno;     /* the socket is dead */
    bool sock_eof : 1;  /* the peer has closed the socket */
    bool recv_once : 1; /* this operation may read the socket only once */
    bool recv_done : 1; /* it has, or there is nothing more to read */
    bool starved : 1;   /* OpenSSL needs bytes that only the socket can give */
    bool broken : 1;    /* a fatal error: no more SSL_ calls but SSL_free */
    bool on_helper : 1; /* its thread is a helper: the socket and the connection are not ours */
    bool is_open : 1;   /* the handshake is done */
    bool may_sign : 1;  /* the next step may use the private key */
    bool to_helper : 1; /* the next step is a helper's */
    bool has_read : 1;  /* something has come from the socket */
    bool is_head : 1;   /* plain HTTP, and its answer has no body */
    bool has_hello : 1; /* a client's hello has come; another may follow a HelloRetryRequest */
    uint8_t refusal;    /* enum reason: why the hello was refused; NONE: it was not */
    uint8_t key_speed;  /* enum key_speed: of the key it will use */
    uint16_t chatter;   /* handshake messages after the handshake, less what time has forgiven */
    uint32_t chatter_at_s;
};

/* Makes `conn` a TLS connection over `ssl` (owned from now on). */
struct tls_stream *tls_stream_new(struct conn *conn, struct tls_library *library, SSL *ssl);

/* For SSL_CTX_set_info_callback of servers: counts what a client says beside its data. */
void tls_on_info(const SSL *ssl, int where, int value);

/* Frees all but the connection. */
void tls_stream_free(struct tls_stream *s);

BIO_METHOD *tls_bio_method_new(void);

/* Modes and options that servers and clients share. */
void tls_ctx_common(SSL_CTX *ctx, enum tls_version min_version);

/* The first line of OpenSSL's error queue into `out`; empties the queue. */
const char *tls_error_text(char *out, size_t size);

/* --- admission of full handshakes ------------------------------------------------------------ */

/* Asked in the middle of a full handshake: may it go on to use the private key, here and now? If
 * not, the step must end and tls_postpone be called. On a helper thread always. */
bool tls_may_sign(struct tls_stream *s, enum key_speed speed);

/* Queues the stream: IO_BUSY, or IO_ERROR when too many wait. */
enum io tls_postpone(struct tls_stream *s);

/* The connection has closed: clears s->step. False when a helper is at it: then the stream is freed
 * when it comes back (s->conn must be NULL by then). */
bool tls_step_abandon(struct tls_stream *s);
void tls_step_free(struct tls_step *step);

/* --- tickets --------------------------------------------------------------------------------- */

struct ticket_key {
    unsigned char name[16], hmac[32], aes[32];
    uint32_t secret_len; /* of hmac and aes: 16 or 32 bytes */
};

enum {
    TICKET_KEPT = 4,  /* self-made keys that still open tickets */
    TICKET_KEYS = 16, /* from files */
};

struct ticket_keys {
    unsigned count;
    struct ticket_key keys[TICKET_KEYS]; /* the newest first */
};

/* The present keys. Valid for several rotations: hours. */
const struct ticket_keys *tls_tickets_keys(const struct tls_tickets *tickets);

/* The two halves of OpenSSL's callback: they choose a key, and set up `cipher` and `mac` with it.
 * What they return is what it wants to hear: 1 good, 2 good but give the client a fresh one, 0 not
 * ours, -1 failed. */
int tls_ticket_seal(const struct tls_library *library, const struct ticket_keys *keys,
                    unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac);
int tls_ticket_open(const struct tls_library *library, const struct ticket_keys *keys, int version,
                    const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac);

/* --- connections to upstreams (client.c) ------------------------------------------------------ */

/* Would a context of this plan be taken? */
MUST_USE int client_ctx_check(struct tls_library *library, const struct tls_client_plan *plan,
                              struct err *err);
