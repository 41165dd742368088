/* See binds.h. On a TCP address each worker has a socket of its own (SO_REUSEPORT). On a unix socket
 * all workers share one socket, and each has a duplicate of its descriptor. */
#include "server/binds.h"

#include "base/log.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_any_port(const struct addr *addr)
{
    return !addr_is_unix(addr) && addr_port(addr) == 0;
}

bool bind_is_same(const struct bind *a, const struct bind *b)
{
    if (!addr_eq(&a->addr, &b->addr) || a->is_admin != b->is_admin)
        return false;
    if (addr_is_unix(&a->addr))
        return a->file.device == b->file.device && a->file.inode == b->file.inode;
    /* Each bind to port 0 gets a different port. */
    return !is_any_port(&a->addr) || (a->listener == b->listener && a->position == b->position);
}

const struct bind *binds_find(const struct binds *binds, const struct bind *like)
{
    for (size_t i = 0; binds != NULL && i < binds->count; i++) {
        if (bind_is_same(&binds->items[i], like))
            return &binds->items[i];
    }
    return NULL;
}

/* The bind at this address, whatever it is used for. */
static const struct bind *find_path(const struct binds *binds, const struct addr *addr)
{
    for (size_t i = 0; binds != NULL && i < binds->count; i++) {
        if (addr_eq(&binds->items[i].addr, addr))
            return &binds->items[i];
    }
    return NULL;
}

/* Would one of our sockets make bind(2) fail for a new one on `addr`, were it not for
 * SO_REUSEPORT? */
