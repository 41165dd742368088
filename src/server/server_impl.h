/* The server's parts; for server/ alone. Everything on the control thread. */
#pragma once

#include "admin/admin.h"
#include "server/jobs.h"
#include "server/overload.h"
#include "server/server.h"
#include "server/trim.h"
#include "server/worker.h"

enum server_state {
    SERVER_NEW,       /* nothing runs */
    SERVER_RESOLVING, /* workers wait: sockets are open, names get their first answers */
    SERVER_RUNNING,
    SERVER_GRACE,    /* /ready says no, connections are still accepted */
    SERVER_DRAINING, /* what is in flight finishes */
    SERVER_STOPPED,
};

/* A configuration on its way in: checked, sockets open, waiting for its names to resolve. */
struct reload {
    struct snapshot *snapshot;    /* owns */
    struct binds *binds;          /* owns */
    struct access_writer *writer; /* owns; NULL when it stays */
};

/* What the admin port tells about the last reload (the start counts as one). */
struct reload_result {
    bool successful;
    int64_t at_wall_us;
    struct text complaints, warnings; /* own: one line each */
    uint64_t count, failures;
};

struct server {
    struct server_options options;
    enum server_state state;
    struct loop *loop; /* owns */

    struct snapshot *snapshot; /* owns a reference: the one in force */
    struct binds *binds;       /* owns */
    struct worker **workers;   /* owns */
    size_t worker_count;
    struct quotas *quotas; /* owns: shared by all workers */
    struct overload overload;
    struct overload_facts overload_facts; /* at the last tick, for the metrics */
    struct ticker *overload_ticker;
    struct ticker *expiry_ticker;
    int64_t expiries_told_s; /* certificates that ended until then were told; 0: none yet */
    struct trim trim;
    uint64_t memory_limit;    /* the cgroup's; 0: none */
    struct metrics **metrics; /* owns the array: the workers' counters */

    struct tls_tickets *tickets;  /* owns */
    struct tls_helpers *helpers;  /* owns; NULL: none wanted */
    struct resolver *resolver;    /* owns */
    struct admin *admin;          /* owns; with addresses once a configuration is in force */
    struct access_writer *writer; /* owns */

    int signal_fd;
    struct fd_watch *signal_watch;
    struct wakeup *log_wakeup;    /* rings are half full */
    struct deadline log_deadline; /* time to empty the rings */
    struct ticker *ticket_ticker;

    struct jobs *jobs;     /* owns */
    struct load *load;     /* owned by its job: a configuration being loaded; NULL: none */
    struct reload *reload; /* owns: one that was loaded and is on its way in; NULL: none */
    bool reload_again;     /* asked for while another was on its way */
    struct reload_result last_reload;
    struct deadline step;   /* what the state waits for is looked at */
    int64_t names_until_ms; /* names that have no answer then are not waited for */

    /* draining */
    int64_t drain_began_ms;
    size_t exchanges_at_drain;
    uint64_t requests_at_drain;
};

/* reload.c */
MUST_USE int server_load_first(struct server *server);
void server_reload(struct server *server);
void server_reload_step(struct server *server);
void server_reload_forget(struct server *server);

/* drain.c */
void server_drain_begin(struct server *server);
void server_drain_step(struct server *server);
void server_end_now(struct server *server);

/* expiry.c */
enum { EXPIRY_TICK_MS = 5000 };
void expiry_print(const struct server *server, struct text *out);
void expiry_tick(struct server *server); /* warns of what has ended since the last tick */

/* status.c */
struct admin_source server_admin_source(struct server *server);

/* server.c */
void server_enter(struct server *server, enum server_state next);
void server_step_in(struct server *server, int64_t ms);
/* Names of `config` are looked up from now on … */
void server_watch_names(struct server *server, const struct config *config);
/* … and waited for, but not for long: true after it has asked for another step. */
bool server_waits_for_names(struct server *server);
void server_write_logs(struct server *server);
void server_reopen_logs(struct server *server);
uint64_t server_counter(const struct server *server, enum counter counter);

/* --- status_split.c -------------------------------------------------------------------------- */

/* The shares and the emergency brake of every router that splits: metrics, and a JSON object. */
void server_print_splits(const struct config *config, struct text *out);
void server_print_split_status(const struct config *config, struct text *out);
