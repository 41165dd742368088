/* Chunked bodies and their trailers. llhttp, which has read the head, reads on. It is fed in steps,
 * so that it always stands at a known place: at a size, at the end of the size's line, in the
 * payload or behind it. Chunk extensions are the exception: llhttp 8 does not know their grammar
 * and neither version knows the blanks that RFC 9112 section 7.1.1 wants removed. They are checked
 * here, byte by byte, and llhttp sees the line without them. */
#include "http/chars_impl.h"
#include "http/h1_read_impl.h"

enum {
    MAX_DIGITS = 16,    /* of a chunk size, leading zeros included */
    MAX_SIZE_BITS = 60, /* 2^60 bytes are enough, and nothing overflows */
};

/* What the next byte is. */
enum place {
    AT_SIZE = 0,
    AT_EXT_NEXT,        /* blanks behind the size or a value: ";" is to come */
    AT_EXT_NAME_FIRST,  /* first byte of an extension's name, or blanks */
    AT_EXT_NAME,        /* more of it, "=", ";" or CR */
    AT_EXT_AFTER_NAME,  /* blanks behind it: "=" or ";" is to come */
    AT_EXT_VALUE_FIRST, /* a token or a quoted string, or blanks */
    AT_EXT_TOKEN,
    AT_EXT_QUOTED,
    AT_EXT_ESCAPED,
    AT_EXT_AFTER_QUOTED,
    AT_LINE_END, /* CR or LF behind the size or the extensions */
    AT_PAYLOAD,
    AT_PAYLOAD_END, /* CR or LF behind the payload */
};

struct h1_body {
    struct h1_reader reader;
    struct h1_reader before_trailers; /* to read them again as a whole */
    uint64_t left;                    /* payload bytes of the current chunk still to come */
    uint32_t extension;               /* bytes of extensions seen in this body */
    uint8_t place;
    uint8_t digits;
};

struct h1_body *h1_body_new(struct arena *arena, const struct h1_reader *reader)
{
    struct h1_body *body = ARENA_NEW(arena, struct h1_body);

    body->reader = *reader;
    return body;
}

/* --- extensions ------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int after_extension_part(char c)
{
    if (c == ';')
        return AT_EXT_NAME_FIRST;
    if (is_blank(c))
        return AT_EXT_NEXT;
    return c == '\r' ? AT_LINE_END : -1;
}

/* Blanks at the end of the line are no part of the grammar. Servers send them behind a size, and as
 * nothing of the line is forwarded, they are taken from servers. */
static int after_blanks(char c, enum place place, enum h1_kind kind)
{
    if (is_blank(c))
        return place;
    if (c == '\r')
        return kind == H1_RESPONSE ? AT_LINE_END : -1;
    return c == ';' ? AT_EXT_NAME_FIRST : -1;
}

static int in_quotes(char c)
{
    if (c == '"')
        return AT_EXT_AFTER_QUOTED;
    if (c == '\\')
        return AT_EXT_ESCAPED;
    return char_is(c, CHAR_VALUE) ? AT_EXT_QUOTED : -1;
}

/* The place behind byte `c` of the extensions, or -1. */
static int step(enum place place, char c, enum h1_kind kind)
{
    switch (place) {
    case AT_EXT_NEXT:
        return after_blanks(c, place, kind);
    case AT_EXT_NAME_FIRST:
        if (is_blank(c))
            return place;
        return char_is(c, CHAR_TOKEN) ? AT_EXT_NAME : -1;
    case AT_EXT_NAME:
        if (c == '=')
            return AT_EXT_VALUE_FIRST;
        if (is_blank(c))
            return AT_EXT_AFTER_NAME;
        return char_is(c, CHAR_TOKEN) ? AT_EXT_NAME : after_extension_part(c);
    case AT_EXT_AFTER_NAME:
        return c == '=' ? AT_EXT_VALUE_FIRST : after_blanks(c, place, kind);
    case AT_EXT_VALUE_FIRST:
        if (is_blank(c))
            return place;
        if (c == '"')
            return AT_EXT_QUOTED;
        return char_is(c, CHAR_TOKEN) ? AT_EXT_TOKEN : -1;
    case AT_EXT_TOKEN:
        return char_is(c, CHAR_TOKEN) ? AT_EXT_TOKEN : after_extension_part(c);
    case AT_EXT_QUOTED:
        return in_quotes(c);
    case AT_EXT_ESCAPED:
        return char_is(c, CHAR_VALUE) ? AT_EXT_QUOTED : -1;
    case AT_EXT_AFTER_QUOTED:
        return after_extension_part(c);
    case AT_SIZE:
    case AT_LINE_END:
    case AT_PAYLOAD:
    case AT_PAYLOAD_END:
        break;
    }
    UNREACHABLE("not in an extension");
}

/* Up to the CR, which is llhttp's again. */
static enum h1_chunk_news take_extension(struct h1_body *body, struct str rest, size_t *used)
{
    uint32_t max = body->reader.limits->max_chunk_extension_bytes;

    if (max == 0)
        max = SESSION_CHUNK_EXTENSION_MAX;
    for (size_t i = 0; i < rest.len; i++) {
        int next = step((enum place)body->place, rest.ptr[i], (enum h1_kind)body->reader.kind);
        if (next < 0)
            return H1_CHUNK_BAD;
        body->place = (uint8_t)next;
        if (next == AT_LINE_END) {
            *used += i;
            return H1_CHUNK_MORE;
        }
        if (++body->extension > max)
            return H1_CHUNK_LONG;
    }
    *used += rest.len;
    return H1_CHUNK_MORE;
}

/* --- sizes and payload ----------------------------------------------------------------------- */

