/* What arrives: nghttp2 has checked framing, compression and RFC 9113 sections 8.1 to 8.3; here
 * fields become heads, DATA becomes bodies, and limits are kept. Every callback answers 0 or
 * "temporal failure" (which resets one stream); none may end the session half way. */
#include "http/h2_impl.h"

#include <endian.h>

static struct h2_stream *stream_by_id(nghttp2_session *ng, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(ng, id) : NULL;
}

/* --- the beginning of a header block --------------------------------------------------------- */

static void incoming_start(struct h2_session *h2, enum h2_block block, struct h2_stream *st)
{
    struct arena *arena = st->had_interim ? &st->own_arena : st->stream.arena;

    h2->in = (struct h2_incoming){.block = block, .st = st, .head = ARENA_NEW(arena, struct head)};
    h2->in.crumbs_end = &h2->in.crumbs;
    head_init(h2->in.head, arena);
    h2->in.head->version = HTTP_2;
}

static int refuse_stream(struct h2_session *h2, int32_t id)
{
    nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* A stream that was reset counts until its user has let go of it, or a client could start more work
 * than it is allowed by resetting what it has begun (rapid reset). */
static int begin_request(struct h2_session *h2, int32_t id)
{
    struct session *session = &h2->session;
    bool is_full = session->open_streams >= session->limits.max_streams;

    h2->skipped_ids |= (uint32_t)id != h2->next_id;
    h2->next_id = (uint32_t)id + 2;
    if (is_full)
        h2_glitch(h2, H2_COST_FRAME);
    if (is_full || !h2_is_live(h2))
        return refuse_stream(h2, id);

    struct h2_stream *st = h2_stream_new(h2, NULL);
    st->stream.id = (uint32_t)id;
    nghttp2_session_set_stream_user_data(h2->ng, id, st);
    session->requests++;
    if (session->limits.max_requests > 0 && session->requests >= session->limits.max_requests)
        h2_drain(session);
    incoming_start(h2, H2_BLOCK_HEAD, st);
    return 0;
}

int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *h2 = arg;
    int32_t id = frame->hd.stream_id;

    h2_flush_body(h2, MORE);
    h2->in = (struct h2_incoming){0};
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return begin_request(h2, id);

    struct h2_stream *st = stream_by_id(ng, id);
    if (st != NULL && st->user_open && !st->quiet)
        incoming_start(h2, st->rx_final_head ? H2_BLOCK_TRAILERS : H2_BLOCK_HEAD, st);
    return 0;
}

/* --- fields ---------------------------------------------------------------------------------- */

static void add_crumb(struct h2_incoming *in, struct str value)
{
    struct arena *arena = in->head->arena;
    struct h2_crumb *crumb = arena_alloc(arena, sizeof(*crumb));

    *crumb = (struct h2_crumb){.value = arena_str(arena, value)};
    *in->crumbs_end = crumb;
    in->crumbs_end = &crumb->next;
    in->crumb_bytes += value.len + 2;
}

/* Known names are neither copied nor looked up again. */
static void add_field(struct h2_incoming *in, struct str name, struct str value)
{
    struct arena *arena = in->head->arena;
    enum header_id id = header_lookup(name);

    if (id == HEADER_COOKIE) {
        add_crumb(in, value);
    } else if (id != HEADER_OTHER) {
        head_add_id(in->head, id, arena_str(arena, value));
    } else {
        head_add_lower(in->head, arena_str(arena, name), arena_str(arena, value));
    }
    if (id == HEADER_OTHER && str_eq(name, STR("priority")))
        in->has_priority = true;
}

/* All crumbs as one field, joined once (RFC 9113 section 8.2.3). */
static void join_crumbs(struct h2_incoming *in)
{
    if (in->crumbs == NULL)
        return;
    if (in->crumbs->next == NULL) {
        head_add_id(in->head, HEADER_COOKIE, in->crumbs->value);
        return;
    }

    char *text = arena_alloc_aligned(in->head->arena, in->crumb_bytes, 1);
    size_t len = 0;
    for (const struct h2_crumb *crumb = in->crumbs; crumb != NULL; crumb = crumb->next) {
        if (len > 0) {
            text[len++] = ';';
            text[len++] = ' ';
        }
        if (crumb->value.len > 0)
            memcpy(text + len, crumb->value.ptr, crumb->value.len);
        len += crumb->value.len;
    }
    head_add_id(in->head, HEADER_COOKIE, str_make(text, len));
}

