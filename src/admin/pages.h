/* A small HTTP/1.1 server for pages that are made at once: the admin port, and the backends of the
 * demo. Plain TCP or unix sockets, keep-alive, one request at a time on each connection; a
 * request's body is read and thrown away. Everything on the thread of the loop that is given. */
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
    uint32_t idle_ms; /* between requests, and for a body or a response that does not move */
};

enum { PAGE_FIELDS_MAX = 4 };

struct page_reply {
    int status;
    struct str type;  /* Content-Type; borrows */
    struct text body; /* freed by the server */
    struct {
        struct str name,
            value; /* borrow: alive until the answer function has returned, and literal */
    } fields[PAGE_FIELDS_MAX];
    size_t field_count;
};

void page_reply_add_field(struct page_reply *reply, struct str name, struct str value);

/* Fills `reply`, which comes as an empty 200 of type text/plain. `request` is valid for the
 * call. */
typedef void page_answer(void *arg, const struct head *request, struct page_reply *reply);

/* Serves on `fd`, a listening socket (listener_open), owned from now on. */
struct page_server *page_server_new(struct loop *loop, int fd, const struct page_limits *limits,
                                    page_answer *answer, void *arg);

/* Stops listening and closes every connection at once. */
void page_server_free(struct page_server *server);
