/* The HTTP/1 client codec: one request, one response, then perhaps the next. A response must be
 * framed beyond doubt, or the stream is reset and the connection is not used again; so is a
 * connection on which bytes come that no request asked for. */
#include "http/h1_impl.h"

#include <stdlib.h>

/* Where we are in the response. */
enum in_state {
    IN_IDLE, /* no request out: any byte is too much */
    IN_HEAD, /* a response head is to come */
    IN_LENGTH,
    IN_CHUNKED,
    IN_TRAILERS,
    IN_RAW,  /* until close, or tunnel */
    IN_DONE, /* response whole */
    IN_CLOSED,
};

static const uint8_t in_may_follow[] = {
    [IN_IDLE] = BIT(IN_IDLE) | BIT(IN_HEAD) | BIT(IN_CLOSED), /* IDLE: nothing was sent */
    [IN_HEAD] = BIT(IN_LENGTH) | BIT(IN_CHUNKED) | BIT(IN_RAW) | BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_LENGTH] = BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_CHUNKED] = BIT(IN_TRAILERS) | BIT(IN_CLOSED),
    [IN_TRAILERS] = BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_RAW] = BIT(IN_DONE) | BIT(IN_CLOSED),
    [IN_DONE] = BIT(IN_IDLE) | BIT(IN_CLOSED),
    [IN_CLOSED] = BIT(IN_CLOSED),
};

/* Where we are in the request. IDLE means that there is no stream whose head was sent. */
enum out_state { OUT_IDLE, OUT_HEAD, OUT_LENGTH, OUT_CHUNKED, OUT_TUNNEL, OUT_DONE };

static const uint8_t out_may_follow[] = {
    [OUT_IDLE] = BIT(OUT_HEAD),
    [OUT_HEAD] = BIT(OUT_LENGTH) | BIT(OUT_CHUNKED) | BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_LENGTH] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_CHUNKED] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_TUNNEL] = BIT(OUT_DONE) | BIT(OUT_IDLE),
    [OUT_DONE] = BIT(OUT_TUNNEL) | BIT(OUT_DONE) | BIT(OUT_IDLE),
};

struct h1_client {
    struct session session;
    struct stream stream;
    struct h1_input input;
    uint64_t in_left, out_left;
    enum method method;
    enum in_state in;
    enum out_state out;
    struct arena later_heads; /* those after the first interim head, one at a time */
    bool had_interim;
    struct str asked_upgrade; /* protocol, in the stream's arena; "": none */
    enum reason failure;      /* why the response was no good: the reason of want_close */
    bool stream_open, paused, full, said_close;
    uint8_t names;        /* enum name_case of the request */
    bool feeding;         /* inside client_feed: more bytes may follow those in hand */
    bool awaits_continue; /* the body was announced with Expect, and no 100 has asked for it */
};

static void in_enter(struct h1_client *c, enum in_state next)
{
    ASSERT((in_may_follow[c->in] & BIT(next)) != 0);
    c->in = next;
}

static void out_enter(struct h1_client *c, enum out_state next)
{
    ASSERT((out_may_follow[c->out] & BIT(next)) != 0);
    c->out = next;
}

static struct h1_client *of_session(struct session *session)
{
    return CONTAINER_OF(session, struct h1_client, session);
}

static struct h1_client *of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h1_client, stream);
}

/* --- calls to the owner and the user ---------------------------------------------------------- */

static void set_phase(struct h1_client *c, enum session_phase phase)
{
    if (c->session.phase == phase)
        return;
    c->session.phase = phase;
    c->session.owner->on_phase(&c->session);
}

static void say_close(struct h1_client *c, enum reason reason)
{
    if (c->said_close)
        return;
    c->said_close = true;
    c->session.wants_early_close = true;
    in_enter(c, IN_CLOSED);
    c->session.owner->want_close(&c->session, c->failure != REASON_NONE ? c->failure : reason);
}

static void want_write(struct h1_client *c)
{
    c->session.owner->want_write(&c->session);
}

/* The response is invalid: resets the stream; the connection is not used again. */
static void fail_response(struct h1_client *c, enum reason reason)
{
    bool tell = c->stream_open && c->in != IN_DONE && c->in != IN_CLOSED;

    in_enter(c, IN_CLOSED);
    c->failure = reason; /* the user may close the stream in on_reset */
    c->session.wants_early_close = true;
    if (tell)
        c->stream.handler->on_reset(&c->stream, reason);
    say_close(c, reason);
}

/* --- responses ------------------------------------------------------------------------------- */