static enum reason check_limits(const struct h2_session *h2, size_t line_bytes)
{
    const struct session_limits *limits = &h2->session.limits;
    const struct h2_incoming *in = &h2->in;

    if (in->bytes > limits->max_header_bytes)
        return REASON_HEADERS_TOO_LARGE;
    if (in->count > limits->max_header_count)
        return REASON_TOO_MANY_FIELDS;
    if (line_bytes > limits->max_line_bytes)
        return REASON_LINE_TOO_LONG;
    if (h2->head_bytes + in->bytes > limits->max_held_header_bytes)
        return REASON_HEADERS_HELD;
    return REASON_NONE;
}

/* The stream's arena holds the block from now on. */
static void charge_block(struct h2_session *h2)
{
    const struct h2_incoming *in = &h2->in;

    if (in->st == NULL || in->bad != REASON_NONE)
        return;
    in->st->head_bytes += (uint32_t)in->bytes;
    h2->head_bytes += in->bytes;
}

void h2_release_heads(struct h2_stream *st)
{
    st->h2->head_bytes -= st->head_bytes;
    st->head_bytes = 0;
}

enum reason h2_upstream_reason(enum reason bad)
{
    switch ((int)bad) {
    case REASON_NONE:
    case REASON_UPSTREAM_PROTOCOL:
        return bad;
    case REASON_HEADERS_HELD:
        return REASON_UPSTREAM_HEADERS_HELD;
    }
    return REASON_UPSTREAM_HEADERS_TOO_LARGE;
}

/* Decoding must go on to keep the compression state, but it is not necessary to look at every field
 * of a bomb. */
static bool is_bomb(const struct session_limits *limits, const struct h2_incoming *in)
{
    return in->bytes > (uint64_t)limits->max_header_bytes * H2_TOLERANCE ||
           in->count > (uint64_t)limits->max_header_count * H2_TOLERANCE;
}

