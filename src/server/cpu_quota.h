/* How many workers this process may keep busy: the cgroup's CPU quota, and never more than its
 * cores. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { CPU_UNLIMITED = -1 };

/* cgroup v2 cpu.max ("max 100000", "150000 100000") as thousandths of a CPU; CPU_UNLIMITED when
 * there is no limit or the text is not valid. */
int64_t cpu_max_parse(struct str text);

/* cgroup v1 cpu.cfs_quota_us and cpu.cfs_period_us ("-1" is unlimited), the same way. */
int64_t cpu_cfs_parse(struct str quota, struct str period);

/* The path of the group that limits CPU in /proc/self/cgroup, borrowed from `text`; "" when there
 * is none. Sets `*is_v2`. A v1 hierarchy with the cpu controller comes before the v2 one. */
struct str cgroup_path(struct str text, bool *is_v2);

/* Workers for so many cores and such a quota: rounded up, at least one, at most `cores`. */
unsigned workers_for(unsigned cores, int64_t quota_thousandths);

/* The number of workers for this process. */
unsigned workers_default(void);
