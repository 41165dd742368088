/* An HTTP connection of a client: connects a conn (bytes) with a session (codec), chooses the codec,
 * and keeps the deadlines between requests. Who the client is is client.c; what happens inside a
 * request is exchange.c.
 *
 * Memory: a downstream lives until its connection is closed and its last exchange has ended. */
#include "proxy/proxy_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For clients that were not in the middle of something at a drain. */
enum {
    DRAIN_NOTICE_MS = 1000,  /* to send a first request, to receive GOAWAY */
    DRAIN_ASK_ONCE_MS = 300, /* HTTP/1, between two requests */
};

static struct downstream *of_session(struct session *session)
{
    return session->owner_arg;
}

/* --- ending ---------------------------------------------------------------------------------- */

static void on_reap(struct reap *reap)
{
    struct downstream *down = CONTAINER_OF(reap, struct downstream, reap);

    if (down->session != NULL)
        session_free(down->session);
    serving_unref(&down->serving);
    client_deinit(&down->client);
    free(down);
}

static void reap_when_done(struct downstream *down)
{
    if (!down->is_closed || down->exchanges > 0 || down->is_reaped)
        return;
    down->is_reaped = true;
    client_end(&down->client);
    loop_reap(down->client.proxy->loop, &down->reap, on_reap);
}

static void count_stops(struct downstream *down)
{
    struct session *session = down->session;

    if (LIKELY(session->held_stops == 0))
        return;
    proxy_count(down->client.proxy, COUNTER_HELD_LIMIT, session->held_stops);
    session->held_stops = 0;
}

/* The connection closed: fails its session and releases its quotas. */
static void closed(struct downstream *down, enum reason reason)
{
    struct proxy *proxy = down->client.proxy;

    if (down->is_closed)
        return;
    down->is_closed = true;
    deadline_deinit(&down->deadline);
    deadline_deinit(&down->progress);
    list_remove(&down->node);
    admit_handshake_over(down);
    admit_release(&down->client);
    proxy->connection_count--;
    metric_sub(&proxy->metrics->gauges[GAUGE_DOWN_CONNECTIONS_OPEN], 1);
    proxy_count(proxy, COUNTER_DOWN_BYTES_IN, conn_bytes_in(down->conn));
    proxy_count(proxy, COUNTER_DOWN_BYTES_OUT, conn_bytes_out(down->conn));
    down->conn = NULL;
    if (down->session != NULL) {
        session_fail(down->session, reason);
        count_stops(down);
    }
    reap_when_done(down);
}

void downstream_abort(struct downstream *down)
{
    struct conn *conn = down->conn;

    if (down->is_closed)
        return;
    closed(down, REASON_CLIENT_CLOSED);
    if (down->session != NULL && down->session->is_cut)
        conn_reset(conn);
    else
        conn_abort(conn);
}

static void downstream_reset(struct downstream *down)
{
    struct conn *conn = down->conn;

    closed(down, REASON_NONE);
    conn_reset(conn);
}

void downstream_exchange_ended(struct downstream *down)
{
    down->exchanges--;
    if (!down->is_closed && down->exchanges == 0)
        downstream_rebind(down);
    reap_when_done(down);
}

static void count_reason(struct downstream *down, enum reason reason)
{
    metric_add(&down->client.proxy->metrics->reasons[reason], 1);
}

static uint64_t cause_of(const struct downstream *down, enum reason reason)
{
    return log_cause((uint64_t)reason, down->client.listener->conf->name.ptr);
}

/* --- deadlines ------------------------------------------------------------------------------- */

/* A connection that is idle rests first, and ends much later. */
enum { REST_AFTER_MS = 500 };

static void set_idle_deadline(struct downstream *down)
{
    uint32_t idle_ms = down->client.listener->conf->timeouts.idle_ms;

    down->rests_next = idle_ms > REST_AFTER_MS && down->session != NULL && down->session->is_h2;
    deadline_set(down->client.proxy->loop, &down->deadline,
                 down->rests_next ? REST_AFTER_MS : idle_ms);
}

