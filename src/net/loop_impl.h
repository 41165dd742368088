/* What only net/ sees of the loop. */
#pragma once

#include "net/loop.h"

/* Every connection of this loop, so that loop_free can close what still lingers. */
struct list *loop_conns(struct loop *loop);

/* Runs `task` in the next turn, without sleeping before it: for work that was cut short so that
 * others get their share. Harmless when the task is queued already. */
void loop_defer_next(struct loop *loop, struct task *task);
