/* See demo_backends.h. Sockets are opened by the caller's thread, so that the ports are known; the
 * pages are served by the backends' own. */
#include "cli/demo/demo_backends.h"

#include "admin/pages.h"
#include "net/listener.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct backend {
    const char *name; /* borrows */
    int fd;           /* owns until the thread takes it */
    uint16_t port;
    struct page_server *pages; /* owns */
};

struct demo_backends {
    struct backend *items; /* owns */
    unsigned count;
    struct loop *loop;   /* owns */
    struct wakeup *stop; /* owns */
    pthread_t thread;
};

/* --- pages ----------------------------------------------------------------------------------- */

/* What a reader wants to see of what weir did to the request. */
static const enum header_id shown[] = {
    HEADER_X_FORWARDED_FOR,
    HEADER_X_FORWARDED_PROTO,
    HEADER_X_CLIENT_IP,
    HEADER_X_REQUEST_ID,
    HEADER_VIA,
    HEADER_X_WIKIMEDIA_DEBUG,
    HEADER_COOKIE,
    HEADER_USER_AGENT,
};

static void text_page(struct text *out, const char *name, const struct head *request)
{
    text_add(out, "%s answered\n  %.*s %.*s\n  host: %.*s\n", name, STR_FMT(request->method_text),
             STR_FMT(request->path), STR_FMT(request->authority));
    for (unsigned i = 0; i < ARRAY_LEN(shown); i++) {
        const struct field *field = head_find(request, shown[i]);
        if (field != NULL)
            text_add(out, "  %.*s: %.*s\n", STR_FMT(header_name(shown[i])), STR_FMT(field->value));
    }
}

static void add_escaped(struct text *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '<':
            text_add_str(out, STR("&lt;"));
            break;
        case '&':
            text_add_str(out, STR("&amp;"));
            break;
        case '"':
            text_add_str(out, STR("&quot;"));
            break;
        default:
            text_add_str(out, str_make(s.ptr + i, 1));
            break;
        }
    }
}

static void html_page(struct text *out, const char *name, const struct head *request)
{
    struct text plain = {0};
    struct str title, rest;

    text_page(&plain, name, request);
    (void)str_cut(str_make(plain.ptr, plain.len), '\n', &title, &rest);
    text_add(out,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n"
             "<style>body{font-family:sans-serif;max-width:44em;margin:3em auto}"
             "pre{background:#f3f3f3;padding:1em}</style></head>\n<body><h1>%.*s</h1>\n<pre>",
             name, STR_FMT(title));
    add_escaped(out, rest);
    text_add_str(out, STR("</pre>\n<p>A page of weir demo.</p></body></html>\n"));
    text_free(&plain);
}

static void answer(void *arg, const struct head *request, struct page_reply *reply)
{
    const struct backend *backend = arg;

    if (str_find(head_value(request, HEADER_ACCEPT), STR("text/html")) >= 0) {
        reply->type = STR("text/html; charset=utf-8");
        html_page(&reply->body, backend->name, request);
    } else {
        text_page(&reply->body, backend->name, request);
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

static void *serve(void *arg)
{
    static const struct page_limits limits = {
        .max_connections = 4096, .max_body_bytes = 0, .head_ms = 30 * 1000, .idle_ms = 120 * 1000};
    struct demo_backends *backends = arg;

    for (unsigned i = 0; i < backends->count; i++) {
        struct backend *backend = &backends->items[i];
        backend->pages = page_server_new(backends->loop, backend->fd, &limits, answer, backend);
        backend->fd = -1;
    }
    loop_run(backends->loop);
    for (unsigned i = 0; i < backends->count; i++)
        page_server_free(backends->items[i].pages);
    return NULL;
}

static void on_stop(void *arg)
{
    loop_stop(arg);
}

/* --- start and stop -------------------------------------------------------------------------- */

static int open_sockets(struct demo_backends *backends, const char *const *names, struct err *err)
{
    struct addr any, bound;

    if (addr_parse(STR("127.0.0.1:0"), &any) < 0)
        UNREACHABLE("a literal address");
    for (unsigned i = 0; i < backends->count; i++) {
        struct backend *backend = &backends->items[i];
        backend->name = names[i];
        backend->fd = listener_open(&any, err);
        bound.len = sizeof(bound.un);
        if (backend->fd < 0)
            return -1;
        if (getsockname(backend->fd, &bound.sa, &bound.len) < 0)
            return err_set_errno(err, "getsockname");
        backend->port = addr_port(&bound);
    }
    return 0;
}

static void backends_free(struct demo_backends *backends)
{
    for (unsigned i = 0; i < backends->count; i++) {
        if (backends->items[i].fd >= 0)
            close(backends->items[i].fd);
    }
    wakeup_free(backends->stop);
    loop_free(backends->loop);
    free(backends->items);
    free(backends);
}

struct demo_backends *demo_backends_start(const char *const *names, unsigned count, struct err *err)
{
    struct demo_backends *backends = mem_new(sizeof(*backends));

    backends->items = mem_new(count * sizeof(backends->items[0]));
    backends->count = count;
    for (unsigned i = 0; i < count; i++)
        backends->items[i].fd = -1;
    backends->loop = loop_new();
    backends->stop = wakeup_new(backends->loop, on_stop, backends->loop);
    if (open_sockets(backends, names, err) < 0)
        goto fail;
    errno = pthread_create(&backends->thread, NULL, serve, backends);
    if (errno != 0) {
        err_set_errno(err, "cannot start the backends");
        goto fail;
    }
    return backends;

fail:
    backends_free(backends);
    return NULL;
}

uint16_t demo_backends_port(const struct demo_backends *backends, unsigned index)
{
    return backends->items[index].port;
}

void demo_backends_stop(struct demo_backends *backends)
{
    if (backends == NULL)
        return;
    wakeup_send(backends->stop);
    pthread_join(backends->thread, NULL);
    backends_free(backends);
}
