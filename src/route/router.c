/* From plain data to something fast: hosts go into a table together with everything that depends
 * on them, so that a decision looks a host up once or twice, whatever the number of hosts and
 * rules. */
#include "base/path.h"
#include "route/route_impl.h"
#include "route/weights.h"

#include <stdlib.h>

/* --- groups ---------------------------------------------------------------------------------- */

/* How well a target suits requests that are sent to datacenter `datacenter`, reached through
 * `name`. */
static int target_rank(const struct target_conf *target, int datacenter, enum target_use name)
{
    if (target->use == name)
        return 4;
    switch (target->use) {
    case TARGET_DATACENTER:
        return target->datacenter == datacenter ? 3 : 0;
    case TARGET_ANY:
        return 2;
    case TARGET_RO:
    case TARGET_RW:
        return 1;
    }
    UNREACHABLE("target_rank");
}

static int16_t target_pick(const struct group_conf *group, int datacenter, enum target_use name)
{
    int best = 0;

    for (size_t i = 1; i < group->target_count; i++) {
        if (target_rank(&group->targets[i], datacenter, name) >
            target_rank(&group->targets[best], datacenter, name))
            best = (int)i;
    }
    return (int16_t)best;
}

/* Where a target is; one that is everywhere is where the request was sent. */
static int16_t datacenter_of(const struct target_conf *target, int sent_to)
{
    return (int16_t)(target->datacenter >= 0 ? target->datacenter : sent_to);
}

static void groups_compile(struct router *router)
{
    const struct config *config = router->config;

    router->groups = mem_new(MAX(config->group_count, 1) * sizeof(*router->groups));
    for (size_t i = 0; i < config->group_count; i++) {
        const struct group_conf *group = &config->groups[i];
        router->groups[i] = (struct group_route){
            .local = target_pick(group, config->datacenters.local, TARGET_RO),
            .primary = target_pick(group, config->datacenters.primary, TARGET_RW),
            .debug = target_pick(group, config->datacenters.local, TARGET_ANY),
        };
        struct group_route *route = &router->groups[i];
        route->local_dc = datacenter_of(&group->targets[route->local], config->datacenters.local);
        route->primary_dc =
            datacenter_of(&group->targets[route->primary], config->datacenters.primary);
    }
}

/* --- tests ----------------------------------------------------------------------------------- */

/* It compiled when it was loaded. */
static struct regex *pattern_of(struct router *router, struct str text)
{
    struct err err;
    struct regex *regex = regex_new(text, &err);

    ASSERT(regex != NULL);
    router->patterns =
        mem_resize(router->patterns, (router->pattern_count + 1) * sizeof(*router->patterns));
    router->patterns[router->pattern_count++] = regex;
    return regex;
}

static struct path_match_conf *undone_of(struct router *router, const struct path_match_conf *match)
{
    struct path_match_conf *undone = ARENA_NEW(&router->arena, struct path_match_conf);
    char *text = arena_alloc_aligned(&router->arena, match->path.len + 1, 1);

    *undone = *match;
    path_undo_slashes(match->path, text, &undone->path);
    return undone;
}

static struct path_test path_test_of(struct router *router, const struct path_match_conf *match)
{
    if (match->kind == PATH_REGEX)
        return (struct path_test){.match = match, .regex = pattern_of(router, match->path)};
    static const char ones[8] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return (struct path_test){
        .head = path_head(match->path),
        .mask = path_head(str_make(ones, MIN(match->path.len, sizeof(ones)))),
        .match = match,
        .undone = undone_of(router, match),
    };
}

/* Cookies by the end of their name are looked for one by one: no index of beginnings helps. */
static struct field_test field_test_of(struct router *router, const struct field_match_conf *field,
                                       struct test *test)
{
    struct field_test result = {.match = field};
    bool is_asked = !field->is_negated;

    switch (field->where) {
    case FIELD_COOKIE:
        test->rejects_lacks |= is_asked ? LACKS_COOKIE : 0;
        if (!field->is_name_suffix)
            result.bit = names_add(&router->cookies, field->name);
        test->cookies |= is_asked ? result.bit : 0;
        test->sees_cookies |= result.bit != 0;
        break;
    case FIELD_QUERY:
        test->rejects_lacks |= is_asked ? LACKS_QUERY : 0;
        result.bit = names_add(&router->params, field->name);
        test->params |= is_asked ? result.bit : 0;
        test->sees_params |= result.bit != 0;
        break;
    case FIELD_HEADER:
    case FIELD_HOST:
    case FIELD_COOKIES:
        break;
    }
    return result;
}

