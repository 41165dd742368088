/* Loads the conditions of rules and of datacenter rules:
 *
 *     host: [www.example.org, "*.example.org"]
 *     path: [/w/api.php, "/api/rest_v1/…", "=/healthz"]
 *     method: [POST, PUT]
 *     query: { action: rollback, cpPosIndex: "*" }
 *     header: { Authorization: "CentralAuthToken*" }
 *     unless_header: { X-Read-Only: "true" }
 *
 * There is one function for each kind; config/conditions.c has the table of them. */
#include "base/path.h"
#include "config/conditions_impl.h"
#include "config/loader_impl.h"
#include "config/units.h"

enum { METHODS_MAX = 64 };

/* --- host, method ---------------------------------------------------------------------------- */

/* Of a rule; elsewhere hosts are names. */
static int load_host_or_pattern(struct loader *loader, const struct node *node, void *out)
{
    struct host_match_conf *match = out;

    if (node->kind == NODE_SCALAR && strpbrk(node->text.ptr, "()[]|\\^$+?") != NULL &&
        node->text.ptr[0] != '~' && node->text.ptr[0] != '[')
        return complain(
            loader, node,
            "invalid value: \"%s\"; expected a host name or *.name (a pattern begins with \"~\")",
            node->text.ptr);
    if (node->kind != NODE_SCALAR || !str_starts(node->text, STR("~")))
        return load_host_match(loader, node, out);
    if (!expect_scalar(loader, node, "a pattern"))
        return -1;
    match->place = node->place;
    match->is_regex = true;
    return load_pattern(loader, node, str_skip(node->text, 1), &match->name);
}

int load_host_match(struct loader *loader, const struct node *node, void *out)
{
    struct host_match_conf *match = out;
    struct str name;

    if (!expect_scalar(loader, node, "a host name"))
        return -1;
    name = node->text;
    match->place = node->place;
    match->is_suffix = str_starts(name, STR("*."));
    if (match->is_suffix)
        name = str_skip(name, 2);
    if (!is_host_name(name))
        return complain(loader, node, "invalid value: \"%s\"; expected a host name or *.name%s",
                        node->text.ptr,
                        str_find_char(name, ':') >= 0 ? " (ports are not part of it)" : "");
    match->name = canonical_host(loader->arena, name);
    return 0;
}

static int load_method(struct loader *loader, const struct node *node, void *out)
{
    static const char *const known[] = {"GET",     "HEAD",  "POST",    "PUT",   "DELETE",
                                        "OPTIONS", "PATCH", "CONNECT", "TRACE", "PURGE"};
    struct str method = node->text;

    if (!expect_scalar(loader, node, "a method"))
        return -1;
    if (!is_token(method) || method.len > 32)
        return complain(loader, node, "\"%s\" is not a method", method.ptr);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_nocase(method, str_of(known[i])) && !str_eq(method, str_of(known[i])))
            return complain(loader, node, "unknown method: \"%s\"; did you mean \"%s\"?",
                            method.ptr, known[i]);
    }
    *(struct str *)out = arena_str(loader->arena, method);
    return 0;
}

/* A list of things of `size` bytes each into `*out`; how many, or -1 after a complaint. */
static int load_many(struct loader *loader, const struct node *node, load_fn *load, size_t size,
                     void *out, size_t *out_count)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    char *array = arena_zero(loader->arena, size * MAX(count, 1));
    int result = 0;

    if (count == 0)
        return complain(loader, node, "at least one entry is needed");
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (load(loader, items[i], array + *out_count * size) < 0)
            result = -1;
        else
            ++*out_count;
    }
    *(void **)out = array;
    return result;
}

/* --- header, cookie, query ------------------------------------------------------------------- */

/* A query name or value as requests are compared: with its escapes undone. */
static struct str query_text(struct loader *loader, struct str text)
{
    char *out = arena_alloc_aligned(loader->arena, text.len + 1, 1);
    size_t len = 0;

    for (size_t at = 0; at < text.len; at++) {
        int byte = escape_at(text, at);
        out[len++] = byte >= 0 ? (char)byte : text.ptr[at];
        at += byte >= 0 ? 2 : 0;
    }
    return str_make(out, len);
}

static int load_header_key(struct loader *loader, const struct node *key,
                           struct field_match_conf *match)
{
    if (load_field_name(loader, key, &match->name) < 0)
        return -1;
    if (str_eq(match->name, STR("host")))
        match->where = FIELD_HOST;
    else if (str_eq(match->name, STR("cookie")))
        match->where = FIELD_COOKIES;
    return 0;
}

/* A value as requests are compared with it. */
static int load_field_value(struct loader *loader, const struct node *node, struct str value,
                            const struct field_match_conf *match, struct str *out)
{
    switch (match->where) {
    case FIELD_QUERY:
        *out = query_text(loader, value);
        return 0;
    case FIELD_HOST:
        if (match->kind == TEXT_PREFIX)
            *out = arena_str_lower(loader->arena, value);
        else if (match->kind == TEXT_EQUAL && !is_host_name(value))
            return complain(loader, node,
                            "invalid value: \"%s\"; Host is compared as a name without port",
                            node->text.ptr);
        else
            *out = canonical_host(loader->arena, value);
        return 0;
    default:
        *out = arena_str(loader->arena, value);
        return 0;
    }
}

