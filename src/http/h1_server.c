/* The HTTP/1 server codec: one request at a time, each with its response, pipelined ones waiting
 * unread.
 *
 * Two small machines: `in` is where we are in the request, `out` where we are in the response. The
 * request's stream is embedded here and lives from its head until the user closes it; only then is
 * the next request looked at. Keep-alive is the exception that must be earned: whatever is not
 * whole or not clear ends the connection after the response. */
#include "http/h1_impl.h"
#include "http/refusal_impl.h"

#include <stdlib.h>

enum in_state {
    IN_HEAD,   /* between requests, or a head is arriving */
    IN_LENGTH, /* `in_left` body bytes to come */
    IN_CHUNKED,
    IN_TRAILERS,
    IN_DONE,   /* request whole; what comes now is the next one's */
    IN_TUNNEL, /* raw bytes after 101 */
    IN_CLOSED, /* nothing is read any more */
};

enum out_state {
    OUT_IDLE,   /* no stream */
    OUT_HEAD,   /* the final response head has not been sent */
    OUT_LENGTH, /* `out_left` body bytes to be sent */
    OUT_CHUNKED,
    OUT_RAW,  /* until close, or tunnel */
    OUT_DONE, /* response whole */
};

struct h1_server {
    struct session session;
    struct stream stream; /* of the current request */
    struct arena arena;   /* its memory */
    struct h1_input input;
    uint64_t in_left, out_left;
    uint64_t body_bytes; /* of the current request, for max_body_bytes */
    enum method method;  /* of the current request, or of what may become one */
    enum in_state in;
    enum out_state out;
    bool stream_open, paused, full, close_after, is_http10, said_close;
    uint16_t empty_lines; /* seen in front of the next request line */
    bool told_reset;      /* the stream hears nothing more */
    bool expects_continue;
    bool wants_upgrade;  /* to a tunnel, of which the client's side must be open */
    uint8_t names;       /* enum name_case of the response */
    bool waits_for_room; /* the next request is not read before `out` has drained */
};

static struct h1_server *of_session(struct session *session)
{
    return CONTAINER_OF(session, struct h1_server, session);
}

static struct h1_server *of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h1_server, stream);
}

/* --- what the owner is told ------------------------------------------------------------------ */

static void set_phase(struct h1_server *s, enum session_phase phase)
{
    if (s->session.phase == phase)
        return;
    s->session.phase = phase;
    s->session.owner->on_phase(&s->session);
}

/* No more input, and the connection ends when `out` is written. */
static void say_close(struct h1_server *s, enum reason reason)
{
    if (s->said_close)
        return;
    s->said_close = true;
    s->in = IN_CLOSED;
    s->session.owner->want_close(&s->session, reason);
}

static void want_write(struct h1_server *s)
{
    s->session.owner->want_write(&s->session);
}

static void stop_reading(struct h1_server *s)
{
    s->session.owner->set_reading(&s->session, false);
}

static void start_reading(struct h1_server *s)
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
        want_write(s);
    }
    if (s->session.owner->on_bad != NULL)
        s->session.owner->on_bad(&s->session, NULL, reason);
    say_close(s, reason);
}

/* The response goes no further; does its body end with the connection? */
static void note_cut(struct h1_server *s)
{
    s->session.is_cut = s->out == OUT_RAW && s->is_http10;
}

static void tell_reset(struct h1_server *s, enum reason reason)
{
    if (!s->stream_open || s->told_reset)
        return;
    s->told_reset = true;
    s->stream.handler->on_reset(&s->stream, reason);
}

/* The body of a request turned bad: the exchange hears of it and answers if it still can. */
static void fail_body(struct h1_server *s, enum reason reason)
{
    bool tell = s->stream_open && !s->told_reset && s->out != OUT_DONE;

    s->in = IN_CLOSED;
    s->close_after = true;
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
    s->stream_open = true;
    s->paused = s->full = s->told_reset = false;
    s->empty_lines = 0;
    s->method = head->method;
    s->is_http10 = head->version == HTTP_1_0;
    s->body_bytes = 0;
    s->expects_continue = head->expects_continue;
    s->wants_upgrade = head->upgrade.len > 0;
    s->in_left = framing == H1_LENGTH ? (uint64_t)head->content_length : 0;
    s->out = OUT_HEAD;
    if (head->upgrade.len > 0)
        s->in = IN_DONE; /* nothing after this head is read before the upstream has agreed */
    else if (framing == H1_NO_BODY)
        s->in = IN_DONE;
    else
        s->in = framing == H1_CHUNKED ? IN_CHUNKED : IN_LENGTH;
    if (head->is_last || s->session.draining ||
        (s->session.limits.max_requests > 0 &&
         s->session.requests >= s->session.limits.max_requests))
        s->close_after = true;
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
    set_phase(s, SESSION_BUSY);
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
        set_phase(s, SESSION_HEAD); /* its LF is to come */
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
    set_phase(s, SESSION_IDLE); /* perhaps its CR came alone */
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
    set_phase(s, SESSION_HEAD);
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
        s->in = IN_DONE;
    if (s->stream_open)
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
        s->in = IN_TRAILERS;
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
    s->in = IN_DONE;
    if (!s->stream_open)
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
    set_phase(s, SESSION_BUSY); /* the deadline is that of writing */
    stop_reading(s);
}