static void refuse_block(struct h2_session *h2, struct h2_stream *st, enum reason reason)
{
    bool is_malformed = reason == REASON_UPSTREAM_PROTOCOL;

    if (!h2->session.is_server)
        reason = h2_upstream_reason(reason);
    h2_bad(h2, st, reason);
    h2_glitch(h2, H2_COST_ERROR);
    h2_stream_rst(st, is_malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
    h2_stream_tell_reset(st, reason);
}

static int defuse(struct h2_session *h2)
{
    struct h2_incoming in = h2->in;

    h2->in = (struct h2_incoming){0};
    h2_glitch(h2, H2_COST_BOMB - H2_COST_ERROR);
    refuse_block(h2, in.st, in.bad);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static enum reason take_pseudo(struct h2_session *h2, struct str name, struct str value)
{
    if (h2->in.block != H2_BLOCK_HEAD)
        return REASON_BAD_TRAILER;
    return h2->session.is_server ? h2_server_pseudo(h2, name, value)
                                 : h2_client_pseudo(h2, name, value);
}

/* A field of the connection makes a message malformed (RFC 9113 section 8.2.2). nghttp2 knows them
 * all, but lets TE pass in responses, where it means nothing. */
static bool is_out_of_place(const struct h2_session *h2, struct str name)
{
    return !h2->session.is_server && header_lookup(name) == HEADER_TE;
}

int h2_on_header(nghttp2_session *ng UNUSED, const nghttp2_frame *frame UNUSED,
                 const uint8_t *name_ptr, size_t name_len, const uint8_t *value_ptr,
                 size_t value_len, uint8_t flags UNUSED, void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_incoming *in = &h2->in;
    struct str name = str_make(name_ptr, name_len), value = str_make(value_ptr, value_len);

    if (in->st == NULL)
        return 0;
    in->bytes += name_len + value_len + H2_FIELD_OVERHEAD;
    in->count++;
    if (in->bad == REASON_NONE)
        in->bad = check_limits(h2, name_len + value_len);
    if (in->bad != REASON_NONE)
        return is_bomb(&h2->session.limits, in) ? defuse(h2) : 0;

    if (name_len > 0 && name.ptr[0] == ':') {
        in->bad = take_pseudo(h2, name, value);
    } else if (is_out_of_place(h2, name)) {
        in->bad = REASON_UPSTREAM_PROTOCOL;
    } else {
        add_field(in, name, value);
    }
    return 0;
}

/* nghttp2 would leave the field out and go on; a message with such a field is malformed (RFC 9113
 * section 8.2.1), and what is malformed is not repaired. */
int h2_on_invalid_header(nghttp2_session *ng UNUSED, const nghttp2_frame *frame UNUSED,
                         const uint8_t *name UNUSED, size_t name_len UNUSED,
                         const uint8_t *value UNUSED, size_t value_len UNUSED, uint8_t flags UNUSED,
                         void *arg UNUSED)
{
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- bodies ---------------------------------------------------------------------------------- */

static bool is_listening(const struct h2_stream *st)
{
    return st->user_open && !st->quiet;
}

/* The request is larger than allowed: 413 if nothing was answered yet (RFC 9110 section
 * 15.5.14). */
static void refuse_body(struct h2_stream *st)
{
    h2_bad(st->h2, st, REASON_BODY_TOO_LARGE);
    if (!st->tx_head && !st->tx_dead) {
        h2_answer(st, REASON_BODY_TOO_LARGE);
    } else {
        h2_stream_rst(st, NGHTTP2_CANCEL);
    }
    h2_stream_tell_reset(st, REASON_BODY_TOO_LARGE);
}

/* The user may pause or close the stream inside on_body. The struct stays: the wire holds it. */
static void hand_body(struct h2_stream *st, struct slice data, enum end end)
{
    struct h2_session *h2 = st->h2;
    uint64_t max = h2->session.is_server ? h2->session.limits.max_body_bytes : 0;

    st->body_bytes += data.len;
    if (is_listening(st) && max > 0 && st->body_bytes > max)
        refuse_body(st);
    if (is_listening(st)) {
        st->rx_ended = end == END;
        st->stream.handler->on_body(&st->stream, data, end);
    }
    if (end == END)
        st->rx_ended = true;
    if (is_listening(st) && st->paused) {
        h2_hold(st, data.len);
    } else if (st->user_open || data.len == 0) {
        h2_consume(st, data.len);
    } else {
        nghttp2_session_consume_connection(h2->ng, data.len);
    }
}

void h2_flush_body(struct h2_session *h2, enum end end)
{
    struct h2_stream *st = h2->body_stream;

    if (st == NULL)
        return;
    h2->body_stream = NULL;
    hand_body(st, h2->body, end);
}

/* One piece is held back so that the last one and END come together. */
int h2_on_data(nghttp2_session *ng, uint8_t flags UNUSED, int32_t id, const uint8_t *data,
               size_t len, void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_stream *st = stream_by_id(ng, id);

    h2_flush_body(h2, MORE);
    if (st == NULL) {
        nghttp2_session_consume_connection(ng, len);
        return 0;
    }
    h2->body_stream = st;
    h2->body = (struct slice){h2->feed_buf, (const char *)data, len};
    return 0;
}

/* --- frames ---------------------------------------------------------------------------------- */

static void on_data_frame(struct h2_session *h2, const nghttp2_frame *frame)
{
    struct h2_stream *st = stream_by_id(h2->ng, frame->hd.stream_id);

    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        if (st != NULL && h2->body_stream != st) {
            h2->body_stream = st;
            h2->body = (struct slice){0};
        }
        h2_flush_body(h2, END);
        return;
    }
    if (frame->hd.length == frame->data.padlen) /* nothing, or nothing but padding */
        h2_glitch(h2, H2_COST_FRAME);
}

/* Fields that must not come in trailers (RFC 9110 section 6.5.1) are taken out. */
static size_t filter_trailers(struct head *head)
{
    size_t count = 0;

    for (unsigned i = 0; i < head->field_count; i++) {
        if (!(header_flags(head->fields[i].id) & HEADER_NO_TRAILER))
            head->fields[count++] = head->fields[i];
    }
    return count;
}

static void on_trailers(struct h2_session *h2, struct h2_incoming *in)
{
    struct h2_stream *st = in->st;

    if (in->bad != REASON_NONE) {
        refuse_block(h2, st, in->bad);
        return;
    }
    st->rx_ended = true;
    if (is_listening(st))
        st->stream.handler->on_trailers(&st->stream, in->head->fields, filter_trailers(in->head));
}

static void on_headers_frame(struct h2_session *h2, const nghttp2_frame *frame)
{
    enum end end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? END : MORE;
    struct h2_incoming in = h2->in;

    charge_block(h2);
    if (in.st == NULL) {
        struct h2_stream *st = stream_by_id(h2->ng, frame->hd.stream_id);
        if (st != NULL && end == END)
            st->rx_ended = true; /* trailers that are not wanted */
        return;
    }
    if (in.block == H2_BLOCK_TRAILERS) {
        h2->in = (struct h2_incoming){0};
        on_trailers(h2, &in);
        return;
    }
    join_crumbs(&h2->in);
    if (h2->session.is_server) {
        h2_server_on_request(h2, end);
    } else {
        h2_client_on_response(h2, end);
    }
    h2->in = (struct h2_incoming){0};
}

static void on_rst_frame(struct h2_session *h2, const nghttp2_frame *frame)
{
    struct h2_stream *st = stream_by_id(h2->ng, frame->hd.stream_id);
    bool is_early = st != NULL && !st->tx_end_sent;

    if (st != NULL)
        st->rst_received = true;
    if (h2->session.is_server)
        h2_glitch(h2, is_early ? H2_COST_RESET : H2_COST_FRAME);
}

static void on_settings_frame(struct h2_session *h2, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        return;
    if (h2->settings_seen)
        h2_glitch(h2, H2_COST_FRAME);
    h2->settings_seen = true;
    if (!h2->session.is_server)
        h2_client_on_settings(h2);
}

/* A window is opened because data came through it; one that is opened byte by byte is a flood. A
 * PING with each piece of data measures the path (as gRPC does all the time); without it is one. */
static void on_thanks(struct h2_session *h2)
{
    if (h2->thanks_left > 0)
        h2->thanks_left--;
    else
        h2_glitch(h2, H2_COST_FRAME);
}

static void on_ping_frame(struct h2_session *h2, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
        h2_on_drain_ack(h2, frame->ping.opaque_data);
        h2_glitch(h2, H2_COST_FRAME);
    } else {
        on_thanks(h2);
    }
}

/* HEADERS or DATA of a stream that has ended, or was passed over by a later one (RFC 9113 sections
 * 5.1 and 5.1.1): nghttp2, which does not remember closed streams, would ignore it for ever. Only
 * where we have reset none may the peer be blamed: DATA may have been on its way. An upstream that
 * goes on after its end gets no more requests; others' responses are not cut for it. */
static void on_past_stream(struct h2_session *h2, unsigned cost)
{
    if (!h2->session.is_server) {
        h2->session.draining |= !h2->rst_sent;
        return;
    }
    h2_glitch(h2, cost);
    if (!h2->rst_sent)
        h2_terminate(h2, h2->skipped_ids ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED,
                     REASON_H2_PROTOCOL);
}

static uint32_t next_id(const struct h2_session *h2)
{
    return h2->session.is_server ? h2->next_id : nghttp2_session_get_next_stream_id(h2->ng);
}

static bool is_past_stream(const struct h2_session *h2, int32_t id)
{
    return id % 2 == 1 && (uint32_t)id < next_id(h2) &&
           nghttp2_session_find_stream(h2->ng, id) == NULL;
}

/* PRIORITY is ignored, and counted. */
int h2_on_begin_frame(nghttp2_session *ng UNUSED, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2_session *h2 = arg;

    if (hd->type == NGHTTP2_PRIORITY)
        h2_glitch(h2, H2_COST_FRAME);
    if (hd->type == NGHTTP2_HEADERS && is_past_stream(h2, hd->stream_id))
        on_past_stream(h2, H2_COST_FRAME);
    return 0;
}

static uint32_t u32_at(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

static uint32_t id_at(const uint8_t *at)
{
    return u32_at(at) & 0x7fffffff;
}

enum { FRAME_HEAD = 9, PRIORITY_BYTES = 5 };

static bool is_priority(const struct h2_walk *walk)
{
    return walk->head[3] == NGHTTP2_PRIORITY && u32_at(walk->head) >> 8 == PRIORITY_BYTES;
}

/* How much of the head is wanted; only its first nine bytes can change that. */
static uint8_t head_bytes(const struct h2_walk *walk)
{
    return walk->have >= FRAME_HEAD && is_priority(walk) ? sizeof(walk->head) : FRAME_HEAD;
}

bool h2_walk(struct h2_session *h2, const char **at, const char *end)
{
    struct h2_walk *walk = &h2->walk;

    while (*at < end) {
        size_t wanted = walk->skip > 0 ? walk->skip : (size_t)(head_bytes(walk) - walk->have);
        size_t n = MIN(wanted, (size_t)(end - *at));
        if (walk->skip > 0) {
            walk->skip -= (uint32_t)n;
        } else {
            memcpy(walk->head + walk->have, *at, n);
            walk->have += (uint8_t)n;
        }
        *at += n;
        if (walk->have < FRAME_HEAD || walk->have < head_bytes(walk))
            continue;
        walk->skip = (u32_at(walk->head) >> 8) - (walk->have - FRAME_HEAD);
        if (walk->head[3] == NGHTTP2_DATA || is_priority(walk))
            return true;
        if (walk->head[3] > NGHTTP2_CONTINUATION) /* unknown to nghttp2, which does not report it */
            h2_glitch(h2, H2_COST_FRAME);
        walk->have = 0;
    }
    return false;
}

/* DATA of a past stream; PRIORITY of no stream (RFC 9113 section 6.3), or of one that depends on
 * itself (RFC 7540 section 5.3.1): nghttp2 skips what it has no use for. */
void h2_judge(struct h2_session *h2)
{
    struct h2_walk *walk = &h2->walk;
    uint32_t id = id_at(walk->head + 5);

    walk->have = 0;
    if (is_priority(walk)) {
        if (id == 0 || id == id_at(walk->head + FRAME_HEAD))
            h2_terminate(h2, NGHTTP2_PROTOCOL_ERROR,
                         h2->session.is_server ? REASON_H2_PROTOCOL : REASON_UPSTREAM_PROTOCOL);
    } else if (is_past_stream(h2, (int32_t)id)) {
        on_past_stream(h2, walk->skip == 0 ? H2_COST_FRAME : 0);
    }
}

int h2_on_frame_recv(nghttp2_session *ng UNUSED, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *h2 = arg;

    if (frame->hd.type == NGHTTP2_DATA) {
        on_data_frame(h2, frame);
        return 0;
    }
    h2_flush_body(h2, MORE);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers_frame(h2, frame);
        break;
    case NGHTTP2_RST_STREAM:
        on_rst_frame(h2, frame);
        break;
    case NGHTTP2_SETTINGS:
        on_settings_frame(h2, frame);
        break;
    case NGHTTP2_PING:
        on_ping_frame(h2, frame);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        on_thanks(h2);
        break;
    case NGHTTP2_GOAWAY:
        if (h2->peer_leaves)
            h2_glitch(h2, H2_COST_FRAME); /* twice is how one leaves politely */
        h2->peer_leaves = true;
        h2->session.draining |= !h2->session.is_server; /* no place for new streams */
        break;
    default:
        break;
    }
    return 0;
}

/* nghttp2 has decided to reset the stream, or to end the session; here it is only counted. */
int h2_on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error UNUSED,
                        void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_stream *st = stream_by_id(ng, frame->hd.stream_id);

    h2_flush_body(h2, MORE);
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2->in = (struct h2_incoming){0};
    if (st != NULL) {
        h2_bad(h2, st, h2->session.is_server ? REASON_H2_PROTOCOL : REASON_UPSTREAM_PROTOCOL);
        st->tx_dead = true;
    }
    h2_glitch(h2, H2_COST_ERROR);
    return 0;
}

