/* What remains of an exchange: counters and one access log entry. */
#include "proxy/exchange_impl.h"

#include "base/clock.h"

static uint32_t us_between(int64_t from_us, int64_t to_us)
{
    if (from_us == 0 || to_us <= from_us)
        return 0;
    return (uint32_t)MIN(to_us - from_us, (int64_t)UINT32_MAX);
}

uint32_t exchange_upstream_us(const struct exchange *x)
{
    return us_between(x->attempt.sent_us, x->attempt.answered_us);
}

static void count(struct exchange *x, uint64_t duration_us)
{
    struct metrics *metrics = x->proxy->metrics;

    if (x->status > 0 && x->status < ARRAY_LEN(metrics->responses))
        metric_add(&metrics->responses[x->status], 1);
    if (x->reason != REASON_NONE)
        metric_add(&metrics->reasons[x->reason], 1);
    histogram_add(&metrics->duration, duration_us);
    if (x->group == NULL)
        return;
    struct group_metrics *group = x->group->metrics;
    metric_sub(&group->active, 1);
    if (x->status >= 100 && x->status < 600)
        metric_add(&group->responses[x->status / 100 - 1], 1);
    if (x->reason != REASON_NONE)
        metric_add(&group->failures[x->reason], 1);
    histogram_add(&group->duration, duration_us);
}

static void name_route(const struct exchange *x, struct access_entry *entry)
{
    const struct config *config = x->serving->config;
    const struct decision *decision = &x->decision;

    entry->why = str_of(why_word(decision->why));
    entry->side = str_of(side_word(decision->side));
    entry->share = decision->share;
    entry->bucket = decision->bucket;
    entry->has_share = decision_has_share(decision);
    entry->has_bucket = decision_has_bucket(decision);
    entry->dc_why = str_of(dc_why_word(decision->dc_why));
    entry->config = str_of(config->version);
    if (x->rule != NULL)
        entry->rule = x->rule->name;
    if (decision->dc_rule >= 0)
        entry->primary_if =
            config->routers[x->listener->router].multi_dc.primary_if[decision->dc_rule].name;
    if (x->group_conf != NULL)
        entry->group = x->group_conf->name;
    if (x->attempt.lease.endpoint != NULL)
        entry->endpoint = endpoint_name(x->attempt.lease.endpoint);
    if (x->listener->router >= 0 && decision->service >= 0)
        entry->service = config->routers[x->listener->router].services[decision->service].name;
    if (decision->datacenter >= 0)
        entry->datacenter = config->datacenters.names[decision->datacenter];
}

static void push_entry(struct proxy *proxy, const struct downstream *downstream,
                       struct access_entry *entry)
{
    const struct conn_tls_info *tls =
        downstream->conn != NULL ? conn_tls_info(downstream->conn) : NULL;

    if (tls != NULL && tls->is_tls) {
        entry->tls = tls->version;
        entry->tls_resumed = tls->resumed;
    }
    if (!access_ring_push(proxy->ring, entry))
        proxy_count(proxy, COUNTER_ACCESS_LOG_DROPPED, 1);
}

static void push(struct exchange *x, uint32_t duration_us)
{
    struct access_entry entry = {
        .start_wall_us = x->started_wall_us,
        .duration_us = duration_us,
        .upstream_us = exchange_upstream_us(x),
        .connect_us = us_between(x->attempt.asked_us, x->attempt.sent_us),
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .status = x->status,
        .retries = x->retries,
        .version = (uint8_t)x->request->version,
        .reason = x->reason,
        .method = x->method,
        .host = x->host,
        .path = x->path,
        .request_id = x->request_id,
        .user_agent = x->user_agent,
        .error = x->attempt.error,
        .listener = x->listener->name,
    };

    memcpy(entry.client_ip, x->client_ip, sizeof(entry.client_ip));
    name_route(x, &entry);
    push_entry(x->proxy, x->downstream, &entry);
}

void record_exchange(struct exchange *x)
{
    int64_t duration_us = loop_now_us(x->proxy->loop) - x->started_us;
    uint32_t capped = (uint32_t)MIN(MAX(duration_us, 0), (int64_t)UINT32_MAX);

    count(x, capped);
    if (x->proxy->ring != NULL && x->status >= x->serving->config->access_log.min_status)
        push(x, capped);
}

void record_refusal(struct downstream *down, enum reason reason)
{
    struct proxy *proxy = down->client.proxy;
    int status = reason_status(reason);
    struct access_entry entry = {
        .start_wall_us = clock_wall_us(),
        .status = (uint16_t)status,
        .version = (uint8_t)(down->session->is_h2 ? HTTP_2 : HTTP_1_1),
        .reason = reason,
        .listener = down->client.listener->conf->name,
        .config = str_of(down->serving->config->version),
    };

    metric_add(&proxy->metrics->reasons[reason], 1);
    metric_add(&proxy->metrics->responses[status], 1);
    if (proxy->ring == NULL || status < down->serving->config->access_log.min_status)
        return;
    memcpy(entry.client_ip, down->client.ip, sizeof(entry.client_ip));
    push_entry(proxy, down, &entry);
}
