/* A fake owner and a fake user for HTTP/1 sessions. What they hear is written down in short:
 *
 *      [GET /x] [200]  a head          (abc)  body bytes, joined      {a:b}  trailers
 *      .  the message ended            ~  on_writable                 !word  on_reset
 *      ?word  on_bad                   #word  want_close
 */
#pragma once

#include "http/h1_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct peer {
    struct buf_pool pool;
    struct bufq out;
    struct session *session;
    struct stream *stream; /* the open one, or NULL */
    struct arena arena;    /* of client streams */
    struct head *head;     /* the last one seen; lives as long as the stream */
    char log[16384];
    size_t log_len;
    char *in; /* received, not used yet */
    size_t in_len;
    bool reading, wants_input, wants_close, wants_write;
    int closes;
    char out_text[262144];
    /* what the user does of its own accord */
    void (*on_message)(struct peer *p); /* a head or the end of a message was seen */
    bool closes_on_reset, pauses_on_body;
};

static inline void note(struct peer *p, const char *fmt, ...) PRINTF(2, 3);
static inline void note(struct peer *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(p->log + p->log_len, sizeof(p->log) - p->log_len, fmt, args);
    va_end(args);
    assert_true(n >= 0 && p->log_len + (size_t)n < sizeof(p->log));
    p->log_len += (size_t)n;
}

static inline void peer_close_stream(struct peer *p)
{
    struct stream *stream = p->stream;

    p->stream = NULL;
    p->head = NULL;
    stream_close(stream);
}

/* --- the user -------------------------------------------------------------------------------- */

static inline void tell(struct peer *p, enum end end)
{
    if (end == END)
        note(p, ".");
    if (p->on_message != NULL)
        p->on_message(p);
}

static inline void user_on_head(struct stream *stream, struct head *head, enum end end)
{
    struct peer *p = stream->arg;

    p->head = head;
    if (head->status > 0)
        note(p, "[%d]", head->status);
    else
        note(p, "[%.*s %.*s]", STR_FMT(head->method_text), STR_FMT(head->path));
    tell(p, end);
}

static inline void user_on_body(struct stream *stream, struct slice data, enum end end)
{
    struct peer *p = stream->arg;

    if (data.len > 0 && p->log_len > 0 && p->log[p->log_len - 1] == ')')
        p->log_len--;
    else if (data.len > 0)
        note(p, "(");
    if (data.len > 0)
        note(p, "%.*s)", (int)data.len, data.ptr);
    if (p->pauses_on_body)
        stream_pause(stream);
    if (end == END)
        tell(p, END);
}

static inline void user_on_trailers(struct stream *stream, struct field *fields, size_t count)
{
    struct peer *p = stream->arg;

    for (size_t i = 0; i < count; i++) {
        if (!fields[i].removed)
            note(p, "{%.*s:%.*s}", STR_FMT(fields[i].name), STR_FMT(fields[i].value));
    }
    tell(p, END);
}

static inline void user_on_writable(struct stream *stream)
{
    note(stream->arg, "~");
}

static inline void user_on_reset(struct stream *stream, enum reason reason)
{
    struct peer *p = stream->arg;

    note(p, "!%s", reason_word(reason));
    if (p->closes_on_reset)
        peer_close_stream(p);
}

static const struct stream_handler user = {
    .on_head = user_on_head,
    .on_body = user_on_body,
    .on_trailers = user_on_trailers,
    .on_writable = user_on_writable,
    .on_reset = user_on_reset,
};

/* --- the owner ------------------------------------------------------------------------------- */

static inline void owner_on_stream(struct session *session, struct stream *stream)
{
    struct peer *p = session->owner_arg;

    assert_null(p->stream);
    p->stream = stream;
    stream->handler = &user;
    stream->arg = p;
}

static inline void owner_want_write(struct session *session)
{
    ((struct peer *)session->owner_arg)->wants_write = true;
}

static inline void owner_want_input(struct session *session)
{
    ((struct peer *)session->owner_arg)->wants_input = true;
}

static inline void owner_set_reading(struct session *session, bool reading)
{
    ((struct peer *)session->owner_arg)->reading = reading;
}

