/* The life of h2 sessions: bytes in, frames out, the news for users and owner,
 * and the end. The one idea: while we are `busy` (inside feed, eof, fail or drained) users are
 * called back and what they send only waits; outside it sends go out at once and news wait for the
 * next feed. So no callback ever comes from a send, and nghttp2 is never entered twice. */
#include "http/h2_impl.h"

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const uint8_t DRAIN_PING[8] = {'w', 'e', 'i', 'r', 'l', 'a', 's', 't'};

enum preface h2_preface(struct str bytes)
{
    struct str preface = {PREFACE, sizeof(PREFACE) - 1};
    size_t len = MIN(bytes.len, preface.len);

    if (len > 0 && memcmp(bytes.ptr, preface.ptr, len) != 0)
        return PREFACE_NO;
    return len == preface.len ? PREFACE_YES : PREFACE_MORE;
}

/* --- misbehaviour ---------------------------------------------------------------------------- */

void h2_bad(struct h2_session *h2, struct h2_stream *st, enum reason reason)
{
    if (st != NULL) {
        if (st->counted)
            return;
        st->counted = true;
    }
    if (h2->session.owner->on_bad != NULL) {
        h2->session.owner->on_bad(&h2->session, st != NULL && st->user_open ? &st->stream : NULL,
                                  reason);
    }
}

void h2_terminate(struct h2_session *h2, uint32_t error_code, enum reason reason)
{
    if (!h2_is_live(h2))
        return;
    nghttp2_session_terminate_session(h2->ng, error_code);
    h2->dying = reason;
    h2->dirty = true;
}

void h2_glitch(struct h2_session *h2, unsigned cost)
{
    int64_t now_ms = h2->session.now_ms;
    double leaked = (double)(now_ms - h2->glitches_at_ms) * H2_GLITCH_PER_SECOND / 1000;

    h2->glitches_at_ms = now_ms;
    h2->glitches = MAX(h2->glitches - leaked, 0) + cost;
    if (h2->glitches > H2_GLITCH_BURST) {
        h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM,
                     h2->session.is_server ? REASON_H2_FLOOD : REASON_UPSTREAM_PROTOCOL);
    }
}

/* --- the pump -------------------------------------------------------------------------------- */

void h2_note_held(struct h2_session *h2)
{
    bool is_news = h2->session.held_bytes == 0 && h2->queued > 0;

    h2->session.held_bytes = h2->queued;
    if (is_news)
        h2->session.owner->want_write(&h2->session);
}

/* Bodies stop at the high mark of `out` (their read callback pauses); control frames always pass,
 * and h2_feed takes no more input when they pile up. */
static void pump_now(struct h2_session *h2)
{
    size_t before = h2->session.out->bytes;
    const uint8_t *bytes;
    ssize_t len;

    h2->dirty = false;
    if (h2->pumping || h2->dead)
        return;
    h2->pumping = true;
    while ((len = nghttp2_session_mem_send(h2->ng, &bytes)) > 0) {
        bufq_seal(h2->session.out); /* a DATA frame ends where another begins */
        bufq_copy(h2->session.out, bytes, (size_t)len);
    }
    h2->pumping = false;
    h2_note_held(h2);
    if (len < 0 && h2->dying == REASON_NONE)
        h2->dying = REASON_INTERNAL; /* no memory */
    if (h2->session.out->bytes != before)
        h2->session.owner->want_write(&h2->session);
}

void h2_say_hello(struct h2_session *h2)
{
    const uint8_t *bytes;
    ssize_t len;

    while ((len = nghttp2_session_mem_send(h2->ng, &bytes)) > 0)
        bufq_copy(h2->session.out, bytes, (size_t)len);
}

/* Nothing more will come of this session. */
static void tell_owner(struct h2_session *h2, enum reason reason)
{
    h2->dead = true;
    if (h2->close_told)
        return;
    h2->close_told = true;
    h2->session.owner->want_close(&h2->session, reason);
}

static bool some_stream_has_room(const struct h2_session *h2)
{
    LIST_EACH(node, &h2->full)
    {
        if (h2_is_writable(CONTAINER_OF(node, struct h2_stream, full_node)))
            return true;
    }
    return false;
}

