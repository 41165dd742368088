/* Whether a request meets the conditions of a rule. The table of the kinds of condition is below;
 * the one in config/conditions.c says how they are loaded. */
#include "route/route_impl.h"

bool host_match(const struct host_match_conf *match, struct str host)
{
    if (match->is_regex)
        return false; /* needs what only a test has ready */
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
    if (match->kind == PATH_REGEX)
        return false; /* needs what only a test has ready */
    if (!str_starts(path, match->path))
        return false;
    if (path.len == match->path.len)
        return match->kind != PATH_BELOW;
    return match->kind != PATH_EXACT && path.ptr[match->path.len] == '/';
}

/* The first eight bytes as a number, whatever the byte order: it is only compared. */
uint64_t path_head(struct str path)
{
    uint64_t head = 0;

    if (LIKELY(path.len >= sizeof(head)))
        memcpy(&head, path.ptr, sizeof(head));
    else if (path.len > 0)
        memcpy(&head, path.ptr, path.len);
    return head;
}

static bool pattern_matches(const struct test *test, const struct regex *regex, struct str text,
                            struct request *request)
{
    enum regex_result result = regex_match(regex, text);

    request->limits += result == REGEX_LIMIT ? 1 : 0;
    return result == REGEX_YES || (result == REGEX_LIMIT && test->fails_closed);
}

/* The path read with its hidden slashes undone. */
static bool undone_paths_match(const struct test *test, struct request *request)
{
    for (unsigned i = 0; i < test->path_count; i++) {
        const struct path_test *path = &test->paths[i];
        if (path->regex != NULL ? pattern_matches(test, path->regex, request->undone, request)
                                : path_match(path->undone, request->undone))
            return true;
    }
    return false;
}

static bool paths_match(const struct test *test, struct request *request)
{
    for (unsigned i = 0; i < test->path_count; i++) {
        const struct path_test *path = &test->paths[i];
        if ((request->path_head & path->mask) != path->head)
            continue;
        if (path->regex != NULL ? pattern_matches(test, path->regex, request->path, request)
                                : path_match(path->match, request->path))
            return true;
    }
    return UNLIKELY(request->undone.ptr != NULL) && test->reads_both &&
           undone_paths_match(test, request);
}

/* Of a rule that has patterns among its hosts, so that no index can settle it. */
static bool host_patterns_match(const struct test *test, struct request *request)
{
    for (size_t i = 0; i < test->match->host_count; i++) {
        const struct regex *regex = test->host_patterns[i];
        if (regex != NULL ? pattern_matches(test, regex, request->host, request)
                          : host_match(&test->match->hosts[i], request->host))
            return true;
    }
    return false;
}

/* --- methods --------------------------------------------------------------------------------- */

uint8_t method_shape(struct str method)
{
    static const struct str known[] = {STR_INIT("GET"),    STR_INIT("POST"),    STR_INIT("HEAD"),
                                       STR_INIT("PUT"),    STR_INIT("OPTIONS"), STR_INIT("PURGE"),
                                       STR_INIT("PATCH"),  STR_INIT("DELETE"),  STR_INIT("TRACE"),
                                       STR_INIT("CONNECT")};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq(known[i], method))
            return (uint8_t)i;
    }
    return SHAPE_METHOD_OTHER;
}

static bool methods_hold(const struct match_conf *match, const struct request *request)
{
    struct str method = request->facts->method;

    for (size_t i = 0; i < match->method_count; i++) {
        if (str_eq(match->methods[i], method))
            return true;
    }
    return match->method_count == 0;
}

/* --- names that are looked for --------------------------------------------------------------- */

uint32_t names_add(struct names *names, struct str name)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (str_eq(names->names[i], name))
            return BIT(i);
    }
    if (names->count == NAMES_MAX || name.len == 0)
        return 0;
    uint32_t bit = BIT(names->count);
    names->names[names->count++] = name;
    names->by_first[(unsigned char)name.ptr[0]] |= bit;
    return bit;
}

