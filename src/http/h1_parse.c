/* HTTP/1 heads: bytes to parsed parts, strictly. One idea: what the grammar of RFC 9112 does not
 * allow, or allows only "for robustness", is refused, because the next program in the chain may
 * read it differently. First h1_scan_head finds the end of the head; then one pass takes it apart
 * in place. */
#include "http/authority.h"
#include "http/chars.h"
#include "http/chars_impl.h"
#include "http/h1_impl.h"

/* --- finding the end ------------------------------------------------------------------------- */

enum { REQUEST_LINE_REST = 64 }; /* method, spaces and version around a request target */

/* Of a request line that is too long, what is? */
static enum reason blame_request_line(struct str line)
{
    ptrdiff_t space = str_find_char(line, ' ');

    return space < 0 || space > REQUEST_LINE_REST ? REASON_BAD_METHOD : REASON_URI_TOO_LONG;
}

static enum reason check_line_length(const struct h1_scan *scan, struct str line, enum h1_kind kind,
                                     const struct session_limits *limits)
{
    if (scan->lines > 0 || kind != H1_REQUEST)
        return line.len > limits->max_line_bytes ? REASON_LINE_TOO_LONG : REASON_NONE;
    if (UNLIKELY(line.len > limits->max_uri_bytes + REQUEST_LINE_REST))
        return blame_request_line(line);
    return REASON_NONE;
}

/* CR and then no LF: nothing that comes can make it the empty line. Said at once, because the end
 * of the head is what the peer may be waiting for us to see. */
static bool is_half_empty(struct str line)
{
    return line.len > 1 && line.ptr[0] == '\r';
}

/* The whole head as raw bytes; what counts exactly is checked while parsing. */
static enum reason check_total(const struct h1_scan *scan, size_t total,
                               const struct session_limits *limits)
{
    if (total > (size_t)limits->max_header_bytes + limits->max_uri_bytes + REQUEST_LINE_REST)
        return REASON_HEADERS_TOO_LARGE;
    if (scan->lines > limits->max_header_count + 1)
        return REASON_TOO_MANY_FIELDS;
    return REASON_NONE;
}

enum reason h1_scan_head(struct h1_scan *scan, struct str data, enum h1_kind kind,
                         const struct session_limits *limits, size_t *head_len)
{
    enum reason reason;

    *head_len = 0;
    while (scan->looked < data.len) {
        const char *from = data.ptr + scan->looked;
        const char *newline = memchr(from, '\n', data.len - scan->looked);
        if (newline == NULL)
            break;

        size_t end = (size_t)(newline - data.ptr);
        size_t len = end - scan->line_start;
        if (len == 0 || newline[-1] != '\r')
            return REASON_BAD_LINE_END;
        scan->looked = (uint32_t)end + 1;
        if (len == 1) {
            *head_len = end + 1;
            return check_total(scan, end + 1, limits);
        }
        struct str line = str_make(data.ptr + scan->line_start, len);
        if (is_half_empty(line))
            return REASON_BAD_LINE_END;
        line.len--;
        if ((reason = check_line_length(scan, line, kind, limits)) != REASON_NONE)
            return reason;
        scan->line_start = scan->looked;
        scan->lines++;
    }
    scan->looked = (uint32_t)data.len;
    struct str pending = str_skip(data, scan->line_start);
    if (is_half_empty(pending))
        return REASON_BAD_LINE_END;
    if (pending.len > 0 && data.ptr[data.len - 1] == '\r')
        pending.len--; /* perhaps half of the line's end: not counted, as in a whole line */
    if ((reason = check_line_length(scan, pending, kind, limits)) != REASON_NONE)
        return reason;
    return check_total(scan, data.len, limits);
}

/* --- fields ---------------------------------------------------------------------------------- */

/* Takes the next line of `*rest` without its CRLF; false at the empty line. The scan has seen to it
 * that every line ends in CRLF. */
static bool next_line(struct str *rest, struct str *line)
{
    const char *newline = memchr(rest->ptr, '\n', rest->len);
    size_t len = (size_t)(newline - rest->ptr);

    *line = str_make(rest->ptr, len - 1);
    *rest = str_skip(*rest, len + 1);
    return line->len > 0;
}

/* field-name ":" OWS field-value OWS (RFC 9112 section 5). No space before the colon, no folding.
 */
static enum reason parse_field(struct head *head, struct str line)
{
    size_t colon = 0;

    while (colon < line.len && char_is(line.ptr[colon], CHAR_TOKEN))
        colon++;
    if (colon == 0 || colon == line.len || line.ptr[colon] != ':')
        return REASON_BAD_FIELD;

    struct str value = str_trim(str_skip(line, colon + 1));
    if (!field_value_is_valid(value))
        return REASON_BAD_FIELD;
    head_add(head, str_make(line.ptr, colon), value);
    return REASON_NONE;
}

