/* Building and counting snapshots. Building is the part that can fail and take long, so it runs
 * before anything else changes. */
#include "server/snapshot.h"

#include "base/clock.h"
#include "server/machine.h"
#include "tls/server.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What the configuration names and does not contain. */
struct secrets {
    struct tls_plans tls;                 /* owns */
    struct tls_ticket_files *ticket_keys; /* owns */
};

struct snapshot {
    _Atomic unsigned refs;
    struct config *config;  /* owns */
    struct routers routers; /* owns; borrow from config */
    struct secrets secrets; /* owns */
    int64_t loaded_wall_us;
    void (*dispose)(void *arg, struct snapshot *snapshot); /* NULL: the last reference frees */
    void *dispose_arg;
};

static void secrets_free(struct secrets *secrets)
{
    tls_plans_free(&secrets->tls);
    tls_ticket_files_free(secrets->ticket_keys);
}

void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->routers.count; i++)
        router_free(snapshot->routers.items[i]);
    free(snapshot->routers.items);
    secrets_free(&snapshot->secrets);
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

/* Compiles a configuration. Owns `config` and `secrets` from now on, also on failure. */
static struct snapshot *snapshot_new(struct config *config, struct secrets secrets, struct err *err)
{
    struct snapshot *snapshot = mem_new(sizeof(*snapshot));

    atomic_store_explicit(&snapshot->refs, 1, memory_order_relaxed);
    snapshot->config = config;
    snapshot->secrets = secrets;
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
    int errors; /* about TLS */
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
    struct reporter *reporter = arg;

    reporter->errors += is_error;
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

static void on_machine_warning(void *arg, const struct place *place, const char *text)
{
    on_tls_complaint(arg, place, false, text);
}

/* Returns the number of errors. The caller frees `secrets` in any case. */
static int secrets_load(struct secrets *secrets, const struct config *config,
                        const atomic_bool *cancel, struct reporter *reporter)
{
    struct err err = {0};

    reporter->errors = 0;
    int result = tls_plans_load(&secrets->tls, config, cancel, on_tls_complaint, reporter);
    secrets->ticket_keys =
        tls_ticket_files_read(config->ticket_keys, config->ticket_key_count, &err);
    if (secrets->ticket_keys == NULL)
        reporter->errors += report_err(reporter, &err);
    return reporter->errors == 0 && result < 0 ? 1 /* cancelled */ : reporter->errors;
}

int snapshot_check(const struct config *config, snapshot_report *report, void *report_arg)
{
    struct reporter reporter = {report, report_arg, 0};
    struct secrets secrets;
    int errors = secrets_load(&secrets, config, NULL, &reporter);

    if (errors == 0)
        tls_plans_review(&secrets.tls, config, on_tls_complaint, &reporter);
    secrets_free(&secrets);
    machine_review(config, on_machine_warning, &reporter);
    return errors;
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

struct snapshot *snapshot_load(snapshot_source *source, void *source_arg, const atomic_bool *cancel,
                               snapshot_report *report, void *report_arg)
{
    struct reporter reporter = {report, report_arg, 0};
    struct complaints complaints;
    struct secrets secrets;
    struct err err;

    complaints_init(&complaints);
    struct config *config = source(source_arg, &complaints);
    report_complaints(&reporter, &complaints);
    complaints_deinit(&complaints);
    if (config == NULL)
        return NULL;
    if (secrets_load(&secrets, config, cancel, &reporter) > 0) {
        secrets_free(&secrets);
        config_free(config);
        return NULL;
    }
    struct snapshot *snapshot = snapshot_new(config, secrets, &err);
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
    /* Acquire and release: the thread that frees must see every write of the others. */
    if (atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (old->dispose != NULL)
        old->dispose(old->dispose_arg, old);
    else
        snapshot_free(old);
}

void snapshot_on_last_unref(struct snapshot *snapshot,
                            void (*dispose)(void *arg, struct snapshot *snapshot), void *arg)
{
    snapshot->dispose = dispose;
    snapshot->dispose_arg = arg;
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
    return snapshot->config;
}

const struct routers *snapshot_routers(const struct snapshot *snapshot)
{
    return &snapshot->routers;
}

const struct tls_ticket_files *snapshot_ticket_keys(const struct snapshot *snapshot)
{
    return snapshot->secrets.ticket_keys;
}

const struct tls_plans *snapshot_tls(const struct snapshot *snapshot)
{
    return &snapshot->secrets.tls;
}

int64_t snapshot_loaded_wall_us(const struct snapshot *snapshot)
{
    return snapshot->loaded_wall_us;
}
