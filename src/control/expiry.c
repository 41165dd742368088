/* Certificates that expire. The wall clock is looked at every few seconds, so a clock that jumps
 * forward only makes the next line cover a longer time. */
#include "control/expiry.h"

#include "base/clock.h"
#include "base/log.h"

typedef void on_certificate(void *arg, struct str listener, const struct tls_expiry *expiry);

static void each_certificate(const struct control_conf *conf, on_certificate *on, void *arg)
{
    const struct tls_plans *tls = conf->tls;

    for (size_t i = 0; i < tls->listener_count; i++) {
        size_t count = 0;
        const struct tls_expiry *items =
            tls->listeners[i] != NULL ? tls_server_plan_expiries(tls->listeners[i], &count) : NULL;
        for (size_t j = 0; j < count; j++)
            on(arg, conf->config->listeners[i].name, &items[j]);
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

static void print(struct control_part *part, struct text *out)
{
    text_add_metric(out, metric_name, "gauge", "When a certificate ends, in seconds since 1970");
    each_certificate(control_conf(part->control), print_one, out);
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

static void tick(struct control_part *part)
{
    struct expiry *expiry = CONTAINER_OF(part, struct expiry, part);
    struct span span = {expiry->reported_until_s, clock_wall_us() / 1000000};

    if (span.after_s > 0)
        each_certificate(control_conf(part->control), warn_of_one, &span);
    expiry->reported_until_s = span.until_s;
}

void expiry_add(struct expiry *expiry, struct control *control)
{
    enum { TICK_MS = 5000 };
    static const struct control_part_ops ops = {
        .name = "expiry", .tick_ms = TICK_MS, .tick = tick, .metrics = print};

    control_add(control, &expiry->part, &ops);
}