static void set_deadline(struct downstream *down)
{
    const struct downstream_timeouts_conf *timeouts = &down->client.listener->conf->timeouts;
    enum session_phase phase = down->session != NULL ? down->session->phase : SESSION_IDLE;
    bool is_new = down->session == NULL || (down->session->requests == 0 && phase == SESSION_IDLE);

    if (down->is_closed)
        return;
    down->rests_next = false;
    if (phase == SESSION_BUSY)
        deadline_clear(&down->deadline);
    else if (phase == SESSION_HEAD || is_new)
        deadline_set(down->client.proxy->loop, &down->deadline, timeouts->header_ms);
    else if (down->client.proxy->draining)
        deadline_set(down->client.proxy->loop, &down->deadline, DRAIN_NOTICE_MS);
    else
        set_idle_deadline(down);
}

/* The client has ended its side and waits for an answer. Its socket is not read any more, so it is
 * asked now and then whether the client has reset the connection. */
static void watch_half_closed(struct downstream *down)
{
    enum { INTERVAL_MS = 1000 };
    struct conn *conn = down->conn;

    if (!conn_is_reset(conn)) {
        deadline_set(down->client.proxy->loop, &down->deadline, INTERVAL_MS);
        return;
    }
    closed(down, REASON_CLIENT_RESET);
    conn_abort(conn);
}

static void on_deadline(struct deadline *deadline)
{
    struct downstream *down = CONTAINER_OF(deadline, struct downstream, deadline);
    bool is_head = down->session != NULL && down->session->phase == SESSION_HEAD;

    if (down->rests_next) {
        ASSERT(down->session != NULL); /* see set_idle_deadline */
        uint32_t idle_ms = down->client.listener->conf->timeouts.idle_ms;
        down->rests_next = false;
        session_rest(down->session);
        deadline_set(down->client.proxy->loop, deadline,
                     MAX(idle_ms, REST_AFTER_MS) - REST_AFTER_MS);
        return;
    }
    if (down->session == NULL) {
        count_reason(down, REASON_IDLE_TIMEOUT);
        conn_close(down->conn);
        return;
    }
    if (down->session->phase == SESSION_BUSY) {
        watch_half_closed(down);
        return;
    }
    session_expire(down->session, is_head ? REASON_HEADER_TIMEOUT : REASON_IDLE_TIMEOUT);
}

/* --- progress of what is held back ----------------------------------------------------------- */

enum { PROGRESS_MIN_BYTES = 4096 }; /* less than this in a whole write timeout is no progress */

/* Bytes that wait for an h2 window are in no socket's queue, so the connection's own write deadline
 * does not see them. Only bytes count, not WINDOW_UPDATEs (CVE-2019-9517). */
static void watch_progress(struct downstream *down)
{
    const struct session *session = down->session;
    uint32_t write_ms = down->client.listener->conf->timeouts.write_ms;

    if (session->held_bytes == 0) {
        deadline_clear(&down->progress);
        return;
    }
    if (write_ms == 0 || deadline_is_set(&down->progress))
        return;
    down->moved_then = session->moved_bytes;
    deadline_set(down->client.proxy->loop, &down->progress, write_ms);
}

static void on_no_progress(struct deadline *deadline)
{
    struct downstream *down = CONTAINER_OF(deadline, struct downstream, progress);
    struct session *session = down->session;

    if (session->held_bytes > 0 && session->moved_bytes - down->moved_then < PROGRESS_MIN_BYTES) {
        count_reason(down, REASON_WRITE_TIMEOUT);
        session_expire(session, REASON_WRITE_TIMEOUT);
        return;
    }
    watch_progress(down);
}

/* --- what the session wants ------------------------------------------------------------------ */

static void follow_configuration(struct downstream *down);

static void on_stream(struct session *session, struct stream *stream)
{
    struct downstream *down = of_session(session);

    follow_configuration(down);
    if (UNLIKELY(proxy_overload(down->client.proxy) != OVERLOAD_NONE) && !session->draining)
        session_drain(session);
    down->exchanges++;
    exchange_new(down, stream);
}

