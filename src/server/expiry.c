/* Certificates that come to their end: a metric, and a line in the log at the moment it happens. */
#include "server/server_impl.h"

#include "base/clock.h"
#include "base/log.h"

typedef void on_certificate(void *arg, struct str listener, const struct tls_expiry *expiry);

static void each_certificate(const struct server *server, on_certificate *on, void *arg)
{
    const struct config *config = server_config(server);
    const struct tls_plans *tls = snapshot_tls(server->snapshot);

    for (size_t i = 0; i < tls->listener_count; i++) {
        size_t count = 0;
        const struct tls_expiry *items =
            tls->listeners[i] != NULL ? tls_server_plan_expiries(tls->listeners[i], &count) : NULL;
        for (size_t j = 0; j < count; j++)
            on(arg, config->listeners[i].name, &items[j]);
    }
}

/* --- the metric ------------------------------------------------------------------------------ */

static const char metric_name[] = "weir_certificate_expires_timestamp_seconds";

static void print_one(void *arg, struct str listener, const struct tls_expiry *expiry)
{
    struct text *out = arg;

    text_add(out, "%s{listener=\"", metric_name);
    text_add_label(out, listener);
    text_add(out, "\",certificate=\"");
    text_add_label(out, str_of(expiry->file));
    text_add(out, "\"} %lld\n", (long long)expiry->at_s);
}

void expiry_print(const struct server *server, struct text *out)
{
    text_add_metric(out, metric_name, "gauge", "When a certificate ends, in seconds since 1970");
    each_certificate(server, print_one, out);
}

/* --- the log --------------------------------------------------------------------------------- */

struct span {
    int64_t after_s, until_s;
};

static void warn_of_one(void *arg, struct str listener, const struct tls_expiry *expiry)
{
    const struct span *span = arg;

    if (expiry->at_s > span->after_s && expiry->at_s <= span->until_s)
        LOG_WARN("certificate_expired", "listener=%.*s certificate=\"%s\"", STR_FMT(listener),
                 expiry->file);
}

void expiry_tick(struct server *server)
{
    struct span span = {server->expiries_told_s, clock_wall_us() / 1000000};

    if (server->snapshot != NULL && span.after_s > 0)
        each_certificate(server, warn_of_one, &span);
    server->expiries_told_s = span.until_s;
}
