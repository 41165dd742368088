/* From a configuration file to what runs, at the start and at every reload. First everything that
 * can fail: loading and checking, with all certificates, on the job thread; opening sockets and
 * logs; then waiting, bounded, until new names have their addresses; then the workers adopt one
 * after the other, which cannot fail; and only then does anything old go away. A reload that fails
 * at any step leaves everything as it was and says why. */
#include "server/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/shrink.h"
#include "control/limits.h"
#include "control/notify.h"
#include "server/cpu_quota.h"
#include "server/privileges.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- saying what is wrong -------------------------------------------------------------------- */

/* The start: whoever typed the command reads along. */
static void report_to_terminal(void *arg UNUSED, bool is_error UNUSED, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void report_to_log(void *arg, bool is_error, const char *line)
{
    struct server *server = arg;

    if (!is_error) {
        LOG_WARN("config_warning", "%s", line);
        text_add(&server->last_reload.warnings, "%s\n", line);
        return;
    }
    LOG_ERROR("config_error", "%s", line);
    text_add(&server->last_reload.complaints, "%s\n", line);
}

static void report_err(snapshot_report *report, struct server *server, const struct err *err)
{
    char line[ERR_TEXT_MAX + 300];

    report(server, true, err_line(err, line, sizeof(line)));
}

/* --- preparing ------------------------------------------------------------------------------- */

static void reload_free(struct reload *reload)
{
    if (reload == NULL)
        return;
    binds_free(reload->binds); /* what stays has no descriptors there */
    access_writer_free(reload->writer);
    snapshot_unref(&reload->snapshot);
    free(reload);
}

static struct str access_path(const struct config *config)
{
    return config->access_log.enabled ? config->access_log.path : STR("");
}

static int prepare_writer(struct server *server, struct reload *reload, struct err *err)
{
    struct str path = access_path(snapshot_config(reload->snapshot));

    if (server->snapshot != NULL && str_eq(path, access_path(snapshot_config(server->snapshot))))
        return 0;
    reload->writer = access_writer_new(path, err);
    if (reload->writer == NULL)
        return -1;
    access_writer_watch(reload->writer, server->options.watch, server->options.watch_arg);
    return 0;
}

static int prepare_sockets(struct server *server, struct reload *reload, struct err *err)
{
    reload->binds =
        binds_plan(server->binds, snapshot_config(reload->snapshot), server->worker_count, err);
    if (reload->binds == NULL)
        return -1;
    return prepare_writer(server, reload, err);
}

static void count_workers(struct server *server, const struct config *config)
{
    unsigned wanted = server->options.workers > 0 ? server->options.workers : config->workers;

    server->worker_count = MIN(wanted > 0 ? wanted : workers_default(), (unsigned)WORKERS_MAX);
}

/* Opens what `snapshot` (owned from now on) needs. NULL: it cannot be had, which was reported. */
static struct reload *prepare(struct server *server, struct snapshot *snapshot,
                              snapshot_report *report)
{
    struct reload *reload = mem_new(sizeof(*reload));
    struct err err;

    reload->snapshot = snapshot;
    if (server->workers == NULL)
        count_workers(server, snapshot_config(reload->snapshot));
    if (prepare_sockets(server, reload, &err) == 0)
        return reload;
    report_err(report, server, &err);
    reload_free(reload);
    return NULL;
}

/* --- taking effect --------------------------------------------------------------------------- */

static void warn_of_restart(const struct config *old, const struct config *new)
{
    const struct privileges_conf *had = &old->privileges, *wanted = &new->privileges;

    if (old->workers != new->workers)
        LOG_WARN("reload_needs_restart", "key=workers");
    if (old->handshake_threads != new->handshake_threads)
        LOG_WARN("reload_needs_restart", "key=handshake_threads");
    if (old->handshake_queue != new->handshake_queue)
        LOG_WARN("reload_needs_restart", "key=handshake_queue");
    if (old->access_log.ring_bytes != new->access_log.ring_bytes)
        LOG_WARN("reload_needs_restart", "key=access_log.ring_bytes");
    if (!str_eq(had->user, wanted->user) || !str_eq(had->group, wanted->group))
        LOG_WARN("reload_needs_restart", "key=user,group");
    if (had->core_dumps != wanted->core_dumps)
        LOG_WARN("reload_needs_restart", "key=core_dumps");
    if (had->seccomp != wanted->seccomp)
        LOG_WARN("reload_needs_restart", "key=seccomp");
}

static void move_admin(struct server *server, struct binds *next)
{
    for (size_t i = 0; server->binds != NULL && i < server->binds->count; i++) {
        const struct bind *bind = &server->binds->items[i];
        if (bind->is_admin && binds_find(next, bind) == NULL)
            admin_close(server->admin, &bind->bound);
    }
    for (size_t i = 0; i < next->count; i++) {
        struct bind *bind = &next->items[i];
        if (!bind->is_admin || bind->fds[0] < 0)
            continue;
        admin_open(server->admin, bind->fds[0], &bind->bound);
        bind->fds[0] = -1;
    }
}

static void on_shrunk_list(void *arg, const struct place *place, const char *text)
{
    char line[1024];
    const struct complaint complaint = {SEVERITY_WARNING, *place, str_of(text)};

    report_to_log(arg, false, complaint_line(&complaint, line, sizeof(line)));
}

struct group_names {
    struct str *items; /* owns; sorted */
    size_t count;
};

static int compare_names(const void *left, const void *right)
{
    const struct str *a = left, *b = right;

    return str_cmp(*a, *b);
}

static bool is_group_name(void *arg, struct str name)
{
    const struct group_names *names = arg;

    return bsearch(&name, names->items, names->count, sizeof(*names->items), compare_names) != NULL;
}

static void mark_group_metrics(struct server *server)
{
    const struct config *config = server_config(server);
    struct group_names names = {.items =
                                    mem_new(MAX(config->group_count, 1u) * sizeof(struct str))};

    for (size_t i = 0; i < config->group_count; i++)
        names.items[names.count++] = config->groups[i].name;
    qsort(names.items, names.count, sizeof(*names.items), compare_names);
    metrics_mark_groups(server->metrics, server->worker_count, is_group_name, &names);
    free(names.items);
}

/* The workers have adopted it: what is old goes. */
static void commit(struct server *server, struct reload *reload)
{
    struct snapshot *old = server->snapshot;

    if (old != NULL)
        warn_of_restart(snapshot_config(old), snapshot_config(reload->snapshot));
    if (old != NULL)
        config_compare_lists(snapshot_config(old), snapshot_config(reload->snapshot),
                             on_shrunk_list, server);
    move_admin(server, reload->binds);
    binds_commit(server->binds, reload->binds);
    server->binds = reload->binds;
    server->snapshot = reload->snapshot;
    control_adopt(server->control, &(struct control_conf){
                                       .config = snapshot_config(server->snapshot),
                                       .tls = snapshot_tls(server->snapshot),
                                       .ticket_keys = snapshot_ticket_keys(server->snapshot),
                                       .loaded_wall_us = snapshot_loaded_wall_us(server->snapshot),
                                   });
    if (reload->writer != NULL)
        logs_use(&server->logs, reload->writer);
    mark_group_metrics(server);
    uint32_t max_connections = snapshot_config(server->snapshot)->max_connections;
    if (old == NULL || snapshot_config(old)->max_connections != max_connections)
        limits_raise_descriptors(max_connections);
    snapshot_unref(&old);
    free(reload);
}

static void adopt_everywhere(struct server *server, struct reload *reload)
{
    for (size_t w = 0; w < server->worker_count; w++)
        worker_adopt_and_listen(server->workers[w], reload->snapshot, reload->binds);
}

/* --- the start ------------------------------------------------------------------------------- */

static uint64_t count_connections(void *arg)
{
    const struct server *server = arg;

    return control_gauge(server->control, GAUGE_DOWN_CONNECTIONS_OPEN);
}

static int64_t lag_ms(void *arg, size_t index)
{
    const struct server *server = arg;

    return worker_lag_ms(server->workers[index]);
}

/* Each thread has an arena of malloc's to itself, with pages of its own. With one worker, who else
 * allocates does so too rarely for a lock to be in anybody's way; but for the job thread, which
 * starts first and so has the second arena. */
static void share_arena(const struct server *server)
{
    if (server->worker_count == 1)
        mallopt(M_ARENA_MAX, 2);
}

static int start_helpers(struct server *server, const struct config *config, struct err *err)
{
    unsigned threads = config->handshake_threads;

    if (threads == HANDSHAKE_THREADS_AUTO)
        threads = ((unsigned)server->worker_count + 1) / 2;
    if (threads == 0)
        return 0;
    bool share_cores = (unsigned)server->worker_count >= workers_default();
    server->helpers = tls_helpers_new(threads, config->handshake_queue, share_cores, err);
    return server->helpers != NULL ? 0 : -1;
}

static int start_workers(struct server *server, struct reload *reload, struct err *err)
{
    server->quotas = quotas_new(snapshot_config(reload->snapshot), (unsigned)server->worker_count);
    struct worker_conf conf = {
        .quotas = server->quotas,
        .tickets = server->ticket_rotation.tickets,
        .helpers = server->helpers,
        .handshake_queue = snapshot_config(reload->snapshot)->handshake_queue,
        .ring_bytes = snapshot_config(reload->snapshot)->access_log.ring_bytes,
        .ring_wake = logs_wake,
        .ring_arg = &server->logs,
        .connections = count_connections,
        .connections_arg = server,
    };

    server->workers = mem_new(server->worker_count * sizeof(server->workers[0]));
    server->metrics = mem_new(server->worker_count * sizeof(server->metrics[0]));
    for (; conf.index < server->worker_count; conf.index++) {
        struct worker *worker = worker_start(&conf, err);
        if (worker == NULL) {
            server->worker_count = conf.index;
            return -1;
        }
        server->workers[conf.index] = worker;
        server->metrics[conf.index] = worker_metrics(worker);
        resolver_add_mailbox(server->dns.resolver, worker_mailbox(worker));
    }
    return 0;
}

static int start_logs(struct server *server, struct err *err)
{
    struct access_ring **rings = mem_new(server->worker_count * sizeof(struct access_ring *));

    for (size_t w = 0; w < server->worker_count; w++)
        rings[w] = worker_ring(server->workers[w]);
    int rc = logs_start(&server->logs, rings, server->worker_count, err);
    free(rings);
    return rc;
}

static int start_jobs(struct server *server, struct err *err)
{
    server->jobs = jobs_new(server->loop, err);
    return server->jobs != NULL ? 0 : -1;
}

/* What was opened as root and is opened again, or added to, by the user that we become. */
static int give_to_user(const struct reload *reload, struct err *err)
{
    struct identity identity;

    if (privileges_find(&snapshot_config(reload->snapshot)->privileges, &identity, err) < 0)
        return -1;
    if (!identity.changes || geteuid() != 0)
        return 0;
    if (access_writer_give_to(reload->writer, identity.uid, err) < 0)
        LOG_WARN("log_file_owner", "hint=\"it can perhaps not be opened again\" error=\"%s\"",
                 err->text);
    return binds_give_to(reload->binds, identity.uid, err);
}

static void adopt_first(struct server *server, struct reload *reload)
{
    for (size_t w = 0; w < server->worker_count; w++)
        worker_adopt(server->workers[w], reload->snapshot);
}

int server_load_first(struct server *server)
{
    struct err err;
    struct snapshot *snapshot = snapshot_load(server->options.source, server->options.source_arg,
                                              NULL, report_to_terminal, server);
    struct reload *reload = snapshot != NULL ? prepare(server, snapshot, report_to_terminal) : NULL;

    if (reload == NULL)
        return -1;
    /* Sockets, certificates and logs are open, and no other thread runs yet. */
    share_arena(server);
    if (give_to_user(reload, &err) < 0 ||
        privileges_drop(&snapshot_config(reload->snapshot)->privileges, &err) < 0 ||
        start_jobs(server, &err) < 0 ||
        start_helpers(server, snapshot_config(reload->snapshot), &err) < 0 ||
        start_workers(server, reload, &err) < 0 || start_logs(server, &err) < 0) {
        report_err(report_to_terminal, server, &err);
        reload_free(reload);
        return -1;
    }
    control_set_workers(server->control, &(struct control_workers){.count = server->worker_count,
                                                                   .metrics = server->metrics,
                                                                   .quotas = server->quotas,
                                                                   .lag_ms = lag_ms,
                                                                   .arg = server});
    adopt_first(server, reload);
    dns_watch(&server->dns, snapshot_config(reload->snapshot));
    commit(server, reload);
    server->last_reload.successful = true;
    server->last_reload.at_wall_us = clock_wall_us();
    return 0;
}

/* --- loading on the job thread ---------------------------------------------------------------- */

/* A configuration being loaded. The job thread fills it while the control thread goes on; what
 * there is to report waits until that has it back. */
struct load {
    struct job job;
    struct server *server;      /* borrows; control thread */
    atomic_bool is_abandoned;   /* the process ends */
    struct server_options from; /* where the configuration comes from */
    struct snapshot *snapshot;
    struct text lines; /* owns: "E" or "W", the line, a line feed */
};

static void remember_line(void *arg, bool is_error, const char *line)
{
    struct load *load = arg;

    text_add(&load->lines, "%c%s\n", is_error ? 'E' : 'W', line);
}

static void run_load(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);

    load->snapshot = snapshot_load(load->from.source, load->from.source_arg, &load->is_abandoned,
                                   remember_line, load);
}