static void want_write(struct session *session)
{
    struct downstream *down = of_session(session);

    if (down->is_closed)
        return;
    conn_flush_later(down->conn);
    if (session->is_h2)
        watch_progress(down);
}

static void want_input(struct session *session)
{
    struct downstream *down = of_session(session);

    if (!down->is_closed && (session->is_h2 || conn_unused(down->conn) > 0))
        conn_kick(down->conn);
}

static void set_reading(struct session *session, bool reading)
{
    struct downstream *down = of_session(session);

    if (down->is_closed)
        return;
    if (reading)
        conn_resume(down->conn);
    else
        conn_pause(down->conn);
}

static void want_close(struct session *session, enum reason reason)
{
    struct downstream *down = of_session(session);

    if (down->is_closed)
        return;
    deadline_clear(&down->deadline);
    deadline_clear(&down->progress);
    bool is_h2_error = reason == REASON_H2_FLOOD || reason == REASON_H2_PROTOCOL;
    if (is_h2_error || reason == REASON_IDLE_TIMEOUT || reason == REASON_CLIENT_CLOSED)
        count_reason(down, reason);
    if (is_h2_error)
        LOG_LIMITED_BY(cause_of(down, reason), LOG_LEVEL_INFO, "h2_connection_error",
                       "client=%.*s listener=%.*s reason=%s", STR_FMT(client_text(&down->client)),
                       STR_FMT(down->client.listener->conf->name), reason_word(reason));
    if (session->is_cut)
        downstream_reset(down);
    else
        conn_close(down->conn);
}

static void on_phase(struct session *session)
{
    set_deadline(of_session(session));
}

/* Where there is an exchange, it counts and logs. */
static void on_bad(struct session *session, struct stream *stream, enum reason reason)
{
    struct downstream *down = of_session(session);

    if (stream == NULL && !down->is_closed)
        record_refusal(down, reason);
    LOG_LIMITED_BY(cause_of(down, reason), LOG_LEVEL_INFO, "bad_request",
                   "client=%.*s listener=%.*s reason=%s", STR_FMT(client_text(&down->client)),
                   STR_FMT(down->client.listener->conf->name), reason_word(reason));
}

static void on_refusal(struct session *session, struct head *head)
{
    reply_refusal(of_session(session), head);
}

static const struct session_owner owner = {
    .on_stream = on_stream,
    .want_write = want_write,
    .want_input = want_input,
    .set_reading = set_reading,
    .want_close = want_close,
    .on_phase = on_phase,
    .on_bad = on_bad,
    .on_refusal = on_refusal,
};

/* --- choosing the codec ---------------------------------------------------------------------- */

static void start_session(struct downstream *down, bool is_h2)
{
    struct session *(*make)(const struct session_owner *, void *, struct bufq *, struct buf_pool *,
                            const struct session_limits *) = is_h2 ? h2_server_new : h1_server_new;

    down->session = make(&owner, down, conn_out(down->conn), loop_bufs(down->client.proxy->loop),
                         &down->client.listener->limits);
    down->session->now_ms = loop_now_ms(down->client.proxy->loop);
    down->session->hides_reasons = !down->client.is_trusted;
    if (down->client.proxy->draining && !is_h2)
        down->session->draining = true; /* its first request is still answered */
}

/* On a plain connection the first bytes tell: the h2 preface, or HTTP/1. */
static enum preface sniff(struct downstream *down, struct slice data)
{
    enum preface preface = h2_preface(str_make(data.ptr, MIN(data.len, 24)));

    if (preface != PREFACE_MORE)
        start_session(down, preface == PREFACE_YES);
    return preface;
}

/* --- what the connection says ---------------------------------------------------------------- */

static void on_open(struct conn *conn)
{
    struct downstream *down = conn_arg(conn);
    const struct conn_tls_info *tls = conn_tls_info(conn);

    admit_handshake_over(down);
    if (tls->is_tls) {
        proxy_count(down->client.proxy,
                    tls->resumed ? COUNTER_DOWN_TLS_RESUMED : COUNTER_DOWN_TLS_FULL, 1);
        start_session(down, str_eq(tls->alpn, STR("h2")));
        if (down->client.proxy->draining && down->session->is_h2)
            session_drain(down->session);
        conn_flush_later(conn);
    }
    set_deadline(down);
    downstream_rebind(down);
}