/* Must the next bytes wait for a stream? */
static bool is_held_up(const struct h1_server *s)
{
    return s->in == IN_DONE || (s->stream_open && s->paused) ||
           (s->stream_open && s->in == IN_HEAD);
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
    if (s->stream_open && s->paused && s->in != IN_DONE)
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

    s->close_after = true;
    if (!s->stream_open) {
        say_close(s, s->session.phase == SESSION_HEAD ? REASON_CLIENT_CLOSED : REASON_NONE);
        return;
    }
    if (s->in == IN_TUNNEL) {
        s->in = IN_CLOSED;
        s->stream.handler->on_body(&s->stream, (struct slice){0}, END);
        return;
    }
    s->in = IN_CLOSED;
    if (!request_is_whole || (s->out == OUT_HEAD && !may_still_wait(s)))
        tell_reset(s, REASON_CLIENT_CLOSED);
}

static void server_fail(struct session *session, enum reason reason)
{
    struct h1_server *s = of_session(session);

    s->said_close = true; /* the owner knows */
    note_cut(s);
    s->in = IN_CLOSED;
    s->close_after = true;
    tell_reset(s, reason);
}

static void server_drained(struct session *session)
{
    struct h1_server *s = of_session(session);

    if (s->waits_for_room) {
        s->waits_for_room = false;
        start_reading(s);
    }
    if (!s->full)
        return;
    s->full = false;
    if (s->stream_open && !s->told_reset && s->out != OUT_DONE)
        s->stream.handler->on_writable(&s->stream);
}

static void server_drain(struct session *session)
{
    struct h1_server *s = of_session(session);

    session->draining = true;
    s->close_after = true;
    if (!s->stream_open && session->phase == SESSION_IDLE)
        say_close(s, REASON_NONE);
}

static void server_expire(struct session *session, enum reason reason)
{
    struct h1_server *s = of_session(session);

    if (s->stream_open || s->said_close)
        return;
    if (session->phase == SESSION_HEAD)
        refuse(s, reason);
    else
        say_close(s, reason);
}

/* --- the response ---------------------------------------------------------------------------- */

static void choose_framing(struct h1_server *s, const struct head *head, enum end end,
                           struct h1_frame *frame)
{
    frame->content_length = head->content_length;
    if (!response_has_body(s->method, head->status)) {
        frame->framing = H1_NO_BODY;
        if (head->status == 204 || head->status < 200)
            frame->content_length = CONTENT_LENGTH_NONE; /* RFC 9110 section 8.6 */
        s->out = OUT_LENGTH;
        s->out_left = 0;
    } else if (end == END || head->content_length >= 0) {
        frame->framing = H1_LENGTH;
        if (end == END)
            frame->content_length = 0;
        s->out = OUT_LENGTH;
        s->out_left = (uint64_t)frame->content_length;
    } else if (!s->is_http10) {
        frame->framing = H1_CHUNKED;
        s->out = OUT_CHUNKED;
    } else {
        frame->framing = H1_UNTIL_CLOSE;
        s->out = OUT_RAW;
        s->close_after = true;
    }
}

static void end_response(struct h1_server *s)
{
    s->out = OUT_DONE;
}

static void send_interim(struct h1_server *s, const struct head *head)
{
    struct h1_frame frame = {.framing = H1_NO_BODY, .content_length = CONTENT_LENGTH_NONE};

    if (s->is_http10)
        return; /* RFC 9110 section 15.2: HTTP/1.0 knows no 1xx */
    h1_write_response(s->session.out, head, &frame);
    want_write(s);
}

static void send_switch(struct h1_server *s, const struct head *head)
{
    struct h1_frame frame = {.framing = H1_NO_BODY,
                             .content_length = CONTENT_LENGTH_NONE,
                             .connection = STR("Upgrade"),
                             .upgrade = head->upgrade};

    h1_write_response(s->session.out, head, &frame);
    s->in = IN_TUNNEL;
    s->out = OUT_RAW;
    s->close_after = true;
    want_write(s);
    start_reading(s);
}

/* A final answer that comes instead of the body: the client must know that we close, or it would
 * take the connection for free (RFC 9110 section 10.1.1). */
static bool leaves_body(const struct h1_server *s, enum end end)
{
    bool is_instead = end == END || (s->expects_continue && s->body_bytes == 0);

    return s->in != IN_DONE && is_instead;
}