static bool overlaps_ours(const struct binds *binds, const struct addr *addr)
{
    for (size_t i = 0; binds != NULL && i < binds->count; i++) {
        const struct addr *bound = &binds->items[i].bound;
        if (addr_covers(bound, addr) || addr_covers(addr, bound))
            return true;
    }
    return false;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Called while the socket is open: until it is closed, no other file can have the same device and
 * inode. */
static void remove_file(struct bind *bind)
{
    if (bind->owns_file)
        socket_file_remove(&bind->file, &bind->addr);
    bind->owns_file = false;
}

static void bind_close(struct bind *bind)
{
    remove_file(bind);
    for (size_t i = 0; i < bind->fd_count; i++)
        close_fd(&bind->fds[i]);
    close_fd(&bind->unix_fd);
}

static int duplicate(int fd, int *copy, struct err *err)
{
    *copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *copy >= 0 ? 0 : err_set_errno(err, "cannot duplicate a listening socket");
}

static int duplicate_for_users(struct bind *bind, struct err *err)
{
    for (size_t i = 0; i < bind->fd_count; i++) {
        if (duplicate(bind->unix_fd, &bind->fds[i], err) < 0)
            return -1;
    }
    return 0;
}

static int open_unix(struct bind *bind, struct err *err)
{
    bind->unix_fd = listener_bind(&bind->addr, err);
    if (bind->unix_fd < 0)
        return -1;
    bind->file = socket_file_at(&bind->addr);
    bind->owns_file = true;
    if (socket_rights_apply(&bind->rights, &bind->addr, err) < 0 ||
        listener_listen(bind->unix_fd, &bind->addr, err) < 0)
        return -1;
    return duplicate_for_users(bind, err);
}

/* Goes on with the socket of `at`. binds_commit passes its file on to `bind`. */
static int share_unix(struct bind *bind, const struct bind *at, struct err *err)
{
    bind->file = at->file;
    if (duplicate(at->unix_fd, &bind->unix_fd, err) < 0)
        return -1;
    return bind_is_same(bind, at) ? 0 : duplicate_for_users(bind, err);
}

/* The file may have been removed, or another process may have put its own there. When no new file
 * can be made, the present socket goes on without one, as before: that is no reason to refuse a
 * configuration. */
static int plan_unix(struct bind *bind, const struct binds *current, struct err *err)
{
    const struct bind *at = find_path(current, &bind->addr);
    char line[ERR_TEXT_MAX + 300];

    if (at != NULL && socket_file_is_at(&at->file, &at->addr))
        return share_unix(bind, at, err);
    if (open_unix(bind, err) == 0)
        return 0;
    if (at == NULL)
        return -1;
    LOG_ERROR("unix_socket_lost", "path=%s error=\"%s\"", bind->addr.un.sun_path,
              err_line(err, line, sizeof(line)));
    bind_close(bind);
    return share_unix(bind, at, err);
}

static int open_tcp(struct bind *bind, bool listens, struct err *err)
{
    for (size_t i = 0; i < bind->fd_count; i++) {
        bind->fds[i] = listener_bind(&bind->bound, err);
        if (bind->fds[i] < 0 || (listens && listener_listen(bind->fds[i], &bind->bound, err) < 0))
            return -1;
        socklen_t len = sizeof(bind->bound.un);
        if (i == 0 && getsockname(bind->fds[0], &bind->bound.sa, &len) == 0)
            bind->bound.len = len; /* the others must have the same port */
    }
    return 0;
}

static int plan_tcp(struct bind *bind, const struct binds *current, struct err *err)
{
    const struct bind *kept = binds_find(current, bind);

    if (kept == NULL)
        return open_tcp(bind, !overlaps_ours(current, &bind->addr), err);
    bind->bound = kept->bound;
    return 0;
}

/* --- planning -------------------------------------------------------------------------------- */

static size_t count_binds(const struct config *config)
{
    size_t count = config->admin.binds.count;

    for (size_t i = 0; i < config->listener_count; i++)
        count += config->listeners[i].binds.count;
    return count;
}

static struct bind *bind_add(struct binds *next, const struct bind_conf *conf, size_t fd_count)
{
    struct bind *bind = &next->items[next->count++];

    *bind = (struct bind){.addr = conf->addr,
                          .bound = conf->addr,
                          .unix_fd = -1,
                          .fds = mem_new((fd_count + 1) * sizeof(int)),
                          .fd_count = fd_count};
    for (size_t i = 0; i < fd_count; i++)
        bind->fds[i] = -1;
    return bind;
}

/* ":443" on a machine without IPv6. */
static bool is_family_missing(const struct bind_conf *conf, const struct err *err)
{
    return conf->may_be_missing && (err->errnum == EAFNOSUPPORT || err->errnum == EADDRNOTAVAIL);
}

/* Opens the socket of the last bind in `next`, or removes that bind. */
static int plan_last(struct binds *next, const struct binds *current, const struct bind_conf *conf,
                     struct err *err)
{
    struct bind *bind = &next->items[next->count - 1];
    char text[ADDR_TEXT_MAX];

    for (struct bind *other = next->items; other < bind; other++) {
        if (addr_eq(&other->addr, &bind->addr) && !is_any_port(&bind->addr)) {
            addr_format(&bind->addr, text);
            return err_set(err, "address bound twice: \"%s\"", text);
        }
    }
    if (addr_is_unix(&bind->addr))
        return socket_rights_find(&bind->rights, conf, err) < 0 ? -1
                                                                : plan_unix(bind, current, err);
    if (plan_tcp(bind, current, err) == 0)
        return 0;
    if (!is_family_missing(conf, err))
        return -1;
    bind_close(bind);
    free(bind->fds);
    next->count--;
    return 0;
}

static int plan(struct binds *next, const struct binds *current, const struct bind_conf *conf,
                struct err *err)
{
    int result = plan_last(next, current, conf, err);

    if (result < 0)
        place_err(err, &conf->place);
    return result;
}

static int plan_all(struct binds *next, const struct binds *current, const struct config *config,
                    struct err *err)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_conf *listener = &config->listeners[i];
        for (size_t b = 0; b < listener->binds.count; b++) {
            struct bind *bind = bind_add(next, &listener->binds.items[b], next->workers);
            bind->listener = i;
            bind->position = b;
            bind->inbound = listener->inbound;
            bind->max_unsent_bytes = listener->limits.max_unsent_bytes;
            if (plan(next, current, &listener->binds.items[b], err) < 0)
                return -1;
        }
    }
    for (size_t b = 0; config->admin.enabled && b < config->admin.binds.count; b++) {
        struct bind *bind = bind_add(next, &config->admin.binds.items[b], 1);
        bind->is_admin = true;
        bind->position = b;
        if (plan(next, current, &config->admin.binds.items[b], err) < 0)
            return -1;
    }
    return 0;
}

