/* What concerns all workers alike. Their counters are read without asking them. */
#include "server/workers.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/quotas.h"
#include "server/cpu_quota.h"

#include <malloc.h>
#include <stdlib.h>

void workers_plan(struct workers *workers, unsigned wanted, const struct config *config)
{
    if (wanted == 0)
        wanted = config->workers > 0 ? config->workers : workers_default();
    workers->count = MIN(wanted, (unsigned)WORKERS_MAX);
}

/* --- the start ------------------------------------------------------------------------------- */

static uint64_t count_connections(void *arg)
{
    const struct workers *workers = arg;

    return control_gauge(workers->control, GAUGE_DOWN_CONNECTIONS_OPEN);
}

static int64_t lag_ms(void *arg, size_t index)
{
    const struct workers *workers = arg;

    return worker_lag_ms(workers->items[index]);
}

static int start_helpers(struct workers *workers, const struct config *config, struct err *err)
{
    unsigned threads = config->handshake_threads;

    if (threads == HANDSHAKE_THREADS_AUTO)
        threads = ((unsigned)workers->count + 1) / 2;
    if (threads == 0)
        return 0;
    bool share_cores = (unsigned)workers->count >= workers_default();
    workers->helpers = tls_helpers_new(threads, config->handshake_queue, share_cores, err);
    return workers->helpers != NULL ? 0 : -1;
}

static int start_one(struct workers *workers, const struct worker_conf *conf, struct err *err)
{
    struct worker *worker = worker_start(conf, err);

    if (worker == NULL) {
        workers->count = conf->index;
        return -1;
    }
    workers->items[conf->index] = worker;
    workers->metrics[conf->index] = worker_metrics(worker);
    return 0;
}

int workers_start(struct workers *workers, const struct config *config, struct logs *logs,
                  struct tls_tickets *tickets, struct err *err)
{
    if (start_helpers(workers, config, err) < 0)
        return -1;
    workers->quotas = quotas_new(config, (unsigned)workers->count);
    struct worker_conf conf = {
        .quotas = workers->quotas,
        .tickets = tickets,
        .helpers = workers->helpers,
        .handshake_queue = config->handshake_queue,
        .ring_bytes = config->access_log.ring_bytes,
        .ring_wake = logs_wake,
        .ring_arg = logs,
        .connections = count_connections,
        .connections_arg = workers,
        .idle = workers->idle,
        .idle_arg = workers->idle_arg,
    };

    workers->items = mem_new(workers->count * sizeof(workers->items[0]));
    workers->metrics = mem_new(workers->count * sizeof(workers->metrics[0]));
    for (; conf.index < workers->count; conf.index++) {
        if (start_one(workers, &conf, err) < 0)
            return -1;
    }
    control_set_workers(workers->control, &(struct control_workers){.count = workers->count,
                                                                    .metrics = workers->metrics,
                                                                    .quotas = workers->quotas,
                                                                    .lag_ms = lag_ms,
                                                                    .arg = workers});
    return 0;
}

/* --- orders ---------------------------------------------------------------------------------- */

void workers_order(struct workers *workers, struct order_round *round)
{
    for (size_t w = 0; w < workers->count; w++)
        orders_give(workers->orders, round, w, worker_mailbox(workers->items[w]),
                    workers->items[w]);
}

/* --- the end --------------------------------------------------------------------------------- */

static void end_worker(struct order_round *round UNUSED, void *worker)
{
    worker_end(worker);
}

bool workers_stop(struct workers *workers)
{
    int64_t began_ms = clock_mono_ms();
    bool have_all_ended = true;

    if (workers->items == NULL)
        return true;
    workers->end = (struct order_round){.name = "stop", .carry_out = end_worker};
    workers_order(workers, &workers->end);
    for (size_t w = 0; w < workers->count; w++) {
        int64_t waited_ms = clock_mono_ms() - began_ms;
        if (worker_join(workers->items[w], MAX(WORKERS_END_MS - waited_ms, 0)))
            continue;
        LOG_ERROR("worker_stuck", "worker=%zu order=stop waited_ms=%lld", w,
                  (long long)(clock_mono_ms() - began_ms));
        have_all_ended = false;
    }
    return have_all_ended;
}

void workers_deinit(struct workers *workers)
{
    for (size_t w = 0; w < workers->count && workers->items != NULL; w++)
        worker_free(workers->items[w]);
    free(workers->items);
    free(workers->metrics);
    quotas_free(workers->quotas);
    tls_helpers_free(workers->helpers);
}

/* --- facts ----------------------------------------------------------------------------------- */

struct workers_load workers_load(const struct workers *workers)
{
    return (struct workers_load){
        .connections = control_gauge(workers->control, GAUGE_DOWN_CONNECTIONS_OPEN),
        .exchanges = control_gauge(workers->control, GAUGE_DOWN_STREAMS_OPEN),
    };
}

uint64_t workers_requests(const struct workers *workers)
{
    return control_counter(workers->control, COUNTER_DOWN_REQUESTS_H1) +
           control_counter(workers->control, COUNTER_DOWN_REQUESTS_H2);
}
