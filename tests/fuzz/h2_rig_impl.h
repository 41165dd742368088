/* What both h2 fuzzers share: a user and an owner whose whims come from the input, so that streams
 * are paused, answered, reset and closed at any moment. */
#pragma once

#include "http/chars.h"
#include "http/session.h"

#include <string.h>

enum { FUZZ_STREAMS = 256, FUZZ_PIECE = 20000 };

struct fuzz {
    struct buf_pool pool;
    struct bufq out;
    struct session *session;
    struct stream *streams[FUZZ_STREAMS];
    struct arena arenas[FUZZ_STREAMS];
    bool told[FUZZ_STREAMS]; /* got on_reset */
    unsigned count;
    const uint8_t *whim, *whim_end;
    bool want_input, was_full, closed;
};

static inline uint8_t fuzz_whim(struct fuzz *f)
{
    return f->whim < f->whim_end ? *f->whim++ : 0;
}

static inline struct fuzz *fuzz_of(struct stream *stream)
{
    return stream->session->owner_arg;
}

static inline void fuzz_close(struct fuzz *f, size_t i)
{
    struct stream *stream = f->streams[i];

    f->streams[i] = NULL;
    if (stream != NULL)
        stream_close(stream);
}

static inline void fuzz_send_head(struct stream *stream, int status, enum end end)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init_response(&head, &arena, status);
    head.method = METHOD_POST;
    head.method_text = STR("POST");
    head.authority = STR("a.org");
    head.path = STR("/");
    head_add(&head, STR("X-Fuzz"), STR("1"));
    head_add(&head, STR("Connection"), STR("close"));
    stream_send_head(stream, &head, end);
    arena_reset(&arena);
}

static inline void fuzz_send_body(struct fuzz *f, struct stream *stream, size_t len, enum end end)
{
    struct buf *buf = buf_new_sized(&f->pool, FUZZ_PIECE);

    memset(buf->data, 'b', len);
    stream_send_body(stream, (struct slice){buf, buf->data, len}, end);
    buf_unref(&buf);
}

/* One act of the user on one stream. */
static inline void fuzz_act(struct fuzz *f, size_t i)
{
    struct stream *stream = f->streams[i];
    uint8_t whim = fuzz_whim(f);
    struct field field = {.name = STR_INIT("x-sum"), .value = STR_INIT("1")};

    if (stream == NULL)
        return;
    switch (whim & 15) {
    case 0:
        return;
    case 1:
        fuzz_send_head(stream, 200, END);
        return;
    case 2:
        fuzz_send_head(stream, 200, MORE);
        fuzz_send_body(f, stream, whim, END);
        return;
    case 3:
        fuzz_send_head(stream, whim & 16 ? 103 : 101, MORE);
        return;
    case 4:
        fuzz_send_head(stream, whim & 16 ? 200 : 204, MORE);
        return;
    case 5:
        fuzz_send_body(f, stream, FUZZ_PIECE, MORE);
        return;
    case 6:
        fuzz_send_body(f, stream, 0, END);
        return;
    case 7:
        stream_send_trailers(stream, &field, whim & 16 ? 1 : 0);
        return;
    case 8:
        stream_pause(stream);
        return;
    case 9:
        stream_resume(stream);
        return;
    case 10:
        stream_reset(stream, (enum reason)(fuzz_whim(f) % REASON_COUNT));
        return;
    case 11:
        fuzz_close(f, i);
        return;
    case 12:
        fuzz_send_head(stream, 200, MORE);
        fuzz_send_body(f, stream, FUZZ_PIECE, END);
        fuzz_close(f, i);
        return;
    default:
        return;
    }
}

static inline size_t fuzz_index(struct stream *stream)
{
    return (size_t)(uintptr_t)stream->arg;
}

static inline void fuzz_check(struct stream *stream)
{
    struct fuzz *f = fuzz_of(stream);

    ASSERT(f->streams[fuzz_index(stream)] == stream); /* nothing comes after stream_close */
    ASSERT(!f->told[fuzz_index(stream)]);             /* … nor after on_reset */
}

static inline void fuzz_on_head(struct stream *stream, struct head *head, enum end end UNUSED)
{
    fuzz_check(stream);
    for (unsigned i = 0; i < head->field_count; i++)
        ASSERT(field_value_is_valid(head->fields[i].value));
    fuzz_act(fuzz_of(stream), fuzz_index(stream));
}

static inline void fuzz_on_body(struct stream *stream, struct slice data, enum end end UNUSED)
{
    volatile char sum = 0;

    fuzz_check(stream);
    for (size_t i = 0; i < data.len; i++)
        sum = (char)(sum + data.ptr[i]);
    fuzz_act(fuzz_of(stream), fuzz_index(stream));
}

static inline void fuzz_on_trailers(struct stream *stream, struct field *fields, size_t count)
{
    fuzz_check(stream);
    for (size_t i = 0; i < count; i++)
        ASSERT(!(header_flags(fields[i].id) & HEADER_NO_TRAILER));
    fuzz_act(fuzz_of(stream), fuzz_index(stream));
}

