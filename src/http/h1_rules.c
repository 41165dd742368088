/* What an HTTP/1 head means once its parts are known: the form of its target (RFC 9112
 * section 3.2), its Host, how its body is framed (section 6), and whether the connection outlives
 * it (section 9). Whatever can be read in two ways is refused. The rules do not depend on who took
 * the head apart. */
#include "http/authority.h"
#include "http/chars.h"
#include "http/h1_impl.h"

/* --- the request target ---------------------------------------------------------------------- */

/* scheme "://" authority path-abempty [ "?" query ] (RFC 9112 section 3.2.2). */
static enum reason parse_absolute_target(struct head *head, struct str target)
{
    ptrdiff_t colon = str_find(target, STR("://"));
    if (colon <= 0)
        return REASON_BAD_TARGET;

    head->scheme = str_make(target.ptr, (size_t)colon);
    if (!str_eq_nocase(head->scheme, STR("http")) && !str_eq_nocase(head->scheme, STR("https")))
        return REASON_BAD_TARGET;

    struct str rest = str_skip(target, (size_t)colon + 3);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    head->authority = str_make(rest.ptr, len);
    head->path = str_skip(rest, len);
    if (head->authority.len == 0)
        return REASON_BAD_HOST;
    if (head->path.len == 0)
        head->path = head->method == METHOD_OPTIONS ? STR("*") : STR("/");
    else if (head->path.ptr[0] == '?')
        head->path = arena_join(head->arena, STR("/"), head->path);
    return REASON_NONE;
}

static enum reason parse_target(struct head *head, struct str target,
                                const struct session_limits *limits)
{
    if (target.len > limits->max_uri_bytes)
        return REASON_URI_TOO_LONG;
    if (head->method == METHOD_CONNECT)
        return REASON_METHOD_REFUSED; /* we are no forward proxy */
    head->path = target;
    if (target.ptr[0] == '/' || target.ptr[0] == '*')
        return REASON_NONE; /* head_check_request looks at the bytes */
    return parse_absolute_target(head, target);
}

/* --- what the fields mean -------------------------------------------------------------------- */

/* Exactly one Host, and a valid one (RFC 9112 section 3.2). An absolute target takes its place,
 * also where they differ (section 3.2.2). */
static enum reason apply_host(struct head *head)
{
    unsigned hosts = head_count(head, HEADER_HOST);
    struct str host = head_value(head, HEADER_HOST);

    if (hosts > 1 || (hosts == 0 && head->version != HTTP_1_0))
        return REASON_BAD_HOST;
    if (head->authority.len == 0) {
        head->authority = host; /* head_check_request looks at it */
        return REASON_NONE;
    }
    return hosts == 0 || authority_is_valid(host) ? REASON_NONE : REASON_BAD_HOST;
}

/* One Content-Length, digits only (RFC 9110 section 8.6; lists of equal values are refused too). */
static enum reason apply_content_length(struct head *head)
{
    uint64_t length;

    if (head->first[HEADER_CONTENT_LENGTH] == 0)
        return REASON_NONE;
    if (head_count(head, HEADER_CONTENT_LENGTH) != 1 ||
        str_to_u64(head_value(head, HEADER_CONTENT_LENGTH), &length) < 0 || length > INT64_MAX)
        return REASON_BAD_LENGTH;
    head->content_length = (int64_t)length;
    return REASON_NONE;
}

/* Transfer-Encoding is "chunked" or it is refused: 501 where another coding is spelled properly,
 * 400 for everything that looks like an attempt to be understood in two ways. */
static enum reason check_transfer_encoding(const struct head *head)
{
    struct str value = head_value(head, HEADER_TRANSFER_ENCODING);
    struct str rest = value, piece;
    unsigned chunked = 0, others = 0;
    bool last_is_chunked = false;

    if (head->version == HTTP_1_0 || head->first[HEADER_CONTENT_LENGTH] != 0 ||
        head_count(head, HEADER_TRANSFER_ENCODING) != 1)
        return REASON_BAD_FRAMING;
    if (str_eq_nocase(value, STR("chunked")))
        return REASON_NONE;
    while (str_next(&rest, ',', &piece)) {
        piece = str_trim(piece);
        if (!token_is_valid(piece) || str_eq_nocase(piece, STR("identity")))
            return REASON_BAD_FRAMING;
        last_is_chunked = str_eq_nocase(piece, STR("chunked"));
        chunked += last_is_chunked;
        others += !last_is_chunked;
    }
    if (chunked == 0 && others == 1)
        return REASON_UNKNOWN_CODING;
    return chunked == 1 && last_is_chunked && others > 0 ? REASON_UNKNOWN_CODING
                                                         : REASON_BAD_FRAMING;
}

