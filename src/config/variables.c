/* ${NAME} in a scalar: a variable of the environment is replaced here, before anything looks at the
 * text; one of a request stays and is remembered, for the templates that may have it. $${ is the
 * text ${. A value from the environment is text, too, whatever stands in it. */
#include "config/yaml_impl.h"

#include <stdlib.h>

struct expansion {
    struct reader *reader;
    struct node *node; /* for its place and its variables */
    char *out;         /* YAML_SCALAR_BYTES_MAX bytes */
    size_t len, count;
    bool is_too_long;
};

static void put(struct expansion *expansion, struct str text)
{
    if (text.len > YAML_SCALAR_BYTES_MAX - expansion->len) {
        expansion->is_too_long = true;
        return;
    }
    if (text.len > 0)
        memcpy(expansion->out + expansion->len, text.ptr, text.len);
    expansion->len += text.len;
}

/* --- of the environment ---------------------------------------------------------------------- */

static bool is_variable_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && ascii_is_digit(c)))
            return false;
    }
    return name.len > 0;
}

/* Is it spelled unlike a variable of the environment? Then it is a mistyped one of a
 * request, where one may stand. */
static bool is_lower(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            return false;
    }
    return true;
}

enum found { FOUND_VALUE, FOUND_NOTHING, FOUND_BAD_NAME };

/* What "NAME" or "NAME:-default" between the braces stands for. */
static enum found environment_find(struct arena *arena, struct str inside, struct str *value)
{
    ptrdiff_t dash = str_find(inside, STR(":-"));
    struct str name = dash >= 0 ? str_make(inside.ptr, (size_t)dash) : inside;

    if (!is_variable_name(name))
        return FOUND_BAD_NAME;
    const char *set = getenv(arena_str(arena, name).ptr);
    bool is_set = set != NULL && (set[0] != '\0' || dash < 0);
    if (!is_set && dash < 0)
        return FOUND_NOTHING;
    *value = is_set ? str_of(set) : str_skip(inside, (size_t)dash + 2);
    return FOUND_VALUE;
}

static void complain_not_set(struct reader *reader, struct place place, struct str name)
{
    reader_complain(
        reader, place,
        "environment variable %.*s is not set (\"${%.*s:-default}\" gives it a default)",
        STR_FMT(name), STR_FMT(name));
}

/* --- of a request ---------------------------------------------------------------------------- */

/* Keeps `whole`, "${name}", as it is. */
static void keep_variable(struct expansion *expansion, struct str whole)
{
    struct node *node = expansion->node;

    if (expansion->count == NODE_VARIABLES_MAX) {
        reader_complain(expansion->reader, node->place, "more than %d variables in one text",
                        NODE_VARIABLES_MAX);
        node->is_bad = true;
        return;
    }
    if (node->variables == NULL)
        node->variables =
            ARENA_NEW_N(expansion->reader->tree, struct variable_span, NODE_VARIABLES_MAX + 1);
    node->variables[expansion->count++] =
        (struct variable_span){(uint32_t)expansion->len, (uint32_t)whole.len};
    put(expansion, whole);
}

static void put_variable(struct expansion *expansion, struct str whole)
{
    struct str inside = str_make(whole.ptr + 2, whole.len - 3), value;

    if (str_find(inside, STR("${")) >= 0) {
        reader_complain(expansion->reader, expansion->node->place,
                        "a variable inside another one: \"%.*s\"", STR_FMT(whole));
        expansion->node->is_bad = true;
        return;
    }
    if (variable_lookup(inside) != VARIABLE_TEXT) {
        keep_variable(expansion, whole);
        return;
    }
    switch (environment_find(expansion->reader->tree, inside, &value)) {
    case FOUND_VALUE:
        put(expansion, value);
        return;
    case FOUND_NOTHING:
        if (is_lower(inside))
            keep_variable(expansion, whole);
        else
            complain_not_set(expansion->reader, expansion->node->place, inside);
        expansion->node->is_bad |= !is_lower(inside);
        return;
    case FOUND_BAD_NAME:
        reader_complain(expansion->reader, expansion->node->place,
                        "\"%.*s\" is not the name of a variable", STR_FMT(whole));
        expansion->node->is_bad = true;
        return;
    }
}

/* --- a scalar -------------------------------------------------------------------------------- */

static void expand(struct expansion *expansion, struct str text)
{
    ptrdiff_t at;

    while ((at = str_find(text, STR("${"))) >= 0 && !expansion->is_too_long) {
        struct str rest = str_skip(text, (size_t)at);
        if (at > 0 && text.ptr[at - 1] == '$') {
            put(expansion, str_make(text.ptr, (size_t)at - 1));
            put(expansion, STR("${"));
            text = str_skip(rest, 2);
            continue;
        }
        put(expansion, str_make(text.ptr, (size_t)at));
        ptrdiff_t end = str_find_char(rest, '}');
        if (end < 0) {
            reader_complain(expansion->reader, expansion->node->place,
                            "\"${\" without a closing brace");
            expansion->node->is_bad = true;
            return;
        }
        put_variable(expansion, str_make(rest.ptr, (size_t)end + 1));
        text = str_skip(rest, (size_t)end + 1);
    }
    put(expansion, text);
}

struct str node_expand(struct reader *reader, struct node *node, struct str text)
{
    struct expansion expansion = {.reader = reader, .node = node};

    if (str_find(text, STR("${")) < 0)
        return text;
    expansion.out = mem_new(YAML_SCALAR_BYTES_MAX);
    expand(&expansion, text);
    if (expansion.is_too_long)
        reader_complain(reader, node->place, "a text of more than %d bytes", YAML_SCALAR_BYTES_MAX);
    text = arena_str(reader->tree, str_make(expansion.out, expansion.len));
    free(expansion.out);
    return text;
}

struct str node_variable(const struct node *node, const struct variable_span *span)
{
    return str_make(node->text.ptr + span->at + 2, span->len - 3);
}

bool node_is_plain(struct reader *reader, const struct node *node)
{
    if (node->variables == NULL)
        return true;
    struct str name = node_variable(node, node->variables);
    if (variable_lookup(name) == VARIABLE_TEXT)
        complain_not_set(reader, node->place, name);
    else
        reader_complain(reader, node->place,
                        "no variable of a request can stand here: \"${%.*s}\" (\"$${\" is the "
                        "text \"${\")",
                        STR_FMT(name));
    return false;
}
