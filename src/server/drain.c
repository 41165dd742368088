/* Nothing is looked at again and again: a worker that has nothing open any more wakes the control
 * thread, and deadlines bound the wait. */
#include "server/drain.h"

#include "base/log.h"
#include "control/notify.h"

/* How many exchanges have ended since the drain began. */
static uint64_t ended_exchanges(const struct drain *drain, size_t still_open)
{
    uint64_t all =
        drain->exchanges_before + workers_requests(drain->workers) - drain->requests_before;

    return all > still_open ? all - still_open : 0;
}

void drain_end(struct drain *drain)
{
    struct workers_load left = workers_load(drain->workers);

    drain->stage = DRAIN_ENDED;
    deadline_clear(&drain->grace);
    deadline_clear(&drain->timeout);
    LOG_INFO("drain_done", "drained=%llu aborted=%zu connections_closed=%zu ms=%lld",
             (unsigned long long)ended_exchanges(drain, left.exchanges), left.exchanges,
             left.connections,
             (long long)(loop_now_ms(control_loop(drain->control)) - drain->began_ms));
    drain->ended(drain->arg);
}

static void end_if_idle(struct drain *drain)
{
    struct workers_load load = workers_load(drain->workers);

    if (drain->stage == DRAIN_WAITING && load.connections == 0 && load.exchanges == 0)
        drain_end(drain);
}

static void on_idle(void *arg)
{
    end_if_idle(arg);
}

static void on_timeout(struct deadline *deadline)
{
    drain_end(CONTAINER_OF(deadline, struct drain, timeout));
}

static void drain_worker(struct order_round *round UNUSED, void *worker)
{
    worker_drain(worker);
}

static void on_drained(struct order_round *round)
{
    struct drain *drain = CONTAINER_OF(round, struct drain, order);

    if (drain->stage != DRAIN_CLOSING)
        return;
    binds_close_inbound(drain->binds);
    drain->stage = DRAIN_WAITING;
    end_if_idle(drain);
}

/* The files are removed first: clients that come later reach a new instance. */
static void close_listeners(struct drain *drain)
{
    drain->stage = DRAIN_CLOSING;
    binds_remove_files(drain->binds);
    drain->order =
        (struct order_round){.name = "drain", .carry_out = drain_worker, .done = on_drained};
    workers_order(drain->workers, &drain->order);
}

static void on_grace_over(struct deadline *deadline)
{
    close_listeners(CONTAINER_OF(deadline, struct drain, grace));
}

void drain_init(struct drain *drain)
{
    drain->idle = wakeup_new(control_loop(drain->control), on_idle, drain);
    deadline_init(&drain->grace, on_grace_over);
    deadline_init(&drain->timeout, on_timeout);
}

void drain_deinit(struct drain *drain)
{
    wakeup_free(drain->idle);
    deadline_deinit(&drain->grace);
    deadline_deinit(&drain->timeout);
}

void drain_note_idle(void *arg)
{
    struct drain *drain = arg;

    wakeup_send(drain->idle);
}

void drain_begin(struct drain *drain, struct binds *binds, const struct config *config)
{
    struct loop *loop = control_loop(drain->control);

    drain->stage = DRAIN_GRACE;
    drain->binds = binds;
    drain->began_ms = loop_now_ms(control_loop(drain->control));
    drain->exchanges_before = workers_load(drain->workers).exchanges;
    drain->requests_before = workers_requests(drain->workers);
    notify_stopping();
    LOG_INFO("drain_begin", "exchanges=%zu grace_ms=%u timeout_ms=%u", drain->exchanges_before,
             config->drain_grace_ms, config->drain_timeout_ms);
    deadline_set(loop, &drain->timeout, config->drain_timeout_ms);
    if (config->drain_grace_ms > 0)
        deadline_set(loop, &drain->grace, MIN(config->drain_grace_ms, config->drain_timeout_ms));
    else
        close_listeners(drain);
}
