/* Chunked bodies. Every byte of a size line must match the grammar (RFC 9112 section 7.1), because
 * lenient size lines allow request smuggling; otherwise the body is bad. The payload is not checked
 * byte by byte. */
#include "h1_oracle.h"

#include "http/chars_impl.h"

enum {
    MAX_DIGITS = 16,    /* of a chunk size, leading zeros included */
    MAX_SIZE_BITS = 60, /* 2^60 bytes are enough, and nothing overflows */
};

/* What the next byte must be. */
enum state {
    SIZE = 0,        /* a hexadecimal digit; after one: a blank, ";" or CR too */
    EXT_SEMICOLON,   /* blanks, then ";" */
    EXT_NAME_FIRST,  /* blanks, then the first byte of an extension's name */
    EXT_NAME,        /* more of it, a blank, "=", ";" or CR */
    EXT_EQUALS,      /* blanks, then "=" or ";" */
    EXT_VALUE_FIRST, /* blanks, then a token or a quoted string */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int after_extension_part(char c)
{
    if (is_blank(c))
        return EXT_SEMICOLON;
    if (c == ';')
        return EXT_NAME_FIRST;
    return c == '\r' ? SIZE_LF : -1;
}

static int on_size(struct oracle_chunks *chunks, char c)
{
    int digit = hex_value(c);

    if (digit >= 0) {
        if (chunks->digits == MAX_DIGITS || chunks->left >> (MAX_SIZE_BITS - 4) != 0)
            return -1;
        chunks->left = chunks->left << 4 | (unsigned)digit;
        chunks->digits++;
        return SIZE;
    }
    return chunks->digits > 0 ? after_extension_part(c) : -1;
}

/* Blanks that end the line are taken in responses only. */
static int after_blanks(const struct oracle_chunks *chunks, char c, int same)
{
    if (is_blank(c))
        return same;
    if (c == ';')
        return EXT_NAME_FIRST;
    return c == '\r' && chunks->is_response ? SIZE_LF : -1;
}

static int on_quoted(char c)
{
    if (c == '"')
        return EXT_AFTER_QUOTED;
    if (c == '\\')
        return EXT_ESCAPED;
    return char_is(c, CHAR_VALUE) ? EXT_QUOTED : -1;
}

/* The state after byte `c` of a size line, or -1. */
static int step(struct oracle_chunks *chunks, char c)
{
    switch ((enum state)chunks->state) {
    case SIZE:
        return on_size(chunks, c);
    case EXT_SEMICOLON:
        return after_blanks(chunks, c, EXT_SEMICOLON);
    case EXT_NAME_FIRST:
        if (is_blank(c))
            return EXT_NAME_FIRST;
        return char_is(c, CHAR_TOKEN) ? EXT_NAME : -1;
    case EXT_NAME:
        if (c == '=')
            return EXT_VALUE_FIRST;
        if (is_blank(c))
            return EXT_EQUALS;
        return char_is(c, CHAR_TOKEN) ? EXT_NAME : after_extension_part(c);
    case EXT_EQUALS:
        return c == '=' ? EXT_VALUE_FIRST : after_blanks(chunks, c, EXT_EQUALS);
    case EXT_VALUE_FIRST:
        if (is_blank(c))
            return EXT_VALUE_FIRST;
        if (c == '"')
            return EXT_QUOTED;
        return char_is(c, CHAR_TOKEN) ? EXT_TOKEN : -1;
    case EXT_TOKEN:
        return char_is(c, CHAR_TOKEN) ? EXT_TOKEN : after_extension_part(c);
    case EXT_QUOTED:
        return on_quoted(c);
    case EXT_ESCAPED:
        return char_is(c, CHAR_VALUE) ? EXT_QUOTED : -1;
    case EXT_AFTER_QUOTED:
        return after_extension_part(c);
    case SIZE_LF:
        return c == '\n' ? DATA : -1;
    case DATA_CR:
        return c == '\r' ? DATA_LF : -1;
    case DATA_LF:
        return c == '\n' ? SIZE : -1;
    case DATA:
        break;
    }
    UNREACHABLE("payload is not stepped through");
}

static bool is_extension(int state)
{
    return state >= EXT_SEMICOLON && state <= EXT_AFTER_QUOTED;
}

static enum h1_chunk_news take_payload(struct oracle_chunks *chunks, struct str rest, size_t *used,
                                       struct str *payload)
{
    size_t n = rest.len < chunks->left ? rest.len : (size_t)chunks->left;

    *payload = str_make(rest.ptr, n);
    *used += n;
    chunks->left -= n;
    if (chunks->left == 0)
        chunks->state = DATA_CR;
    return H1_CHUNK_DATA;
}

enum h1_chunk_news oracle_chunks_next(struct oracle_chunks *chunks, struct str data, size_t *used,
                                      struct str *payload)
{
    *used = 0;
    while (*used < data.len) {
        if (chunks->state == DATA)
            return take_payload(chunks, str_skip(data, *used), used, payload);

        int next = step(chunks, data.ptr[(*used)++]);
        if (next < 0 || (is_extension(next) && ++chunks->extension > chunks->extension_max))
            return H1_CHUNK_BAD;
        bool size_line_is_over = next == DATA;
        if (next == SIZE && chunks->state == DATA_LF)
            chunks->left = chunks->digits = 0;
        chunks->state = (uint8_t)next;
        if (size_line_is_over && chunks->left == 0)
            return H1_CHUNK_LAST;
    }
    return H1_CHUNK_MORE;
}
