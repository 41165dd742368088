/* Figures of groups that have left the configuration. The worker counts their users, the control
 * thread marks them as expired, and the worker frees them. So the worker never waits, and the
 * control thread never reads freed memory. */
#include "observe/group_metrics_impl.h"

#include <stdlib.h>
#include <string.h>

enum { UNSEEN_FACTOR = 10 }; /* times keep_ms, when no page has shown them */

struct group_metrics *group_metrics_new(void)
{
    struct group_metrics *group = mem_new(sizeof(*group));

    group->fate = mem_new(sizeof(*group->fate));
    return group;
}

void group_metrics_free(struct group_metrics *group)
{
    free(group->fate);
    free(group);
}

static bool is_expired(const struct group_metrics *group)
{
    return atomic_load_explicit(&group->is_expired, memory_order_relaxed);
}

bool group_metrics_is_shown(const struct group_metrics *group)
{
    return !is_expired(group) || metric_get(&group->users) > 0;
}

/* --- the worker ------------------------------------------------------------------------------ */

void metrics_group_release(struct group_metrics **group)
{
    if (*group != NULL)
        metric_sub(&(*group)->users, 1);
    *group = NULL;
}

static void unlink_next(struct metrics *metrics, struct group_metrics *before,
                        struct group_metrics *group)
{
    if (before != NULL)
        before->next = group->next;
    else
        atomic_store_explicit(&metrics->groups, group->next, memory_order_release);
    group_metrics_free(group);
}

void metrics_free_expired(struct metrics *metrics)
{
    struct group_metrics *before = NULL, *next;

    if (pthread_mutex_trylock(&metrics->lock) != 0)
        return; /* another thread reads them: try again the next time */
    for (struct group_metrics *group = atomic_load_explicit(&metrics->groups, memory_order_relaxed);
         group != NULL; group = next) {
        next = group->next;
        if (is_expired(group) && metric_get(&group->users) == 0)
            unlink_next(metrics, before, group);
        else
            before = group;
    }
    pthread_mutex_unlock(&metrics->lock);
}

/* --- the control thread ---------------------------------------------------------------------- */

static struct group_metrics *first_group(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->groups, memory_order_acquire);
}

void metrics_note_shown(struct metrics *const *workers, size_t count)
{
    for (size_t w = 0; w < count; w++) {
        pthread_mutex_lock(&workers[w]->lock);
        for (struct group_metrics *group = first_group(workers[w]); group != NULL;
             group = group->next)
            group->fate->is_shown = true;
        pthread_mutex_unlock(&workers[w]->lock);
    }
}

void metrics_mark_groups(struct metrics *const *workers, size_t count,
                         bool (*is_in_force)(void *arg, struct str name), void *arg)
{
    for (size_t w = 0; w < count; w++) {
        pthread_mutex_lock(&workers[w]->lock);
        for (struct group_metrics *group = first_group(workers[w]); group != NULL;
             group = group->next)
            *group->fate = (struct group_fate){.is_out = !is_in_force(arg, str_of(group->name))};
        pthread_mutex_unlock(&workers[w]->lock);
    }
}

/* Figures of one name expire in all workers at once, so that their sum never shrinks. */
static bool is_used_anywhere(struct metrics *const *workers, size_t count,
                             const struct group_metrics *like)
{
    for (size_t w = 0; w < count; w++) {
        for (const struct group_metrics *group = first_group(workers[w]); group != NULL;
             group = group->next) {
            if (strcmp(group->name, like->name) == 0 && metric_get(&group->users) > 0)
                return true;
        }
    }
    return false;
}

static void expire_everywhere(struct metrics *const *workers, size_t count,
                              const struct group_metrics *like)
{
    for (size_t w = 0; w < count; w++) {
        for (struct group_metrics *group = first_group(workers[w]); group != NULL;
             group = group->next) {
            if (strcmp(group->name, like->name) == 0)
                atomic_store_explicit(&group->is_expired, true, memory_order_relaxed);
        }
    }
}

static void consider(struct metrics *const *workers, size_t count, struct group_metrics *group,
                     int64_t now_ms, int64_t keep_ms)
{
    struct group_fate *fate = group->fate;

    if (!fate->is_out || is_expired(group))
        return;
    if (is_used_anywhere(workers, count, group)) {
        fate->unused_at_ms = 0;
        return;
    }
    if (fate->unused_at_ms == 0) {
        fate->unused_at_ms = now_ms;
        fate->is_shown = false;
    }
    int64_t unused_ms = now_ms - fate->unused_at_ms;
    if (unused_ms >= (fate->is_shown ? keep_ms : keep_ms * UNSEEN_FACTOR))
        expire_everywhere(workers, count, group);
}

void metrics_expire_groups(struct metrics *const *workers, size_t count, int64_t now_ms,
                           int64_t keep_ms)
{
    for (size_t w = 0; w < count; w++)
        pthread_mutex_lock(&workers[w]->lock);
    for (size_t w = 0; w < count; w++) {
        for (struct group_metrics *group = first_group(workers[w]); group != NULL;
             group = group->next)
            consider(workers, count, group, now_ms, keep_ms);
    }
    for (size_t w = 0; w < count; w++)
        pthread_mutex_unlock(&workers[w]->lock);
}
