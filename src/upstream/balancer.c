/* The two ways to choose. Both try three times, ever less picky: first neither shunned nor
 * avoided, then shunned ones, then even the one to avoid; so a retry on a group of one endpoint
 * still has somewhere to go, and a group whose every endpoint has just refused is tried rather
 * than given up. */
#include "upstream/balancer.h"

#include "base/hash.h"

enum pickiness { PICK_GOOD, PICK_SHUNNED, PICK_AVOIDED, PICKINESS_COUNT };

static bool is_usable(const struct balance_case *c, int i, enum pickiness pickiness)
{
    const struct load *load = &c->loads[i];

    if (load->is_full)
        return false;
    if (i == c->avoid && pickiness < PICK_AVOIDED)
        return false;
    return load->shunned_until_ms <= c->now_ms || pickiness >= PICK_SHUNNED;
}

static bool is_worth_waiting(const struct balance_case *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct load *load = &c->loads[i];
        if (load->is_full && i != c->avoid && load->shunned_until_ms <= c->now_ms)
            return true;
    }
    return false;
}

/* How much less picky to be after `tried` found nothing; PICKINESS_COUNT: give up. */
static enum pickiness less_picky(const struct balance_case *c, enum pickiness tried)
{
    if (tried == PICK_GOOD && is_worth_waiting(c))
        return PICKINESS_COUNT;
    return (enum pickiness)(tried + 1);
}

static int next_usable(const struct balance_case *c, uint32_t from, enum pickiness pickiness)
{
    int i = (int)(from % (uint32_t)c->count);

    for (int n = 0; n < c->count; n++) {
        if (is_usable(c, i, pickiness))
            return i;
        i = i + 1 == c->count ? 0 : i + 1;
    }
    return BALANCE_NONE;
}

static bool is_lighter(const struct load *a, const struct load *b)
{
    return a->active != b->active ? a->active < b->active : a->failures < b->failures;
}

static int lighter_of_two(const struct balance_case *c, uint64_t *dice, enum pickiness pickiness)
{
    uint64_t roll = rand_next(dice);
    uint32_t first = (uint32_t)(((roll & UINT32_MAX) * (uint64_t)c->count) >> 32);
    int a = next_usable(c, first, pickiness);

    if (a == BALANCE_NONE || c->count == 1)
        return a;

    /* Drawn without the first, so that two different ones are compared. */
    uint32_t step = 1 + (uint32_t)(((roll >> 32) * (uint64_t)(c->count - 1)) >> 32);
    int b = (int)(((uint32_t)a + step) % (uint32_t)c->count);
    if (!is_usable(c, b, pickiness))
        return a;
    return is_lighter(&c->loads[b], &c->loads[a]) ? b : a;
}

int balance_least_request(const struct balance_case *c, uint64_t *dice)
{
    enum pickiness p = PICK_GOOD;
    int picked = BALANCE_NONE;

    while (c->count > 0 && p < PICKINESS_COUNT) {
        picked = lighter_of_two(c, dice, p);
        if (picked != BALANCE_NONE)
            break;
        p = less_picky(c, p);
    }
    return picked;
}

int balance_round_robin(const struct balance_case *c, uint32_t *cursor)
{
    enum pickiness p = PICK_GOOD;

    while (c->count > 0 && p < PICKINESS_COUNT) {
        int picked = next_usable(c, *cursor, p);
        if (picked != BALANCE_NONE) {
            *cursor = (uint32_t)picked + 1;
            return picked;
        }
        p = less_picky(c, p);
    }
    return BALANCE_NONE;
}

/* --- kinds ----------------------------------------------------------------------------------- */

static int pick_round_robin(struct balancer *balancer, const struct balance_case *c,
                            uint64_t *dice UNUSED)
{
    return balance_round_robin(c, &balancer->cursor);
}

static int pick_least_request(struct balancer *balancer UNUSED, const struct balance_case *c,
                              uint64_t *dice)
{
    return balance_least_request(c, dice);
}

static const struct balancer_ops kinds[] = {
    [BALANCE_ROUND_ROBIN] = {"round_robin", pick_round_robin, false},
    [BALANCE_LEAST_REQUEST] = {"least_request", pick_least_request, false},
};

void balancer_configure(struct balancer *balancer, enum balance kind)
{
    if (balancer->ops != &kinds[kind])
        *balancer = (struct balancer){.ops = &kinds[kind]};
}
