/* Merge keys, as YAML 1.1 has them (https://yaml.org/type/merge.html): `<<: *defaults` and
 * `<<: [*first, *second]` give a mapping the keys of others. Its own keys win, then those of the
 * first source that has them. Keys keep the place where they were written. */
#include "config/yaml_impl.h"

#include <stdlib.h>

struct candidate {
    struct node *key, *item;
    size_t order; /* the mapping's own first, then source by source */
};

static int compare_names(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    int order = str_cmp(a->key->text, b->key->text);

    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static int compare_orders(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    return (a->order > b->order) - (a->order < b->order);
}

static void collect(struct candidate *all, size_t *count, const struct node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        all[*count] = (struct candidate){map->keys[i], map->items[i], *count};
        ++*count;
    }
}

/* Keeps of each name the first when that is not the mapping's own; how many are left. */
static size_t keep_new(struct candidate *all, size_t count, size_t own)
{
    size_t kept = 0;
    struct str last = {NULL, 0};

    for (size_t i = 0; i < count; i++) {
        bool is_first = last.ptr == NULL || !str_eq(all[i].key->text, last);
        last = all[i].key->text;
        if (is_first && all[i].order >= own)
            all[kept++] = all[i];
    }
    return kept;
}

size_t node_merge(struct reader *reader, struct node *map, struct node *const *sources,
                  size_t source_count)
{
    size_t own = map->count, total = own, count = 0;

    for (size_t i = 0; i < source_count; i++)
        total += sources[i]->count;
    if (total == own)
        return 0;
    struct candidate *all = mem_new(total * sizeof(*all));
    collect(all, &count, map);
    for (size_t i = 0; i < source_count; i++)
        collect(all, &count, sources[i]);
    qsort(all, count, sizeof(*all), compare_names);
    count = keep_new(all, count, own);
    if (count > 1)
        qsort(all, count, sizeof(*all), compare_orders);
    for (size_t i = 0; i < count; i++) {
        node_add(reader, map, all[i].key, all[i].item);
        map->weight += all[i].key->weight + all[i].item->weight;
    }
    free(all);
    return total;
}
