/* Which rules are about a host, found without looking at all of them; and which hosts of the table
 * of wikis nothing is about. */
#include "config/fold.h"
#include "config/review_impl.h"

#include <stdlib.h>

/* --- the index ------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const struct host_entry *a = left, *b = right;
    int order = str_cmp(a->name, b->name);

    return order != 0 ? order : (int)a->is_suffix - (int)b->is_suffix;
}

void host_index_init(struct host_index *index, const struct router_conf *router)
{
    size_t count = 0;

    for (size_t i = 0; i < router->rule_count; i++)
        count += router->rules[i].match.host_count;
    index->items = mem_new(MAX(count, 1) * sizeof(*index->items));
    index->count = 0;
    for (size_t i = 0; i < router->rule_count; i++) {
        const struct match_conf *match = &router->rules[i].match;
        for (size_t j = 0; j < match->host_count; j++) {
            const struct host_match_conf *host = &match->hosts[j];
            if (!host->is_regex)
                index->items[index->count++] =
                    (struct host_entry){host->name, host->is_suffix, (uint32_t)i};
        }
    }
    if (index->count > 1)
        qsort(index->items, index->count, sizeof(*index->items), compare_entries);
}

void host_index_deinit(struct host_index *index)
{
    free(index->items);
    *index = (struct host_index){NULL, 0};
}

static void find_entries(const struct host_index *index, struct host_entry key, host_visit *visit,
                         void *arg)
{
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_entries(&index->items[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < index->count && compare_entries(&index->items[low], &key) == 0; low++)
        visit(arg, index->items[low].rule);
}

void host_index_find(const struct host_index *index, struct str host, host_visit *visit, void *arg)
{
    struct str label;

    find_entries(index, (struct host_entry){host, false, 0}, visit, arg);
    while (str_cut(host, '.', &label, &host))
        find_entries(index, (struct host_entry){host, true, 0}, visit, arg);
}

/* --- hosts that nothing is about ------------------------------------------------------------- */

static void on_rule(void *arg, uint32_t rule UNUSED)
{
    *(bool *)arg = true;
}

static int compare_host(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, ((const struct split_host_conf *)item)->host);
}

static bool is_listed(const struct split_conf *split, struct str host)
{
    return split->host_count > 0 && bsearch(&host, split->hosts, split->host_count,
                                            sizeof(*split->hosts), compare_host) != NULL;
}

static int compare_places(const void *left, const void *right)
{
    const struct wiki_conf *a = *(const struct wiki_conf *const *)left,
                           *b = *(const struct wiki_conf *const *)right;

    return (a->place.line > b->place.line) - (a->place.line < b->place.line);
}

static bool is_named(const struct config *config, const struct host_index *indices,
                     const struct wiki_conf *wiki)
{
    bool is_found = false;

    for (size_t i = 0; i < config->router_count && !is_found; i++) {
        is_found = is_listed(&config->routers[i].split, wiki->host);
        host_index_find(&indices[i], wiki->host, on_rule, &is_found);
    }
    return is_found;
}

size_t config_review_hosts(const struct config *config, review_host *found, void *arg)
{
    struct host_index *indices = mem_new((config->router_count + 1) * sizeof(*indices));
    const struct wiki_conf **unnamed = mem_new((config->wiki_count + 1) * sizeof(*unnamed));
    size_t count = 0;

    for (size_t i = 0; i < config->router_count; i++)
        host_index_init(&indices[i], &config->routers[i]);
    for (size_t i = 0; i < config->wiki_count; i++) {
        if (!is_named(config, indices, &config->wikis[i]))
            unnamed[count++] = &config->wikis[i];
    }
    if (count > 1)
        qsort(unnamed, count, sizeof(*unnamed), compare_places);
    for (size_t i = 0; i < count; i++)
        found(arg, unnamed[i]);
    for (size_t i = 0; i < config->router_count; i++)
        host_index_deinit(&indices[i]);
    free(indices);
    free(unnamed);
    return count;
}
