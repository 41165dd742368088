/* A strict reader of one JSON text at a time, for programs that are fed millions of small ones: it
 * walks over the caller's bytes, decodes strings where they stand and allocates nothing. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 32 };

enum json_kind {
    JSON_END, /* nothing more, or something that cannot begin a value */
    JSON_STRING,
    JSON_NUMBER,
    JSON_OBJECT,
    JSON_LIST,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

struct json {
    char *at;          /* borrows; strings are decoded in place */
    char *end;         /* what stands there is looked at and must not be part of the text */
    const char *error; /* the first one; NULL */
    bool is_first;     /* no member of the innermost object or list has been read */
};

void json_init(struct json *json, char *text, size_t len);

/* What comes next. */
enum json_kind json_peek(struct json *json);

/* False with an error when the next value is not of the kind. */
bool json_string(struct json *json, struct str *value);
bool json_bool(struct json *json, bool *value);
bool json_null(struct json *json);

/* The text of a number. */
bool json_number(struct json *json, struct str *value);

/* Any value, which must be well formed. */
bool json_skip(struct json *json);

/* Objects: enter, then a key as long as there is one, each followed by reading its value. */
bool json_enter(struct json *json, enum json_kind kind);
bool json_next_key(struct json *json, struct str *key);
bool json_next_item(struct json *json);

/* Nothing but blanks may follow. */
bool json_ended(struct json *json);
