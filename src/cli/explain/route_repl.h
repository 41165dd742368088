/* weir route without a URL: one request per line, one trace each. */
#pragma once

#include "cli/explain/route_trace.h"
#include "cli/question.h"

struct repl_options {
    enum trust trust;
    bool is_json;
    const char *client; /* or NULL */
    enum trace_detail detail;
};

/* Until the end of the input or `quit`; the exit status: 1 when a line from a pipe was not
 * understood. */
int route_repl(struct judge *judge, const struct repl_options *options);

/* Takes a line apart as a shell would (blanks, quotes, backslash); the words replace the line.
 * How many, or -1 when a quote does not end or there are more than `max`. */
int words_split(char *line, char **words, int max);

/* "POST https://… -H 'K: V'" into `question`. NULL, or what is wrong. */
const char *question_read_words(struct question *question, char **words, int count);
