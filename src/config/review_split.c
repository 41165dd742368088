/* Shares that never apply: a rule sends all requests for the host to a group of its own or answers
 * them before any rule that leads to a service with two sides. Somebody who pins such a host to
 * legacy, or takes it to k8s, changes nothing. */
#include "config/fold.h"
#include "config/review_impl.h"

#include <stdlib.h>

enum { NO_RULE = UINT32_MAX, UNKNOWN_HOSTS_SHOWN = 10 };

/* --- what a rule does with all requests for a host ------------------------------------------- */

static bool is_split_rule(const struct router_conf *router, const struct rule_conf *rule)
{
    return rule->service >= 0 && router->services[rule->service].is_split;
}

static bool has_every_path(const struct match_conf *match)
{
    for (size_t i = 0; i < match->path_count; i++) {
        if (match->paths[i].kind == PATH_TREE && match->paths[i].path.len == 0)
            return true;
    }
    return match->path_count == 0;
}

static bool takes_every_request(const struct match_conf *match)
{
    return has_every_path(match) && match->method_count == 0 && match->field_count == 0;
}

static bool has_pattern(const struct match_conf *match)
{
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex)
            return true;
    }
    return false;
}

/* The first rule that leads to a split, and the first that takes all that is left. */
struct firsts {
    const struct router_conf *router;
    uint32_t split, taker;
};

static void consider(void *arg, uint32_t index)
{
    struct firsts *firsts = arg;
    const struct rule_conf *rule = &firsts->router->rules[index];

    if (is_split_rule(firsts->router, rule))
        firsts->split = MIN(firsts->split, index);
    else if (takes_every_request(&rule->match))
        firsts->taker = MIN(firsts->taker, index);
}

/* Of rules for any host. A pattern may be about any host: then its share may apply. */
static struct firsts firsts_of_any_host(const struct router_conf *router)
{
    struct firsts firsts = {router, NO_RULE, NO_RULE};

    for (size_t i = 0; i < router->rule_count; i++) {
        const struct rule_conf *rule = &router->rules[i];
        if (rule->match.host_count == 0 ||
            (has_pattern(&rule->match) && is_split_rule(router, rule)))
            consider(&firsts, (uint32_t)i);
    }
    return firsts;
}

/* --- shares ---------------------------------------------------------------------------------- */

/* A listed host whose share never applies. */
struct idle_share {
    const struct split_host_conf *host;
    uint32_t rule; /* which takes its requests; NO_RULE: no rule leads to a split */
};

static int compare_idle(const void *left, const void *right)
{
    const struct idle_share *a = left, *b = right;

    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->host->entry != b->host->entry)
        return a->host->entry < b->host->entry ? -1 : 1;
    if (a->host->place.line != b->host->place.line)
        return a->host->place.line < b->host->place.line ? -1 : 1;
    return a->host->place.column - b->host->place.column;
}

static size_t find_idle(const struct router_conf *router, struct idle_share *idle)
{
    const struct firsts any = firsts_of_any_host(router);
    struct host_index index;
    size_t count = 0;

    host_index_init(&index, router);
    for (size_t i = 0; i < router->split.host_count; i++) {
        struct firsts firsts = any;
        host_index_find(&index, router->split.hosts[i].host, consider, &firsts);
        if (firsts.split == NO_RULE || firsts.taker < firsts.split)
            idle[count++] = (struct idle_share){&router->split.hosts[i], firsts.taker};
    }
    host_index_deinit(&index);
    return count;
}

static const char *others_text(size_t count, char *out, size_t size)
{
    out[0] = '\0';
    if (count > 1)
        snprintf(out, size, " (and of %zu more here)", count - 1);
    return out;
}

/* `count` hosts of one entry that the same rule takes. */
static void warn_idle(const struct router_conf *router, const struct idle_share *idle, size_t count,
                      struct complaints *complaints)
{
    char others[64];
    const struct split_host_conf *host = idle->host;

