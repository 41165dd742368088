/* One upstream connection: the glue between a conn (bytes) and a client session (streams). It knows
 * whether it may carry another request and in which of its endpoint's lists it stands; who gets it
 * is decided in queue.c and endpoint.c.
 *
 * Its one difficulty is that everything may happen inside a callback of its own session. So whoever
 * calls into the session counts on_stack, and upconn_settle(), the one place where a connection is
 * pooled, closed or freed, does nothing before that count is back at zero. */
#include "upstream/upstream_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/proxy_header.h"

#include <stdlib.h>

/* --- lists ----------------------------------------------------------------------------------- */

/* How many more streams are hoped for from `u`. */
static void expect(struct upconn *u, uint32_t streams)
{
    struct endpoint *e = u->endpoint;

    e->expected += streams - u->expected;
    if (e->target != NULL)
        e->target->expected += streams - u->expected;
    u->expected = streams;
}

static void leave_list(struct upconn *u)
{
    struct endpoint *e = u->endpoint;

    list_remove(&u->node);
    switch (u->in) {
    case IN_NONE:
    case IN_CLOSING:
        break;
    case IN_CONNECTING:
        e->connecting_count--;
        e->connections--;
        break;
    case IN_AVAILABLE:
        e->available_count--;
        if (e->target != NULL)
            e->target->available--;
        e->connections--;
        break;
    case IN_BUSY:
        e->connections--;
        break;
    }
    u->in = IN_NONE;
}

