/* What both h2 tests stand on: a weir session with a scripted owner and user on one side, a bare
 * nghttp2 session as its peer on the other, and bytes carried between them in memory. */
#pragma once

#include "http/session.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RIG_STREAMS = 1200, RIG_TEXT = 4096 };

/* One stream as weir's user sees it. */
struct seen {
    struct stream *stream; /* NULL after stream_close */
    struct head *head;
    char method[32], scheme[16], authority[256], path[512];
    char log[512]; /* events in order: "head body:5 end" … */
    size_t body_bytes;
    uint32_t body_sum;
    char body[RIG_TEXT]; /* its beginning */
    char trailers[512];
    enum reason reset;
    int resets, writables, statuses[4], status_count;
    bool ended;
};

/* One stream as the peer sees it. */
struct heard {
    char status[8];
    char interim[64];
    char fields[RIG_TEXT]; /* "name: value\n" */
    char unique[256];      /* "name ": of those that must not be put into a table */
    char body[RIG_TEXT];
    size_t body_bytes, data_frames;
    uint32_t body_sum;
    size_t unsent; /* body bytes that the peer still has to send */
    bool ended, closed, send_trailers, hold_end;
    uint32_t error_code;
    char method[16], path[256], authority[128], scheme[16];
};

struct rig;
typedef void (*rig_hook)(struct rig *rig, struct seen *seen);

struct rig {
    struct buf_pool pool;
    struct bufq out;
    struct session *session;
    struct session_owner owner;
    struct seen seen[RIG_STREAMS];
    int streams_begun;
    bool want_input, want_write, was_full, dead_peer;
    int closes, bads, phases;
    enum reason close_reason, last_bad;
    size_t out_peak;
    rig_hook on_head, on_body, on_end, on_reset, on_writable, on_close;

    nghttp2_session *peer;
    struct heard heard[2 * RIG_STREAMS];
    int goaways, refused, early_pings;
    uint32_t goaway_code;
    int32_t goaway_last;
    bool peer_reads_nothing;
    size_t feed_step; /* bytes per feed; 0: all */
};

/* --- weir's user ----------------------------------------------------------------------------- */

static inline struct seen *seen_of(struct stream *stream)
{
    struct rig *rig = stream->session->owner_arg;
    (void)rig;
    return stream->arg;
}

static inline struct rig *rig_of(struct stream *stream)
{
    return stream->session->owner_arg;
}

static inline void seen_log(struct seen *seen, const char *word)
{
    size_t len = strlen(seen->log);
    if (len + strlen(word) + 2 < sizeof(seen->log))
        snprintf(seen->log + len, sizeof(seen->log) - len, "%s%s", len > 0 ? " " : "", word);
}

#define TEXT_OF(to, s) snprintf((to), sizeof(to), "%.*s", STR_FMT(s))

static inline void seen_close(struct seen *seen)
{
    struct stream *stream = seen->stream;

    if (stream == NULL)
        return;
    seen->stream = NULL;
    seen->head = NULL;
    stream_close(stream);
}

static inline void seen_end(struct rig *rig, struct seen *seen)
{
    assert_false(seen->ended);
    seen->ended = true;
    seen_log(seen, "end");
    if (rig->on_end != NULL)
        rig->on_end(rig, seen);
}

static inline void user_on_head(struct stream *stream, struct head *head, enum end end)
{
    struct rig *rig = rig_of(stream);
    struct seen *seen = seen_of(stream);

    assert_int_equal(seen->resets, 0);
    seen->head = head;
    TEXT_OF(seen->method, head->method_text);
    TEXT_OF(seen->scheme, head->scheme);
    TEXT_OF(seen->authority, head->authority);
    TEXT_OF(seen->path, head->path);
    if (seen->status_count < 4)
        seen->statuses[seen->status_count++] = head->status;
    seen_log(seen, "head");
    if (rig->on_head != NULL)
        rig->on_head(rig, seen);
    if (end == END && seen->stream != NULL)
        seen_end(rig, seen);
}

static inline void user_on_body(struct stream *stream, struct slice data, enum end end)
{
    struct rig *rig = rig_of(stream);
    struct seen *seen = seen_of(stream);

    assert_int_equal(seen->resets, 0);
    assert_false(seen->ended);
    for (size_t i = 0; i < data.len; i++) {
        if (seen->body_bytes < sizeof(seen->body) - 1)
            seen->body[seen->body_bytes] = data.ptr[i];
        seen->body_sum = seen->body_sum * 31 + (uint8_t)data.ptr[i];
        seen->body_bytes++;
    }
    seen_log(seen, "body");
    if (rig->on_body != NULL)
        rig->on_body(rig, seen);
    if (end == END && seen->stream != NULL)
        seen_end(rig, seen);
}

static inline void user_on_trailers(struct stream *stream, struct field *fields, size_t count)
{
    struct seen *seen = seen_of(stream);

    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(seen->trailers);
        snprintf(seen->trailers + len, sizeof(seen->trailers) - len, "%.*s: %.*s\n",
                 STR_FMT(fields[i].name), STR_FMT(fields[i].value));
    }
    seen_log(seen, "trailers");
    seen_end(rig_of(stream), seen);
}