    others_text(count, others, sizeof(others));
    if (idle->rule == NO_RULE) {
        complaints_warn(complaints, host->place,
                        "the share of \"%s\"%s never applies: no rule sends its requests to a "
                        "service with legacy and k8s",
                        host->host.ptr, others);
        return;
    }
    const struct rule_conf *rule = &router->rules[idle->rule];
    complaints_warn(complaints, host->place,
                    "the share of \"%s\"%s never applies: rule \"%.*s\" at %s:%d:%d %s all of its "
                    "requests",
                    host->host.ptr, others, STR_FMT(rule->name), rule->place.file, rule->place.line,
                    rule->place.column, rule->service < 0 ? "answers" : "takes");
}

static bool has_split_rule(const struct router_conf *router)
{
    for (size_t i = 0; i < router->rule_count; i++) {
        if (is_split_rule(router, &router->rules[i]))
            return true;
    }
    return false;
}

static void review_shares(const struct router_conf *router, struct complaints *complaints)
{
    struct idle_share *idle = mem_new((router->split.host_count + 1) * sizeof(*idle));
    size_t count = find_idle(router, idle);

    if (count > 1)
        qsort(idle, count, sizeof(*idle), compare_idle);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count; end++) {
            if (idle[end].rule != idle[i].rule || idle[end].host->entry != idle[i].host->entry)
                break;
        }
        warn_idle(router, &idle[i], end - i, complaints);
    }
    free(idle);
    if (router->split.entries[0].k8s.place.line > 0 && !has_split_rule(router))
        complaints_warn(complaints, router->split.entries[0].k8s.place,
                        "the default share never applies: no rule leads to a service with legacy "
                        "and k8s");
}

/* --- hosts that no wiki has ------------------------------------------------------------------ */

static int compare_names(const void *left, const void *right)
{
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

/* The hosts of the table, mobile ones too, sorted. */
static struct str *table_hosts(const struct config *config, size_t *count)
{
    struct str *hosts = mem_new((2 * config->wiki_count + 1) * sizeof(*hosts));

    *count = 0;
    for (size_t i = 0; i < config->wiki_count; i++) {
        hosts[(*count)++] = config->wikis[i].host;
        if (config->wikis[i].mobile.len > 0)
            hosts[(*count)++] = config->wikis[i].mobile;
    }
    qsort(hosts, *count, sizeof(*hosts), compare_names);
    return hosts;
}

static void note_rule(void *arg, uint32_t rule UNUSED)
{
    *(bool *)arg = true;
}

struct unknown_hosts {
    const struct host_index *rules;
    const struct str *table;
    size_t table_count;
    struct complaints *complaints;
    size_t shown;
};

/* What a rule names is not in need of a wiki. */
static void look_at_host(struct unknown_hosts *unknown, const struct split_host_conf *host)
{
    bool is_known = bsearch(&host->host, unknown->table, unknown->table_count,
                            sizeof(*unknown->table), compare_names) != NULL;

    if (!is_known)
        host_index_find(unknown->rules, host->host, note_rule, &is_known);
    if (is_known || unknown->shown++ >= UNKNOWN_HOSTS_SHOWN)
        return;
    complaints_warn(unknown->complaints, host->place,
                    "\"%s\" has a share, but no wiki of the table has this host", host->host.ptr);
}

static void review_hosts(const struct config *config, const struct router_conf *router,
                         struct complaints *complaints)
{
    struct host_index rules;
    struct unknown_hosts unknown = {.rules = &rules, .complaints = complaints};

    if (config->wiki_count == 0)
        return;
    struct str *table = table_hosts(config, &unknown.table_count);
    unknown.table = table;
    host_index_init(&rules, router);
    for (size_t i = 0; i < router->split.host_count; i++)
        look_at_host(&unknown, &router->split.hosts[i]);
    if (unknown.shown > UNKNOWN_HOSTS_SHOWN)
        complaints_warn(complaints, router->place,
                        "%zu more hosts of router \"%s\" have a share, but no wiki has them",
                        unknown.shown - UNKNOWN_HOSTS_SHOWN, router->name.ptr);
    host_index_deinit(&rules);
    free(table);
}

void review_split(const struct config *config, const struct router_conf *router,
                  struct complaints *complaints)
{
    review_shares(router, complaints);
    review_hosts(config, router, complaints);
}
