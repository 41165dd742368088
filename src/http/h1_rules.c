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

enum lines { ONE_LINE, EQUAL_LINES };

/* Digits only (RFC 9110 section 8.6; lists in one line are refused). A response may repeat the line
 * with the same number, as responses do that passed several servers; one line is sent on. */
static enum reason apply_content_length(struct head *head, enum lines lines)
{
    struct field *first = head_find(head, HEADER_CONTENT_LENGTH);
    uint64_t length, again;

    if (first == NULL)
        return REASON_NONE;
    if (str_to_u64(first->value, &length) < 0 || length > INT64_MAX)
        return REASON_BAD_LENGTH;
    for (struct field *f = first + 1; f < head->fields + head->field_count; f++) {
        if (f->id == HEADER_CONTENT_LENGTH &&
            (lines == ONE_LINE || str_to_u64(f->value, &again) < 0 || again != length))
            return REASON_BAD_LENGTH;
    }
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

/* What Connection says (RFC 9110 section 7.6.1), read in one pass over all its lines. */
struct connection {
    bool close;
    bool keep_alive; /* looked for in HTTP/1.0 only */
    bool upgrade;    /* looked for where there is an Upgrade field */
};

static void take_option(struct connection *connection, const struct head *head, struct str option)
{
    if (str_eq_nocase(option, STR("close")))
        connection->close = true;
    else if (head->version == HTTP_1_0 && str_eq_nocase(option, STR("keep-alive")))
        connection->keep_alive = true;
    else if (head->first[HEADER_UPGRADE] != 0 && str_eq_nocase(option, STR("upgrade")))
        connection->upgrade = true;
}

/* Each option is looked for among the fields later, so their number is bounded. */
static enum reason read_connection(const struct head *head, const struct session_limits *limits,
                                   struct connection *connection)
{
    unsigned left = limits->max_connection_options > 0 ? limits->max_connection_options
                                                       : SESSION_CONNECTION_OPTIONS_MAX;
    struct str rest, option;

    *connection = (struct connection){0};
    if (head->first[HEADER_CONNECTION] == 0)
        return REASON_NONE;
    for (unsigned i = head->first[HEADER_CONNECTION] - 1u; i < head->field_count; i++) {
        if (head->fields[i].id != HEADER_CONNECTION)
            continue;
        rest = head->fields[i].value;
        while (str_next(&rest, ',', &option)) {
            if (left-- == 0)
                return REASON_TOO_MANY_OPTIONS;
            take_option(connection, head, str_trim(option));
        }
    }
    return REASON_NONE;
}

static void apply_persistence(struct head *head, const struct connection *connection)
{
    head->is_last = connection->close || (head->version == HTTP_1_0 && !connection->keep_alive);
}

/* Only websocket, on a GET of HTTP/1.1 without a body; whether its key and version are right
 * (RFC 6455 section 4.1) the upstream says. Any other Upgrade is ignored, which every server may do
 * (RFC 9110 section 7.8). */
static void apply_upgrade(struct head *head, const struct session_limits *limits,
                          const struct connection *connection)
{
    if (head->first[HEADER_UPGRADE] == 0 || !limits->allow_websocket ||
        head->method != METHOD_GET || head->version != HTTP_1_1 || head->has_body)
        return;
    if (connection->upgrade && head_count(head, HEADER_UPGRADE) == 1 &&
        str_eq_nocase(head_value(head, HEADER_UPGRADE), STR("websocket")))
        head->upgrade = head_value(head, HEADER_UPGRADE);
}

static enum reason apply_expect(struct head *head)
{
    if (head->first[HEADER_EXPECT] == 0 || head->version == HTTP_1_0)
        return REASON_NONE;
    return head_take_expect(head, head->has_body);
}

static enum reason apply_request_framing(struct head *head, const struct session_limits *limits)
{
    bool chunked = head->first[HEADER_TRANSFER_ENCODING] != 0;
    enum reason reason = chunked ? check_transfer_encoding(head) : REASON_NONE;

    if (reason == REASON_NONE)
        reason = apply_content_length(head, ONE_LINE);
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
    struct connection connection;
    enum reason reason;

    head->method = method_lookup(head->method_text);
    if ((reason = parse_target(head, target, limits)) != REASON_NONE ||
        (reason = apply_request_framing(head, limits)) != REASON_NONE ||
        (reason = apply_host(head)) != REASON_NONE ||
        (reason = head_check_request(head, limits->target_rules)) != REASON_NONE ||
        (reason = apply_expect(head)) != REASON_NONE ||
        (reason = read_connection(head, limits, &connection)) != REASON_NONE)
        return reason;
    apply_persistence(head, &connection);
    apply_upgrade(head, limits, &connection);
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
    return apply_content_length(head, EQUAL_LINES) == REASON_NONE;
}

enum reason h1_rules_response(struct head *head, enum method method,
                              const struct session_limits *limits)
{
    struct connection connection;
    enum reason reason = read_connection(head, limits, &connection);

    if (reason != REASON_NONE)
        return reason;
    if (!field_value_is_valid(head->phrase) || !response_framing_is_clear(head))
        return REASON_UPSTREAM_PROTOCOL;
    apply_persistence(head, &connection);
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
