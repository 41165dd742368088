/* The exchange: one request with both its streams. It asks the router where the request goes, gets
 * an upstream stream, and then copies in both directions with back-pressure until both messages are
 * whole. It does not know which side speaks h1 and which h2.
 *
 *      arrive.c      from the client's head to the decision
 *      attempt.c     one try at an upstream: a stream, the head, what comes back
 *      outgoing.c    the head of an attempt
 *      retry.c       whether there may be another attempt
 *      replay.c      the body as far as it may have to be sent again
 *      exchange.c    the states, and what the streams say: relay up, relay down, fail, close
 *      waits.c       the deadline */
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

/* --- closing --------------------------------------------------------------------------------- */

/* End of the turn: no caller up the stack holds the exchange any more. Its memory is the
 * stream's. */
static void finish(struct task *task)
{
    struct exchange *x = CONTAINER_OF(task, struct exchange, finish);
    struct downstream *downstream = x->downstream;
    struct serving *serving = x->serving;

    group_unref(&x->group);
    x->proxy->exchange_count--;
    metric_sub(&x->proxy->metrics->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
    stream_close(x->down);
    serving_unref(&serving);
    downstream_exchange_ended(downstream);
}

void exchange_close(struct exchange *x)
{
    bool answered = x->response_ended && x->state == EXCHANGE_RELAYING;

    if (exchange_is_over(x))
        return;
    record_exchange(x);
    exchange_enter(x, EXCHANGE_CLOSED);
    deadline_deinit(&x->deadline);
    attempt_end(&x->attempt, answered);
    x->downstream->wide -= x->is_wide;
    replay_forget(x);
    loop_defer(x->proxy->loop, &x->finish);
}

/* --- failing --------------------------------------------------------------------------------- */

void exchange_fail(struct exchange *x, enum reason reason)
{
    if (exchange_is_over(x))
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

/* --- relaying the request -------------------------------------------------------------------- */

void exchange_pause_down(struct exchange *x)
{
    if (!x->down_paused) {
        x->down_paused = true;
        stream_pause(x->down);
    }
}

void exchange_resume_down(struct exchange *x)
{
    if (x->down_paused) {
        x->down_paused = false;
        stream_resume(x->down);
    }
}

enum { TUNNEL_LINGER_MS = 1000 }; /* how long the other side of a tunnel may go on alone */

static bool is_body_too_large(const struct exchange *x)
{
    uint64_t max = exchange_max_body_bytes(x);

    return max > 0 && x->bytes_in > max && !x->is_tunnel;
}

static void on_down_body(struct stream *down, struct slice data, enum end end)
{
    struct exchange *x = down->arg;
    struct stream *up = attempt_stream(&x->attempt);

    if (exchange_is_over(x))
        return;
    x->bytes_in += data.len;
    if (UNLIKELY(x->has_messages))
        grpc_read(x, str_make(data.ptr, data.len));
    if (x->is_tunnel && end == END) {
        x->wait = WAIT_PROGRESS;
        deadline_set(x->proxy->loop, &x->deadline, TUNNEL_LINGER_MS);
        return;
    }
    if (UNLIKELY(is_body_too_large(x))) {
        exchange_fail(x, REASON_BODY_TOO_LARGE);
        return;
    }
    x->request_ended = end == END;
    if (!x->response_started)
        replay_add(x, data);
    if (x->state == EXCHANGE_CONNECTING)
        return;
    x->body_was_sent |= data.len > 0;
    if (stream_send_body(up, data, end) == STREAM_FULL && end == MORE)
        exchange_pause_down(x);
    if (x->request_ended && x->response_ended)
        exchange_close(x);
    else
        exchange_touch(x);
}

static void on_down_trailers(struct stream *down, struct field *fields, size_t count)
{
    struct exchange *x = down->arg;

    if (exchange_is_over(x))
        return;
    x->request_ended = true;
    count = rewrite_trailers(x, fields, count);
    x->trailers = fields; /* they lie in the stream's arena */
    x->trailer_count = count;
    if (x->state == EXCHANGE_CONNECTING)
        return;
    stream_send_trailers(attempt_stream(&x->attempt), fields, count);
    if (x->response_ended)
        exchange_close(x);
    else
        exchange_touch(x);
}

static void on_up_writable(struct attempt *attempt)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    if (exchange_is_over(x))
        return;
    exchange_resume_down(x);
    exchange_touch(x);
}

/* --- relaying the response ------------------------------------------------------------------- */

static void end_response(struct exchange *x)
{
    x->response_ended = true;
    exchange_close(x);
}

/* Do interim responses come faster than they may? As many as in a second may come at once. */
static bool is_interim_flood(struct exchange *x)
{
    enum { SECOND_US = 1000000 };
    uint32_t rate = x->group_conf->max_interim_rate;
    int64_t now_us = loop_now_us(x->proxy->loop);

    if (rate == 0)
        return false;
    x->interim_until_us = MAX(x->interim_until_us, now_us) + SECOND_US / rate;
    return x->interim_until_us - now_us > SECOND_US;
}

/* A client that does not read needs no hints: they would only pile up. */
static bool is_read_by_client(const struct exchange *x)
{
    const struct session *session = x->down->session;

    return session->out->bytes <= session->limits.out_high;
}

/* All of them are passed on (RFC 9110 section 15.2), also a 100 that the client did not ask for; an
 * HTTP/1.0 client gets none. */
static void relay_interim(struct exchange *x, struct head *head)
{
    if (is_interim_flood(x)) {
        proxy_count(x->proxy, COUNTER_INTERIM_FLOODS, 1);
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL);
        return;
    }
    if (is_read_by_client(x) && rewrite_response(x, head) == REASON_NONE)
        stream_send_head(x->down, head, MORE);
    exchange_touch(x);
}

