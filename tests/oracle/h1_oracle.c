/* See h1_oracle.h. First the scan finds the end of a head, then one pass takes it apart in
 * place. */
#include "h1_oracle.h"

#include "http/chars.h"
#include "http/chars_impl.h"

/* --- finding the end ------------------------------------------------------------------------- */

enum { REQUEST_LINE_REST = 64 }; /* method, spaces and version around a request target */

/* Of a request line that is too long, what is? */
static enum reason blame_request_line(struct str line)
{
    ptrdiff_t space = str_find_char(line, ' ');

    return space < 0 || space > REQUEST_LINE_REST ? REASON_BAD_METHOD : REASON_URI_TOO_LONG;
}

static enum reason check_line_length(const struct oracle_scan *scan, struct str line,
                                     enum h1_kind kind, const struct session_limits *limits)
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
static enum reason check_total(const struct oracle_scan *scan, size_t total,
                               const struct session_limits *limits)
{
    if (total > (size_t)limits->max_header_bytes + limits->max_uri_bytes + REQUEST_LINE_REST)
        return REASON_HEADERS_TOO_LARGE;
    if (scan->lines > limits->max_header_count + 1)
        return REASON_TOO_MANY_FIELDS;
    return REASON_NONE;
}

enum reason oracle_scan_head(struct oracle_scan *scan, struct str data, enum h1_kind kind,
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

/* field-name ":" OWS field-value OWS (RFC 9112 section 5). No space before the colon, no
 * folding. */
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

static enum reason parse_version(struct str text, enum http_version *version)
{
    if (text.len != 8 || !str_starts(text, STR("HTTP/")) || !ascii_is_digit(text.ptr[5]) ||
        text.ptr[6] != '.' || !ascii_is_digit(text.ptr[7]))
        return REASON_BAD_REQUEST_LINE;
    if (text.ptr[5] != '1')
        return REASON_BAD_VERSION;
    *version = text.ptr[7] == '0' ? HTTP_1_0 : HTTP_1_1;
    return REASON_NONE;
}

/* method SP request-target SP HTTP-version: single spaces, nothing else (RFC 9112 section 3). */
static enum reason parse_request_line(struct head *head, struct str line, struct str *target)
{
    struct str version, rest;

    if (!str_cut(line, ' ', &head->method_text, &rest) || !str_cut(rest, ' ', target, &version))
        return REASON_BAD_REQUEST_LINE;
    if (!token_is_valid(head->method_text))
        return REASON_BAD_METHOD;
    if (target->len == 0)
        return REASON_BAD_REQUEST_LINE;
    return parse_version(version, &head->version);
}

/* --- framing --------------------------------------------------------------------------------- */

/* Digits only, once in a request. A response may repeat the same number (RFC 9110 section 8.6). */
static bool read_length(const struct head *head, enum h1_kind kind, int64_t *length)
{
    unsigned count = 0;
    uint64_t value;

    *length = CONTENT_LENGTH_NONE;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (!str_eq_nocase(head->fields[i].name, STR("Content-Length")))
            continue;
        if (str_to_u64(head->fields[i].value, &value) < 0 || value > INT64_MAX)
            return false;
        if (count++ > 0 && (kind == H1_REQUEST || (int64_t)value != *length))
            return false;
        *length = (int64_t)value;
    }
    return true;
}

/* "chunked" once and nothing else, in HTTP/1.1 and without Content-Length. */
static bool read_coding(const struct head *head, int64_t length, bool *is_chunked)
{
    *is_chunked = false;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (!str_eq_nocase(head->fields[i].name, STR("Transfer-Encoding")))
            continue;
        if (*is_chunked || !str_eq_nocase(head->fields[i].value, STR("chunked")) ||
            head->version == HTTP_1_0 || length != CONTENT_LENGTH_NONE)
            return false;
        *is_chunked = true;
    }
    return true;
}

static enum reason check_framing(const struct head *head, enum h1_kind kind, bool *is_chunked)
{
    int64_t length;

    if (!read_length(head, kind, &length) || !read_coding(head, length, is_chunked))
        return REASON_BAD_FRAMING;
    return length == head->content_length ? REASON_NONE : REASON_BAD_LENGTH;
}

/* --- heads ----------------------------------------------------------------------------------- */

enum reason oracle_parse_request(struct head *head, struct str block,
                                 const struct session_limits *limits, bool *is_chunked)
{
    struct str rest = arena_str(head->arena, block), line, target;
    enum reason reason;

    if (!next_line(&rest, &line))
        return REASON_BAD_REQUEST_LINE;
    if ((reason = parse_request_line(head, line, &target)) != REASON_NONE ||
        (reason = parse_fields(head, rest, limits)) != REASON_NONE ||
        (reason = h1_rules_request(head, target, limits)) != REASON_NONE)
        return reason;
    return check_framing(head, H1_REQUEST, is_chunked);
}

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

enum reason oracle_parse_response(struct head *head, struct str block, enum method method,
                                  const struct session_limits *limits, bool *is_chunked)
{
    struct str rest = arena_str(head->arena, block), line;
    enum reason reason;

    if (!next_line(&rest, &line))
        return REASON_UPSTREAM_PROTOCOL;
    if ((reason = parse_status_line(head, line)) != REASON_NONE ||
        (reason = parse_fields(head, rest, limits)) != REASON_NONE ||
        (reason = h1_rules_response(head, method, limits)) != REASON_NONE)
        return reason;
    return check_framing(head, H1_RESPONSE, is_chunked);
}

enum reason oracle_parse_trailers(struct head *head, struct str block,
                                  const struct session_limits *limits)
{
    enum reason reason = parse_fields(head, arena_str(head->arena, block), limits);

    h1_rules_trailers(head);
    return reason;
}
