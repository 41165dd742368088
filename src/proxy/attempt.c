/* An attempt: a claim on an upstream stream, the request sent down it, and after a failure the
 * question whether there may be another. */
#include "proxy/exchange_impl.h"

static void connect_upstream(struct exchange *x, enum lease_want want,
                             const struct endpoint *avoid);

enum again {
    AGAIN_NO,
    AGAIN_RACE,  /* the pooled connection was gone before it read anything: not a retry */
    AGAIN_RETRY, /* one of `retries`, and paid for from the group's budget */
};

/* May the request be sent once more? Only if the upstream cannot have processed it, or if seeing it
 * twice does no harm and the connection had merely gone stale (RFC 9110 section 9.2.2, RFC 9112
 * section 9.3.1, RFC 9113 section 8.7). A body must be there to be sent again. */
static enum again may_try_again(const struct exchange *x, enum reason reason)
{
    if (x->response_started || x->replay.is_lost || x->down_is_gone)
        return AGAIN_NO;
    bool was_reused = x->lease.was_reused;
    bool is_unread = !x->was_heard_of && upstream_was_unread(&x->lease, reason);
    if (is_unread && was_reused && !x->has_raced)
        return AGAIN_RACE;
    if (x->retries >= x->group_conf->retries)
        return AGAIN_NO;
    if (is_unread)
        return AGAIN_RETRY;
    switch ((enum retry)reason_table[reason].retry) {
    case RETRY_SAFE:
        return x->was_heard_of ? AGAIN_NO : AGAIN_RETRY;
    case RETRY_IDEMPOTENT:
        return was_reused && !x->body_was_sent && method_is_idempotent(x->request->method)
                   ? AGAIN_RETRY
                   : AGAIN_NO;
    case RETRY_NEVER:
        return AGAIN_NO;
    }
    UNREACHABLE("every kind of retry is above");
}

/* May the group make one more attempt, for all its requests have paid in? It is taken out. */
static bool spend_retry(struct exchange *x, enum reason reason)
{
    if (group_spend_retry(x->group))
        return true;
    proxy_count(x->proxy, COUNTER_UP_RETRIES_DENIED, 1);
    metric_add(&x->group->metrics->retries_denied, 1);
    LOG_LIMITED_BY(log_cause(reason, x->group_conf->name.ptr), LOG_LEVEL_WARN,
                   "upstream_retries_denied", "group=%.*s reason=%s", STR_FMT(x->group_conf->name),
                   reason_word(reason));
    return false;
}

static void count_second(struct exchange *x, enum again again)
{
    if (again == AGAIN_RACE) {
        x->has_raced = true;
        proxy_count(x->proxy, COUNTER_UP_RACES, 1);
        return;
    }
    x->retries++;
    proxy_count(x->proxy, COUNTER_UP_RETRIES, 1);
    metric_add(&x->group->metrics->retries, 1);
}

void exchange_retry(struct exchange *x, enum reason reason)
{
    const struct endpoint *failed = x->lease.endpoint;
    bool was_stale = x->lease.was_reused;
    enum again again = may_try_again(x, reason);

    if (again == AGAIN_NO || (again == AGAIN_RETRY && !spend_retry(x, reason))) {
        exchange_fail(x, reason);
        return;
    }
    count_second(x, again);
    upstream_release(&x->lease, false);
    x->target = group_target(x->group, x->decision.target);
    x->was_heard_of = false;
    exchange_enter(x, EXCHANGE_CONNECTING);
    connect_upstream(x, LEASE_FRESH, was_stale ? NULL : failed);
}

/* Body and trailers, as far as they have come. */
static enum stream_status send_body(struct exchange *x, struct stream *up)
{
    enum stream_status status = replay_send(x, up);

    if (!x->request_ended || !x->request_has_body)
        return status;
    if (x->trailer_count > 0)
        stream_send_trailers(up, x->trailers, x->trailer_count);
    else
        stream_send_body(up, (struct slice){0}, END);
    return STREAM_OK;
}

/* The upstream stream is there: the request leaves. */
static void send_request(struct exchange *x)
{
    struct stream *up = exchange_up(x);

    if (x->group_conf->host_is_target) /* of this attempt; the copy outlives the endpoint */
        x->request->authority = arena_str(x->request->arena, endpoint_authority(x->lease.endpoint));
    exchange_enter(x, EXCHANGE_RELAYING);
    x->sent_us = loop_now_us(x->proxy->loop);
    stream_send_head(up, x->request, x->request_has_body || x->wants_upgrade ? MORE : END);
    if (send_body(x, up) == STREAM_FULL)
        exchange_pause_down(x);
    else
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

    if (exchange_is_over(x))
        return;
    x->error = arena_str(x->down->arena, str_of(lease->error));
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
