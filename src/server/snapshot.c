/* Building and counting snapshots. */
#include "server/snapshot.h"

#include "base/clock.h"
#include "tls/client.h"
#include "tls/server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct snapshot {
    _Atomic unsigned refs;
    struct config *config;  /* owns */
    struct routers routers; /* owns; borrow from config */
    int64_t loaded_wall_us;
};

static void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->routers.count; i++)
        router_free(snapshot->routers.items[i]);
    free(snapshot->routers.items);
    config_free(snapshot->config);
    free(snapshot);
}

static int compile_routers(struct snapshot *snapshot, struct err *err)
{
    const struct config *config = snapshot->config;

    snapshot->routers.items = mem_new((config->router_count + 1) * sizeof(struct router *));
    for (size_t i = 0; i < config->router_count; i++) {
        struct router *router = router_new(config, i, err);
        if (router == NULL)
            return -1;
        snapshot->routers.items[snapshot->routers.count++] = router;
    }
    return 0;
}

struct snapshot *snapshot_new(struct config *config, struct err *err)
{
    struct snapshot *snapshot = mem_new(sizeof(*snapshot));

    atomic_store_explicit(&snapshot->refs, 1, memory_order_relaxed);
    snapshot->config = config;
    snapshot->loaded_wall_us = clock_wall_us();
    if (compile_routers(snapshot, err) < 0) {
        snapshot_free(snapshot);
        return NULL;
    }
    return snapshot;
}

/* --- checking -------------------------------------------------------------------------------- */

struct reporter {
    snapshot_report *report;
    void *arg;
};

static void report_line(const struct reporter *reporter, const struct complaint *complaint)
{
    char line[1024];

    reporter->report(reporter->arg, complaint->severity == SEVERITY_ERROR,
                     complaint_line(complaint, line, sizeof(line)));
}

static int report_err(const struct reporter *reporter, const struct err *err)
{
    char line[1024];

    reporter->report(reporter->arg, true, err_line(err, line, sizeof(line)));
    return 1;
}

static void on_tls_complaint(void *arg, const struct place *place, bool is_error, const char *text)
{
    const struct reporter *reporter = arg;

    if (place == NULL || place->file == NULL) {
        reporter->report(reporter->arg, is_error, text);
        return;
    }
    report_line(reporter, &(struct complaint){
                              .severity = is_error ? SEVERITY_ERROR : SEVERITY_WARNING,
                              .place = *place,
                              .text = str_of(text),
                          });
}

static int check_readable(const struct reporter *reporter, struct place place, const char *what,
                          struct str path)
{
    char text[768];

    if (path.len == 0 || access(path.ptr, R_OK) == 0)
        return 0;
    snprintf(text, sizeof(text), "cannot read %s \"%s\": %s", what, path.ptr, strerror(errno));
    report_line(reporter, &(struct complaint){.place = place, .text = str_of(text)});
    return 1;
}

/* What is inside the files is for tls/ to judge, once all of them can be read. */
static int check_server_tls(const struct tls_server_conf *tls, struct reporter *reporter)
{
    int errors = 0;

    for (size_t i = 0; i < tls->certificate_count; i++) {
        const struct certificate_conf *certificate = &tls->certificates[i];
        errors += check_readable(reporter, certificate->place, "certificate", certificate->chain);
        errors += check_readable(reporter, certificate->place, "key", certificate->key);
    }
    return errors > 0 ? errors : tls_server_check(tls, on_tls_complaint, reporter);
}

static int check_listeners(const struct config *config, struct reporter *reporter)
{
    int errors = 0;

    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].tls != NULL)
            errors += check_server_tls(config->listeners[i].tls, reporter);
    }
    return errors;
}

static int check_group(const struct group_conf *group, struct tls_library *library,
                       struct reporter *reporter)
{
    struct err err;
    char text[ERR_TEXT_MAX + 512];
    bool offers_h2 = group->protocol != PROTOCOL_H1;
    struct tls_client *client = tls_client_new(library, group->tls, offers_h2, &err);

    if (client != NULL) {
        tls_client_unref(&client);
        return 0;
    }
    snprintf(text, sizeof(text), "group \"%.*s\": %s", STR_FMT(group->name), err.text);
    report_line(reporter, &(struct complaint){.place = group->place, .text = str_of(text)});
    return 1;
}

/* Can it be wrong? The system's bundle is not loaded here: it costs more than all the rest. */
static bool names_anything(const struct upstream_tls_conf *tls)
{
    return tls->ca.len > 0 || tls->ca_pem.len > 0 || tls->ciphers.len > 0;
}

/* What every worker is going to load: better here, where it can be told with its place. */
static int check_groups(const struct config *config, struct reporter *reporter)
{
    struct tls_library *library = tls_library_new();
    int errors = 0;

    for (size_t i = 0; i < config->group_count; i++) {
        const struct group_conf *group = &config->groups[i];
        if (group->tls != NULL && names_anything(group->tls))
            errors += check_group(group, library, reporter);
    }
    tls_library_free(library);
    return errors;
}

static int check_ticket_keys(const struct config *config, struct reporter *reporter)
{
    struct err err = {0};

    if (tls_tickets_check(config->ticket_keys, config->ticket_key_count, &err) == 0)
        return 0;
    return report_err(reporter, &err);
}

int snapshot_check(const struct config *config, snapshot_report *report, void *report_arg)
{
    struct reporter reporter = {report, report_arg};

    return check_listeners(config, &reporter) + check_groups(config, &reporter) +
           check_ticket_keys(config, &reporter);
}

/* --- loading --------------------------------------------------------------------------------- */

/* Notes are for `weir check`. */
static void report_complaints(const struct reporter *reporter, const struct complaints *complaints)
{
    for (size_t i = 0; i < complaints->count; i++) {
        if (complaints->items[i].severity != SEVERITY_NOTE)
            report_line(reporter, &complaints->items[i]);
    }
}

struct snapshot *snapshot_load(snapshot_source *source, void *source_arg, snapshot_report *report,
                               void *report_arg)
{
    struct reporter reporter = {report, report_arg};
    struct complaints complaints;
    struct err err;

    complaints_init(&complaints);
    struct config *config = source(source_arg, &complaints);
    report_complaints(&reporter, &complaints);
    complaints_deinit(&complaints);
    if (config == NULL)
        return NULL;
    if (snapshot_check(config, report, report_arg) > 0) {
        config_free(config);
        return NULL;
    }
    struct snapshot *snapshot = snapshot_new(config, &err);
    if (snapshot == NULL)
        report_err(&reporter, &err);
    return snapshot;
}

/* --- counting -------------------------------------------------------------------------------- */

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot **snapshot)
{
    struct snapshot *old = *snapshot;

    *snapshot = NULL;
    if (old == NULL)
        return;
    /* Whoever frees must see all that the others did with it. */
    if (atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1)
        snapshot_free(old);
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
    return snapshot->config;
}

const struct routers *snapshot_routers(const struct snapshot *snapshot)
{
    return &snapshot->routers;
}

int64_t snapshot_loaded_wall_us(const struct snapshot *snapshot)
{
    return snapshot->loaded_wall_us;
}
