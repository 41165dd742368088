/* The control thread: its states, its parts, and what signals do. How a configuration
 * comes in is reload.c; how it all ends is drain.c. */
#include "server/server_impl.h"

#include "base/log.h"
#include "control/notify.h"
#include "control/splits.h"

#include <malloc.h>
#include <stdlib.h>

/* --- states ---------------------------------------------------------------------------------- */

static const char *const state_name[] = {"new",   "resolving", "running",
                                         "grace", "draining",  "stopped"};

static const unsigned may_follow[] = {
    [SERVER_NEW] = BIT(SERVER_RESOLVING),
    [SERVER_RESOLVING] = BIT(SERVER_RUNNING) | BIT(SERVER_GRACE) | BIT(SERVER_STOPPED),
    [SERVER_RUNNING] = BIT(SERVER_GRACE) | BIT(SERVER_STOPPED),
    [SERVER_GRACE] = BIT(SERVER_DRAINING) | BIT(SERVER_STOPPED),
    [SERVER_DRAINING] = BIT(SERVER_STOPPED),
    [SERVER_STOPPED] = 0,
};

void server_enter(struct server *server, enum server_state next)
{
    ASSERT(may_follow[server->state] & BIT(next));
    LOG_DEBUG("server_state", "from=%s to=%s", state_name[server->state], state_name[next]);
    server->state = next;
}

void server_step_in(struct server *server, int64_t ms)
{
    deadline_set(server->loop, &server->step, ms);
}

static void log_bind(const struct config *config, const struct bind *bind)
{
    const struct listener_conf *listener = &config->listeners[bind->listener];
    char text[ADDR_TEXT_MAX];

    addr_format(&bind->bound, text);
    if (bind->is_admin)
        LOG_INFO("admin_open", "address=%s", text);
    else
        LOG_INFO("listener_open", "name=%.*s address=%s tls=%s", STR_FMT(listener->name), text,
                 listener->tls != NULL ? "yes" : "no");
}

static void log_listeners(const struct server *server)
{
    for (size_t i = 0; i < server->binds->count; i++)
        log_bind(server_config(server), &server->binds->items[i]);
}

/* Names have their first answers, or the time to wait for them is over: begin to listen. */
static void begin_serving(void *arg)
{
    struct server *server = arg;

    if (!resolver_is_settled(server->dns.resolver))
        LOG_WARN("start_unresolved", "waited_ms=%d", DNS_WAIT_MS);
    malloc_trim(0); /* what loading and checking gave back */
    for (size_t w = 0; w < server->worker_count; w++)
        worker_listen(server->workers[w], server->binds);
    server_enter(server, SERVER_RUNNING);
    notify_ready();
    log_listeners(server);
    LOG_INFO("running", "workers=%zu config=%s", server->worker_count,
             server_config(server)->version);
    if (server->reload_again) {
        server->reload_again = false;
        server_reload(server);
    }
}

static void on_step(struct deadline *deadline)
{
    struct server *server = CONTAINER_OF(deadline, struct server, step);

    if (server->state == SERVER_GRACE || server->state == SERVER_DRAINING)
        server_drain_step(server);
}

/* --- signals --------------------------------------------------------------------------------- */

void server_stop(struct server *server)
{
    switch (server->state) {
    case SERVER_RESOLVING:
    case SERVER_RUNNING:
        server_drain_begin(server);
        break;
    case SERVER_GRACE:
    case SERVER_DRAINING:
        LOG_WARN("stop_now", "state=%s", state_name[server->state]);
        server_end_now(server);
        break;
    case SERVER_NEW:
    case SERVER_STOPPED:
        break;
    }
}

static void on_end_signal(void *arg)
{
    server_stop(arg);
}

static void on_hangup(void *arg)
{
    struct server *server = arg;

    if (server->options.hangup_is_end != NULL &&
        server->options.hangup_is_end(server->options.hangup_arg))
        server_stop(server);
    else
        server_reload(server);
}

static void on_reopen(void *arg)
{
    struct server *server = arg;

    logs_reopen(&server->logs);
}

/* --- parts ----------------------------------------------------------------------------------- */

/* Signals come first: threads that other parts start inherit the mask. */
static void add_parts(struct server *server)
{
    struct control *control = server->control;

    signals_add(&server->signals, control,
                &(struct signal_handlers){on_end_signal, on_hangup, on_reopen, server});
    ticket_rotation_add(&server->ticket_rotation, control);
    dns_add(&server->dns, control);
    server_status_add(server);
    expiry_add(&server->expiry, control);
    overload_watch_add(&server->overload_watch, control);
    splits_add(&server->splits, control);
    logs_add(&server->logs, control);
}

/* --- life ------------------------------------------------------------------------------------ */

struct server *server_new(const struct server_options *options)
{
    struct server *server = mem_new(sizeof(*server));

    server->options = *options;
    server->control = control_new();
    server->loop = control_loop(server->control);
    add_parts(server);
    deadline_init(&server->step, on_step);
    struct admin_source source = server_admin_source(server);
    server->admin = admin_new(server->loop, &source);
    return server;
}

int server_start(struct server *server)
{
    if (server_load_first(server) < 0)
        return -1;
    server_enter(server, SERVER_RESOLVING);
    dns_wait(&server->dns, begin_serving, server);
    return 0;
}

int server_run(struct server *server)
{
    loop_run(server->loop);
    return 0;
}

static void stop_workers(struct server *server)
{
    for (size_t w = 0; w < server->worker_count && server->workers != NULL; w++) {
        resolver_remove_mailbox(server->dns.resolver, worker_mailbox(server->workers[w]));
        worker_stop(server->workers[w]);
    }
}

static void free_workers(struct server *server)
{
    for (size_t w = 0; w < server->worker_count && server->workers != NULL; w++)
        worker_free(server->workers[w]);
    free(server->workers);
    quotas_free(server->quotas);
    free(server->metrics);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    stop_workers(server);
    bool have_logs_ended = logs_end(&server->logs); /* after the workers' last records */
    server_reload_forget(server);
    jobs_free(server->jobs);
    admin_free(server->admin);
    if (have_logs_ended)
        free_workers(server);
    binds_free(server->binds);
    snapshot_unref(&server->snapshot);

    tls_helpers_free(server->helpers);
    deadline_deinit(&server->step);
    control_free(server->control);
    text_free(&server->last_reload.complaints);
    text_free(&server->last_reload.warnings);
    free(server);
}

/* --- facts ----------------------------------------------------------------------------------- */

struct loop *server_loop(struct server *server)
{
    return server->loop;
}

struct metrics *const *server_metrics(struct server *server, size_t *count)
{
    *count = server->worker_count;
    return server->metrics;
}

const struct config *server_config(const struct server *server)
{
    return snapshot_config(server->snapshot);
}

bool server_is_ready(const struct server *server)
{
    return server->state == SERVER_RUNNING;
}

const struct addr *server_listener_address(const struct server *server, struct str name)
{
    const struct config *config = server_config(server);

    for (size_t i = 0; i < server->binds->count; i++) {
        const struct bind *bind = &server->binds->items[i];
        if (!bind->is_admin && str_eq(config->listeners[bind->listener].name, name))
            return &bind->bound;
    }
    return NULL;
}

const struct addr *server_admin_address(const struct server *server)
{
    for (size_t i = 0; i < server->binds->count; i++) {
        if (server->binds->items[i].is_admin)
            return &server->binds->items[i].bound;
    }
    return NULL;
}
