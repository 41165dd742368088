/* A worker's targets. When a configuration is adopted, old targets that match are configured anew
 * and keep their connections; the others retire. */
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
    free(upstream->targets);
    free(upstream->first_target);
    free(upstream->retry_budgets);
    free(upstream);
}

/* --- adopting -------------------------------------------------------------------------------- */

static struct tls_client *client_of(const struct upstream *upstream, struct tls_client_plan *plan)
{
    return plan != NULL ? tls_client_new(upstream->library, plan) : NULL;
}

static bool choice_has(const struct choice_conf *choice, int group)
{
    for (size_t i = 0; i < choice->count; i++) {
        if (choice->weights[i].group == group)
            return true;
    }
    return false;
}

/* The side of the migration a group is on, as far as that is one: a label for its figures. */
static struct str side_of(const struct config *config, int group)
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
        return STR("-"); /* as the proxy says for none */
    return is_legacy ? STR("legacy") : STR("k8s");
}

/* Takes the target that matches out of the old ones, so that none is used twice. */
static struct target *take_old(struct upstream *upstream, const struct group_conf *group,
                               const struct target_conf *conf, const struct tls_client_plan *plan)
{
    for (size_t i = 0; i < upstream->target_count; i++) {
        struct target *target = upstream->targets[i];
        if (target != NULL && target_matches(target, group, conf, plan)) {
            upstream->targets[i] = NULL;
            return target;
        }
    }
    return NULL;
}

static const struct retry_budget *find_budget(const struct upstream *upstream, struct str name)
{
    const struct config *config = upstream->config;

    for (size_t i = 0; config != NULL && i < config->group_count; i++) {
        if (str_eq(config->groups[i].name, name))
            return &upstream->retry_budgets[i];
    }
    return NULL;
}

/* A group that stays keeps what it has saved or owes. */
static struct retry_budget *carry_budgets(const struct upstream *upstream,
                                          const struct config *config)
{
    struct retry_budget *budgets = mem_new(sizeof(*budgets) * MAX(config->group_count, 1u));

    for (size_t i = 0; i < config->group_count; i++) {
        const struct retry_budget *old = find_budget(upstream, config->groups[i].name);
        if (old != NULL)
            budgets[i] = *old;
    }
    return budgets;
}

static size_t count_targets(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->group_count; i++)
        count += config->groups[i].target_count;
    return count;
}

static void retire_rest(struct upstream *upstream)
{
    for (size_t i = 0; i < upstream->target_count; i++) {
        if (upstream->targets[i] != NULL)
            target_retire(upstream->targets[i]);
    }
    free(upstream->targets);
    free(upstream->first_target);
}

void upstream_adopt(struct upstream *upstream, const struct config *config,
                    struct tls_client_plan *const *plans)
{
    size_t count = count_targets(config), next = 0;
    struct target **targets = mem_new(sizeof(*targets) * MAX(count, 1u));
    size_t *first = mem_new(sizeof(*first) * (config->group_count + 1));
    for (size_t g = 0; g < config->group_count; g++) {
        const struct group_conf *group = &config->groups[g];
        struct tls_client_plan *plan = group->tls != NULL ? plans[g] : NULL;
        struct tls_client *client = client_of(upstream, plan);
        first[g] = next;
        for (size_t i = 0; i < group->target_count; i++) {
            const struct target_conf *conf = &group->targets[i];
            struct target *target = take_old(upstream, group, conf, plan);
            if (target == NULL)
                target = target_new(upstream, group, conf, plan, side_of(config, (int)g));
            target_configure(target, group, conf, client);
            targets[next++] = target;
        }
        tls_client_unref(&client);
    }
    first[config->group_count] = next;

    struct retry_budget *budgets = carry_budgets(upstream, config);

    retire_rest(upstream);
    free(upstream->retry_budgets);
    upstream->retry_budgets = budgets;
    upstream->config = config;
    upstream->targets = targets;
    upstream->first_target = first;
    upstream->target_count = count;
}

struct target *upstream_target(struct upstream *upstream, int group, int target)
{
    ASSERT(group >= 0 && (size_t)group < upstream->config->group_count && target >= 0);
    size_t at = upstream->first_target[group] + (size_t)target;
    ASSERT(at < upstream->first_target[group + 1]);
    return upstream->targets[at];
}

/* --- the retry budget ------------------------------------------------------------------------ */

void upstream_earn_retry(struct upstream *upstream, int group)
{
    ASSERT(group >= 0 && (size_t)group < upstream->config->group_count);
    retry_budget_earn(&upstream->retry_budgets[group],
                      &upstream->config->groups[group].retry_budget);
}

bool upstream_spend_retry(struct upstream *upstream, int group)
{
    ASSERT(group >= 0 && (size_t)group < upstream->config->group_count);
    return retry_budget_spend(&upstream->retry_budgets[group],
                              &upstream->config->groups[group].retry_budget,
                              loop_now_ms(upstream->loop));
}

/* --- endpoint sets --------------------------------------------------------------------------- */

static void refresh_users(struct upstream *upstream, struct str key)
{
    for (size_t i = 0; i < upstream->target_count; i++) {
        if (target_uses_name(upstream->targets[i], key))
            target_refresh(upstream->targets[i]);
    }
}

/* Targets that still use a forgotten key keep their endpoints until the configuration without it
 * comes. */
static void on_endpoints(void *arg, const struct letter *letter)
{
    struct upstream *upstream = arg;
    const struct endpoint_letter *about = CONTAINER_OF(letter, struct endpoint_letter, letter);

    endpoint_sets_apply(&upstream->sets, about);
    if (about->news == ENDPOINTS_CHANGED)
        refresh_users(upstream, about->set->key);
}

void upstream_receive(struct upstream *upstream, struct mailbox *mailbox)
{
    mailbox_receive(mailbox, &endpoint_letter_kind, on_endpoints, upstream);
}
