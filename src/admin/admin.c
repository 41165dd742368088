/* Routes, and who may ask for them. A web page can make its reader's browser send requests to
 * 127.0.0.1 under a host name of its own (DNS rebinding). Therefore a Host that is an unknown
 * name is refused. */
#include "admin/admin.h"

#include "observe/process.h"
#include "route/route.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALLOW_MAX = 64 };

/* One address that it serves on. */
struct admin_door {
    struct admin_door *next;
    struct admin *admin;       /* borrows */
    struct page_server *pages; /* owns */
    struct addr bound;
};

struct admin {
    struct loop *loop; /* borrows */
    struct admin_source source;
    struct admin_door *doors; /* owns */
    struct route {
        struct admin_route route;
        char allow[ALLOW_MAX]; /* the methods of the path, for a 405 */
    } * routes;                /* owns; in the order of the list of pages */
    size_t route_count;
};

/* --- metrics --------------------------------------------------------------------------------- */

/* The page is made in pieces, because it grows with the number of groups. */
struct metrics_body {
    struct page_body body;
    const struct admin_source *source; /* borrows */
    struct metrics_page page;
    bool has_begun;
};

static struct metrics_body *metrics_body_of(struct page_body *body)
{
    return CONTAINER_OF(body, struct metrics_body, body);
}

static enum page_next metrics_next(struct page_body *body, struct text *out)
{
    struct metrics_body *metrics = metrics_body_of(body);
    const struct admin_source *source = metrics->source;

    if (!metrics->has_begun) {
        size_t count;
        struct metrics *const *workers = source->metrics(source->arg, &count);
        metrics->has_begun = true;
        text_add_metric(out, METRIC_BUILD_INFO);
        text_add_sample(out, METRIC_BUILD_INFO, &STR(WEIR_VERSION), 1);
        metrics_page_begin(&metrics->page, workers, count, out);
        return PAGE_MORE;
    }
    if (metrics_page_next(&metrics->page, out))
        return PAGE_MORE;
    source->print_metrics(source->arg, out);
    process_metrics_print(out);
    return PAGE_END;
}

static void metrics_free_body(struct page_body *body)
{
    struct metrics_body *metrics = metrics_body_of(body);

    metrics_page_deinit(&metrics->page);
    free(metrics);
}

static void metrics_page(void *arg, const struct head *request UNUSED, struct page_reply *reply)
{
    static const struct page_body_ops ops = {.next = metrics_next, .free = metrics_free_body};
    struct admin *admin = arg;
    struct metrics_body *metrics = mem_new(sizeof(*metrics));

    metrics->body.ops = &ops;
    metrics->source = &admin->source;
    metrics_page_init(&metrics->page);
    reply->type = STR("text/plain; version=0.0.4; charset=utf-8");
    reply->stream = &metrics->body;
}

/* --- other pages ----------------------------------------------------------------------------- */

static void health_page(void *arg UNUSED, const struct head *request UNUSED,
                        struct page_reply *reply)
{
    text_add_str(&reply->body, STR("OK\n"));
}

static void ready_page(void *arg, const struct head *request UNUSED, struct page_reply *reply)
{
    const struct admin *admin = arg;
    const char *words;

    if (!admin->source.is_ready(admin->source.arg, &words))
        reply->status = 503;
    text_add(&reply->body, "%s\n", words);
}

static void config_page(void *arg, const struct head *request UNUSED, struct page_reply *reply)
{
    const struct admin *admin = arg;

    reply->type = STR("application/json");
    admin->source.print_config_status(admin->source.arg, &reply->body);
}

static void index_page(void *arg, const struct head *request UNUSED, struct page_reply *reply)
{
    const struct admin *admin = arg;

    text_add_str(&reply->body, STR("weir " WEIR_VERSION "\n\n"));
    for (size_t i = 0; i < admin->route_count; i++) {
        const struct admin_route *route = &admin->routes[i].route;
        text_add(&reply->body, "%-20.*s %.*s\n", STR_FMT(route->path), STR_FMT(route->help));
    }
}

/* --- routes ---------------------------------------------------------------------------------- */

/* The routes that every admin port has; `arg` is the admin. */
static const struct admin_route own_routes[] = {
    {STR_INIT("/"), METHOD_GET, SCOPE_READ, index_page, NULL, STR_INIT("this list")},
    {STR_INIT("/healthz"), METHOD_GET, SCOPE_READ, health_page, NULL,
     STR_INIT("200 while the process runs")},
    {STR_INIT("/ready"), METHOD_GET, SCOPE_READ, ready_page, NULL,
     STR_INIT("200 while weir accepts new traffic, otherwise 503 and the reason")},
    {STR_INIT("/metrics"), METHOD_GET, SCOPE_READ, metrics_page, NULL,
     STR_INIT("metrics in Prometheus text format")},
    {STR_INIT("/stats/prometheus"), METHOD_GET, SCOPE_READ, metrics_page, NULL,
     STR_INIT("the same as /metrics")},
    {STR_INIT("/config/status"), METHOD_GET, SCOPE_READ, config_page, NULL,
     STR_INIT("the configuration in force, and the result of the last reload")},
};