static void begin_body(struct h1_client *c, const struct head *head)
{
    switch (h1_response_framing(head, c->method)) {
    case H1_NO_BODY:
        in_enter(c, IN_DONE);
        break;
    case H1_LENGTH:
        in_enter(c, IN_LENGTH);
        c->in_left = (uint64_t)head->content_length;
        break;
    case H1_CHUNKED:
        in_enter(c, IN_CHUNKED);
        break;
    case H1_UNTIL_CLOSE:
        in_enter(c, IN_RAW);
        c->session.wants_early_close = true;
        break;
    }
}

/* 101 is an answer to Upgrade only, and names the protocol that was asked for (RFC 9110 section
 * 15.2.2); then both sides are raw bytes. */
static void take_switch(struct h1_client *c, struct head *head)
{
    if (c->asked_upgrade.len == 0 || !str_eq_nocase(head->upgrade, c->asked_upgrade)) {
        fail_response(c, REASON_UPSTREAM_PROTOCOL);
        return;
    }
    in_enter(c, IN_RAW);
    out_enter(c, OUT_TUNNEL);
    c->session.wants_early_close = true;
    c->stream.handler->on_head(&c->stream, head, MORE);
}

static void take_head(struct h1_client *c, struct head *head)
{
    if (head->status == 101) {
        take_switch(c, head);
        return;
    }
    if (head->status < 200) {
        c->awaits_continue &= head->status != 100;
        c->had_interim = true;
        c->stream.handler->on_head(&c->stream, head, MORE);
        arena_reset(&c->later_heads);
        return;
    }
    if (head->is_last || c->awaits_continue)
        c->session.wants_early_close =
            true; /* the peer may not read a body that it did not ask for */
    begin_body(c, head);
    c->stream.handler->on_head(&c->stream, head, c->in == IN_DONE ? END : MORE);
}

static size_t feed_head(struct h1_client *c, struct str data)
{
    struct arena *arena = c->had_interim ? &c->later_heads : c->stream.arena;
    struct head *head;
    size_t head_len;
    enum reason reason =
        h1_read_response(&c->input, data, c->method, &c->session.limits, arena, &head, &head_len);

    if (reason != REASON_NONE) {
        fail_response(c, reason);
        return data.len;
    }
    if (head != NULL)
        take_head(c, head);
    return head_len;
}

static void hand_on(struct h1_client *c, struct slice data, enum end end)
{
    if (end == END)
        in_enter(c, IN_DONE);
    if (c->stream_open)
        c->stream.handler->on_body(&c->stream, data, end);
}

static size_t feed_length(struct h1_client *c, struct slice data)
{
    size_t n = data.len < c->in_left ? data.len : (size_t)c->in_left;

    c->in_left -= n;
    hand_on(c, (struct slice){data.buf, data.ptr, n}, c->in_left == 0 ? END : MORE);
    return n;
}

static size_t feed_chunked(struct h1_client *c, struct slice data)
{
    struct str payload = {0};
    size_t used;

    switch (h1_body_next(c->input.body, str_make(data.ptr, data.len), &used, &payload)) {
    case H1_CHUNK_MORE:
        break;
    case H1_CHUNK_DATA:
        hand_on(c, (struct slice){data.buf, payload.ptr, payload.len}, MORE);
        break;
    case H1_CHUNK_LAST:
        in_enter(c, IN_TRAILERS);
        break;
    case H1_CHUNK_BAD:
    case H1_CHUNK_LONG:
        fail_response(c, REASON_UPSTREAM_PROTOCOL);
        break;
    }
    return used;
}

static size_t feed_trailers(struct h1_client *c, struct str data)
{
    struct head *trailers;
    size_t len;

    if (h1_read_trailers(c->input.body, data, c->stream.arena, &trailers, &len) != REASON_NONE) {
        fail_response(c, REASON_UPSTREAM_PROTOCOL);
        return data.len;
    }
    if (trailers == NULL)
        return 0;
    in_enter(c, IN_DONE);
    if (trailers->field_count > 0)
        c->stream.handler->on_trailers(&c->stream, trailers->fields, trailers->field_count);
    else
        c->stream.handler->on_body(&c->stream, (struct slice){0}, END);
    return len;
}

static size_t feed_some(struct h1_client *c, struct slice data)
{
    switch (c->in) {
    case IN_HEAD:
        return feed_head(c, str_make(data.ptr, data.len));
    case IN_LENGTH:
        return feed_length(c, data);
    case IN_CHUNKED:
        return feed_chunked(c, data);
    case IN_TRAILERS:
        return feed_trailers(c, str_make(data.ptr, data.len));
    case IN_RAW:
        hand_on(c, data, MORE);
        return data.len;
    case IN_IDLE:
    case IN_DONE: /* surplus bytes: a second response, or worse */
        fail_response(c, REASON_UPSTREAM_PROTOCOL);
        return data.len;
    case IN_CLOSED:
        return data.len;
    }
    UNREACHABLE("every state is above");
}

