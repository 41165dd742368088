/* Descriptor limits. */
#include "control/limits.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* OWN: for listeners, loops, logs, DNS, the admin port and the files that a reload reads. LENT: how
 * many of those may become upstream connections when clients have taken all others. */
enum { OWN_DESCRIPTORS = 64, LENT_DESCRIPTORS = 32 };

void limits_raise_descriptors(uint32_t max_connections)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            LOG_WARN("descriptor_limit", "error=\"%s\"", strerror(errno));
            return;
        }
    }
    uint64_t wanted = (uint64_t)max_connections * 2 + OWN_DESCRIPTORS;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
        LOG_WARN("descriptor_limit", "have=%llu wanted=%llu max_connections=%u",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)wanted, max_connections);
}

struct descriptor_limits limits_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur <= OWN_DESCRIPTORS)
        return (struct descriptor_limits){0};
    uint32_t accept_max = (uint32_t)MIN(limit.rlim_cur, (rlim_t)INT32_MAX) - OWN_DESCRIPTORS;
    return (struct descriptor_limits){accept_max, accept_max + LENT_DESCRIPTORS};
}
