/* See pages.h. A client is a connection, its h1 session, and the request it is at; the session says
 * what the connection has to do, and the connection's callbacks are passed on to the session. */
#include "admin/pages.h"

#include "http/session.h"
#include "net/conn.h"
#include "net/listener.h"

#include <stdlib.h>
#include <unistd.h>

enum { WRITE_MS = 30 * 1000, MAX_REQUESTS = 10000 };

struct page_server {
    struct loop *loop;              /* borrows */
    struct listener_sock *listener; /* owns */
    struct page_limits limits;
    page_answer *answer;
    void *arg;
    struct list clients; /* owns */
    size_t client_count;
};

struct client {
    struct list node;
    struct page_server *server; /* borrows */
    struct conn *conn;          /* owns */
    struct session *session;    /* owns */
    const struct head *request; /* in the stream's arena; NULL between requests */
    struct deadline deadline;
    struct reap reap;
};

/* --- end of life ----------------------------------------------------------------------------- */

static void client_free(struct reap *reap)
{
    struct client *client = CONTAINER_OF(reap, struct client, reap);

    session_free(client->session);
    free(client);
}

/* The connection has gone, or goes now. */
static void client_end(struct client *client, enum reason reason)
{
    session_fail(client->session, reason); /* an open stream hears on_reset, and closes */
    deadline_deinit(&client->deadline);
    list_remove(&client->node);
    client->server->client_count--;
    loop_reap(client->server->loop, &client->reap, client_free);
}

static void client_abort(struct client *client, enum reason reason)
{
    client_end(client, reason);
    conn_abort(client->conn);
}

/* --- answering ------------------------------------------------------------------------------- */

void page_reply_add_field(struct page_reply *reply, struct str name, struct str value)
{
    ASSERT(reply->field_count < PAGE_FIELDS_MAX);
    reply->fields[reply->field_count].name = name;
    reply->fields[reply->field_count].value = value;
    reply->field_count++;
}

static void send_reply(struct stream *stream, const struct page_reply *reply)
{
    struct head head;

    head_init_response(&head, stream->arena, reply->status);
    head.content_length = (int64_t)reply->body.len;
    head_add_id(&head, HEADER_CONTENT_TYPE, reply->type);
    head_add_id(&head, HEADER_CACHE_CONTROL, STR("no-store"));
    for (size_t i = 0; i < reply->field_count; i++)
        head_add(&head, reply->fields[i].name, reply->fields[i].value);

    stream_send_head(stream, &head, MORE);
    stream_send_body(stream, (struct slice){.ptr = reply->body.ptr, .len = reply->body.len}, END);
}

static void answer_request(struct stream *stream)
{
    struct client *client = stream->arg;
    struct page_reply reply = {.status = 200, .type = STR("text/plain; charset=utf-8")};

    client->server->answer(client->server->arg, client->request, &reply);
    send_reply(stream, &reply);
    text_free(&reply.body);
    client->request = NULL;
    stream_close(stream);
}

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct client *client = stream->arg;

    client->request = head;
    if (end == END || head->upgrade.len > 0) { /* nobody here switches protocols */
        answer_request(stream);
        return;
    }
    if (head->expects_continue) {
        struct head go_on;
        head_init_response(&go_on, stream->arena, 100);
        stream_send_head(stream, &go_on, MORE);
    }
}

static void on_body(struct stream *stream, struct slice data UNUSED, enum end end)
{
    struct client *client = stream->arg;

    deadline_set(client->server->loop, &client->deadline, client->server->limits.idle_ms);
    if (end == END)
        answer_request(stream);
}

static void on_trailers(struct stream *stream, struct field *fields UNUSED, size_t count UNUSED)
{
    answer_request(stream);
}

static void on_stream_writable(struct stream *stream UNUSED)
{
    /* A reply is queued as a whole; the page is the bound. */
}

static void on_reset(struct stream *stream, enum reason reason UNUSED)
{
    struct client *client = stream->arg;

    client->request = NULL;
    stream_close(stream);
}

static const struct stream_handler stream_handler = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_writable = on_stream_writable,
    .on_reset = on_reset,
};

/* --- what the session wants ------------------------------------------------------------------ */

static void on_stream(struct session *session, struct stream *stream)
{
    stream->handler = &stream_handler;
    stream->arg = session->owner_arg;
}

