/* Parses the kernel's files about CPU limits. Only the functions under "reading" open files. */
#include "server/cpu_quota.h"

#include "observe/process.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum { GROUP_DEPTH_MAX = 32 };

static struct str without_newline(struct str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == ' '))
        text.len--;
    return text;
}

static int64_t quota_of(struct str quota, struct str period)
{
    uint64_t quota_us, period_us;

    if (str_to_u64(without_newline(quota), &quota_us) < 0 ||
        str_to_u64(without_newline(period), &period_us) < 0 || period_us == 0 || quota_us == 0 ||
        quota_us > UINT64_MAX / 1000)
        return CPU_UNLIMITED; /* includes "max" and "-1" */
    return (int64_t)MIN(quota_us * 1000 / period_us, (uint64_t)INT_MAX);
}

int64_t cpu_max_parse(struct str text)
{
    struct str quota, period;

    if (!str_cut(without_newline(text), ' ', &quota, &period))
        return CPU_UNLIMITED;
    return quota_of(quota, period);
}

int64_t cpu_cfs_parse(struct str quota, struct str period)
{
    return quota_of(quota, period);
}

static bool has_cpu_controller(struct str controllers)
{
    struct str name;

    while (str_next(&controllers, ',', &name)) {
        if (str_eq(name, STR("cpu")))
            return true;
    }
    return false;
}

/* Lines are "hierarchy:controllers:path"; the v2 line is "0::path". */
struct str cgroup_path(struct str text, bool *is_v2)
{
    struct str line, v2 = STR("");

    *is_v2 = false;
    while (str_next(&text, '\n', &line)) {
        struct str id, rest, controllers, path;
        if (!str_cut(line, ':', &id, &rest) || !str_cut(rest, ':', &controllers, &path))
            continue;
        if (has_cpu_controller(controllers))
            return path;
        if (controllers.len == 0)
            v2 = path;
    }
    *is_v2 = v2.len > 0;
    return v2;
}

unsigned workers_for(unsigned cores, int64_t quota_thousandths)
{
    uint64_t workers = cores;

    if (quota_thousandths > 0)
        workers = MIN(workers, ((uint64_t)quota_thousandths + 999) / 1000);
    return (unsigned)MAX(workers, (uint64_t)1);
}

/* --- reading --------------------------------------------------------------------------------- */

static int64_t read_quota(bool is_v2, const char *group)
{
    char path[PATH_MAX + 64], quota[64], period[64];

    if (is_v2) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
        return cpu_max_parse(process_read(path, quota, sizeof(quota)));
    }
    snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
    struct str quota_text = process_read(path, quota, sizeof(quota));
    snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
    return cpu_cfs_parse(quota_text, process_read(path, period, sizeof(period)));
}

static int64_t smaller_quota(int64_t a, int64_t b)
{
    if (a == CPU_UNLIMITED || b == CPU_UNLIMITED)
        return a == CPU_UNLIMITED ? b : a;
    return MIN(a, b);
}

/* The smallest limit of our group and its parents. In a container the path in /proc may not exist
 * below /sys/fs/cgroup; then the root there is our group, and it is read in any case. */
static int64_t own_quota(void)
{
    char text[4096], group[PATH_MAX];
    bool is_v2;
    struct str path = cgroup_path(process_read("/proc/self/cgroup", text, sizeof(text)), &is_v2);
    int64_t quota = CPU_UNLIMITED;

    if (path.len >= sizeof(group))
        return CPU_UNLIMITED;
    for (int depth = 0; depth < GROUP_DEPTH_MAX; depth++) {
        while (path.len > 0 && path.ptr[path.len - 1] == '/')
            path.len--;
        snprintf(group, sizeof(group), "%.*s", STR_FMT(path));
        quota = smaller_quota(quota, read_quota(is_v2, group));
        if (path.len == 0)
            break;
        while (path.len > 0 && path.ptr[path.len - 1] != '/')
            path.len--;
    }
    return quota;
}

static unsigned own_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned workers_default(void)
{
    return workers_for(own_cores(), own_quota());
}
