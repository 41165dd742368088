/* The process: its states, the parts of its control thread, what signals do, and the order in which
 * everything starts and ends. How a configuration takes effect is in reload.c; how connections are
 * drained is in drain.c. */
#include "server/server.h"

#include "base/log.h"
#include "control/expiry.h"
#include "control/notify.h"
#include "control/overload_watch.h"
#include "control/signals.h"
#include "control/splits.h"
#include "control/ticket_rotation.h"
#include "server/drain.h"
#include "server/privileges.h"
#include "server/reload.h"
#include "server/status.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum server_state {
    SERVER_NEW,       /* nothing runs */
    SERVER_RESOLVING, /* sockets are open, names get their first answers */
    SERVER_OPENING,   /* the workers begin to listen */
    SERVER_RUNNING,
    SERVER_DRAINING, /* first the grace time, then what is in flight finishes */
    SERVER_STOPPED,
};

struct server {
    struct server_options options;
    enum server_state state;
    struct control *control; /* owns */
    struct workers workers;
    struct admin *admin; /* owns; with addresses once a configuration is in force */
    struct jobs *jobs;   /* owns */
    struct drain drain;
    struct order_round listen;
    bool is_reload_wanted; /* asked for while none could begin */
    bool is_end_wanted;    /* asked for while the workers adopt a configuration */
    struct deadline end;   /* how long that is waited for */

    /* parts; control frees what is in them */
    struct signals signals;
    struct ticket_rotation ticket_rotation;
    struct dns dns;
    struct orders orders;
    struct logs logs;
    struct disposal disposal;
    struct reload reload;
    struct status status;
    struct expiry expiry;
    struct overload_watch overload_watch;
    struct control_part splits;
};

static const struct config *server_config(const struct server *server)
{
    return snapshot_config(server->reload.snapshot);
}

/* --- states ---------------------------------------------------------------------------------- */

static const char *const state_name[] = {"new",     "resolving", "opening",
                                         "running", "draining",  "stopped"};

static const unsigned may_follow[] = {
    [SERVER_NEW] = BIT(SERVER_RESOLVING),
    [SERVER_RESOLVING] = BIT(SERVER_OPENING) | BIT(SERVER_DRAINING),
    [SERVER_OPENING] = BIT(SERVER_RUNNING) | BIT(SERVER_DRAINING),
    [SERVER_RUNNING] = BIT(SERVER_DRAINING),
    [SERVER_DRAINING] = BIT(SERVER_STOPPED),
    [SERVER_STOPPED] = 0,
};

static void server_enter(struct server *server, enum server_state next)
{
    ASSERT(may_follow[server->state] & BIT(next));
    LOG_DEBUG("server_state", "from=%s to=%s", state_name[server->state], state_name[next]);
    server->state = next;
}

static bool is_ready(void *arg, const char **words)
{
    static const char *const state_words[] = {
        [SERVER_NEW] = "starting",      [SERVER_RESOLVING] = "starting: resolving names",
        [SERVER_OPENING] = "starting",  [SERVER_RUNNING] = "ready",
        [SERVER_DRAINING] = "draining", [SERVER_STOPPED] = "stopped",
    };
    const struct server *server = arg;

    *words = state_words[server->state];
    return server->state == SERVER_RUNNING;
}

/* --- reload and end -------------------------------------------------------------------------- */

/* Requests that come while a reload is on its way become one more, after it. */
static void request_reload(struct server *server)
{
    if (server->state == SERVER_RUNNING && server->reload.stage == RELOAD_IDLE)
        reload_begin(&server->reload);
    else
        server->is_reload_wanted = server->state <= SERVER_RUNNING;
}

static void begin_wanted_reload(struct server *server)
{
    if (!server->is_reload_wanted)
        return;
    server->is_reload_wanted = false;
    request_reload(server);
}

static void begin_drain(struct server *server)
{
    deadline_clear(&server->end);
    control_drain(server->control);
    server_enter(server, SERVER_DRAINING);
    drain_begin(&server->drain, server->reload.binds, server_config(server));
}

static void on_reload_ended(void *arg)
{
    struct server *server = arg;

    if (server->state != SERVER_RUNNING)
        return;
    notify_ready();
    if (server->is_end_wanted)
        begin_drain(server);
    else
        begin_wanted_reload(server);
}

/* A worker is stuck in adopting a configuration, which stays as it is. */
static void on_end(struct deadline *deadline)
{
    begin_drain(CONTAINER_OF(deadline, struct server, end));
}

static void on_drained(void *arg)
{
    struct server *server = arg;

    server_enter(server, SERVER_STOPPED);
    loop_stop(control_loop(server->control));
}

/* While the workers adopt a configuration, the old sockets and the new ones are both in use: that
 * is over before draining begins. */
