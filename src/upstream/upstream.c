/* A worker's groups. When a configuration is adopted, groups that it still names are configured
 * anew; the others retire. */
#include "upstream/group_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upconn_impl.h"
#include "upstream/upstream_impl.h"

#include "base/hash.h"

#include <stdlib.h>

struct upstream *upstream_new(struct loop *loop, struct tls_library *library,
                              struct metrics *metrics)
{
    struct upstream *upstream = mem_new(sizeof(*upstream));

    upstream->loop = loop;
    upstream->library = library;
    upstream->metrics = metrics;
    upstream->dice = rand_seed();
    list_init(&upstream->all);
    list_init(&upstream->closing);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    LIST_EACH(node, &upstream->all)
    {
        target_end(CONTAINER_OF(node, struct target, node));
    }
    LIST_EACH(node, &upstream->closing)
    {
        upconn_abort(CONTAINER_OF(node, struct upconn, node));
    }
    endpoint_sets_deinit(&upstream->sets);
    for (size_t i = 0; i < upstream->group_count; i++)
        group_unref(&upstream->groups[i]);
    free(upstream->groups);
    free(upstream);
}

/* --- adopting -------------------------------------------------------------------------------- */

static bool choice_has(const struct choice_conf *choice, int group)
{
    for (size_t i = 0; i < choice->count; i++) {
        if (choice->weights[i].group == group)
            return true;
    }
    return false;
}

/* The side of the migration that a group is on: a label for its figures. "-" where the split
 * does not use it, or uses it on both sides. Debug requests and listeners with one group do not
 * count. */
static const char *side_of(const struct config *config, int group)
{
    bool is_legacy = false, is_k8s = false;

    for (size_t r = 0; r < config->router_count; r++) {
        const struct router_conf *router = &config->routers[r];
        for (size_t s = 0; s < router->service_count; s++) {
            is_legacy |= choice_has(&router->services[s].legacy, group);
            is_k8s |= choice_has(&router->services[s].k8s, group);
        }
    }
    if (is_legacy == is_k8s)
        return "-";
    return is_legacy ? "legacy" : "k8s";
}

static bool is_named(const struct group *group, struct str name)
{
    return group != NULL && str_eq(str_of(group->name), name);
}

/* Takes the group of that name out of the old ones. Groups rarely move, so that of index `likely`
 * is looked at first. */
static struct group *take_old(struct upstream *upstream, size_t likely, struct str name)
{
    for (size_t i = 0; i < upstream->group_count; i++) {
        struct group **old = &upstream->groups[(likely + i) % upstream->group_count];
        if (is_named(*old, name)) {
            struct group *group = *old;
            *old = NULL;
            return group;
        }
    }
    return NULL;
}

static void retire_rest(struct upstream *upstream)
{
    for (size_t i = 0; i < upstream->group_count; i++) {
        if (upstream->groups[i] != NULL)
            group_retire(upstream->groups[i]);
    }
    free(upstream->groups);
}

void upstream_adopt(struct upstream *upstream, const struct config *config,
                    struct tls_client_plan *const *plans)
{
    struct group **groups = mem_new(sizeof(struct group *) * MAX(config->group_count, 1u));

    for (size_t i = 0; i < config->group_count; i++) {
        const struct group_conf *conf = &config->groups[i];
        const char *side = side_of(config, (int)i);
        groups[i] = take_old(upstream, i, conf->name);
        if (groups[i] == NULL)
            groups[i] = group_new(upstream, conf, side);
        group_configure(groups[i], conf, conf->tls != NULL ? plans[i] : NULL, side);
    }
    retire_rest(upstream);
    upstream->groups = groups;
    upstream->group_count = config->group_count;
}

struct group *upstream_group(struct upstream *upstream, int group)
{
    ASSERT(group >= 0 && (size_t)group < upstream->group_count);
    return upstream->groups[group];
}

/* --- endpoint sets --------------------------------------------------------------------------- */

/* Targets that still use a forgotten key keep their endpoints until the configuration without it
 * comes. */
static void on_endpoints(void *arg, const struct letter *letter)
{
    struct upstream *upstream = arg;
    const struct endpoint_letter *about = CONTAINER_OF(letter, struct endpoint_letter, letter);

    endpoint_sets_apply(&upstream->sets, about);
    if (about->news != ENDPOINTS_CHANGED)
        return;
    for (size_t i = 0; i < upstream->group_count; i++)
        group_refresh(upstream->groups[i], about->set->key);
}

void upstream_receive(struct upstream *upstream, struct mailbox *mailbox)
{
    mailbox_receive(mailbox, &endpoint_letter_kind, on_endpoints, upstream);
}
