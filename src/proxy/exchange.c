/* The exchange: one request with both its streams. It asks the router where the request goes, gets
 * an upstream stream, and then copies in both directions with back-pressure until both messages are
 * whole. Which side speaks h1 and which h2 it never asks.
 *
 * In the order of a request's life: begin, decide, connect, relay up, relay down, fail, close. */
#include "proxy/exchange_impl.h"

#include "base/clock.h"

/* --- states ---------------------------------------------------------------------------------- */

static const char *const state_name[] = {
    [EXCHANGE_CONNECTING] = "connecting",
    [EXCHANGE_RELAYING] = "relaying",
    [EXCHANGE_REPLYING] = "replying",
    [EXCHANGE_CLOSED] = "closed",
};

/* The diagram: which states may follow. */
static const unsigned may_follow[] = {
    [EXCHANGE_CONNECTING] = BIT(EXCHANGE_CONNECTING) | BIT(EXCHANGE_RELAYING) |
                            BIT(EXCHANGE_REPLYING) | BIT(EXCHANGE_CLOSED),
    [EXCHANGE_RELAYING] = BIT(EXCHANGE_CONNECTING) | BIT(EXCHANGE_REPLYING) | BIT(EXCHANGE_CLOSED),
    [EXCHANGE_REPLYING] = BIT(EXCHANGE_CLOSED),
    [EXCHANGE_CLOSED] = 0,
};

void exchange_enter(struct exchange *x, enum exchange_state next)
{
    ASSERT(may_follow[x->state] & BIT(next));
    LOG_DEBUG("exchange_state", "request_id=%.*s from=%s to=%s", STR_FMT(x->request_id),
              state_name[x->state], state_name[next]);
    x->state = next;
}

static bool is_over(const struct exchange *x)
{
    return x->state == EXCHANGE_CLOSED;
}

static struct stream *up_of(const struct exchange *x)
{
    return x->lease.state == LEASE_HELD ? x->lease.stream : NULL;
}

/* --- the clock ------------------------------------------------------------------------------- */

enum { TUNNEL_LINGER_MS = 1000 }; /* how long the other side of a tunnel may go on alone */

/* How long the client may still take for its body so far, at limits.min_body_rate. Only the time
 * that we wait for it counts, not what the upstream takes. */
static int64_t body_left_ms(struct exchange *x)
{
    int64_t now_ms = loop_now_ms(x->proxy->loop), rate = x->listener->limits.min_body_rate;

    if (x->body_since_ms == 0)
        x->body_since_ms = now_ms;
    int64_t waited_ms = x->body_waited_ms + now_ms - x->body_since_ms;
    int64_t may_ms = x->listener->timeouts.body_grace_ms + (int64_t)x->bytes_in * 1000 / rate;
    return MAX(may_ms - waited_ms, 1);
}

static void body_wait_over(struct exchange *x)
{
    if (x->body_since_ms == 0)
        return;
    x->body_waited_ms += loop_now_ms(x->proxy->loop) - x->body_since_ms;
    x->body_since_ms = 0;
}

static enum exchange_wait wait_for_body(struct exchange *x, int64_t *ms)
{
    *ms = x->listener->timeouts.body_ms;
    if (x->listener->limits.min_body_rate == 0)
        return WAIT_BODY;
    int64_t left_ms = body_left_ms(x);
    if (left_ms >= *ms)
        return WAIT_BODY;
    *ms = left_ms;
    return WAIT_BODY_RATE;
}

/* What are we waiting for, and for how long? */
static enum exchange_wait next_wait(struct exchange *x, int64_t *ms)
{
    bool awaits_answer = (x->request->expects_continue && x->bytes_in == 0) || x->wants_upgrade;

    if (!x->request_ended && !x->down_paused && !x->response_started && !awaits_answer)
        return wait_for_body(x, ms);
    body_wait_over(x);
    if (!x->response_started) {
        *ms = x->group->timeouts.response_ms;
        return WAIT_RESPONSE;
    }
    *ms = x->group->timeouts.idle_ms;
    return WAIT_PROGRESS;
}

/* Something has moved: the deadline starts anew. */
static void touch(struct exchange *x)
{
    int64_t ms = 0, left_ms;

    if (is_over(x))
        return;
    x->wait = x->state == EXCHANGE_RELAYING ? next_wait(x, &ms) : WAIT_NONE;
    if (x->total_at_ms > 0) {
        left_ms = MAX(x->total_at_ms - loop_now_ms(x->proxy->loop), 1);
        if (ms == 0 || left_ms < ms) {
            x->wait = WAIT_TOTAL;
            ms = left_ms;
        }
    }
    if (ms > 0)
        deadline_set(x->proxy->loop, &x->deadline, ms);
    else
        deadline_clear(&x->deadline);
}

