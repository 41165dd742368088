/* Facts come from the kernel and from the workers' gauges; no worker is asked. */
#include "control/overload_watch.h"

#include "base/log.h"
#include "control/limits.h"

static struct overload_watch *watch_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct overload_watch, part);
}

static void init(struct control_part *part)
{
    watch_of(part)->memory_limit = overload_memory_limit();
}

/* A lower bound of the descriptors that are open beside connections: those with the lowest numbers,
 * which limits.h counts. A worker has its loop and wake-ups, and for each address of a listener a
 * socket and a reserve. The admin port's sockets are among those of the process. */
static uint64_t own_descriptors(const struct control *control)
{
    enum { PROCESS = 8, WORKER = 4, LISTENER = 2 };
    const struct config *config = control_conf(control)->config;
    size_t workers = control_workers(control)->count;
    uint64_t count = PROCESS + workers * WORKER;

    for (size_t i = 0; i < config->listener_count; i++)
        count += workers * LISTENER * config->listeners[i].binds.count;
    return count;
}

static void gather(const struct overload_watch *watch, struct overload_facts *facts)
{
    const struct control *control = watch->part.control;
    const struct control_workers *workers = control_workers(control);
    const struct config *config = control_conf(control)->config;
    uint64_t memory = config->overload.memory_bytes;

    *facts = (struct overload_facts){
        .memory_bytes = overload_memory_now(),
        .memory_max = memory > 0 ? memory : watch->memory_limit,
        .descriptors_max = limits_descriptors().accept_max,
        .connections = control_gauge(control, GAUGE_DOWN_CONNECTIONS_OPEN),
        .connections_max = config->max_connections,
    };
    for (size_t w = 0; w < workers->count; w++)
        facts->lag_ms = MAX(facts->lag_ms, workers->lag_ms(workers->arg, w));
    facts->descriptors = own_descriptors(control) + facts->connections +
                         control_gauge(control, GAUGE_UP_CONNECTIONS_OPEN);
}

/* What is in buffers, and about what a connection has beside them. */
static uint64_t accounted_bytes(const struct overload_watch *watch)
{
    enum { CONNECTION = 32 * 1024 };

    return control_gauge(watch->part.control, GAUGE_BUFFER_BYTES) +
           watch->facts.descriptors * CONNECTION;
}

static void give_back_memory(struct overload_watch *watch)
{
    uint64_t used = accounted_bytes(watch), now = watch->facts.memory_bytes;

    if (trim_is_due(&watch->trim, now, used))
        watch->facts.memory_bytes = trim_now(&watch->trim, now, used);
}

static void log_change(enum overload_level level, enum overload_level before,
                       const struct overload_facts *facts)
{
    LOG_WARN("overload", "level=%s was=%s memory=%llu of=%llu connections=%llu lag_ms=%lld",
             overload_word(level), overload_word(before), (unsigned long long)facts->memory_bytes,
             (unsigned long long)facts->memory_max, (unsigned long long)facts->connections,
             (long long)facts->lag_ms);
}

static void tick(struct control_part *part)
{
    struct overload_watch *watch = watch_of(part);
    const struct control_workers *workers = control_workers(part->control);
    const struct config *config = control_conf(part->control)->config;

    metrics_expire_groups(workers->metrics, workers->count,
                          loop_now_ms(control_loop(part->control)), config->admin.keep_series_ms);
    gather(watch, &watch->facts);
    give_back_memory(watch);
    enum overload_level before = watch->overload.level;
    enum overload_level level =
        overload_step(&watch->overload, overload_decide(&config->overload, &watch->facts));
    atomic_store_explicit(&workers->quotas->overload, level, memory_order_relaxed);
    if (level != before)
        log_change(level, before, &watch->facts);
}

static void print(struct control_part *part, struct text *out)
{
    const struct overload_watch *watch = watch_of(part);

    control_add_number(out, METRIC_OVERLOAD_LEVEL, watch->overload.level);
    control_add_number(out, METRIC_MEMORY_LIMIT, watch->facts.memory_max);
    control_add_number(out, METRIC_DESCRIPTORS_LIMIT, watch->facts.descriptors_max);
    control_add_seconds(out, METRIC_LOOP_LAG, watch->facts.lag_ms);
}

void overload_watch_add(struct overload_watch *watch, struct control *control)
{
    static const struct control_part_ops ops = {.name = "overload",
                                                .tick_ms = OVERLOAD_TICK_MS,
                                                .init = init,
                                                .tick = tick,
                                                .metrics = print};

    control_add(control, &watch->part, &ops);
}
