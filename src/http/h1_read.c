/* HTTP/1 heads and trailers: bytes to parsed parts. llhttp reads the grammar; this file holds it to
 * RFC 9112 where llhttp is loose, by looking at where the elements lie (h1_read_impl.h), and keeps
 * the limits. A head that is whole in its first feed, as nearly all are, is read once, on the
 * stack. One that comes in pieces is first followed to its end and then read as a whole. */
#include "http/h1_read_impl.h"

#include "http/chars_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REQUEST_LINE_REST = 64, /* method, spaces and version around a request target */
    FIELD_OVERHEAD = 32,    /* per field, as HPACK counts (RFC 7541 section 4.1) */
    VERSION_LEN = 3,        /* "1.1" */
};

/* Who reads method and target. */
enum start_line {
    LINE_BY_LLHTTP,
    LINE_BY_US,       /* llhttp does not know the method, or refused the target */
    LINE_SUBSTITUTED, /* done: llhttp was given "POST /" in their place */
};

#ifdef WEIR_SSE42
/* Runs before main, so that the program ends with a message, and not with an illegal instruction at
 * the first request. */
__attribute__((constructor)) static void require_sse42(void)
{
    if (__builtin_cpu_supports("sse4.2"))
        return;
    fputs("weir: this processor has no SSE4.2; build weir with -DWEIR_SSE42=OFF\n", stderr);
    exit(1);
}
#endif

static struct h1_reader *of_llhttp(llhttp_t *llhttp)
{
    return CONTAINER_OF(llhttp, struct h1_reader, llhttp);
}

/* --- limits ---------------------------------------------------------------------------------- */

/* What is too long in a request line? */
static enum reason blame_request_line(struct str line)
{
    ptrdiff_t space = str_find_char(line, ' ');

    return space < 0 || space > REQUEST_LINE_REST ? REASON_BAD_METHOD : REASON_URI_TOO_LONG;
}

/* The current line up to `end`. */
static enum reason check_line_length(const struct h1_reader *r, const char *end)
{
    size_t len = (size_t)(end - r->line);

    if (r->name_end != NULL || r->kind != H1_REQUEST)
        return len > r->limits->max_line_bytes ? REASON_LINE_TOO_LONG : REASON_NONE;
    if (UNLIKELY(len > r->limits->max_uri_bytes + REQUEST_LINE_REST))
        return blame_request_line(str_make(r->base, len));
    return REASON_NONE;
}

/* The whole block as raw bytes. */
static enum reason check_total(const struct h1_reader *r)
{
    size_t max = (size_t)r->limits->max_header_bytes + r->limits->max_uri_bytes + REQUEST_LINE_REST;

    return r->fed > max ? REASON_HEADERS_TOO_LARGE : REASON_NONE;
}

/* After a feed that did not reach the end of the block. A request line without version would else
 * be noticed at the next line only, which the client may not send (HTTP/0.9). */
static enum reason check_pending(const struct h1_reader *r)
{
    const char *end = r->base + r->fed;

    if (r->kind == H1_REQUEST && r->version == NULL && r->url_end != NULL && r->url_end < end &&
        *r->url_end != ' ')
        return REASON_BAD_REQUEST_LINE;
    while (end > r->line && (end[-1] == '\r' || end[-1] == '\n'))
        end--; /* perhaps the line's end, or half of it: not counted, as in a whole line */
    enum reason reason = check_line_length(r, end);
    return reason != REASON_NONE ? reason : check_total(r);
}

/* --- lines ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool all_blank(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    return from >= to;
}

/* method SP request-target SP "HTTP/" version: single spaces, nothing else (RFC 9112 section 3). A
 * later minor version is read as ours (RFC 9110 section 2.5). */
static enum reason end_request_line(const struct h1_reader *r, const char *end)
{
    if (r->version == NULL || r->url == NULL || r->version + VERSION_LEN != end ||
        r->version != r->url_end + 6 || memcmp(r->url_end, " HTTP/", 6) != 0)
        return REASON_BAD_REQUEST_LINE;
    if (r->url < r->base + 2 || r->url == r->url_end || r->url[-1] != ' ' || r->url[-2] == ' ')
        return REASON_BAD_REQUEST_LINE;
    return *r->version == '1' ? REASON_NONE : REASON_BAD_VERSION;
}

