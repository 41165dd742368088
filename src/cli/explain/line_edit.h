/* Lines from a person: editing, history and completion on a terminal; plain lines from a pipe. */
#pragma once

#include "base/base.h"

/* The n-th word that `text` may be the beginning of, or NULL. Borrowed. */
typedef const char *line_complete(void *arg, const char *text, size_t n);

struct line_edit;

/* `history`: a file, or NULL. */
struct line_edit *line_edit_new(const char *prompt, const char *history, line_complete *complete,
                                void *arg);
void line_edit_free(struct line_edit *edit);

/* The next line, NUL-ended, without its line end, in malloc'ed memory; NULL at the end. */
char *line_edit_read(struct line_edit *edit);
