/* Rules that can never match, because an earlier one takes every request they could take. Somebody
 * who writes one believes in a route that does not exist, so it is told. */
#include "config/loader_impl.h"

static bool host_covers(const struct host_match_conf *wide, const struct host_match_conf *narrow)
{
    if (wide->is_regex || narrow->is_regex)
        return wide->is_regex && narrow->is_regex && str_eq(wide->name, narrow->name);
    if (!wide->is_suffix)
        return !narrow->is_suffix && str_eq(wide->name, narrow->name);
    if (narrow->is_suffix && str_eq(wide->name, narrow->name))
        return true;
    return narrow->name.len > wide->name.len && str_ends(narrow->name, wide->name) &&
           narrow->name.ptr[narrow->name.len - wide->name.len - 1] == '.';
}

static bool path_covers(const struct path_match_conf *wide, const struct path_match_conf *narrow)
{
    if (wide->kind == PATH_REGEX || narrow->kind == PATH_REGEX)
        return wide->kind == narrow->kind && str_eq(wide->path, narrow->path);
    if (wide->kind == PATH_EXACT)
        return narrow->kind == PATH_EXACT && str_eq(wide->path, narrow->path);
    if (str_eq(wide->path, narrow->path))
        return wide->kind == PATH_TREE || narrow->kind == PATH_BELOW;
    return str_starts(narrow->path, wide->path) && narrow->path.ptr[wide->path.len] == '/';
}

static bool hosts_cover(const struct match_conf *wide, const struct match_conf *narrow)
{
    if (wide->host_count == 0)
        return true;
    for (size_t i = 0; i < narrow->host_count; i++) {
        bool is_covered = false;
        for (size_t j = 0; j < wide->host_count && !is_covered; j++)
            is_covered = host_covers(&wide->hosts[j], &narrow->hosts[i]);
        if (!is_covered)
            return false;
    }
    return narrow->host_count > 0;
}

static bool paths_cover(const struct match_conf *wide, const struct match_conf *narrow)
{
    static const struct path_match_conf everything = {.kind = PATH_TREE, .path = {"", 0}};
    const struct path_match_conf *paths = narrow->path_count > 0 ? narrow->paths : &everything;
    size_t count = narrow->path_count > 0 ? narrow->path_count : 1;

    if (wide->path_count == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        bool is_covered = false;
        for (size_t j = 0; j < wide->path_count && !is_covered; j++)
            is_covered = path_covers(&wide->paths[j], &paths[i]);
        if (!is_covered)
            return false;
    }
    return true;
}

static bool methods_cover(const struct match_conf *wide, const struct match_conf *narrow)
{
    if (wide->method_count == 0)
        return true;
    for (size_t i = 0; i < narrow->method_count; i++) {
        bool is_covered = false;
        for (size_t j = 0; j < wide->method_count && !is_covered; j++)
            is_covered = str_eq(wide->methods[j], narrow->methods[i]);
        if (!is_covered)
            return false;
    }
    return narrow->method_count > 0;
}

static bool fields_equal(const struct field_match_conf *a, const struct field_match_conf *b)
{
    if (a->where != b->where || a->is_negated != b->is_negated || a->kind != b->kind ||
        a->is_name_suffix != b->is_name_suffix || a->value_count != b->value_count ||
        !str_eq(a->name, b->name))
        return false;
    for (size_t i = 0; i < a->value_count; i++) {
        if (!str_eq(a->values[i], b->values[i]))
            return false;
    }
    return true;
}

static bool fields_cover(const struct match_conf *wide, const struct match_conf *narrow)
{
    for (size_t i = 0; i < wide->field_count; i++) {
        bool is_implied = false;
        for (size_t j = 0; j < narrow->field_count && !is_implied; j++)
            is_implied = fields_equal(&wide->fields[i], &narrow->fields[j]);
        if (!is_implied)
            return false;
    }
    return true;
}

static bool match_covers(const struct match_conf *wide, const struct match_conf *narrow)
{
    return hosts_cover(wide, narrow) && paths_cover(wide, narrow) && methods_cover(wide, narrow) &&
           fields_cover(wide, narrow);
}

void check_rules(struct loader *loader, const struct router_conf *router)
{
    for (size_t i = 1; i < router->rule_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct rule_conf *wide = &router->rules[j], *narrow = &router->rules[i];
            if (!match_covers(&wide->match, &narrow->match))
                continue;
            warn_place(loader, narrow->place,
                       "rule \"%.*s\" can never match: rule \"%.*s\" at %s:%d:%d takes all of its "
                       "requests",
                       STR_FMT(narrow->name), STR_FMT(wide->name), wide->place.file,
                       wide->place.line, wide->place.column);
            break;
        }
    }
}