/* "HTTP/" version SP 3DIGIT [ SP reason-phrase ] (section 4). The space behind the digits may be
 * missing with the phrase. */
static enum reason end_status_line(const struct h1_reader *r, const char *end)
{
    const char *line = r->base;

    if (r->version != line + 5 || end < line + 12 || memcmp(line, "HTTP/1.", 7) != 0 ||
        line[8] != ' ')
        return REASON_UPSTREAM_PROTOCOL;
    if (line[9] < '1' || line[9] > '9' || !ascii_is_digit(line[10]) || !ascii_is_digit(line[11]))
        return REASON_UPSTREAM_PROTOCOL;
    return end == line + 12 || line[12] == ' ' ? REASON_NONE : REASON_UPSTREAM_PROTOCOL;
}

static __attribute__((noinline)) enum reason end_start_line(const struct h1_reader *r,
                                                            const char *end)
{
    enum reason reason = check_line_length(r, end);

    if (reason != REASON_NONE)
        return reason;
    return r->kind == H1_REQUEST ? end_request_line(r, end) : end_status_line(r, end);
}

/* llhttp takes only one Content-Length. Whether more are fine in a response the rules decide, so it
 * forgets each, and here the numbers are compared. */
static enum reason take_length(struct h1_reader *r)
{
    bool differs = r->has_length && r->content_length != r->llhttp.content_length;

    r->has_length = true;
    r->content_length = r->llhttp.content_length;
    r->llhttp.content_length = 0;
    r->llhttp.flags &= (uint16_t)~F_CONTENT_LENGTH;
    return differs ? REASON_BAD_LENGTH : REASON_NONE;
}

enum { FRAMING_FLAGS = F_CHUNKED | F_TRANSFER_ENCODING | F_CONTENT_LENGTH };

/* Framing fields mean nothing in trailers, and are removed. llhttp would compare them with the
 * head's and with each other. */
static void forget_framing(struct h1_reader *r)
{
    r->llhttp.content_length = 0;
    r->llhttp.flags &= (uint16_t)~FRAMING_FLAGS;
}

/* A field of `len` bytes of name and value, in a line of `line_len`. */
static enum reason count_field(struct h1_reader *r, int64_t line_len, int64_t len)
{
    int64_t line_room = r->line_max - line_len;

    r->bytes_left -= len + FIELD_OVERHEAD;
    r->fields_left--;
    if (LIKELY((line_room | r->bytes_left | r->fields_left) >= 0))
        return REASON_NONE;
    if (line_room < 0)
        return REASON_LINE_TOO_LONG;
    return r->bytes_left < 0 ? REASON_HEADERS_TOO_LARGE : REASON_TOO_MANY_FIELDS;
}

/* What llhttp has taken notice of and we do not, or not as it does. */
static enum reason correct_framing(struct h1_reader *r)
{
    if (r->kind == H1_TRAILERS)
        forget_framing(r);
    else if (r->kind == H1_RESPONSE && (r->llhttp.flags & F_CONTENT_LENGTH))
        return take_length(r);
    return REASON_NONE;
}

/* field-name ":" OWS field-value OWS, up to `end` (section 5). llhttp has checked the bytes of
 * both; it leaves the blanks behind the value to us, and lets line folding pass. */
static enum reason end_field(struct h1_reader *r, const char *end)
{
    const char *line = r->line, *colon = r->name_end, *value = r->value, *value_end = r->value_end;

