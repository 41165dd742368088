/* A worker's counters: made zeroed, read by the control thread at any time. Figures of groups are
 * linked in by the worker; what happens to them when their group goes is group_metrics.c. */
#include "observe/group_metrics_impl.h"

#include <stdio.h>
#include <stdlib.h>

struct metrics *metrics_new(void)
{
    struct metrics *metrics = mem_new(sizeof(*metrics));

    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    struct group_metrics *group = atomic_load(&metrics->groups);
    while (group != NULL) {
        struct group_metrics *next = group->next;
        group_metrics_free(group);
        group = next;
    }
    metrics_free_datacenters(metrics);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static void copy_label(char *out, size_t size, struct str label)
{
    size_t len = MIN(label.len, size - 1);

    if (len > 0)
        memcpy(out, label.ptr, len);
    out[len] = '\0';
}

void metrics_group_set_side(struct group_metrics *group, const char *side)
{
    atomic_store_explicit(&group->side, side, memory_order_relaxed);
}

struct group_metrics *metrics_group(struct metrics *metrics, struct str name, const char *side)
{
    struct group_metrics *first = atomic_load_explicit(&metrics->groups, memory_order_relaxed);
    char label[sizeof(first->name)];

    copy_label(label, sizeof(label), name);
    for (struct group_metrics *group = first; group != NULL; group = group->next) {
        if (strcmp(group->name, label) == 0 &&
            !atomic_load_explicit(&group->is_expired, memory_order_relaxed)) {
            metric_add(&group->users, 1);
            metrics_group_set_side(group, side);
            return group;
        }
    }

    struct group_metrics *group = group_metrics_new();
    memcpy(group->name, label, sizeof(group->name));
    metrics_group_set_side(group, side);
    metric_add(&group->users, 1);
    group->next = first;
    atomic_store_explicit(&metrics->groups, group, memory_order_release);
    return group;
}
