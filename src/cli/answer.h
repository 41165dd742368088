/* A decision as one line of JSON. */
#pragma once

#include "cli/question.h"
#include "observe/metrics.h"

/* Every name that an answer can contain, quoted once. */
struct answer_names;
struct answer_names *answer_names_new(const struct judge *judge);
void answer_names_free(struct answer_names *names);

/* Appends the line, with its line end. */
void answer_json(const struct answer_names *names, const struct decision *decision,
                 struct text *out);

/* {"error": …} */
void answer_error(struct text *out, const char *error);