static inline void user_on_writable(struct stream *stream)
{
    struct rig *rig = rig_of(stream);
    struct seen *seen = seen_of(stream);

    assert_int_equal(seen->resets, 0);
    seen->writables++;
    if (rig->on_writable != NULL)
        rig->on_writable(rig, seen);
}

static inline void user_on_reset(struct stream *stream, enum reason reason)
{
    struct rig *rig = rig_of(stream);
    struct seen *seen = seen_of(stream);

    assert_int_equal(seen->resets, 0);
    seen->resets++;
    seen->reset = reason;
    seen_log(seen, "reset");
    if (rig->on_reset != NULL)
        rig->on_reset(rig, seen);
}

static const struct stream_handler rig_user = {
    .on_head = user_on_head,
    .on_body = user_on_body,
    .on_trailers = user_on_trailers,
    .on_writable = user_on_writable,
    .on_reset = user_on_reset,
};

/* --- weir's owner ---------------------------------------------------------------------------- */

static inline void owner_on_stream(struct session *session, struct stream *stream)
{
    struct rig *rig = session->owner_arg;
    struct seen *seen = &rig->seen[rig->streams_begun++];

    assert_true(rig->streams_begun <= RIG_STREAMS);
    memset(seen, 0, sizeof(*seen));
    seen->stream = stream;
    stream->handler = &rig_user;
    stream->arg = seen;
}

static inline void owner_want_write(struct session *session)
{
    ((struct rig *)session->owner_arg)->want_write = true;
}

static inline void owner_want_input(struct session *session)
{
    ((struct rig *)session->owner_arg)->want_input = true;
}

static inline void owner_set_reading(struct session *session UNUSED, bool reading UNUSED)
{
}

static inline void owner_want_close(struct session *session, enum reason reason)
{
    struct rig *rig = session->owner_arg;

    rig->closes++;
    rig->close_reason = reason;
    if (rig->on_close != NULL)
        rig->on_close(rig, NULL);
}

static inline void owner_on_phase(struct session *session)
{
    ((struct rig *)session->owner_arg)->phases++;
}

static inline void owner_on_bad(struct session *session, struct stream *stream UNUSED,
                                enum reason reason)
{
    struct rig *rig = session->owner_arg;

    rig->bads++;
    rig->last_bad = reason;
}

static const struct session_owner rig_owner = {
    .on_stream = owner_on_stream,
    .want_write = owner_want_write,
    .want_input = owner_want_input,
    .set_reading = owner_set_reading,
    .want_close = owner_want_close,
    .on_phase = owner_on_phase,
    .on_bad = owner_on_bad,
};

/* --- the peer -------------------------------------------------------------------------------- */

static inline int peer_on_header(nghttp2_session *ng UNUSED, const nghttp2_frame *frame,
                                 const uint8_t *name, size_t name_len, const uint8_t *value,
                                 size_t value_len, uint8_t flags, void *arg)
{
    struct rig *rig = arg;
    struct heard *heard = &rig->heard[frame->hd.stream_id];
    struct str n = str_make(name, name_len), v = str_make(value, value_len);
    size_t len = strlen(heard->fields), unique_len = strlen(heard->unique);

    if (flags & NGHTTP2_NV_FLAG_NO_INDEX)
        snprintf(heard->unique + unique_len, sizeof(heard->unique) - unique_len, "%.*s ",
                 STR_FMT(n));
    if (str_eq(n, STR(":status"))) {
        if (v.ptr[0] == '1')
            snprintf(heard->interim + strlen(heard->interim), 8, "%.*s ", STR_FMT(v));
        TEXT_OF(heard->status, v);
    } else if (str_eq(n, STR(":method"))) {
        TEXT_OF(heard->method, v);
    } else if (str_eq(n, STR(":path"))) {
        TEXT_OF(heard->path, v);
    } else if (str_eq(n, STR(":authority"))) {
        TEXT_OF(heard->authority, v);
    } else if (str_eq(n, STR(":scheme"))) {
        TEXT_OF(heard->scheme, v);
    } else {
        snprintf(heard->fields + len, sizeof(heard->fields) - len, "%.*s: %.*s\n", STR_FMT(n),
                 STR_FMT(v));
    }
    return 0;
}

static inline int peer_on_data(nghttp2_session *ng UNUSED, uint8_t flags UNUSED, int32_t id,
                               const uint8_t *data, size_t len, void *arg)
{
    struct rig *rig = arg;
    struct heard *heard = &rig->heard[id];

    for (size_t i = 0; i < len; i++) {
        if (heard->body_bytes < sizeof(heard->body) - 1)
            heard->body[heard->body_bytes] = (char)data[i];
        heard->body_sum = heard->body_sum * 31 + data[i];
        heard->body_bytes++;
    }
    return 0;
}

