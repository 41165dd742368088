/* What both h1 fuzzers share: a session with at most one stream, fed in random cuts. The input's
 * first byte seeds the cuts and the user's whims; the rest is what the peer sends. */
#pragma once

#include "base/hash.h"
#include "http/h1_impl.h"

#include <stdlib.h>
#include <string.h>

struct h1_rig {
    struct buf_pool pool;
    struct bufq out;
    struct session *session; /* its owner_arg, and the stream's arg: the rig */
    struct stream *stream;   /* NULL: none, or closed by its user */
    uint64_t dice;
    uint8_t seed;
    bool closed, was_reset;
};

/* Once in `n` times. */
static inline bool h1_rig_whim(struct h1_rig *rig, unsigned n)
{
    return rand_next(&rig->dice) % n == 0;
}

/* --- the user -------------------------------------------------------------------------------- */

static inline void h1_rig_close_stream(struct h1_rig *rig)
{
    struct stream *stream = rig->stream;

    rig->stream = NULL;
    stream_close(stream);
}

static inline void h1_rig_on_writable(struct stream *stream UNUSED)
{
}

static inline void h1_rig_on_reset(struct stream *stream, enum reason reason)
{
    struct h1_rig *rig = stream->arg;

    ASSERT(reason != REASON_NONE && !rig->was_reset);
    rig->was_reset = true;
    if (h1_rig_whim(rig, 2))
        h1_rig_close_stream(rig);
}

/* --- the owner ------------------------------------------------------------------------------- */

static inline void h1_rig_ignore(struct session *session UNUSED)
{
}

static inline void h1_rig_set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static inline void h1_rig_want_close(struct session *session, enum reason reason UNUSED)
{
    struct h1_rig *rig = session->owner_arg;

    ASSERT(!rig->closed);
    rig->closed = true;
}

/* --- the connection -------------------------------------------------------------------------- */

static inline void h1_rig_init(struct h1_rig *rig, uint8_t seed)
{
    *rig = (struct h1_rig){.dice = seed, .seed = seed};
    buf_pool_init(&rig->pool);
    bufq_init(&rig->out, &rig->pool);
}

/* What the session has left of the last piece comes again in front of the next. */
static inline size_t h1_rig_feed_once(struct h1_rig *rig, struct str text)
{
    /* A copy of exactly these bytes, so that a read behind them is seen. */
    char *bytes = malloc(text.len);

    memcpy(bytes, text.ptr, text.len);
    size_t used = session_feed(rig->session, (struct slice){NULL, bytes, text.len});
    free(bytes);
    ASSERT(used <= text.len);
    if (rig->stream != NULL)
        stream_resume(rig->stream);
    return used;
}

/* All of `text`, or until the session is closed or waits for more; `after` follows each piece. */
static inline void h1_rig_feed(struct h1_rig *rig, struct str text, void (*after)(struct h1_rig *))
{
    size_t used = 0, shown = 0;

    while (used < text.len && !rig->closed) {
        shown += 1 + rand_next(&rig->dice) % 64;
        shown = MIN(shown, text.len);
        size_t n = h1_rig_feed_once(rig, str_make(text.ptr + used, shown - used));
        used += n;
        after(rig);
        if (shown == text.len && n == 0)
            break;
    }
}

/* The peer ends the connection in an orderly way, or it fails with `reason`. */
static inline void h1_rig_end(struct h1_rig *rig, enum reason reason)
{
    if (rig->seed % 2 == 0)
        session_eof(rig->session);
    else
        session_fail(rig->session, reason);
    if (rig->stream != NULL)
        h1_rig_close_stream(rig);
    session_free(rig->session);
    bufq_deinit(&rig->out);
}

/* By then everything is given back. */
static inline void h1_rig_deinit(struct h1_rig *rig)
{
    ASSERT(rig->pool.in_use == 0);
    buf_pool_deinit(&rig->pool);
}
