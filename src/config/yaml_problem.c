/* libyaml reports where it can read no further. When a closing quote is missing that is far from
 * the cause: the text runs on to the next quote, which was meant to open another one, and what
 * stands behind that quote is the error. So the tokens in front of the error are looked at once
 * more: a quoted text that ends in the line of the error and began in an earlier one is to blame,
 * and the error is reported where that text begins. */
#include "config/yaml_problem_impl.h"

#include <stdio.h>

static struct yaml_problem problem_at(const yaml_mark_t *mark)
{
    return (struct yaml_problem){.line = (int)mark->line + 1, .column = (int)mark->column + 1};
}

static bool is_quoted(const yaml_token_t *token)
{
    return token->type == YAML_SCALAR_TOKEN &&
           (token->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
            token->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* The last quoted text of several lines that ends before `error` and in its line; false when there
 * is none. */
static bool find_runaway(struct str text, const yaml_mark_t *error, yaml_mark_t *start,
                         yaml_mark_t *end)
{
    yaml_parser_t parser;
    yaml_token_t token;
    bool is_found = false, is_done = false;

    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (!is_done && yaml_parser_scan(&parser, &token)) {
        is_done = token.type == YAML_STREAM_END_TOKEN || token.end_mark.index > error->index;
        if (!is_done && is_quoted(&token)) {
            is_found =
                token.start_mark.line < token.end_mark.line && token.end_mark.line == error->line;
            *start = token.start_mark;
            *end = token.end_mark;
        }
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&parser);
    return is_found;
}

static bool is_about_a_quote(const yaml_parser_t *parser)
{
    return parser->context != NULL && strstr(parser->context, "quoted scalar") != NULL;
}

/* libyaml's own words, with the place where the construct in question begins. */
static void describe(struct yaml_problem *problem, const yaml_parser_t *parser)
{
    const char *what = parser->problem != NULL ? parser->problem : "unreadable";
    bool has_start = parser->context != NULL && parser->context_mark.line > 0 &&
                     parser->context_mark.line < parser->problem_mark.line;

    if (parser->context == NULL)
        snprintf(problem->what, sizeof(problem->what), "%s", what);
    else if (has_start)
        snprintf(problem->what, sizeof(problem->what), "%s %s that begins at %zu:%zu", what,
                 parser->context, parser->context_mark.line + 1, parser->context_mark.column + 1);
    else
        snprintf(problem->what, sizeof(problem->what), "%s %s", what, parser->context);
}

struct yaml_problem yaml_problem_find(struct str text, const yaml_parser_t *parser)
{
    struct yaml_problem problem = problem_at(&parser->problem_mark);
    yaml_mark_t start, end;

    if (find_runaway(text, &parser->problem_mark, &start, &end) ||
        (is_about_a_quote(parser) && find_runaway(text, &parser->context_mark, &start, &end))) {
        problem = problem_at(&start);
        snprintf(problem.what, sizeof(problem.what),
                 "the quote is not closed here: the text runs to %zu:%zu", end.line + 1,
                 end.column);
    } else if (is_about_a_quote(parser)) {
        problem = problem_at(&parser->context_mark);
        snprintf(problem.what, sizeof(problem.what),
                 "the quote is not closed: %s while reading the text that begins here",
                 parser->problem);
    } else {
        describe(&problem, parser);
    }
    return problem;
}