static size_t on_data(struct conn *conn, struct slice data)
{
    struct downstream *down = conn_arg(conn);

    if (down->session == NULL && sniff(down, data) == PREFACE_MORE)
        return 0;
    down->session->now_ms = loop_now_ms(down->client.proxy->loop);
    size_t used = session_feed(down->session, data);
    if (!down->is_closed && down->session->is_h2)
        watch_progress(down);
    count_stops(down);
    return used;
}

static void on_eof(struct conn *conn)
{
    struct downstream *down = conn_arg(conn);

    if (down->session == NULL) {
        conn_close(conn);
        return;
    }
    session_eof(down->session);
    if (!down->is_closed && down->session->phase == SESSION_BUSY && !down->session->is_h2)
        watch_half_closed(down);
}

static void on_writable(struct conn *conn)
{
    struct downstream *down = conn_arg(conn);

    if (down->session != NULL)
        session_drained(down->session);
}

static void on_closed(struct conn *conn, enum reason reason)
{
    struct downstream *down = conn_arg(conn);

    if (reason == REASON_HANDSHAKE_FAILED || reason == REASON_UNKNOWN_SNI ||
        reason == REASON_PLAIN_HTTP)
        LOG_LIMITED_BY(
            log_cause((uint64_t)reason, conn_error_text(conn)), LOG_LEVEL_INFO, "handshake_failed",
            "client=%.*s listener=%.*s reason=%s error=\"%s\"", STR_FMT(client_text(&down->client)),
            STR_FMT(down->client.listener->conf->name), reason_word(reason), conn_error_text(conn));
    /* An exchange counts what ended it. A client that drops an idle connection has done nothing
     * wrong. */
    if (reason != REASON_NONE && reason != REASON_CLIENT_RESET && down->exchanges == 0)
        count_reason(down, reason);
    closed(down, reason != REASON_NONE ? reason : REASON_CLIENT_CLOSED);
}

static const struct conn_handler handler = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

/* --- beginning ------------------------------------------------------------------------------- */

/* Before the connection has a session. */
static void refuse(struct downstream *down, int fd, enum reason reason)
{
    proxy_count(down->client.proxy, COUNTER_CONNECTIONS_REFUSED, 1);
    proxy_count_reason(down->client.proxy, reason);
    LOG_LIMITED_BY(cause_of(down, reason), LOG_LEVEL_WARN, "connection_refused",
                   "client=%.*s listener=%.*s reason=%s", STR_FMT(client_text(&down->client)),
                   STR_FMT(down->client.listener->conf->name), reason_word(reason));
    close(fd);
    admit_release_listener(down->client.proxy, down->client.listener_key);
    serving_unref(&down->serving);
    client_deinit(&down->client);
    free(down);
}

void downstream_new(struct proxy *proxy, struct serving *serving,
                    const struct serving_listener *listener, int fd, const struct addr *peer,
                    const struct addr *server)
{
    struct downstream *down = mem_new(sizeof(*down));
    struct conn_limits limits = {.handshake_ms = listener->conf->timeouts.handshake_ms,
                                 .write_ms = listener->conf->timeouts.write_ms};

    down->serving = serving_ref(serving);
    client_init(&down->client, proxy, listener, peer, server);
    enum reason reason = admit_client(&down->client);
    if (reason != REASON_NONE) {
        refuse(down, fd, reason);
        return;
    }
    deadline_init(&down->deadline, on_deadline);
    deadline_init(&down->progress, on_no_progress);
    list_init(&down->handshake);
    list_push_back(&proxy->downstreams, &down->node);
    proxy->connection_count++;
    proxy_count(proxy, COUNTER_DOWN_CONNECTIONS, 1);
    metric_add(&proxy->metrics->gauges[GAUGE_DOWN_CONNECTIONS_OPEN], 1);
    down->conn = conn_accepted(proxy->loop, fd, &handler, down, limits);
    conn_let_unsent_grow(down->conn, listener->conf->limits.max_unsent_bytes);
    if (listener->tls != NULL) {
        tls_accept(down->conn, listener->tls);
        admit_handshake(down);
    }
}

