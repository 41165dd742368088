/* Which path gets which page, and who may ask. A web page somewhere can make its reader's browser
 * send requests to 127.0.0.1 under a name of its own (DNS rebinding): so a Host that is a foreign
 * name is refused, and nothing here changes anything. */
#include "admin/admin.h"

#include "observe/process.h"
#include "route/route.h"

#include <stdlib.h>

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
};

/* --- pages ----------------------------------------------------------------------------------- */

static void metrics_page(const struct admin_source *source, struct page_reply *reply)
{
    size_t count;
    struct metrics *const *workers = source->metrics(source->arg, &count);

    reply->type = STR("text/plain; version=0.0.4; charset=utf-8");
    text_add_metric(&reply->body, METRIC_BUILD_INFO);
    text_add_sample(&reply->body, METRIC_BUILD_INFO, &STR(WEIR_VERSION), 1);
    metrics_print(workers, count, &reply->body);
    source->print_metrics(source->arg, &reply->body);
    process_metrics_print(&reply->body);
}

static void health_page(const struct admin_source *source UNUSED, struct page_reply *reply)
{
    text_add_str(&reply->body, STR("OK\n"));
}

static void ready_page(const struct admin_source *source, struct page_reply *reply)
{
    const char *words;

    if (!source->is_ready(source->arg, &words))
        reply->status = 503;
    text_add(&reply->body, "%s\n", words);
}

static void config_page(const struct admin_source *source, struct page_reply *reply)
{
    reply->type = STR("application/json");
    source->print_config_status(source->arg, &reply->body);
}

static void index_page(const struct admin_source *source, struct page_reply *reply);

static const struct {
    struct str path, about;
    void (*page)(const struct admin_source *source, struct page_reply *reply);
} pages[] = {
    {STR_INIT("/"), STR_INIT("this list"), index_page},
    {STR_INIT("/healthz"), STR_INIT("200 while the process runs"), health_page},
    {STR_INIT("/ready"), STR_INIT("200 while new traffic may come, else 503 and why"), ready_page},
    {STR_INIT("/metrics"), STR_INIT("counters in Prometheus text format"), metrics_page},
    {STR_INIT("/stats/prometheus"), STR_INIT("the same"), metrics_page},
    {STR_INIT("/config/status"), STR_INIT("which configuration runs, and how the last reload went"),
     config_page},
};

static void index_page(const struct admin_source *source UNUSED, struct page_reply *reply)
{
    text_add_str(&reply->body, STR("weir " WEIR_VERSION "\n\n"));
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        text_add(&reply->body, "%-20s %s\n", pages[i].path.ptr, pages[i].about.ptr);
}

/* --- who may ask ----------------------------------------------------------------------------- */

/* Is the name that the client used one that no stranger's DNS can have pointed here? */
static bool is_own_host(const struct admin_source *source, const struct addr *bound,
                        const struct head *request)
{
    char canonical[256];
    struct str host;
    struct addr addr;

    if (addr_is_unix(bound))
        return true; /* no browser can be made to connect to it */
    if (request->authority.len == 0)
        return request->version == HTTP_1_0; /* a plain probe; browsers always name the host */
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

void admin_answer(const struct admin_source *source, const struct addr *bound,
                  const struct head *request, struct page_reply *reply)
{
    if (!is_own_host(source, bound, request)) {
        refuse(reply, 403,
               "this Host is not served here: use an IP address, localhost or one of admin.hosts");
        return;
    }
    if (request->method != METHOD_GET && request->method != METHOD_HEAD) {
        page_reply_add_field(reply, STR("allow"), STR("GET, HEAD"));
        refuse(reply, 405, "only GET is answered here: this port changes nothing");
        return;
    }
    struct str path = path_without_query(request->path);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (str_eq(pages[i].path, path)) {
            pages[i].page(source, reply);
            return;
        }
    }
    refuse(reply, 404, "no such page; / lists them");
}

static void answer(void *arg, const struct head *request, struct page_reply *reply)
{
    const struct admin_door *door = arg;

    admin_answer(&door->admin->source, &door->bound, request, reply);
}

/* --- life ------------------------------------------------------------------------------------ */

struct admin *admin_new(struct loop *loop, const struct admin_source *source)
{
    struct admin *admin = mem_new(sizeof(*admin));

    admin->loop = loop;
    admin->source = *source;
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
    free(admin);
}