static void report_lines(struct load *load)
{
    struct str rest = str_make(load->lines.ptr, load->lines.len), line;
    char text[1024];

    while (str_next(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        snprintf(text, sizeof(text), "%.*s", STR_FMT(str_skip(line, 1)));
        report_to_log(load->server, line.ptr[0] == 'E', text);
    }
}

static void load_free(struct load *load)
{
    snapshot_unref(&load->snapshot);
    text_free(&load->lines);
    free(load);
}

static void load_arrived(struct server *server, struct snapshot *snapshot);

static void on_loaded(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);
    struct server *server = load->server;
    struct snapshot *snapshot = load->snapshot;

    if (!atomic_load_explicit(&load->is_abandoned, memory_order_relaxed)) {
        load->snapshot = NULL;
        server->load = NULL;
        report_lines(load);
        load_arrived(server, snapshot);
    }
    load_free(load);
}

static void load_begin(struct server *server)
{
    struct load *load = mem_new(sizeof(*load));

    load->job = (struct job){.run = run_load, .done = on_loaded};
    load->server = server;
    load->from = server->options;
    server->load = load;
    jobs_submit(server->jobs, &load->job);
}

/* --- the reload ------------------------------------------------------------------------------ */

static void end_reload(struct server *server, bool successful)
{
    struct reload_result *result = &server->last_reload;

    result->successful = successful;
    result->at_wall_us = clock_wall_us();
    if (successful)
        result->count++;
    else
        result->failures++;
    if (successful)
        LOG_INFO("reload_done", "version=%s", snapshot_config(server->snapshot)->version);
    else
        LOG_ERROR("reload_failed", "in_force=%s", snapshot_config(server->snapshot)->version);
    notify_ready();
    if (server->reload_again && server->state == SERVER_RUNNING) {
        server->reload_again = false;
        server_reload(server);
    }
}

