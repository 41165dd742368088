/* Slack is resident memory that is not accounted for: the program itself, the configuration, and what
 * malloc keeps. Only the last of these grows and shrinks, so memory is given back when there is much
 * more slack than before. A process that grows because it has more work has more memory that is
 * accounted for, so its slack does not grow. */
#include "control/trim.h"

#include "base/log.h"
#include "control/overload.h"

#include <malloc.h>

static uint64_t slack_of(uint64_t memory_bytes, uint64_t used_bytes)
{
    return memory_bytes > used_bytes ? memory_bytes - used_bytes : 0;
}

bool trim_is_due(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes)
{
    uint64_t slack = slack_of(memory_bytes, used_bytes);
    uint64_t step = MAX((uint64_t)TRIM_STEP, memory_bytes / TRIM_SHARE);

    trim->slack_bytes = trim->is_set ? MIN(trim->slack_bytes, slack) : slack;
    trim->is_set = true;
    trim->ticks = slack >= trim->slack_bytes + step ? trim->ticks + 1 : 0;
    return trim->ticks >= TRIM_TICKS;
}

uint64_t trim_now(struct trim *trim, uint64_t memory_bytes, uint64_t used_bytes)
{
    malloc_trim(0);
    uint64_t left = overload_memory_now();
    *trim = (struct trim){.is_set = true, .slack_bytes = slack_of(left, used_bytes)};
    LOG_LIMITED(LOG_LEVEL_INFO, "memory_given_back", "before=%llu after=%llu",
                (unsigned long long)memory_bytes, (unsigned long long)left);
    return left;
}
