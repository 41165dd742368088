/* What the process gives up once its sockets are open: root, capabilities, new privileges, core
 * dumps and, if asked, most system calls. Before any other thread starts; all of them inherit
 * it. */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <sys/types.h>

/* No setuid program can help us any more, nobody of our user can read our memory, and none of it
 * goes to disk. With `user` in the configuration, and root: that user, with CAP_NET_BIND_SERVICE
 * and no other capability, so that a reload may still open port 443. With `seccomp`: see
 * syscalls.c. */
MUST_USE int privileges_drop(const struct privileges_conf *conf, struct err *err);

/* Who the process will become. */
struct identity {
    bool changes; /* else the others say nothing */
    uid_t uid;
    gid_t gid;
};
MUST_USE int privileges_find(const struct privileges_conf *conf, struct identity *identity,
                             struct err *err);

/* The number of a user, and of the group that it belongs to, or of a group; by name or number. */
MUST_USE int user_find(struct str name, uid_t *uid, gid_t *gid, struct err *err);
MUST_USE int group_find(struct str name, gid_t *gid, struct err *err);

/* The system calls that we make; all others answer EPERM from now on. */
MUST_USE int syscalls_restrict(struct err *err);
