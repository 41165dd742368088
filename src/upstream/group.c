/* Groups: found by name at a reload, and configured anew. Which target a new configuration keeps is
 * decided here; what a target does is target.c. */
#include "upstream/group_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upstream_impl.h"

#include <stdlib.h>

/* --- life ------------------------------------------------------------------------------------ */

struct group *group_new(struct upstream *upstream, const struct group_conf *conf, const char *side)
{
    struct group *group = mem_new(sizeof(*group));

    _Static_assert(sizeof(group->metrics->name) > GROUP_NAME_MAX, "the label is the whole name");
    group->upstream = upstream;
    group->refs = 1;
    group->name = str_copy(conf->name);
    group->conf = conf;
    group->metrics = metrics_group(upstream->metrics, conf->name, side);
    return group;
}

struct group *group_ref(struct group *group)
{
    group->refs++;
    return group;
}

void group_unref(struct group **slot)
{
    struct group *group = *slot;

    *slot = NULL;
    if (group == NULL || --group->refs > 0)
        return;
    metrics_group_release(&group->metrics);
    free(group->targets);
    free(group->name);
    free(group);
}

/* --- configuration --------------------------------------------------------------------------- */

/* Takes the target that matches out of the old ones, so that none is used twice. Targets rarely
 * move, so that of index `likely` is looked at first. */
static struct target *take_old(struct group *group, size_t likely, const struct target_conf *conf,
                               const struct tls_client_plan *plan)
{
    for (size_t i = 0; i < group->target_count; i++) {
        struct target **old = &group->targets[(likely + i) % group->target_count];
        if (*old != NULL && target_matches(*old, group->conf, conf, plan)) {
            struct target *target = *old;
            *old = NULL;
            return target;
        }
    }
    return NULL;
}

static void retire_targets(struct group *group)
{
    for (size_t i = 0; i < group->target_count; i++) {
        if (group->targets[i] != NULL)
            target_retire(group->targets[i]);
    }
    free(group->targets);
    group->targets = NULL;
    group->target_count = 0;
}

static struct tls_client *client_of(const struct upstream *upstream, struct tls_client_plan *plan)
{
    return plan != NULL ? tls_client_new(upstream->library, plan) : NULL;
}

void group_configure(struct group *group, const struct group_conf *conf,
                     struct tls_client_plan *plan, const char *side)
{
    struct tls_client *client = client_of(group->upstream, plan);
    struct target **targets = mem_new(sizeof(*targets) * MAX(conf->target_count, 1u));

    group->conf = conf;
    metrics_group_set_side(group->metrics, side);
    for (size_t i = 0; i < conf->target_count; i++) {
        targets[i] = take_old(group, i, &conf->targets[i], plan);
        if (targets[i] == NULL)
            targets[i] = target_new(group, &conf->targets[i], plan);
        target_configure(targets[i], &conf->targets[i], client);
    }
    retire_targets(group);
    group->targets = targets;
    group->target_count = conf->target_count;
    tls_client_unref(&client);
}

/* The configuration goes when the last exchange that began under it does. An exchange of an older
 * one may need the group's numbers for longer. */
static void keep_numbers(struct group *group)
{
    group->last_conf = *group->conf;
    group->last_conf.place = (struct place){0};
    group->last_conf.name = str_of(group->name);
    group->last_conf.targets = NULL;
    group->last_conf.target_count = 0;
    group->last_conf.tls = NULL;
    group->conf = &group->last_conf;
}

void group_retire(struct group *group)
{
    keep_numbers(group);
    group->is_retired = true;
    retire_targets(group);
    group_unref(&group);
}

void group_refresh(struct group *group, struct str key)
{
    for (size_t i = 0; i < group->target_count; i++) {
        if (target_uses_name(group->targets[i], key))
            target_refresh(group->targets[i]);
    }
}

/* --- requests -------------------------------------------------------------------------------- */

struct target *group_target(const struct group *group, int target)
{
    ASSERT(target >= 0);
    return (size_t)target < group->target_count ? group->targets[target] : NULL;
}

void group_earn_retry(struct group *group)
{
    retry_budget_earn(&group->retry_budget, &group->conf->retry_budget);
}

bool group_spend_retry(struct group *group)
{
    return group->is_retired || retry_budget_spend(&group->retry_budget, &group->conf->retry_budget,
                                                   loop_now_ms(group->upstream->loop));
}