static inline void owner_want_close(struct session *session, enum reason reason)
{
    struct peer *p = session->owner_arg;

    note(p, "#%s", reason_word(reason));
    p->wants_close = true;
    p->closes++;
}

static inline void owner_on_phase(struct session *session UNUSED)
{
}

static inline void owner_on_bad(struct session *session, struct stream *stream UNUSED,
                                enum reason reason)
{
    note(session->owner_arg, "?%s", reason_word(reason));
}

static const struct session_owner owner = {
    .on_stream = owner_on_stream,
    .want_write = owner_want_write,
    .want_input = owner_want_input,
    .set_reading = owner_set_reading,
    .want_close = owner_want_close,
    .on_phase = owner_on_phase,
    .on_bad = owner_on_bad,
};

/* --- its connection -------------------------------------------------------------------------- */

static const struct session_limits peer_limits = {
    .max_header_bytes = 4096,
    .max_header_count = 20,
    .max_line_bytes = 1024,
    .max_uri_bytes = 256,
    .out_high = 1000,
    .out_low = 100,
    .allow_websocket = true,
};

static inline struct peer *peer_new(struct session *(*make)(const struct session_owner *, void *,
                                                            struct bufq *, struct buf_pool *,
                                                            const struct session_limits *),
                                    const struct session_limits *limits)
{
    struct peer *p = mem_new(sizeof(*p));

    buf_pool_init(&p->pool);
    bufq_init(&p->out, &p->pool);
    arena_init(&p->arena, &p->pool);
    p->reading = true;
    p->session = make(&owner, p, &p->out, &p->pool, limits);
    return p;
}

/* Also checks that nothing was kept. */
static inline void peer_free(struct peer *p)
{
    if (p->stream != NULL)
        peer_close_stream(p);
    assert_true(p->closes <= 1);
    session_free(p->session);
    bufq_deinit(&p->out);
    arena_reset(&p->arena);
    assert_int_equal(p->pool.in_use, 0);
    buf_pool_deinit(&p->pool);
    free(p->in);
    free(p);
}

/* Offers what was received and not used, in memory of exactly that size. */
static inline void peer_offer(struct peer *p)
{
    do {
        size_t len = p->in_len;
        p->wants_input = false;
        if (len == 0)
            return;
        size_t used = session_feed(p->session, (struct slice){NULL, p->in, len});
        assert_true(used <= len);
        char *rest = used < len ? mem_new(len - used) : NULL;
        if (rest != NULL)
            memcpy(rest, p->in + used, len - used);
        free(p->in);
        p->in = rest;
        p->in_len = len - used;
    } while (p->wants_input);
}

static inline void peer_receive(struct peer *p, struct str text)
{
    char *all = mem_new(p->in_len + text.len + 1);

    if (p->in_len > 0)
        memcpy(all, p->in, p->in_len);
    memcpy(all + p->in_len, text.ptr, text.len);
    free(p->in);
    p->in_len += text.len;
    p->in = mem_new(p->in_len);
    memcpy(p->in, all, p->in_len);
    free(all);
    peer_offer(p);
}

static inline void feed(struct peer *p, const char *text)
{
    peer_receive(p, str_of(text));
}

static inline void feed_bytes(struct peer *p, const char *text)
{
    for (; *text != '\0'; text++)
        peer_receive(p, str_make(text, 1));
}

/* Everything that was to be written, as text; the queue is empty then. */
static inline const char *written(struct peer *p)
{
    size_t len = 0;

    while (!bufq_is_empty(&p->out)) {
        struct slice front = bufq_front(&p->out);
        assert_true(len + front.len < sizeof(p->out_text));
        memcpy(p->out_text + len, front.ptr, front.len);
        len += front.len;
        bufq_drop(&p->out, front.len);
    }
    p->out_text[len] = '\0';
    p->wants_write = false;
    return p->out_text;
}

/* The log since the last look. */
static inline const char *heard(struct peer *p)
{
    p->log[p->log_len] = '\0';
    p->log_len = 0;
    return p->log;
}

static inline enum stream_status say(struct peer *p, const char *text, enum end end)
{
    return stream_send_body(p->stream, (struct slice){NULL, text, strlen(text)}, end);
}