/* --- closing --------------------------------------------------------------------------------- */

/* End of the turn: nobody up the stack holds the exchange any more. Its memory is the stream's. */
static void finish(struct task *task)
{
    struct exchange *x = CONTAINER_OF(task, struct exchange, finish);
    struct downstream *client = x->client;
    struct serving *serving = x->serving;

    x->proxy->exchange_count--;
    metric_sub(&x->proxy->metrics->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
    stream_close(x->down);
    serving_unref(&serving);
    downstream_exchange_ended(client);
}

void exchange_close(struct exchange *x)
{
    bool answered = x->response_ended && x->state == EXCHANGE_RELAYING;

    if (is_over(x))
        return;
    record_exchange(x);
    exchange_enter(x, EXCHANGE_CLOSED);
    deadline_deinit(&x->deadline);
    upstream_release(&x->lease, answered);
    bufq_clear(&x->pending);
    loop_defer(x->proxy->loop, &x->finish);
}

/* --- failing --------------------------------------------------------------------------------- */

/* The client is told where that is still possible; else its stream is cut, so that it cannot take a
 * part for the whole. */
static void fail(struct exchange *x, enum reason reason)
{
    if (is_over(x))
        return;
    if (!x->response_started && !x->down_is_gone && reason_status(reason) != 0 &&
        reason_status(reason) != 499) {
        reply_reason(x, reason, reason_status(reason));
        return;
    }
    x->reason = reason;
    if (!x->response_started)
        x->status = (uint16_t)reason_status(reason);
    if (!x->down_is_gone)
        stream_reset(x->down, reason);
    exchange_close(x);
}

static void on_deadline(struct deadline *deadline)
{
    struct exchange *x = CONTAINER_OF(deadline, struct exchange, deadline);

    switch (x->wait) {
    case WAIT_NONE:
        return;
    case WAIT_BODY:
        fail(x, REASON_BODY_TIMEOUT);
        return;
    case WAIT_BODY_RATE:
        fail(x, REASON_BODY_TOO_SLOW);
        return;
    case WAIT_RESPONSE:
        fail(x, REASON_UPSTREAM_TIMEOUT);
        return;
    case WAIT_PROGRESS:
        fail(x, REASON_UPSTREAM_IDLE_TIMEOUT);
        return;
    case WAIT_TOTAL:
        fail(x, REASON_TOTAL_TIMEOUT);
        return;
    }
}

/* --- relaying the request -------------------------------------------------------------------- */

static void pause_down(struct exchange *x)
{
    if (!x->down_paused) {
        x->down_paused = true;
        stream_pause(x->down);
    }
}

static void resume_down(struct exchange *x)
{
    if (x->down_paused) {
        x->down_paused = false;
        stream_resume(x->down);
    }
}

/* Body bytes, and perhaps trailers, that came before the upstream stream did. */
static void send_pending(struct exchange *x)
{
    struct stream *up = up_of(x);

    while (!bufq_is_empty(&x->pending)) {
        struct slice front = bufq_front(&x->pending);
        stream_send_body(up, front, MORE);
        bufq_drop(&x->pending, front.len);
        x->body_was_sent = true;
    }
    if (x->trailer_count > 0)
        stream_send_trailers(up, x->trailers, x->trailer_count);
    else if (x->request_ended && x->request_has_body)
        stream_send_body(up, (struct slice){0}, END);
}

/* The upstream stream is there: the request leaves. */
static void send_request(struct exchange *x)
{
    struct stream *up = up_of(x);

    exchange_enter(x, EXCHANGE_RELAYING);
    x->sent_us = loop_now_us(x->proxy->loop);
    stream_send_head(up, x->request, x->request_has_body || x->wants_upgrade ? MORE : END);
    send_pending(x);
    resume_down(x);
    touch(x);
}

static void on_down_body(struct stream *down, struct slice data, enum end end)
{
    struct exchange *x = down->arg;
    struct stream *up = up_of(x);

    if (is_over(x))
        return;
    x->bytes_in += data.len;
    if (x->is_tunnel && end == END) {
        x->wait = WAIT_PROGRESS;
        deadline_set(x->proxy->loop, &x->deadline, TUNNEL_LINGER_MS);
        return;
    }
    x->request_ended = end == END;
    if (x->state == EXCHANGE_CONNECTING) {
        bufq_add(&x->pending, data);
        return;
    }
    x->body_was_sent = true;
    if (stream_send_body(up, data, end) == STREAM_FULL && end == MORE)
        pause_down(x);
    if (x->request_ended && x->response_ended)
        exchange_close(x);
    else
        touch(x);
}

static void on_down_trailers(struct stream *down, struct field *fields, size_t count)
{
    struct exchange *x = down->arg;

    if (is_over(x))
        return;
    x->request_ended = true;
    count = rewrite_trailers(x, fields, count);
    if (x->state == EXCHANGE_CONNECTING) {
        x->trailers = fields; /* they lie in the stream's arena */
        x->trailer_count = count;
        return;
    }
    stream_send_trailers(up_of(x), fields, count);
    if (x->response_ended)
        exchange_close(x);
    else
        touch(x);
}

static void on_up_writable(struct stream *up)
{
    struct exchange *x = up->arg;

    if (is_over(x))
        return;
    resume_down(x);
    touch(x);
}

/* --- relaying the response ------------------------------------------------------------------- */

static void end_response(struct exchange *x)
{
    x->response_ended = true;
    exchange_close(x);
}

static void relay_interim(struct exchange *x, struct head *head)
{
    if (head->status == 100 && !x->request->expects_continue)
        return;
    if (rewrite_response(x, head) != REASON_NONE)
        return;
    stream_send_head(x->down, head, MORE);
    touch(x);
}

static void on_up_head(struct stream *up, struct head *head, enum end end)
{
    struct exchange *x = up->arg;

    if (is_over(x))
        return;
    if (head->status < 200 && head->status != 101) {
        relay_interim(x, head);
        return;
    }
    x->answered_us = loop_now_us(x->proxy->loop);
    enum reason reason = rewrite_response(x, head);
    if (reason != REASON_NONE) {
        fail(x, reason);
        return;
    }
    if (head->status == 101)
        x->is_tunnel = true;
    else if (x->wants_upgrade)
        x->request_ended = true; /* refused: an ordinary response to an ordinary request */
    x->status = (uint16_t)head->status;
    x->response_started = true;
    if (!x->request_ended && !x->is_tunnel)
        head->close = true; /* we close when the response ends first: said in time */
    stream_send_head(x->down, head, end);
    if (end == END)
        end_response(x);
    else
        touch(x);
}

static void on_up_body(struct stream *up, struct slice data, enum end end)
{
    struct exchange *x = up->arg;

    if (is_over(x))
        return;
    x->bytes_out += data.len;
    if (stream_send_body(x->down, data, end) == STREAM_FULL && end == MORE) {
        x->up_paused = true;
        stream_pause(up);
    }
    if (end == END)
        end_response(x);
    else
        touch(x);
}

static void on_up_trailers(struct stream *up, struct field *fields, size_t count)
{
    struct exchange *x = up->arg;

    if (is_over(x))
        return;
    stream_send_trailers(x->down, fields, count);
    end_response(x);
}

static void on_down_writable(struct stream *down)
{
    struct exchange *x = down->arg;
    struct stream *up = up_of(x);

    if (is_over(x) || !x->up_paused || up == NULL)
        return;
    x->up_paused = false;
    stream_resume(up);
    touch(x);
}

/* --- connecting, and trying again ------------------------------------------------------------ */

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

/* The group under the configuration in force: the old one's may be gone since a reload; -1. */
static int current_group(const struct exchange *x)
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

static struct target *current_target(const struct exchange *x)
{
    int group = current_group(x);

    return group >= 0 ? upstream_target(x->proxy->upstream, group, x->decision.target) : NULL;
}

/* May the group make one more attempt, for all its requests have paid in? It is taken out. */
static bool spend_retry(struct exchange *x, enum reason reason)
{
    int group = current_group(x);

    if (group < 0 || upstream_spend_retry(x->proxy->upstream, group))
        return true; /* of a group that is gone nothing is asked any more */
    proxy_count(x->proxy, COUNTER_UP_RETRIES_DENIED, 1);
    metric_add(&x->figures->retries_denied, 1);
    LOG_LIMITED(LOG_LEVEL_WARN, "upstream_retries_denied", "group=%.*s reason=%s",
                STR_FMT(x->group->name), reason_word(reason));
    return false;
}

static void fail_or_retry(struct exchange *x, enum reason reason)
{
    const struct endpoint *failed = x->lease.endpoint;

    if (!may_retry(x, reason) || !spend_retry(x, reason)) {
        fail(x, reason);
        return;
    }
    bool was_stale = x->lease.was_reused;
    x->retries++;
    proxy_count(x->proxy, COUNTER_UP_RETRIES, 1);
    metric_add(&x->figures->retries, 1);
    upstream_release(&x->lease, false);
    x->target = current_target(x);
    exchange_enter(x, EXCHANGE_CONNECTING);
    connect_upstream(x, LEASE_FRESH, was_stale ? NULL : failed);
}

static void on_up_reset(struct stream *up, enum reason reason)
{
    struct exchange *x = up->arg;

    if (!is_over(x))
        fail_or_retry(x, reason);
}

static const struct stream_handler up_handler = {
    .on_head = on_up_head,
    .on_body = on_up_body,
    .on_trailers = on_up_trailers,
    .on_writable = on_up_writable,
    .on_reset = on_up_reset,
};

static void on_lease_ready(struct lease *lease)
{
    struct exchange *x = CONTAINER_OF(lease, struct exchange, lease);

    if (!is_over(x))
        send_request(x);
}

static void on_lease_failed(struct lease *lease, enum reason reason)
{
    struct exchange *x = CONTAINER_OF(lease, struct exchange, lease);

    if (!is_over(x))
        fail_or_retry(x, reason);
}

static void connect_upstream(struct exchange *x, enum lease_want want, const struct endpoint *avoid)
{
    if (x->target == NULL) {
        fail(x, REASON_UPSTREAM_NO_ENDPOINT);
        return;
    }
    x->lease.on_ready = on_lease_ready;
    x->lease.on_failed = on_lease_failed;
    x->lease.client = target_needs_client(x->target) ? downstream_identity(x->client) : NULL;
    x->asked_us = loop_now_us(x->proxy->loop);
    enum reason reason = upstream_acquire(x->target, &x->lease, x->down->arena, &up_handler, x,
                                          want, avoid, method_is_idempotent(x->request->method));
    if (reason != REASON_NONE) {
        fail(x, reason);
        return;
    }
    if (x->lease.state == LEASE_HELD) {
        send_request(x);
        return;
    }
    pause_down(x);
    touch(x);
}

/* --- deciding -------------------------------------------------------------------------------- */

static enum reason reason_of_why(enum why why)
{
    switch (why) {
    case WHY_DEBUG_UNKNOWN:
    case WHY_DEBUG_REFUSED:
        return REASON_DEBUG_UNKNOWN;
    case WHY_BAD_HOST:
        return REASON_BAD_HOST;
    case WHY_UNKNOWN_HOST:
        return REASON_UNKNOWN_HOST;
    case WHY_BAD_PATH:
        return REASON_BAD_TARGET;
    default:
        return REASON_NO_ROUTE;
    }
}

/* The router says that weir answers itself. */
static void answer_locally(struct exchange *x)
{
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];

    if (x->decision.why == WHY_ANSWER)
        reply_answer(x, router->rules[x->decision.rule].answer);
    else if (x->decision.why == WHY_DEBUG_UNKNOWN)
        reply_debug_unknown(x, &router->debug, x->decision.status);
    else
        reply_reason(x, reason_of_why(x->decision.why), x->decision.status);
}

