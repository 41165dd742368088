/* An upstream connection: a conn and the client session on it. */
#pragma once

#include "upstream/upstream.h"

struct endpoint;

enum {
    H2_STREAMS = 100,           /* at once on one h2 connection, as far as the origin allows */
    RESPONSE_MAX_FIELDS = 256,  /* header fields of a response */
    RESPONSE_MAX_OPTIONS = 64,  /* named in Connection */
    RESPONSE_START_ROOM = 8192, /* for the status line, beside max_response_header_bytes */
};

enum upconn_state {
    UPCONN_CONNECTING, /* TCP and TLS on their way */
    UPCONN_OPEN,
    UPCONN_CLOSING, /* saying goodbye; no longer its endpoint's business */
    UPCONN_DEAD,    /* the connection is closed; leases may still have to be released */
    UPCONN_REAPED,  /* memory goes at the end of this turn */
};

enum pool_list { IN_NONE, IN_CONNECTING, IN_AVAILABLE, IN_BUSY, IN_CLOSING };

/* One connection to an endpoint: a conn and the client session on top of it. */
struct upconn {
    struct list node; /* in the list that `in` names */
    enum pool_list in;
    enum upconn_state state;
    struct upstream *upstream;
    struct endpoint *endpoint;      /* shares */
    struct upstream_client *client; /* borrows: the only one it is for; NULL: any */
    struct list own;                /* in client->conns */
    struct conn *conn;              /* owns; NULL when DEAD */
    struct session *session;        /* owns; NULL until open */
    unsigned leases;                /* streams handed out and not yet released */
    unsigned on_stack;              /* calls into the session that have not returned */
    uint32_t expected;              /* streams hoped for: while it is being made, and until an h2
                                     * peer has said how many it allows */
    size_t left_bytes;              /* what the session did not use of the data it was just given */
    bool is_paused, is_counted, is_in_data;
    bool is_broken;   /* must not carry another request */
    bool wants_close; /* the session has nothing more to say */
    int64_t started_us;
    int64_t heard_at_ms; /* when bytes came last; 0: none yet */
    uint64_t first_byte; /* where the last request begins, or before that */
    const char *error;   /* borrows, while its streams are reset; else NULL */
    uint64_t maybe_read; /* the peer has read nothing behind that byte; UINT64_MAX: not known */
    struct deadline idle;
    struct bufq no_out; /* where a session writes that has lost its connection */
    struct task settle;
    struct reap reap;
};

/* --- upconn_pool.c --------------------------------------------------------------------------- */

/* Says how many more streams the connection is expected to carry soon. */
void upconn_expect(struct upconn *u, uint32_t streams);

void upconn_enter_list(struct upconn *u, enum pool_list in);
void upconn_leave_list(struct upconn *u);

/* The connection is no longer its client's own. */
void upconn_leave_client(struct upconn *u);

/* Takes the connection away from its endpoint, its client and its session. */
void upconn_detach(struct upconn *u);

/* The conn is closed: clears it, and settles. */
void upconn_die(struct upconn *u);

/* Can it take another request, as far as the session, the endpoint and the configuration say? */
bool upconn_may_carry_more(const struct upconn *u);

void upconn_on_settle_task(struct task *task);
void upconn_on_idle(struct deadline *deadline);

/* Puts the connection where it belongs: pooled, closed, freed. Safe at any time: it does nothing
 * while a call into the session is on the stack, and who made that call settles afterwards. */
void upconn_settle(struct upconn *u);

/* --- upconn.c -------------------------------------------------------------------------------- */

/* Starts a connection to `endpoint`, for `client` alone where that is not NULL. */
void upconn_connect(struct endpoint *endpoint, struct upstream_client *client);

/* Is a connection to `endpoint` being made for `client`? */
bool client_is_connecting(const struct upstream_client *client, const struct endpoint *endpoint);

/* A stream for `lease`, or NULL when the session takes none now. */
struct stream *upconn_open_stream(struct upconn *u, struct lease *lease);

/* Closes lease->stream and puts the connection where it belongs now. */
void upconn_release_stream(struct upconn *u, struct lease *lease);

/* The connection has ended: is it certain that the peer has read nothing of the lease's request? */
bool upconn_was_unread(const struct upconn *u, const struct lease *lease);

/* False when the peer has already closed a connection that we believe idle; it is dropped then. */
bool upconn_check_alive(struct upconn *u);

/* Closes the connection now, without calls to its streams: for connections without leases. */
void upconn_abort(struct upconn *u);

/* The connection ends with a goodbye. */
void upconn_close(struct upconn *u);

static inline bool upconn_is_attached(const struct upconn *u)
{
    return u->state == UPCONN_CONNECTING || u->state == UPCONN_OPEN;
}
