/* From plain data to something fast: hosts go into a table together with everything that depends on
 * them, so that a decision looks a host up once or twice, whatever the number of hosts and rules.
 */
#include "route/route_impl.h"

#include <stdlib.h>

/* --- groups ------------------------------------------------------------------------------------
 */

/* How well a target suits requests that are sent to datacentre `datacenter`, reached through
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

/* --- tests -------------------------------------------------------------------------------------
 */

static struct path_test path_test_of(const struct path_match_conf *match)
{
    static const char ones[8] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return (struct path_test){
        .head = path_head(match->path),
        .mask = path_head(str_make(ones, MIN(match->path.len, sizeof(ones)))),
        .match = match,
    };
}

/* Cookies by the end of their name are looked for one by one: no index of beginnings helps. */
static void fields_compile(struct router *router, struct test *test)
{
    for (size_t i = 0; i < test->match->field_count; i++) {
        const struct field_match_conf *field = &test->match->fields[i];
        if (field->is_negated)
            continue;
        switch (field->where) {
        case FIELD_COOKIE:
            test->needs_cookie = true;
            if (!field->is_name_suffix)
                test->cookies |= names_add(&router->cookies, field->name);
            break;
        case FIELD_QUERY:
            test->needs_params = true;
            test->params |= names_add(&router->params, field->name);
            break;
        case FIELD_HEADER:
            break;
        }
    }
}

/* Its path tests go to `*paths`, which moves on. */
static struct test test_of(struct router *router, const struct match_conf *match,
                           struct path_test **paths)
{
    struct test test = {
        .match = match,
        .paths = *paths,
        .path_count = (uint16_t)match->path_count,
        .methods = match->method_count == 0 ? METHOD_BITS_ALL : 0,
    };

    for (size_t i = 0; i < match->path_count; i++)
        *(*paths)++ = path_test_of(&match->paths[i]);
    for (size_t i = 0; i < match->method_count; i++)
        test.methods |= method_bit(match->methods[i]);
    fields_compile(router, &test);
    return test;
}

static size_t count_paths(const struct router_conf *conf)
{
    size_t count = 0;

    for (size_t i = 0; i < conf->rule_count; i++)
        count += conf->rules[i].match.path_count;
    for (size_t i = 0; i < conf->multi_dc.primary_if_count; i++)
        count += conf->multi_dc.primary_if[i].match.path_count;
    return count;
}

/* --- candidates --------------------------------------------------------------------------------
 */

/* Whom a set of candidates is for. */
enum scope { SCOPE_UNKNOWN, SCOPE_HOST, SCOPE_BELOW };

static bool is_in_scope(const struct match_conf *match, enum scope scope, struct str name)
{
    if (match->host_count == 0)
        return true;
    if (scope == SCOPE_UNKNOWN)
        return false;
    for (size_t i = 0; i < match->host_count; i++) {
        const struct host_match_conf *host = &match->hosts[i];
        bool is_itself = scope == SCOPE_BELOW && host->is_suffix && str_eq(host->name, name);
        if (is_itself || (scope == SCOPE_HOST && host_match(host, name)) ||
            (scope == SCOPE_BELOW && host->is_suffix && host_match(host, name)))
            return true;
    }
    return false;
}

static bool is_unconditional(const struct match_conf *match)
{
    return match->path_count == 0 && match->method_count == 0 && match->field_count == 0;
}

static struct candidates candidates_of(const struct router_conf *conf, const struct test *rules,
                                       enum scope scope, struct str name)
{
    struct test *tests = mem_new(MAX(conf->rule_count, 1) * sizeof(*tests));
    struct candidates found = {0};

    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        if (!is_in_scope(match, scope, name))
            continue;
        tests[found.count++] = rules[i];
        found.needs_path |= match->path_count > 0 || match->field_count > 0;
        if (is_unconditional(match))
            break;
    }
    found.tests = mem_resize(tests, MAX(found.count, 1) * sizeof(*tests));
    return found;
}

static void candidates_set(struct router *router, const struct test *rules,
                           struct host_record *record, enum scope scope)
{
    if (record->candidates >= 0)
        return;
    record->candidates = (int32_t)router->candidates_count;
    router->candidates[router->candidates_count++] =
        candidates_of(router->conf, rules, scope, str_make(record->name, record->len));
}

static void hosts_of_rule(struct router *router, const struct test *rules,
                          const struct match_conf *match)
{
    for (size_t i = 0; i < match->host_count; i++) {
        const struct host_match_conf *host = &match->hosts[i];
        struct host_table *table = host->is_suffix ? &router->suffixes : &router->hosts;
        if (host->is_suffix)
            router->suffix_lengths |= (uint64_t)1 << (host->name.len & 63);
        candidates_set(router, rules, host_table_add(table, host->name),
                       host->is_suffix ? SCOPE_BELOW : SCOPE_HOST);
    }
}

static struct path_test *rules_compile(struct router *router)
{
    const struct router_conf *conf = router->conf;
    struct test *rules = mem_new(MAX(conf->rule_count, 1) * sizeof(*rules));
    struct path_test *paths = router->path_tests;
    size_t most = 1;

    for (size_t i = 0; i < conf->rule_count; i++) {
        rules[i] = test_of(router, &conf->rules[i].match, &paths);
        rules[i].index = (uint16_t)i;
        most += conf->rules[i].match.host_count;
    }
    router->candidates = mem_new(most * sizeof(*router->candidates));
    router->candidates[router->candidates_count++] =
        candidates_of(conf, rules, SCOPE_UNKNOWN, (struct str){NULL, 0});
    for (size_t i = 0; i < conf->rule_count; i++)
        hosts_of_rule(router, rules, &conf->rules[i].match);
    free(rules);
    return paths;
}

/* --- hosts -------------------------------------------------------------------------------------
 */

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
    host_table_trim(&router->hosts);
    host_table_trim(&router->suffixes);
}

/* --- datacentres, stickiness -------------------------------------------------------------------
 */

static void datacenters_compile(struct router *router, struct path_test *paths)
{
    const struct multi_dc_conf *multi_dc = &router->conf->multi_dc;
    size_t count = multi_dc->primary_if_count;

    router->dc_tests = mem_new(MAX(count, 1) * sizeof(*router->dc_tests));
    for (size_t i = 0; i < count; i++)
        router->dc_tests[i] = test_of(router, &multi_dc->primary_if[i].match, &paths);
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
    router->config = config;
    router->conf = &config->routers[index];
    router->salt = salted(router->conf->sticky.salt, "split:");
    router->dc_salt = salted(router->conf->sticky.salt, "datacenter:");
    router->path_tests = mem_new(MAX(count_paths(router->conf), 1) * sizeof(*router->path_tests));
    groups_compile(router);
    sticky_compile(router);
    struct path_test *rest = rules_compile(router);
    hosts_compile(router);
    datacenters_compile(router, rest);
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (uint32_t i = 0; i < router->candidates_count; i++)
        free(router->candidates[i].tests);
    free(router->candidates);
    free(router->groups);
    free(router->dc_tests);
    free(router->path_tests);
    free(router->sticky_bits);
    host_table_deinit(&router->hosts);
    host_table_deinit(&router->suffixes);
    free(router);
}
