/* The client's side of h2: requests are opened as far as the peer allows, responses are checked
 * and given to the user who asked, and every way in which an upstream can end a stream gets its
 * reason. */
#include "http/h2_impl.h"

enum {
    CLIENT_LAST_ID = 1 << 30, /* the connection is given up long before ids run out */
};

enum reason h2_client_pseudo(struct h2_session *h2, struct str name, struct str value)
{
    uint64_t status;

    if (!str_eq(name, STR(":status")) || value.len != 3 || str_to_u64(value, &status) < 0 ||
        status < 100 || status == 101)
        return REASON_UPSTREAM_PROTOCOL;
    h2->in.head->status = (int)status;
    h2->in.head->phrase = status_phrase((int)status);
    return REASON_NONE;
}

static enum reason check_response(const struct h2_incoming *in, enum end end)
{
    struct head *head = in->head;
    struct field *field = head_find(head, HEADER_CONTENT_LENGTH);
    uint64_t length;

    if (in->bad != REASON_NONE)
        return h2_upstream_reason(in->bad);
    if (head->status == 0 || (head->status < 200 && end == END))
        return REASON_UPSTREAM_PROTOCOL;
    if (field == NULL)
        return REASON_NONE;
    if (str_to_u64(field->value, &length) < 0 || length > INT64_MAX)
        return REASON_UPSTREAM_PROTOCOL;
    head->content_length = (int64_t)length;
    return REASON_NONE;
}

void h2_client_on_response(struct h2_session *h2, enum end end)
{
    struct h2_stream *st = h2->in.st;
    struct head *head = h2->in.head;
    enum reason reason = check_response(&h2->in, end);

    h2->in = (struct h2_incoming){0};
    if (reason != REASON_NONE) {
        h2_bad(h2, st, reason);
        h2_stream_rst(st, NGHTTP2_PROTOCOL_ERROR);
        h2_stream_tell_reset(st, reason);
        return;
    }
    if (head->status >= 200) {
        st->rx_final_head = true;
        st->rx_ended = end == END;
    }
    head->has_body = end == MORE && response_has_body(st->method, head->status);
    bool is_interim = head->status < 200;
    st->stream.handler->on_head(&st->stream, head, end);
    if (is_interim)
        h2_release_heads(st); /* they do not add up */
    if (is_interim && st->had_interim && st->user_open)
        arena_reset(&st->own_arena);
    st->had_interim |= is_interim;
}

/* --- the session ----------------------------------------------------------------------------- */

/* RFC 9113 section 5.1.2: a peer may refuse what is beyond its limit, and a request whose body has
 * left is then lost. So only one request leaves before the limit is known. */
void h2_client_on_settings(struct h2_session *h2)
{
    uint32_t theirs =
        nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    h2->session.awaits_settings = false;
    h2->session.streams_max = MIN(theirs, h2->session.limits.max_streams);
}

static struct stream *client_open(struct session *session, struct arena *arena,
                                  const struct stream_handler *handler, void *arg)
{
    struct h2_session *h2 = h2_of(session);
    uint32_t max_requests = session->limits.max_requests;

    if (!h2_is_live(h2) || h2->peer_leaves || session->draining)
        return NULL;
    if (h2->wire_streams >= session->streams_max) {
        h2->was_full = true;
        return NULL;
    }
    if (nghttp2_session_get_next_stream_id(h2->ng) > CLIENT_LAST_ID)
        return NULL;

    struct h2_stream *st = h2_stream_new(h2, arena);
    st->stream.handler = handler;
    st->stream.arg = arg;
    h2_stream_adopt(st);
    session->phase = SESSION_BUSY;
    session->requests++;
    if (max_requests > 0 && session->requests >= max_requests)
        session->draining = true; /* this one is the last */
    return &st->stream;
}

static const struct session_ops client_ops = {
    .feed = h2_feed,
    .eof = h2_eof,
    .fail = h2_fail,
    .drained = h2_drained,
    .drain = h2_drain,
    .expire = h2_expire,
    .rest = h2_rest,
    .open = client_open,
    .free = h2_free,
};

struct session *h2_client_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits)
{
    struct h2_session *h2 = h2_session_new(&client_ops, owner, owner_arg, out, pool, limits);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_RESPONSE_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->session.limits.max_header_bytes},
    };

    h2->session.limits.max_held_bytes = UINT32_MAX; /* see h2_window.c */
    h2->session.awaits_settings = true;
    h2->session.streams_max = 1;
    h2_session_start(h2, nghttp2_session_client_new3, settings, ARRAY_LEN(settings));
    return &h2->session;
}
