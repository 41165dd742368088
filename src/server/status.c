/* What the admin port asks the server. */
#include "server/server_impl.h"

#include "control/splits.h"

#include <time.h>

static struct metrics *const *all_metrics(void *arg, size_t *count)
{
    return server_metrics(arg, count);
}

static bool is_ready(void *arg, const char **words)
{
    const struct server *server = arg;

    *words = "";
    switch (server->state) {
    case SERVER_NEW:
        *words = "starting";
        break;
    case SERVER_RESOLVING:
        *words = "starting: resolving names";
        break;
    case SERVER_RUNNING:
        *words = "ready";
        return true;
    case SERVER_GRACE:
    case SERVER_DRAINING:
        *words = "draining";
        break;
    case SERVER_STOPPED:
        *words = "stopped";
        break;
    }
    return false;
}

static void print_metrics(void *arg, struct text *out)
{
    control_print_metrics(((const struct server *)arg)->control, out);
}

static void print_own_metrics(struct control_part *part, struct text *out)
{
    const struct server *server = CONTAINER_OF(part, struct server, status);
    const struct control_conf *conf = control_conf(part->control);
    const struct reload_result *last = &server->last_reload;

    text_add_metric(out, "weir_config_info", "gauge", "The configuration in force");
    text_add(out, "weir_config_info{version=\"%s\"} 1\n", conf->config->version);
    control_add_number(out, "weir_config_loaded_timestamp_seconds", "gauge",
                       "When the configuration in force was loaded, in seconds since 1970",
                       (uint64_t)conf->loaded_wall_us / 1000000);
    control_add_number(out, "weir_config_last_reload_successful", "gauge",
                       "1 when the last reload took effect, 0 when it was refused",
                       last->successful);
    control_add_number(out, "weir_reloads_total", "counter", "Reloads that took effect",
                       last->count);
    control_add_number(out, "weir_reload_failures_total", "counter", "Reloads that were refused",
                       last->failures);
    control_add_number(out, "weir_ready", "gauge", "1 while new traffic may come",
                       server_is_ready(server));
    control_add_number(out, "weir_workers", "gauge", "Worker threads", server->worker_count);
}

void server_status_add(struct server *server)
{
    static const struct control_part_ops ops = {.name = "status", .metrics = print_own_metrics};

    control_add(server->control, &server->status, &ops);
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

static void print_config_status(void *arg, struct text *out)
{
    const struct server *server = arg;
    const struct reload_result *last = &server->last_reload;
    const char *words;

    (void)is_ready(arg, &words);
    text_add(out, "{\n  \"state\": \"%s\",\n  \"file\": ", words);
    text_add_json(out, server_config(server)->file);
    text_add(out, ",\n  \"version\": \"%s\",\n  \"loaded_at\": ", server_config(server)->version);
    add_time(out, snapshot_loaded_wall_us(server->snapshot));
    text_add(out, ",\n  \"workers\": %zu,\n  \"reloads\": %llu,\n  \"reload_failures\": %llu,\n",
             server->worker_count, (unsigned long long)last->count,
             (unsigned long long)last->failures);
    text_add(out, "  \"last_reload\": {\"successful\": %s, \"at\": ",
             last->successful ? "true" : "false");
    add_time(out, last->at_wall_us);
    text_add_str(out, STR(", \"errors\": ["));
    add_complaints(out, &last->complaints);
    text_add_str(out, STR("], \"warnings\": ["));
    add_complaints(out, &last->warnings);
    text_add_str(out, STR("]},\n  \"splits\": "));
    splits_print_status(server_config(server), out);
    text_add_str(out, STR("\n}\n"));
}

static bool is_our_name(void *arg, struct str host)
{
    const struct admin_conf *admin = &server_config(arg)->admin;

    for (size_t i = 0; i < admin->host_count; i++) {
        if (str_eq(admin->hosts[i], host))
            return true;
    }
    return false;
}

struct admin_source server_admin_source(struct server *server)
{
    return (struct admin_source){.arg = server,
                                 .metrics = all_metrics,
                                 .print_metrics = print_metrics,
                                 .is_ready = is_ready,
                                 .is_our_name = is_our_name,
                                 .print_config_status = print_config_status};
}
