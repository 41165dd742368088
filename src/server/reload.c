/* The steps of a reload; see reload.h. */
#include "server/reload.h"

#include "base/log.h"
#include "config/shrink.h"
#include "control/limits.h"
#include "control/notify.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* --- reports --------------------------------------------------------------------------------- */

/* At the start. */
static void report_to_terminal(void *arg UNUSED, bool is_error UNUSED, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void report_to_log(void *arg, bool is_error, const char *line)
{
    struct reload *reload = arg;

    if (!is_error) {
        LOG_WARN("config_warning", "%s", line);
        text_add(&reload->last.warnings, "%s\n", line);
        return;
    }
    LOG_ERROR("config_error", "%s", line);
    text_add(&reload->last.complaints, "%s\n", line);
}

static void report_err(snapshot_report *report, struct reload *reload, const struct err *err)
{
    char line[ERR_TEXT_MAX + 300];

    report(reload, true, err_line(err, line, sizeof(line)));
}

/* --- preparing ------------------------------------------------------------------------------- */

void candidate_free(struct candidate *candidate)
{
    if (candidate == NULL)
        return;
    binds_free(candidate->binds); /* it has no descriptors of sockets that stay */
    access_writer_free(candidate->writer);
    snapshot_unref(&candidate->snapshot);
    free(candidate);
}

static struct str access_path(const struct config *config)
{
    return config->access_log.enabled ? config->access_log.path : STR("");
}

static int prepare_writer(struct reload *reload, struct candidate *next, struct err *err)
{
    struct str path = access_path(snapshot_config(next->snapshot));

    if (reload->snapshot != NULL && str_eq(path, access_path(snapshot_config(reload->snapshot))))
        return 0;
    next->writer = access_writer_new(path, err);
    if (next->writer == NULL)
        return -1;
    access_writer_watch(next->writer, reload->options->watch, reload->options->watch_arg);
    return 0;
}

static int prepare_sockets(struct reload *reload, struct candidate *next, struct err *err)
{
    next->binds =
        binds_plan(reload->binds, snapshot_config(next->snapshot), reload->workers->count, err);
    return next->binds != NULL ? 0 : -1;
}

/* Opens what `snapshot` (owned from now on) needs. NULL: that failed, which was reported. */
static struct candidate *prepare(struct reload *reload, struct snapshot *snapshot,
                                 snapshot_report *report)
{
    struct candidate *next = mem_new(sizeof(*next));
    struct err err;

    next->snapshot = snapshot;
    disposal_expect(reload->disposal, snapshot);
    if (prepare_sockets(reload, next, &err) == 0 && prepare_writer(reload, next, &err) == 0)
        return next;
    report_err(report, reload, &err);
    candidate_free(next);
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

static void move_admin(struct reload *reload, struct binds *next)
{
    for (size_t i = 0; reload->binds != NULL && i < reload->binds->count; i++) {
        const struct bind *bind = &reload->binds->items[i];
        if (bind->is_admin && binds_find(next, bind) == NULL)
            admin_close(reload->admin, &bind->bound);
    }
    for (size_t i = 0; i < next->count; i++) {
        struct bind *bind = &next->items[i];
        if (!bind->is_admin || bind->fds[0] < 0)
            continue;
        admin_open(reload->admin, bind->fds[0], &bind->bound);
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

static void mark_group_metrics(const struct reload *reload)
{
    const struct config *config = snapshot_config(reload->snapshot);
    struct group_names names = {.items =
                                    mem_new(MAX(config->group_count, 1u) * sizeof(struct str))};

    for (size_t i = 0; i < config->group_count; i++)
        names.items[names.count++] = config->groups[i].name;
    qsort(names.items, names.count, sizeof(*names.items), compare_names);
    metrics_mark_groups(reload->workers->metrics, reload->workers->count, is_group_name, &names);
    free(names.items);
}

static void compare_with(struct reload *reload, const struct config *old, const struct config *new)
{
    warn_of_restart(old, new);
    config_compare_lists(old, new, on_shrunk_list, reload);
}

static void raise_limits(const struct config *old, const struct config *new)
{
    if (old == NULL || old->max_connections != new->max_connections)
        limits_raise_descriptors(new->max_connections);
}

static void adopt_in_parts(struct reload *reload)
{
    const struct snapshot *snapshot = reload->snapshot;

    control_adopt(reload->part.control, &(struct control_conf){
                                            .config = snapshot_config(snapshot),
                                            .tls = snapshot_tls(snapshot),
                                            .ticket_keys = snapshot_ticket_keys(snapshot),
                                            .loaded_wall_us = snapshot_loaded_wall_us(snapshot),
                                        });
}

/* The workers have adopted it: it is in force, and what is old is released. */
static void commit(struct reload *reload, struct candidate *next)
{
    struct snapshot *old = reload->snapshot;
    const struct config *old_config = old != NULL ? snapshot_config(old) : NULL;

    if (old != NULL)
        compare_with(reload, old_config, snapshot_config(next->snapshot));
    move_admin(reload, next->binds);
    binds_commit(reload->binds, next->binds);
    reload->binds = next->binds;
    reload->snapshot = next->snapshot;
    if (next->writer != NULL)
        logs_use(reload->logs, next->writer);
    mark_group_metrics(reload);
    adopt_in_parts(reload);
    raise_limits(old_config, snapshot_config(reload->snapshot));
    snapshot_unref(&old);
    free(next);
}

/* --- the start ------------------------------------------------------------------------------- */

struct candidate *reload_first_load(struct reload *reload)
{
    struct snapshot *snapshot = snapshot_load(reload->options->source, reload->options->source_arg,
                                              NULL, report_to_terminal, reload);

    if (snapshot == NULL)
        return NULL;
    workers_plan(reload->workers, reload->options->workers, snapshot_config(snapshot));
    return prepare(reload, snapshot, report_to_terminal);
}

static void adopt_first(struct order_round *round, void *worker)
{
    worker_adopt(worker, CONTAINER_OF(round, struct reload, adopt)->snapshot);
}

/* Nothing waits for the workers' answers: whatever they are ordered next comes after this. */
void reload_first_adopt(struct reload *reload, struct candidate *candidate)
{
    dns_watch(reload->dns, snapshot_config(candidate->snapshot));
    commit(reload, candidate);
    reload->adopt = (struct order_round){.name = "adopt", .carry_out = adopt_first};
    workers_order(reload->workers, &reload->adopt);
    reload->last.successful = true;
    reload->last.at_wall_us = loop_wall_us(control_loop(reload->part.control));
}

/* --- the reload ------------------------------------------------------------------------------ */

static void end_reload(struct reload *reload, bool successful)
{
    struct reload_result *result = &reload->last;
    const char *version = snapshot_config(reload->snapshot)->version;

    reload->stage = RELOAD_IDLE;
    result->successful = successful;
    result->at_wall_us = loop_wall_us(control_loop(reload->part.control));
    if (successful) {
        result->count++;
        LOG_INFO("reload_done", "version=%s", version);
    } else {
        result->failures++;
        LOG_ERROR("reload_failed", "in_force=%s", version);
    }
    reload->ended(reload->arg);
}

static void on_adopted(struct order_round *round)
{
    struct reload *reload = CONTAINER_OF(round, struct reload, adopt);
    struct candidate *next = reload->next;

    reload->next = NULL;
    commit(reload, next);
    end_reload(reload, true);
}

static void adopt(struct order_round *round, void *worker)
{
    const struct candidate *next = CONTAINER_OF(round, struct reload, adopt)->next;

    worker_adopt_and_listen(worker, next->snapshot, next->binds);
}

static void on_resolved(void *arg)
{
    struct reload *reload = arg;
    struct err err;

    if (binds_listen(reload->next->binds, &err) == 0) {
        reload->stage = RELOAD_ADOPTING;
        reload->adopt =
            (struct order_round){.name = "adopt", .carry_out = adopt, .done = on_adopted};
        workers_order(reload->workers, &reload->adopt);
        return;
    }
    report_err(report_to_log, reload, &err);
    dns_watch(reload->dns, snapshot_config(reload->snapshot));
    candidate_free(reload->next);
    reload->next = NULL;
    end_reload(reload, false);
}

static void on_loaded(void *arg, struct snapshot *snapshot)
{
    struct reload *reload = arg;

    reload->load = NULL;
    reload->next = snapshot != NULL ? prepare(reload, snapshot, report_to_log) : NULL;
    if (reload->next == NULL) {
        end_reload(reload, false);
        return;
    }
    reload->stage = RELOAD_RESOLVING;
    dns_watch(reload->dns, snapshot_config(reload->next->snapshot));
    dns_wait(reload->dns, on_resolved, reload);
}

void reload_begin(struct reload *reload)
{
    ASSERT(reload->stage == RELOAD_IDLE);
    LOG_INFO("reload_begin", "in_force=%s", snapshot_config(reload->snapshot)->version);
    notify_reloading();
    logs_reopen(reload->logs);
    text_free(&reload->last.complaints);
    text_free(&reload->last.warnings);
    reload->stage = RELOAD_LOADING;
    reload->load = load_begin(reload->jobs, reload->options->source, reload->options->source_arg,
                              report_to_log, on_loaded, reload);
}

void reload_abandon(struct reload *reload)
{
    if (reload->stage == RELOAD_ADOPTING)
        return;
    if (reload->load != NULL)
        load_abandon(reload->load);
    reload->load = NULL;
    if (reload->stage == RELOAD_RESOLVING)
        dns_stop_waiting(reload->dns);
    candidate_free(reload->next);
    reload->next = NULL;
    reload->stage = RELOAD_IDLE;
}

/* --- the part -------------------------------------------------------------------------------- */

static struct reload *reload_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct reload, part);
}

static void print(struct control_part *part, struct text *out)
{
    const struct control_conf *conf = control_conf(part->control);
    const struct reload_result *last = &reload_of(part)->last;
    struct str version = str_of(conf->config->version);

    text_add_metric(out, METRIC_CONFIG_INFO);
    text_add_sample(out, METRIC_CONFIG_INFO, &version, 1);
    control_add_number(out, METRIC_CONFIG_LOADED, (uint64_t)conf->loaded_wall_us / 1000000);
    control_add_number(out, METRIC_LAST_RELOAD_SUCCESSFUL, last->successful);
    control_add_number(out, METRIC_RELOADS, last->count);
    control_add_number(out, METRIC_RELOAD_FAILURES, last->failures);
}

static void drain(struct control_part *part)
{
    reload_abandon(reload_of(part));
}

/* The workers have ended, so nothing adopts any more. */
static void release(struct control_part *part)
{
    struct reload *reload = reload_of(part);

    reload_abandon(reload);
    candidate_free(reload->next);
    binds_free(reload->binds);
    snapshot_unref(&reload->snapshot);
    text_free(&reload->last.complaints);
    text_free(&reload->last.warnings);
}

void reload_add(struct reload *reload, struct control *control)
{
    static const struct control_part_ops ops = {
        .name = "reload", .metrics = print, .drain = drain, .free = release};

    control_add(control, &reload->part, &ops);
}
