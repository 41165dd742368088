/* The rules that each host may meet, found when a router is made. A host meets the rules that name
 * it, those that name a suffix of it, and those for every host; the three are merged in the order
 * of the rules. So the work for a host is about the rules that it meets, not the hosts of all
 * rules. */
#include "route/route_impl.h"

#include <stdlib.h>

enum { NONE = -1, LISTS_MAX = 130 /* the host itself, and a suffix for each of its labels */ };

/* A rule names a host. The rules of one host are a list, in their order. */
struct naming {
    int32_t next; /* index in namings; NONE */
    uint16_t rule;
};

struct index {
    struct router *router;                    /* borrows */
    const struct test *rules;                 /* borrows */
    struct naming *namings;                   /* owns */
    int32_t *first_of_host, *first_of_suffix; /* own: by position in the table; NONE */
    uint16_t *for_every_host;                 /* owns: rules */
    size_t every_count;
    bool *is_last;   /* owns: by rule: a host that meets it needs no later rule */
    uint16_t *found; /* owns: of the host that is looked at */
    size_t found_count;
};

/* --- the index ------------------------------------------------------------------------------- */

static int32_t *new_firsts(const struct host_table *table)
{
    size_t count = MAX(table->rows * TABLE_ROW, 1u);
    int32_t *firsts = mem_new(count * sizeof(*firsts));

    for (size_t i = 0; i < count; i++)
        firsts[i] = NONE;
    return firsts;
}

static int32_t *first_in(const struct host_table *table, int32_t *firsts, struct str name)
{
    const struct host_record *record = host_table_find(table, name, host_hash(name));

    return record != NULL ? &firsts[record - table->records] : NULL;
}

static int32_t *first_of(struct index *index, const struct host_match_conf *host)
{
    struct router *router = index->router;

    return host->is_suffix ? first_in(&router->suffixes, index->first_of_suffix, host->name)
                           : first_in(&router->hosts, index->first_of_host, host->name);
}

static size_t name_hosts(struct index *index, size_t rule, size_t used)
{
    const struct match_conf *match = &index->router->conf->rules[rule].match;

    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex)
            continue;
        int32_t *first = first_of(index, &match->hosts[i]);
        index->namings[used] = (struct naming){.next = *first, .rule = (uint16_t)rule};
        *first = (int32_t)used++;
    }
    return used;
}

static void index_init(struct index *index, struct router *router, const struct test *rules)
{
    const struct router_conf *conf = router->conf;
    size_t namings = 0, rule_room = MAX(conf->rule_count, 1);

    for (size_t i = 0; i < conf->rule_count; i++)
        namings += conf->rules[i].match.host_count;
    *index = (struct index){
        .router = router,
        .rules = rules,
        .namings = mem_new(MAX(namings, 1) * sizeof(*index->namings)),
        .first_of_host = new_firsts(&router->hosts),
        .first_of_suffix = new_firsts(&router->suffixes),
        .for_every_host = mem_new(rule_room * sizeof(uint16_t)),
        .is_last = mem_new(rule_room * sizeof(bool)),
        .found = mem_new(rule_room * sizeof(uint16_t)),
    };
    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        bool has_pattern = has_host_pattern(match);
        if (match->host_count == 0 || has_pattern)
            index->for_every_host[index->every_count++] = (uint16_t)i;
        index->is_last[i] = match->path_count == 0 && match->method_count == 0 &&
                            match->field_count == 0 && !has_pattern;
    }
    size_t used = 0;
    for (size_t i = conf->rule_count; i-- > 0;) /* backwards: lists grow at their front */
        used = name_hosts(index, i, used);
}

static void index_deinit(struct index *index)
{
    free(index->namings);
    free(index->first_of_host);
    free(index->first_of_suffix);
    free(index->for_every_host);
    free(index->is_last);
    free(index->found);
}

/* --- a host ---------------------------------------------------------------------------------- */

struct lists {
    int32_t at[LISTS_MAX]; /* the next naming of each */
    size_t count;
};

