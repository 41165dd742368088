/* The process: a control thread (the caller of server_run), its workers, and the threads for jobs
 * and logs. It starts, reloads on SIGHUP, drains on SIGTERM or SIGINT, and stops. Workers move
 * bytes; the control thread does the rest: signals, DNS, the admin port.
 *
 *     struct server *server = server_new(&options);
 *     int code = server_start(server) < 0 ? 1 : server_run(server);
 *     server_free(server);
 */
#pragma once

#include "base/addr.h"
#include "net/loop.h"
#include "observe/metrics.h"
#include "server/snapshot.h"

struct server;

struct server_options {
    snapshot_source *source; /* asked at the start, and at each reload on the job thread */
    void *source_arg;
    unsigned workers; /* 0: as configured */
    /* Does a SIGHUP that came mean "end" instead of "reload"? NULL: never. */
    bool (*hangup_is_end)(void *arg);
    void *hangup_arg;
    /* Called when the server begins to serve; may be NULL. Control thread. */
    void (*ready)(void *arg);
    void *ready_arg;
    /* Called with every access log entry, whether it is logged or not; may be NULL. Log thread. */
    void (*watch)(void *arg, const struct access_entry *entry);
    void *watch_arg;
};

/* Blocks the signals that the control thread will read, so it must come before any other thread. */
struct server *server_new(const struct server_options *options);

/* Loads, checks, opens and starts everything. On failure every reason was written to standard
 * error, and server_free closes what is open. */
MUST_USE int server_start(struct server *server);

/* Serves until a signal or server_stop has ended it. Returns the exit code of the process. */
int server_run(struct server *server);

/* What SIGTERM does: once drains, twice ends at once. Control thread. */
void server_stop(struct server *server);

void server_free(struct server *server);

/* --- for the caller of server_run: control thread --------------------------------------------- */

struct loop *server_loop(struct server *server);
bool server_is_ready(const struct server *server);

/* Where the first address of a listener is bound, with its real port; NULL when there is none. */
const struct addr *server_listener_address(const struct server *server, struct str name);
const struct addr *server_admin_address(const struct server *server); /* NULL: no admin port */
