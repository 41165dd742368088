/* The HTTP/1 server codec: one request at a time, each with its response, pipelined ones waiting
 * unread.
 *
 * There are two small machines, one for the request and one for the response, and the fate of the
 * connection (h1_server_impl.h). Each has one function that changes it. The request's stream is
 * embedded here and lives from its head until the user closes it; only then is the next request
 * looked at. A connection is kept only when request and response were whole and clear. */
#include "http/h1_server_impl.h"
#include "http/refusal_impl.h"

#include <stdlib.h>

/* --- calls to the owner ----------------------------------------------------------------------- */

void h1_server_set_phase(struct h1_server *s, enum session_phase phase)
{
    if (s->session.phase == phase)
        return;
    s->session.phase = phase;
    s->session.owner->on_phase(&s->session);
}

void h1_server_say_close(struct h1_server *s, enum reason reason)
{
    if (s->fate == FATE_CLOSING)
        return;
    fate_becomes(s, FATE_CLOSING);
    in_enter(s, IN_CLOSED);
    s->session.owner->want_close(&s->session, reason);
}

void h1_server_want_write(struct h1_server *s)
{
    s->session.owner->want_write(&s->session);
}

static void stop_reading(struct h1_server *s)
{
    s->session.owner->set_reading(&s->session, false);
}

void h1_server_start_reading(struct h1_server *s)
{
    s->session.owner->set_reading(&s->session, true);
    s->session.owner->want_input(&s->session);
}

/* --- refusing -------------------------------------------------------------------------------- */

static void write_refusal(struct h1_server *s, int status, struct str word)
{
    struct arena arena;
    struct head head;

    arena_init(&arena, s->session.pool);
    refusal_init(&head, &arena, &s->session, status, word.len + 1);
    struct h1_frame frame = {
        .framing = H1_LENGTH, .content_length = head.content_length, .connection = STR("close")};
    h1_write_response(s->session.out, &head, &frame);
    if (s->method != METHOD_HEAD) {
        bufq_copy(s->session.out, word.ptr, word.len);
        bufq_copy(s->session.out, "\n", 1);
    }
    arena_reset(&arena);
}

/* A request that never became a stream: answered here, shortly, and the connection ends. */
static void refuse(struct h1_server *s, enum reason reason)
{
    int status = reason_status(reason);

    if (status > 0) {
        write_refusal(s, status, refusal_text(&s->session, status, reason));
        h1_server_want_write(s);
    }
    if (s->session.owner->on_bad != NULL)
        s->session.owner->on_bad(&s->session, NULL, reason);
    h1_server_say_close(s, reason);
}

void h1_server_note_cut(struct h1_server *s)
{
    s->session.is_cut = s->out == OUT_RAW && s->is_http10;
}

static void tell_reset(struct h1_server *s, enum reason reason)
{
    if (!has_stream(s) || s->was_reset)
        return;
    s->was_reset = true;
    s->stream.handler->on_reset(&s->stream, reason);
}

/* The body of a request is malformed or too large: the exchange answers if it still can. */
static void fail_body(struct h1_server *s, enum reason reason)
{
    bool tell = has_stream(s) && !s->was_reset && s->out != OUT_DONE;

    in_enter(s, IN_CLOSED);
    fate_becomes(s, FATE_CLOSES);
    if (s->session.owner->on_bad != NULL)
        s->session.owner->on_bad(&s->session, tell ? &s->stream : NULL, reason);
    if (tell)
        tell_reset(s, reason);
}

/* --- heads ----------------------------------------------------------------------------------- */

static void begin_request(struct h1_server *s, const struct head *head)
{
    enum h1_framing framing = h1_request_framing(head);

    s->session.requests++;
    s->session.open_streams = 1;
    s->stream.id = (uint32_t)s->session.requests;
    s->is_paused = s->is_full = s->was_reset = false;
    s->empty_lines = 0;
    s->method = head->method;
    s->is_http10 = head->version == HTTP_1_0;
    s->body_bytes = 0;
    s->expects_continue = head->expects_continue;
    s->wants_upgrade = head->upgrade.len > 0;
    s->in_left = framing == H1_LENGTH ? (uint64_t)head->content_length : 0;
    out_enter(s, OUT_HEAD);
    if (head->upgrade.len > 0)
        in_enter(s, IN_DONE); /* nothing after this head is read before the upstream has agreed */
    else if (framing == H1_NO_BODY)
        in_enter(s, IN_DONE);
    else
        in_enter(s, framing == H1_CHUNKED ? IN_CHUNKED : IN_LENGTH);
    if (head->is_last || s->session.draining ||
        (s->session.limits.max_requests > 0 &&
         s->session.requests >= s->session.limits.max_requests))
        fate_becomes(s, FATE_CLOSES);
}

/* Whoever asks with HEAD takes no body (RFC 9110 section 9.3.2), also where the rest of the request
 * is no good or never comes. */
static void note_method(struct h1_server *s, struct str data)
{
    s->method = str_starts(data, STR("HEAD ")) ? METHOD_HEAD : METHOD_OTHER;
}