static void see_cookie(struct request *request, struct str rest, uint32_t bits)
{
    struct str name, value;

    cookie_next(&rest, &name, &value);
    for (; bits != 0; bits &= bits - 1) {
        unsigned i = (unsigned)__builtin_ctz(bits);
        if (!str_eq(name, request->router->cookies.names[i]))
            continue;
        if ((request->cookies & BIT(i)) == 0)
            request->cookie[i] = value;
        else
            request->cookies_repeated |= BIT(i);
        request->cookies |= BIT(i);
    }
}

/* One look at the first byte of each cookie tells almost all of them apart from those wanted. */
static void see_cookies(struct request *request)
{
    const struct names *names = &request->router->cookies;
    struct str cookies = request->facts->cookie;
    const char *at = cookies.ptr, *end = at + cookies.len;

    request->cookies_seen = true;
    while (at != NULL && at < end) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at == end)
            return;
        uint32_t bits = names->by_first[(unsigned char)*at];
        if (bits != 0)
            see_cookie(request, str_make(at, (size_t)(end - at)), bits);
        at = memchr(at, ';', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
}

static void see_param(struct request *request, const char *at, const char *end, uint32_t bits)
{
    struct str name, value;

    str_cut(str_make(at, (size_t)(end - at)), '=', &name, &value);
    for (; bits != 0; bits &= bits - 1) {
        unsigned i = (unsigned)__builtin_ctz(bits);
        if (!query_text_eq(name, request->router->params.names[i]))
            continue;
        if ((request->params & BIT(i)) == 0)
            request->param[i] = value;
        else
            request->params_repeated |= BIT(i);
        request->params |= BIT(i);
    }
}

/* A name may be percent-encoded: then its first byte tells nothing. */
static void see_params(struct request *request)
{
    const struct names *names = &request->router->params;
    const char *at = request->query.ptr, *end = at + request->query.len, *next;
    uint32_t all = names->count < NAMES_MAX ? BIT(names->count) - 1 : UINT32_MAX;

    request->params_seen = true;
    for (; at < end; at = next + 1) {
        next = memchr(at, '&', (size_t)(end - at));
        if (next == NULL)
            next = end;
        uint32_t bits = *at == '%' || *at == '+' ? all : names->by_first[(unsigned char)*at];
        if (bits != 0 && at < next)
            see_param(request, at, next, bits);
    }
}

void request_see_cookies(struct request *request)
{
    if (!request->cookies_seen)
        see_cookies(request);
}

static void request_see_params(struct request *request)
{
    if (!request->params_seen)
        see_params(request);
}

/* --- header, cookie, query ------------------------------------------------------------------- */

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

/* Takes `piece` off the beginning of *text; where a beginning will do, as much of it as is
 * there. */
static bool take_piece(enum text_match kind, struct str *text, struct str piece)
{
    struct str both = str_make(piece.ptr, MIN(piece.len, text->len));

    if (kind == TEXT_EQUAL && both.len < piece.len)
        return false;
    if (kind == TEXT_EQUAL_NOCASE_PREFIX ? !starts_nocase(*text, both) : !str_starts(*text, both))
        return false;
    *text = str_skip(*text, both.len);
    return true;
}

/* Several lines as the one that they stand for (RFC 9110 section 5.3), joined by ", ". */
static bool joined_match(const struct field_match_conf *match, struct str text,
                         const struct facts *facts)
{
    unsigned from = 0;
    struct str line = facts->field(facts->field_arg, match->name, &from);

    while (take_piece(match->kind, &text, line)) {
        line = facts->field(facts->field_arg, match->name, &from);
        if (text.len == 0)
            return match->kind != TEXT_EQUAL || line.ptr == NULL;
        if (line.ptr == NULL || !take_piece(match->kind, &text, STR(", ")))
            return false;
    }
    return false;
}

