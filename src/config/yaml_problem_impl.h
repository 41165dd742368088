/* What a syntax error of libyaml means, and where its cause stands. */
#pragma once

#include "base/str.h"

#include <yaml.h>

struct yaml_problem {
    int line, column; /* 1-based */
    char what[256];
};

/* `parser` has just failed on `text`. */
struct yaml_problem yaml_problem_find(struct str text, const yaml_parser_t *parser);
