/* The checks of machine.h: they look things up and change nothing. */
#include "server/machine.h"

#include "server/privileges.h"
#include "server/socket_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct review {
    machine_warning *warn;
    void *arg;
};

/* Does the directory exist in which the socket's file will be? */
static void review_directory(const struct review *review, const struct bind_conf *bind)
{
    char directory[sizeof(bind->addr.un.sun_path)], text[512];

    snprintf(directory, sizeof(directory), "%s", bind->addr.un.sun_path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL || slash == directory)
        return;
    *slash = '\0';
    if (access(directory, F_OK) == 0)
        return;
    snprintf(text, sizeof(text), "cannot bind on this machine: \"%s\": %s", directory,
             strerror(errno));
    review->warn(review->arg, &bind->place, text);
}

static void review_binds(const struct review *review, const struct binds_conf *binds)
{
    for (size_t i = 0; i < binds->count; i++) {
        const struct bind_conf *bind = &binds->items[i];
        struct socket_rights rights;
        struct err err;
        if (!addr_is_unix(&bind->addr))
            continue;
        review_directory(review, bind);
        if (socket_rights_find(&rights, bind, &err) < 0)
            review->warn(review->arg, &bind->place, err.text);
    }
}

void machine_review(const struct config *config, machine_warning *warn, void *arg)
{
    const struct review review = {warn, arg};
    struct identity identity;
    struct err err;

    for (size_t i = 0; i < config->listener_count; i++)
        review_binds(&review, &config->listeners[i].binds);
    if (config->admin.enabled)
        review_binds(&review, &config->admin.binds);
    if (privileges_find(&config->privileges, &identity, &err) < 0) {
        struct place file = {.file = config->file.ptr, .line = 1, .column = 1};
        warn(arg, &file, err.text);
    }
}
