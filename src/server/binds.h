/* The addresses that a configuration listens on, for its listeners and for the admin port, and
 * their sockets: which of them stay, open or close when a configuration follows another. An address
 * stays when it is bound by both; its sockets are not touched then, so that no waiting connection
 * is lost. All new sockets are bound before anything changes. Control thread. While workers
 * carry out an order about binds, each changes its own descriptors there, and the control thread
 * leaves them alone. */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"
#include "server/socket_file.h"

struct bind {
    struct addr addr;  /* as configured; two binds with the same addr are the same */
    struct addr bound; /* as the kernel reports it; differs when the configured port is 0 */
    bool is_admin;     /* of the admin port */
    size_t listener;   /* otherwise: an index in config.listeners */
    size_t position;   /* in its list of addresses */
    bool inbound;      /* closed when draining begins */
    uint32_t max_unsent_bytes;

    /* unix sockets */
    int unix_fd; /* owns: the one socket that all workers share; -1 for TCP */
    struct socket_rights rights;
    struct socket_file file;
    bool owns_file; /* the file is removed with the socket */

    /* owns: one for each worker, or one for the admin port. -1: closed, in other binds, or (admin
     * port) passed on. A worker that adopts borrows its own, and moves it from the old binds when
     * the address stays. */
    int *fds;
    size_t fd_count;
};

struct binds {
    struct bind *items; /* owns */
    size_t count;
    size_t workers;
};

/* What `config` needs, with sockets bound for every address that `current` (NULL: nothing) does not
 * have. They listen already, unless `current` has an address that overlaps (0.0.0.0 and 127.0.0.1):
 * clients must not reach those before binds_listen. */
MUST_USE struct binds *binds_plan(const struct binds *current, const struct config *config,
                                  size_t workers, struct err *err);

/* Makes every open socket of `next` listen, just before the workers serve it. */
MUST_USE int binds_listen(const struct binds *next, struct err *err);

/* `next` is in force from now on: takes over what stays from `current`, frees `current`, and removes
 * the files of unix sockets that `next` does not have. */
void binds_commit(struct binds *current, struct binds *next);

/* Changes the owner of the sockets to this user. The kernel lets sockets share a port only when they
 * have the same owner, and this user will own those that a reload opens. */
MUST_USE int binds_give_to(const struct binds *binds, uid_t uid, struct err *err);

/* For draining, inbound listeners only. binds_remove_files removes the files of unix sockets, so that
 * another process can take their paths. binds_close_inbound closes the sockets, after the workers
 * have closed theirs. */
void binds_remove_files(struct binds *binds);
void binds_close_inbound(struct binds *binds);

/* Closes the descriptors that were not taken, and removes the files of the unix sockets that it
 * owns: those in force when the process ends, or those that were opened for a configuration that
 * did not take effect. NULL is fine. */
void binds_free(struct binds *binds);

const struct bind *binds_find(const struct binds *binds, const struct bind *like);
bool bind_is_same(const struct bind *a, const struct bind *b);