/* The listener of the same name under the current configuration; NULL when there is none. */
static const struct serving_listener *same_listener(const struct downstream *down)
{
    const struct serving *serving = down->client.proxy->serving;

    for (size_t i = 0; i < serving->config->listener_count; i++) {
        if (str_eq(serving->listeners[i].conf->name, down->client.listener->conf->name))
            return &serving->listeners[i];
    }
    return NULL;
}

static bool same_networks(const struct cidr *a, size_t a_count, const struct cidr *b,
                          size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        if (a[i].bits != b[i].bits || memcmp(a[i].ip, b[i].ip, sizeof(a[i].ip)) != 0)
            return false;
    }
    return a_count == b_count;
}

/* Would a connection that is accepted now have to prove the same things as this one: TLS or none,
 * the same policy for clients, the same of the PROXY header? */
static bool keeps_transport(const struct downstream *down, const struct serving_listener *now)
{
    const struct proxy_protocol_conf *had = &down->client.listener->conf->proxy_protocol;
    const struct proxy_protocol_conf *has = &now->conf->proxy_protocol;

    return had->enabled == has->enabled && had->required == has->required &&
           same_networks(had->from, had->from_count, has->from, has->from_count) &&
           (down->conn == NULL ||
            tls_policy_stays(down->conn, down->client.listener->tls, now->tls));
}

/* A connection keeps the properties that it was accepted with: where new ones have others, it stays
 * with its old configuration for what it is doing, and ends. */
static void change_serving(struct downstream *down)
{
    const struct serving_listener *listener = same_listener(down);

    if (listener == NULL || !keeps_transport(down, listener)) {
        downstream_drain(down);
        return;
    }
    struct serving *old = down->serving;
    down->serving = serving_ref(down->client.proxy->serving);
    client_follow(&down->client, listener);
    down->has_old_limits = down->session != NULL;
    if (down->session != NULL)
        down->session->hides_reasons = !down->client.is_trusted;
    serving_unref(&old);
}

/* Exchanges hold the configuration that they began with, so others of an h2 connection may go on
 * under the old one. The session's limits are for all of them and wait until none is left. */
static void follow_configuration(struct downstream *down)
{
    if (UNLIKELY(down->serving != down->client.proxy->serving))
        change_serving(down);
    if (UNLIKELY(down->has_old_limits) && down->exchanges == 0) {
        session_set_limits(down->session, &down->client.listener->limits);
        down->has_old_limits = false;
    }
}

/* In the middle of its handshake a connection stays with its configuration; it follows then. */
void downstream_rebind(struct downstream *down)
{
    bool is_shaking = down->session == NULL && down->client.listener->tls != NULL;

    if (!down->is_closed && down->exchanges == 0 && !is_shaking)
        follow_configuration(down);
}

/* A request may be on its way already, so no connection is closed at once. A connection without a
 * request yet gets a moment to send one. An h2 client gets a moment to receive GOAWAY. An h1 client
 * between two requests learns of the drain from a response only, so it gets a moment to send one
 * more request. Then idle connections are closed. */
void downstream_drain(struct downstream *down)
{
    if (down->is_closed)
        return;
    if (down->session != NULL && down->session->is_h2)
        session_drain(down->session);
    else if (down->session != NULL)
        down->session->draining = true;
    if (down->is_closed || (down->session != NULL && down->session->phase == SESSION_BUSY))
        return;
    bool is_between = down->session != NULL && !down->session->is_h2 &&
                      down->session->phase == SESSION_IDLE && down->session->requests > 0;
    down->rests_next = false;
    deadline_set(down->client.proxy->loop, &down->deadline,
                 is_between ? DRAIN_ASK_ONCE_MS : DRAIN_NOTICE_MS);
}
