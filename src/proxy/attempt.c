/* See attempt.h. What is here is mechanics: no state of the client, no policy. */
#include "proxy/attempt.h"

/* --- what the upstream stream says ----------------------------------------------------------- */

static void on_head(struct stream *up, struct head *head, enum end end)
{
    struct attempt *a = up->arg;

    if (head->status < 200 && head->status != 101)
        a->has_interim = true;
    else
        a->answered_us = loop_now_us(a->loop);
    a->ops->on_head(a, head, end);
}

static void on_body(struct stream *up, struct slice data, enum end end)
{
    struct attempt *a = up->arg;

    a->ops->on_body(a, data, end);
}

static void on_trailers(struct stream *up, struct field *fields, size_t count)
{
    struct attempt *a = up->arg;

    a->ops->on_trailers(a, fields, count);
}

static void on_writable(struct stream *up)
{
    struct attempt *a = up->arg;

    a->ops->on_writable(a);
}

static void fail(struct attempt *a, const char *error, enum reason reason)
{
    a->error = arena_str(a->arena, str_of(error));
    a->ops->on_failed(a, reason);
}

static void on_reset(struct stream *up, enum reason reason)
{
    struct attempt *a = up->arg;

    fail(a, upstream_error(&a->lease), reason);
}

static const struct stream_handler up_handler = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

/* --- what the lease says --------------------------------------------------------------------- */

static void send_head(struct attempt *a)
{
    if (a->host_is_target) /* the copy outlives the endpoint */
        a->head->authority = arena_str(a->arena, endpoint_authority(a->lease.endpoint));
    a->sent_us = loop_now_us(a->loop);
    stream_send_head(a->lease.stream, a->head, a->head_end);
    a->ops->on_sent(a);
}

static void on_lease_ready(struct lease *lease)
{
    send_head(CONTAINER_OF(lease, struct attempt, lease));
}

static void on_lease_failed(struct lease *lease, enum reason reason)
{
    fail(CONTAINER_OF(lease, struct attempt, lease), lease->error, reason);
}

/* --- doors ----------------------------------------------------------------------------------- */

void attempt_init(struct attempt *a, const struct attempt_ops *ops, struct loop *loop,
                  struct arena *arena)
{
    a->ops = ops;
    a->loop = loop;
    a->arena = arena;
    a->lease.on_ready = on_lease_ready;
    a->lease.on_failed = on_lease_failed;
}

enum reason attempt_start(struct attempt *a, struct target *target, struct head *head, enum end end,
                          const struct attempt_want *want)
{
    a->head = head;
    a->head_end = end;
    a->has_interim = false;
    a->lease.client = want->client;
    a->asked_us = loop_now_us(a->loop);
    enum reason reason = upstream_acquire(target, &a->lease, a->arena, &up_handler, a, want->lease,
                                          want->avoid, method_is_idempotent(head->method));
    if (reason == REASON_NONE && a->lease.state == LEASE_HELD)
        send_head(a);
    return reason;
}

bool attempt_was_unread(const struct attempt *a, enum reason reason)
{
    return upstream_was_unread(&a->lease, reason);
}

void attempt_end(struct attempt *a, bool is_answered)
{
    upstream_release(&a->lease, is_answered);
}
