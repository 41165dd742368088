/* Writing HTTP/1 heads. The size is added up first, then everything is copied into one piece of the
 * output queue. Framing fields come from `struct h1_frame` alone; whatever a peer sent of them is
 * skipped, so that what leaves has exactly one meaning. */
#include "http/h1_impl.h"
#include "http/name_case.h"

/* Fields the codec writes itself, or not at all. */
static bool is_ours(const struct field *field)
{
    switch (field->id) {
    case HEADER_HOST:
    case HEADER_CONNECTION:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_UPGRADE:
    case HEADER_EXPECT:
    case HEADER_HTTP2_SETTINGS:
    case HEADER_TE:
        return true;
    default:
        return field->removed;
    }
}

static char *put(char *at, struct str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *put_value(char *at, struct str value)
{
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* A field of the codec: `name` is written in proper case. */
static char *put_own(char *at, struct str name, struct str value, enum name_case names)
{
    at = names == NAME_CASE_LOWER ? name_put_lower(at, name) : put(at, name);
    return put_value(at, value);
}

static char *put_uniform_name(char *at, const struct field *field, enum name_case names)
{
    bool is_lower = names == NAME_CASE_LOWER;

    if (field->id != HEADER_OTHER)
        return put(at, is_lower ? header_name(field->id) : header_proper_name(field->id));
    return is_lower ? name_put_lower(at, field->name) : name_put_proper(at, field->name);
}

static char *put_field(char *at, const struct field *field, enum name_case names)
{
    if (names == NAME_CASE_PRESERVE && !field->is_lower)
        at = put(at, field->name);
    else
        at = put_uniform_name(at, field, names);
    return put_value(at, field->value);
}

enum { FIELD_PUNCTUATION = 4, FRAME_MAX = 192 }; /* ": " CRLF; all that the codec adds */

static size_t fields_size(const struct field *fields, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_ours(&fields[i]))
            size += fields[i].name.len + fields[i].value.len + FIELD_PUNCTUATION;
    }
    return size;
}

static char *put_fields(char *at, const struct field *fields, size_t count, enum name_case names)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_ours(&fields[i]))
            at = put_field(at, &fields[i], names);
    }
    return at;
}

static char *put_content_length(char *at, int64_t length, enum name_case names)
{
    char digits[20];

    return put_own(at, STR("Content-Length"),
                   str_make(digits, u64_to_dec((uint64_t)length, digits)), names);
}

static char *put_frame(char *at, const struct h1_frame *frame, enum name_case names)
{
    if (frame->framing == H1_CHUNKED)
        at = put_own(at, STR("Transfer-Encoding"), STR("chunked"), names);
    else if (frame->framing != H1_UNTIL_CLOSE && frame->content_length >= 0)
        at = put_content_length(at, frame->content_length, names);
    if (frame->expect_continue)
        at = put_own(at, STR("Expect"), STR("100-continue"), names);
    if (frame->upgrade.len > 0)
        at = put_own(at, STR("Upgrade"), frame->upgrade, names);
    if (frame->connection.len > 0)
        at = put_own(at, STR("Connection"), frame->connection, names);
    return put(at, STR("\r\n"));
}

/* Room for `size` bytes: in the queue, or for the rare huge head in the message's arena. */
static char *begin(struct bufq *out, struct arena *arena, size_t size)
{
    return size <= BUF_SIZE ? bufq_reserve(out, size) : arena_alloc_aligned(arena, size, 1);
}

static void commit(struct bufq *out, const char *from, const char *end, size_t size)
{
    size_t len = (size_t)(end - from);

    ASSERT(len <= size);
    if (size <= BUF_SIZE)
        bufq_commit(out, len);
    else
        bufq_copy(out, from, len);
}

void h1_write_request(struct bufq *out, const struct head *head, const struct h1_frame *frame)
{
    size_t size = head->method_text.len + head->path.len + head->authority.len +
                  frame->upgrade.len + fields_size(head->fields, head->field_count) + FRAME_MAX;
    char *from = begin(out, head->arena, size), *at = from;

    at = put(at, head->method_text);
    *at++ = ' ';
    at = put(at, head->path);
    at = put(at, STR(" HTTP/1.1\r\n"));
    at = put_own(at, STR("Host"), head->authority, head->names);
    at = put_fields(at, head->fields, head->field_count, head->names);
    at = put_frame(at, frame, head->names);
    commit(out, from, at, size);
}

