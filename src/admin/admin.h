/* The admin port: metrics, health, readiness and what configuration is running. It reads everything
 * and changes nothing. On the control thread's loop; what it needs from above is handed over as
 * callbacks. */
#pragma once

#include "admin/pages.h"
#include "base/err.h"

struct admin_source {
    void *arg; /* given to each callback; all of them are called on the control thread */

    /* The counters of all workers; the array is borrowed until the next call. */
    struct metrics *const *(*metrics)(void *arg, size_t *count);

    /* More samples for the metrics page: what only the room above knows. */
    void (*print_metrics)(void *arg, struct text *out);

    /* May new traffic come? `*words` says why not, or "ready". */
    bool (*is_ready)(void *arg, const char **words);

    /* May clients call us by this name (canonical), besides localhost and IP addresses? */
    bool (*is_our_name)(void *arg, struct str host);

    /* Adds one JSON object: version, load time, what the last reload said. */
    void (*print_config_status)(void *arg, struct text *out);
};

enum { ADMIN_MAX_CONNECTIONS = 64 }; /* of each address */

struct admin;

/* Serves nowhere yet; `source` is copied. */
struct admin *admin_new(struct loop *loop, const struct admin_source *source);
void admin_free(struct admin *admin);

/* Serves on `fd` (owned from now on), which listens on `bound`; … and stops that, closing its
 * connections. */
void admin_open(struct admin *admin, int fd, const struct addr *bound);
void admin_close(struct admin *admin, const struct addr *bound);

/* The answer to one request; for admin itself and for tests. `bound` is the address listened on. */
void admin_answer(const struct admin_source *source, const struct addr *bound,
                  const struct head *request, struct page_reply *reply);
