/* The addresses that the listeners of a configuration bind to, and their sockets: which of them
 * stay, open or close when a configuration follows another. An address stays when it is bound by
 * both; its sockets are not touched then, so that no waiting connection is lost. All new sockets
 * are opened before anything changes. Control thread; a worker takes its own descriptors while the
 * control thread waits. */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"

struct bind {
    struct addr addr;  /* as configured: what makes two binds the same */
    struct addr bound; /* as the kernel has it: differs where the port was 0 */
    size_t listener;   /* index in config.listeners */
    bool inbound;      /* closed when draining begins */
    uint32_t max_unsent_bytes;
    int unix_fd; /* owns: the one socket that all workers share; -1 for TCP */
    int *fds;    /* owns: one for each worker, until it takes it; -1: it has it already */
};

struct binds {
    struct bind *items; /* owns */
    size_t count;
    size_t workers;
};

/* What `config` needs, with sockets open for all that `current` (NULL: nothing) does not have. */
MUST_USE struct binds *binds_plan(const struct binds *current, const struct config *config,
                                  size_t workers, struct err *err);

/* `next` is in force: takes over what stays from `current` and frees that; removes the files of
 * unix sockets that are gone. */
void binds_commit(struct binds *current, struct binds *next);

/* Worker `worker` has adopted `next` and must go back: opens for it again what it has closed. */
MUST_USE int binds_reopen(struct binds *current, const struct binds *next, size_t worker,
                          struct err *err);

/* Closes the descriptors it has and removes the files of its unix sockets: all of them when the
 * process ends, those it opened when it was planned and will not be. NULL is fine. */
void binds_free(struct binds *binds);

const struct bind *binds_find(const struct binds *binds, const struct bind *like);
bool bind_is_same(const struct bind *a, const struct bind *b);