static void become_idle(struct h1_client *c)
{
    in_enter(c, IN_IDLE);
    set_phase(c, SESSION_IDLE);
}

static bool is_held_up(const struct h1_client *c)
{
    return c->stream_open && c->paused && c->in != IN_DONE;
}

/* A stream that is closed inside a callback leaves the session busy until all of `data` was looked
 * at: what stands behind a response must not be taken for the answer to the next request. */
static size_t client_feed(struct session *session, struct slice data)
{
    struct h1_client *c = of_session(session);
    size_t used = 0;

    c->feeding = true;
    while (used < data.len && !is_held_up(c)) {
        size_t n = feed_some(c, (struct slice){data.buf, data.ptr + used, data.len - used});
        used += n;
        if (n == 0)
            break;
    }
    if (is_held_up(c))
        session->owner->set_reading(session, false); /* before more is read than is wanted */
    c->feeding = false;
    if (!c->stream_open && c->in == IN_DONE)
        become_idle(c);
    return used;
}

static void client_fail(struct session *session, enum reason reason)
{
    struct h1_client *c = of_session(session);
    bool tell = c->stream_open && c->in != IN_DONE && c->in != IN_CLOSED;

    c->said_close = true;
    in_enter(c, IN_CLOSED);
    session->wants_early_close = true;
    if (tell)
        c->stream.handler->on_reset(&c->stream, reason);
}

static void client_eof(struct session *session)
{
    struct h1_client *c = of_session(session);

    session->wants_early_close = true;
    if (c->stream_open && c->in == IN_RAW) {
        hand_on(c, (struct slice){0}, END);
        say_close(c, REASON_NONE);
        return;
    }
    if (c->stream_open && c->in != IN_DONE && c->in != IN_CLOSED)
        fail_response(c, REASON_UPSTREAM_CLOSED);
    else
        say_close(c, REASON_NONE);
}

static void client_drained(struct session *session)
{
    struct h1_client *c = of_session(session);

    if (!c->full)
        return;
    c->full = false;
    if (c->stream_open && c->out != OUT_DONE)
        c->stream.handler->on_writable(&c->stream);
}

static void client_drain(struct session *session)
{
    struct h1_client *c = of_session(session);

    session->draining = true;
    session->wants_early_close = true;
    if (!c->stream_open)
        say_close(c, REASON_NONE);
}

static void client_expire(struct session *session, enum reason reason)
{
    struct h1_client *c = of_session(session);

    if (!c->stream_open)
        say_close(c, reason);
}

static struct stream *client_open(struct session *session, struct arena *arena,
                                  const struct stream_handler *handler, void *arg)
{
    struct h1_client *c = of_session(session);

    if (c->stream_open || c->in != IN_IDLE || session->wants_early_close)
        return NULL;
    session->requests++;
    session->open_streams = 1;
    c->stream.arena = arena;
    c->stream.handler = handler;
    c->stream.arg = arg;
    c->stream.id = (uint32_t)session->requests;
    c->stream_open = true;
    c->paused = c->full = false;
    c->asked_upgrade = (struct str){0};
    c->had_interim = false;
    out_enter(c, OUT_HEAD);
    set_phase(c, SESSION_BUSY);
    return &c->stream;
}

/* --- the request ----------------------------------------------------------------------------- */

/* Methods whose request means nothing without a body say so with Content-Length: 0 (RFC 9110
 * 8.6). */
