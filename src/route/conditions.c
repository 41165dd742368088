/* Whether a request meets the conditions of a rule. Cheap ones first: most rules fail on the path.
 */
#include "route/route_impl.h"

bool host_match(const struct host_match_conf *match, struct str host)
{
    if (!match->is_suffix)
        return str_eq(match->name, host);
    return host.len > match->name.len + 1 && str_ends(host, match->name) &&
           host.ptr[host.len - match->name.len - 1] == '.';
}

bool hosts_match(const struct match_conf *match, struct str host)
{
    for (size_t i = 0; i < match->host_count; i++) {
        if (host_match(&match->hosts[i], host))
            return true;
    }
    return match->host_count == 0;
}

bool path_match(const struct path_match_conf *match, struct str path)
{
    if (!str_starts(path, match->path))
        return false;
    if (path.len == match->path.len)
        return match->kind != PATH_BELOW;
    return match->kind != PATH_EXACT && path.ptr[match->path.len] == '/';
}

static bool paths_match(const struct match_conf *match, struct str path)
{
    for (size_t i = 0; i < match->path_count; i++) {
        if (path_match(&match->paths[i], path))
            return true;
    }
    return match->path_count == 0;
}

static bool methods_match(const struct match_conf *match, struct str method)
{
    for (size_t i = 0; i < match->method_count; i++) {
        if (str_eq(match->methods[i], method))
            return true;
    }
    return match->method_count == 0;
}

/* --- header, cookie, query ---------------------------------------------------------------------
 */

static bool starts_nocase(struct str text, struct str prefix)
{
    return text.len >= prefix.len && str_eq_nocase(str_make(text.ptr, prefix.len), prefix);
}

static bool value_match(const struct field_match_conf *match, struct str value)
{
    for (size_t i = 0; i < match->value_count; i++) {
        switch (match->kind) {
        case TEXT_ANY:
            return true;
        case TEXT_EQUAL:
            if (str_eq(value, match->values[i]))
                return true;
            break;
        case TEXT_PREFIX:
            if (str_starts(value, match->values[i]))
                return true;
            break;
        case TEXT_EQUAL_NOCASE_PREFIX:
            if (starts_nocase(value, match->values[i]))
                return true;
            break;
        }
    }
    return match->kind == TEXT_ANY;
}

static bool header_match(const struct field_match_conf *match, const struct facts *facts)
{
    if (facts->field == NULL)
        return false;
    struct str value = facts->field(facts->field_arg, match->name);
    return value.ptr != NULL && value_match(match, value);
}

static bool cookie_match(const struct field_match_conf *match, struct str cookies)
{
    struct str name, value;

    while (cookie_next(&cookies, &name, &value)) {
        bool is_name =
            match->is_name_suffix ? str_ends(name, match->name) : str_eq(name, match->name);
        if (is_name && value_match(match, value))
            return true;
    }
    return false;
}

static bool query_value_match(const struct field_match_conf *match, struct str raw)
{
    for (size_t i = 0; i < match->value_count; i++) {
        if (match->kind == TEXT_EQUAL ? query_text_eq(raw, match->values[i])
                                      : query_text_starts(raw, match->values[i]))
            return true;
    }
    return false;
}

/* Any occurrence counts: PHP keeps the last one, and a guess would be wrong half of the time. */
static bool query_match(const struct field_match_conf *match, struct str query)
{
    struct str pair, name, value;

    while (str_next(&query, '&', &pair)) {
        str_cut(pair, '=', &name, &value);
        if (query_text_eq(name, match->name) &&
            (match->kind == TEXT_ANY || query_value_match(match, value)))
            return true;
    }
    return false;
}

bool field_match(const struct field_match_conf *match, const struct request *request)
{
    switch (match->where) {
    case FIELD_HEADER:
        return header_match(match, request->facts);
    case FIELD_COOKIE:
        return cookie_match(match, request->facts->cookie);
    case FIELD_QUERY:
        return query_match(match, request->query);
    }
    UNREACHABLE("field_match");
}

bool conditions_match(const struct match_conf *match, const struct request *request)
{
    if (!paths_match(match, request->path) || !methods_match(match, request->facts->method))
        return false;
    for (size_t i = 0; i < match->field_count; i++) {
        if (field_match(&match->fields[i], request) == match->fields[i].is_negated)
            return false;
    }
    return true;
}
