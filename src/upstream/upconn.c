/* One upstream connection: what its conn (bytes) and its client session (streams) tell each other. In
 * which list it stands and when it is freed is upconn_pool.c; who gets it is decided in queue.c and
 * endpoint.c.
 *
 * Whoever calls into the session counts on_stack, because everything may happen inside a callback of
 * it, and settles afterwards. */
#include "upstream/upconn_impl.h"

#include "base/log.h"
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"
#include "upstream/upstream_impl.h"

/* --- what the session asks for --------------------------------------------------------------- */

static void on_session_want_write(struct session *session)
{
    struct upconn *u = session->owner_arg;

    if (u->state == UPCONN_OPEN)
        conn_flush_later(u->conn);
}

static void on_session_want_input(struct session *session)
{
    struct upconn *u = session->owner_arg;

    if (u->state == UPCONN_OPEN)
        conn_kick(u->conn);
}

static void on_session_set_reading(struct session *session, bool reading)
{
    struct upconn *u = session->owner_arg;

    if (u->state != UPCONN_OPEN || u->is_paused == !reading)
        return;
    u->is_paused = !reading;
    if (reading)
        conn_resume(u->conn);
    else
        conn_pause(u->conn);
}

static void on_session_want_close(struct session *session, enum reason reason)
{
    struct upconn *u = session->owner_arg;

    if (u->state != UPCONN_OPEN)
        return;
    if (reason != REASON_NONE)
        LOG_DEBUG("upstream_connection_end", "endpoint=%.*s reason=%s",
                  STR_FMT(endpoint_name(u->endpoint)), reason_word(reason));
    u->is_broken = true;
    u->wants_close = true;
    if (u->in == IN_AVAILABLE)
        upconn_enter_list(u, IN_BUSY);
    /* It may come from inside a send, after which nothing settles. */
    loop_defer(u->upstream->loop, &u->settle);
}

static void on_session_phase(struct session *session UNUSED)
{
    /* Phases change inside feed and close only, and those settle afterwards. */
}

static const struct session_owner session_owner = {
    .want_write = on_session_want_write,
    .want_input = on_session_want_input,
    .set_reading = on_session_set_reading,
    .want_close = on_session_want_close,
    .on_phase = on_session_phase,
};

/* --- what the connection tells --------------------------------------------------------------- */

static struct session_limits session_limits_of(const struct group_conf *group)
{
    return (struct session_limits){
        .max_header_bytes = group->max_response_header_bytes,
        .max_header_count = RESPONSE_MAX_FIELDS,
        .max_line_bytes = group->max_response_header_bytes,
        .max_uri_bytes = RESPONSE_START_ROOM,
        .max_chunk_extension_bytes = group->max_response_header_bytes,
        .max_connection_options = RESPONSE_MAX_OPTIONS,
        .max_held_header_bytes = group->max_held_header_bytes,
        .max_streams = H2_STREAMS,
        .max_cancels = group->max_cancels,
        .allow_websocket = true,
    };
}

/* ALPN decides where it spoke; without it the configuration does (prior knowledge). */
static bool speaks_h2(const struct target *target, struct str alpn)
{
    if (alpn.len > 0)
        return str_eq(alpn, STR("h2"));
    return target->protocol == PROTOCOL_H2;
}

static void session_start(struct upconn *u)
{
    const struct target *target = u->endpoint->target;
    struct session_limits limits = session_limits_of(target->group->conf);
    bool h2 = speaks_h2(target, conn_tls_info(u->conn)->alpn);
    struct buf_pool *pool = loop_bufs(u->upstream->loop);

    u->endpoint->speaks = h2 ? SPEAKS_H2 : SPEAKS_H1;
    u->session = h2 ? h2_client_new(&session_owner, u, conn_out(u->conn), pool, &limits)
                    : h1_client_new(&session_owner, u, conn_out(u->conn), pool, &limits);
}

