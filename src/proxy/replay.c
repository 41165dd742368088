/* The body of a request, as far as it may have to be sent again: what came before there was an
 * upstream stream, and copies of what was sent, until the response begins or the body grows beyond
 * its bounds. Then the request goes on as it is, and cannot be repeated any more.
 *
 * The first bytes lie in the exchange's arena, whose slab mostly has room for them; the rest takes
 * slabs that go back as soon as the response has begun. */
#include "proxy/exchange_impl.h"

enum { IN_ARENA_MAX = 4096, SLICES_MAX = RETRY_BODY_BYTES_MAX / BUF_SIZE + 2 };

void replay_init(struct replay *r, struct buf_pool *pool)
{
    bufq_init(&r->rest, pool);
}

static bool is_empty(const struct replay *r)
{
    return r->front_len == 0 && bufq_is_empty(&r->rest);
}

/* What the copies take of the worker's budget: whole slabs. */
static void charge(struct exchange *x)
{
    struct replay *r = &x->replay;
    size_t slabs = (r->rest.bytes + BUF_SIZE - 1) / BUF_SIZE;
    size_t memory = r->front_len + slabs * BUF_SIZE;

    x->proxy->replay_memory += memory - r->charged;
    metric_add(&x->proxy->metrics->gauges[GAUGE_RETRY_BODY_BYTES], memory - r->charged);
    r->charged = memory;
}

void replay_forget(struct exchange *x)
{
    struct replay *r = &x->replay;

    bufq_clear(&r->rest);
    r->front_len = 0;
    if (r->charged > 0)
        charge(x);
}

static bool is_too_large(const struct exchange *x)
{
    uint64_t bytes = x->replay.front_len + x->replay.rest.bytes;

    if (x->request->content_length > 0)
        bytes = MAX(bytes, (uint64_t)x->request->content_length);
    return bytes > x->group_conf->max_retry_body_bytes ||
           x->proxy->replay_memory > x->serving->config->max_retry_memory;
}

static void give_up(struct exchange *x)
{
    replay_forget(x);
    x->replay.is_lost = true;
    proxy_count(x->proxy, COUNTER_RETRY_BODIES_LOST, 1);
}

static size_t add_in_front(struct replay *r, struct arena *arena, struct slice data)
{
    size_t n = MIN(data.len, IN_ARENA_MAX - r->front_len);

    if (r->front == NULL)
        r->front = arena_alloc_aligned(arena, IN_ARENA_MAX, 1);
    memcpy(r->front + r->front_len, data.ptr, n);
    r->front_len += n;
    return n;
}

void replay_add(struct exchange *x, struct slice data)
{
    struct replay *r = &x->replay;
    size_t n = 0;

    if (data.len == 0 || r->is_lost)
        return;
    if (r->front_len < IN_ARENA_MAX)
        n = add_in_front(r, x->down->arena, data);
    bufq_copy(&r->rest, data.ptr + n, data.len - n);
    charge(x);
    if (x->state == EXCHANGE_RELAYING && is_too_large(x))
        give_up(x);
}

static enum stream_status send_rest(const struct bufq *rest, struct stream *up)
{
    enum stream_status status = STREAM_OK;
    struct slice slices[SLICES_MAX];
    int count = bufq_slices(rest, slices, SLICES_MAX);

    for (int i = 0; i < count; i++)
        status = stream_send_body(up, slices[i], MORE);
    return status;
}

/* The same where the bytes are not needed any more. */
static enum stream_status drain_rest(struct bufq *rest, struct stream *up)
{
    enum stream_status status = STREAM_OK;

    while (!bufq_is_empty(rest)) {
        struct slice front = bufq_front(rest);
        status = stream_send_body(up, front, MORE);
        bufq_drop(rest, front.len);
    }
    return status;
}

enum stream_status replay_send(struct exchange *x, struct stream *up)
{
    struct replay *r = &x->replay;
    enum stream_status status;

    if (is_empty(r))
        return STREAM_OK;
    x->body_was_sent = true;
    status = stream_send_body(up, (struct slice){NULL, r->front, r->front_len}, MORE);
    if (!is_too_large(x)) {
        if (!bufq_is_empty(&r->rest))
            status = send_rest(&r->rest, up);
        return status;
    }
    if (!bufq_is_empty(&r->rest))
        status = drain_rest(&r->rest, up);
    give_up(x);
    return status;
}