/* --- the end of a stream --------------------------------------------------------------------- */

static enum reason why_closed(const struct h2_stream *st, uint32_t error_code)
{
    bool is_server = st->h2->session.is_server;

    if (st->h2->dying != REASON_NONE)
        return st->h2->dying;
    if (is_server)
        return st->rst_received ? REASON_CLIENT_RESET : REASON_H2_PROTOCOL;
    if (st->unsent || error_code == NGHTTP2_REFUSED_STREAM)
        return REASON_UPSTREAM_REFUSED; /* RST_STREAM, or beyond the last stream of a GOAWAY */
    return st->rst_received ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_PROTOCOL;
}

/* Both directions ended as they should, or the upstream answered in full and needs no more of the
 * request (RFC 9113 section 8.1). */
static bool is_whole(const struct h2_stream *st, uint32_t error_code)
{
    if (!st->rx_ended)
        return false;
    if (st->tx_end_sent)
        return true;
    return !st->h2->session.is_server && st->rst_received && error_code == NGHTTP2_NO_ERROR;
}

int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg)
{
    struct h2_session *h2 = arg;
    struct h2_stream *st = stream_by_id(ng, id);

    if (st == NULL)
        return 0;

    bool is_ours = st->rst_sent, whole = is_whole(st, error_code), held = st->user_open;
    enum reason reason = why_closed(st, error_code);
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    if (whole) {
        h2->glitches = MAX(h2->glitches - H2_COST_FRAME, 0);
    } else if (!is_ours && !st->rst_received && !st->counted && error_code != NGHTTP2_NO_ERROR &&
               error_code != NGHTTP2_REFUSED_STREAM) {
        h2_bad(h2, st, reason);
        h2_glitch(h2, H2_COST_ERROR);
    }
    h2_stream_off_wire(st); /* without a user it is freed by that */
    if (held && !whole)
        h2_stream_tell_reset(st, reason);
    return 0;
}