static void want_write(struct session *session)
{
    struct client *client = session->owner_arg;

    conn_flush_later(client->conn);
}

static void want_input(struct session *session)
{
    struct client *client = session->owner_arg;

    conn_kick(client->conn);
}

static void set_reading(struct session *session, bool reading)
{
    struct client *client = session->owner_arg;

    if (reading)
        conn_resume(client->conn);
    else
        conn_pause(client->conn);
}

static void want_close(struct session *session, enum reason reason UNUSED)
{
    struct client *client = session->owner_arg;

    deadline_clear(&client->deadline); /* the connection has its own for last words */
    conn_close(client->conn);
}

static void on_phase(struct session *session)
{
    struct client *client = session->owner_arg;
    const struct page_limits *limits = &client->server->limits;
    uint32_t wait_ms = session->phase == SESSION_HEAD ? limits->head_ms : limits->idle_ms;

    deadline_set(client->server->loop, &client->deadline, wait_ms);
}

static const struct session_owner session_owner = {
    .on_stream = on_stream,
    .want_write = want_write,
    .want_input = want_input,
    .set_reading = set_reading,
    .want_close = want_close,
    .on_phase = on_phase,
};

static void on_deadline(struct deadline *deadline)
{
    struct client *client = CONTAINER_OF(deadline, struct client, deadline);

    switch (client->session->phase) {
    case SESSION_IDLE:
        session_expire(client->session, REASON_IDLE_TIMEOUT);
        break;
    case SESSION_HEAD:
        session_expire(client->session, REASON_HEADER_TIMEOUT);
        break;
    case SESSION_BUSY:
        client_abort(client, REASON_BODY_TIMEOUT);
        break;
    }
}

/* --- what the connection has ----------------------------------------------------------------- */

static void on_open(struct conn *conn UNUSED)
{
}

static size_t on_data(struct conn *conn, struct slice data)
{
    struct client *client = conn_arg(conn);

    return session_feed(client->session, data);
}

static void on_eof(struct conn *conn)
{
    struct client *client = conn_arg(conn);

    session_eof(client->session);
}

static void on_conn_writable(struct conn *conn)
{
    struct client *client = conn_arg(conn);

    session_drained(client->session);
}

static void on_closed(struct conn *conn, enum reason reason)
{
    client_end(conn_arg(conn), reason);
}

static const struct conn_handler conn_handler = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_writable = on_conn_writable,
    .on_closed = on_closed,
};

static void on_accepted(void *arg, int fd, const struct addr *peer UNUSED)
{
    struct page_server *server = arg;
    const struct session_limits session_limits = {
        .max_header_bytes = 32 * 1024,
        .max_header_count = 64,
        .max_line_bytes = 8 * 1024,
        .max_uri_bytes = 8 * 1024,
        .max_body_bytes = server->limits.max_body_bytes,
        .max_requests = MAX_REQUESTS,
    };

    if (server->client_count >= server->limits.max_connections) {
        close(fd);
        return;
    }
    struct client *client = mem_new(sizeof(*client));
    client->server = server;
    client->conn = conn_accepted(server->loop, fd, &conn_handler, client,
                                 (struct conn_limits){.write_ms = WRITE_MS});
    client->session = h1_server_new(&session_owner, client, conn_out(client->conn),
                                    loop_bufs(server->loop), &session_limits);
    deadline_init(&client->deadline, on_deadline);
    deadline_set(server->loop, &client->deadline, server->limits.idle_ms);
    list_push_back(&server->clients, &client->node);
    server->client_count++;
}

/* --- the server ------------------------------------------------------------------------------ */

struct page_server *page_server_new(struct loop *loop, int fd, const struct page_limits *limits,
                                    page_answer *answer, void *arg)
{
    struct page_server *server = mem_new(sizeof(*server));

    server->loop = loop;
    server->limits = *limits;
    server->answer = answer;
    server->arg = arg;
    list_init(&server->clients);
    server->listener = listener_start(loop, fd, on_accepted, server, NULL);
    return server;
}

void page_server_free(struct page_server *server)
{
    if (server == NULL)
        return;
    listener_stop(server->listener);
    LIST_EACH(node, &server->clients)
    client_abort(CONTAINER_OF(node, struct client, node), REASON_DRAINING);
    free(server);
}
