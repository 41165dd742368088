/* JSON documents in memory: pages and messages that are built or read as a whole. This is the
 * only door to jansson. What is written or read for each request has fast paths of its own: the
 * access log line (observe/access_json.c), and the reader of log lines and questions in cli/. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* A value. Objects and lists own what was put into them, and keep its order. */
struct doc;

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_INT, DOC_REAL, DOC_TEXT, DOC_LIST, DOC_OBJECT };

enum {
    DOC_DEPTH_MAX = 32,          /* objects and lists inside each other, when reading */
    DOC_BYTES_MAX = 1024 * 1024, /* of a text that is read */
};

/* --- building: texts are copied; bytes that are not UTF-8 become U+FFFD ---------------------- */

struct doc *doc_object(void);
struct doc *doc_list(void);
struct doc *doc_null(void);
struct doc *doc_bool(bool value);
struct doc *doc_int(int64_t value);
struct doc *doc_real(double value);
struct doc *doc_text(struct str text);
void doc_free(struct doc **doc);

/* Puts `value`, which the object owns from now on, under `key`; it replaces a value of the same
 * key. */
void doc_set(struct doc *object, struct str key, struct doc *value);

/* Appends `value`, which the list owns from now on. */
void doc_add(struct doc *list, struct doc *value);

/* --- writing --------------------------------------------------------------------------------- */

enum doc_layout { DOC_COMPACT, DOC_INDENTED };

/* Calls `write` with one piece of the text after the other. Real numbers have six digits. */
void doc_write(const struct doc *doc, enum doc_layout layout,
               void (*write)(void *arg, struct str piece), void *arg);

/* --- reading --------------------------------------------------------------------------------- */

/* The document in `text` (RFC 8259). NULL with line and column in `err` when it is none, when an
 * object has the same key twice, or when it exceeds a limit. */
MUST_USE struct doc *doc_parse(struct str text, struct err *err);

enum doc_kind doc_kind(const struct doc *doc);

/* The member of an object, or the item of a list; NULL when `doc` is something else or has none. */
const struct doc *doc_get(const struct doc *object, struct str key);
const struct doc *doc_item(const struct doc *list, size_t index);
size_t doc_count(const struct doc *doc); /* members or items; 0 for a scalar */

/* The value of a scalar; empty, 0 or false when `doc` is NULL or of another kind. A text borrows
 * from the document. */
struct str doc_as_text(const struct doc *doc);
int64_t doc_as_int(const struct doc *doc);
double doc_as_real(const struct doc *doc); /* of a whole number, too */
bool doc_as_bool(const struct doc *doc);
