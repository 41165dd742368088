/* The server's side of h2: a complete request head is checked for what nghttp2 does not know
 * (limits, our own rules, Host), and then given to the owner, or refused without a call to it. */
#include "http/authority.h"
#include "http/h2_impl.h"

/* --- pseudo-header fields (RFC 9113 section 8.3.1) ------------------------------------------- */

enum reason h2_server_pseudo(struct h2_session *h2, struct str name, struct str value)
{
    struct head *head = h2->in.head;

    if (str_eq(name, STR(":method"))) {
        head->method = method_lookup(value);
        head->method_text = arena_str(head->arena, value);
    } else if (str_eq(name, STR(":path"))) {
        if (value.len > h2->session.limits.max_uri_bytes)
            return REASON_URI_TOO_LONG;
        head->path = arena_str(head->arena, value);
    } else if (str_eq(name, STR(":authority"))) {
        h2->in.has_authority = true;
        head->authority = arena_str(head->arena, value);
    } else if (str_eq(name, STR(":scheme"))) {
        head->scheme = arena_str(head->arena, value);
    } else {
        return REASON_H2_PROTOCOL;
    }
    return REASON_NONE;
}

/* --- checks ---------------------------------------------------------------------------------- */

/* One authority only: Host may name the same one or stand in for it (RFC 9113 section 8.3.1). */
static enum reason check_host(const struct h2_incoming *in)
{
    struct head *head = in->head;
    struct field *host = head_find(head, HEADER_HOST);

    if (host == NULL)
        return REASON_NONE;
    if (head_count(head, HEADER_HOST) > 1)
        return REASON_H2_PROTOCOL;
    if (!in->has_authority)
        head->authority = host->value;
    return authority_same(head->authority, host->value, head->scheme) ? REASON_NONE
                                                                      : REASON_H2_PROTOCOL;
}

static enum reason check_length(struct head *head, uint64_t max_body_bytes)
{
    struct field *field = head_find(head, HEADER_CONTENT_LENGTH);
    uint64_t length;

    if (field == NULL)
        return REASON_NONE;
    if (str_to_u64(field->value, &length) < 0 || length > INT64_MAX)
        return REASON_H2_PROTOCOL;
    head->content_length = (int64_t)length;
    return max_body_bytes > 0 && length > max_body_bytes ? REASON_BODY_TOO_LARGE : REASON_NONE;
}

static enum reason check_request(const struct session_limits *limits, struct h2_incoming *in,
                                 enum end end)
{
    struct head *head = in->head;
    enum reason reason;

    if (in->bad != REASON_NONE)
        return in->bad;
    if ((reason = check_host(in)) != REASON_NONE)
        return reason;
    if (head->method == METHOD_CONNECT)
        return REASON_METHOD_REFUSED;
    if (!str_eq_nocase(head->scheme, STR("https")) && !str_eq_nocase(head->scheme, STR("http")))
        return REASON_BAD_TARGET;
    if ((reason = head_check_request(head, limits->target_rules)) != REASON_NONE)
        return reason;
    if ((reason = check_length(head, limits->max_body_bytes)) != REASON_NONE)
        return reason;
    return head_take_expect(head, end == MORE);
}

/* A malformed request is a stream error (RFC 9113 section 8.1.1); a well-formed one that is refused
 * gets a response. */
static void refuse_request(struct h2_session *h2, struct h2_stream *st, enum reason reason)
{
    h2_bad(h2, st, reason);
    h2_glitch(h2, H2_COST_FRAME);
    if (reason == REASON_H2_PROTOCOL) {
        h2_stream_rst(st, NGHTTP2_PROTOCOL_ERROR);
    } else {
        h2_answer(st, reason);
    }
    h2_release_heads(st);
    arena_reset(&st->own_arena); /* the answer may have to wait for the client's window */
}

/* By RFC 9218 streams of one urgency go one after another; that is for clients that know of it. The
 * downloads of all others take turns. */
static void share_fairly(struct h2_session *h2, struct h2_stream *st)
{
    static const nghttp2_extpri turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

    nghttp2_session_change_extpri_stream_priority(h2->ng, (int32_t)st->stream.id, &turns, 0);
}

void h2_server_on_request(struct h2_session *h2, enum end end)
{
    struct h2_stream *st = h2->in.st;
    struct head *head = h2->in.head;

    st->method = head->method;
    head->has_body = end == MORE;
    st->rx_final_head = true;
    st->rx_ended = end == END;

    enum reason reason = check_request(&h2->session.limits, &h2->in, end);
    if (!h2->in.has_priority)
        share_fairly(h2, st);
    h2->in = (struct h2_incoming){0};
    if (reason != REASON_NONE) {
        refuse_request(h2, st, reason);
        return;
    }
    h2_stream_adopt(st);
    h2->session.owner->on_stream(&h2->session, &st->stream);
    if (st->user_open && !st->quiet)
        st->stream.handler->on_head(&st->stream, head, end);
}

/* --- the session ----------------------------------------------------------------------------- */

static struct stream *server_open(struct session *session UNUSED, struct arena *arena UNUSED,
                                  const struct stream_handler *handler UNUSED, void *arg UNUSED)
{
    return NULL; /* no server push */
}

static const struct session_ops server_ops = {
    .feed = h2_feed,
    .eof = h2_eof,
    .fail = h2_fail,
    .drained = h2_drained,
    .drain = h2_drain,
    .expire = h2_expire,
    .rest = h2_rest,
    .open = server_open,
    .free = h2_free,
};

struct session *h2_server_new(const struct session_owner *owner, void *owner_arg, struct bufq *out,
                              struct buf_pool *pool, const struct session_limits *limits)
{
    struct h2_session *h2 = h2_session_new(&server_ops, owner, owner_arg, out, pool, limits);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h2->session.limits.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->session.limits.max_header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    h2->session.is_server = true;
    h2->walk.skip = NGHTTP2_CLIENT_MAGIC_LEN;
    h2_session_start(h2, nghttp2_session_server_new3, settings, ARRAY_LEN(settings));
    h2_say_hello(h2);
    return &h2->session;
}