    if (UNLIKELY(value == NULL))
        value = value_end = colon + 1;
    bool is_usual = value == colon + 2 && colon[1] == ' ' && value_end == end;
    if (UNLIKELY(line == colon ||
                 (!is_usual && (!all_blank(colon + 1, value) || !all_blank(value_end, end)))))
        return r->kind == H1_TRAILERS ? REASON_BAD_TRAILER : REASON_BAD_FIELD;
    while (value_end > value && is_blank(value_end[-1]))
        value_end--;
    struct str name = str_make(line, (size_t)(colon - line));
    struct str text = str_make(value, (size_t)(value_end - value));
    enum reason reason = count_field(r, end - line, (int64_t)(name.len + text.len));
    if (UNLIKELY(reason != REASON_NONE))
        return reason;
    if (r->head != NULL)
        head_add(r->head, name, text);
    return UNLIKELY(r->llhttp.flags & FRAMING_FLAGS) ? correct_framing(r) : REASON_NONE;
}

/* The element at `next` begins a line: the one before it is whole, and must end right there. */
static enum reason end_line(struct h1_reader *r, const char *next)
{
    if (UNLIKELY(r->name_end == NULL && r->kind == H1_TRAILERS))
        return next == r->base ? REASON_NONE : REASON_BAD_TRAILER; /* no line before it */
    if (next < r->line + 2 || memcmp(next - 2, "\r\n", 2) != 0)
        return REASON_BAD_LINE_END;
    return r->name_end == NULL ? end_start_line(r, next - 2) : end_field(r, next - 2);
}

/* --- what llhttp finds ----------------------------------------------------------------------- */

static int refuse(struct h1_reader *r, enum reason reason)
{
    r->refusal = (uint8_t)reason;
    return HPE_USER;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t len)
{
    struct h1_reader *r = of_llhttp(llhttp);

    if (r->start_line != LINE_BY_LLHTTP)
        return 0;
    if (r->url == NULL)
        r->url = at;
    r->url_end = at + len;
    return 0;
}

static int on_version(llhttp_t *llhttp, const char *at, size_t len UNUSED)
{
    struct h1_reader *r = of_llhttp(llhttp);

    if (r->version == NULL)
        r->version = at;
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct h1_reader *r = of_llhttp(llhttp);

    if (LIKELY(at != r->name_end)) { /* else: more of a name that came in pieces */
        enum reason reason = end_line(r, at);
        if (reason != REASON_NONE)
            return refuse(r, reason);
        r->line = at;
        r->value = r->value_end = NULL;
    }
    r->name_end = at + len;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct h1_reader *r = of_llhttp(llhttp);

    if (len == 0)
        return 0; /* an empty value is reported behind its line */
    if (r->value == NULL)
        r->value = at;
    else if (at != r->value_end) /* line folding */
        return refuse(r, r->kind == H1_TRAILERS ? REASON_BAD_TRAILER : REASON_BAD_FIELD);
    r->value_end = at + len;
    return 0;
}

static int stop(llhttp_t *llhttp UNUSED)
{
    return HPE_PAUSED;
}

static int on_chunk_complete(llhttp_t *llhttp)
{
    return of_llhttp(llhttp)->kind == H1_TRAILERS ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_version = on_version,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = stop,
    .on_message_complete = stop,
    .on_chunk_header = stop,
    .on_chunk_complete = on_chunk_complete,
};