/* The shapes that no path of `match` has; a path shorter than a head may have any. */
static uint32_t path_shapes_rejected(const struct match_conf *match)
{
    uint32_t rejected = UINT32_MAX;

    for (size_t i = 0; i < match->path_count; i++) {
        struct str path = match->paths[i].path;
        bool may_be_any = path.len < sizeof(uint64_t) || match->paths[i].kind == PATH_REGEX;
        rejected &= may_be_any ? 0 : ~BIT(path_shape(path_head(path)));
    }
    return match->path_count > 0 ? rejected : 0;
}

static uint16_t method_shapes_rejected(const struct match_conf *match)
{
    uint32_t rejected = match->method_count > 0 ? BIT(SHAPE_METHODS) - 1 : 0;

    for (size_t i = 0; i < match->method_count; i++)
        rejected &= ~BIT(method_shape(match->methods[i]));
    return (uint16_t)rejected;
}

/* Where the next tests go. */
struct room {
    struct path_test *paths;
    struct field_test *fields;
};

bool has_host_pattern(const struct match_conf *match)
{
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex)
            return true;
    }
    return false;
}

static struct regex **host_patterns_of(struct router *router, const struct match_conf *match)
{
    if (!has_host_pattern(match))
        return NULL;
    struct regex **patterns = ARENA_NEW_N(&router->arena, struct regex *, match->host_count);
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex)
            patterns[i] = pattern_of(router, match->hosts[i].name);
    }
    return patterns;
}

static struct test test_of(struct router *router, const struct match_conf *match, struct room *room)
{
    struct test test = {
        .match = match,
        .paths = room->paths,
        .fields = room->fields,
        .path_count = (uint16_t)match->path_count,
        .rejects_paths = path_shapes_rejected(match),
        .rejects_methods = method_shapes_rejected(match),
        .checks = conditions_to_check(match),
        .host_patterns = host_patterns_of(router, match),
    };

    for (size_t i = 0; i < match->path_count; i++)
        *room->paths++ = path_test_of(router, &match->paths[i]);
    for (size_t i = 0; i < match->field_count; i++)
        *room->fields++ = field_test_of(router, &match->fields[i], &test);
    return test;
}

static struct test_index index_of(const struct test *tests, size_t count)
{
    struct test_index index = {0};

    for (size_t i = 0; i < count; i++) {
        uint64_t bit = (uint64_t)1 << i;
        for (unsigned shape = 0; shape < SHAPE_METHODS; shape++)
            index.by_method[shape] |= (tests[i].rejects_methods & BIT(shape)) == 0 ? bit : 0;
        for (unsigned shape = 0; shape < SHAPE_PATHS; shape++)
            index.by_path[shape] |= (tests[i].rejects_paths & BIT(shape)) == 0 ? bit : 0;
        index.by_path[SHAPE_PATH_ANY] |= bit;
        for (unsigned lacks = 0; lacks < SHAPE_LACKS; lacks++)
            index.by_lacks[lacks] |= (tests[i].rejects_lacks & lacks) == 0 ? bit : 0;
        for (unsigned name = 0; name < NAMES_MAX; name++)
            index.by_param[name] |= (tests[i].params & BIT(name)) != 0 ? bit : 0;
        index.asks_params |= tests[i].params != 0 ? bit : 0;
    }
    return index;
}

struct test_set test_set_make(struct test *tests, size_t count)
{
    size_t index_count = (count + TESTS_PER_INDEX - 1) / TESTS_PER_INDEX;
    struct test_set set = {.tests = tests, .count = (uint32_t)count};

    set.index = mem_new(MAX(index_count, 1) * sizeof(*set.index));
    for (size_t i = 0; i < index_count; i++) {
        size_t first = i * TESTS_PER_INDEX;
        set.index[i] = index_of(tests + first, MIN(count - first, TESTS_PER_INDEX));
    }
    for (size_t i = 0; i < count; i++)
        set.needs_path |= conditions_need_path(tests[i].checks);
    return set;
}

