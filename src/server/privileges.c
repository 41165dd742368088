/* The order matters: capabilities are kept over setresuid, then reduced to one; the filter for system
 * calls comes last, because the steps before it make calls that it forbids. */
#include "server/privileges.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* LeakSanitizer attaches to its own process as a debugger does, which PR_SET_DUMPABLE forbids. */
#if defined(__SANITIZE_ADDRESS__)
enum { CAN_HIDE = 0 };
#else
enum { CAN_HIDE = 1 };
#endif

int group_find(struct str name, gid_t *gid, struct err *err)
{
    uint64_t number;

    if (str_to_u64(name, &number) == 0) {
        *gid = (gid_t)number;
        return 0;
    }
    const struct group *group = getgrnam(name.ptr);
    if (group == NULL)
        return err_set(err, "there is no group \"%s\"", name.ptr);
    *gid = group->gr_gid;
    return 0;
}

int user_find(struct str name, uid_t *uid, gid_t *gid, struct err *err)
{
    const struct passwd *user = getpwnam(name.ptr);
    uint64_t number;

    if (user == NULL && str_to_u64(name, &number) == 0) {
        *uid = (uid_t)number;
        *gid = (gid_t)number;
        return 0;
    }
    if (user == NULL)
        return err_set(err, "there is no user \"%s\"", name.ptr);
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return 0;
}

int privileges_find(const struct privileges_conf *conf, struct identity *identity, struct err *err)
{
    *identity = (struct identity){.changes = false};
    if (conf->user.len == 0)
        return 0;
    if (user_find(conf->user, &identity->uid, &identity->gid, err) < 0)
        return -1;
    if (conf->group.len > 0 && group_find(conf->group, &identity->gid, err) < 0)
        return -1;
    identity->changes = geteuid() != identity->uid;
    return 0;
}

/* A capability outside this set cannot be regained by exec. */
static void empty_bounding_set(void)
{
    for (unsigned capability = 0; capability <= 63; capability++) {
        if (capability != CAP_NET_BIND_SERVICE)
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* EINVAL: this kernel has fewer */
    }
}

static int keep_bind_capability(struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = 1u << CAP_NET_BIND_SERVICE, .permitted = 1u << CAP_NET_BIND_SERVICE}};

    if (syscall(SYS_capset, &header, data) < 0)
        return err_set_errno(err, "cannot give up capabilities");
    return 0;
}

static int become(uid_t uid, gid_t gid, struct err *err)
{
    empty_bounding_set();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_set_errno(err, "cannot keep capabilities");
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0)
        return err_set_errno(err, "cannot become group %u", gid);
    if (setresuid(uid, uid, uid) < 0)
        return err_set_errno(err, "cannot become user %u", uid);
    return keep_bind_capability(err);
}

static int drop_root(const struct privileges_conf *conf, struct err *err)
{
    struct identity identity;

    if (conf->user.len == 0 && geteuid() == 0)
        LOG_WARN("running_as_root", "hint=\"set user: in the configuration\"");
    if (privileges_find(conf, &identity, err) < 0)
        return -1;
    if (!identity.changes)
        return 0;
    if (geteuid() != 0)
        return err_set(err, "cannot become user \"%s\" without being root", conf->user.ptr);
    return become(identity.uid, identity.gid, err);
}

static void hide(const struct privileges_conf *conf)
{
    struct rlimit none = {0, 0};

    if (conf->core_dumps || !CAN_HIDE)
        return;
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        LOG_WARN("core_dumps", "errno=%d", errno);
}

int privileges_drop(const struct privileges_conf *conf, struct err *err)
{
    if (drop_root(conf, err) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set_errno(err, "cannot set no_new_privs");
    hide(conf);
    return conf->seccomp ? syscalls_restrict(err) : 0;
}