void h2_pump(struct h2_session *h2)
{
    if (h2->busy > 0) {
        h2->dirty = true;
        return;
    }
    pump_now(h2);
    if (h2->dead)
        return;
    if (h2->dying != REASON_NONE) {
        tell_owner(h2, h2->dying); /* its session_fail will tell the streams */
        return;
    }
    if (!list_is_empty(&h2->news) || some_stream_has_room(h2))
        h2->session.owner->want_input(&h2->session); /* only feed may call back */
    h2_settle(h2);
}

/* --- the end --------------------------------------------------------------------------------- */

/* Takes all streams off the wire and tells their users. */
static void fail_streams(struct h2_session *h2, enum reason reason)
{
    struct list todo, *node;

    list_init(&todo);
    list_splice(&todo, &h2->streams);
    while ((node = list_pop_front(&todo)) != NULL) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, node);
        bool whole = st->rx_ended && st->tx_end_sent;
        list_push_back(&h2->streams, node);
        if (!st->user_open) {
            h2_stream_off_wire(st);
            continue;
        }
        h2_stream_off_wire(st);
        if (!whole)
            h2_stream_tell_reset(st, st->news != REASON_NONE ? st->news : reason);
    }
}

/* Nothing is in flight and nothing new will come. */
static bool is_over(const struct h2_session *h2)
{
    if (!list_is_empty(&h2->streams))
        return false;
    if (h2->peer_leaves)
        return true;
    return h2->session.draining && (h2->final_goaway || !h2->session.is_server);
}

static void update_phase(struct h2_session *h2)
{
    enum session_phase phase = h2->session.open_streams > 0    ? SESSION_BUSY
                               : h2->in.block != H2_BLOCK_NONE ? SESSION_HEAD
                                                               : SESSION_IDLE;
    bool has_room = h2->was_full && h2->wire_streams < h2->session.streams_max;

    if (has_room)
        h2->was_full = false;
    if (phase == h2->session.phase && !has_room)
        return;
    h2->session.phase = phase;
    h2->session.owner->on_phase(&h2->session);
}

void h2_settle(struct h2_session *h2)
{
    if (h2->dead)
        return;
    if (is_over(h2)) {
        if (!h2->final_goaway)
            nghttp2_session_terminate_session(h2->ng, NGHTTP2_NO_ERROR);
        h2->final_goaway = true;
        pump_now(h2);
        tell_owner(h2, REASON_NONE);
        return;
    }
    update_phase(h2);
}

static void tell_news(struct h2_session *h2)
{
    struct list *node;

    while ((node = list_pop_front(&h2->news)) != NULL) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, news_node);
        h2_stream_tell_reset(st, st->news);
    }
}

static void enter(struct h2_session *h2)
{
    h2->busy++;
}

static void session_free_now(struct h2_session *h2);

static void leave_now(struct h2_session *h2)
{
    if (--h2->busy == 0 && h2->free_later)
        session_free_now(h2);
}

/* After a turn of input: sends and reports everything that it has caused, then the end is looked
 * at. */
static void leave(struct h2_session *h2)
{
    do {
        pump_now(h2);
        h2_tell_writable(h2);
        tell_news(h2);
    } while (h2->dirty && !h2->dead);

    if (h2->dying != REASON_NONE && !h2->dead) {
        h2->dead = true;
        fail_streams(h2, h2->dying);
        tell_owner(h2, h2->dying);
    }
    h2_settle(h2);
    leave_now(h2);
}

/* --- the doors ------------------------------------------------------------------------------- */

static void read_bytes(struct h2_session *h2, const char *at, size_t len)
{
    if (len == 0 || !h2_is_live(h2))
        return;
    ssize_t used = nghttp2_session_mem_recv(h2->ng, (const uint8_t *)at, len);
    if (used >= 0)
        return;
    bool is_flood = used == NGHTTP2_ERR_FLOODED;
    enum reason reason = is_flood ? REASON_H2_FLOOD : REASON_H2_PROTOCOL;
    h2_terminate(h2, is_flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR,
                 h2->session.is_server ? reason : REASON_UPSTREAM_PROTOCOL);
}

static void receive(struct h2_session *h2, struct slice data)
{
    const char *unread = data.ptr, *seen = data.ptr, *end = data.ptr + data.len;

    h2->feed_buf = data.buf;
    while (h2_walk(h2, &seen, end)) {
        const char *head = seen - MIN(h2->walk.have, seen - data.ptr); /* all before it is read */
        read_bytes(h2, unread, (size_t)(head - unread));
        unread = head;
        h2_judge(h2);
    }
    read_bytes(h2, unread, (size_t)(end - unread));
    h2_flush_body(h2, MORE);
    h2->feed_buf = NULL;
}

