/* The decision, and the two facts that come from the kernel: the limit on memory and its use. */
#include "control/overload.h"

#include "observe/process.h"

#include <stdio.h>
#include <unistd.h>

/* Is `part` at least `share` of `whole`? */
static bool is_at(uint64_t part, uint64_t whole, uint32_t share)
{
    return whole > 0 && (double)part * SHARE_MAX >= (double)whole * share;
}

static bool is_short(const struct overload_facts *facts, uint32_t share, int64_t lag_ms)
{
    return is_at(facts->memory_bytes, facts->memory_max, share) ||
           is_at(facts->descriptors, facts->descriptors_max, share) || facts->lag_ms >= lag_ms;
}

enum overload_level overload_decide(const struct overload_conf *conf,
                                    const struct overload_facts *facts)
{
    if (is_short(facts, conf->refuse_at, conf->refuse_lag_ms))
        return OVERLOAD_REFUSE;
    if (is_at(facts->connections, facts->connections_max, conf->refuse_at))
        return OVERLOAD_REFUSE_NEW;
    if (is_short(facts, conf->keepalive_at, conf->keepalive_lag_ms) ||
        is_at(facts->connections, facts->connections_max, conf->keepalive_at))
        return OVERLOAD_NO_KEEPALIVE;
    return OVERLOAD_NONE;
}

enum overload_level overload_step(struct overload *overload, enum overload_level seen)
{
    if (seen >= overload->level) {
        overload->level = seen;
        overload->calm_ticks = 0;
    } else if (++overload->calm_ticks >= OVERLOAD_CALM_TICKS) {
        overload->level = seen;
        overload->calm_ticks = 0;
    }
    return overload->level;
}

const char *overload_word(enum overload_level level)
{
    static const char *const words[] = {
        [OVERLOAD_NONE] = "none",
        [OVERLOAD_NO_KEEPALIVE] = "no_keepalive",
        [OVERLOAD_REFUSE_NEW] = "refuse_new",
        [OVERLOAD_REFUSE] = "refuse",
    };

    return words[level];
}

/* --- memory ---------------------------------------------------------------------------------- */

/* "max" is not a number and means no limit. */
static uint64_t read_limit(const char *path)
{
    char text[64];
    struct str number, rest, content = process_read(path, text, sizeof(text));
    uint64_t value;

    str_cut(content, '\n', &number, &rest);
    return str_to_u64(number, &value) == 0 && value < (uint64_t)1 << 60 ? value : 0;
}

uint64_t overload_memory_limit(void)
{
    char text[4096], path[4224];
    struct str rest = process_read("/proc/self/cgroup", text, sizeof(text)), line;
    uint64_t limit;

    while (str_next(&rest, '\n', &line)) {
        if (line.len < 4 || memcmp(line.ptr, "0::/", 4) != 0)
            continue;
        snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.max", STR_FMT(str_skip(line, 3)));
        if ((limit = read_limit(path)) > 0)
            return limit;
    }
    if ((limit = read_limit("/sys/fs/cgroup/memory.max")) > 0)
        return limit;
    return read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
}

uint64_t overload_memory_now(void)
{
    char text[128];
    struct str content = process_read("/proc/self/statm", text, sizeof(text)), size, resident, rest;
    uint64_t pages;

    if (!str_cut(content, ' ', &size, &rest) || !str_cut(rest, ' ', &resident, &rest) ||
        str_to_u64(resident, &pages) < 0)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