static bool lines_match(const struct field_match_conf *match, const struct facts *facts,
                        struct str line, unsigned from)
{
    for (; line.ptr != NULL; line = facts->field(facts->field_arg, match->name, &from)) {
        if (value_match(match, line))
            return true;
    }
    for (size_t i = 0; i < match->value_count; i++) {
        if (joined_match(match, match->values[i], facts))
            return true;
    }
    return false;
}

/* Any line counts, and all of them as one: servers behind read one or the other. */
static inline bool header_match(const struct field_match_conf *match, const struct facts *facts)
{
    unsigned from = 0;

    if (facts->field == NULL)
        return false;
    struct str value = facts->field(facts->field_arg, match->name, &from);
    if (value.ptr == NULL || value_match(match, value))
        return value.ptr != NULL;
    value = facts->field(facts->field_arg, match->name, &from);
    return UNLIKELY(value.ptr != NULL) && lines_match(match, facts, value, from);
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

/* The value that was found on the way settles it, unless there are more. */
static bool field_test_matches(const struct field_test *test, const struct request *request)
{
    const struct field_match_conf *match = test->match;

    if (test->bit == 0)
        return match->where == FIELD_HEADER ? header_match(match, request->facts)
                                            : field_match(match, request);
    unsigned i = (unsigned)__builtin_ctz(test->bit);
    if (match->where == FIELD_COOKIE) {
        if ((request->cookies & test->bit) == 0)
            return false;
        return value_match(match, request->cookie[i]) ||
               ((request->cookies_repeated & test->bit) != 0 && field_match(match, request));
    }
    if ((request->params & test->bit) == 0)
        return false;
    return match->kind == TEXT_ANY || query_value_match(match, request->param[i]) ||
           ((request->params_repeated & test->bit) != 0 && field_match(match, request));
}

bool field_match(const struct field_match_conf *match, const struct request *request)
{
    switch (match->where) {
    case FIELD_HEADER:
        return header_match(match, request->facts);
    case FIELD_HOST:
        return request->name.len > 0 && value_match(match, request->name);
    case FIELD_COOKIES:
        return request->facts->cookie.ptr != NULL && value_match(match, request->facts->cookie);
    case FIELD_COOKIE:
        return cookie_match(match, request->facts->cookie);
    case FIELD_QUERY:
        return query_match(match, request->query);
    }
    UNREACHABLE("field_match");
}

/* Are the names there that the conditions ask for? Values are looked at later, and rarely. */
static bool names_are_there(const struct test *test, struct request *request)
{
    if (test->sees_cookies)
        request_see_cookies(request);
    if ((request->cookies & test->cookies) != test->cookies)
        return false;
    if (test->sees_params)
        request_see_params(request);
    return (request->params & test->params) == test->params;
}

static bool fields_match(const struct test *test, struct request *request)
{
    const struct match_conf *match = test->match;

    if (!names_are_there(test, request))
        return false;
    for (size_t i = 0; i < match->field_count; i++) {
        if (field_test_matches(&test->fields[i], request) == match->fields[i].is_negated)
            return false;
    }
    return true;
}

/* The index tells the methods that weir knows apart. */
static bool methods_match(const struct test *test, struct request *request)
{
    return LIKELY(request->shape.method != SHAPE_METHOD_OTHER) ||
           methods_hold(test->match, request);
}

/* --- the table ------------------------------------------------------------------------------- */

const struct path_match_conf *paths_match_find(const struct match_conf *match, struct str path)
{
    for (size_t i = 0; i < match->path_count; i++) {
        if (path_match(&match->paths[i], path))
            return &match->paths[i];
    }
    return NULL;
}

static bool paths_hold(const struct match_conf *match, const struct request *request)
{
    return match->path_count == 0 || paths_match_find(match, request->path) != NULL;
}

static bool hosts_hold(const struct match_conf *match, const struct request *request)
{
    return hosts_match(match, request->host);
}

static bool fields_hold(const struct match_conf *match, const struct request *request)
{
    for (size_t i = 0; i < match->field_count; i++) {
        if (field_match(&match->fields[i], request) == match->fields[i].is_negated)
            return false;
    }
    return true;
}

static bool has_paths(const struct match_conf *match)
{
    return match->path_count > 0;
}

static bool has_methods(const struct match_conf *match)
{
    return match->method_count > 0;
}

static bool has_fields(const struct match_conf *match)
{
    return match->field_count > 0;
}

/* One row for each kind of condition. A kind that no index settles needs nothing else. */
static const struct {
    /* Must it be checked for each request? Hosts that are names are settled by an index. */
    bool (*is_checked)(const struct match_conf *match);
    /* The check, with what the router has prepared. */
    bool (*matches)(const struct test *test, struct request *request);
    /* All of it, slowly, from the configuration alone. */
    bool (*holds)(const struct match_conf *match, const struct request *request);
    bool needs_path; /* looks at the path or the query */
} kinds[] = {
    [CONDITION_HOST] = {has_host_pattern, host_patterns_match, hosts_hold, false},
    [CONDITION_PATH] = {has_paths, paths_match, paths_hold, true},
    [CONDITION_METHOD] = {has_methods, methods_match, methods_hold, false},
    [CONDITION_FIELD] = {has_fields, fields_match, fields_hold, true},
};
_Static_assert(ARRAY_LEN(kinds) == CONDITION_COUNT, "every kind has a row");

uint8_t conditions_to_check(const struct match_conf *match)
{
    uint8_t checks = 0;

    for (unsigned i = 0; i < CONDITION_COUNT; i++)
        checks |= kinds[i].is_checked(match) ? (uint8_t)BIT(i) : 0;
    return checks;
}

bool conditions_need_path(uint8_t checks)
{
    for (unsigned i = 0; i < CONDITION_COUNT; i++) {
        if ((checks & BIT(i)) != 0 && kinds[i].needs_path)
            return true;
    }
    return false;
}

bool match_holds(const struct match_conf *match, const struct request *request)
{
    for (unsigned i = 0; i < CONDITION_COUNT; i++) {
        if (!kinds[i].holds(match, request))
            return false;
    }
    return true;
}

/* --- finding the first test ------------------------------------------------------------------ */

/* Everything that the index has not settled. The path comes first and without a call: most rules
 * fail on it. */
static inline bool test_matches(const struct test *test, struct request *request)
{
    if ((test->checks & BIT(CONDITION_PATH)) != 0 && !paths_match(test, request))
        return false;
    for (uint32_t rest = test->checks & ~BIT(CONDITION_PATH); rest != 0; rest &= rest - 1) {
        if (!kinds[__builtin_ctz(rest)].matches(test, request))
            return false;
    }
    return true;
}

/* Of `may`, those that ask for no parameter, or for one that is there. */
static uint64_t params_allow(const struct test_index *index, uint64_t may, struct request *request)
{
    uint64_t allowed = ~index->asks_params;

    request_see_params(request);
    for (uint32_t bits = request->params; bits != 0; bits &= bits - 1)
        allowed |= index->by_param[__builtin_ctz(bits)];
    return may & allowed;
}

int test_set_find(const struct test_set *set, uint32_t from, struct request *request)
{
    struct shape shape = request->shape;

    for (uint32_t base = from - from % TESTS_PER_INDEX; base < set->count;
         base += TESTS_PER_INDEX) {
        const struct test_index *index = &set->index[base / TESTS_PER_INDEX];
        uint64_t may = index->by_method[shape.method] & index->by_path[shape.path] &
                       index->by_lacks[shape.lacks];
        if (UNLIKELY(from > base))
            may &= ~(uint64_t)0 << (from - base);
        if ((may & index->asks_params) != 0)
            may = params_allow(index, may, request);
        for (; may != 0; may &= may - 1) {
            uint32_t i = base + (uint32_t)__builtin_ctzll(may);
            if (test_matches(&set->tests[i], request))
                return (int)i;
        }
        from = 0;
    }
    return -1;
}
