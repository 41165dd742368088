/* What the process gives up once its sockets are open: root, capabilities, new privileges, core
 * dumps and, if asked, most system calls. Before any other thread starts; all of them inherit
 * it. */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <sys/types.h>

/* Afterwards setuid programs give no privileges, other processes of the same user cannot read our
 * memory, and there are no core dumps. When the configuration has `user` and we are root, the
 * process becomes that user and keeps one capability, CAP_NET_BIND_SERVICE, so that a reload can
 * open port 443. For `seccomp` see syscalls.c. */
MUST_USE int privileges_drop(const struct privileges_conf *conf, struct err *err);

/* The user and group that the process will have. */
struct identity {
    bool changes; /* false: uid and gid are not set */
    uid_t uid;
    gid_t gid;
};
MUST_USE int privileges_find(const struct privileges_conf *conf, struct identity *identity,
                             struct err *err);

/* The number of a user, and of the group that it belongs to, or of a group; by name or number. */
MUST_USE int user_find(struct str name, uid_t *uid, gid_t *gid, struct err *err);
MUST_USE int group_find(struct str name, gid_t *gid, struct err *err);

/* Allows the system calls that weir makes; all others fail with EPERM from now on. */
MUST_USE int syscalls_restrict(struct err *err);
