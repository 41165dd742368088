/* weir route --stdin: questions as lines of JSON, answers as lines of JSON. */
#pragma once

#include "cli/question.h"

/* Until the end of `fd_in`; the exit status. `trust` is what a line that does not say gets. */
int route_stdin(struct judge *judge, enum trust trust, int fd_in, int fd_out);

/* One line of JSON, changed in place, into `question`. NULL, or what is wrong with it. */
const char *question_read_json(struct question *question, char *line, size_t len);
