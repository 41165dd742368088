/* Templates: texts with ${variables} of a request. Each place where one may stand knows which of
 * them have a value there; the others are refused, as they would silently be empty. */
#include "config/loader_impl.h"

static const char *const variable_names[] = {
#define X(id, name) [VARIABLE_##id] = name,
    VARIABLES(X)
#undef X
};

#define SET(id) (UINT64_C(1) << VARIABLE_##id)

_Static_assert(VARIABLE_COUNT <= 64, "a set of them is a word");

/* What is known of every request once it can be read. */
static const uint64_t of_request =
    SET(METHOD) | SET(HOST) | SET(PATH) | SET(PATH_AND_QUERY) | SET(SCHEME) | SET(HTTP_VERSION) |
    SET(HTTP_PROTOCOL) | SET(IS_H2) | SET(CLIENT_IP) | SET(CLIENT_PORT) | SET(REQUEST_ID) |
    SET(TLS_VERSION) | SET(TLS_CIPHER) | SET(TLS_CIPHER_SHORT) | SET(TLS_CURVE) | SET(TLS_AUTH) |
    SET(TLS_RESUMED) | SET(TLS_SESSION) | SET(HEADER);

static const uint64_t of_decision =
    SET(GROUP) | SET(SIDE) | SET(SERVICE) | SET(DATACENTER) | SET(WHY) | SET(BUCKET) | SET(SHARE);

static uint64_t variables_in(enum template_place place)
{
    switch (place) {
    case TEMPLATE_REWRITE: /* the tools must be able to answer it, without a connection */
        return SET(METHOD) | SET(HOST) | SET(PATH) | SET(REST) | SET(HEADER);
    case TEMPLATE_REQUEST:
        return of_request | of_decision;
    case TEMPLATE_RESPONSE:
        return of_request | of_decision | SET(UPSTREAM_MS);
    case TEMPLATE_ANSWER:
        return of_request;
    }
    UNREACHABLE("every place is above");
}

enum variable variable_lookup(struct str inside)
{
    struct str kind, name;

    if (str_cut(inside, ':', &kind, &name))
        return str_eq(kind, STR("header")) && is_token(name) ? VARIABLE_HEADER : VARIABLE_TEXT;
    for (size_t i = 1; i < ARRAY_LEN(variable_names); i++) {
        if (i != VARIABLE_HEADER && str_eq(str_of(variable_names[i]), inside))
            return (enum variable)i;
    }
    return VARIABLE_TEXT;
}

/* --- parts ----------------------------------------------------------------------------------- */

static int no_such_variable(struct loader *loader, const struct node *node, struct str inside,
                            enum template_place place)
{
    bool is_known = variable_lookup(inside) != VARIABLE_TEXT;
    struct guess guess = guess_for(inside);
    struct str list = {"", 0};

    for (size_t i = 1; i < ARRAY_LEN(variable_names); i++) {
        if ((variables_in(place) & UINT64_C(1) << i) == 0)
            continue;
        guess_try(&guess, str_of(variable_names[i]));
        list = arena_printf(loader->arena, "%.*s%s${%s%s}", STR_FMT(list), list.len > 0 ? ", " : "",
                            variable_names[i], i == VARIABLE_HEADER ? ":NAME" : "");
    }
    return complain(loader, node, "%s: \"${%.*s}\"; expected %.*s%s",
                    is_known ? "variable without a value in this place" : "unknown variable",
                    STR_FMT(inside), STR_FMT(list), is_known ? "" : guess_words(loader, &guess));
}

static void add_text(struct loader *loader, struct template_conf *template, struct str text)
{
    if (text.len > 0)
        template->parts[template->count++] =
            (struct part_conf){VARIABLE_TEXT, arena_str(loader->arena, text)};
}

static int add_variable(struct loader *loader, const struct node *node,
                        struct template_conf *template, struct str inside,
                        enum template_place place)
{
    enum variable variable = variable_lookup(inside);
    struct str kind, name;

    if (variable == VARIABLE_TEXT || (variables_in(place) & UINT64_C(1) << variable) == 0)
        return no_such_variable(loader, node, inside, place);
    str_cut(inside, ':', &kind, &name);
    template->parts[template->count++] =
        (struct part_conf){variable, arena_str_lower(loader->arena, name)};
    return 0;
}

int load_template(struct loader *loader, const struct node *node, enum template_place place,
                  struct template_conf *template)
{
    static const struct variable_span none = {0};
    size_t count = 0, done = 0;

    if (!expect_template(loader, node, "a text with ${variables}"))
        return -1;
    const struct variable_span *spans = node->variables != NULL ? node->variables : &none;
    while (spans[count].len > 0)
        count++;
    template->place = node->place;
    template->parts = ARENA_NEW_N(loader->arena, struct part_conf, 2 * count + 1);
    for (size_t i = 0; i < count; i++) {
        add_text(loader, template, str_make(node->text.ptr + done, spans[i].at - done));
        if (add_variable(loader, node, template, node_variable(node, &spans[i]), place) < 0)
            return -1;
        done = spans[i].at + spans[i].len;
    }
    add_text(loader, template, str_skip(node->text, done));
    return 0;
}

int load_template_line(struct loader *loader, const struct node *node, enum template_place place,
                       struct template_conf *template)
{
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return complain(loader, node, "control characters cannot stand here");
    }
    return load_template(loader, node, place, template);
}