static void on_up_head(struct attempt *attempt, struct head *head, enum end end)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    if (exchange_is_over(x))
        return;
    if (head->status < 200 && head->status != 101) {
        relay_interim(x, head);
        return;
    }
    enum reason reason = rewrite_response(x, head);
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    if (head->status == 101)
        x->is_tunnel = true;
    else if (x->wants_upgrade)
        x->request_ended = true; /* refused: an ordinary response to an ordinary request */
    x->status = (uint16_t)head->status;
    x->response_started = true;
    replay_forget(x);
    if (!x->request_ended && !x->is_tunnel)
        head->close = true; /* we close when the response ends first: said in time */
    stream_send_head(x->down, head, end);
    if (end == END)
        end_response(x);
    else
        exchange_touch(x);
}

/* What an upstream may send ahead is held here when the client stops reading. So only a few of its
 * requests at a time have the large window, and none while its own windows are closed. */
enum { WIDE_AFTER_BYTES = 16 * 1024, WIDE_MAX = 8 };

static void widen(struct exchange *x, struct stream *up)
{
    if (x->downstream->wide >= WIDE_MAX || x->down->session->held_bytes > 0)
        return;
    x->is_wide = true;
    x->downstream->wide++;
    stream_widen(up);
}

static void on_up_body(struct attempt *attempt, struct slice data, enum end end)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    if (exchange_is_over(x))
        return;
    x->bytes_out += data.len;
    if (stream_send_body(x->down, data, end) == STREAM_FULL && end == MORE) {
        x->up_paused = true;
        stream_pause(attempt_stream(attempt));
    } else if (end == MORE && x->bytes_out > WIDE_AFTER_BYTES && !x->is_wide) {
        widen(x, attempt_stream(attempt));
    }
    if (end == END)
        end_response(x);
    else
        exchange_touch(x);
}

static void on_up_trailers(struct attempt *attempt, struct field *fields, size_t count)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    if (exchange_is_over(x))
        return;
    stream_send_trailers(x->down, fields, count);
    end_response(x);
}

static void on_down_writable(struct stream *down)
{
    struct exchange *x = down->arg;
    struct stream *up = attempt_stream(&x->attempt);

    if (exchange_is_over(x) || !x->up_paused || up == NULL)
        return;
    x->up_paused = false;
    stream_resume(up);
    exchange_touch(x);
}

/* --- attempts -------------------------------------------------------------------------------- */

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

static void on_up_sent(struct attempt *attempt)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    exchange_enter(x, EXCHANGE_RELAYING);
    if (send_body(x, attempt_stream(attempt)) == STREAM_FULL)
        exchange_pause_down(x);
    else
        exchange_resume_down(x);
    exchange_touch(x);
}

static struct upstream_client *identity_of(struct exchange *x)
{
    struct conn *conn = x->downstream->conn;

    return client_identity(x->client, conn != NULL ? conn_fd(conn) : -1);
}

