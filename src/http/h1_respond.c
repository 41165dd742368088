/* The responding half of the HTTP/1 server session: what the user of a request's stream does with it.
 * How the end of a response is told follows from the request's version and from what is known of the
 * length (RFC 9112 section 6). */
#include "http/h1_server_impl.h"

static void choose_framing(struct h1_server *s, const struct head *head, enum end end,
                           struct h1_frame *frame)
{
    frame->content_length = head->content_length;
    if (!response_has_body(s->method, head->status)) {
        frame->framing = H1_NO_BODY;
        if (head->status == 204 || head->status < 200)
            frame->content_length = CONTENT_LENGTH_NONE; /* RFC 9110 section 8.6 */
        out_enter(s, OUT_LENGTH);
        s->out_left = 0;
    } else if (end == END || head->content_length >= 0) {
        frame->framing = H1_LENGTH;
        if (end == END)
            frame->content_length = 0;
        out_enter(s, OUT_LENGTH);
        s->out_left = (uint64_t)frame->content_length;
    } else if (!s->is_http10) {
        frame->framing = H1_CHUNKED;
        out_enter(s, OUT_CHUNKED);
    } else {
        frame->framing = H1_UNTIL_CLOSE;
        out_enter(s, OUT_RAW);
        fate_becomes(s, FATE_CLOSES);
    }
}

static void end_response(struct h1_server *s)
{
    out_enter(s, OUT_DONE);
}

static void send_interim(struct h1_server *s, const struct head *head)
{
    struct h1_frame frame = {.framing = H1_NO_BODY, .content_length = CONTENT_LENGTH_NONE};

    if (s->is_http10)
        return; /* RFC 9110 section 15.2: HTTP/1.0 knows no 1xx */
    h1_write_response(s->session.out, head, &frame);
    h1_server_want_write(s);
}

static void send_switch(struct h1_server *s, const struct head *head)
{
    struct h1_frame frame = {.framing = H1_NO_BODY,
                             .content_length = CONTENT_LENGTH_NONE,
                             .connection = STR("Upgrade"),
                             .upgrade = head->upgrade};

    h1_write_response(s->session.out, head, &frame);
    in_enter(s, IN_TUNNEL);
    out_enter(s, OUT_RAW);
    fate_becomes(s, FATE_CLOSES);
    h1_server_want_write(s);
    h1_server_start_reading(s);
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
    if (s->fate != FATE_KEPT)
        return with_upgrade ? STR("close, Upgrade") : STR("close");
    if (s->is_http10)
        return with_upgrade ? STR("keep-alive, Upgrade") : STR("keep-alive");
    return with_upgrade ? STR("Upgrade") : (struct str){0};
}

static void server_send_head(struct stream *stream, const struct head *head, enum end end)
{
    struct h1_server *s = of_stream(stream);
    struct h1_frame frame = {0};

    if (s->fate == FATE_CLOSING || s->out != OUT_HEAD)
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
        fate_becomes(s, FATE_CLOSES);
    choose_framing(s, head, end, &frame);
    s->names = (uint8_t)head->names;
    frame.upgrade = required_upgrade(head);
    frame.connection = connection_options(s, frame.upgrade.len > 0);
    h1_write_response(s->session.out, head, &frame);
    if (end == END)
        end_response(s);
    h1_server_want_write(s);
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
        fate_becomes(s, FATE_CLOSES);
}

static enum stream_status server_send_body(struct stream *stream, struct slice data, enum end end)
{
    struct h1_server *s = of_stream(stream);

    if (s->fate == FATE_CLOSING || s->out == OUT_HEAD || s->out == OUT_DONE)
        return STREAM_OK;
    write_body(s, data);
    if (end == END) {
        if (s->out == OUT_CHUNKED)
            h1_write_last_chunk(s->session.out, NULL, 0, s->names);
        check_whole(s);
        end_response(s);
    }
    h1_server_want_write(s);
    if (s->session.out->bytes <= s->session.limits.out_high)
        return STREAM_OK;
    s->is_full = true;
    return STREAM_FULL;
}

static void server_send_trailers(struct stream *stream, const struct field *fields, size_t count)
{
    struct h1_server *s = of_stream(stream);

    if (s->fate == FATE_CLOSING || s->out == OUT_HEAD || s->out == OUT_DONE)
        return;
    if (s->out == OUT_CHUNKED)
        h1_write_last_chunk(s->session.out, fields, count, s->names);
    check_whole(s);
    end_response(s);
    h1_server_want_write(s);
}

static void server_reset(struct stream *stream, enum reason reason UNUSED)
{
    struct h1_server *s = of_stream(stream);

    fate_becomes(s, FATE_CLOSES);
    h1_server_note_cut(s);
}

static void server_pause(struct stream *stream)
{
    of_stream(stream)->is_paused = true;
}

static void server_resume(struct stream *stream)
{
    struct h1_server *s = of_stream(stream);

    if (!s->is_paused)
        return;
    s->is_paused = false;
    h1_server_start_reading(s);
}

/* The exchange is over: on to the next request, or to the end of the connection. */
static void server_close(struct stream *stream)
{
    struct h1_server *s = of_stream(stream);
    bool is_whole = s->out == OUT_DONE && s->in == IN_DONE;

    ASSERT(has_stream(s));
    s->session.open_streams = 0;
    out_enter(s, OUT_IDLE);
    s->is_paused = false;
    arena_reset(&s->arena);
    if (!is_whole || s->fate != FATE_KEPT || s->session.draining) {
        h1_server_say_close(s, REASON_NONE);
        return;
    }
    in_enter(s, IN_HEAD);
    h1_server_set_phase(s, SESSION_IDLE);
    h1_server_start_reading(s);
}

const struct stream_ops h1_server_stream_ops = {
    .send_head = server_send_head,
    .send_body = server_send_body,
    .send_trailers = server_send_trailers,
    .reset = server_reset,
    .pause = server_pause,
    .resume = server_resume,
    .close = server_close,
};