static void apply_persistence(struct head *head)
{
    bool has_connection = head->first[HEADER_CONNECTION] != 0;
    bool close = has_connection && head_has_token(head, HEADER_CONNECTION, STR("close"));
    bool keep = head->version != HTTP_1_0 ||
                (has_connection && head_has_token(head, HEADER_CONNECTION, STR("keep-alive")));

    head->is_last = close || !keep;
}

/* Only websocket, on a GET of HTTP/1.1 without a body; whether its key and version are right
 * (RFC 6455 section 4.1) the upstream says. Any other Upgrade is ignored, which every server may do
 * (RFC 9110 section 7.8). */
static void apply_upgrade(struct head *head, const struct session_limits *limits)
{
    if (head->first[HEADER_UPGRADE] == 0 || !limits->allow_websocket ||
        head->method != METHOD_GET || head->version != HTTP_1_1 || head->has_body)
        return;
    if (head_count(head, HEADER_UPGRADE) == 1 &&
        str_eq_nocase(head_value(head, HEADER_UPGRADE), STR("websocket")) &&
        head_has_token(head, HEADER_CONNECTION, STR("upgrade")))
        head->upgrade = head_value(head, HEADER_UPGRADE);
}

static enum reason apply_expect(struct head *head)
{
    if (head->first[HEADER_EXPECT] == 0 || head->version == HTTP_1_0)
        return REASON_NONE;
    if (head_count(head, HEADER_EXPECT) != 1 ||
        !str_eq_nocase(head_value(head, HEADER_EXPECT), STR("100-continue")))
        return REASON_BAD_EXPECT;
    head->expects_continue = head->has_body;
    return REASON_NONE;
}

static enum reason apply_request_framing(struct head *head, const struct session_limits *limits)
{
    bool chunked = head->first[HEADER_TRANSFER_ENCODING] != 0;
    enum reason reason = chunked ? check_transfer_encoding(head) : REASON_NONE;

    if (reason == REASON_NONE)
        reason = apply_content_length(head);
    if (reason != REASON_NONE)
        return reason;
    head->has_body = chunked || head->content_length > 0;
    if (limits->max_body_bytes > 0 && head->content_length > 0 &&
        (uint64_t)head->content_length > limits->max_body_bytes)
        return REASON_BODY_TOO_LARGE;
    return REASON_NONE;
}

enum reason h1_rules_request(struct head *head, struct str target,
                             const struct session_limits *limits)
{
    enum reason reason;

    head->method = method_lookup(head->method_text);
    if ((reason = parse_target(head, target, limits)) != REASON_NONE ||
        (reason = apply_request_framing(head, limits)) != REASON_NONE ||
        (reason = apply_host(head)) != REASON_NONE ||
        (reason = head_check_request(head)) != REASON_NONE ||
        (reason = apply_expect(head)) != REASON_NONE)
        return reason;
    apply_persistence(head);
    apply_upgrade(head, limits);
    return REASON_NONE;
}

enum h1_framing h1_request_framing(const struct head *head)
{
    if (head->first[HEADER_TRANSFER_ENCODING] != 0)
        return H1_CHUNKED;
    return head->content_length > 0 ? H1_LENGTH : H1_NO_BODY;
}

/* --- responses ------------------------------------------------------------------------------- */

static bool response_framing_is_clear(struct head *head)
{
    if (head->first[HEADER_TRANSFER_ENCODING] != 0)
        return check_transfer_encoding(head) == REASON_NONE;
    return apply_content_length(head) == REASON_NONE;
}

enum reason h1_rules_response(struct head *head, enum method method)
{
    if (!field_value_is_valid(head->phrase) || !response_framing_is_clear(head))
        return REASON_UPSTREAM_PROTOCOL;
    apply_persistence(head);
    if (head->status == 101 || head->status == 426)
        head->upgrade = head_joined(head, HEADER_UPGRADE, STR(", "));
    head->has_body = h1_response_framing(head, method) != H1_NO_BODY;
    return REASON_NONE;
}

enum h1_framing h1_response_framing(const struct head *head, enum method method)
{
    if (!response_has_body(method, head->status))
        return H1_NO_BODY;
    if (head->first[HEADER_TRANSFER_ENCODING] != 0)
        return H1_CHUNKED;
    if (head->content_length == CONTENT_LENGTH_NONE)
        return H1_UNTIL_CLOSE;
    return head->content_length > 0 ? H1_LENGTH : H1_NO_BODY;
}

/* --- trailers -------------------------------------------------------------------------------- */

void h1_rules_trailers(struct head *trailers)
{
    for (unsigned i = 0; i < trailers->field_count; i++) {
        if (header_flags(trailers->fields[i].id) & HEADER_NO_TRAILER)
            trailers->fields[i].removed = true;
    }
}