/* Figures of the group and side in this worker; found once per configuration. */
static struct group_metrics *figures_of(struct exchange *x)
{
    struct group_metrics **slot = &x->serving->group_metrics[x->decision.group][x->decision.side];

    _Static_assert(sizeof((*slot)->name) > GROUP_NAME_MAX, "the label is the whole name");
    if (*slot == NULL)
        *slot =
            metrics_group(x->proxy->metrics, x->group->name, str_of(side_word(x->decision.side)));
    return *slot;
}

static void go_upstream(struct exchange *x)
{
    const struct group_conf *group = &x->serving->config->groups[x->decision.group];

    x->group = group;
    x->figures = figures_of(x);
    metric_add(&x->figures->requests, 1);
    metric_add(&x->figures->active, 1);
    x->target = current_target(x);
    enum reason reason = header_rules_request(x);
    if (reason != REASON_NONE) {
        fail(x, reason);
        return;
    }
    if (group->host_is_target)
        x->request->authority = group->targets[x->decision.target].hosts[0].name;
    if (group->timeouts.total_ms > 0)
        x->total_at_ms = loop_now_ms(x->proxy->loop) + group->timeouts.total_ms;
    if (x->target != NULL)
        upstream_earn_retry(x->proxy->upstream, current_group(x));
    connect_upstream(x, LEASE_ANY, NULL);
}

