/* A small HTTP/1.1 server: the admin port, and the backends of the demo. A page is a text that
 * is complete when the answer function returns, or a body that is made in pieces as the client
 * reads it. Plain TCP or unix sockets, keep-alive, one request at a time on each connection. The
 * body of a request is read and discarded. Everything runs on the thread of the loop that is
 * given. */
#pragma once

#include "base/addr.h"
#include "http/head.h"
#include "net/loop.h"
#include "observe/metrics.h"

struct page_server;

struct page_limits {
    uint32_t max_connections; /* more are closed at once */
    uint64_t max_body_bytes;  /* of a request; 0: none */
    uint32_t head_ms;         /* from a request's first byte to the end of its head */
    uint32_t idle_ms;         /* between requests, and for a body or a response without progress */
};

/* A body that is made in pieces; its owner embeds it. The next piece is asked for when the
 * client has read enough of the ones before, so a client holds the memory of one piece and one
 * write queue. */
struct page_body {
    const struct page_body_ops *ops;
    struct page_client *client; /* set by the server; NULL before the answer was sent */
};

enum page_next {
    PAGE_MORE, /* there is more to make */
    PAGE_WAIT, /* nothing to add now: page_body_wake says when there is */
    PAGE_END,  /* this piece is the last one */
};

struct page_body_ops {
    /* Adds a piece to `out`, which comes empty. The piece may be empty. */
    enum page_next (*next)(struct page_body *body, struct text *out);
    /* The body was sent, or its client has closed the connection. */
    void (*free)(struct page_body *body);
};

/* After PAGE_WAIT: asks for the next piece. It may call `next` and `free` before it returns. */
void page_body_wake(struct page_body *body);

enum { PAGE_FIELDS_MAX = 4 };

struct page_reply {
    int status;
    struct str type;          /* Content-Type; borrows */
    struct text body;         /* freed by the server */
    struct page_body *stream; /* instead of `body`, or NULL; freed by the server */
    struct {
        struct str name, value; /* borrow: valid until the reply was sent */
    } fields[PAGE_FIELDS_MAX];
    size_t field_count;
};

void page_reply_add_field(struct page_reply *reply, struct str name, struct str value);

/* Fills `reply`, which comes as an empty 200 of type text/plain. `request` is valid during the
 * call. */
typedef void page_answer(void *arg, const struct head *request, struct page_reply *reply);

/* Serves on `fd`, a listening socket (listener_open), which it owns from now on. */
struct page_server *page_server_new(struct loop *loop, int fd, const struct page_limits *limits,
                                    page_answer *answer, void *arg);

/* Stops listening and closes every connection at once. */
void page_server_free(struct page_server *server);
