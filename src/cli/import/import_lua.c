/* The Lua table of the original split: `return { ["host"] = 0.04, … }`, or a table that is given a
 * name. It is read and never run. Whatever is not a constant stops the import:
 * an entry must never be left out silently. */
#include "cli/import/import_impl.h"
#include "cli/import/lua_lex.h"

#include <math.h>

enum { DEPTH_MAX = 32 };

struct reader {
    struct import *import;
    struct lua_lexer lexer;
    struct lua_token token; /* the next one */
    unsigned depth;         /* of tables inside the table */
};

static int advance(struct reader *reader, struct err *err)
{
    return lua_next(&reader->lexer, &reader->token, err);
}

static bool is_symbol(const struct reader *reader, char symbol)
{
    return reader->token.kind == LUA_SYMBOL && reader->token.raw.ptr[0] == symbol;
}

static bool is_word(const struct reader *reader, const char *word)
{
    return reader->token.kind == LUA_NAME && str_eq(reader->token.raw, str_of(word));
}

static int fail_here(const struct reader *reader, struct err *err, const char *expected)
{
    if (reader->token.kind == LUA_END)
        return lua_error_at(&reader->lexer, &reader->token, err, "the file ends here; expected %s",
                            expected);
    return lua_error_at(&reader->lexer, &reader->token, err, "cannot read \"%.*s\"; expected %s",
                        STR_FMT(reader->token.raw), expected);
}

static int expect(struct reader *reader, char symbol, struct err *err, const char *expected)
{
    return is_symbol(reader, symbol) ? advance(reader, err) : fail_here(reader, err, expected);
}

/* --- values ---------------------------------------------------------------------------------- */

struct value {
    struct lua_token first;
    struct str raw;  /* as written */
    struct str text; /* of a string */
    enum { VALUE_STRING, VALUE_NUMBER, VALUE_BOOLEAN, VALUE_NIL, VALUE_TABLE } kind;
    double number; /* of a number or boolean; NAN */
};

static int take_value(struct reader *reader, struct value *value, struct err *err);

/* A table inside the table: looked at, and no share. */
static int skip_table(struct reader *reader, struct err *err)
{
    struct value value;

    if (++reader->depth > DEPTH_MAX)
        return fail_here(reader, err, "fewer tables inside each other");
    if (advance(reader, err) < 0)
        return -1;
    while (!is_symbol(reader, '}')) {
        bool has_bracket = is_symbol(reader, '[');
        if (has_bracket && advance(reader, err) < 0)
            return -1;
        bool is_name = !has_bracket && reader->token.kind == LUA_NAME && !is_word(reader, "true") &&
                       !is_word(reader, "false") && !is_word(reader, "nil");
        if (is_name ? advance(reader, err) < 0 : take_value(reader, &value, err) < 0)
            return -1;
        if (has_bracket && expect(reader, ']', err, "\"]\"") < 0)
            return -1;
        if (is_symbol(reader, '=') &&
            (advance(reader, err) < 0 || take_value(reader, &value, err) < 0))
            return -1;
        if (is_symbol(reader, ',') || is_symbol(reader, ';')) {
            if (advance(reader, err) < 0)
                return -1;
        } else if (!is_symbol(reader, '}')) {
            return fail_here(reader, err, "\",\" or \"}\"");
        }
    }
    reader->depth--;
    return advance(reader, err);
}

static int take_negative(struct reader *reader, struct value *value, struct err *err)
{
    if (advance(reader, err) < 0)
        return -1;
    if (reader->token.kind != LUA_NUMBER)
        return fail_here(reader, err, "a number");
    value->kind = VALUE_NUMBER;
    value->number = -reader->token.number;
    return advance(reader, err);
}

/* Everything up to the next token is the value as it is written. */
static int take_value(struct reader *reader, struct value *value, struct err *err)
{
    const struct lua_token *token = &reader->token;
    int result = -1;

    *value = (struct value){.first = *token, .raw = token->raw, .number = NAN};
    if (token->kind == LUA_STRING) {
        value->kind = VALUE_STRING;
        value->text = token->text;
        result = advance(reader, err);
    } else if (token->kind == LUA_NUMBER) {
        value->kind = VALUE_NUMBER;
        value->number = token->number;
        result = advance(reader, err);
    } else if (is_word(reader, "true") || is_word(reader, "false")) {
        value->kind = VALUE_BOOLEAN;
        value->number = is_word(reader, "true");
        result = advance(reader, err);
    } else if (is_word(reader, "nil")) {
        value->kind = VALUE_NIL;
        result = advance(reader, err);
    } else if (is_symbol(reader, '-')) {
        result = take_negative(reader, value, err);
        value->raw = arena_printf(&reader->import->arena, "%g", value->number);
    } else if (is_symbol(reader, '{')) {
        value->kind = VALUE_TABLE;
        value->raw = STR("{…}");
        result = skip_table(reader, err);
    } else {
        return fail_here(reader, err, "a number, text, true, false or nil");
    }
    return result;
}

/* --- the table ------------------------------------------------------------------------------- */

static void doubt_entry(struct reader *reader, const struct value *value, const char *why)
{
    DOUBT(reader->import, "%s:%d: %.*s %s, left out", reader->lexer.path, value->first.line,
          STR_FMT(value->raw), why);
}

