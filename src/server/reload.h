/* The configuration in force, and how another one takes its place. First everything that can fail:
 * loading and checking, with all certificates, on the job thread; opening sockets and logs. Then
 * waiting, for a bounded time, until new names have their addresses. Then the workers adopt, which
 * cannot fail. Only then is anything old released. A reload that fails at any step changes nothing
 * and says why. Control thread. */
#pragma once

#include "admin/admin.h"
#include "control/dns.h"
#include "control/jobs.h"
#include "control/logs.h"
#include "server/disposal.h"
#include "server/load.h"
#include "server/options.h"
#include "server/workers.h"

/* The outcome of the last reload, for the admin port (the start counts as one). */
struct reload_result {
    bool successful;
    int64_t at_wall_us;
    struct text complaints, warnings; /* own: one line each */
    uint64_t count, failures;
};

/* A configuration that was checked and whose sockets are open. */
struct candidate {
    struct snapshot *snapshot;    /* owns */
    struct binds *binds;          /* owns */
    struct access_writer *writer; /* owns; NULL when the present one stays */
};

struct reload {
    struct control_part part;
    /* borrows */
    const struct server_options *options;
    struct workers *workers;
    struct dns *dns;
    struct logs *logs;
    struct admin *admin;
    struct jobs *jobs;
    struct disposal *disposal;
    void (*ended)(void *arg); /* a reload has ended, with success or not */
    void *arg;

    struct snapshot *snapshot; /* owns a reference: the one in force; NULL: none yet */
    struct binds *binds;       /* owns: of the same configuration */

    enum {
        RELOAD_IDLE,
        RELOAD_LOADING,   /* the job thread loads */
        RELOAD_RESOLVING, /* new names get their first answers */
        RELOAD_ADOPTING,  /* the workers use it, or are about to */
    } stage;
    struct load *load;      /* borrows, while loading */
    struct candidate *next; /* owns, while resolving and adopting */
    struct order_round adopt;
    struct reload_result last;
};

/* `options` and what it borrows must be set. */
void reload_add(struct reload *reload, struct control *control);

/* The start: loads, checks and opens on the calling thread. Errors were written to standard error.
 * The candidate is the caller's until reload_first_adopt. */
MUST_USE struct candidate *reload_first_load(struct reload *reload);
void candidate_free(struct candidate *candidate);

/* The workers, which run now, adopt the first configuration, and it is in force. */
void reload_first_adopt(struct reload *reload, struct candidate *candidate);

/* Begins a reload; none may be on its way. */
void reload_begin(struct reload *reload);

/* Ends one that is loading or resolving; one that workers adopt cannot be stopped. */
void reload_abandon(struct reload *reload);
