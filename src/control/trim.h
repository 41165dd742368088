/* Gives memory that was freed, but that malloc keeps, back to the kernel. After a flood that can be
 * most of the process, and the overload level would never fall. Control thread. */
#pragma once

#include "base/base.h"

struct trim {
    bool is_set;
    uint64_t slack_bytes; /* the least since memory was given back; see trim.c */
    unsigned ticks;       /* for how many ticks there has been much more */
};

/* Is it time to give memory back? `memory_bytes` are resident; `used_bytes` are accounted for. Called
 * at every tick of the overload watch. The figures may be half a second old, so TRIM_TICKS ticks must
 * agree. An amount that is small beside the whole is not worth the time. */
enum { TRIM_TICKS = 4, TRIM_STEP = 4 * 1024 * 1024, TRIM_SHARE = 16 };
bool trim_is_due(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes);

/* Gives it back; answers the resident bytes that are left. */
uint64_t trim_now(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes);
