/* A stream: one request's lane on a connection, in either direction and over either codec. The
 * exchange holds two and copies between them; which is h1 and which h2 it never asks.
 *
 *      codec ──on_head, on_body, on_trailers, on_reset, on_writable──▶ user
 *      codec ◀──send_head, send_body, send_trailers, reset, pause, resume, close── user
 *
 * Rules that make this safe:
 *  - Only a codec's `feed` (and `eof`, `fail`, `drained`) calls back; a send never does.
 *  - In one direction: head (possibly after interim 1xx heads), body*, [trailers]; `end` is said
 * once, on whichever comes last. Nothing comes after on_reset.
 *  - The user ends every stream with stream_close, exactly once: after both directions have ended,
 * after on_reset, or at any time to give up (then the codec resets: RST_STREAM, or the h1
 * connection goes). It may do so inside a callback. After it the pointer is dead and no callback
 * comes.
 *  - Tunnels: after a 101 head was received (client) or sent (server), body bytes are raw both
 * ways. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/reason.h"
#include "http/head.h"

enum end { MORE, END };
enum stream_status { STREAM_OK, STREAM_FULL };

struct stream;

struct stream_ops {
    void (*send_head)(struct stream *stream, const struct head *head, enum end end);
    enum stream_status (*send_body)(struct stream *stream, struct slice data, enum end end);
    void (*send_trailers)(struct stream *stream, const struct field *fields, size_t count);
    void (*reset)(struct stream *stream, enum reason reason);
    void (*pause)(struct stream *stream);
    void (*resume)(struct stream *stream);
    void (*widen)(struct stream *stream); /* NULL: it has no window of its own */
    void (*close)(struct stream *stream);
};

struct stream_handler {
    /* Requests: once. Responses: once per interim head (status < 200, not 101, end is MORE), then
     * once. `head` lives in stream->arena. */
    void (*on_head)(struct stream *stream, struct head *head, enum end end);

    /* Data may be empty when end is END. May come while paused only for bytes already fed. */
    void (*on_body)(struct stream *stream, struct slice data, enum end end);

    /* Ends the message. Forbidden names are gone already. */
    void (*on_trailers)(struct stream *stream, struct field *fields, size_t count);

    /* After STREAM_FULL: there is room again. */
    void (*on_writable)(struct stream *stream);

    /* The peer, or its connection, ended this stream before it was whole. */
    void (*on_reset)(struct stream *stream, enum reason reason);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_handler *handler;
    void *arg;               /* the handler's */
    struct arena *arena;     /* server streams: embeds, lives until stream_close; client streams:
                              * borrows     the exchange's, set by session_open */
    struct session *session; /* borrows */
    uint32_t id;             /* h2 stream id; h1: number of the request on its connection */
};

/* `head` and its texts are used before this returns. `close` in the head asks h1 for Connection:
 * close. */
static inline void stream_send_head(struct stream *stream, const struct head *head, enum end end)
{
    stream->ops->send_head(stream, head, end);
}

/* Takes every byte; STREAM_FULL asks to stop until on_writable. */
static inline enum stream_status stream_send_body(struct stream *stream, struct slice data,
                                                  enum end end)
{
    return stream->ops->send_body(stream, data, end);
}

/* Ends the message. h1 sends them only where the body is chunked. */
static inline void stream_send_trailers(struct stream *stream, const struct field *fields,
                                        size_t count)
{
    stream->ops->send_trailers(stream, fields, count);
}

/* Ends our sending side badly: RST_STREAM; h1: the connection will be closed. stream_close still
 * due. */
static inline void stream_reset(struct stream *stream, enum reason reason)
{
    stream->ops->reset(stream, reason);
}

/* No more on_body than what is in hand; h2: no WINDOW_UPDATE; h1: the connection is not read. */
static inline void stream_pause(struct stream *stream)
{
    stream->ops->pause(stream);
}

static inline void stream_resume(struct stream *stream)
{
    stream->ops->resume(stream);
}

/* The response is large and its reader keeps up: the upstream may send more of it ahead. */
static inline void stream_widen(struct stream *stream)
{
    if (stream->ops->widen != NULL)
        stream->ops->widen(stream);
}

static inline void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}
