/* The admin port: metrics, health, readiness and the configuration in force. Its pages are
 * routes in one table. It runs on the control thread's loop. What it needs from the rooms above
 * is passed to it as callbacks. */
#pragma once

#include "admin/pages.h"
#include "base/err.h"

struct admin_source {
    void *arg; /* given to each callback; all of them are called on the control thread */

    /* The counters of all workers; the array is borrowed until the next call. */
    struct metrics *const *(*metrics)(void *arg, size_t *count);

    /* Adds the metrics that only the room above knows. */
    void (*print_metrics)(void *arg, struct text *out);

    /* Does weir accept new traffic? `*words` is the reason when not, or "ready". */
    bool (*is_ready)(void *arg, const char **words);

    /* Is this name (canonical) allowed as Host? localhost and IP addresses always are. */
    bool (*is_our_name)(void *arg, struct str host);

    /* Adds one JSON object: version, load time, result of the last reload. */
    void (*print_config_status)(void *arg, struct text *out);
};

enum { ADMIN_MAX_CONNECTIONS = 64 }; /* of each address */

struct admin;

/* What a route may do. A page of SCOPE_READ changes nothing; all routes are of this scope today. */
enum admin_scope { SCOPE_READ, SCOPE_CHANGE };

/* A page. All texts are static. A route for GET also answers HEAD. */
struct admin_route {
    struct str path;
    enum method method;
    enum admin_scope scope;
    /* Fills the reply; `arg` is the route's. See page_answer. */
    void (*answer)(void *arg, const struct head *request, struct page_reply *reply);
    void *arg;
    struct str help; /* one line, for the list of pages */
};

/* Adds a route; `route` is copied. Two routes cannot have the same path and method. */
void admin_register(struct admin *admin, const struct admin_route *route);

/* Has the routes that need nothing but `source`, which is copied. It listens nowhere yet. */
struct admin *admin_new(struct loop *loop, const struct admin_source *source);
void admin_free(struct admin *admin);

/* Serves on `fd`, which listens on `bound` and is owned from now on. */
void admin_open(struct admin *admin, int fd, const struct addr *bound);

/* Stops to serve on `bound` and closes its connections. */
void admin_close(struct admin *admin, const struct addr *bound);

/* The answer to one request, for admin itself and for tests: 403 for a foreign Host, 404 for a
 * path without a route, and 405 with Allow for a method that the path does not have. `bound` is
 * the address that the client connected to. */
void admin_answer(struct admin *admin, const struct addr *bound, const struct head *request,
                  struct page_reply *reply);
