/* See lua_lex.h, and section 3.1 of the Lua manual. */
#include "cli/import/lua_lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void lua_lexer_init(struct lua_lexer *lexer, struct arena *arena, const char *path, struct str text)
{
    *lexer = (struct lua_lexer){
        .arena = arena,
        .path = path,
        .rest = text,
        .line_start = text.ptr,
        .line = 1,
        .is_line_empty = true,
        .comment = {"", 0},
    };
}

/* --- places ---------------------------------------------------------------------------------- */

/* In characters, as in the other readers. */
static int column_of(const struct lua_token *token)
{
    int column = 1;

    for (const char *p = token->line_start; p < token->raw.ptr; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    return column;
}

static struct lua_token token_here(const struct lua_lexer *lexer)
{
    return (struct lua_token){
        .kind = LUA_END,
        .raw = {lexer->rest.ptr, 0},
        .line = lexer->line,
        .line_start = lexer->line_start,
    };
}

int lua_error_at(const struct lua_lexer *lexer, const struct lua_token *token, struct err *err,
                 const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    err_set(err, "%s", text);
    snprintf(err->file, sizeof(err->file), "%s", lexer->path);
    err->line = token->line;
    err->column = column_of(token);
    return -1;
}

/* --- characters ------------------------------------------------------------------------------ */

static char at(const struct lua_lexer *lexer, size_t index)
{
    return index < lexer->rest.len ? lexer->rest.ptr[index] : '\0';
}

static bool is_end_of_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Past a line end, which is LF, CR, or both in any order. */
static void skip_line_end(struct lua_lexer *lexer)
{
    bool is_pair = is_end_of_line(at(lexer, 1)) && at(lexer, 0) != at(lexer, 1);

    lexer->rest = str_skip(lexer->rest, is_pair ? 2 : 1);
    lexer->line_start = lexer->rest.ptr;
    lexer->line++;
    lexer->is_line_empty = true;
}

static void skip(struct lua_lexer *lexer, size_t count)
{
    lexer->rest = str_skip(lexer->rest, MIN(count, lexer->rest.len));
}

static bool is_name_char(char c)
{
    char lower = ascii_lower(c);

    return ascii_is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '_';
}

/* --- long brackets --------------------------------------------------------------------------- */

/* Of "[", any number of "=" and "[" the number of "="; -1 when there is no such bracket here. */
static int bracket_level(const struct lua_lexer *lexer)
{
    size_t level = 0;

    if (at(lexer, 0) != '[')
        return -1;
    while (at(lexer, 1 + level) == '=')
        level++;
    return at(lexer, 1 + level) == '[' ? (int)level : -1;
}

static bool closes(const struct lua_lexer *lexer, size_t level)
{
    size_t count = 0;

    if (at(lexer, 0) != ']')
        return false;
    while (at(lexer, 1 + count) == '=')
        count++;
    return count == level && at(lexer, 1 + count) == ']';
}

/* A long bracket into `*inside`, raw; false when it is not closed. */
static bool take_long(struct lua_lexer *lexer, size_t level, struct str *inside)
{
    bool was_empty = lexer->is_line_empty;

    skip(lexer, level + 2);
    if (is_end_of_line(at(lexer, 0)))
        skip_line_end(lexer); /* the first one is not part of it */
    inside->ptr = lexer->rest.ptr;
    while (!closes(lexer, level)) {
        if (lexer->rest.len == 0)
            return false;
        if (is_end_of_line(at(lexer, 0)))
            skip_line_end(lexer);
        else
            skip(lexer, 1);
    }
    inside->len = (size_t)(lexer->rest.ptr - inside->ptr);
    skip(lexer, level + 2);
    lexer->is_line_empty = was_empty && lexer->is_line_empty;
    return true;
}

/* --- comments -------------------------------------------------------------------------------- */

static int skip_comment(struct lua_lexer *lexer, struct err *err)
{
    struct lua_token start = token_here(lexer);
    struct str text;
    size_t len = 0;

    skip(lexer, 2);
    int level = bracket_level(lexer);
    if (level >= 0) {
        if (!take_long(lexer, (size_t)level, &text))
            return lua_error_at(lexer, &start, err, "the long comment that begins here has no end");
        return 0;
    }
    while (len < lexer->rest.len && !is_end_of_line(lexer->rest.ptr[len]))
        len++;
    text = str_trim(str_make(lexer->rest.ptr, len));
    skip(lexer, len);
    if (lexer->is_line_empty && text.len > 0)
        lexer->comment = text;
    return 0;
}

/* Past white space and comments. */
static int skip_space(struct lua_lexer *lexer, struct err *err)
{
    while (lexer->rest.len > 0) {
        char c = at(lexer, 0);
        if (is_end_of_line(c))
            skip_line_end(lexer);
        else if (c == ' ' || c == '\t' || c == '\f' || c == '\v')
            skip(lexer, 1);
        else if (c != '-' || at(lexer, 1) != '-')
            return 0;
        else if (skip_comment(lexer, err) < 0)
            return -1;
    }
    return 0;
}

/* --- strings --------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> len) | code);
    return len;
}

/* "\ddd": up to three decimal digits. */
static bool take_decimal(struct lua_lexer *lexer, char *out)
{
    unsigned value = 0;

    for (int i = 0; i < 3 && ascii_is_digit(at(lexer, 0)); i++) {
        value = value * 10 + (unsigned)(at(lexer, 0) - '0');
        skip(lexer, 1);
    }
    *out = (char)value;
    return value <= 255;
}

/* "\xXX", behind the "x". */
static bool take_hex(struct lua_lexer *lexer, char *out)
{
    int high = hex_value(at(lexer, 0)), low = hex_value(at(lexer, 1));

    skip(lexer, 2);
    *out = (char)(high * 16 + low);
    return high >= 0 && low >= 0;
}

/* "\u{XXX}", behind the "u"; how many bytes, 0 when it is none. */
static size_t take_unicode(struct lua_lexer *lexer, char *out)
{
    uint32_t code = 0;
    size_t digits = 0;

    if (at(lexer, 0) != '{')
        return 0;
    skip(lexer, 1);
    for (; hex_value(at(lexer, 0)) >= 0 && code <= 0x10ffff; digits++) {
        code = code * 16 + (uint32_t)hex_value(at(lexer, 0));
        skip(lexer, 1);
    }
    if (digits == 0 || code > 0x10ffff || at(lexer, 0) != '}')
        return 0;
    skip(lexer, 1);
    return put_utf8(out, code);
}

/* An escape, behind its backslash, into `out`; how many bytes, or -1 when it is none. */
static int take_escape(struct lua_lexer *lexer, char *out)
{
    static const char names[] = "abfnrtv\\\"'", values[] = "\a\b\f\n\r\t\v\\\"'";
    char c = at(lexer, 0);
    const char *name = c != '\0' ? strchr(names, c) : NULL;

    if (ascii_is_digit(c))
        return take_decimal(lexer, out) ? 1 : -1;
    if (is_end_of_line(c)) {
        skip_line_end(lexer);
        *out = '\n';
        return 1;
    }
    skip(lexer, 1);
    if (name != NULL) {
        *out = values[name - names];
        return 1;
    }
    if (c == 'x')
        return take_hex(lexer, out) ? 1 : -1;
    if (c == 'u') {
        size_t len = take_unicode(lexer, out);
        return len > 0 ? (int)len : -1;
    }
    if (c != 'z')
        return -1;
    while (at(lexer, 0) != '\0' && strchr(" \t\f\v\r\n", at(lexer, 0)) != NULL) {
        if (is_end_of_line(at(lexer, 0)))
            skip_line_end(lexer);
        else
            skip(lexer, 1);
    }
    return 0;
}

/* At most so many bytes has the string that begins here: what an escape means is never longer than
 * itself. */
static size_t short_string_bound(const struct lua_lexer *lexer)
{
    size_t len = 1;

    while (len < lexer->rest.len && at(lexer, len) != at(lexer, 0))
        len += at(lexer, len) == '\\' ? 2 : 1;
    return len;
}

static int take_short_string(struct lua_lexer *lexer, struct lua_token *token, struct err *err)
{
    char quote = at(lexer, 0);
    char *out = arena_alloc_aligned(lexer->arena, short_string_bound(lexer), 1);
    size_t len = 0;

    skip(lexer, 1);
    while (at(lexer, 0) != quote) {
        if (lexer->rest.len == 0 || is_end_of_line(at(lexer, 0)))
            return lua_error_at(lexer, token, err, "the string that begins here has no end");
        if (at(lexer, 0) != '\\') {
            out[len++] = at(lexer, 0);
            skip(lexer, 1);
            continue;
        }
        skip(lexer, 1);
        int got = take_escape(lexer, out + len);
        if (got < 0)
            return lua_error_at(lexer, token, err, "the string that begins here has a bad escape");
        len += (size_t)got;
    }
    skip(lexer, 1);
    token->text = str_make(out, len);
    return 0;
}

static int take_long_string(struct lua_lexer *lexer, size_t level, struct lua_token *token,
                            struct err *err)
{
    if (!take_long(lexer, level, &token->text))
        return lua_error_at(lexer, token, err, "the long string that begins here has no end");
    return 0;
}

/* --- numbers --------------------------------------------------------------------------------- */

/* 3, 0.04, .5, 5e-2, 0x10, 0x.8p1. What looks like a number and is none is an error, as in Lua. */
static int take_number(struct lua_lexer *lexer, struct lua_token *token, struct err *err)
{
    bool is_hex = at(lexer, 0) == '0' && ascii_lower(at(lexer, 1)) == 'x';
    char copy[64], *end;
    size_t len = 0;

    while (is_name_char(at(lexer, len)) || at(lexer, len) == '.' ||
           (len > 0 && (at(lexer, len) == '+' || at(lexer, len) == '-') &&
            ascii_lower(at(lexer, len - 1)) == (is_hex ? 'p' : 'e')))
        len++;
    snprintf(copy, sizeof(copy), "%.*s", (int)len, lexer->rest.ptr);
    token->number = strtod(copy, &end);
    skip(lexer, len);
    if (*end != '\0' || end == copy || len >= sizeof(copy))
        return lua_error_at(lexer, token, err, "malformed number: \"%s\"", copy);
    return 0;
}

/* --- words ----------------------------------------------------------------------------------- */

static int take_word(struct lua_lexer *lexer, struct lua_token *token, struct err *err)
{
    int level = bracket_level(lexer);
    char c = at(lexer, 0);

    if (level >= 0 || c == '"' || c == '\'') {
        token->kind = LUA_STRING;
        return level >= 0 ? take_long_string(lexer, (size_t)level, token, err)
                          : take_short_string(lexer, token, err);
    }
    if (ascii_is_digit(c) || (c == '.' && ascii_is_digit(at(lexer, 1)))) {
        token->kind = LUA_NUMBER;
        return take_number(lexer, token, err);
    }
    token->kind = is_name_char(c) ? LUA_NAME : LUA_SYMBOL;
    do {
        skip(lexer, 1);
    } while (token->kind == LUA_NAME && is_name_char(at(lexer, 0)));
    return 0;
}

int lua_next(struct lua_lexer *lexer, struct lua_token *token, struct err *err)
{
    if (skip_space(lexer, err) < 0)
        return -1;
    *token = token_here(lexer);
    if (lexer->rest.len == 0)
        return 0;
    lexer->is_line_empty = false;
    int result = take_word(lexer, token, err);
    token->raw.len = (size_t)(lexer->rest.ptr - token->raw.ptr);
    lexer->is_line_empty = false;
    return result;
}
