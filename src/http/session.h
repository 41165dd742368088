/* A session: one connection's codec, server or client side, h1 or h2. Bytes in, events out; it owns
 * no descriptor and no clock. Whoever owns the connection feeds it, writes what it puts into `out`,
 * and calls `owner` when something outside the codec has to happen. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "http/stream.h"

struct session;

struct session_ops {
    /* Takes received bytes; answers how many it used. Fewer than given: it waits for a stream
     * (paused, or h1 busy with a request) and wants them again after owner->want_input, or together
     * with more. */
    size_t (*feed)(struct session *session, struct slice data);

    /* The peer ended its sending side (after everything was fed). */
    void (*eof)(struct session *session);

    /* The connection died: every stream gets on_reset(reason). */
    void (*fail)(struct session *session, enum reason reason);

    /* `out` has drained below the low mark after being full: streams get on_writable. */
    void (*drained)(struct session *session);

    /* Begin a graceful end: h2 GOAWAY, h1 "Connection: close" on the next response;
     * owner->want_close comes when the last stream is closed. */
    void (*drain)(struct session *session);

    /* A deadline of the owner has passed while no stream was open, or while a head was arriving: h1
     * answers 408 where a request had begun; h2 says GOAWAY. want_close follows. */
    void (*expire)(struct session *session, enum reason reason);

    /* No stream has been open for a while: gives back memory that it can do without meanwhile.
     * NULL: it has none. */
    void (*rest)(struct session *session);

    /* Client only: a new stream in `arena`, or NULL when the session takes none now (busy,
     * draining, or at the peer's limit). */
    struct stream *(*open)(struct session *session, struct arena *arena,
                           const struct stream_handler *handler, void *arg);

    /* Frees the session; every stream must be closed. */
    void (*free)(struct session *session);
};

struct session_owner {
    /* Server: a request begins; set stream->handler and stream->arg before returning. Comes before
     * the stream's on_head, in the same feed. */
    void (*on_stream)(struct session *session, struct stream *stream);

    /* `out` has new bytes: write them at the end of this turn. May come from any call. */
    void (*want_write)(struct session *session);

    /* Unused input should be fed again at the end of this turn. May come from any call. */
    void (*want_input)(struct session *session);

    /* Stop or restart reading from the socket. */
    void (*set_reading)(struct session *session, bool reading);

    /* Nothing more will come of this session: write `out`, then close. Streams are gone or were
     * reset. `reason` NONE for an orderly end; else what the peer did, for the counters. Once. */
    void (*want_close)(struct session *session, enum reason reason);

    /* Server: phase changes, for the owner's deadlines. Client: IDLE means it may take a stream. */
    void (*on_phase)(struct session *session);

    /* May be NULL. A message was refused or a stream ended badly for what the peer sent: once each,
     * to count and log. `stream` is NULL when no stream had begun; else
     * its user gets on_reset with the same reason. */
    void (*on_bad)(struct session *session, struct stream *stream, enum reason reason);

    /* May be NULL. The codec answers a request itself: the owner adds what it says in every
     * response, such as Date (RFC 9110 section 6.6.1). Nothing in `head` outlives the call's
     * caller. */
    void (*on_refusal)(struct session *session, struct head *head);
};

/* What the connection is doing, so that its owner knows which deadline applies. */
enum session_phase {
    SESSION_IDLE, /* no stream open, no byte of a head seen */
    SESSION_HEAD, /* a head is arriving, no stream open */
    SESSION_BUSY, /* at least one stream open */
};

enum { SESSION_OUT_HIGH = 64 * 1024, SESSION_OUT_LOW = 16 * 1024 }; /* marks of `out`, in bytes */

enum {
    SESSION_CHUNK_EXTENSION_MAX = 4096,
    SESSION_CONNECTION_OPTIONS_MAX = 64,
    SESSION_EMPTY_LINES_MAX = 4,
};

