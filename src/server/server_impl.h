/* The server's parts; for server/ alone. Everything on the control thread. */
#pragma once

#include "admin/admin.h"
#include "control/dns.h"
#include "control/expiry.h"
#include "control/jobs.h"
#include "control/logs.h"
#include "control/overload_watch.h"
#include "control/signals.h"
#include "control/ticket_rotation.h"
#include "server/server.h"
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
    struct control *control; /* owns */
    struct loop *loop;       /* borrows: control's */

    struct snapshot *snapshot; /* owns a reference: the one in force */
    struct binds *binds;       /* owns */
    struct worker **workers;   /* owns */
    size_t worker_count;
    struct quotas *quotas;    /* owns: shared by all workers */
    struct metrics **metrics; /* owns the array: the workers' counters */

    /* parts; their memory, while control frees what is in them */
    struct signals signals;
    struct ticket_rotation ticket_rotation;
    struct expiry expiry;
    struct overload_watch overload_watch;
    struct dns dns;
    struct logs logs;
    struct control_part splits, status;

    struct tls_helpers *helpers; /* owns; NULL: none wanted */
    struct admin *admin;         /* owns; with addresses once a configuration is in force */

    struct jobs *jobs;     /* owns */
    struct load *load;     /* owned by its job: a configuration being loaded; NULL: none */
    struct reload *reload; /* owns: one that was loaded and is on its way in; NULL: none */
    bool reload_again;     /* asked for while another was on its way */
    struct reload_result last_reload;
    struct deadline step; /* draining: when to look again */

    /* draining */
    int64_t drain_began_ms;
    size_t exchanges_at_drain;
    uint64_t requests_at_drain;
};

/* reload.c */
MUST_USE int server_load_first(struct server *server);
void server_reload(struct server *server);
void server_reload_forget(struct server *server);

/* drain.c */
void server_drain_begin(struct server *server);
void server_drain_step(struct server *server);
void server_end_now(struct server *server);

/* status.c */
struct admin_source server_admin_source(struct server *server);
void server_status_add(struct server *server);

/* server.c */
void server_enter(struct server *server, enum server_state next);
void server_step_in(struct server *server, int64_t ms);
