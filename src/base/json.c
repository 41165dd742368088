/* The documents of json.h are jansson's values: `struct doc` is another name for json_t, so that no
 * other file depends on jansson. Limits are checked before jansson reads a text. */
#include "base/json.h"

#include "base/utf8.h"

#include <jansson.h>
#include <stdlib.h>

/* --- names ----------------------------------------------------------------------------------- */

static json_t *json_of(const struct doc *doc)
{
    return (
        json_t *)(uintptr_t)doc; /* jansson takes values that it only reads without const, too */
}

/* jansson answers NULL when memory ran out, and for texts that are not UTF-8, which never come
 * here. */
static struct doc *doc_of(json_t *value)
{
    ASSERT(value != NULL);
    return (struct doc *)value;
}

/* --- texts ----------------------------------------------------------------------------------- */

/* The bytes of the character at the start of `s`; 0 when it is not UTF-8. */
static size_t character(struct str s)
{
    return (unsigned char)s.ptr[0] < 0x80 ? 1 : utf8_sequence(s);
}

static bool is_utf8(struct str s)
{
    while (s.len > 0) {
        size_t len = character(s);
        if (len == 0)
            return false;
        s = str_skip(s, len);
    }
    return true;
}

/* A copy with U+FFFD for each byte that is not UTF-8, in memory for the caller to free. */
static struct str repaired(struct str s)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *out = mem_new(s.len * (sizeof(replacement) - 1) + 1), *at = out;

    while (s.len > 0) {
        size_t len = character(s);
        const char *from = len > 0 ? s.ptr : replacement;
        size_t from_len = len > 0 ? len : sizeof(replacement) - 1;
        memcpy(at, from, from_len);
        at += from_len;
        s = str_skip(s, MAX(len, (size_t)1));
    }
    return str_make(out, (size_t)(at - out));
}

/* --- building -------------------------------------------------------------------------------- */

struct doc *doc_object(void)
{
    return doc_of(json_object());
}

struct doc *doc_list(void)
{
    return doc_of(json_array());
}

struct doc *doc_null(void)
{
    return doc_of(json_null());
}

struct doc *doc_bool(bool value)
{
    return doc_of(json_boolean(value));
}

struct doc *doc_int(int64_t value)
{
    return doc_of(json_integer(value));
}

struct doc *doc_real(double value)
{
    return doc_of(json_real(value));
}

struct doc *doc_text(struct str text)
{
    if (text.len == 0)
        return doc_of(json_stringn("", 0));
    if (is_utf8(text))
        return doc_of(json_stringn(text.ptr, text.len));
    struct str copy = repaired(text);
    struct doc *doc = doc_of(json_stringn(copy.ptr, copy.len));
    free((char *)(uintptr_t)copy.ptr);
    return doc;
}

void doc_free(struct doc **doc)
{
    if (*doc != NULL)
        json_decref(json_of(*doc));
    *doc = NULL;
}

void doc_set(struct doc *object, struct str key, struct doc *value)
{
    struct str copy = repaired(key);
    int rc = json_object_setn_new(json_of(object), copy.ptr, copy.len, json_of(value));

    free((char *)(uintptr_t)copy.ptr);
    ASSERT(rc == 0);
}

void doc_add(struct doc *list, struct doc *value)
{
    int rc = json_array_append_new(json_of(list), json_of(value));

    ASSERT(rc == 0);
}

/* --- writing --------------------------------------------------------------------------------- */

struct pieces {
    void (*write)(void *arg, struct str piece);
    void *arg;
};

static int on_piece(const char *ptr, size_t len, void *arg)
{
    const struct pieces *pieces = arg;

    pieces->write(pieces->arg, str_make(ptr, len));
    return 0;
}

void doc_write(const struct doc *doc, enum doc_layout layout,
               void (*write)(void *arg, struct str piece), void *arg)
{
    struct pieces pieces = {write, arg};
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(6);

    flags |= layout == DOC_INDENTED ? JSON_INDENT(2) : JSON_COMPACT;
    int rc = json_dump_callback(json_of(doc), on_piece, &pieces, flags);
    ASSERT(rc == 0);
}

/* --- reading --------------------------------------------------------------------------------- */

static int fail_at(struct err *err, int line, int column, const char *words)
{
    int rc = err_set(err, "%s", words);

    err->line = line;
    err->column = column;
    return rc;
}

/* jansson's own limit is far higher and cannot be set. Brackets in strings do not count. */
static int check_depth(struct str text, struct err *err)
{
    unsigned depth = 0;
    bool is_string = false;
    int line = 1, column = 1;

    for (size_t i = 0; i < text.len; i++, column++) {
        char c = text.ptr[i];
        if (c == '\n') {
            line++;
            column = 0;
        } else if (is_string && c == '\\') {
            i++;
            column++;
        } else if (c == '"') {
            is_string = !is_string;
        } else if (!is_string && (c == '{' || c == '[')) {
            if (++depth > DOC_DEPTH_MAX)
                return fail_at(err, line, column, "nested too deeply");
        } else if (!is_string && (c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return 0;
}

struct doc *doc_parse(struct str text, struct err *err)
{
    json_error_t error;

    if (text.len > DOC_BYTES_MAX) {
        err_set(err, "larger than %d bytes", DOC_BYTES_MAX);
        return NULL;
    }
    if (check_depth(text, err) < 0)
        return NULL;
    json_t *value = json_loadb(text.len > 0 ? text.ptr : "", text.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        fail_at(err, MAX(error.line, 1), MAX(error.column, 1), error.text);
        return NULL;
    }
    return doc_of(value);
}

enum doc_kind doc_kind(const struct doc *doc)
{
    switch (json_typeof(json_of(doc))) {
    case JSON_OBJECT:
        return DOC_OBJECT;
    case JSON_ARRAY:
        return DOC_LIST;
    case JSON_STRING:
        return DOC_TEXT;
    case JSON_INTEGER:
        return DOC_INT;
    case JSON_REAL:
        return DOC_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return DOC_BOOL;
    case JSON_NULL:
        return DOC_NULL;
    }
    UNREACHABLE("jansson has no other kind");
}

const struct doc *doc_get(const struct doc *object, struct str key)
{
    return (const struct doc *)json_object_getn(json_of(object), key.ptr, key.len);
}

const struct doc *doc_item(const struct doc *list, size_t index)
{
    return (const struct doc *)json_array_get(json_of(list), index);
}

size_t doc_count(const struct doc *doc)
{
    return json_object_size(json_of(doc)) + json_array_size(json_of(doc));
}

struct str doc_as_text(const struct doc *doc)
{
    if (!json_is_string(json_of(doc)))
        return STR("");
    return str_make(json_string_value(json_of(doc)), json_string_length(json_of(doc)));
}

int64_t doc_as_int(const struct doc *doc)
{
    return json_integer_value(json_of(doc));
}

double doc_as_real(const struct doc *doc)
{
    return json_number_value(json_of(doc));
}

bool doc_as_bool(const struct doc *doc)
{
    return json_is_true(json_of(doc));
}