static void take_head(struct h1_server *s, struct head *head)
{
    begin_request(s, head);
    h1_server_set_phase(s, SESSION_BUSY);
    s->session.owner->on_stream(&s->session, &s->stream);
    s->stream.handler->on_head(&s->stream, head,
                               head->has_body || head->upgrade.len > 0 ? MORE : END);
}

enum { EMPTY_LINE_LEN = 2 };

static unsigned max_empty_lines(const struct h1_server *s)
{
    unsigned max = s->session.limits.max_empty_lines;

    return max > 0 ? max : SESSION_EMPTY_LINES_MAX;
}

/* Empty lines in front of a request line are ignored (RFC 9112 section 2.2), a few of them. */
static size_t skip_empty_line(struct h1_server *s, struct str data)
{
    if (data.len == 1 && data.ptr[0] == '\r') {
        h1_server_set_phase(s, SESSION_HEAD); /* its LF is to come */
        return 0;
    }
    if (!str_starts(data, STR("\r\n"))) {
        refuse(s, REASON_BAD_LINE_END);
        return data.len;
    }
    if (++s->empty_lines > max_empty_lines(s)) {
        refuse(s, REASON_EMPTY_LINES);
        return data.len;
    }
    h1_server_set_phase(s, SESSION_IDLE); /* perhaps its CR came alone */
    return EMPTY_LINE_LEN;
}

static size_t feed_head(struct h1_server *s, struct str data)
{
    struct head *head;
    size_t head_len;

    if (data.ptr[0] == '\r' || data.ptr[0] == '\n')
        return skip_empty_line(s, data);
    enum reason reason =
        h1_read_request(&s->input, data, &s->session.limits, &s->arena, &head, &head_len);
    if (LIKELY(head != NULL && reason == REASON_NONE)) {
        take_head(s, head);
        return head_len;
    }
    arena_reset(&s->arena);
    note_method(s, data);
    if (reason != REASON_NONE) {
        refuse(s, reason);
        return data.len;
    }
    h1_server_set_phase(s, SESSION_HEAD);
    return 0;
}

/* --- bodies ---------------------------------------------------------------------------------- */

static bool body_is_too_large(struct h1_server *s, size_t more)
{
    uint64_t max = s->session.limits.max_body_bytes;

    s->body_bytes += more;
    return max > 0 && s->body_bytes > max;
}

static void hand_on(struct h1_server *s, struct slice data, enum end end)
{
    if (s->in != IN_TUNNEL && body_is_too_large(s, data.len)) {
        fail_body(s, REASON_BODY_TOO_LARGE);
        return;
    }
    if (end == END)
        in_enter(s, IN_DONE);
    if (has_stream(s))
        s->stream.handler->on_body(&s->stream, data, end);
}

static size_t feed_length(struct h1_server *s, struct slice data)
{
    size_t n = data.len < s->in_left ? data.len : (size_t)s->in_left;

    s->in_left -= n;
    hand_on(s, (struct slice){data.buf, data.ptr, n}, s->in_left == 0 ? END : MORE);
    return n;
}

static size_t feed_chunked(struct h1_server *s, struct slice data)
{
    struct str payload = {0};
    size_t used;

    switch (h1_body_next(s->input.body, str_make(data.ptr, data.len), &used, &payload)) {
    case H1_CHUNK_MORE:
        break;
    case H1_CHUNK_DATA:
        hand_on(s, (struct slice){data.buf, payload.ptr, payload.len}, MORE);
        break;
    case H1_CHUNK_LAST:
        in_enter(s, IN_TRAILERS);
        break;
    case H1_CHUNK_BAD:
        fail_body(s, REASON_BAD_CHUNK);
        break;
    case H1_CHUNK_LONG:
        fail_body(s, REASON_CHUNK_EXTENSION_TOO_LARGE);
        break;
    }
    return used;
}

static void end_chunked(struct h1_server *s, struct head *trailers)
{
    in_enter(s, IN_DONE);
    if (!has_stream(s))
        return;
    if (trailers->field_count > 0)
        s->stream.handler->on_trailers(&s->stream, trailers->fields, trailers->field_count);
    else
        s->stream.handler->on_body(&s->stream, (struct slice){0}, END);
}

static size_t feed_trailers(struct h1_server *s, struct str data)
{
    struct head *trailers;
    size_t len;
    enum reason reason = h1_read_trailers(s->input.body, data, &s->arena, &trailers, &len);

    if (reason != REASON_NONE) {
        fail_body(s, reason);
        return data.len;
    }
    if (trailers != NULL)
        end_chunked(s, trailers);
    return len;
}

/* --- feed ------------------------------------------------------------------------------------ */

/* A client that pipelines requests and does not read would have all its answers held here. */
static bool lacks_room(const struct h1_server *s)
{
    return s->in == IN_HEAD && s->session.out->bytes > s->session.limits.out_high;
}

static void wait_for_room(struct h1_server *s)
{
    s->session.held_stops += !s->waits_for_room;
    s->waits_for_room = true;
    h1_server_set_phase(s, SESSION_BUSY); /* the deadline is that of writing */
    stop_reading(s);
}

