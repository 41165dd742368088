/* Files of text that people write: every reader (YAML, lists, the table of wikis, cases, tables to
 * import) takes them through here, so that all of them accept and refuse the same bytes and report
 * the same place. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "config/place.h"

enum { TEXT_FILE_BYTES_MAX = 16 << 20 };

/* What is wrong with a text, and where: 1-based, the column in characters. */
struct text_fault {
    int line, column;
    char what[96];
};

/* The bytes of `path` into `*text`, which lives in `arena`. Pipes can be read, too. */
MUST_USE int text_file_read(const char *path, struct arena *arena, struct str *text,
                            struct err *err);

/* Takes a byte order mark off `*text`. -1, with `*fault`, when the rest is not UTF-8 or has a
 * character that YAML does not allow: NUL and other control characters except tab and line ends,
 * line separators of Unicode, a byte order mark in the middle. */
MUST_USE int text_check(struct str *text, struct text_fault *fault);

/* The next line of `*rest` without its end, which is LF, CRLF or CR; false when there is none. */
bool text_line_next(struct str *rest, struct str *line);

/* The items of a list, one in each line: "#" starts a comment, blanks around an item and lines
 * without one are skipped. */
struct text_items {
    struct str rest;
    struct place place; /* of the item that text_items_next gave */
};
bool text_items_next(struct text_items *items, struct str *item);

/* The next word of `*line`, which moves behind it; empty at the end. */
struct str text_word_next(struct str *line);