size_t h2_feed(struct session *session, struct slice data)
{
    struct h2_session *h2 = h2_of(session);

    if (h2->dead || h2->busy > 0)
        return data.len;
    if (session->out->bytes > (size_t)h2_out_high(h2) + H2_CONTROL_MAX) {
        h2->input_held = true; /* until the peer has read some of our answers */
        return 0;
    }
    enter(h2);
    tell_news(h2);
    if (data.len > 0 && h2_is_live(h2))
        receive(h2, data);
    leave(h2);
    return data.len;
}

/* Without the peer's WINDOW_UPDATE, and without a sign that it is still there, nothing more
 * of what is open can be finished. */
void h2_eof(struct session *session)
{
    struct h2_session *h2 = h2_of(session);

    if (h2->dead)
        return;
    enter(h2);
    pump_now(h2);
    h2->dead = true;
    fail_streams(h2, session->is_server ? REASON_CLIENT_CLOSED : REASON_UPSTREAM_CLOSED);
    tell_owner(h2, REASON_NONE);
    leave_now(h2);
}

void h2_fail(struct session *session, enum reason reason)
{
    struct h2_session *h2 = h2_of(session);
    bool is_client_word =
        reason == REASON_NONE || reason == REASON_CLIENT_RESET || reason == REASON_CLIENT_CLOSED;

    if (!session->is_server && is_client_word) {
        reason = REASON_UPSTREAM_CLOSED;
    } else if (reason == REASON_NONE) {
        reason = REASON_CLIENT_CLOSED;
    }
    enter(h2);
    h2->dead = true;
    h2->close_told = true;
    fail_streams(h2, reason);
    leave_now(h2);
}

void h2_drained(struct session *session)
{
    struct h2_session *h2 = h2_of(session);

    if (h2->dead)
        return;
    enter(h2);
    if (h2->input_held) {
        h2->input_held = false;
        session->owner->want_input(session);
    }
    leave(h2);
}

static void ask_for_ack(struct h2_session *h2)
{
    h2->asked_for_ack = true;
    nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, DRAIN_PING);
}

/* Servers say twice that they leave (RFC 9113 section 6.8): first that no more requests are wanted,
 * and when a PING has made the way there and back, which was the last; none is lost in between. */
void h2_drain(struct session *session)
{
    struct h2_session *h2 = h2_of(session);

    if (session->draining || !h2_is_live(h2))
        return;
    session->draining = true;
    if (session->is_server) {
        nghttp2_submit_shutdown_notice(h2->ng);
        if (h2->wire_streams == 0)
            ask_for_ack(h2); /* idle clients may answer nothing after a GOAWAY */
    }
    h2_pump(h2);
}

/* nghttp2 sends PINGs before all else; an answer to one that came after the notice says that the
 * notice was seen. */
void h2_on_notice_sent(struct h2_session *h2)
{
    if (!h2->asked_for_ack)
        ask_for_ack(h2);
}

void h2_on_drain_ack(struct h2_session *h2, const uint8_t *opaque)
{
    if (!h2->session.draining || h2->final_goaway || memcmp(opaque, DRAIN_PING, 8) != 0)
        return;
    h2->final_goaway = true;
    nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->ng), NGHTTP2_NO_ERROR, NULL,
                          0);
}

void h2_expire(struct session *session, enum reason reason)
{
    struct h2_session *h2 = h2_of(session);

    if (!h2_is_live(h2))
        return;
    enter(h2);
    h2_terminate(h2, NGHTTP2_NO_ERROR, reason != REASON_NONE ? reason : REASON_IDLE_TIMEOUT);
    leave(h2);
}

void h2_rest(struct session *session)
{
    struct h2_session *h2 = h2_of(session);

    if (h2->slot != NULL && h2->busy == 0 && list_is_empty(&h2->streams) &&
        nghttp2_session_want_write(h2->ng) == 0)
        h2_slot_rest(h2->slot);
}

