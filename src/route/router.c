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
    }
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

static struct candidates candidates_of(const struct router_conf *conf, enum scope scope,
                                       struct str name)
{
    uint16_t *rules = mem_new(MAX(conf->rule_count, 1) * sizeof(*rules));
    struct candidates found = {.rules = rules};

    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        if (!is_in_scope(match, scope, name))
            continue;
        rules[found.count++] = (uint16_t)i;
        found.needs_path |= match->path_count > 0 || match->field_count > 0;
        if (is_unconditional(match))
            break;
    }
    found.rules = mem_resize(rules, MAX(found.count, 1) * sizeof(*rules));
    return found;
}

static void candidates_set(struct router *router, struct host_record *record, enum scope scope)
{
    if (record->candidates >= 0)
        return;
    record->candidates = (int32_t)router->candidates_count;
    router->candidates[router->candidates_count++] =
        candidates_of(router->conf, scope, record->name);
}

static void rules_compile(struct router *router)
{
    const struct router_conf *conf = router->conf;
    size_t most = 1;

    for (size_t i = 0; i < conf->rule_count; i++)
        most += conf->rules[i].match.host_count;
    router->candidates = mem_new(most * sizeof(*router->candidates));
    router->candidates[router->candidates_count++] =
        candidates_of(conf, SCOPE_UNKNOWN, (struct str){NULL, 0});
    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        for (size_t j = 0; j < match->host_count; j++) {
            const struct host_match_conf *host = &match->hosts[j];
            if (host->is_suffix)
                router->suffix_lengths |= (uint64_t)1 << (host->name.len & 63);
            struct host_table *table = host->is_suffix ? &router->suffixes : &router->hosts;
            candidates_set(router, host_table_add(table, host->name),
                           host->is_suffix ? SCOPE_BELOW : SCOPE_HOST);
        }
    }
}

/* --- hosts -------------------------------------------------------------------------------------
 */

static void hosts_compile(struct router *router)
{
    const struct router_conf *conf = router->conf;

    for (size_t i = 0; i < conf->split.host_count; i++)
        host_table_add(&router->hosts, conf->split.hosts[i].host)->split_host = (int32_t)i;
    for (size_t i = 0; i < conf->multi_dc.host_count; i++)
        host_table_add(&router->hosts, conf->multi_dc.hosts[i].host)->dc_host = (int32_t)i;
}

/* --- datacentres -------------------------------------------------------------------------------
 */

static unsigned needs_of(const struct match_conf *match)
{
    unsigned needs = 0;

    for (size_t i = 0; i < match->field_count; i++) {
        const struct field_match_conf *field = &match->fields[i];
        if (field->is_negated)
            continue;
        needs |= field->where == FIELD_COOKIE ? NEEDS_COOKIE : 0u;
        needs |= field->where == FIELD_QUERY ? NEEDS_QUERY : 0u;
    }
    return needs;
}

static void datacenters_compile(struct router *router)
{
    const struct multi_dc_conf *multi_dc = &router->conf->multi_dc;
    size_t count = multi_dc->primary_if_count;

    router->dc_rules = mem_new(MAX(count, 1) * sizeof(*router->dc_rules));
    for (size_t i = 0; i < count; i++) {
        const struct match_conf *match = &multi_dc->primary_if[i].match;
        router->dc_rules[i] = (struct dc_rule){match, needs_of(match)};
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
    groups_compile(router);
    rules_compile(router);
    hosts_compile(router);
    datacenters_compile(router);
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (uint32_t i = 0; i < router->candidates_count; i++)
        free((void *)router->candidates[i].rules);
    free(router->candidates);
    free(router->groups);
    free(router->dc_rules);
    host_table_deinit(&router->hosts);
    host_table_deinit(&router->suffixes);
    free(router);
}
