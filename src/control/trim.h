/* Memory that was freed but that malloc keeps. After a flood that can be most of the process, and
 * the overload manager would see a process that never gets better. Control thread. */
#pragma once

#include "base/base.h"

struct trim {
    bool is_set;
    uint64_t slack_bytes; /* the least that was seen since memory was given back */
    unsigned ticks;       /* how long there has been much more */
};

/* Is it time to give memory back? `memory_bytes` are resident, `used_bytes` is what can be
 * accounted for. Asked at every tick of the overload manager; the figures may be half a second old,
 * so it takes TRIM_TICKS of the same. What is little beside the whole is not worth it. */
enum { TRIM_TICKS = 4, TRIM_STEP = 4 * 1024 * 1024, TRIM_SHARE = 16 };
bool trim_is_due(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes);

/* Gives it back; answers the resident bytes that are left. */
uint64_t trim_now(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes);