static void test_set_deinit(struct test_set *set)
{
    free(set->tests);
    free(set->index);
}

static struct room room_new(struct router *router)
{
    const struct router_conf *conf = router->conf;
    size_t paths = 1, fields = 1;

    for (size_t i = 0; i < conf->rule_count; i++) {
        paths += conf->rules[i].match.path_count;
        fields += conf->rules[i].match.field_count;
    }
    for (size_t i = 0; i < conf->multi_dc.primary_if_count; i++) {
        paths += conf->multi_dc.primary_if[i].match.path_count;
        fields += conf->multi_dc.primary_if[i].match.field_count;
    }
    router->path_tests = mem_new(paths * sizeof(*router->path_tests));
    router->field_tests = mem_new(fields * sizeof(*router->field_tests));
    return (struct room){router->path_tests, router->field_tests};
}

/* --- rules ----------------------------------------------------------------------------------- */

static void suffix_length_add(struct router *router, size_t len)
{
    size_t at = 0, count = router->suffix_length_count;

    while (at < count && router->suffix_lengths[at] > len)
        at++;
    if (at < count && router->suffix_lengths[at] == len)
        return;
    router->suffix_lengths =
        mem_resize(router->suffix_lengths, (count + 1) * sizeof(*router->suffix_lengths));
    memmove(router->suffix_lengths + at + 1, router->suffix_lengths + at,
            (count - at) * sizeof(*router->suffix_lengths));
    router->suffix_lengths[at] = (uint16_t)len;
    router->suffix_length_count++;
}

static void hosts_of_rule(struct router *router, const struct match_conf *match)
{
    for (size_t i = 0; i < match->host_count; i++) {
        const struct host_match_conf *host = &match->hosts[i];
        if (host->is_regex)
            continue; /* every host may meet it */
        host_table_add(host->is_suffix ? &router->suffixes : &router->hosts, host->name);
        if (host->is_suffix)
            suffix_length_add(router, host->name.len);
    }
}

static void rules_compile(struct router *router, struct room *room)
{
    const struct router_conf *conf = router->conf;
    struct test *rules = mem_new(MAX(conf->rule_count, 1) * sizeof(*rules));

    for (size_t i = 0; i < conf->rule_count; i++) {
        rules[i] = test_of(router, &conf->rules[i].match, room);
        rules[i].index = (uint16_t)i;
        rules[i].fails_closed = rules[i].reads_both =
            conf->rules[i].answer != NULL && conf->rules[i].answer->status >= 400;
        hosts_of_rule(router, &conf->rules[i].match);
    }
    candidates_compile(router, rules);
    free(rules);
}

/* --- hosts ----------------------------------------------------------------------------------- */

/* Where unknown hosts are not served, every wiki's host is worth a record. */
static void known_hosts_compile(struct router *router, const struct config *config)
{
    if (router->conf->unknown_host_status == 0)
        return;
    for (size_t i = 0; i < config->wiki_count; i++) {
        host_table_add(&router->hosts, config->wikis[i].host);
        if (config->wikis[i].mobile.len > 0)
            host_table_add(&router->hosts, config->wikis[i].mobile);
    }
}

static void hosts_compile(struct router *router)
{
    const struct router_conf *conf = router->conf;

    for (size_t i = 0; i < conf->split.host_count; i++) {
        const struct split_host_conf *host = &conf->split.hosts[i];
        struct host_record *record = host_table_add(&router->hosts, host->host);
        record->split_host = (int32_t)i;
        record->entry = host->entry;
    }
    for (size_t i = 0; i < conf->multi_dc.host_count; i++)
        host_table_add(&router->hosts, conf->multi_dc.hosts[i].host)->dc_host = (int32_t)i;
    for (size_t i = conf->split.alias_count; i-- > 0;)
        host_table_add(&router->hosts, conf->split.aliases[i].mobile)->alias = (int32_t)i;
}

/* --- datacenters, stickiness ----------------------------------------------------------------- */

/* A rule for some hosts by name is not checked for other hosts. */
static struct test dc_test_of(struct router *router, const struct match_conf *match,
                              struct room *room)
{
    struct test test = test_of(router, match, room);
    bool has_suffix = false;

