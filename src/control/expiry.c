/* Certificates that expire. One alarm is set to the first of them that has not expired. It also
 * rings when the clock is set: forward, certificates may have expired meanwhile; back, those that
 * were reported may expire again. */
#include "control/expiry.h"

#include "base/log.h"

#include <stdio.h>

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

static void print_one(void *arg, struct str listener, const struct tls_expiry *expiry)
{
    const struct str labels[] = {listener, str_of(expiry->file)};

    char digits[24]; /* it can be before 1970 */
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)expiry->at_s);

    text_add_sample_text(arg, METRIC_CERTIFICATE_EXPIRES, labels, str_make(digits, (size_t)len));
}

static void print(struct control_part *part, struct text *out)
{
    text_add_metric(out, METRIC_CERTIFICATE_EXPIRES);
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

struct search {
    int64_t now_s, next_s;
};

static void find_next(void *arg, struct str listener UNUSED, const struct tls_expiry *expiry)
{
    struct search *search = arg;

    if (expiry->at_s > search->now_s)
        search->next_s = MIN(search->next_s, expiry->at_s);
}

static void set_alarm(struct expiry *expiry, int64_t now_s)
{
    struct search search = {now_s, WALL_NEVER / 1000000};

    each_certificate(control_conf(expiry->part.control), find_next, &search);
    wall_alarm_set(control_loop(expiry->part.control), &expiry->next, search.next_s * 1000000);
}

/* Loading has reported those that had expired by then. */
static void adopt(struct control_part *part)
{
    struct expiry *expiry = CONTAINER_OF(part, struct expiry, part);

    expiry->reported_until_s = control_conf(part->control)->loaded_wall_us / 1000000;
    set_alarm(expiry, expiry->reported_until_s);
}

static void on_alarm(struct wall_alarm *alarm)
{
    struct expiry *expiry = CONTAINER_OF(alarm, struct expiry, next);
    struct control *control = expiry->part.control;
    struct span span = {expiry->reported_until_s, loop_wall_us(control_loop(control)) / 1000000};

    each_certificate(control_conf(control), warn_of_one, &span);
    expiry->reported_until_s = span.until_s;
    set_alarm(expiry, span.until_s);
}

static void init(struct control_part *part)
{
    wall_alarm_init(&CONTAINER_OF(part, struct expiry, part)->next, on_alarm);
}

static void release(struct control_part *part)
{
    wall_alarm_deinit(&CONTAINER_OF(part, struct expiry, part)->next);
}

void expiry_add(struct expiry *expiry, struct control *control)
{
    static const struct control_part_ops ops = {
        .name = "expiry", .init = init, .adopt = adopt, .metrics = print, .free = release};

    control_add(control, &expiry->part, &ops);
}