/* A 426 must say what to switch to (RFC 9110 section 15.5.22), also where we would not. */
static struct str required_upgrade(const struct head *head)
{
    return head->status == 426 ? head->upgrade : (struct str){0};
}

static struct str connection_options(const struct h1_server *s, bool with_upgrade)
{
    if (s->close_after)
        return with_upgrade ? STR("close, Upgrade") : STR("close");
    if (s->is_http10)
        return with_upgrade ? STR("keep-alive, Upgrade") : STR("keep-alive");
    return with_upgrade ? STR("Upgrade") : (struct str){0};
}

static void server_send_head(struct stream *stream, const struct head *head, enum end end)
{
    struct h1_server *s = of_stream(stream);
    struct h1_frame frame = {0};

    if (s->said_close || s->out != OUT_HEAD)
        return;
    if (head->status == 101) {
        send_switch(s, head);
        return;
    }
    if (head->status < 200) {
        send_interim(s, head);
        return;
    }
    if (head->close || s->session.draining || leaves_body(s, end))
        s->close_after = true;
    choose_framing(s, head, end, &frame);
    s->names = (uint8_t)head->names;
    frame.upgrade = required_upgrade(head);
    frame.connection = connection_options(s, frame.upgrade.len > 0);
    h1_write_response(s->session.out, head, &frame);
    if (end == END)
        end_response(s);
    want_write(s);
}

static void write_body(struct h1_server *s, struct slice data)
{
    if (data.len == 0)
        return;
    if (s->out == OUT_CHUNKED) {
        h1_write_chunk(s->session.out, data);
        return;
    }
    if (s->out == OUT_LENGTH) {
        data.len = data.len < s->out_left ? data.len : (size_t)s->out_left;
        s->out_left -= data.len;
    }
    bufq_add(s->session.out, data);
}

/* A body shorter than announced: the client must not take it for whole. */
static void check_whole(struct h1_server *s)
{
    if (s->out == OUT_LENGTH && s->out_left > 0)
        s->close_after = true;
}

static enum stream_status server_send_body(struct stream *stream, struct slice data, enum end end)
{
    struct h1_server *s = of_stream(stream);

    if (s->said_close || s->out == OUT_HEAD || s->out == OUT_DONE)
        return STREAM_OK;
    write_body(s, data);
    if (end == END) {
        if (s->out == OUT_CHUNKED)
            h1_write_last_chunk(s->session.out, NULL, 0, s->names);
        check_whole(s);
        end_response(s);
    }
    want_write(s);
    if (s->session.out->bytes <= s->session.limits.out_high)
        return STREAM_OK;
    s->full = true;
    return STREAM_FULL;
}

static void server_send_trailers(struct stream *stream, const struct field *fields, size_t count)
{
    struct h1_server *s = of_stream(stream);

    if (s->said_close || s->out == OUT_HEAD || s->out == OUT_DONE)
        return;
    if (s->out == OUT_CHUNKED)
        h1_write_last_chunk(s->session.out, fields, count, s->names);
    check_whole(s);
    end_response(s);
    want_write(s);
}

static void server_reset(struct stream *stream, enum reason reason UNUSED)
{
    struct h1_server *s = of_stream(stream);

    s->close_after = true;
    note_cut(s);
}

static void server_pause(struct stream *stream)
{
    of_stream(stream)->paused = true;
}

static void server_resume(struct stream *stream)
{
    struct h1_server *s = of_stream(stream);

    if (!s->paused)
        return;
    s->paused = false;
    start_reading(s);
}

/* The exchange is over: on to the next request, or to the end of the connection. */
static void server_close(struct stream *stream)
{
    struct h1_server *s = of_stream(stream);
    bool is_whole = s->out == OUT_DONE && s->in == IN_DONE;

    ASSERT(s->stream_open);
    s->stream_open = false;
    s->session.open_streams = 0;
    s->out = OUT_IDLE;
    s->paused = false;
    arena_reset(&s->arena);
    if (!is_whole || s->close_after || s->session.draining) {
        say_close(s, REASON_NONE);
        return;
    }
    s->in = IN_HEAD;
    set_phase(s, SESSION_IDLE);
    start_reading(s);
}

static const struct stream_ops stream_ops = {
    .send_head = server_send_head,
    .send_body = server_send_body,
    .send_trailers = server_send_trailers,
    .reset = server_reset,
    .pause = server_pause,
    .resume = server_resume,
    .close = server_close,
};

/* --- life ------------------------------------------------------------------------------------ */

static void server_free(struct session *session)
{
    struct h1_server *s = of_session(session);

    ASSERT(!s->stream_open);
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
    s->stream = (struct stream){.ops = &stream_ops, .arena = &s->arena, .session = &s->session};
    s->out = OUT_IDLE;
    return &s->session;
}