struct session_limits {
    uint32_t max_header_bytes, max_header_count, max_line_bytes, max_uri_bytes;
    uint32_t max_held_header_bytes; /* h2: of all open streams */
    uint64_t max_body_bytes;        /* 0: none */
    uint32_t max_streams;           /* h2 server: advertised */
    uint32_t max_held_bytes;        /* h2 server: body bytes of all streams, in each direction */
    uint32_t max_requests;          /* per connection; 0: none */
    uint32_t max_cancels; /* h2 client: RST_STREAMs that we send, less one a second; 0: any */
    /* h1 only; 0: what the enum above says */
    uint32_t max_chunk_extension_bytes; /* of one body, all chunks together */
    uint16_t max_connection_options;    /* in Connection, all lines together */
    uint16_t max_empty_lines;           /* in front of a request line */
    uint32_t out_high, out_low; /* marks of `out`; 0: SESSION_OUT_HIGH and SESSION_OUT_LOW */
    bool allow_websocket;
    uint8_t target_rules;    /* enum target_rule, ored */
    bool aborts_half_closed; /* h1 server: a client that ends its side waits for nothing */
};

struct session {
    const struct session_ops *ops;
    const struct session_owner *owner;
    void *owner_arg;
    struct bufq *out;      /* borrows: the connection's write queue */
    struct buf_pool *pool; /* borrows */
    struct session_limits limits;
    int64_t now_ms;           /* set by the owner before it feeds: this room has no clock */
    enum session_phase phase; /* read by the owner */
    size_t held_bytes;        /* h2: body bytes that wait for the peer's windows */
    uint64_t moved_bytes;     /* h2: body bytes that did not have to wait any longer, ever */
    uint32_t open_streams;
    uint32_t held_stops;  /* servers: times a bound on what is held has stopped a stream; the owner
                           * takes them */
    uint64_t requests;    /* begun so far */
    uint32_t streams_max; /* h2 client: how many may be open at once; 1 until the peer has said */
    bool awaits_settings; /* h2 client: the peer has not said yet */
    bool cancels_spent;   /* h2 client: draining, because of max_cancels */
    bool is_h2, is_server;
    bool draining;
    bool wants_early_close; /* h1: keep-alive is over after the current exchange */
    bool hides_reasons;     /* server: its own answers say the status only */
    bool is_cut; /* h1 server, with want_close or fail: only a reset tells that the body was not
                  * whole */
};

/* Servers. Out, owner and pool are borrowed for the session's life. */
struct session *h1_server_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits);
struct session *h2_server_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits);

/* Clients. */
struct session *h1_client_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits);
struct session *h2_client_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits);

/* Gives the system the memory that this thread's h2 sessions have freed, and not needed since the
 * last call. */
void h2_memory_trim(void);

/* Does a plain connection begin with the h2 connection preface (prior knowledge)? Needs up to 24
 * bytes. */
enum preface { PREFACE_NO, PREFACE_YES, PREFACE_MORE };
enum preface h2_preface(struct str bytes);

/* The methods of Allow in a 405 (RFC 9110 section 15.5.6): all but CONNECT. */
#define SESSION_ALLOW "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"

/* The limits of a later configuration, for the requests to come. The marks of `out` stay what they
 * are: 0 in `limits` has been given its meaning when the session was made. */
static inline void session_set_limits(struct session *session, const struct session_limits *limits)
{
    uint32_t out_high = session->limits.out_high, out_low = session->limits.out_low;

    session->limits = *limits;
    session->limits.out_high = out_high;
    session->limits.out_low = out_low;
}

static inline size_t session_feed(struct session *session, struct slice data)
{
    return session->ops->feed(session, data);
}

static inline void session_eof(struct session *session)
{
    session->ops->eof(session);
}

static inline void session_fail(struct session *session, enum reason reason)
{
    session->ops->fail(session, reason);
}

static inline void session_drained(struct session *session)
{
    session->ops->drained(session);
}

static inline void session_drain(struct session *session)
{
    session->ops->drain(session);
}

static inline void session_expire(struct session *session, enum reason reason)
{
    session->ops->expire(session, reason);
}

static inline void session_rest(struct session *session)
{
    if (session->ops->rest != NULL)
        session->ops->rest(session);
}

static inline struct stream *session_open(struct session *session, struct arena *arena,
                                          const struct stream_handler *handler, void *arg)
{
    return session->ops->open(session, arena, handler, arg);
}

static inline void session_free(struct session *session)
{
    session->ops->free(session);
}