static void request_end(struct server *server)
{
    if (server->reload.stage != RELOAD_ADOPTING) {
        begin_drain(server);
        return;
    }
    server->is_end_wanted = true;
    if (!deadline_is_set(&server->end))
        deadline_set(control_loop(server->control), &server->end, ORDER_LATE_MS);
}

void server_stop(struct server *server)
{
    switch (server->state) {
    case SERVER_RESOLVING:
    case SERVER_OPENING:
    case SERVER_RUNNING:
        request_end(server);
        break;
    case SERVER_DRAINING:
        LOG_WARN("stop_now", "state=%s", state_name[server->state]);
        drain_end(&server->drain);
        break;
    case SERVER_NEW:
    case SERVER_STOPPED:
        break;
    }
}

/* --- beginning to serve ---------------------------------------------------------------------- */

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
    const struct binds *binds = server->reload.binds;

    for (size_t i = 0; i < binds->count; i++)
        log_bind(server_config(server), &binds->items[i]);
}

static void listen_in_worker(struct order_round *round, void *worker)
{
    worker_listen(worker, CONTAINER_OF(round, struct server, listen)->reload.binds);
}

static void on_listening(struct order_round *round)
{
    struct server *server = CONTAINER_OF(round, struct server, listen);

    if (server->state != SERVER_OPENING)
        return;
    server_enter(server, SERVER_RUNNING);
    notify_ready();
    log_listeners(server);
    LOG_INFO("running", "workers=%zu config=%s", server->workers.count,
             server_config(server)->version);
    if (server->options.ready != NULL)
        server->options.ready(server->options.ready_arg);
    begin_wanted_reload(server);
}

/* Names have their first answers, or the time to wait for them is over. */
static void begin_serving(void *arg)
{
    struct server *server = arg;

    if (!resolver_is_settled(server->dns.resolver))
        LOG_WARN("start_unresolved", "waited_ms=%d", DNS_WAIT_MS);
    malloc_trim(0); /* what loading and checking no longer use */
    server_enter(server, SERVER_OPENING);
    server->listen =
        (struct order_round){.name = "listen", .carry_out = listen_in_worker, .done = on_listening};
    workers_order(&server->workers, &server->listen);
}

/* --- signals and parts ----------------------------------------------------------------------- */

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
        request_reload(server);
}

static void on_reopen(void *arg)
{
    struct server *server = arg;

    logs_reopen(&server->logs);
}

/* All parts of the control thread. Signals come first: threads that start later inherit the mask.
 * Parts are freed in reverse. */
static void add_parts(struct server *server)
{
    struct control *control = server->control;

    signals_add(&server->signals, control,
                &(struct signal_handlers){on_end_signal, on_hangup, on_reopen, server});
    ticket_rotation_add(&server->ticket_rotation, control);
    dns_add(&server->dns, control);
    orders_add(&server->orders, control);
    logs_add(&server->logs, control);
    disposal_add(&server->disposal, control);
    reload_add(&server->reload, control);
    status_add(&server->status, control);
    expiry_add(&server->expiry, control);
    overload_watch_add(&server->overload_watch, control);
    splits_add(&server->splits, control);
}

static void connect_parts(struct server *server)
{
    server->workers.control = server->control;
    server->workers.orders = &server->orders;
    server->workers.idle = drain_note_idle;
    server->workers.idle_arg = &server->drain;

    server->reload.options = &server->options;
    server->reload.workers = &server->workers;
    server->reload.dns = &server->dns;
    server->reload.logs = &server->logs;
    server->reload.admin = server->admin;
    server->reload.disposal = &server->disposal;
    server->reload.ended = on_reload_ended;
    server->reload.arg = server;

    server->status.reload = &server->reload;
    server->status.workers = &server->workers;
    server->status.orders = &server->orders;
    server->status.is_ready = is_ready;
    server->status.arg = server;

    server->drain.control = server->control;
    server->drain.workers = &server->workers;
    server->drain.ended = on_drained;
    server->drain.arg = server;
}

/* --- the start ------------------------------------------------------------------------------- */

struct server *server_new(const struct server_options *options)
{
    struct server *server = mem_new(sizeof(*server));

    server->options = *options;
    server->control = control_new();
    add_parts(server);
    struct admin_source source = status_admin_source(&server->status);
    server->admin = admin_new(control_loop(server->control), &source);
    connect_parts(server);
    drain_init(&server->drain);
    deadline_init(&server->end, on_end);
    return server;
}

/* What root has opened and the user that weir becomes must open again, or add to. */
static int give_to_user(const struct candidate *first, struct err *err)
{
    struct identity identity;

    if (privileges_find(&snapshot_config(first->snapshot)->privileges, &identity, err) < 0)
        return -1;
    if (!identity.changes || geteuid() != 0)
        return 0;
    if (access_writer_give_to(first->writer, identity.uid, err) < 0)
        LOG_WARN("log_file_owner", "hint=\"it can perhaps not be opened again\" error=\"%s\"",
                 err->text);
    return binds_give_to(first->binds, identity.uid, err);
}