static void on_conn_open(struct conn *conn)
{
    struct upconn *u = conn_arg(conn);
    struct target *target = u->endpoint->target;

    metric_add(&target->group->metrics->connects, 1);
    histogram_add(&target->group->metrics->connect_time,
                  (uint64_t)(loop_now_us(u->upstream->loop) - u->started_us));
    metric_add(&u->upstream->metrics->counters[COUNTER_UP_CONNECTS], 1);
    metric_add(&u->upstream->metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN], 1);
    u->is_counted = true;
    u->endpoint->shunned_until_ms = 0;

    u->state = UPCONN_OPEN;
    upconn_enter_list(u, IN_BUSY);
    session_start(u);
    /* Until the peer's SETTINGS come it carries one request; other leases may wait for them. */
    upconn_expect(u, u->session->awaits_settings && u->expected > 1 ? u->expected - 1 : 0);
    upconn_settle(u);
    /* Fewer streams than hoped for (h1 where h2 was expected): the queue needs more connections. */
    if (target->waiting_count > 0)
        target_serve_later(target);
}

/* A peer that allows no stream at all may allow some later, and would say the same on another
 * connection. */
static bool has_limit(const struct session *session)
{
    return !session->awaits_settings && session->streams_max > 0;
}

/* The peer's SETTINGS have come: leases beyond what they allow need other connections. */
static void settings_known(struct upconn *u)
{
    u->endpoint->streams_max = u->session->streams_max;
    upconn_expect(u, 0);
    if (u->endpoint->target->waiting_count > 0)
        target_serve_later(u->endpoint->target);
}

/* h1: did bytes come before any byte of the present request has left? They answer nothing, and
 * must not answer that request. */
static bool is_ahead(const struct upconn *u, struct slice data)
{
    return u->leases > 0 && !u->session->is_h2 && data.len > 0 &&
           conn_bytes_out(u->conn) <= u->first_byte;
}

/* The request was not read, so its user may go elsewhere. */
static void end_ahead(struct upconn *u)
{
    u->maybe_read = 0;
    conn_abort(u->conn);
    upconn_detach(u);
    u->on_stack++;
    upconn_die(u);
    session_fail(u->session, REASON_UPSTREAM_PROTOCOL);
    u->on_stack--;
    upconn_settle(u);
}

static size_t on_conn_data(struct conn *conn, struct slice data)
{
    struct upconn *u = conn_arg(conn);
    bool was_idle = u->leases == 0 && !u->session->is_h2 && data.len > 0;

    if (UNLIKELY(is_ahead(u, data))) {
        LOG_DEBUG("upstream_surplus_bytes", "endpoint=%.*s bytes=%zu",
                  STR_FMT(endpoint_name(u->endpoint)), data.len);
        end_ahead(u);
        return data.len;
    }
    u->heard_at_ms = u->session->now_ms = loop_now_ms(u->upstream->loop);
    u->on_stack++;
    size_t used = session_feed(u->session, data);
    u->on_stack--;

    if (was_idle) {
        /* Nobody asked for these bytes: a late answer, or an attack on the next request. */
        LOG_DEBUG("upstream_surplus_bytes", "endpoint=%.*s bytes=%zu",
                  STR_FMT(endpoint_name(u->endpoint)), data.len);
        u->is_broken = true;
        upconn_abort(u);
        return data.len;
    }
    if (UNLIKELY(u->expected > 0) && has_limit(u->session) && upconn_is_attached(u))
        settings_known(u);
    u->left_bytes = data.len - used;
    u->is_in_data = true;
    upconn_settle(u);
    u->is_in_data = false;
    return used;
}

static void on_conn_eof(struct conn *conn)
{
    struct upconn *u = conn_arg(conn);

    u->is_broken = true;
    if (u->leases > 0)
        u->maybe_read = conn_maybe_read(conn);
    u->on_stack++;
    session_eof(u->session);
    u->on_stack--;
    if (u->leases == 0)
        upconn_abort(u);
    else
        upconn_settle(u);
}

