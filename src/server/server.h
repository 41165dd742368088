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
#include "server/options.h"

struct server;

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