/* Requests that come while one is on its way become one more, after it. */
void server_reload(struct server *server)
{
    if (server->state != SERVER_RUNNING || server->load != NULL || server->reload != NULL) {
        server->reload_again = server->state <= SERVER_RUNNING;
        return;
    }
    LOG_INFO("reload_begin", "in_force=%s", server_config(server)->version);
    notify_reloading();
    logs_reopen(&server->logs);
    text_free(&server->last_reload.complaints);
    text_free(&server->last_reload.warnings);
    load_begin(server);
}

static void take_effect(void *arg);

/* NULL: the configuration cannot be used. */
static void load_arrived(struct server *server, struct snapshot *snapshot)
{
    server->reload = snapshot != NULL ? prepare(server, snapshot, report_to_log) : NULL;
    if (server->reload == NULL) {
        end_reload(server, false);
        return;
    }
    dns_watch(&server->dns, snapshot_config(server->reload->snapshot));
    dns_wait(&server->dns, take_effect, server);
}

static void take_effect(void *arg)
{
    struct server *server = arg;
    struct reload *reload = server->reload;
    struct err err;

    server->reload = NULL;
    if (binds_listen(reload->binds, &err) < 0) {
        report_err(report_to_log, server, &err);
        dns_watch(&server->dns, snapshot_config(server->snapshot));
        reload_free(reload);
        end_reload(server, false);
        return;
    }
    adopt_everywhere(server, reload);
    commit(server, reload);
    end_reload(server, true);
}

/* The process ends while one is on its way. */
void server_reload_forget(struct server *server)
{
    if (server->load != NULL)
        atomic_store_explicit(&server->load->is_abandoned, true, memory_order_relaxed);
    server->load = NULL;
    reload_free(server->reload);
    server->reload = NULL;
}
