/* The addresses that a configuration listens on, for its listeners and for the admin port, and
 * their sockets: which of them stay, open or close when a configuration follows another. An address
 * stays when it is bound by both; its sockets are not touched then, so that no waiting connection
 * is lost. All new sockets are bound before anything changes. Control thread; a worker takes its
 * own descriptors while the control thread waits. */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"
#include "server/socket_file.h"

struct bind {
    struct addr addr;  /* as configured: what makes two binds the same */
    struct addr bound; /* as the kernel has it: differs where the port was 0 */
    bool is_admin;     /* the admin port's, … */
    size_t listener;   /* … or an index in config.listeners */
    size_t position;   /* in its list of addresses */
    bool inbound;      /* closed when draining begins */
    uint32_t max_unsent_bytes;

    /* unix sockets */
    int unix_fd; /* owns: the one socket that all workers share; -1 for TCP */
    struct socket_rights rights;
    struct socket_file file;
    bool owns_file; /* it is removed with the socket */

    /* owns: one for each worker, one in all for the admin port, until it is taken; -1: it was */
    int *fds;
    size_t fd_count;
};

struct binds {
    struct bind *items; /* owns */
    size_t count;
    size_t workers;
};

/* What `config` needs, with sockets bound for all that `current` (NULL: nothing) does not have.
 * They listen already, unless `current` serves their address in another way (0.0.0.0 and
 * 127.0.0.1): then clients must not come to them before binds_listen. */
MUST_USE struct binds *binds_plan(const struct binds *current, const struct config *config,
                                  size_t workers, struct err *err);

/* All that is open listens from now on: `next` is about to be served. */
MUST_USE int binds_listen(const struct binds *next, struct err *err);

/* `next` is in force: takes over what stays from `current` and frees that; removes the files of
 * unix sockets that are gone. */
void binds_commit(struct binds *current, struct binds *next);

/* The sockets belong to this user from now on: the kernel lets only one user's sockets share a
 * port, and those that a reload opens will be this user's. */
MUST_USE int binds_give_to(const struct binds *binds, uid_t uid, struct err *err);

/* Draining, of what is inbound: removes the files of unix sockets, so that another process may take
 * their paths, and, when the workers have shut their doors, closes the sockets. */
void binds_remove_files(struct binds *binds);
void binds_close_inbound(struct binds *binds);

/* Closes the descriptors it has and removes the files of its unix sockets: all of them when the
 * process ends, those it opened when it was planned and will not be. NULL is fine. */
void binds_free(struct binds *binds);

const struct bind *binds_find(const struct binds *binds, const struct bind *like);
bool bind_is_same(const struct bind *a, const struct bind *b);