static void start_attempt(struct exchange *x, enum lease_want lease, const struct endpoint *avoid)
{
    struct target *target = group_target(x->group, x->decision.target);
    struct head *head;

    enum reason reason = outgoing_head(x, x->group_conf, &head);
    if (reason == REASON_NONE && target == NULL)
        reason = REASON_UPSTREAM_NO_ENDPOINT;
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    const struct attempt_want want = {
        .lease = lease,
        .avoid = avoid,
        .client = target_needs_client(target) ? identity_of(x) : NULL,
    };
    enum end end = x->request_has_body || x->wants_upgrade ? MORE : END;
    x->attempt.host_is_target = x->group_conf->host_is_target;
    reason = attempt_start(&x->attempt, target, head, end, &want);
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    if (x->state != EXCHANGE_CONNECTING)
        return;
    exchange_pause_down(x);
    exchange_touch(x);
}

void exchange_try(struct exchange *x)
{
    start_attempt(x, LEASE_ANY, NULL);
}

static struct failed_try failed_try_of(const struct exchange *x, enum reason reason)
{
    const struct attempt *attempt = &x->attempt;

    return (struct failed_try){
        .reason = reason,
        .was_reused = attempt->lease.was_reused,
        .is_unread = attempt_was_unread(attempt, reason),
        .has_interim = attempt->has_interim,
        .is_answered = x->response_started || x->down_is_gone,
        .lacks_body = x->replay.is_lost,
        .sent_body = x->body_was_sent,
        .is_idempotent = method_is_idempotent(x->request->method),
        .has_raced = x->has_raced,
        .retries = x->retries,
        .max_retries = x->group_conf->retries,
    };
}

/* May the group make one more retry, by its budget? It is counted when it may. */
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

/* Makes another attempt where that is allowed, or fails. */
static void on_up_failed(struct attempt *attempt, enum reason reason)
{
    struct exchange *x = CONTAINER_OF(attempt, struct exchange, attempt);

    if (exchange_is_over(x))
        return;
    const struct failed_try failed = failed_try_of(x, reason);
    const struct endpoint *endpoint = attempt->lease.endpoint;
    enum again again = retry_decide(&failed);
    if (again == AGAIN_NO || (again == AGAIN_RETRY && !spend_retry(x, reason))) {
        exchange_fail(x, reason);
        return;
    }
    count_second(x, again);
    attempt_end(attempt, false);
    exchange_enter(x, EXCHANGE_CONNECTING);
    start_attempt(x, LEASE_FRESH, failed.was_reused ? NULL : endpoint);
}

static const struct attempt_ops exchange_attempt_ops = {
    .on_sent = on_up_sent,
    .on_head = on_up_head,
    .on_body = on_up_body,
    .on_trailers = on_up_trailers,
    .on_writable = on_up_writable,
    .on_failed = on_up_failed,
};

/* --- beginning ------------------------------------------------------------------------------- */

/* The client has left, or its request is malformed. */
static void on_down_reset(struct stream *down, enum reason reason)
{
    struct exchange *x = down->arg;

    if (exchange_is_over(x))
        return;
    if (reason_status(reason) == 0 || reason_status(reason) == 499)
        x->down_is_gone = true;
    exchange_fail(x, reason);
}

static const struct stream_handler down_handler = {
    .on_head = exchange_on_head,
    .on_body = on_down_body,
    .on_trailers = on_down_trailers,
    .on_writable = on_down_writable,
    .on_reset = on_down_reset,
};

void exchange_new(struct downstream *downstream, struct stream *down)
{
    struct proxy *proxy = downstream->client.proxy;
    struct exchange *x = ARENA_NEW(down->arena, struct exchange);

    x->state = EXCHANGE_CONNECTING;
    x->proxy = proxy;
    x->client = &downstream->client;
    x->downstream = downstream;
    x->serving = serving_ref(downstream->serving);
    x->listener = downstream->client.listener->conf;
    x->down = down;
    x->decision = undecided;
    x->started_us = loop_now_us(proxy->loop);
    x->started_wall_us = clock_wall_us();
    replay_init(&x->replay, loop_bufs(proxy->loop));
    deadline_init(&x->deadline, exchange_on_deadline);
    task_init(&x->finish, finish);
    attempt_init(&x->attempt, &exchange_attempt_ops, proxy->loop, down->arena);
    down->handler = &down_handler;
    down->arg = x;
    proxy->exchange_count++;
    metric_add(&proxy->metrics->gauges[GAUGE_DOWN_STREAMS_OPEN], 1);
}
