/* Part: watches for overload. It gathers the facts four times a second, decides with overload.h,
 * publishes the level to the workers, and gives memory that malloc keeps back to the kernel. */
#pragma once

#include "control/control.h"
#include "control/overload.h"
#include "control/trim.h"

struct overload_watch {
    struct control_part part;
    struct overload overload;
    struct overload_facts facts; /* of the last tick */
    struct trim trim;
    uint64_t memory_limit; /* the cgroup's; 0: none */
};

void overload_watch_add(struct overload_watch *watch, struct control *control);