/* Versions are checked here, which is why llhttp may take them all. */
static void start_llhttp(struct h1_reader *r)
{
    llhttp_init(&r->llhttp, r->kind == H1_RESPONSE ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    r->llhttp.lenient_flags |= LENIENT_VERSION;
}

/* --- request lines that llhttp refuses ------------------------------------------------------- */

/* llhttp knows a list of methods, and each with the targets of its protocol. It takes PRI for the
 * preface of HTTP/2, and then waits for the rest of that. */
static bool may_be_ours(const struct h1_reader *r, llhttp_errno_t error)
{
    if (error == HPE_PAUSED || error == HPE_USER)
        return false;
    if (error == HPE_OK && r->llhttp.method != HTTP_PRI)
        return false;
    return r->kind == H1_REQUEST && r->start_line == LINE_BY_LLHTTP && r->name_end == NULL;
}

static void begin_own_line(struct h1_reader *r)
{
    r->start_line = LINE_BY_US;
    r->fed = 0;
    r->url = r->url_end = r->version = NULL;
}

static enum reason blame_byte(char c, enum reason reason)
{
    if (c == '\n')
        return REASON_BAD_LINE_END;
    return c == '\r' ? REASON_BAD_REQUEST_LINE
                     : reason; /* the line ends early: HTTP/0.9, or less */
}

static bool is_target_byte(char c)
{
    return (uint8_t)c > ' ' && c != 0x7f;
}

/* Takes method and target; what the target may hold the rules say. Goes on where it stood, and when
 * both are whole lets llhttp read the rest behind others. */
static enum reason read_own_line(struct h1_reader *r, struct str data)
{
    const char *at = data.ptr + r->fed, *end = data.ptr + data.len;

    if (r->url == NULL) {
        while (at < end && char_is(*at, CHAR_TOKEN))
            at++;
        r->fed = (uint32_t)(at - data.ptr);
        if (at == end)
            return REASON_NONE;
        if (at == data.ptr)
            return REASON_BAD_REQUEST_LINE; /* no text of HTTP */
        if (*at != ' ')
            return blame_byte(*at, REASON_BAD_METHOD);
        r->url = ++at;
    }
    while (at < end && is_target_byte(*at))
        at++;
    r->fed = (uint32_t)(at - data.ptr);
    if (at == end)
        return REASON_NONE;
    if (at == r->url)
        return REASON_BAD_REQUEST_LINE;
    if (*at != ' ')
        return blame_byte(*at, REASON_BAD_TARGET);
    r->url_end = at;
    r->start_line = LINE_SUBSTITUTED;
    start_llhttp(r);
    return llhttp_execute(&r->llhttp, "POST /", 6) == HPE_OK ? REASON_NONE
                                                             : REASON_BAD_REQUEST_LINE;
}

/* --- feeding --------------------------------------------------------------------------------- */

static llhttp_errno_t execute(struct h1_reader *r, struct str data)
{
    return llhttp_execute(&r->llhttp, data.ptr + r->fed, data.len - r->fed);
}

/* Did llhttp stop at a bare CR or LF, or right behind it? */
static bool is_bad_line_end(const struct h1_reader *r, const char *at, size_t len)
{
    if (at < r->base || at > r->base + len)
        return false;
    if (at < r->base + len && *at == '\n')
        return true;
    if (at == r->base)
        return false;
    return at[-1] == '\r' || (at[-1] == '\n' && (at - r->base < 2 || at[-2] != '\r'));
}

static enum reason blame(const struct h1_reader *r, llhttp_errno_t error, size_t len)
{
    if (error == HPE_USER)
        return (enum reason)r->refusal;
    if (is_bad_line_end(r, llhttp_get_error_pos(&r->llhttp), len))
        return REASON_BAD_LINE_END;
    if (r->kind == H1_TRAILERS)
        return REASON_BAD_TRAILER;
    switch (error) {
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return r->llhttp.flags & F_TRANSFER_ENCODING ? REASON_BAD_FRAMING : REASON_BAD_LENGTH;
    case HPE_INVALID_TRANSFER_ENCODING:
        return REASON_BAD_FRAMING;
    default:
        return r->version == NULL || error == HPE_INVALID_VERSION ? REASON_BAD_REQUEST_LINE
                                                                  : REASON_BAD_FIELD;
    }
}

static enum reason end_block(struct h1_reader *r, size_t *len)
{
    const char *end = llhttp_get_error_pos(&r->llhttp);
    enum reason reason;

    llhttp_resume(&r->llhttp);
    r->fed = (uint32_t)(end - r->base);
    if (r->fed < 2 || memcmp(end - 2, "\r\n", 2) != 0)
        return REASON_BAD_LINE_END;
    if ((reason = end_line(r, end - 2)) != REASON_NONE || (reason = check_total(r)) != REASON_NONE)
        return reason;
    *len = r->fed;
    return REASON_NONE;
}

/* False: more bytes are needed, or *reason says what is wrong. */
static bool own_line_is_read(struct h1_reader *r, struct str data, enum reason *reason)
{
    *reason = read_own_line(r, data);
    if (*reason == REASON_NONE && r->start_line == LINE_BY_US)
        *reason = check_line_length(r, r->base + r->fed);
    return *reason == REASON_NONE && r->start_line == LINE_SUBSTITUTED;
}

static void set_limits(struct h1_reader *r, const struct session_limits *limits)
{
    r->limits = limits;
    r->line_max = limits->max_line_bytes;
    r->bytes_left = limits->max_header_bytes;
    r->fields_left = limits->max_header_count;
}

static void move(const char **place, ptrdiff_t by)
{
    if (*place != NULL)
        *place += by;
}

/* The block is at `base` now. */
static void move_to(struct h1_reader *r, const char *base)
{
    ptrdiff_t by = r->base != NULL ? base - r->base : 0;

    r->line = r->base != NULL ? r->line + by : base;
    r->base = base;
    move(&r->url, by);
    move(&r->url_end, by);
    move(&r->version, by);
    move(&r->name_end, by);
    move(&r->value, by);
    move(&r->value_end, by);
}

enum reason h1_reader_feed(struct h1_reader *r, struct str data, size_t *len)
{
    llhttp_errno_t error;
    enum reason reason;

    *len = 0;
    if (r->base != data.ptr)
        move_to(r, data.ptr);
    if (r->kind != H1_TRAILERS && (data.ptr[0] == '\r' || data.ptr[0] == '\n'))
        return REASON_BAD_LINE_END; /* llhttp skips empty lines, any number of them */
    if (r->start_line == LINE_BY_US && !own_line_is_read(r, data, &reason))
        return reason;
    error = execute(r, data);
    if (UNLIKELY(may_be_ours(r, error))) {
        begin_own_line(r);
        if (!own_line_is_read(r, data, &reason))
            return reason;
        error = execute(r, data);
    }
    if (error == HPE_PAUSED)
        return end_block(r, len);
    if (error != HPE_OK)
        return blame(r, error, data.len);
    r->fed = (uint32_t)data.len;
    return check_pending(r);
}

/* --- heads ----------------------------------------------------------------------------------- */

static void reader_init(struct h1_reader *r, enum h1_kind kind, const struct session_limits *limits,
                        struct head *head, const char *base)
{
    *r = (struct h1_reader){.head = head, .kind = (uint8_t)kind, .base = base, .line = base};
    set_limits(r, limits);
    start_llhttp(r);
}

static struct head *new_head(struct arena *arena)
{
    struct head *head = arena_alloc(arena, sizeof(*head));

    head_init(head, arena);
    return head;
}

/* Goes on with a head that comes in pieces; *len is set at its end. */
static enum reason follow(struct h1_input *in, struct str data, size_t *len)
{
    enum reason reason = h1_reader_feed(in->partial, data, len);
    if (reason != REASON_NONE || *len > 0)
        h1_input_clear(in);
    return reason;
}

static void keep_partial(struct h1_input *in, const struct h1_reader *r)
{
    in->partial = mem_new(sizeof(*in->partial));
    *in->partial = *r;
    in->partial->head = NULL;
}

/* Reads the block into a new *head. */
static enum reason read_head(struct h1_input *in, struct h1_reader *r, enum h1_kind kind,
                             struct str data, const struct session_limits *limits,
                             struct arena *arena, struct head **head, size_t *len)
{
    enum reason reason;

    *head = NULL;
    if (UNLIKELY(in->partial != NULL)) {
        reason = follow(in, data, len);
        if (reason != REASON_NONE || *len == 0)
            return reason;
        data.len = *len;
    }
    struct head *read = new_head(arena);
    reader_init(r, kind, limits, read, data.ptr);
    reason = h1_reader_feed(r, data, len);
    if (reason != REASON_NONE)
        return reason;
    if (*len == 0)
        keep_partial(in, r);
    else
        *head = read;
    return REASON_NONE;
}

struct str h1_reader_keep(const struct h1_reader *r, struct head *head, size_t len)
{
    struct str block = arena_str(head->arena, str_make(r->base, len));

    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        field->name.ptr = block.ptr + (field->name.ptr - r->base);
        field->value.ptr = block.ptr + (field->value.ptr - r->base);
    }
    return block;
}

