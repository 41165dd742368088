/* The table of conditions: how each kind is loaded, and when one covers another, that is, holds for
 * every request for which the other holds. Where that cannot be known, of patterns for example, the
 * answer is no. */
#include "config/conditions_impl.h"

#include <stdlib.h>

/* --- hosts ----------------------------------------------------------------------------------- */

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

static int compare_names(const void *left, const void *right)
{
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

static uint64_t name_bit(struct str name)
{
    uint32_t hash = 2166136261;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619;
    return (uint64_t)1 << (hash >> 26);
}

void host_set_init(struct host_set *set, const struct match_conf *match)
{
    set->match = match;
    set->exact = mem_new((match->host_count + 1) * sizeof(*set->exact));
    set->exact_count = 0;
    set->bits = 0;
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_suffix || match->hosts[i].is_regex)
            continue;
        set->exact[set->exact_count++] = match->hosts[i].name;
        set->bits |= name_bit(match->hosts[i].name);
    }
    if (set->exact_count > 1)
        qsort(set->exact, set->exact_count, sizeof(*set->exact), compare_names);
}

void host_set_deinit(struct host_set *set)
{
    free(set->exact);
    set->exact = NULL;
}

static bool set_covers(const struct host_set *wide, const struct host_match_conf *narrow)
{
    bool is_exact = !narrow->is_suffix && !narrow->is_regex;

    if (is_exact && wide->exact_count > 0 &&
        bsearch(&narrow->name, wide->exact, wide->exact_count, sizeof(*wide->exact),
                compare_names) != NULL)
        return true;
    if (wide->exact_count == wide->match->host_count)
        return false;
    for (size_t i = 0; i < wide->match->host_count; i++) {
        if (host_covers(&wide->match->hosts[i], narrow))
            return true;
    }
    return false;
}

bool host_set_differs(const struct host_set *wide, const struct host_set *narrow)
{
    bool has_only_names = wide->exact_count == wide->match->host_count;

    if (wide->match->host_count == 0 || !has_only_names)
        return false;
    return (narrow->bits & ~wide->bits) != 0 || narrow->exact_count < narrow->match->host_count ||
           narrow->match->host_count == 0;
}

static bool hosts_cover(const struct host_set *wide, const struct host_set *narrow)
{
    if (wide->match->host_count == 0)
        return true;
    for (size_t i = 0; i < narrow->match->host_count; i++) {
        if (!set_covers(wide, &narrow->match->hosts[i]))
            return false;
    }
    return narrow->match->host_count > 0;
}

static bool paths_cover(const struct host_set *wide_set, const struct host_set *narrow_set)
{
    const struct match_conf *wide = wide_set->match, *narrow = narrow_set->match;
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

static bool methods_cover(const struct host_set *wide_set, const struct host_set *narrow_set)
{
    const struct match_conf *wide = wide_set->match, *narrow = narrow_set->match;
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

static bool is_prefix(enum text_match kind)
{
    return kind == TEXT_PREFIX || kind == TEXT_EQUAL_NOCASE_PREFIX;
}

/* Every text that `narrow` accepts is one that `wide` accepts. */
static bool value_covers(const struct field_match_conf *wide, struct str value)
{
    for (size_t i = 0; i < wide->value_count; i++) {
        if (is_prefix(wide->kind) ? str_starts(value, wide->values[i])
                                  : str_eq(value, wide->values[i]))
            return true;
    }
    return false;
}

static bool values_cover(const struct field_match_conf *wide, const struct field_match_conf *narrow)
{
    if (wide->kind == TEXT_ANY)
        return true;
    if (narrow->kind == TEXT_ANY || (is_prefix(narrow->kind) && !is_prefix(wide->kind)))
        return false;
    for (size_t i = 0; i < narrow->value_count; i++) {
        if (!value_covers(wide, narrow->values[i]))
            return false;
    }
    return true;
}

static bool name_covers(const struct field_match_conf *wide, const struct field_match_conf *narrow)
{
    if (wide->where != narrow->where)
        return false;
    if (wide->is_name_suffix)
        return str_ends(narrow->name, wide->name);
    return !narrow->is_name_suffix && str_eq(wide->name, narrow->name);
}

/* Of two conditions "unless" the one that excludes more is the narrow one. */
static bool field_covers(const struct field_match_conf *wide, const struct field_match_conf *narrow)
{
    if (wide->is_negated != narrow->is_negated)
        return false;
    if (wide->is_negated)
        return name_covers(narrow, wide) && values_cover(narrow, wide);
    return name_covers(wide, narrow) && values_cover(wide, narrow);
}

static bool fields_cover(const struct host_set *wide_set, const struct host_set *narrow_set)
{
    const struct match_conf *wide = wide_set->match, *narrow = narrow_set->match;
    for (size_t i = 0; i < wide->field_count; i++) {
        bool is_implied = false;
        for (size_t j = 0; j < narrow->field_count && !is_implied; j++)
            is_implied = field_covers(&wide->fields[i], &narrow->fields[j]);
        if (!is_implied)
            return false;
    }
    return true;
}

/* --- the table ------------------------------------------------------------------------------- */

/* Comparing hosts costs most, so they come last where conditions are compared in order. */
static const struct condition_kind {
    int (*load)(struct loader *loader, const struct node *node, struct match_conf *match);
    bool (*covers)(const struct host_set *wide, const struct host_set *narrow);
} kinds[] = {
    [CONDITION_HOST] = {load_host_condition, hosts_cover},
    [CONDITION_PATH] = {load_path_condition, paths_cover},
    [CONDITION_METHOD] = {load_method_condition, methods_cover},
    [CONDITION_FIELD] = {load_field_condition, fields_cover},
};
_Static_assert(ARRAY_LEN(kinds) == CONDITION_COUNT, "every kind has a row");

int load_conditions(struct loader *loader, const struct node *node, struct match_conf *match)
{
    int result = 0;

    for (size_t i = 0; i < CONDITION_COUNT; i++) {
        if (kinds[i].load(loader, node, match) < 0)
            result = -1;
    }
    return result;
}

bool match_covers(const struct host_set *wide, const struct host_set *narrow)
{
    for (size_t i = CONDITION_COUNT; i-- > 0;) {
        if (!kinds[i].covers(wide, narrow))
            return false;
    }
    return true;
}