static const char *allow_word(enum method method)
{
    switch (method) {
    case METHOD_GET:
        return "GET, HEAD";
    case METHOD_POST:
        return "POST";
    case METHOD_PUT:
        return "PUT";
    case METHOD_DELETE:
        return "DELETE";
    case METHOD_OTHER:
    case METHOD_HEAD:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
    case METHOD_PATCH:
    case METHOD_PURGE:
    case METHOD_CONNECT:
        break;
    }
    UNREACHABLE("a route has no such method");
}

static void list_methods(const struct admin *admin, struct route *of)
{
    size_t len = 0;

    for (size_t i = 0; i < admin->route_count; i++) {
        const struct admin_route *route = &admin->routes[i].route;
        if (!str_eq(route->path, of->route.path))
            continue;
        len += (size_t)snprintf(of->allow + len, sizeof(of->allow) - len, "%s%s",
                                len > 0 ? ", " : "", allow_word(route->method));
        ASSERT(len < sizeof(of->allow));
    }
}

void admin_register(struct admin *admin, const struct admin_route *route)
{
    for (size_t i = 0; i < admin->route_count; i++)
        ASSERT(admin->routes[i].route.method != route->method ||
               !str_eq(admin->routes[i].route.path, route->path));
    admin->routes = mem_resize(admin->routes, (admin->route_count + 1) * sizeof(admin->routes[0]));
    admin->routes[admin->route_count++] = (struct route){.route = *route};
    for (size_t i = 0; i < admin->route_count; i++)
        list_methods(admin, &admin->routes[i]);
}

/* --- who may ask ----------------------------------------------------------------------------- */

/* Is the Host a name that a foreign DNS server cannot point here? */
static bool is_own_host(const struct admin_source *source, const struct addr *bound,
                        const struct head *request)
{
    char canonical[256];
    struct str host;
    struct addr addr;

    if (addr_is_unix(bound))
        return true; /* browsers do not connect to unix sockets */
    if (request->authority.len == 0)
        return request->version == HTTP_1_0; /* a simple probe; browsers always send Host */
    if (host_canonical(request->authority, canonical, sizeof(canonical), &host) < 0)
        return false;
    return str_eq(host, STR("localhost")) || addr_parse_ip(host, 0, &addr) == 0 ||
           source->is_our_name(source->arg, host);
}

static void refuse(struct page_reply *reply, int status, const char *words)
{
    reply->status = status;
    text_add(&reply->body, "%s\n", words);
}

static struct str path_without_query(struct str target)
{
    struct str path, query;

    (void)str_cut(target, '?', &path, &query);
    return path;
}

static bool has_method(const struct admin_route *route, enum method method)
{
    return route->method == method || (route->method == METHOD_GET && method == METHOD_HEAD);
}

void admin_answer(struct admin *admin, const struct addr *bound, const struct head *request,
                  struct page_reply *reply)
{
    struct str path = path_without_query(request->path);
    const struct route *same_path = NULL;

    if (!is_own_host(&admin->source, bound, request)) {
        refuse(reply, 403,
               "this Host is not served here: use an IP address, localhost or one of admin.hosts");
        return;
    }
    for (size_t i = 0; i < admin->route_count; i++) {
        const struct admin_route *route = &admin->routes[i].route;
        if (!str_eq(route->path, path))
            continue;
        if (has_method(route, request->method)) {
            route->answer(route->arg, request, reply);
            return;
        }
        same_path = &admin->routes[i];
    }
    if (same_path == NULL) {
        refuse(reply, 404, "no such page; / lists the pages");
        return;
    }
    page_reply_add_field(reply, STR("allow"), str_of(same_path->allow));
    refuse(reply, 405, "this page does not have this method");
}

static void answer(void *arg, const struct head *request, struct page_reply *reply)
{
    const struct admin_door *door = arg;

    admin_answer(door->admin, &door->bound, request, reply);
}

/* --- life ------------------------------------------------------------------------------------ */

struct admin *admin_new(struct loop *loop, const struct admin_source *source)
{
    struct admin *admin = mem_new(sizeof(*admin));

    admin->loop = loop;
    admin->source = *source;
    for (size_t i = 0; i < ARRAY_LEN(own_routes); i++) {
        struct admin_route route = own_routes[i];
        route.arg = admin;
        admin_register(admin, &route);
    }
    return admin;
}

void admin_open(struct admin *admin, int fd, const struct addr *bound)
{
    static const struct page_limits limits = {.max_connections = ADMIN_MAX_CONNECTIONS,
                                              .max_body_bytes = 64 * 1024,
                                              .head_ms = 10 * 1000,
                                              .idle_ms = 60 * 1000};
    struct admin_door *door = mem_new(sizeof(*door));

    door->admin = admin;
    door->bound = *bound;
    door->pages = page_server_new(admin->loop, fd, &limits, answer, door);
    door->next = admin->doors;
    admin->doors = door;
}

static void close_first(struct admin_door **at)
{
    struct admin_door *door = *at;

    *at = door->next;
    page_server_free(door->pages);
    free(door);
}

void admin_close(struct admin *admin, const struct addr *bound)
{
    for (struct admin_door **at = &admin->doors; *at != NULL; at = &(*at)->next) {
        if (addr_eq(&(*at)->bound, bound)) {
            close_first(at);
            return;
        }
    }
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    while (admin->doors != NULL)
        close_first(&admin->doors);
    free(admin->routes);
    free(admin);
}
