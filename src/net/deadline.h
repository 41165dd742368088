/* Deadlines: how a loop bounds a wait. They follow the monotonic clock and belong to the loop's
 * thread. */
#pragma once

#include "base/base.h"
#include "base/list.h"

struct loop;

/* A moment at which `fire` is called once. Moving a deadline later, the common case, is one store:
 * the wheel finds it too early and files it again. Precision is one wheel tick (16 ms), never
 * early. */
struct deadline {
    struct list node;
    int64_t at_ms;    /* when it is due; 0: not set */
    int64_t filed_ms; /* when the wheel looks at it next */
    void (*fire)(struct deadline *deadline);
};

void deadline_init(struct deadline *deadline, void (*fire)(struct deadline *));

/* Due `after_ms` from now (of this turn); replaces an earlier setting. */
void deadline_set(struct loop *loop, struct deadline *deadline, int64_t after_ms);

/* Never fires until set again. Cheap; the node may stay in the wheel until its slot comes round. */
static inline void deadline_clear(struct deadline *deadline)
{
    deadline->at_ms = 0;
}

/* Must be called before the memory of `deadline` goes away. */
void deadline_deinit(struct deadline *deadline);

static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->at_ms != 0;
}
