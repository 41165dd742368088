/* The graceful end. /ready says no at once; for the grace time everything goes on, so that load
 * balancers notice; then no new connection is taken, every open one ends after what it is doing,
 * and when all have ended, or the time is up, the workers stop. */
#include "server/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/notify.h"

enum { DRAIN_STEP_MS = 20 };

static struct worker_load load_of_all(struct server *server)
{
    struct worker_load sum = {0};

    for (size_t w = 0; w < server->worker_count; w++) {
        struct worker_load load = worker_load(server->workers[w]);
        sum.connections += load.connections;
        sum.exchanges += load.exchanges;
    }
    return sum;
}

static uint64_t requests_so_far(const struct server *server)
{
    return control_counter(server->control, COUNTER_DOWN_REQUESTS_H1) +
           control_counter(server->control, COUNTER_DOWN_REQUESTS_H2);
}

/* How many exchanges have come to their end since the drain began. */
static uint64_t ended_exchanges(const struct server *server, size_t still_open)
{
    uint64_t all = server->exchanges_at_drain + requests_so_far(server) - server->requests_at_drain;

    return all > still_open ? all - still_open : 0;
}

static void finish(struct server *server, const struct worker_load *left)
{
    LOG_INFO("drain_done", "drained=%llu aborted=%zu connections_closed=%zu ms=%lld",
             (unsigned long long)ended_exchanges(server, left->exchanges), left->exchanges,
             left->connections, (long long)(clock_mono_ms() - server->drain_began_ms));
    for (size_t w = 0; w < server->worker_count; w++)
        worker_abort(server->workers[w]);
    server_enter(server, SERVER_STOPPED);
    loop_stop(server->loop);
}

static int64_t drain_ends_at_ms(const struct server *server)
{
    return server->drain_began_ms + server_config(server)->drain_timeout_ms;
}

static void close_doors(struct server *server)
{
    server_enter(server, SERVER_DRAINING);
    binds_remove_files(server->binds); /* first: who comes later goes to a new instance */
    for (size_t w = 0; w < server->worker_count; w++)
        worker_drain(server->workers[w]);
    binds_close_inbound(server->binds);
}

void server_drain_step(struct server *server)
{
    if (server->state == SERVER_GRACE)
        close_doors(server);

    struct worker_load load = load_of_all(server);
    if ((load.connections == 0 && load.exchanges == 0) ||
        clock_mono_ms() >= drain_ends_at_ms(server)) {
        finish(server, &load);
        return;
    }
    server_step_in(server, DRAIN_STEP_MS);
}

void server_drain_begin(struct server *server)
{
    const struct config *config = server_config(server);

    server->drain_began_ms = clock_mono_ms();
    server->exchanges_at_drain = load_of_all(server).exchanges;
    server->requests_at_drain = requests_so_far(server);
    control_drain(server->control);
    server_reload_forget(server);
    server_enter(server, SERVER_GRACE);
    notify_stopping();
    LOG_INFO("drain_begin", "exchanges=%zu grace_ms=%u timeout_ms=%u", server->exchanges_at_drain,
             config->drain_grace_ms, config->drain_timeout_ms);
    if (config->drain_grace_ms > 0)
        server_step_in(server, MIN(config->drain_grace_ms, config->drain_timeout_ms));
    else
        server_drain_step(server);
}

void server_end_now(struct server *server)
{
    struct worker_load left = load_of_all(server);

    finish(server, &left);
}
