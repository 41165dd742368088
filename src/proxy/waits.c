/* What an exchange waits for, and for how long. It has one deadline, whose meaning is x->wait. */
#include "proxy/exchange_impl.h"

/* --- what the rule says of the body, or else the listener ------------------------------------- */

static int64_t body_ms(const struct exchange *x)
{
    return x->rule != NULL && x->rule->body.timeout_ms > 0 ? x->rule->body.timeout_ms
                                                           : x->listener->timeouts.body_ms;
}

static int64_t body_grace_ms(const struct exchange *x)
{
    return x->rule != NULL && x->rule->body.grace_ms > 0 ? x->rule->body.grace_ms
                                                         : x->listener->timeouts.body_grace_ms;
}

static int64_t min_body_rate(const struct exchange *x)
{
    return x->rule != NULL && x->rule->body.has_min_rate ? x->rule->body.min_rate
                                                         : x->listener->limits.min_body_rate;
}

uint64_t exchange_max_body_bytes(const struct exchange *x)
{
    return x->rule != NULL && x->rule->body.has_max_bytes ? x->rule->body.max_bytes
                                                          : x->listener->limits.max_body_bytes;
}

/* --- waiting for the body -------------------------------------------------------------------- */

/* How long the client may still take for its body so far, at `rate` bytes a second. Only the time
 * that we wait for it counts, not what the upstream takes. */
static int64_t body_left_ms(struct exchange *x, int64_t rate)
{
    int64_t now_ms = loop_now_ms(x->proxy->loop);
    int64_t bytes = (int64_t)(x->bytes_in - x->body_from);

    if (x->body_since_ms == 0)
        x->body_since_ms = now_ms;
    int64_t waited_ms = x->body_waited_ms + now_ms - x->body_since_ms;
    return MAX(body_grace_ms(x) + bytes * 1000 / rate - waited_ms, 1);
}

static void body_wait_over(struct exchange *x)
{
    if (x->body_since_ms == 0)
        return;
    x->body_waited_ms += loop_now_ms(x->proxy->loop) - x->body_since_ms;
    x->body_since_ms = 0;
}

/* The next message has all the time again. */
static void message_wait_over(struct exchange *x)
{
    x->body_since_ms = x->body_waited_ms = 0;
    x->body_from = x->bytes_in;
}

static enum exchange_wait wait_for_body(struct exchange *x, int64_t *ms)
{
    int64_t rate = min_body_rate(x);

    *ms = body_ms(x);
    if (rate == 0)
        return WAIT_BODY;
    int64_t left_ms = body_left_ms(x, rate);
    if (left_ms >= *ms)
        return WAIT_BODY;
    *ms = left_ms;
    return WAIT_BODY_RATE;
}

/* A body that is not whole is slow, or it is a stream that stays open on purpose. It is the latter
 * once the response has begun, and between two messages of a stream of messages. */
static bool awaits_body(const struct exchange *x)
{
    bool awaits_answer = (x->request->expects_continue && x->bytes_in == 0) || x->wants_upgrade;

    return !x->request_ended && !x->down_paused && !x->response_started && !awaits_answer;
}

/* --- the deadline ---------------------------------------------------------------------------- */

/* What are we waiting for, and for how long? */
static enum exchange_wait next_wait(struct exchange *x, int64_t *ms)
{
    if (awaits_body(x)) {
        if (!x->has_messages || !grpc_is_between_messages(x))
            return wait_for_body(x, ms);
        message_wait_over(x);
        *ms = x->group_conf->timeouts.idle_ms;
        return WAIT_PROGRESS;
    }
    body_wait_over(x);
    if (!x->response_started) {
        *ms = x->group_conf->timeouts.response_ms;
        return WAIT_RESPONSE;
    }
    *ms = x->group_conf->timeouts.idle_ms;
    return WAIT_PROGRESS;
}

void exchange_touch(struct exchange *x)
{
    int64_t ms = 0, left_ms;

    if (exchange_is_over(x))
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

void exchange_on_deadline(struct deadline *deadline)
{
    struct exchange *x = CONTAINER_OF(deadline, struct exchange, deadline);

    switch (x->wait) {
    case WAIT_NONE:
        return;
    case WAIT_BODY:
        exchange_fail(x, REASON_BODY_TIMEOUT);
        return;
    case WAIT_BODY_RATE:
        exchange_fail(x, REASON_BODY_TOO_SLOW);
        return;
    case WAIT_RESPONSE:
        exchange_fail(x, REASON_UPSTREAM_TIMEOUT);
        return;
    case WAIT_PROGRESS:
        exchange_fail(x, REASON_UPSTREAM_IDLE_TIMEOUT);
        return;
    case WAIT_TOTAL:
        exchange_fail(x, REASON_TOTAL_TIMEOUT);
        return;
    }
}