static int load_field_key(struct loader *loader, const struct node *key,
                          struct field_match_conf *match)
{
    struct str name = key->text;

    if (match->where == FIELD_HEADER)
        return load_header_key(loader, key, match);
    if (match->where == FIELD_COOKIE && str_starts(name, STR("*"))) {
        match->is_name_suffix = true;
        name = str_skip(name, 1);
    }
    if (name.len == 0)
        return complain(loader, key, "a name is needed");
    if (match->where == FIELD_COOKIE && !is_token(name))
        return complain(loader, key, "\"%s\" cannot be the name of a cookie", key->text.ptr);
    match->name =
        match->where == FIELD_QUERY ? query_text(loader, name) : arena_str(loader->arena, name);
    return 0;
}

/* "*" any value, "text*" a prefix, "text" the whole; one kind for all values of a condition. */
static int load_field_values(struct loader *loader, const struct node *node,
                             struct field_match_conf *match)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);

    if (count == 0)
        return complain(loader, node, "a value is needed (\"*\" stands for any)");
    match->values = ARENA_NEW_N(loader->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        if (!expect_scalar(loader, items[i], "a value"))
            return -1;
        struct str value = items[i]->text;
        enum text_match kind = TEXT_EQUAL;
        if (str_eq(value, STR("*"))) {
            kind = TEXT_ANY;
        } else if (str_ends(value, STR("*"))) {
            kind = TEXT_PREFIX;
            value.len--;
        }
        /* The scheme of Authorization ignores case (RFC 9110 section 11.1). */
        if (kind == TEXT_PREFIX && match->where == FIELD_HEADER &&
            str_eq(match->name, STR("authorization")))
            kind = TEXT_EQUAL_NOCASE_PREFIX;
        if (i > 0 && kind != match->kind)
            return complain(loader, items[i],
                            "the values of one condition are all whole or all prefixes");
        match->kind = kind;
        if (load_field_value(loader, items[i], value, match, &match->values[match->value_count++]) <
            0)
            return -1;
    }
    return 0;
}

static int load_field_matches(struct loader *loader, const struct node *node,
                              enum field_place where, bool is_negated, struct match_conf *match)
{
    int result = 0;

    if (!expect_map(loader, node, "names with values"))
        return -1;
    for (size_t i = 0; i < node->count; i++) {
        struct field_match_conf *field = &match->fields[match->field_count];
        *field = (struct field_match_conf){
            .place = node->keys[i]->place,
            .where = where,
            .is_negated = is_negated,
        };
        if (load_field_key(loader, node->keys[i], field) < 0 ||
            load_field_values(loader, node->items[i], field) < 0)
            result = -1;
        else
            match->field_count++;
    }
    return result;
}

int load_field_condition(struct loader *loader, const struct node *node, struct match_conf *match)
{
    static const struct {
        const char *key;
        enum field_place where;
        bool is_negated;
    } kinds[] = {
        {"header", FIELD_HEADER, false},       {"cookie", FIELD_COOKIE, false},
        {"query", FIELD_QUERY, false},         {"unless_header", FIELD_HEADER, true},
        {"unless_cookie", FIELD_COOKIE, true}, {"unless_query", FIELD_QUERY, true},
    };
    size_t total = 0;
    int result = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct node *fields = node_find(node, kinds[i].key);
        total += fields != NULL ? fields->count : 0;
    }
    match->fields = ARENA_NEW_N(loader->arena, struct field_match_conf, MAX(total, 1));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct node *fields = node_find(node, kinds[i].key);
        if (fields != NULL &&
            load_field_matches(loader, fields, kinds[i].where, kinds[i].is_negated, match) < 0)
            result = -1;
    }
    return result;
}

/* --- one function for each kind -------------------------------------------------------------- */

int load_host_condition(struct loader *loader, const struct node *node, struct match_conf *match)
{
    const struct node *host = node_find(node, "host");

    return host == NULL ? 0
                        : load_many(loader, host, load_host_or_pattern, sizeof(*match->hosts),
                                    &match->hosts, &match->host_count);
}

int load_path_condition(struct loader *loader, const struct node *node, struct match_conf *match)
{
    const struct node *path = node_find(node, "path");

    return path == NULL ? 0
                        : load_many(loader, path, load_path_match, sizeof(*match->paths),
                                    &match->paths, &match->path_count);
}

int load_method_condition(struct loader *loader, const struct node *node, struct match_conf *match)
{
    const struct node *method = node_find(node, "method");

    if (method == NULL)
        return 0;
    int result = load_many(loader, method, load_method, sizeof(*match->methods), &match->methods,
                           &match->method_count);
    return match->method_count > METHODS_MAX
               ? complain(loader, method, "more than %d methods", METHODS_MAX)
               : result;
}