static void add_entry(struct reader *reader, const struct value *key, const struct value *value,
                      struct str comment)
{
    if (key->kind != VALUE_STRING) {
        doubt_entry(reader, key, "is a key that is not a text");
        return;
    }
    import_add(reader->import, (struct import_entry){.host = key->text,
                                                     .value = value->raw,
                                                     .number = value->number,
                                                     .comment = comment,
                                                     .path = reader->lexer.path,
                                                     .line = key->first.line});
}

/* `["host"] =` or `name =`, up to the sign; -1, and 0 with a positional value in `*key`. */
static int take_key(struct reader *reader, struct value *key, struct err *err)
{
    if (is_symbol(reader, '[')) {
        if (advance(reader, err) < 0 || take_value(reader, key, err) < 0)
            return -1;
        return expect(reader, ']', err, "\"]\"");
    }
    bool is_name = reader->token.kind == LUA_NAME && !is_word(reader, "true") &&
                   !is_word(reader, "false") && !is_word(reader, "nil");
    if (!is_name)
        return take_value(reader, key, err);
    *key = (struct value){.first = reader->token,
                          .raw = reader->token.raw,
                          .text = reader->token.raw,
                          .kind = VALUE_STRING};
    if (advance(reader, err) < 0)
        return -1;
    return is_symbol(reader, '=') ? 0 : fail_here(reader, err, "\"=\"");
}

static int take_field(struct reader *reader, struct err *err)
{
    struct str comment = reader->lexer.comment;
    struct value key, value;

    if (take_key(reader, &key, err) < 0)
        return -1;
    if (!is_symbol(reader, '=')) {
        doubt_entry(reader, &key, "has no key and was never found");
        return 0;
    }
    if (advance(reader, err) < 0 || take_value(reader, &value, err) < 0)
        return -1;
    add_entry(reader, &key, &value, comment);
    return 0;
}

static int take_table(struct reader *reader, struct err *err)
{
    if (expect(reader, '{', err, "a table: \"{\"") < 0)
        return -1;
    while (!is_symbol(reader, '}')) {
        if (take_field(reader, err) < 0)
            return -1;
        if (is_symbol(reader, '}'))
            break;
        if (!is_symbol(reader, ',') && !is_symbol(reader, ';'))
            return fail_here(reader, err, "\",\" or \"}\" behind an entry");
        if (advance(reader, err) < 0)
            return -1;
    }
    return advance(reader, err);
}

/* --- the file -------------------------------------------------------------------------------- */

/* The name of a variable, `table.field` and `<const>` included. */
static int take_name(struct reader *reader, struct str *name, struct err *err)
{
    *name = reader->token.raw;
    if (reader->token.kind != LUA_NAME)
        return fail_here(reader, err, "\"return\", a name or a table");
    while (true) {
        if (advance(reader, err) < 0)
            return -1;
        if (!is_symbol(reader, '.'))
            break;
        if (advance(reader, err) < 0)
            return -1;
        if (reader->token.kind != LUA_NAME)
            return fail_here(reader, err, "a name");
        name->len = (size_t)(reader->token.raw.ptr + reader->token.raw.len - name->ptr);
    }
    if (!is_symbol(reader, '<'))
        return 0;
    if (advance(reader, err) < 0 || advance(reader, err) < 0)
        return -1;
    return expect(reader, '>', err, "\">\"");
}

/* `return`, and then the table or the name that it was given. */
static int take_return(struct reader *reader, struct str known, struct err *err)
{
    struct str name;

    if (advance(reader, err) < 0)
        return -1;
    if (known.len == 0 || is_symbol(reader, '{'))
        return take_table(reader, err);
    struct lua_token first = reader->token;
    if (take_name(reader, &name, err) < 0)
        return -1;
    if (str_eq(name, known))
        return 0;
    return lua_error_at(&reader->lexer, &first, err, "cannot read \"%.*s\"; expected \"%.*s\"",
                        STR_FMT(name), STR_FMT(known));
}

static int take_assignment(struct reader *reader, struct str *name, struct err *err)
{
    if (is_word(reader, "local") && advance(reader, err) < 0)
        return -1;
    if (take_name(reader, name, err) < 0 || expect(reader, '=', err, "\"=\"") < 0)
        return -1;
    return take_table(reader, err);
}

/* One table: returned, or given to a name, which may be returned. */
static int take_file(struct reader *reader, struct err *err)
{
    struct str name = {"", 0};

    if (is_symbol(reader, '{')) {
        if (take_table(reader, err) < 0)
            return -1;
    } else if (!is_word(reader, "return") && take_assignment(reader, &name, err) < 0) {
        return -1;
    }
    while (is_symbol(reader, ';')) {
        if (advance(reader, err) < 0)
            return -1;
    }
    if (is_word(reader, "return") && take_return(reader, name, err) < 0)
        return -1;
    while (is_symbol(reader, ';')) {
        if (advance(reader, err) < 0)
            return -1;
    }
    return reader->token.kind == LUA_END ? 0 : fail_here(reader, err, "the end of the file");
}

/* "#!/usr/bin/lua" and the like, which Lua skips. */
static struct str skip_first_comment(struct str text)
{
    size_t len = 0;

    if (text.len == 0 || text.ptr[0] != '#')
        return text;
    while (len < text.len && text.ptr[len] != '\n' && text.ptr[len] != '\r')
        len++;
    return str_skip(text, len);
}

int import_lua(struct import *import, const char *path, struct str text, struct err *err)
{
    struct reader reader = {.import = import};

    lua_lexer_init(&reader.lexer, &import->arena, path, skip_first_comment(text));
    return advance(&reader, err) < 0 ? -1 : take_file(&reader, err);
}
