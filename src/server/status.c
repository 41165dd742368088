/* What the admin port asks the server. */
#include "server/server_impl.h"

#include "base/log.h"

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

static void add_number(struct text *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    text_add_metric(out, name, type, help);
    text_add(out, "%s %llu\n", name, (unsigned long long)value);
}

static void add_seconds(struct text *out, const char *name, const char *help, int64_t ms)
{
    text_add_metric(out, name, "gauge", help);
    text_add(out, "%s %lld.%03lld\n", name, (long long)ms / 1000, (long long)ms % 1000);
}

static void print_dns(struct resolver_figures dns, struct text *out)
{
    add_number(out, "weir_dns_failures_total", "counter", "Look-ups of names that failed",
               dns.failures);
    add_number(out, "weir_dns_stale_names", "gauge",
               "Names whose addresses, or those of one family, could not be renewed", dns.stale);
    add_number(out, "weir_dns_gone_names", "gauge",
               "Names that do not exist or have no address, by the last answer", dns.gone);
    add_number(out, "weir_dns_addresses_dropped_total", "counter",
               "Addresses above dns_max_addresses, counted when an answer changed", dns.dropped);
}

static void print_metrics(void *arg, struct text *out)
{
    const struct server *server = arg;
    const struct reload_result *last = &server->last_reload;

    text_add_metric(out, "weir_config_info", "gauge", "The configuration in force");
    text_add(out, "weir_config_info{version=\"%s\"} 1\n", server_config(server)->version);
    add_number(out, "weir_config_loaded_timestamp_seconds", "gauge",
               "When the configuration in force was loaded, in seconds since 1970",
               (uint64_t)snapshot_loaded_wall_us(server->snapshot) / 1000000);
    expiry_print(server, out);
    add_number(out, "weir_config_last_reload_successful", "gauge",
               "1 when the last reload took effect, 0 when it was refused", last->successful);
    add_number(out, "weir_reloads_total", "counter", "Reloads that took effect", last->count);
    add_number(out, "weir_reload_failures_total", "counter", "Reloads that were refused",
               last->failures);
    add_number(out, "weir_ready", "gauge", "1 while new traffic may come", server_is_ready(server));
    add_number(out, "weir_workers", "gauge", "Worker threads", server->worker_count);
    add_number(out, "weir_overload_level", "gauge",
               "0: none, 1: no keep-alive, 2: new connections refused, 3: requests refused",
               server->overload.level);
    add_number(out, "weir_memory_limit_bytes", "gauge", "What memory is held against; 0: nothing",
               server->overload_facts.memory_max);
    add_number(out, "weir_descriptors_limit", "gauge",
               "Descriptors for clients, upstreams, and what weir has open itself",
               server->overload_facts.descriptors_max);
    add_seconds(out, "weir_loop_lag_seconds", "How late the slowest worker's loop is",
                server->overload_facts.lag_ms);
    server_print_splits(server_config(server), out);
    print_dns(resolver_figures(server->resolver), out);
    add_number(out, "weir_access_log_lost_total", "counter",
               "Writes of log lines that failed, and lines lost because of them",
               access_writer_failed(server->writer) + log_lost_lines());
    add_number(out, "weir_access_log_reopen_failures_total", "counter",
               "Times that the access log could not be opened again; lines went on to the old file",
               access_writer_reopen_failures(server->writer));
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
    server_print_split_status(server_config(server), out);
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