static inline int peer_on_frame(nghttp2_session *ng UNUSED, const nghttp2_frame *frame, void *arg)
{
    struct rig *rig = arg;

    if (frame->hd.type == NGHTTP2_DATA)
        rig->heard[frame->hd.stream_id].data_frames++;
    if (frame->hd.type == NGHTTP2_PING && rig->goaways == 0)
        rig->early_pings++;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        rig->goaways++;
        rig->goaway_code = frame->goaway.error_code;
        rig->goaway_last = frame->goaway.last_stream_id;
    }
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        rig->heard[frame->hd.stream_id].ended = true;
    return 0;
}

static inline int peer_on_close(nghttp2_session *ng UNUSED, int32_t id, uint32_t error_code,
                                void *arg)
{
    struct rig *rig = arg;

    rig->heard[id].closed = true;
    rig->heard[id].error_code = error_code;
    if (error_code == NGHTTP2_REFUSED_STREAM)
        rig->refused++;
    return 0;
}

static inline ssize_t peer_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max,
                                uint32_t *flags, nghttp2_data_source *source, void *arg UNUSED)
{
    struct heard *heard = source->ptr;
    size_t len = MIN(max, heard->unsent);

    memset(buf, 'u', len);
    heard->unsent -= len;
    if (heard->unsent > 0)
        return (ssize_t)len;
    if (heard->hold_end)
        return len > 0 ? (ssize_t)len : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (heard->send_trailers) {
        nghttp2_nv nv[] = {
            {(uint8_t *)"x-sum", (uint8_t *)"42", 5, 2, 0},
            {(uint8_t *)"content-type", (uint8_t *)"no", 12, 2, 0},
        };
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(ng, id, nv, 2);
    }
    return (ssize_t)len;
}

static inline void peer_new(struct rig *rig, bool is_server)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_peer_max_concurrent_streams(option, 1000);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    if (is_server)
        nghttp2_session_server_new2(&rig->peer, callbacks, rig, option);
    else
        nghttp2_session_client_new2(&rig->peer, callbacks, rig, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(rig->peer, NGHTTP2_FLAG_NONE, NULL, 0);
}

/* --- the wire between them ------------------------------------------------------------------- */

/* Feeds bytes as a connection does: out of a slab, in steps. */
static inline void rig_feed(struct rig *rig, const void *bytes, size_t len)
{
    const char *at = bytes;

    do {
        struct buf *buf = buf_new(&rig->pool);
        size_t step = MIN(len, rig->feed_step > 0 ? rig->feed_step : 16384);
        memcpy(buf->data, at, step);
        buf->len = (uint32_t)step;
        size_t used = session_feed(rig->session, (struct slice){buf, buf->data, step});
        memset(buf->data, 'X', buf->refs == 1 ? step : 0); /* nobody may look at it any more */
        buf_unref(&buf);
        if (used == 0 && step > 0)
            return; /* full: the test drops the rest */
        at += step;
        len -= step;
    } while (len > 0);
}

static inline bool rig_to_weir(struct rig *rig)
{
    const uint8_t *bytes;
    ssize_t len;
    bool moved = false;

    while ((len = nghttp2_session_mem_send(rig->peer, &bytes)) > 0) {
        rig_feed(rig, bytes, (size_t)len);
        moved = true;
    }
    if (rig->want_input) {
        rig->want_input = false;
        rig_feed(rig, "", 0);
        moved = true;
    }
    return moved;
}

static inline bool rig_to_peer(struct rig *rig)
{
    bool moved = false;

    rig->out_peak = MAX(rig->out_peak, rig->out.bytes);
    if (rig->peer_reads_nothing)
        return false;
    while (rig->out.bytes > 0) {
        rig->was_full |= rig->out.bytes > SESSION_OUT_HIGH;
        struct slice front = bufq_front(&rig->out);
        if (nghttp2_session_mem_recv(rig->peer, (const uint8_t *)front.ptr, front.len) < 0)
            rig->dead_peer = true;
        bufq_drop(&rig->out, front.len);
        moved = true;
    }
    if (rig->was_full) {
        rig->was_full = false;
        session_drained(rig->session);
        rig->out_peak = MAX(rig->out_peak, rig->out.bytes);
        moved = true;
    }
    return moved;
}

/* Until nothing moves any more. */
static inline void rig_run(struct rig *rig)
{
    bool up, down;

    do {
        up = rig_to_weir(rig);
        down = rig_to_peer(rig);
    } while (up || down);
}

static inline void rig_start(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    buf_pool_init(&rig->pool);
    bufq_init(&rig->out, &rig->pool);
}

static inline void rig_close_all(struct rig *rig)
{
    for (int i = 0; i < rig->streams_begun; i++)
        seen_close(&rig->seen[i]);
}

static inline void rig_stop(struct rig *rig)
{
    rig_close_all(rig);
    if (rig->session != NULL)
        session_free(rig->session);
    nghttp2_session_del(rig->peer);
    bufq_deinit(&rig->out);
    assert_int_equal(rig->pool.in_use, 0); /* every slab came back */
    buf_pool_deinit(&rig->pool);
    free(rig);
}

static inline nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}
