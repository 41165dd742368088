/* See binds.h. TCP: SO_REUSEPORT gives each worker a socket of its own on the same address. Unix:
 * one socket, duplicated for each worker. */
#include "server/binds.h"

#include "net/listener.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool bind_is_same(const struct bind *a, const struct bind *b)
{
    if (!addr_eq(&a->addr, &b->addr))
        return false;
    /* Port 0 is another port each time it is bound. */
    return addr_is_unix(&a->addr) || addr_port(&a->addr) != 0 || a->listener == b->listener;
}

const struct bind *binds_find(const struct binds *binds, const struct bind *like)
{
    for (size_t i = 0; binds != NULL && i < binds->count; i++) {
        if (bind_is_same(&binds->items[i], like))
            return &binds->items[i];
    }
    return NULL;
}

/* --- opening --------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int open_unix(struct bind *bind, size_t workers, struct err *err)
{
    bind->unix_fd = listener_open(&bind->addr, err);
    if (bind->unix_fd < 0)
        return -1;
    for (size_t w = 0; w < workers; w++) {
        bind->fds[w] = fcntl(bind->unix_fd, F_DUPFD_CLOEXEC, 0);
        if (bind->fds[w] < 0)
            return err_set_errno(err, "cannot duplicate a listening socket");
    }
    return 0;
}

static int open_tcp(struct bind *bind, size_t workers, struct err *err)
{
    if (listener_check_free(&bind->bound, err) < 0)
        return -1;
    for (size_t w = 0; w < workers; w++) {
        bind->fds[w] = listener_open(&bind->bound, err);
        if (bind->fds[w] < 0)
            return -1;
        socklen_t len = sizeof(bind->bound.un);
        if (w == 0 && getsockname(bind->fds[0], &bind->bound.sa, &len) == 0)
            bind->bound.len = len; /* the others must have the same port */
    }
    return 0;
}

static int open_sockets(struct bind *bind, size_t workers, struct err *err)
{
    return addr_is_unix(&bind->addr) ? open_unix(bind, workers, err) : open_tcp(bind, workers, err);
}

/* --- planning -------------------------------------------------------------------------------- */

static size_t count_binds(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->listener_count; i++)
        count += config->listeners[i].bind_count;
    return count;
}

static void bind_init(struct bind *bind, const struct config *config, size_t listener,
                      const struct addr *addr, size_t workers)
{
    *bind = (struct bind){.addr = *addr,
                          .bound = *addr,
                          .listener = listener,
                          .inbound = config->listeners[listener].inbound,
                          .max_unsent_bytes = config->listeners[listener].limits.max_unsent_bytes,
                          .unix_fd = -1,
                          .fds = mem_new((workers + 1) * sizeof(int))};
    for (size_t w = 0; w < workers; w++)
        bind->fds[w] = -1;
}

static int plan_one(struct binds *next, const struct binds *current, struct bind *bind,
                    struct err *err)
{
    char text[ADDR_TEXT_MAX];

    for (struct bind *other = next->items; other < bind; other++) {
        if (bind_is_same(other, bind)) {
            addr_format(&bind->addr, text);
            return err_set(err, "%s is bound twice", text);
        }
    }
    const struct bind *kept = binds_find(current, bind);
    if (kept == NULL)
        return open_sockets(bind, next->workers, err);
    bind->bound = kept->bound;
    return 0;
}

struct binds *binds_plan(const struct binds *current, const struct config *config, size_t workers,
                         struct err *err)
{
    struct binds *next = mem_new(sizeof(*next));

    next->workers = workers;
    next->items = mem_new((count_binds(config) + 1) * sizeof(struct bind));
    for (size_t i = 0; i < config->listener_count; i++) {
        for (size_t b = 0; b < config->listeners[i].bind_count; b++) {
            struct bind *bind = &next->items[next->count++];
            bind_init(bind, config, i, &config->listeners[i].binds[b], workers);
            if (plan_one(next, current, bind, err) < 0) {
                place_err(err, &config->listeners[i].place);
                binds_free(next);
                return NULL;
            }
        }
    }
    return next;
}

/* --- ending ---------------------------------------------------------------------------------- */

static void bind_close(struct bind *bind, size_t workers)
{
    for (size_t w = 0; w < workers; w++)
        close_fd(&bind->fds[w]);
    if (bind->unix_fd >= 0)
        unlink(bind->addr.un.sun_path);
    close_fd(&bind->unix_fd);
}

static void binds_free_memory(struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++)
        free(binds->items[i].fds);
    free(binds->items);
    free(binds);
}

void binds_commit(struct binds *current, struct binds *next)
{
    if (current == NULL)
        return;
    for (size_t i = 0; i < next->count; i++) {
        struct bind *kept = (struct bind *)binds_find(current, &next->items[i]);
        if (kept == NULL || kept->unix_fd < 0)
            continue;
        next->items[i].unix_fd = kept->unix_fd;
        kept->unix_fd = -1;
    }
    for (size_t i = 0; i < current->count; i++)
        bind_close(&current->items[i], current->workers);
    binds_free_memory(current);
}

int binds_reopen(struct binds *current, const struct binds *next, size_t worker, struct err *err)
{
    for (size_t i = 0; i < current->count; i++) {
        struct bind *bind = &current->items[i];
        if (binds_find(next, bind) != NULL)
            continue;
        close_fd(&bind->fds[worker]);
        if (bind->unix_fd >= 0)
            bind->fds[worker] = fcntl(bind->unix_fd, F_DUPFD_CLOEXEC, 0);
        else
            bind->fds[worker] = listener_open(&bind->bound, err);
        if (bind->fds[worker] < 0)
            return bind->unix_fd >= 0 ? err_set_errno(err, "cannot duplicate a socket") : -1;
    }
    return 0;
}

void binds_free(struct binds *binds)
{
    if (binds == NULL)
        return;
    for (size_t i = 0; i < binds->count; i++)
        bind_close(&binds->items[i], binds->workers);
    binds_free_memory(binds);
}
