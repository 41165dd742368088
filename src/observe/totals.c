/* Adds up what the workers counted, and subtracts snapshots. Pure arithmetic: when a snapshot is
 * taken, and how many are kept, is for the callers to decide. */
#include "observe/totals.h"

#include "observe/group_metrics_impl.h"

#include <stdlib.h>

enum { TABLE_FIRST = 16 };

uint64_t totals_counter(struct metrics *const *workers, size_t count, enum counter counter)
{
    uint64_t sum = 0;

    for (size_t w = 0; w < count; w++)
        sum += metric_get(&workers[w]->counters[counter]);
    return sum;
}

static uint64_t not_negative(uint64_t value)
{
    return (int64_t)value < 0 ? 0 : value;
}

uint64_t totals_gauge(struct metrics *const *workers, size_t count, enum gauge gauge)
{
    uint64_t sum = 0;

    for (size_t w = 0; w < count; w++)
        sum += metric_get(&workers[w]->gauges[gauge]);
    return not_negative(sum);
}

/* --- snapshots ------------------------------------------------------------------------------- */

static struct totals *append(struct totals_table *table)
{
    if (table->count == table->capacity) {
        table->capacity = MAX(table->capacity * 2, (size_t)TABLE_FIRST);
        table->items = mem_resize(table->items, table->capacity * sizeof(table->items[0]));
    }
    struct totals *totals = &table->items[table->count++];
    memset(totals, 0, sizeof(*totals));
    return totals;
}

static struct totals *entry_of(struct totals_table *table, const struct group_metrics *group)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->items[i].name, group->name) == 0)
            return &table->items[i];
    }
    struct totals *totals = append(table);
    memcpy(totals->name, group->name, sizeof(totals->name));
    totals->side = atomic_load_explicit(&group->side, memory_order_relaxed);
    return totals;
}

static void add_worker(struct totals *sum, const struct group_metrics *group)
{
    sum->requests += metric_get(&group->requests);
    sum->retries += metric_get(&group->retries);
    sum->retries_denied += metric_get(&group->retries_denied);
    sum->connects += metric_get(&group->connects);
    sum->connect_failures += metric_get(&group->connect_failures);
    sum->active += metric_get(&group->active);
    for (unsigned i = 0; i < STATUS_CLASSES; i++)
        sum->responses[i] += metric_get(&group->responses[i]);
    for (unsigned i = 0; i < REASON_COUNT; i++)
        sum->failures[i] += metric_get(&group->failures[i]);
    histogram_sum(&sum->duration, &group->duration);
    histogram_sum(&sum->connect_time, &group->connect_time);
}

static int by_name(const void *left, const void *right)
{
    const struct totals *a = left, *b = right;

    return strcmp(a->name, b->name);
}

void totals_collect(struct totals_table *table, struct metrics *const *workers, size_t count)
{
    table->count = 0;
    for (size_t w = 0; w < count; w++) {
        pthread_mutex_lock(&workers[w]->lock);
        const struct group_metrics *group =
            atomic_load_explicit(&workers[w]->groups, memory_order_acquire);
        for (; group != NULL; group = group->next) {
            if (group_metrics_is_shown(group))
                add_worker(entry_of(table, group), group);
        }
        pthread_mutex_unlock(&workers[w]->lock);
    }
    for (size_t i = 0; i < table->count; i++)
        table->items[i].active = not_negative(table->items[i].active);
    if (table->count > 1)
        qsort(table->items, table->count, sizeof(table->items[0]), by_name);
}

void totals_table_deinit(struct totals_table *table)
{
    free(table->items);
    *table = (struct totals_table){0};
}

static int name_order(const void *key, const void *item)
{
    const struct str *name = key;
    const struct totals *totals = item;
    struct str other = str_of(totals->name);
    int order = memcmp(name->ptr, other.ptr, MIN(name->len, other.len));

    if (order == 0)
        order = name->len < other.len ? -1 : name->len > other.len;
    return order;
}

const struct totals *totals_find(const struct totals_table *table, struct str group)
{
    if (table->count == 0 || group.len == 0)
        return NULL;
    return bsearch(&group, table->items, table->count, sizeof(table->items[0]), name_order);
}

/* --- windows --------------------------------------------------------------------------------- */

/* A counter that is smaller than before began again at 0. Figures of a group are freed as a
 * whole, so the requests tell it for all of them, and a window never mixes both lives of a
 * group. */
static bool began_again(const struct totals *before, const struct totals *after)
{
    return after->requests < before->requests || after->connects < before->connects ||
           after->duration.sum_us < before->duration.sum_us;
}

/* Counters are read while workers count, so one can be a little behind another; never below 0. */
static uint64_t since(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

static void subtract_histogram(struct histogram_sum *from, const struct histogram_sum *before)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        from->bucket[i] = since(before->bucket[i], from->bucket[i]);
    from->sum_us = since(before->sum_us, from->sum_us);
}

static void subtract(struct totals *from, const struct totals *before)
{
    from->requests = since(before->requests, from->requests);
    from->retries = since(before->retries, from->retries);
    from->retries_denied = since(before->retries_denied, from->retries_denied);
    from->connects = since(before->connects, from->connects);
    from->connect_failures = since(before->connect_failures, from->connect_failures);
    for (unsigned i = 0; i < STATUS_CLASSES; i++)
        from->responses[i] = since(before->responses[i], from->responses[i]);
    for (unsigned i = 0; i < REASON_COUNT; i++)
        from->failures[i] = since(before->failures[i], from->failures[i]);
    subtract_histogram(&from->duration, &before->duration);
    subtract_histogram(&from->connect_time, &before->connect_time);
}

void totals_window(const struct totals_table *before, const struct totals_table *after,
                   struct totals_table *window)
{
    ASSERT(window != before && window != after);
    window->count = 0;
    for (size_t i = 0; i < after->count; i++) {
        struct totals *totals = append(window);
        *totals = after->items[i];
        const struct totals *old = totals_find(before, str_of(totals->name));
        if (old != NULL && !began_again(old, totals))
            subtract(totals, old);
    }
}

/* --- sums of groups -------------------------------------------------------------------------- */

static void add_histogram(struct histogram_sum *sum, const struct histogram_sum *more)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->bucket[i] += more->bucket[i];
    sum->sum_us += more->sum_us;
}

void totals_add(struct totals *sum, const struct totals *group)
{
    sum->requests += group->requests;
    sum->retries += group->retries;
    sum->retries_denied += group->retries_denied;
    sum->connects += group->connects;
    sum->connect_failures += group->connect_failures;
    sum->active += group->active;
    for (unsigned i = 0; i < STATUS_CLASSES; i++)
        sum->responses[i] += group->responses[i];
    for (unsigned i = 0; i < REASON_COUNT; i++)
        sum->failures[i] += group->failures[i];
    add_histogram(&sum->duration, &group->duration);
    add_histogram(&sum->connect_time, &group->connect_time);
}

struct totals totals_of_side(const struct totals_table *table, struct str side)
{
    struct totals sum = {.side = ""};

    for (size_t i = 0; i < table->count; i++) {
        if (!str_eq(str_of(table->items[i].side), side))
            continue;
        sum.side = table->items[i].side;
        totals_add(&sum, &table->items[i]);
    }
    return sum;
}
