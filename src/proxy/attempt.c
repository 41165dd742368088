/* An attempt: a claim on an upstream stream, the request sent down it, and after a failure the
 * question whether there may be another. */
#include "proxy/exchange_impl.h"

static void connect_upstream(struct exchange *x, enum lease_want want,
                             const struct endpoint *avoid);

/* May the request be sent once more? Only if the upstream cannot have seen it, or if seeing it
 * twice does no harm and the connection had merely gone stale (RFC 9110 section 9.2.2, RFC 9112
 * section 9.3.1). */
static bool may_retry(const struct exchange *x, enum reason reason)
{
    if (x->response_started || x->body_was_sent || x->retries >= x->group->retries ||
        x->down_is_gone)
        return false;
    switch ((enum retry)reason_table[reason].retry) {
    case RETRY_SAFE:
        return true;
    case RETRY_IDEMPOTENT:
        return x->lease.was_reused && method_is_idempotent(x->request->method);
    case RETRY_NEVER:
        return false;
    }
    UNREACHABLE("every kind of retry is above");
}

int exchange_current_group(const struct exchange *x)
{
    const struct config *config = x->proxy->serving->config;

    if (x->serving == x->proxy->serving)
        return x->decision.group;
    for (size_t i = 0; i < config->group_count; i++) {
        if (str_eq(config->groups[i].name, x->group->name) &&
            config->groups[i].target_count > (size_t)x->decision.target)
            return (int)i;
    }
    return -1;
}

struct target *exchange_current_target(const struct exchange *x)
{
    int group = exchange_current_group(x);

    return group >= 0 ? upstream_target(x->proxy->upstream, group, x->decision.target) : NULL;
}

/* May the group make one more attempt, for all its requests have paid in? It is taken out. */
static bool spend_retry(struct exchange *x, enum reason reason)
{
    int group = exchange_current_group(x);

    if (group < 0 || upstream_spend_retry(x->proxy->upstream, group))
        return true; /* of a group that is gone nothing is asked any more */
    proxy_count(x->proxy, COUNTER_UP_RETRIES_DENIED, 1);
    metric_add(&x->figures->retries_denied, 1);
    LOG_LIMITED(LOG_LEVEL_WARN, "upstream_retries_denied", "group=%.*s reason=%s",
                STR_FMT(x->group->name), reason_word(reason));
    return false;
}

void exchange_retry(struct exchange *x, enum reason reason)
{
    const struct endpoint *failed = x->lease.endpoint;

    if (!may_retry(x, reason) || !spend_retry(x, reason)) {
        exchange_fail(x, reason);
        return;
    }
    bool was_stale = x->lease.was_reused;
    x->retries++;
    proxy_count(x->proxy, COUNTER_UP_RETRIES, 1);
    metric_add(&x->figures->retries, 1);
    upstream_release(&x->lease, false);
    x->target = exchange_current_target(x);
    exchange_enter(x, EXCHANGE_CONNECTING);
    connect_upstream(x, LEASE_FRESH, was_stale ? NULL : failed);
}

/* The upstream stream is there: the request leaves. */
static void send_request(struct exchange *x)
{
    struct stream *up = exchange_up(x);

    exchange_enter(x, EXCHANGE_RELAYING);
    x->sent_us = loop_now_us(x->proxy->loop);
    stream_send_head(up, x->request, x->request_has_body || x->wants_upgrade ? MORE : END);
    exchange_send_pending(x);
    exchange_resume_down(x);
    exchange_touch(x);
}

static void on_lease_ready(struct lease *lease)
{
    struct exchange *x = CONTAINER_OF(lease, struct exchange, lease);

    if (!exchange_is_over(x))
        send_request(x);
}

static void on_lease_failed(struct lease *lease, enum reason reason)
{
    struct exchange *x = CONTAINER_OF(lease, struct exchange, lease);

    if (!exchange_is_over(x))
        exchange_retry(x, reason);
}

static void connect_upstream(struct exchange *x, enum lease_want want, const struct endpoint *avoid)
{
    if (x->target == NULL) {
        exchange_fail(x, REASON_UPSTREAM_NO_ENDPOINT);
        return;
    }
    x->lease.on_ready = on_lease_ready;
    x->lease.on_failed = on_lease_failed;
    x->lease.client = target_needs_client(x->target) ? downstream_identity(x->client) : NULL;
    x->asked_us = loop_now_us(x->proxy->loop);
    enum reason reason =
        upstream_acquire(x->target, &x->lease, x->down->arena, &exchange_up_handler, x, want, avoid,
                         method_is_idempotent(x->request->method));
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    if (x->lease.state == LEASE_HELD) {
        send_request(x);
        return;
    }
    exchange_pause_down(x);
    exchange_touch(x);
}

void exchange_connect(struct exchange *x)
{
    connect_upstream(x, LEASE_ANY, NULL);
}