static void on_conn_writable(struct conn *conn)
{
    struct upconn *u = conn_arg(conn);

    if (u->session == NULL)
        return;
    u->on_stack++;
    session_drained(u->session);
    u->on_stack--;
    upconn_settle(u);
}

static enum reason connect_reason(const struct upconn *u, enum reason reason)
{
    bool has_tls = u->endpoint->target->client != NULL;

    switch (reason) {
    case REASON_UPSTREAM_CONNECT:
    case REASON_UPSTREAM_CONNECT_TIMEOUT:
    case REASON_UPSTREAM_TLS_VERIFY:
        return reason;
    case REASON_HANDSHAKE_TIMEOUT:
        return REASON_UPSTREAM_CONNECT_TIMEOUT;
    case REASON_HANDSHAKE_FAILED:
        return REASON_UPSTREAM_TLS;
    default:
        return has_tls ? REASON_UPSTREAM_TLS : REASON_UPSTREAM_CONNECT;
    }
}

static enum reason stream_reason(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        return REASON_UPSTREAM_CLOSED;
    case REASON_WRITE_TIMEOUT:
        return REASON_UPSTREAM_IDLE_TIMEOUT;
    default:
        return REASON_UPSTREAM_RESET;
    }
}

static void connect_failed(struct upconn *u, enum reason why)
{
    struct endpoint *e = u->endpoint;
    struct target *target = e->target;
    enum reason reason = connect_reason(u, why);
    const char *words = conn_error_text(u->conn);

    LOG_LIMITED_BY(log_cause(log_cause((uintptr_t)e, words), target->group->name), LOG_LEVEL_WARN,
                   "upstream_connect_failed",
                   "group=%s target=%s endpoint=%.*s reason=%s error=\"%s\"", target->group->name,
                   target->name, STR_FMT(endpoint_name(e)), reason_word(reason), words);
    metric_add(&target->group->metrics->connect_failures, 1);
    e->shunned_until_ms = loop_now_ms(u->upstream->loop) + CONNECT_BACKOFF_MS;

    uint32_t streams = u->expected;
    const struct upstream_client *client = u->client;
    upconn_detach(u);
    upconn_die(u);
    target_connect_failed(target, e, client, streams, reason, words);
}

static void on_conn_closed(struct conn *conn, enum reason reason)
{
    struct upconn *u = conn_arg(conn);

    switch (u->state) {
    case UPCONN_CONNECTING:
        connect_failed(u, reason);
        return;
    case UPCONN_OPEN:
        u->maybe_read = conn_maybe_read(conn);
        u->error = conn_error_text(conn);
        upconn_detach(u);
        u->on_stack++;
        upconn_die(u);
        session_fail(u->session, stream_reason(reason));
        u->on_stack--;
        u->error = NULL;
        upconn_settle(u);
        return;
    case UPCONN_CLOSING:
        upconn_leave_list(u);
        upconn_die(u);
        return;
    case UPCONN_DEAD:
    case UPCONN_REAPED:
        return;
    }
}

static const struct conn_handler conn_handler = {
    .on_open = on_conn_open,
    .on_data = on_conn_data,
    .on_eof = on_conn_eof,
    .on_writable = on_conn_writable,
    .on_closed = on_conn_closed,
};

/* --- making one ------------------------------------------------------------------------------ */

static uint32_t streams_expected(const struct endpoint *e)
{
    uint32_t h2_streams = e->streams_max > 0 ? e->streams_max : H2_STREAMS;

    switch (e->target->protocol) {
    case PROTOCOL_H1:
        return 1;
    case PROTOCOL_H2:
        return h2_streams;
    case PROTOCOL_AUTO:
        break;
    }
    if (e->target->client == NULL || e->speaks == SPEAKS_H1)
        return 1;
    return h2_streams; /* not known yet; on_open starts more connections if it is h1 */
}

