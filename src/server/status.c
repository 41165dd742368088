/* Metrics are printed by the control thread's parts; here are those that no other part has, and the
 * configuration status. */
#include "server/status.h"

#include "control/splits.h"

#include <time.h>

static struct metrics *const *all_metrics(void *arg, size_t *count)
{
    const struct status *status = arg;

    *count = status->workers->count;
    return status->workers->metrics;
}

static bool is_ready(void *arg, const char **words)
{
    const struct status *status = arg;

    return status->is_ready(status->arg, words);
}

static void print_metrics(void *arg, struct text *out)
{
    control_print_metrics(((const struct status *)arg)->part.control, out);
}

static void print_own_metrics(struct control_part *part, struct text *out)
{
    const struct status *status = CONTAINER_OF(part, struct status, part);
    const char *words;

    control_add_number(out, METRIC_READY, status->is_ready(status->arg, &words));
    control_add_number(out, METRIC_WORKERS, status->workers->count);
}

static struct doc *time_doc(int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    char stamp[32];

    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return doc_text(str_of(stamp));
}

static struct doc *complaints_doc(const struct text *complaints)
{
    struct str rest = str_make(complaints->ptr, complaints->len), line;
    struct doc *list = doc_list();

    while (str_next(&rest, '\n', &line)) {
        if (line.len > 0)
            doc_add(list, doc_text(line));
    }
    return list;
}

static struct doc *last_reload_doc(const struct reload_result *last)
{
    struct doc *doc = doc_object();

    doc_set(doc, STR("successful"), doc_bool(last->successful));
    doc_set(doc, STR("at"), time_doc(last->at_wall_us));
    doc_set(doc, STR("errors"), complaints_doc(&last->complaints));
    doc_set(doc, STR("warnings"), complaints_doc(&last->warnings));
    return doc;
}

static void print_config_status(void *arg, struct text *out)
{
    const struct status *status = arg;
    const struct control_conf *conf = control_conf(status->part.control);
    const struct reload_result *last = &status->reload->last;
    struct doc *doc = doc_object();
    const char *words;

    (void)is_ready(arg, &words);
    doc_set(doc, STR("state"), doc_text(str_of(words)));
    doc_set(doc, STR("file"), doc_text(conf->config->file));
    doc_set(doc, STR("version"), doc_text(str_of(conf->config->version)));
    doc_set(doc, STR("loaded_at"), time_doc(conf->loaded_wall_us));
    doc_set(doc, STR("workers"), doc_int((int64_t)status->workers->count));
    doc_set(doc, STR("stuck_workers"), orders_status(status->orders));
    doc_set(doc, STR("reloads"), doc_int((int64_t)last->count));
    doc_set(doc, STR("reload_failures"), doc_int((int64_t)last->failures));
    doc_set(doc, STR("last_reload"), last_reload_doc(last));
    doc_set(doc, STR("splits"), splits_status(conf->config));
    text_add_doc(out, doc);
    text_add_str(out, STR("\n"));
    doc_free(&doc);
}

static bool is_our_name(void *arg, struct str host)
{
    const struct status *status = arg;
    const struct admin_conf *admin = &control_conf(status->part.control)->config->admin;

    for (size_t i = 0; i < admin->host_count; i++) {
        if (str_eq(admin->hosts[i], host))
            return true;
    }
    return false;
}

struct admin_source status_admin_source(struct status *status)
{
    return (struct admin_source){.arg = status,
                                 .metrics = all_metrics,
                                 .print_metrics = print_metrics,
                                 .is_ready = is_ready,
                                 .is_our_name = is_our_name,
                                 .print_config_status = print_config_status};
}

void status_add(struct status *status, struct control *control)
{
    static const struct control_part_ops ops = {.name = "status", .metrics = print_own_metrics};

    control_add(control, &status->part, &ops);
}
