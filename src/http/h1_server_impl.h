/* The HTTP/1 server session, for its two halves: h1_server.c reads requests, h1_respond.c writes
 * responses. */
#pragma once

#include "http/h1_impl.h"

/* Where we are in the request. */
enum in_state {
    IN_HEAD,   /* between requests, or a head is arriving */
    IN_LENGTH, /* `in_left` body bytes to come */
    IN_CHUNKED,
    IN_TRAILERS,
    IN_DONE,   /* request whole; what comes now is the next one's */
    IN_TUNNEL, /* raw bytes after 101 */
    IN_CLOSED, /* nothing is read any more */
};

static const uint8_t in_may_follow[] = {
    [IN_HEAD] = BIT(IN_LENGTH) | BIT(IN_CHUNKED) | BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_LENGTH] = BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_CHUNKED] = BIT(IN_TRAILERS) | BIT(IN_CLOSED),
    [IN_TRAILERS] = BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_DONE] = BIT(IN_HEAD) | BIT(IN_TUNNEL) | BIT(IN_CLOSED),
    [IN_TUNNEL] = BIT(IN_CLOSED),
    [IN_CLOSED] =
        BIT(IN_TUNNEL) | BIT(IN_CLOSED), /* a client that ended its side may be switched */
};

/* Where we are in the response. IDLE means that there is no stream. */
enum out_state {
    OUT_IDLE,
    OUT_HEAD,   /* the final response head has not been sent */
    OUT_LENGTH, /* `out_left` body bytes to be sent */
    OUT_CHUNKED,
    OUT_RAW,  /* until close, or tunnel */
    OUT_DONE, /* response whole */
};

static const uint8_t out_may_follow[] = {
    [OUT_IDLE] = BIT(OUT_HEAD),
    [OUT_HEAD] = BIT(OUT_LENGTH) | BIT(OUT_CHUNKED) | BIT(OUT_RAW) | BIT(OUT_IDLE),
    [OUT_LENGTH] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_CHUNKED] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_RAW] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_DONE] = BIT(OUT_IDLE),
};

/* What becomes of the connection; it only ever moves down this list. */
enum fate {
    FATE_KEPT,    /* another request may follow */
    FATE_CLOSES,  /* after the response */
    FATE_CLOSING, /* the owner knows */
};

struct h1_server {
    struct session session;
    struct stream stream; /* of the current request */
    struct arena arena;   /* its memory */
    struct h1_input input;
    uint64_t in_left, out_left;
    uint64_t body_bytes;  /* of the current request, for max_body_bytes */
    enum method method;   /* of the current request, or of what may become one */
    enum in_state in;     /* in_enter */
    enum out_state out;   /* out_enter */
    enum fate fate;       /* fate_becomes */
    uint16_t empty_lines; /* seen in front of the next request line */
    uint8_t names;        /* enum name_case of the response */
    /* of the current request */
    bool is_http10, expects_continue;
    bool wants_upgrade; /* to a tunnel, of which the client's side must be open */
    bool was_reset;     /* the stream gets no more calls */
    /* flow */
    bool is_paused;      /* by the user of the stream */
    bool is_full;        /* on_writable is due when `out` has drained */
    bool waits_for_room; /* the next request is not read before `out` has drained */
};

static inline void in_enter(struct h1_server *s, enum in_state next)
{
    ASSERT((in_may_follow[s->in] & BIT(next)) != 0);
    s->in = next;
}

static inline void out_enter(struct h1_server *s, enum out_state next)
{
    ASSERT((out_may_follow[s->out] & BIT(next)) != 0);
    s->out = next;
}

static inline void fate_becomes(struct h1_server *s, enum fate fate)
{
    s->fate = MAX(s->fate, fate);
}

static inline bool has_stream(const struct h1_server *s)
{
    return s->out != OUT_IDLE;
}

static inline struct h1_server *of_session(struct session *session)
{
    return CONTAINER_OF(session, struct h1_server, session);
}

static inline struct h1_server *of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h1_server, stream);
}

/* --- h1_server.c ----------------------------------------------------------------------------- */

void h1_server_set_phase(struct h1_server *s, enum session_phase phase);

/* No more input, and the connection ends when `out` is written. */
void h1_server_say_close(struct h1_server *s, enum reason reason);
void h1_server_want_write(struct h1_server *s);
void h1_server_start_reading(struct h1_server *s);

/* The response goes no further: notes whether its body ends with the connection. */
void h1_server_note_cut(struct h1_server *s);

/* --- h1_respond.c ---------------------------------------------------------------------------- */

extern const struct stream_ops h1_server_stream_ops;
