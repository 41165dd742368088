/* A strict scanner of one JSON text at a time, for commands that read millions of log lines and
 * questions. It walks over the caller's bytes, decodes strings in place, allocates nothing and lets
 * bytes that are not UTF-8 pass, as header values have them. base/json.h, which builds documents in
 * memory, does none of these. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { SCAN_DEPTH_MAX = 32 };

enum scan_kind {
    SCAN_END, /* nothing more, or something that cannot begin a value */
    SCAN_STRING,
    SCAN_NUMBER,
    SCAN_OBJECT,
    SCAN_LIST,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL
};

struct scan {
    char *at;          /* borrows; strings are decoded in place */
    char *end;         /* what stands there is looked at and must not be part of the text */
    const char *error; /* the first one; NULL */
    bool is_first;     /* no member of the innermost object or list has been read */
};

void scan_init(struct scan *scan, char *text, size_t len);

/* What comes next. */
enum scan_kind scan_peek(struct scan *scan);

/* False with an error when the next value is not of the kind. */
bool scan_string(struct scan *scan, struct str *value);
bool scan_bool(struct scan *scan, bool *value);
bool scan_null(struct scan *scan);

/* The text of a number. */
bool scan_number(struct scan *scan, struct str *value);

/* Any value, which must be well formed. */
bool scan_skip(struct scan *scan);

/* Objects: enter, then a key as long as there is one, each followed by reading its value. */
bool scan_enter(struct scan *scan, enum scan_kind kind);
bool scan_next_key(struct scan *scan, struct str *key);
bool scan_next_item(struct scan *scan);

/* Nothing but blanks may follow. */
bool scan_ended(struct scan *scan);