/* --- beginning ------------------------------------------------------------------------------- */

/* TRACE and OPTIONS may say how often they want to be forwarded (RFC 9110 section 7.6.2). */
static bool may_go_on(struct exchange *x)
{
    struct head *head = x->request;
    uint64_t forwards;

    if (LIKELY(head->first[HEADER_MAX_FORWARDS] == 0) ||
        (head->method != METHOD_OPTIONS && head->method != METHOD_TRACE) ||
        str_to_u64(head_value(head, HEADER_MAX_FORWARDS), &forwards) < 0)
        return true;
    if (forwards == 0)
        return false;
    char *text = arena_alloc_aligned(head->arena, 20, 1);
    head_set(head, HEADER_MAX_FORWARDS, str_make(text, u64_to_dec(forwards - 1, text)));
    return true;
}

/* A connection made to one name must not reach another that asks more of its clients. */
static bool is_misdirected(const struct exchange *x)
{
    const struct downstream *client = x->client;

    return client->listener->tls != NULL && client->conn != NULL &&
           !tls_host_fits(client->conn, client->listener->tls, x->host);
}

enum { OVERLOAD_RETRY_AFTER_S = 5 };

static bool is_refused_for_overload(struct exchange *x)
{
    if (LIKELY(proxy_overload(x->proxy) < OVERLOAD_REFUSE && !x->client->is_unwelcome))
        return false;
    x->retry_after_s = OVERLOAD_RETRY_AFTER_S;
    return true;
}

