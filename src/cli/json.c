/* RFC 8259, nothing added: no comments, no trailing commas, no lone surrogates. Bytes above 0x7f in
 * strings pass unchanged: what becomes a header value is bytes. */
#include "cli/json.h"

#include <endian.h>

void json_init(struct json *json, char *text, size_t len)
{
    *json = (struct json){.at = text, .end = text + len};
}

static bool fail(struct json *json, const char *error)
{
    if (json->error == NULL)
        json->error = error;
    return false;
}

static char look(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
    return json->at < json->end ? *json->at : '\0';
}

enum json_kind json_peek(struct json *json)
{
    char c = look(json);

    switch (c) {
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_LIST;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return c == '-' || ascii_is_digit(c) ? JSON_NUMBER : JSON_END;
    }
}

/* --- strings --------------------------------------------------------------------------------- */

/* Eight bytes at a time: the high bit of each byte that ends a plain run (quote, backslash or
 * control); exact for the lowest such byte, which is the one that counts. */
static uint64_t specials(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');

    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
            ((word - ones * 0x20) & ~word)) &
           highs;
}

/* The first byte at or behind `at` that is not a plain character of a string. */
static char *plain_end(char *at, const char *end)
{
    uint64_t word;

    for (; end - at >= 8; at += 8) {
        memcpy(&word, at, 8);
        uint64_t found = specials(le64toh(word));
        if (found != 0)
            return at + __builtin_ctzll(found) / 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static int hex4(struct json *json, uint32_t *value)
{
    *value = 0;
    if (json->end - json->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(*json->at++);
        if (digit < 0)
            return -1;
        *value = *value << 4 | (uint32_t)digit;
    }
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12);
        } else {
            *out++ = (char)(0xf0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* Behind "\u"; never longer decoded than it was written. */
static char *unescape_unicode(struct json *json, char *out)
{
    uint32_t c, low;

    if (hex4(json, &c) < 0 || (c >= 0xdc00 && c <= 0xdfff))
        return NULL;
    if (c < 0xd800 || c > 0xdbff)
        return put_utf8(out, c);
    if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
        return NULL;
    json->at += 2;
    if (hex4(json, &low) < 0 || low < 0xdc00 || low > 0xdfff)
        return NULL;
    return put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
}

/* Behind the backslash; the end of what was written, or NULL. */
static char *unescape(struct json *json, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (json->at == json->end)
        return NULL;
    char c = *json->at++;
    if (c == 'u')
        return unescape_unicode(json, out);
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found == NULL)
        return NULL;
    *out = to[found - from];
    return out + 1;
}

bool json_string(struct json *json, struct str *value)
{
    if (look(json) != '"')
        return fail(json, "expected a string");
    char *start = ++json->at, *out = start;
    while (true) {
        char *end = plain_end(json->at, json->end);
        size_t len = (size_t)(end - json->at);
        if (out != json->at)
            memmove(out, json->at, len);
        out += len;
        json->at = end;
        if (end == json->end || (*end != '"' && *end != '\\'))
            return fail(json, end == json->end ? "a string does not end"
                                               : "a control character in a string");
        json->at++;
        if (*end == '"')
            break;
        out = unescape(json, out);
        if (out == NULL)
            return fail(json, "a bad escape in a string");
    }
    *value = str_make(start, (size_t)(out - start));
    return true;
}

/* --- other scalars --------------------------------------------------------------------------- */

static bool word(struct json *json, struct str text)
{
    look(json);
    if (!str_starts(str_make(json->at, (size_t)(json->end - json->at)), text))
        return fail(json, "expected a value");
    json->at += text.len;
    return true;
}

bool json_bool(struct json *json, bool *value)
{
    *value = json_peek(json) == JSON_TRUE;
    return word(json, *value ? STR("true") : STR("false")) || fail(json, "expected true or false");
}

bool json_null(struct json *json)
{
    return word(json, STR("null"));
}

static bool digits(struct json *json)
{
    char *start = json->at;

    while (json->at < json->end && ascii_is_digit(*json->at))
        json->at++;
    return json->at > start;
}

static bool accept(struct json *json, const char *any)
{
    if (json->at == json->end || *json->at == '\0' || strchr(any, *json->at) == NULL)
        return false;
    json->at++;
    return true;
}

bool json_number(struct json *json, struct str *value)
{
    look(json);
    char *start = json->at;
    accept(json, "-");
    if (!accept(json, "0") && !digits(json))
        return fail(json, "expected a number");
    if (accept(json, ".") && !digits(json))
        return fail(json, "a number does not end");
    if (accept(json, "eE")) {
        accept(json, "+-");
        if (!digits(json))
            return fail(json, "a number does not end");
    }
    *value = str_make(start, (size_t)(json->at - start));
    return true;
}

/* --- collections ----------------------------------------------------------------------------- */

bool json_enter(struct json *json, enum json_kind kind)
{
    if (json_peek(json) != kind)
        return fail(json, kind == JSON_OBJECT ? "expected an object" : "expected a list");
    json->at++;
    json->is_first = true;
    return true;
}

/* The comma between members; false at the closing bracket or after an error. */
static bool next_member(struct json *json, char close)
{
    char c = look(json);
    bool is_first = json->is_first;

    json->is_first = false;
    if (json->error != NULL)
        return false;
    if (c == close) {
        json->at++;
        return false;
    }
    if (is_first)
        return true;
    if (c != ',')
        return fail(json, "expected a comma");
    json->at++;
    return true;
}

bool json_next_key(struct json *json, struct str *key)
{
    if (!next_member(json, '}') || !json_string(json, key))
        return false;
    if (look(json) != ':')
        return fail(json, "expected a colon");
    json->at++;
    return true;
}

bool json_next_item(struct json *json)
{
    return next_member(json, ']');
}

static bool skip_value(struct json *json, unsigned depth)
{
    struct str text;
    bool flag;

    if (depth == 0)
        return fail(json, "nested too deeply");
    switch (json_peek(json)) {
    case JSON_STRING:
        return json_string(json, &text);
    case JSON_NUMBER:
        return json_number(json, &text);
    case JSON_TRUE:
    case JSON_FALSE:
        return json_bool(json, &flag);
    case JSON_NULL:
        return json_null(json);
    case JSON_OBJECT:
        json_enter(json, JSON_OBJECT);
        while (json_next_key(json, &text)) {
            if (!skip_value(json, depth - 1))
                return false;
        }
        return json->error == NULL;
    case JSON_LIST:
        json_enter(json, JSON_LIST);
        while (json_next_item(json)) {
            if (!skip_value(json, depth - 1))
                return false;
        }
        return json->error == NULL;
    case JSON_END:
        return fail(json, "expected a value");
    }
    UNREACHABLE("skip_value");
}

bool json_skip(struct json *json)
{
    return skip_value(json, JSON_DEPTH_MAX);
}

bool json_ended(struct json *json)
{
    look(json);
    return json->at == json->end || fail(json, "something follows the value");
}