/* Must the next bytes wait for a stream? */
static bool is_held_up(const struct h1_server *s)
{
    return s->in == IN_DONE || (has_stream(s) && s->is_paused) ||
           (has_stream(s) && s->in == IN_HEAD);
}

static size_t feed_some(struct h1_server *s, struct slice data)
{
    switch (s->in) {
    case IN_HEAD:
        return feed_head(s, str_make(data.ptr, data.len));
    case IN_LENGTH:
        return feed_length(s, data);
    case IN_CHUNKED:
        return feed_chunked(s, data);
    case IN_TRAILERS:
        return feed_trailers(s, str_make(data.ptr, data.len));
    case IN_TUNNEL:
        hand_on(s, data, MORE);
        return data.len;
    case IN_CLOSED:
        return data.len; /* after the end: swallowed */
    case IN_DONE:
        break;
    }
    UNREACHABLE("held up");
}

static size_t server_feed(struct session *session, struct slice data)
{
    struct h1_server *s = of_session(session);
    size_t used = 0;

    while (used < data.len) {
        if (is_held_up(s)) {
            stop_reading(s); /* until the stream is closed, or resumed */
            break;
        }
        if (UNLIKELY(lacks_room(s))) {
            wait_for_room(s);
            break;
        }
        size_t n = feed_some(s, (struct slice){data.buf, data.ptr + used, data.len - used});
        used += n;
        if (n == 0)
            break; /* wants more bytes behind these */
    }
    if (has_stream(s) && s->is_paused && s->in != IN_DONE)
        stop_reading(s); /* before more is read than is wanted */
    return used;
}

/* May a client that has ended its side still wait for the answer to its whole request? */
static bool may_still_wait(const struct h1_server *s)
{
    return !s->wants_upgrade && !s->session.limits.aborts_half_closed;
}

/* A request that is not whole never will be. A response that is already on its way is finished. */
static void server_eof(struct session *session)
{
    struct h1_server *s = of_session(session);
    bool request_is_whole = s->in == IN_DONE;

    fate_becomes(s, FATE_CLOSES);
    if (!has_stream(s)) {
        h1_server_say_close(s,
                            s->session.phase == SESSION_HEAD ? REASON_CLIENT_CLOSED : REASON_NONE);
        return;
    }
    if (s->in == IN_TUNNEL) {
        in_enter(s, IN_CLOSED);
        s->stream.handler->on_body(&s->stream, (struct slice){0}, END);
        return;
    }
    in_enter(s, IN_CLOSED);
    if (!request_is_whole || (s->out == OUT_HEAD && !may_still_wait(s)))
        tell_reset(s, REASON_CLIENT_CLOSED);
}

static void server_fail(struct session *session, enum reason reason)
{
    struct h1_server *s = of_session(session);

    fate_becomes(s, FATE_CLOSING);
    h1_server_note_cut(s);
    in_enter(s, IN_CLOSED);
    fate_becomes(s, FATE_CLOSES);
    tell_reset(s, reason);
}

static void server_drained(struct session *session)
{
    struct h1_server *s = of_session(session);

    if (s->waits_for_room) {
        s->waits_for_room = false;
        h1_server_start_reading(s);
    }
    if (!s->is_full)
        return;
    s->is_full = false;
    if (has_stream(s) && !s->was_reset && s->out != OUT_DONE)
        s->stream.handler->on_writable(&s->stream);
}

static void server_drain(struct session *session)
{
    struct h1_server *s = of_session(session);

    session->draining = true;
    fate_becomes(s, FATE_CLOSES);
    if (!has_stream(s) && session->phase == SESSION_IDLE)
        h1_server_say_close(s, REASON_NONE);
}

static void server_expire(struct session *session, enum reason reason)
{
    struct h1_server *s = of_session(session);

    if (has_stream(s) || s->fate == FATE_CLOSING)
        return;
    if (session->phase == SESSION_HEAD)
        refuse(s, reason);
    else
        h1_server_say_close(s, reason);
}

/* --- life ------------------------------------------------------------------------------------ */

static void server_free(struct session *session)
{
    struct h1_server *s = of_session(session);

    ASSERT(!has_stream(s));
    h1_input_clear(&s->input);
    arena_reset(&s->arena);
    free(s);
}

static const struct session_ops session_ops = {
    .feed = server_feed,
    .eof = server_eof,
    .fail = server_fail,
    .drained = server_drained,
    .drain = server_drain,
    .expire = server_expire,
    .open = NULL,
    .free = server_free,
};

struct session *h1_server_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits)
{
    struct h1_server *s = mem_new(sizeof(*s));

    s->session = (struct session){.ops = &session_ops,
                                  .owner = owner,
                                  .owner_arg = owner_arg,
                                  .out = out,
                                  .pool = pool,
                                  .limits = *limits,
                                  .is_server = true};
    if (s->session.limits.out_high == 0)
        s->session.limits.out_high = SESSION_OUT_HIGH;
    arena_init(&s->arena, pool);
    s->stream =
        (struct stream){.ops = &h1_server_stream_ops, .arena = &s->arena, .session = &s->session};
    return &s->session;
}