void h1_write_response(struct bufq *out, const struct head *head, const struct h1_frame *frame)
{
    size_t size = head->phrase.len + frame->upgrade.len +
                  fields_size(head->fields, head->field_count) + FRAME_MAX;
    char *from = begin(out, head->arena, size), *at = from;
    struct str phrase = head->phrase.len > 0 ? head->phrase : status_phrase(head->status);

    if (head->phrase.len == 0)
        ASSERT(phrase.len < 64);
    at = put(at, STR("HTTP/1.1 "));
    at += u64_to_dec((uint64_t)head->status, at);
    *at++ = ' ';
    at = put(at, phrase);
    at = put(at, STR("\r\n"));
    at = put_fields(at, head->fields, head->field_count, head->names);
    at = put_frame(at, frame, head->names);
    commit(out, from, at, size);
}

static char *put_hex(char *at, uint64_t value)
{
    static const char digits[] = "0123456789abcdef";
    int shift = value > 0 ? (63 - __builtin_clzll(value)) & ~3 : 0;

    for (; shift >= 0; shift -= 4)
        *at++ = digits[value >> shift & 15];
    return at;
}

static size_t hex_digits(uint64_t value)
{
    return value > 0 ? (67 - (size_t)__builtin_clzll(value)) / 4 : 1;
}

static uint64_t written_size(const char *at)
{
    uint64_t value = 0;

    for (; *at != '\r'; at++)
        value = value << 4 | (uint64_t)hex_value(*at);
    return value;
}

enum { SIZE_DIGITS_MAX = 8, SIZE_END_LEN = 2 };

static void chunk_begin(struct bufq *out, size_t len)
{
    size_t digits = hex_digits(len);
    char *at = bufq_open(out, SIZE_DIGITS_MAX - digits, digits + SIZE_END_LEN);

    put(put_hex(at, len), STR("\r\n"));
}

/* The open chunk becomes larger by `len` bytes, and is open at its end again. */
static void chunk_extend(struct bufq *out, char *head, size_t len)
{
    uint64_t size = written_size(head);

    bufq_cut(out, 2); /* the CRLF behind its bytes */
    for (size_t have = hex_digits(size), want = hex_digits(size + len); have < want; have++)
        head = bufq_open_grow(out);
    put_hex(head, size + len);
}

void h1_write_chunk(struct bufq *out, struct slice data)
{
    char *head = bufq_opened(out);

    ASSERT(data.len > 0 && data.len < UINT32_MAX / 2 && out->bytes < UINT32_MAX / 2);
    if (head != NULL)
        chunk_extend(out, head, data.len);
    else
        chunk_begin(out, data.len);
    bufq_add(out, data);
    bufq_copy(out, "\r\n", 2);
}

/* A name that fits into no buffer stays as it is spelled. */
static void write_name(struct bufq *out, const struct field *field, enum name_case names)
{
    bool is_spelled = names == NAME_CASE_PRESERVE && !field->is_lower;

    if (is_spelled || field->name.len > BUF_SIZE) {
        bufq_copy(out, field->name.ptr, field->name.len);
        return;
    }
    char *from = bufq_reserve(out, field->name.len);
    bufq_commit(out, (size_t)(put_uniform_name(from, field, names) - from));
}

void h1_write_last_chunk(struct bufq *out, const struct field *trailers, size_t count,
                         enum name_case names)
{
    bufq_seal(out);
    bufq_copy(out, "0\r\n", 3);
    for (size_t i = 0; i < count; i++) {
        if (is_ours(&trailers[i]))
            continue;
        write_name(out, &trailers[i], names);
        bufq_copy(out, ": ", 2);
        bufq_copy(out, trailers[i].value.ptr, trailers[i].value.len);
        bufq_copy(out, "\r\n", 2);
    }
    bufq_copy(out, "\r\n", 2);
}