static void enter_list(struct upconn *u, enum pool_list in)
{
    struct endpoint *e = u->endpoint;

    leave_list(u);
    u->in = in;
    switch (in) {
    case IN_NONE:
        break;
    case IN_CONNECTING:
        list_push_back(&e->connecting, &u->node);
        e->connecting_count++;
        e->connections++;
        break;
    case IN_AVAILABLE:
        list_push_front(&e->available, &u->node);
        e->available_count++;
        e->target->available++;
        e->connections++;
        break;
    case IN_BUSY:
        list_push_back(&e->busy, &u->node);
        e->connections++;
        break;
    case IN_CLOSING:
        list_push_back(&u->upstream->closing, &u->node);
        break;
    }
    endpoint_publish(e);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void upconn_free(struct reap *reap)
{
    struct upconn *u = CONTAINER_OF(reap, struct upconn, reap);

    task_cancel(&u->settle);
    deadline_deinit(&u->idle);
    if (u->session != NULL)
        session_free(u->session);
    bufq_deinit(&u->no_out);
    endpoint_unref(u->endpoint);
    free(u);
}

static void leave_client(struct upconn *u)
{
    list_remove(&u->own);
    u->client = NULL;
}

/* Its endpoint and the session's streams have no connection any more. */
static void detach(struct upconn *u)
{
    struct target *target = u->endpoint->target;
    bool was_attached = upconn_is_attached(u);

    deadline_clear(&u->idle);
    expect(u, 0);
    leave_list(u);
    leave_client(u);
    if (u->session != NULL)
        u->session->out = &u->no_out;
    endpoint_publish(u->endpoint);
    if (was_attached && target != NULL && target->waiting_count > 0)
        target_serve_later(target); /* room for another connection */
}

static void die(struct upconn *u)
{
    if (u->is_counted) {
        u->is_counted = false;
        metric_sub(&u->upstream->metrics->gauges[GAUGE_UP_CONNECTIONS_OPEN], 1);
    }
    u->conn = NULL;
    u->state = UPCONN_DEAD;
    upconn_settle(u);
}

void upconn_abort(struct upconn *u)
{
    if (u->conn == NULL) {
        upconn_settle(u);
        return;
    }
    conn_abort(u->conn);
    detach(u);
    die(u);
}

void upconn_close(struct upconn *u)
{
    if (!upconn_is_attached(u))
        return;
    if (u->state == UPCONN_CONNECTING) {
        upconn_abort(u);
        return;
    }
    if (u->session->is_h2 && !u->session->draining) {
        u->on_stack++;
        session_drain(u->session); /* GOAWAY goes with what is queued */
        u->on_stack--;
    }
    detach(u);
    u->state = UPCONN_CLOSING;
    enter_list(u, IN_CLOSING);
    conn_close(u->conn);
}

/* --- where it belongs ------------------------------------------------------------------------ */

static bool may_carry_more(const struct upconn *u)
{
    const struct session *s = u->session;
    const struct endpoint *e = u->endpoint;

    if (u->is_broken || s->draining || s->wants_early_close || e->index == ENDPOINT_GONE)
        return false;
    if (e->target->is_gone && e->target->waiting_count == 0)
        return false;
    return e->target->group->conf->max_requests == 0 ||
           s->requests < e->target->group->conf->max_requests;
}

/* Received and not used; inside on_data the connection itself cannot know yet. */
static bool has_surplus(const struct upconn *u)
{
    return u->is_in_data ? u->left_bytes > 0 : conn_unused(u->conn) > 0;
}

static bool was_cut(const struct upconn *u)
{
    return !u->session->is_h2 && (u->session->phase != SESSION_IDLE || has_surplus(u));
}

static void become_idle(struct upconn *u)
{
    const struct group_conf *group = u->endpoint->target->group->conf;

    if (u->is_paused) {
        u->is_paused = false;
        conn_resume(u->conn);
    }
    /* Set once per rest: an h2 peer's PINGs do not make it longer. */
    if (!deadline_is_set(&u->idle))
        deadline_set(u->upstream->loop, &u->idle, group->timeouts.pool_idle_ms);
    if (u->in != IN_AVAILABLE)
        enter_list(u, IN_AVAILABLE);
    /* Behind the others stands the one that was idle longest. */
    if (u->endpoint->available_count > group->max_idle) {
        struct upconn *coldest = CONTAINER_OF(u->endpoint->available.prev, struct upconn, node);
        if (coldest->leases == 0 && u->endpoint->target->waiting_count == 0)
            upconn_close(coldest);
    }
}

/* The session has nothing more to say. An h2 session's last words may still have to be written;
 * what is left of an h1 request is of no use to anybody. */
static void end_session(struct upconn *u)
{
    bool is_h2 = u->session->is_h2;

    if (is_h2 && !bufq_is_empty(conn_out(u->conn))) {
        upconn_close(u);
        return;
    }
    u->on_stack++;
    upconn_abort(u);
    if (!is_h2 && u->leases > 0)
        session_drained(u->session); /* whoever waits for room to write need not */
    u->on_stack--;
    upconn_settle(u);
}

static void settle_open(struct upconn *u)
{
    if (u->wants_close) {
        end_session(u);
        return;
    }
    if (u->leases == 0) {
        if (was_cut(u))
            upconn_abort(u); /* the upstream stops working for nobody */
        else if (may_carry_more(u))
            become_idle(u);
        else
            upconn_close(u);
    } else if (u->session->is_h2 && may_carry_more(u)) {
        if (u->in != IN_AVAILABLE)
            enter_list(u, IN_AVAILABLE);
    } else if (u->in == IN_AVAILABLE) {
        enter_list(u, IN_BUSY);
    }
    if (u->in == IN_AVAILABLE && u->endpoint->target->waiting_count > 0)
        target_serve_later(u->endpoint->target);
}

void upconn_settle(struct upconn *u)
{
    if (u->on_stack > 0)
        return;
    switch (u->state) {
    case UPCONN_CONNECTING:
    case UPCONN_CLOSING:
    case UPCONN_REAPED:
        return;
    case UPCONN_OPEN:
        /* The usual end of an on_data: a request goes on. */
        if (LIKELY(u->leases > 0 && !u->session->is_h2 && !u->wants_close))
            return;
        settle_open(u);
        return;
    case UPCONN_DEAD:
        if (u->leases > 0)
            return;
        u->state = UPCONN_REAPED;
        loop_reap(u->upstream->loop, &u->reap, upconn_free);
        return;
    }
}

static void on_settle_task(struct task *task)
{
    upconn_settle(CONTAINER_OF(task, struct upconn, settle));
}

static void on_idle_too_long(struct deadline *deadline)
{
    struct upconn *u = CONTAINER_OF(deadline, struct upconn, idle);

    if (u->state == UPCONN_OPEN && u->leases == 0)
        upconn_close(u);
}

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
        enter_list(u, IN_BUSY);
    /* It may come from inside a send; then nobody settles when that returns. */
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
    enter_list(u, IN_BUSY);
    session_start(u);
    /* Until the peer's SETTINGS come it carries one request; the others may wait for them. */
    expect(u, u->session->awaits_settings && u->expected > 1 ? u->expected - 1 : 0);
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

/* The peer's SETTINGS have come: whoever waits for more than they allow needs other connections. */
static void settings_known(struct upconn *u)
{
    u->endpoint->streams_max = u->session->streams_max;
    expect(u, 0);
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
    detach(u);
    u->on_stack++;
    die(u);
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
    detach(u);
    die(u);
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
        detach(u);
        u->on_stack++;
        die(u);
        session_fail(u->session, stream_reason(reason));
        u->on_stack--;
        u->error = NULL;
        upconn_settle(u);
        return;
    case UPCONN_CLOSING:
        leave_list(u);
        die(u);
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
    return h2_streams; /* not known yet: hope; on_open starts more where it was in vain */
}

/* The name to ask for and to verify; an address is verified as such. */
static struct str tls_name(const struct endpoint *e, char *text)
{
    if (e->target->server_name[0] != '\0')
        return str_of(e->target->server_name);
    if (addr_is_unix(&e->addr))
        return STR("localhost");
    if (e->host[0] != '\0')
        return str_of(e->host);
    return str_make(text, addr_format_ip(&e->addr, text));
}

/* The first bytes say whose connection it is. */
static void send_proxy_header(struct upconn *u)
{
    const struct upstream_client *client = u->client;
    char text[PROXY_HEADER_V1_MAX + 1];
    size_t len = proxy_header_write((int)u->endpoint->target->send_proxy, &client->addr,
                                    &client->server, text);

    conn_send_first(u->conn, str_make(text, len));
}

void upconn_connect(struct endpoint *e, struct upstream_client *client)
{
    struct target *target = e->target;
    struct upstream *upstream = target->upstream;
    const struct upstream_timeouts_conf *timeouts = &target->group->conf->timeouts;
    struct conn_limits limits = {
        .connect_ms = timeouts->connect_ms,
        .handshake_ms = timeouts->connect_ms,
        .write_ms = timeouts->idle_ms,
    };
    struct upconn *u = mem_new(sizeof(*u));
    char text[ADDR_TEXT_MAX];

    list_init(&u->node);
    list_init(&u->own);
    u->upstream = upstream;
    u->endpoint = e;
    endpoint_ref(e);
    u->state = UPCONN_CONNECTING;
    u->started_us = loop_now_us(upstream->loop);
    u->maybe_read = UINT64_MAX;
    deadline_init(&u->idle, on_idle_too_long);
    task_init(&u->settle, on_settle_task);
    bufq_init(&u->no_out, loop_bufs(upstream->loop));

    u->conn = conn_connect(upstream->loop, &e->addr, &conn_handler, u, limits);
    if (target->client != NULL)
        tls_connect(u->conn, target->client, tls_name(e, text), &e->slot);
    if (client != NULL) {
        u->client = client;
        list_push_front(&client->conns, &u->own);
        send_proxy_header(u);
    }
    expect(u, streams_expected(e));
    enter_list(u, IN_CONNECTING);
}

/* --- whose they are -------------------------------------------------------------------------- */

void upstream_client_init(struct upstream_client *client)
{
    *client = (struct upstream_client){0};
    list_init(&client->conns);
}

void upstream_client_deinit(struct upstream_client *client)
{
    LIST_EACH(node, &client->conns)
    {
        struct upconn *u = CONTAINER_OF(node, struct upconn, own);
        leave_client(u);
        u->is_broken = true; /* nobody else may have it */
        if (u->state == UPCONN_CONNECTING)
            upconn_abort(u);
        else
            upconn_settle(u);
    }
}

bool client_is_connecting(const struct upstream_client *client, const struct endpoint *e)
{
    LIST_EACH(node, &client->conns)
    {
        const struct upconn *u = CONTAINER_OF(node, struct upconn, own);
        if (u->endpoint == e && u->state == UPCONN_CONNECTING)
            return true;
    }
    return false;
}

/* --- streams --------------------------------------------------------------------------------- */

struct stream *upconn_open_stream(struct upconn *u, struct lease *lease)
{
    u->on_stack++;
    struct stream *stream = session_open(u->session, lease->arena, lease->handler, lease->arg);
    u->on_stack--;

    if (stream == NULL) {
        enter_list(u, IN_BUSY); /* until a stream ends or the session has news */
        return NULL;
    }
    u->leases++;
    lease->first_byte = u->first_byte = conn_out_offset(u->conn);
    deadline_clear(&u->idle);
    if (!u->session->is_h2 || !may_carry_more(u))
        enter_list(u, IN_BUSY);
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

/* It takes no more requests: each of them would share the fate of those who are on it. */
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
        u->is_broken = true; /* who is on it may go on, nobody else comes */
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