/* Each thread has an arena of malloc's to itself, with pages of its own. With one worker, the other
 * threads allocate too rarely for a shared lock to matter; except the job thread, which starts
 * first and so has the second arena. */
static void share_arena(const struct server *server)
{
    if (server->workers.count == 1)
        mallopt(M_ARENA_MAX, 2);
}

static int start_jobs(struct server *server, struct err *err)
{
    server->jobs = jobs_new(control_loop(server->control), err);
    server->reload.jobs = server->disposal.jobs = server->jobs;
    return server->jobs != NULL ? 0 : -1;
}

static int start_logs(struct server *server, struct err *err)
{
    const struct workers *workers = &server->workers;
    struct access_ring **rings = mem_new(workers->count * sizeof(struct access_ring *));

    for (size_t w = 0; w < workers->count; w++)
        rings[w] = worker_ring(workers->items[w]);
    int rc = logs_start(&server->logs, rings, workers->count, err);
    free(rings);
    return rc;
}

/* Sockets, certificates and logs are open, and no other thread runs yet. */
static int start_threads(struct server *server, const struct candidate *first, struct err *err)
{
    const struct config *config = snapshot_config(first->snapshot);

    share_arena(server);
    if (give_to_user(first, err) < 0 || privileges_drop(&config->privileges, err) < 0 ||
        start_jobs(server, err) < 0 ||
        workers_start(&server->workers, config, &server->logs, server->ticket_rotation.tickets,
                      err) < 0)
        return -1;
    return start_logs(server, err);
}

int server_start(struct server *server)
{
    struct candidate *first = reload_first_load(&server->reload);
    char line[ERR_TEXT_MAX + 300];
    struct err err;

    if (first == NULL)
        return -1;
    if (start_threads(server, first, &err) < 0) {
        fprintf(stderr, "%s\n", err_line(&err, line, sizeof(line)));
        candidate_free(first);
        return -1;
    }
    for (size_t w = 0; w < server->workers.count; w++)
        resolver_add_mailbox(server->dns.resolver, worker_mailbox(server->workers.items[w]));
    reload_first_adopt(&server->reload, first);
    server_enter(server, SERVER_RESOLVING);
    dns_wait(&server->dns, begin_serving, server);
    return 0;
}

int server_run(struct server *server)
{
    loop_run(control_loop(server->control));
    return 0;
}

/* --- the end --------------------------------------------------------------------------------- */

/* A thread that does not end still uses what this would free. */
__attribute__((noreturn)) static void exit_beside_stuck_thread(struct server *server)
{
    binds_free(server->reload.binds); /* removes the files of unix sockets */
    LOG_ERROR("exit_with_stuck_thread", "code=1");
    _exit(1);
}

/* The last records are written after the workers have ended. */
static void stop_threads(struct server *server)
{
    for (size_t w = 0; w < server->workers.count && server->workers.items != NULL; w++) {
        if (server->workers.items[w] != NULL)
            resolver_remove_mailbox(server->dns.resolver, worker_mailbox(server->workers.items[w]));
    }
    bool have_workers_ended = workers_stop(&server->workers);
    bool have_logs_ended = logs_end(&server->logs);
    if (!have_workers_ended || !have_logs_ended)
        exit_beside_stuck_thread(server);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    stop_threads(server);
    reload_abandon(&server->reload);
    jobs_free(server->jobs);
    server->disposal.jobs = NULL;
    admin_free(server->admin);
    workers_deinit(&server->workers);
    drain_deinit(&server->drain);
    deadline_deinit(&server->end);
    control_free(server->control);
    free(server);
}

/* --- facts ----------------------------------------------------------------------------------- */

struct loop *server_loop(struct server *server)
{
    return control_loop(server->control);
}

bool server_is_ready(const struct server *server)
{
    return server->state == SERVER_RUNNING;
}

const struct addr *server_listener_address(const struct server *server, struct str name)
{
    const struct config *config = server_config(server);
    const struct binds *binds = server->reload.binds;

    for (size_t i = 0; i < binds->count; i++) {
        const struct bind *bind = &binds->items[i];
        if (!bind->is_admin && str_eq(config->listeners[bind->listener].name, name))
            return &bind->bound;
    }
    return NULL;
}

const struct addr *server_admin_address(const struct server *server)
{
    const struct binds *binds = server->reload.binds;

    for (size_t i = 0; i < binds->count; i++) {
        if (binds->items[i].is_admin)
            return &binds->items[i].bound;
    }
    return NULL;
}