    test.reads_both = true;

    for (size_t i = 0; i < match->host_count; i++) {
        has_suffix |= match->hosts[i].is_suffix || match->hosts[i].is_regex;
        if (!match->hosts[i].is_suffix && !match->hosts[i].is_regex)
            host_table_add(&router->hosts, match->hosts[i].name)->is_dc_named = true;
    }
    if (match->host_count > 0 && !has_suffix)
        test.rejects_lacks |= LACKS_DC_RULE;
    return test;
}

static void datacenters_compile(struct router *router, struct room *room)
{
    const struct multi_dc_conf *multi_dc = &router->conf->multi_dc;
    size_t count = multi_dc->primary_if_count;
    struct test *tests = mem_new(MAX(count, 1) * sizeof(*tests));

    for (size_t i = 0; i < count; i++)
        tests[i] = dc_test_of(router, &multi_dc->primary_if[i].match, room);
    router->dc_tests = test_set_make(tests, count);
}

/* For a host that no rule names: the rules of its longest suffix, or those for all hosts. */
static int32_t candidates_below(const struct router *router, struct str host)
{
    const struct host_record *suffix = suffix_find(router, host);

    return suffix != NULL ? suffix->candidates : 0;
}

/* What a request need not find out for itself. */
static void hosts_settle(struct router *router)
{
    struct host_record *record;
    uint32_t at = 0;

    while ((record = host_table_next(&router->hosts, &at)) != NULL) {
        struct str name = host_record_name(record), read;
        char text[HOST_BYTES_MAX];
        record->is_canonical =
            host_read(name, text, &read, &record->is_mobile) == 0 && str_eq(read, name);
        if (record->candidates < 0)
            record->candidates = candidates_below(router, name);
    }
}

static void sticky_compile(struct router *router)
{
    const struct sticky_conf *sticky = &router->conf->sticky;

    router->sticky_bits = mem_new(MAX(sticky->count, 1) * sizeof(*router->sticky_bits));
    for (size_t i = 0; i < sticky->count; i++) {
        if (sticky->keys[i].kind == STICKY_COOKIE)
            router->sticky_bits[i] = names_add(&router->cookies, sticky->keys[i].name);
    }
}

static struct hash_key salted(struct str salt, const char *purpose)
{
    char text[512];
    size_t len = strlen(purpose), kept = MIN(salt.len, sizeof(text) - len);

    memcpy(text, purpose, len);
    if (kept > 0)
        memcpy(text + len, salt.ptr, kept);
    return hash_key_from(str_make(text, len + kept));
}

struct router *router_new(const struct config *config, size_t index, struct err *err)
{
    if (index >= config->router_count) {
        err_set(err, "there is no router %zu", index);
        return NULL;
    }
    struct router *router = mem_new(sizeof(*router));
    arena_init(&router->arena, NULL);
    router->config = config;
    router->conf = &config->routers[index];
    router->salt = salted(router->conf->sticky.salt, "split:");
    router->dc_salt = salted(router->conf->sticky.salt, "datacenter:");
    groups_compile(router);
    sticky_compile(router);
    struct room room = room_new(router);
    rules_compile(router, &room);
    hosts_compile(router);
    known_hosts_compile(router, config);
    datacenters_compile(router, &room);
    hosts_settle(router);
    host_table_trim(&router->hosts);
    host_table_trim(&router->suffixes);
    router->weights = weights_new(router->conf);
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (uint32_t i = 0; i < router->candidates_count; i++)
        test_set_deinit(&router->candidates[i]);
    free(router->candidates);
    test_set_deinit(&router->dc_tests);
    free(router->groups);
    for (size_t i = 0; i < router->pattern_count; i++)
        regex_free(router->patterns[i]);
    free(router->patterns);
    arena_reset(&router->arena);
    free(router->path_tests);
    free(router->field_tests);
    free(router->suffix_lengths);
    free(router->sticky_bits);
    host_table_deinit(&router->hosts);
    host_table_deinit(&router->suffixes);
    weights_unref(&router->weights);
    free(router);
}

struct weights *router_weights(const struct router *router)
{
    return router->weights;
}