static void lists_add(struct lists *lists, const int32_t *first)
{
    if (first != NULL && *first != NONE && lists->count < LISTS_MAX)
        lists->at[lists->count++] = *first;
}

/* Those of every suffix that `host` is below. */
static void lists_add_suffixes(struct lists *lists, struct index *index, struct str host)
{
    const struct router *router = index->router;

    for (size_t i = 0; i < router->suffix_length_count; i++) {
        size_t len = router->suffix_lengths[i];
        if (host.len > len + 1 && host.ptr[host.len - len - 1] == '.')
            lists_add(lists, first_in(&router->suffixes, index->first_of_suffix,
                                      str_skip(host, host.len - len)));
    }
}

/* The first rule that is at the head of a list; UINT32_MAX: all are at their end. */
static uint32_t next_rule(const struct index *index, const struct lists *lists, size_t every)
{
    uint32_t rule = every < index->every_count ? index->for_every_host[every] : UINT32_MAX;

    for (size_t i = 0; i < lists->count; i++) {
        if (lists->at[i] != NONE)
            rule = MIN(rule, index->namings[lists->at[i]].rule);
    }
    return rule;
}

static void lists_advance(struct lists *lists, const struct index *index, uint32_t rule)
{
    for (size_t i = 0; i < lists->count; i++) {
        while (lists->at[i] != NONE && index->namings[lists->at[i]].rule == rule)
            lists->at[i] = index->namings[lists->at[i]].next;
    }
}

static void merge(struct index *index, struct lists *lists)
{
    size_t every = 0;
    uint32_t rule;

    index->found_count = 0;
    while ((rule = next_rule(index, lists, every)) != UINT32_MAX) {
        every += every < index->every_count && index->for_every_host[every] == rule;
        lists_advance(lists, index, rule);
        index->found[index->found_count++] = (uint16_t)rule;
        if (index->is_last[rule])
            return;
    }
}

static bool is_found(const struct index *index, const struct test_set *set)
{
    for (size_t i = 0; i < set->count && set->count == index->found_count; i++) {
        if (set->tests[i].index != index->found[i])
            return false;
    }
    return set->count == index->found_count;
}

static void add_found(struct index *index)
{
    struct router *router = index->router;
    struct test *tests = mem_new(MAX(index->found_count, 1) * sizeof(*tests));

    for (size_t i = 0; i < index->found_count; i++)
        tests[i] = index->rules[index->found[i]];
    router->candidates[router->candidates_count++] = test_set_make(tests, index->found_count);
}

/* The hosts of one rule mostly meet the same rules, and then share one set. */
static void settle_host(struct index *index, const struct host_match_conf *host)
{
    struct router *router = index->router;
    struct host_table *table = host->is_suffix ? &router->suffixes : &router->hosts;
    struct host_record *record = host_table_add(table, host->name);
    struct lists lists = {.count = 0};

    if (record->candidates >= 0)
        return;
    lists_add(&lists, first_of(index, host));
    lists_add_suffixes(&lists, index, host->name);
    merge(index, &lists);
    if (!is_found(index, &router->candidates[router->candidates_count - 1]))
        add_found(index);
    record->candidates = (int32_t)router->candidates_count - 1;
}

/* --- all of them ----------------------------------------------------------------------------- */

void candidates_compile(struct router *router, const struct test *rules)
{
    const struct router_conf *conf = router->conf;
    struct lists none = {.count = 0};
    struct index index;

    index_init(&index, router, rules);
    size_t most = 1;
    for (size_t i = 0; i < conf->rule_count; i++)
        most += conf->rules[i].match.host_count;
    router->candidates = mem_new(most * sizeof(*router->candidates));
    merge(&index, &none);
    add_found(&index); /* of a host that no rule names */
    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        for (size_t h = 0; h < match->host_count; h++) {
            if (!match->hosts[h].is_regex)
                settle_host(&index, &match->hosts[h]);
        }
    }
    index_deinit(&index);
}
