/* A configuration in use by one worker, and each of its listeners. */
#pragma once

#include "config/config.h"
#include "http/session.h"
#include "observe/metrics.h"

struct group;
struct routers;
struct tls_server;
struct weights;

struct serving_listener {
    const struct listener_conf *conf; /* borrows */
    struct tls_server *tls;           /* shares; NULL: plain */
    uint64_t key;                     /* its name, among the quotas */
    struct session_limits limits;
    bool removed_untrusted[HEADER_COUNT]; /* request fields that only trusted clients may send */
};

struct serving {
    unsigned refs;
    const struct config *config; /* borrows until release() */
    const struct routers *routers;
    struct weights **weights;           /* shares: those in force, one per router */
    struct serving_listener *listeners; /* owns: one per config.listeners */
    struct group **groups;              /* shares: one per config.groups */
    metric ***dc_metrics; /* owns: [router][dc_why, then rules of primary_if], found once */
    void (*release)(void *arg);
    void *release_arg;
};

struct serving *serving_ref(struct serving *serving);
void serving_unref(struct serving **serving);
