/* Finds rules that can never match, because an earlier one takes every request that they could
 * take. Which of two conditions is the wider one is conditions.c. */
#include "config/conditions_impl.h"
#include "config/review_impl.h"

#include <stdlib.h>

/* Rules that refuse hold for both readings of a path, others for one, so they do not cover
 * those. */
static bool is_refusal(const struct rule_conf *rule)
{
    return rule->answer != NULL && rule->answer->status >= 400;
}

static bool rule_covers(const struct rule_conf *wide, const struct host_set *wide_hosts,
                        const struct rule_conf *narrow, const struct host_set *narrow_hosts)
{
    if (host_set_differs(wide_hosts, narrow_hosts))
        return false;
    if (is_refusal(narrow) && !is_refusal(wide) && wide->match.path_count > 0)
        return false;
    return match_covers(wide_hosts, narrow_hosts);
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
        host_set_deinit(&hosts[i]);
    free(hosts);
}
