/* Why a set-up step failed: one line for a person, with the place in the file it came from. The
 * function that has the words fills it, once; everyone above passes it up. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { ERR_TEXT_MAX = 512 };

struct err {
    char file[256]; /* "" when no file is concerned */
    int line;       /* 1-based, 0 when unknown */
    int column;     /* 1-based, 0 when unknown */
    int errnum;     /* errno of the system call that failed, or 0 */
    char text[ERR_TEXT_MAX];
};

/* Fills `err` with the formatted line; always -1, so that it fits on a return. */
int err_set(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* The same, ending in ": " and strerror(errno), which it remembers. */
int err_set_errno(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* "file:line:column: text", as much of it as is known, into `out`; `out` for convenience. */
const char *err_line(const struct err *err, char *out, size_t size);