static void session_free_now(struct h2_session *h2)
{
    struct list *node;

    h2->dead = true;
    while ((node = list_pop_front(&h2->streams)) != NULL) {
        struct h2_stream *st = CONTAINER_OF(node, struct h2_stream, node);
        ASSERT(!st->user_open);
        h2_stream_off_wire(st);
    }
    nghttp2_session_del(h2->ng);
    h2_mem_give(h2);
}

void h2_free(struct session *session)
{
    struct h2_session *h2 = h2_of(session);

    if (h2->busy > 0) {
        h2->free_later = true;
    } else {
        session_free_now(h2);
    }
}

/* --- making one ------------------------------------------------------------------------------ */

static uint32_t or_default(uint32_t limit, uint32_t otherwise)
{
    return limit > 0 ? limit : otherwise;
}

struct h2_session *h2_session_new(const struct session_ops *ops, const struct session_owner *owner,
                                  void *owner_arg, struct bufq *out, struct buf_pool *pool,
                                  const struct session_limits *limits)
{
    struct h2_session *h2 = h2_mem_take(sizeof(*h2));
    struct session_limits *l = &h2->session.limits;

    *h2 = (struct h2_session){.session = {.ops = ops,
                                          .owner = owner,
                                          .owner_arg = owner_arg,
                                          .out = out,
                                          .pool = pool,
                                          .limits = *limits,
                                          .is_h2 = true}};
    l->max_header_bytes = or_default(l->max_header_bytes, H2_MAX_HEADER_BYTES);
    l->max_header_count = or_default(l->max_header_count, H2_MAX_HEADER_COUNT);
    l->max_held_header_bytes = or_default(l->max_held_header_bytes, H2_MAX_HELD_HEADER_BYTES);
    l->max_line_bytes = or_default(l->max_line_bytes, l->max_header_bytes);
    l->max_uri_bytes = or_default(l->max_uri_bytes, l->max_line_bytes);
    l->max_streams = or_default(l->max_streams, H2_MAX_STREAMS);
    l->max_held_bytes = or_default(l->max_held_bytes, H2_MAX_HELD);
    l->out_high = or_default(l->out_high, SESSION_OUT_HIGH);
    l->out_low = or_default(l->out_low, SESSION_OUT_LOW);
    h2->thanks_left = H2_THANKS_MAX;
    h2->next_id = 1;
    list_init(&h2->streams);
    list_init(&h2->full);
    list_init(&h2->news);
    return h2;
}

/* Not in every libnghttp2 we build with; where they are missing, the linker leaves NULL. */
void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst,
                                                uint64_t rate) __attribute__((weak));
void nghttp2_option_set_max_continuations(nghttp2_option *option, size_t val) __attribute__((weak));

static nghttp2_option *new_options(void)
{
    nghttp2_option *option;

    ASSERT(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_reserved_remote_streams(option, 0);
    nghttp2_option_set_max_settings(option, H2_MAX_SETTINGS);
    nghttp2_option_set_max_outbound_ack(option, H2_MAX_ACKS);
    nghttp2_option_set_max_send_header_block_length(option, H2_MAX_SEND_HEAD);
    if (nghttp2_option_set_stream_reset_rate_limit != NULL) {
        nghttp2_option_set_stream_reset_rate_limit(option, H2_LIBRARY_BURST, H2_GLITCH_PER_SECOND);
    }
    if (nghttp2_option_set_max_continuations != NULL)
        nghttp2_option_set_max_continuations(option, H2_MAX_CONTINUATIONS);
    return option;
}

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;

    ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, h2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, h2_on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, h2_on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2_on_data);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, h2_on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2_on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, h2_on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2_on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, h2_on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, h2_on_frame_not_send);
    return callbacks;
}

void h2_session_start(struct h2_session *h2,
                      int (*make)(nghttp2_session **, const nghttp2_session_callbacks *, void *,
                                  const nghttp2_option *, nghttp2_mem *),
                      const nghttp2_settings_entry *settings, size_t setting_count)
{
    nghttp2_session_callbacks *callbacks = new_callbacks();
    nghttp2_option *option = new_options();

    h2_mem_session_begin();
    ASSERT(make(&h2->ng, callbacks, h2, option, &h2_mem) == 0);
    h2->slot = h2_mem_session_end();
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    ASSERT(nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, settings, setting_count) == 0);
    ASSERT(nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0, H2_SESSION_WINDOW) ==
           0);
}
