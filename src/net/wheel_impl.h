/* The timer wheel: deadlines filed by the 16 ms tick in which they have to be looked at. The time is
 * an argument, so tests need no clock. Moving a deadline later does not move its node; the
 * wheel finds it too early and files it again. */
#pragma once

#include "net/deadline.h"

enum {
    WHEEL_TICK_MS = 16,
    WHEEL_SLOTS = 512, /* horizon of 8 s; what is due later is looked at once per horizon */
};
#define WHEEL_NEVER INT64_MAX

struct wheel {
    int64_t done_tick; /* every tick up to here has been looked at */
    int64_t next_tick; /* the first slot that may hold something; WHEEL_NEVER when none does */
    uint64_t occupied[WHEEL_SLOTS / 64];
    struct list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, int64_t now_ms);

/* Sets `deadline` to `at_ms` and files it, where its present place does not do. */
void wheel_set(struct wheel *wheel, struct deadline *deadline, int64_t at_ms, int64_t now_ms);

/* Fires what is due. Callbacks may set, clear and deinit any deadline. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);

/* When wheel_advance is needed next, or WHEEL_NEVER. */
static inline int64_t wheel_next_ms(const struct wheel *wheel)
{
    return wheel->next_tick == WHEEL_NEVER ? WHEEL_NEVER : wheel->next_tick * WHEEL_TICK_MS;
}