static inline void fuzz_on_writable(struct stream *stream)
{
    fuzz_check(stream);
    fuzz_act(fuzz_of(stream), fuzz_index(stream));
}

static inline void fuzz_on_reset(struct stream *stream, enum reason reason)
{
    struct fuzz *f = fuzz_of(stream);

    fuzz_check(stream);
    ASSERT(reason != REASON_NONE);
    f->told[fuzz_index(stream)] = true;
    fuzz_act(f, fuzz_index(stream));
}

static const struct stream_handler fuzz_handler = {
    .on_head = fuzz_on_head,
    .on_body = fuzz_on_body,
    .on_trailers = fuzz_on_trailers,
    .on_writable = fuzz_on_writable,
    .on_reset = fuzz_on_reset,
};

static inline void fuzz_on_stream(struct session *session, struct stream *stream)
{
    struct fuzz *f = session->owner_arg;
    size_t i = 0;

    while (f->streams[i] != NULL)
        ASSERT(++i < FUZZ_STREAMS); /* max_streams is far below */
    f->streams[i] = stream;
    f->told[i] = false;
    stream->handler = &fuzz_handler;
    stream->arg = (void *)(uintptr_t)i;
}

static inline void fuzz_want_write(struct session *session UNUSED)
{
}

static inline void fuzz_want_input(struct session *session)
{
    ((struct fuzz *)session->owner_arg)->want_input = true;
}

static inline void fuzz_set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static inline void fuzz_want_close(struct session *session, enum reason reason UNUSED)
{
    struct fuzz *f = session->owner_arg;

    ASSERT(!f->closed); /* once */
    f->closed = true;
}

static inline void fuzz_on_phase(struct session *session UNUSED)
{
}

static inline void fuzz_on_bad(struct session *session UNUSED, struct stream *stream UNUSED,
                               enum reason reason UNUSED)
{
}

static const struct session_owner fuzz_owner = {
    .on_stream = fuzz_on_stream,
    .want_write = fuzz_want_write,
    .want_input = fuzz_want_input,
    .set_reading = fuzz_set_reading,
    .want_close = fuzz_want_close,
    .on_phase = fuzz_on_phase,
    .on_bad = fuzz_on_bad,
};

/* The connection: sometimes it writes, sometimes it is stuck. */
static inline void fuzz_write(struct fuzz *f)
{
    uint8_t whim = fuzz_whim(f);

    f->was_full |= f->out.bytes > SESSION_OUT_HIGH;
    if (whim & 3)
        bufq_drop(&f->out, f->out.bytes);
    if (whim & 128)
        session_rest(f->session);
    if (f->was_full && f->out.bytes <= SESSION_OUT_LOW) {
        f->was_full = false;
        session_drained(f->session);
    }
    ASSERT(f->out.bytes < 1024 * 1024); /* whatever the peer does */
}

static inline void fuzz_feed(struct fuzz *f, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t whim = 1 + (size_t)fuzz_whim(f) * 16, step = MIN(len, whim);
        struct buf *buf = buf_new(&f->pool);
        memcpy(buf->data, data, step);
        size_t used = session_feed(f->session, (struct slice){buf, buf->data, step});
        ASSERT(used == step || used == 0);
        memset(buf->data, 'X', buf->refs == 1 ? step : 0);
        buf_unref(&buf);
        f->session->now_ms += 5;
        for (size_t i = 0; i < FUZZ_STREAMS; i++)
            fuzz_act(f, i);
        if (used == 0)
            bufq_drop(&f->out, f->out.bytes);
        fuzz_write(f);
        data += step;
        len -= step;
    }
}

/* The first bytes say how the rest is used: its length of whims, then whims, then input. */
static inline void fuzz_run(struct fuzz *f, const uint8_t *data, size_t len)
{
    size_t whims = len >= 2 ? MIN(len - 2, (size_t)data[0] << 8 | data[1]) : 0;

    f->whim = data + MIN(len, 2);
    f->whim_end = f->whim + whims;
    const uint8_t *input = f->whim_end;
    fuzz_feed(f, input, len - (size_t)(input - data));
}

static inline void fuzz_end(struct fuzz *f)
{
    switch (fuzz_whim(f) & 3) {
    case 0:
        session_eof(f->session);
        break;
    case 1:
        session_fail(f->session, REASON_CLIENT_RESET);
        break;
    case 2:
        session_drain(f->session);
        break;
    default:
        session_expire(f->session, REASON_IDLE_TIMEOUT);
        break;
    }
    for (size_t i = 0; i < FUZZ_STREAMS; i++)
        fuzz_close(f, i);
    ASSERT(f->session->open_streams == 0);
    session_free(f->session);
    bufq_deinit(&f->out);
    for (size_t i = 0; i < FUZZ_STREAMS; i++)
        arena_reset(&f->arenas[i]);
    buf_pool_deinit(&f->pool); /* asserts that every slab came back */
}