static int check_free(const struct binds_conf *binds, const struct binds *current, struct err *err)
{
    for (size_t i = 0; i < binds->count; i++) {
        const struct bind_conf *conf = &binds->items[i];
        if (overlaps_ours(current, &conf->addr) || listener_check_free(&conf->addr, err) == 0 ||
            is_family_missing(conf, err))
            continue;
        place_err(err, &conf->place);
        return -1;
    }
    return 0;
}

/* Called before any socket is opened, because our own would make the check fail. Addresses that
 * `current` has are not checked: they were free when `current` was opened, and its sockets have kept
 * other processes away since. */
static int check_all_free(const struct config *config, const struct binds *current, struct err *err)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (check_free(&config->listeners[i].binds, current, err) < 0)
            return -1;
    }
    return config->admin.enabled ? check_free(&config->admin.binds, current, err) : 0;
}

struct binds *binds_plan(const struct binds *current, const struct config *config, size_t workers,
                         struct err *err)
{
    if (check_all_free(config, current, err) < 0)
        return NULL;
    struct binds *next = mem_new(sizeof(*next));
    next->workers = workers;
    next->items = mem_new((count_binds(config) + 1) * sizeof(struct bind));
    if (plan_all(next, current, config, err) == 0)
        return next;
    binds_free(next);
    return NULL;
}

int binds_listen(const struct binds *next, struct err *err)
{
    for (size_t i = 0; i < next->count; i++) {
        const struct bind *bind = &next->items[i];
        for (size_t f = 0; f < bind->fd_count; f++) {
            if (bind->fds[f] >= 0 && listener_listen(bind->fds[f], &bind->bound, err) < 0)
                return -1;
        }
    }
    return 0;
}

int binds_give_to(const struct binds *binds, uid_t uid, struct err *err)
{
    for (size_t i = 0; i < binds->count; i++) {
        const struct bind *bind = &binds->items[i];
        for (size_t f = 0; f < bind->fd_count; f++) {
            if (bind->fds[f] >= 0 && fchown(bind->fds[f], uid, (gid_t)-1) < 0)
                return err_set_errno(err, "cannot give a listening socket to user %u", uid);
        }
    }
    return 0;
}

/* --- ending ---------------------------------------------------------------------------------- */

static void binds_free_memory(struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++)
        free(binds->items[i].fds);
    free(binds->items);
    free(binds);
}

static void update_rights(const struct bind *bind, const struct bind *old)
{
    char line[ERR_TEXT_MAX + 300];
    struct err err;

    if (socket_rights_eq(&bind->rights, &old->rights) ||
        socket_rights_apply(&bind->rights, &bind->addr, &err) == 0)
        return;
    LOG_ERROR("unix_socket_rights", "path=%s error=\"%s\"", bind->addr.un.sun_path,
              err_line(&err, line, sizeof(line)));
}

static void take_file(struct bind *bind, const struct binds *current)
{
    struct bind *old = (struct bind *)find_path(current, &bind->addr);

    if (bind->unix_fd < 0 || bind->owns_file || old == NULL || !old->owns_file)
        return;
    bind->owns_file = true;
    old->owns_file = false;
    if (socket_file_is_at(&bind->file, &bind->addr))
        update_rights(bind, old);
}

void binds_commit(struct binds *current, struct binds *next)
{
    if (current == NULL)
        return;
    for (size_t i = 0; i < next->count; i++)
        take_file(&next->items[i], current);
    for (size_t i = 0; i < current->count; i++)
        bind_close(&current->items[i]);
    binds_free_memory(current);
}

void binds_remove_files(struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++) {
        if (binds->items[i].inbound)
            remove_file(&binds->items[i]);
    }
}

void binds_close_inbound(struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++) {
        if (binds->items[i].inbound)
            bind_close(&binds->items[i]);
    }
}

void binds_free(struct binds *binds)
{
    if (binds == NULL)
        return;
    for (size_t i = 0; i < binds->count; i++)
        bind_close(&binds->items[i]);
    binds_free_memory(binds);
}
