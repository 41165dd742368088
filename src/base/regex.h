/* Regular expressions (PCRE2), where a person needs one: compiled when a configuration is, matched
 * against the whole of a text, within limits that no text can exceed. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct regex;

/* NULL with the complaint of PCRE2 in `err`. Any thread may match with it, several at the same
 * time, and any thread may free it. */
MUST_USE struct regex *regex_new(struct str pattern, struct err *err);
void regex_free(struct regex *regex);

enum regex_result {
    REGEX_NO,
    REGEX_YES,   /* the whole text is what the pattern says */
    REGEX_LIMIT, /* it took too long to tell */
};

/* Allocates nothing where PCRE2 has a just-in-time compiler for this processor. */
enum regex_result regex_match(const struct regex *regex, struct str text);

/* Whether some text that begins with `beginning` may match a pattern, which compiles. */
bool regex_may_begin(struct str pattern, struct str beginning);
