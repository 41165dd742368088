/* See pages.h. A client is a connection with its HTTP/1 session and the current request.
 * Callbacks of the connection are passed on to the session, and the session asks the connection
 * to write, read and close. A body in pieces is made while the write queue has room: see pump. */
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

struct page_client {
    struct list node;
    struct page_server *server; /* borrows */
    struct conn *conn;          /* owns */
    struct session *session;    /* owns */
    const struct head *request; /* in the stream's arena; NULL between requests */
    struct stream *stream;      /* borrows; while `body` is sent */
    struct page_body *body;     /* owns; NULL unless a body in pieces is sent */
    struct text piece;          /* the last piece */
    struct deadline deadline;
    struct reap reap;
};

/* --- end of life ----------------------------------------------------------------------------- */

static void client_free(struct reap *reap)
{
    struct page_client *client = CONTAINER_OF(reap, struct page_client, reap);

    session_free(client->session);
    text_free(&client->piece);
    free(client);
}

static void free_body(struct page_client *client)
{
    struct page_body *body = client->body;

    client->body = NULL;
    client->stream = NULL;
    if (body != NULL)
        body->ops->free(body);
}

/* The connection closed, or closes now. */
static void client_end(struct page_client *client, enum reason reason)
{
    session_fail(client->session, reason); /* resets an open stream, which frees the body */
    free_body(client);
    deadline_deinit(&client->deadline);
    list_remove(&client->node);
    client->server->client_count--;
    loop_reap(client->server->loop, &client->reap, client_free);
}

static void client_abort(struct page_client *client, enum reason reason)
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
    head.content_length = reply->stream != NULL ? CONTENT_LENGTH_NONE : (int64_t)reply->body.len;
    head_add_id(&head, HEADER_CONTENT_TYPE, reply->type);
    head_add_id(&head, HEADER_CACHE_CONTROL, STR("no-store"));
    for (size_t i = 0; i < reply->field_count; i++)
        head_add(&head, reply->fields[i].name, reply->fields[i].value);

    stream_send_head(stream, &head, MORE);
    if (reply->stream == NULL)
        stream_send_body(stream, (struct slice){.ptr = reply->body.ptr, .len = reply->body.len},
                         END);
}

/* Makes and sends pieces until the write queue is full, the body has nothing to add now, or it
 * ends. */
static void pump(struct page_client *client)
{
    while (client->body != NULL) {
        client->piece.len = 0;
        enum page_next next = client->body->ops->next(client->body, &client->piece);
        struct slice piece = {.ptr = client->piece.ptr, .len = client->piece.len};

        if (next == PAGE_END) {
            struct stream *stream = client->stream;
            free_body(client);
            stream_send_body(stream, piece, END);
            stream_close(stream);
            return;
        }
        /* A body that waits has no deadline. The connection still limits the time of a write. */
        if (next == PAGE_WAIT)
            deadline_clear(&client->deadline);
        else
            deadline_set(client->server->loop, &client->deadline, client->server->limits.idle_ms);
        if (piece.len > 0 && stream_send_body(client->stream, piece, MORE) == STREAM_FULL)
            return;
        if (next == PAGE_WAIT)
            return;
    }
}

void page_body_wake(struct page_body *body)
{
    if (body->client != NULL && body->client->body == body)
        pump(body->client);
}

/* HEAD gets the head alone, however long the body would be. */
static void start_body(struct page_client *client, struct stream *stream, struct page_body *body)
{
    client->stream = stream;
    client->body = body;
    body->client = client;
    if (client->request->method == METHOD_HEAD) {
        free_body(client);
        stream_send_body(stream, (struct slice){0}, END);
        stream_close(stream);
    } else {
        pump(client);
    }
}

static void answer_request(struct stream *stream)
{
    struct page_client *client = stream->arg;
    struct page_reply reply = {.status = 200, .type = STR("text/plain; charset=utf-8")};

    client->server->answer(client->server->arg, client->request, &reply);
    send_reply(stream, &reply);
    text_free(&reply.body);
    if (reply.stream != NULL) {
        start_body(client, stream, reply.stream);
        client->request = NULL;
    } else {
        client->request = NULL;
        stream_close(stream);
    }
}

static void on_head(struct stream *stream, struct head *head, enum end end)
{
    struct page_client *client = stream->arg;

    client->request = head;
    if (end == END || head->upgrade.len > 0) { /* Upgrade is not supported */
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
    struct page_client *client = stream->arg;

    deadline_set(client->server->loop, &client->deadline, client->server->limits.idle_ms);
    if (end == END)
        answer_request(stream);
}

static void on_trailers(struct stream *stream, struct field *fields UNUSED, size_t count UNUSED)
{
    answer_request(stream);
}

static void on_stream_writable(struct stream *stream)
{
    struct page_client *client = stream->arg;

    pump(client); /* a reply that was complete at once is in the queue as a whole */
}

static void on_reset(struct stream *stream, enum reason reason UNUSED)
{
    struct page_client *client = stream->arg;

    client->request = NULL;
    free_body(client);
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
    struct page_client *client = session->owner_arg;

    conn_flush_later(client->conn);
}

static void want_input(struct session *session)
{
    struct page_client *client = session->owner_arg;

    conn_kick(client->conn);
}

static void set_reading(struct session *session, bool reading)
{
    struct page_client *client = session->owner_arg;

    if (reading)
        conn_resume(client->conn);
    else
        conn_pause(client->conn);
}

static void want_close(struct session *session, enum reason reason UNUSED)
{
    struct page_client *client = session->owner_arg;

    deadline_clear(&client->deadline); /* the connection has its own for last words */
    conn_close(client->conn);
}

static void on_phase(struct session *session)
{
    struct page_client *client = session->owner_arg;
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
    struct page_client *client = CONTAINER_OF(deadline, struct page_client, deadline);

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
    struct page_client *client = conn_arg(conn);

    return session_feed(client->session, data);
}

static void on_eof(struct conn *conn)
{
    struct page_client *client = conn_arg(conn);

    session_eof(client->session);
}

static void on_conn_writable(struct conn *conn)
{
    struct page_client *client = conn_arg(conn);

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
    struct page_client *client = mem_new(sizeof(*client));
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
    client_abort(CONTAINER_OF(node, struct page_client, node), REASON_DRAINING);
    free(server);
}