/* The rules and llhttp must agree on how the body is framed. */
static enum reason begin_body(struct h1_input *in, const struct h1_reader *r,
                              const struct head *head, enum h1_framing framing)
{
    bool is_chunked = head->first[HEADER_TRANSFER_ENCODING] != 0;
    uint64_t length = r->has_length ? r->content_length : r->llhttp.content_length;

    if (is_chunked != ((r->llhttp.flags & F_CHUNKED) != 0))
        return REASON_BAD_FRAMING;
    if (head->content_length >= 0 && (uint64_t)head->content_length != length)
        return REASON_BAD_LENGTH;
    if (framing == H1_CHUNKED)
        in->body = h1_body_new(head->arena, r);
    return REASON_NONE;
}

static enum http_version version_of(const struct h1_reader *r)
{
    return r->version[2] == '0' ? HTTP_1_0 : HTTP_1_1;
}

enum reason h1_read_request(struct h1_input *in, struct str data,
                            const struct session_limits *limits, struct arena *arena,
                            struct head **head, size_t *head_len)
{
    struct h1_reader r;
    enum reason reason = read_head(in, &r, H1_REQUEST, data, limits, arena, head, head_len);

    if (reason != REASON_NONE || *head == NULL)
        return reason;
    struct str block = h1_reader_keep(&r, *head, *head_len);
    (*head)->version = version_of(&r);
    size_t url = (size_t)(r.url - r.base), url_len = (size_t)(r.url_end - r.url);
    (*head)->method_text = str_make(block.ptr, url - 1);
    reason = h1_rules_request(*head, str_make(block.ptr + url, url_len), limits);
    return reason != REASON_NONE ? reason : begin_body(in, &r, *head, h1_request_framing(*head));
}