void upconn_connect(struct endpoint *e, struct upstream_client *client)
{
    struct upstream *upstream = e->target->upstream;
    struct upconn *u = mem_new(sizeof(*u));

    list_init(&u->node);
    list_init(&u->own);
    u->upstream = upstream;
    u->endpoint = e;
    endpoint_ref(e);
    u->state = UPCONN_CONNECTING;
    u->started_us = loop_now_us(upstream->loop);
    u->maybe_read = UINT64_MAX;
    deadline_init(&u->idle, upconn_on_idle);
    task_init(&u->settle, upconn_on_settle_task);
    bufq_init(&u->no_out, loop_bufs(upstream->loop));

    u->conn = endpoint_dial(e, client, &conn_handler, u);
    if (client != NULL) {
        u->client = client;
        list_push_front(&client->conns, &u->own);
    }
    upconn_expect(u, streams_expected(e));
    upconn_enter_list(u, IN_CONNECTING);
}

/* --- streams --------------------------------------------------------------------------------- */

struct stream *upconn_open_stream(struct upconn *u, struct lease *lease)
{
    u->on_stack++;
    struct stream *stream = session_open(u->session, lease->arena, lease->handler, lease->arg);
    u->on_stack--;

    if (stream == NULL) {
        upconn_enter_list(u, IN_BUSY); /* until a stream ends or the session has news */
        return NULL;
    }
    u->leases++;
    lease->first_byte = u->first_byte = conn_out_offset(u->conn);
    deadline_clear(&u->idle);
    if (!u->session->is_h2 || !upconn_may_carry_more(u))
        upconn_enter_list(u, IN_BUSY);
    return stream;
}

enum { DOUBT_MS = 1000 };

/* A request is given up, and since it was asked for nothing was heard, of no other stream either.
 * h1 closes such a connection in any case; an h2 connection that leads nowhere any more would take
 * in one request after the other until TCP notices. */
static bool is_in_doubt(const struct upconn *u, const struct lease *lease)
{
    int64_t silent_ms = loop_now_ms(u->upstream->loop) - lease->asked_at_ms;

    if (u->state != UPCONN_OPEN || !u->session->is_h2 || u->heard_at_ms > lease->asked_at_ms)
        return false;
    return silent_ms >=
           MIN((int64_t)DOUBT_MS, (int64_t)lease->target->group->conf->timeouts.response_ms);
}

/* It takes no more requests, because the peer may end it with all streams on it. */
static void count_spent_cancels(struct upconn *u)
{
    metric_add(&u->upstream->metrics->counters[COUNTER_UP_CANCELS_SPENT], 1);
    LOG_LIMITED(LOG_LEVEL_INFO, "upstream_cancels_spent", "endpoint=%.*s requests=%llu",
                STR_FMT(endpoint_name(u->endpoint)), (unsigned long long)u->session->requests);
}

void upconn_release_stream(struct upconn *u, struct lease *lease)
{
    struct session *session = u->session;
    bool was_spent = session->cancels_spent;

    if (is_in_doubt(u, lease))
        u->is_broken = true; /* its streams go on; no new one is opened */
    session->now_ms = loop_now_ms(u->upstream->loop);
    u->on_stack++;
    stream_close(lease->stream);
    u->on_stack--;
    u->leases--;
    if (UNLIKELY(session->cancels_spent) && !was_spent)
        count_spent_cancels(u);
    upconn_settle(u);
}

bool upconn_was_unread(const struct upconn *u, const struct lease *lease)
{
    return u->maybe_read <= lease->first_byte;
}

bool upconn_check_alive(struct upconn *u)
{
    if (u->session->is_h2 || u->leases > 0 || !conn_peek_dead(u->conn))
        return true;
    upconn_abort(u);
    return false;
}