/* Feeds llhttp with `bytes`, of which it may stop in the middle: true, and *used counts on. */
static bool has_stopped(struct h1_body *body, struct str bytes, size_t *used, llhttp_errno_t *error)
{
    llhttp_t *llhttp = &body->reader.llhttp;

    *error = llhttp_execute(llhttp, bytes.ptr, bytes.len);
    if (*error != HPE_PAUSED) {
        *used += bytes.len;
        return false;
    }
    *used += (size_t)(llhttp_get_error_pos(llhttp) - bytes.ptr);
    llhttp_resume(llhttp);
    *error = HPE_OK;
    return true;
}

/* The size's line is over. */
static enum h1_chunk_news begin_payload(struct h1_body *body)
{
    body->left = body->reader.llhttp.content_length;
    body->digits = 0;
    if (body->left >> MAX_SIZE_BITS != 0)
        return H1_CHUNK_BAD;
    if (body->left == 0) {
        h1_reader_begin_trailers(&body->reader);
        return H1_CHUNK_LAST;
    }
    body->place = AT_PAYLOAD;
    return H1_CHUNK_MORE;
}

static enum h1_chunk_news take_line_end(struct h1_body *body, struct str rest, size_t *used)
{
    llhttp_errno_t error;

    if (has_stopped(body, rest, used, &error))
        return begin_payload(body);
    body->place = AT_LINE_END;
    return error == HPE_OK ? H1_CHUNK_MORE : H1_CHUNK_BAD;
}

/* Digits, and the line end with them if it follows at once. */
static enum h1_chunk_news take_size(struct h1_body *body, struct str rest, size_t *used)
{
    llhttp_errno_t error = HPE_OK;
    size_t n = 0;

    while (n < rest.len && hex_value(rest.ptr[n]) >= 0) {
        if (++body->digits > MAX_DIGITS)
            return H1_CHUNK_BAD;
        n++;
    }
    if (n < rest.len && body->digits == 0)
        return H1_CHUNK_BAD;
    if (n < rest.len && rest.ptr[n] == '\r')
        return take_line_end(body, rest, used);
    if (n > 0 && (has_stopped(body, str_make(rest.ptr, n), used, &error) || error != HPE_OK))
        return H1_CHUNK_BAD;
    if (n == rest.len)
        return H1_CHUNK_MORE;
    body->place = AT_EXT_NEXT; /* what stands behind the size */
    return H1_CHUNK_MORE;
}

static enum h1_chunk_news take_payload(struct h1_body *body, struct str rest, size_t *used,
                                       struct str *payload)
{
    size_t n = rest.len < body->left ? rest.len : (size_t)body->left;
    llhttp_errno_t error;

    *payload = str_make(rest.ptr, n);
    if (has_stopped(body, *payload, used, &error) || error != HPE_OK)
        return H1_CHUNK_BAD;
    body->left -= n;
    if (body->left == 0)
        body->place = AT_PAYLOAD_END;
    return H1_CHUNK_DATA;
}

static enum h1_chunk_news take_payload_end(struct h1_body *body, struct str rest, size_t *used)
{
    llhttp_errno_t error;

    if (has_stopped(body, rest, used, &error))
        body->place = AT_SIZE;
    return error == HPE_OK ? H1_CHUNK_MORE : H1_CHUNK_BAD;
}

enum h1_chunk_news h1_body_next(struct h1_body *body, struct str data, size_t *used,
                                struct str *payload)
{
    enum h1_chunk_news news = H1_CHUNK_MORE;

    *used = 0;
    while (news == H1_CHUNK_MORE && *used < data.len) {
        struct str rest = str_skip(data, *used);
        switch ((enum place)body->place) {
        case AT_SIZE:
            news = take_size(body, rest, used);
            break;
        case AT_LINE_END:
            news = take_line_end(body, rest, used);
            break;
        case AT_PAYLOAD:
            return take_payload(body, rest, used, payload);
        case AT_PAYLOAD_END:
            news = take_payload_end(body, rest, used);
            break;
        case AT_EXT_NEXT:
        case AT_EXT_NAME_FIRST:
        case AT_EXT_NAME:
        case AT_EXT_AFTER_NAME:
        case AT_EXT_VALUE_FIRST:
        case AT_EXT_TOKEN:
        case AT_EXT_QUOTED:
        case AT_EXT_ESCAPED:
        case AT_EXT_AFTER_QUOTED:
            news = take_extension(body, rest, used);
            break;
        }
    }
    if (news == H1_CHUNK_BAD || news == H1_CHUNK_LONG)
        *used = data.len;
    return news;
}

/* --- trailers -------------------------------------------------------------------------------- */

static struct head *new_trailers(struct arena *arena)
{
    struct head *trailers = arena_alloc(arena, sizeof(*trailers));

    head_init(trailers, arena);
    return trailers;
}

enum reason h1_read_trailers(struct h1_body *body, struct str data, struct arena *arena,
                             struct head **trailers, size_t *len)
{
    struct h1_reader *r = &body->reader;
    bool is_first = r->fed == 0;
    enum reason reason;

    *trailers = NULL;
    if (is_first) {
        body->before_trailers = *r;
        r->head = new_trailers(arena);
    }
    struct head *read = r->head;
    reason = h1_reader_feed(r, data, len);
    r->head = NULL;
    if (reason != REASON_NONE || *len == 0)
        return reason;
    if (!is_first) {
        *r = body->before_trailers;
        r->head = read = new_trailers(arena);
        reason = h1_reader_feed(r, str_make(data.ptr, *len), len);
        if (reason != REASON_NONE)
            return reason;
    }
    (void)h1_reader_keep(r, read, *len);
    h1_rules_trailers(read);
    *trailers = read;
    return REASON_NONE;
}
