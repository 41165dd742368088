/* A worker's counters: made zeroed, groups linked in once and never out, so that the control thread
 * may read at any time without a lock. */
#include "observe/metrics.h"

#include <stdio.h>
#include <stdlib.h>

struct metrics *metrics_new(void)
{
    return mem_new(sizeof(struct metrics));
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    struct group_metrics *group = atomic_load(&metrics->groups);
    while (group != NULL) {
        struct group_metrics *next = group->next;
        free(group);
        group = next;
    }
    free(metrics);
}

static void copy_label(char *out, size_t size, struct str label)
{
    size_t len = MIN(label.len, size - 1);

    if (len > 0)
        memcpy(out, label.ptr, len);
    out[len] = '\0';
}

struct group_metrics *metrics_group(struct metrics *metrics, struct str name, struct str side)
{
    struct group_metrics *first = atomic_load_explicit(&metrics->groups, memory_order_relaxed);
    struct group_metrics label = {0};

    copy_label(label.name, sizeof(label.name), name);
    copy_label(label.side, sizeof(label.side), side);
    for (struct group_metrics *group = first; group != NULL; group = group->next) {
        if (strcmp(group->name, label.name) == 0 && strcmp(group->side, label.side) == 0)
            return group;
    }

    struct group_metrics *group = mem_new(sizeof(*group));
    memcpy(group->name, label.name, sizeof(group->name));
    memcpy(group->side, label.side, sizeof(group->side));
    group->next = first;
    atomic_store_explicit(&metrics->groups, group, memory_order_release);
    return group;
}