enum { FIELD_OVERHEAD = 32 }; /* per field, as HPACK counts (RFC 7541 section 4.1) */

static enum reason parse_fields(struct head *head, struct str rest,
                                const struct session_limits *limits)
{
    size_t bytes = 0;
    struct str line;

    while (next_line(&rest, &line)) {
        enum reason reason = parse_field(head, line);
        if (reason != REASON_NONE)
            return reason;
        const struct field *field = &head->fields[head->field_count - 1];
        bytes += field->name.len + field->value.len + FIELD_OVERHEAD;
        if (bytes > limits->max_header_bytes)
            return REASON_HEADERS_TOO_LARGE;
        if (head->field_count > limits->max_header_count)
            return REASON_TOO_MANY_FIELDS;
    }
    return REASON_NONE;
}

/* --- the request line ------------------------------------------------------------------------ */

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

static enum reason parse_version(struct str text, enum http_version *version)
{
    if (text.len != 8 || !str_starts(text, STR("HTTP/")) || !ascii_is_digit(text.ptr[5]) ||
        text.ptr[6] != '.' || !ascii_is_digit(text.ptr[7]))
        return REASON_BAD_REQUEST_LINE;
    if (text.ptr[5] != '1' || text.ptr[7] > '1')
        return REASON_BAD_VERSION;
    *version = text.ptr[7] == '1' ? HTTP_1_1 : HTTP_1_0;
    return REASON_NONE;
}

/* method SP request-target SP HTTP-version: single spaces, nothing else (RFC 9112 section 3). */
static enum reason parse_request_line(struct head *head, struct str line,
                                      const struct session_limits *limits)
{
    struct str target, version, rest;
    enum reason reason;

    if (!str_cut(line, ' ', &head->method_text, &rest) || !str_cut(rest, ' ', &target, &version))
        return REASON_BAD_REQUEST_LINE;
    if (!token_is_valid(head->method_text))
        return REASON_BAD_METHOD;
    if (target.len == 0)
        return REASON_BAD_REQUEST_LINE;
    if ((reason = parse_version(version, &head->version)) != REASON_NONE)
        return reason;
    head->method = method_lookup(head->method_text);
    return parse_target(head, target, limits);
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

enum reason h1_parse_request(struct head *head, struct str block,
                             const struct session_limits *limits)
{
    struct str rest = arena_str(head->arena, block), line;
    enum reason reason;

    if (!next_line(&rest, &line))
        return REASON_BAD_REQUEST_LINE;
    if ((reason = parse_request_line(head, line, limits)) != REASON_NONE ||
        (reason = parse_fields(head, rest, limits)) != REASON_NONE ||
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

/* HTTP-version SP 3DIGIT SP [ reason-phrase ]; the last SP may be missing with the phrase. */
static enum reason parse_status_line(struct head *head, struct str line)
{
    struct str version, rest, code;
    uint64_t status;

    if (!str_cut(line, ' ', &version, &rest) ||
        parse_version(version, &head->version) != REASON_NONE)
        return REASON_UPSTREAM_PROTOCOL;
    (void)str_cut(rest, ' ', &code, &head->phrase);
    if (code.len != 3 || str_to_u64(code, &status) < 0 || status < 100 || status > 999 ||
        !field_value_is_valid(head->phrase))
        return REASON_UPSTREAM_PROTOCOL;
    head->status = (int)status;
    return REASON_NONE;
}

static bool response_framing_is_clear(struct head *head)
{
    if (head->first[HEADER_TRANSFER_ENCODING] != 0)
        return check_transfer_encoding(head) == REASON_NONE;
    return apply_content_length(head) == REASON_NONE;
}

static enum reason as_upstream(enum reason reason)
{
    if (reason == REASON_NONE)
        return reason;
    return reason_status(reason) == 431 ? REASON_UPSTREAM_HEADERS_TOO_LARGE
                                        : REASON_UPSTREAM_PROTOCOL;
}

enum reason h1_parse_response(struct head *head, struct str block, enum method method,
                              const struct session_limits *limits)
{
    struct str rest = arena_str(head->arena, block), line;
    enum reason reason;

    if (!next_line(&rest, &line))
        return REASON_UPSTREAM_PROTOCOL;
    if ((reason = parse_status_line(head, line)) != REASON_NONE ||
        (reason = as_upstream(parse_fields(head, rest, limits))) != REASON_NONE)
        return reason;
    if (!response_framing_is_clear(head))
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

enum reason h1_parse_trailers(struct head *head, struct str block,
                              const struct session_limits *limits)
{
    enum reason reason = parse_fields(head, arena_str(head->arena, block), limits);

    for (unsigned i = 0; i < head->field_count; i++) {
        if (header_flags(head->fields[i].id) & HEADER_NO_TRAILER)
            head->fields[i].removed = true;
    }
    return reason == REASON_BAD_FIELD ? REASON_BAD_TRAILER : reason;
}
