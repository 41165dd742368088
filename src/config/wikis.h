/* The table of wikis, line by line: "enwiki en.wikipedia.org en.m.wikipedia.org". */
#pragma once

#include "base/str.h"

struct wiki_line {
    struct str name, host, mobile; /* as written; mobile "" = none */
};

/* Takes a line apart, which must have no comment; NULL, or what is wrong with `*culprit`, a part of
 * the line, or with the whole of it when that is empty. */
MUST_USE const char *wiki_line_parse(struct str text, struct wiki_line *line, struct str *culprit);