static enum reason as_upstream(enum reason reason)
{
    return reason_status(reason) == 431 ? REASON_UPSTREAM_HEADERS_TOO_LARGE
                                        : REASON_UPSTREAM_PROTOCOL;
}

/* What stands behind the status and its space; where the line ends llhttp has found. */
static struct str phrase_of(struct str block)
{
    struct str rest = str_skip(block, 12);

    (void)str_cut(rest, '\r', &rest, &(struct str){0});
    return rest.len > 0 ? str_skip(rest, 1) : rest;
}

enum reason h1_read_response(struct h1_input *in, struct str data, enum method method,
                             const struct session_limits *limits, struct arena *arena,
                             struct head **head, size_t *head_len)
{
    struct h1_reader r;
    enum reason reason = read_head(in, &r, H1_RESPONSE, data, limits, arena, head, head_len);

    if (reason != REASON_NONE || *head == NULL)
        return reason != REASON_NONE ? as_upstream(reason) : reason;
    struct str block = h1_reader_keep(&r, *head, *head_len);
    (*head)->version = version_of(&r);
    (*head)->status = llhttp_get_status_code(&r.llhttp);
    (*head)->phrase = phrase_of(block);
    reason = h1_rules_response(*head, method, limits);
    if (reason == REASON_NONE)
        reason = begin_body(in, &r, *head, h1_response_framing(*head, method));
    return reason != REASON_NONE ? as_upstream(reason) : reason;
}

void h1_input_clear(struct h1_input *in)
{
    free(in->partial);
    in->partial = NULL;
}

/* --- trailers -------------------------------------------------------------------------------- */

void h1_reader_begin_trailers(struct h1_reader *r)
{
    const struct session_limits *limits = r->limits;
    llhttp_t llhttp = r->llhttp;

    *r = (struct h1_reader){.kind = H1_TRAILERS};
    r->llhttp = llhttp;
    set_limits(r, limits);
    forget_framing(r);
}
