/* The file of a unix socket: its mode and owner, and whether the file at a path is still the one that
 * weir created. Another process may have put its own file there, which weir must not remove. */
#pragma once

#include "config/config.h"

#include <sys/types.h>

/* Identifies a file. No other file can have the same numbers while the socket that was bound to it is
 * open, even after it was removed from its directory. */
struct socket_file {
    dev_t device;
    ino_t inode;
};

struct socket_rights {
    int mode;  /* -1: what the umask gives */
    uid_t uid; /* (uid_t)-1: the process's */
    gid_t gid; /* likewise */
};

/* Looks up the names. */
MUST_USE int socket_rights_find(struct socket_rights *rights, const struct bind_conf *conf,
                                struct err *err);
bool socket_rights_eq(const struct socket_rights *a, const struct socket_rights *b);

/* Gives the file of `addr` these rights. To be called before listen(2): until then no client can connect. */
MUST_USE int socket_rights_apply(const struct socket_rights *rights, const struct addr *addr,
                                 struct err *err);

/* The file that is at the path of `addr` now; zero when there is none. */
struct socket_file socket_file_at(const struct addr *addr);
bool socket_file_is_at(const struct socket_file *file, const struct addr *addr);

/* Removes the file, unless another file has taken its place. */
void socket_file_remove(const struct socket_file *file, const struct addr *addr);
