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

static void add_time(struct text *out, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    char stamp[32];

    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof(stamp), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
    text_add_str(out, str_of(stamp));
}

static void add_complaints(struct text *out, const struct text *complaints)
{
    struct str rest = str_make(complaints->ptr, complaints->len), line;
    const char *separator = "";

    while (str_next(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        text_add(out, "%s", separator);
        text_add_json(out, line);
        separator = ", ";
    }
}

static void print_last_reload(const struct reload_result *last, struct text *out)
{
    text_add(out, "  \"last_reload\": {\"successful\": %s, \"at\": ",
             last->successful ? "true" : "false");
    add_time(out, last->at_wall_us);
    text_add_str(out, STR(", \"errors\": ["));
    add_complaints(out, &last->complaints);
    text_add_str(out, STR("], \"warnings\": ["));
    add_complaints(out, &last->warnings);
    text_add_str(out, STR("]},\n"));
}

static void print_config_status(void *arg, struct text *out)
{
    const struct status *status = arg;
    const struct control_conf *conf = control_conf(status->part.control);
    const struct reload_result *last = &status->reload->last;
    const char *words;

    (void)is_ready(arg, &words);
    text_add(out, "{\n  \"state\": \"%s\",\n  \"file\": ", words);
    text_add_json(out, conf->config->file);
    text_add(out, ",\n  \"version\": \"%s\",\n  \"loaded_at\": ", conf->config->version);
    add_time(out, conf->loaded_wall_us);
    text_add(out, ",\n  \"workers\": %zu,\n  \"stuck_workers\": ", status->workers->count);
    orders_print_status(status->orders, out);
    text_add(out, ",\n  \"reloads\": %llu,\n  \"reload_failures\": %llu,\n",
             (unsigned long long)last->count, (unsigned long long)last->failures);
    print_last_reload(last, out);
    text_add_str(out, STR("  \"splits\": "));
    splits_print_status(conf->config, out);
    text_add_str(out, STR("\n}\n"));
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
