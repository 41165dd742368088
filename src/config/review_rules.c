/* Rules that can never match, because an earlier one takes every request that they could take.
 * Conditions are compared by what they accept: a value is covered by the prefix that it begins
 * with, a host by "*.name". Where that cannot be known, of patterns for example, nothing is said.
 */
#include "config/review_impl.h"

#include <stdlib.h>

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

/* The hosts of a rule, to be searched: a rule may have 100,000, and there may be thousands of
 * rules, each of which is compared with all before it. */
struct host_set {
    const struct match_conf *match;
    uint64_t bits;     /* one for each exact name: rules that differ there need no search */
    struct str *exact; /* owns: sorted */
    size_t exact_count;
};

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

static void host_set_init(struct host_set *set, const struct match_conf *match)
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

/* Nearly always: is there a host of `narrow` that `wide` cannot have? */
static bool has_other_hosts(const struct host_set *wide, const struct host_set *narrow)
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

static bool fields_cover(const struct match_conf *wide, const struct match_conf *narrow)
{
    for (size_t i = 0; i < wide->field_count; i++) {
        bool is_implied = false;
        for (size_t j = 0; j < narrow->field_count && !is_implied; j++)
            is_implied = field_covers(&wide->fields[i], &narrow->fields[j]);
        if (!is_implied)
            return false;
    }
    return true;
}

/* Rules that refuse hold for both readings of a path, others for one, so they do not cover those.
 */
static bool is_refusal(const struct rule_conf *rule)
{
    return rule->answer != NULL && rule->answer->status >= 400;
}

static bool rule_covers(const struct rule_conf *wide, const struct host_set *wide_hosts,
                        const struct rule_conf *narrow, const struct host_set *narrow_hosts)
{
    if (has_other_hosts(wide_hosts, narrow_hosts))
        return false;
    if (is_refusal(narrow) && !is_refusal(wide) && wide->match.path_count > 0)
        return false;
    return paths_cover(&wide->match, &narrow->match) &&
           methods_cover(&wide->match, &narrow->match) &&
           fields_cover(&wide->match, &narrow->match) && hosts_cover(wide_hosts, narrow_hosts);
}

static void review_rule(const struct router_conf *router, const struct host_set *hosts,
                        size_t index, struct complaints *complaints)
{
    const struct rule_conf *narrow = &router->rules[index];

    for (size_t i = 0; i < index; i++) {
        const struct rule_conf *wide = &router->rules[i];
        if (!rule_covers(wide, &hosts[i], narrow, &hosts[index]))
            continue;
        complaints_warn(complaints, narrow->place,
                        "rule \"%.*s\" can never match: rule \"%.*s\" at %s:%d:%d takes all of its "
                        "requests",
                        STR_FMT(narrow->name), STR_FMT(wide->name), wide->place.file,
                        wide->place.line, wide->place.column);
        return;
    }
}

void review_rules(const struct router_conf *router, struct complaints *complaints)
{
    struct host_set *hosts = mem_new((router->rule_count + 1) * sizeof(*hosts));

    for (size_t i = 0; i < router->rule_count; i++) {
        host_set_init(&hosts[i], &router->rules[i].match);
        review_rule(router, hosts, i, complaints);
    }
    for (size_t i = 0; i < router->rule_count; i++)
        free(hosts[i].exact);
    free(hosts);
}