static bool expects_length(enum method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static void client_send_head(struct stream *stream, const struct head *head, enum end end)
{
    struct h1_client *c = of_stream(stream);
    struct h1_frame frame = {.content_length = CONTENT_LENGTH_NONE};

    if (c->out != OUT_HEAD || c->in == IN_CLOSED)
        return;
    c->method = head->method;
    c->names = (uint8_t)head->names;
    in_enter(c, IN_HEAD);
    if (head->close) {
        frame.connection = STR("close");
        c->session.wants_early_close = true;
    }
    if (head->upgrade.len > 0) {
        /* Whatever the answer, the connection is not used again: a peer that switched unseen would
         * read the next request as it likes. */
        c->asked_upgrade = arena_str(stream->arena, head->upgrade);
        c->session.wants_early_close = true;
        frame.framing = H1_NO_BODY;
        frame.connection = STR("Upgrade");
        frame.upgrade = head->upgrade;
        out_enter(c, OUT_DONE); /* until the answer is 101 */
    } else if (end == END) {
        frame.framing = H1_NO_BODY;
        if (head->content_length == 0 || expects_length(head->method))
            frame.content_length = 0;
        out_enter(c, OUT_DONE);
    } else if (head->content_length >= 0) {
        frame.framing = H1_LENGTH;
        frame.content_length = head->content_length;
        c->out_left = (uint64_t)head->content_length;
        out_enter(c, OUT_LENGTH);
    } else {
        frame.framing = H1_CHUNKED;
        out_enter(c, OUT_CHUNKED);
    }
    frame.expect_continue = head->expects_continue && c->out != OUT_DONE;
    c->awaits_continue = frame.expect_continue;
    h1_write_request(c->session.out, head, &frame);
    want_write(c);
}

static void write_body(struct h1_client *c, struct slice data)
{
    if (data.len == 0)
        return;
    if (c->out == OUT_CHUNKED) {
        h1_write_chunk(c->session.out, data);
        return;
    }
    if (c->out == OUT_LENGTH) {
        data.len = data.len < c->out_left ? data.len : (size_t)c->out_left;
        c->out_left -= data.len;
    }
    bufq_add(c->session.out, data);
}

static void end_request(struct h1_client *c)
{
    if (c->out == OUT_LENGTH && c->out_left > 0)
        c->session.wants_early_close = true; /* shorter than announced: never to be continued */
    out_enter(c, OUT_DONE);
}

static enum stream_status client_send_body(struct stream *stream, struct slice data, enum end end)
{
    struct h1_client *c = of_stream(stream);

    if (c->in == IN_CLOSED || c->out == OUT_HEAD || c->out == OUT_DONE)
        return STREAM_OK;
    write_body(c, data);
    if (end == END) {
        if (c->out == OUT_CHUNKED)
            h1_write_last_chunk(c->session.out, NULL, 0, c->names);
        end_request(c);
    }
    want_write(c);
    if (c->session.out->bytes <= c->session.limits.out_high)
        return STREAM_OK;
    c->full = true;
    return STREAM_FULL;
}

static void client_send_trailers(struct stream *stream, const struct field *fields, size_t count)
{
    struct h1_client *c = of_stream(stream);

    if (c->in == IN_CLOSED || c->out == OUT_HEAD || c->out == OUT_DONE)
        return;
    if (c->out == OUT_CHUNKED)
        h1_write_last_chunk(c->session.out, fields, count, c->names);
    end_request(c);
    want_write(c);
}

static void client_reset(struct stream *stream, enum reason reason UNUSED)
{
    of_stream(stream)->session.wants_early_close = true;
}

static void client_pause(struct stream *stream)
{
    of_stream(stream)->paused = true;
}

static void client_resume(struct stream *stream)
{
    struct h1_client *c = of_stream(stream);

    if (!c->paused)
        return;
    c->paused = false;
    c->session.owner->set_reading(&c->session, true);
    c->session.owner->want_input(&c->session);
}

/* Only a request and a response that are both whole leave the connection fit for another. */
static void client_close(struct stream *stream)
{
    struct h1_client *c = of_stream(stream);
    bool was_sent = c->out != OUT_HEAD;
    bool is_whole = c->in == IN_DONE && c->out == OUT_DONE;

    ASSERT(c->stream_open);
    c->stream_open = false;
    c->session.open_streams = 0;
    out_enter(c, OUT_IDLE);
    arena_reset(&c->later_heads);
    if (c->paused) {
        c->paused = false;
        c->session.owner->set_reading(&c->session, true);
    }
    if (c->in == IN_CLOSED || (was_sent && !is_whole) || c->session.wants_early_close) {
        c->session.wants_early_close = true;
        say_close(c, REASON_NONE);
        return;
    }
    if (!c->feeding)
        become_idle(c);
}

static const struct stream_ops stream_ops = {
    .send_head = client_send_head,
    .send_body = client_send_body,
    .send_trailers = client_send_trailers,
    .reset = client_reset,
    .pause = client_pause,
    .resume = client_resume,
    .close = client_close,
};

/* --- life ------------------------------------------------------------------------------------ */

static void client_free(struct session *session)
{
    struct h1_client *c = of_session(session);

    ASSERT(!c->stream_open);
    h1_input_clear(&c->input);
    free(c);
}

static const struct session_ops session_ops = {
    .feed = client_feed,
    .eof = client_eof,
    .fail = client_fail,
    .drained = client_drained,
    .drain = client_drain,
    .expire = client_expire,
    .open = client_open,
    .free = client_free,
};

struct session *h1_client_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits)
{
    struct h1_client *c = mem_new(sizeof(*c));

    c->session = (struct session){.ops = &session_ops,
                                  .owner = owner,
                                  .owner_arg = owner_arg,
                                  .out = out,
                                  .pool = pool,
                                  .limits = *limits};
    if (c->session.limits.out_high == 0)
        c->session.limits.out_high = SESSION_OUT_HIGH;
    arena_init(&c->later_heads, pool);
    c->stream = (struct stream){.ops = &stream_ops, .session = &c->session};
    return &c->session;
}
