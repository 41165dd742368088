/* One ring of slots and a bitmap of those in use, so that finding the next is a few word operations
 * and an idle worker can sleep until something is really filed. A slot whose nodes have all left
 * keeps its bit until the wheel looks there: that costs at most one needless look. */
#include "net/wheel_impl.h"

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    *wheel = (struct wheel){.done_tick = now_ms / WHEEL_TICK_MS, .next_tick = WHEEL_NEVER};
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

static void slot_clear(struct wheel *wheel, size_t slot)
{
    wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* The first occupied tick at or after `from`; drops the bits of slots that have been emptied. */
static int64_t wheel_scan(struct wheel *wheel, int64_t from)
{
    int64_t tick = from, end = from + WHEEL_SLOTS;

    while (tick < end) {
        size_t slot = (size_t)tick % WHEEL_SLOTS;
        uint64_t word = wheel->occupied[slot / 64] >> (slot % 64);
        if (word == 0) {
            tick += (int64_t)(64 - slot % 64);
            continue;
        }
        tick += __builtin_ctzll(word);
        slot = (size_t)tick % WHEEL_SLOTS;
        if (tick < end && !list_is_empty(&wheel->slots[slot]))
            return tick;
        slot_clear(wheel, slot);
        tick++;
    }
    return WHEEL_NEVER;
}

static void wheel_file(struct wheel *wheel, struct deadline *deadline, int64_t now_ms)
{
    /* Nothing is filed between done_tick and next_tick, so an idle time needs no walking. */
    int64_t idle_until = MIN(now_ms / WHEEL_TICK_MS, wheel->next_tick - 1);
    wheel->done_tick = MAX(wheel->done_tick, idle_until);

    int64_t tick = (deadline->at_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    tick = MAX(tick, wheel->done_tick + 1);
    tick = MIN(tick, wheel->done_tick + WHEEL_SLOTS - 1);

    size_t slot = (size_t)tick % WHEEL_SLOTS;
    list_remove(&deadline->node);
    list_push_back(&wheel->slots[slot], &deadline->node);
    wheel->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
    deadline->filed_ms = tick * WHEEL_TICK_MS;
    wheel->next_tick = MIN(wheel->next_tick, tick);
}

void wheel_set(struct wheel *wheel, struct deadline *deadline, int64_t at_ms, int64_t now_ms)
{
    deadline->at_ms = at_ms;
    if (list_is_linked(&deadline->node) && deadline->filed_ms < at_ms + WHEEL_TICK_MS)
        return;
    wheel_file(wheel, deadline, now_ms);
}

static void wheel_look(struct wheel *wheel, struct deadline *deadline, int64_t now_ms)
{
    if (!deadline_is_set(deadline))
        return;
    if (deadline->at_ms > now_ms) {
        wheel_file(wheel, deadline, now_ms);
        return;
    }
    deadline->at_ms = 0;
    deadline->fire(deadline);
}

void wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    int64_t target = now_ms / WHEEL_TICK_MS;

    while (wheel->next_tick <= target) {
        int64_t tick = wheel->next_tick;
        size_t slot = (size_t)tick % WHEEL_SLOTS;
        struct list due;

        list_init(&due);
        list_splice(&due, &wheel->slots[slot]);
        slot_clear(wheel, slot);
        wheel->done_tick = tick;
        wheel->next_tick = wheel_scan(wheel, tick + 1);

        /* One at a time from the front: a callback may take any other out of the list. */
        for (struct list *node; (node = list_pop_front(&due)) != NULL;)
            wheel_look(wheel, CONTAINER_OF(node, struct deadline, node), now_ms);
    }
}