static enum reason admit_to_rule(struct exchange *x)
{
    if (x->decision.rule < 0 || x->listener->router < 0)
        return REASON_NONE;
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];

    return admit_request(x, &router->rules[x->decision.rule].rate_limits);
}

static void on_down_head(struct stream *down, struct head *head, enum end end)
{
    struct exchange *x = down->arg;

    x->request = head;
    x->method = head->method_text;
    x->host = head->authority;
    x->path = head->path;
    x->user_agent = head_value(head, HEADER_USER_AGENT);
    x->wants_upgrade = head->upgrade.len > 0;
    x->request_has_body = end == MORE && !x->wants_upgrade;
    x->request_ended = end == END;
    proxy_count(x->proxy,
                head->version == HTTP_2 ? COUNTER_DOWN_REQUESTS_H2 : COUNTER_DOWN_REQUESTS_H1, 1);

    enum reason reason = rewrite_request(x);
    if (reason == REASON_NONE && head->method == METHOD_TRACE && x->request_has_body)
        reason = REASON_BAD_FRAMING; /* RFC 9110 section 9.3.8: we must not send it on */
    if (reason == REASON_NONE && is_misdirected(x))
        reason = REASON_MISDIRECTED;
    if (reason != REASON_NONE) {
        fail(x, reason);
        return;
    }
    reason =
        is_refused_for_overload(x) ? REASON_OVERLOAD : admit_request(x, &x->listener->rate_limits);
    if (reason != REASON_NONE) {
        fail(x, reason);
        return;
    }
    if (x->listener->redirect_to_https) {
        if (head->authority.len > 0)
            reply_redirect_https(x);
        else
            fail(x, REASON_BAD_HOST); /* HTTP/1.0 that does not say where to */
        return;
    }
    exchange_decide(x);
    reason = admit_to_rule(x);
    if (reason != REASON_NONE)
        fail(x, reason);
    else if (x->decision.group < 0)
        answer_locally(x);
    else if (!may_go_on(x))
        reply_last_hop(x);
    else
        go_upstream(x);
}

/* The client has gone, or its request turned out bad. */
static void on_down_reset(struct stream *down, enum reason reason)
{
    struct exchange *x = down->arg;

    if (is_over(x))
        return;
    if (reason_status(reason) == 0 || reason_status(reason) == 499)
        x->down_is_gone = true;
    fail(x, reason);
}

static const struct stream_handler down_handler = {
    .on_head = on_down_head,
    .on_body = on_down_body,
    .on_trailers = on_down_trailers,
    .on_writable = on_down_writable,
    .on_reset = on_down_reset,
};

void exchange_new(struct downstream *client, struct stream *down)
{
    struct proxy *proxy = client->proxy;
    struct exchange *x = ARENA_NEW(down->arena, struct exchange);

    x->state = EXCHANGE_CONNECTING;
    x->proxy = proxy;
    x->client = client;
    x->serving = serving_ref(client->serving);
    x->listener = client->listener->conf;
    x->down = down;
    x->decision = undecided;
    x->started_us = loop_now_us(proxy->loop);
    x->started_wall_us = clock_wall_us();
    bufq_init(&x->pending, loop_bufs(proxy->loop));
    deadline_init(&x->deadline, on_deadline);
    task_init(&x->finish, finish);
    down->handler = &down_handler;
    down->arg = x;
    proxy->exchange_count++;
    metric_add(&proxy->metrics->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
}
