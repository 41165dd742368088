/* Part: DNS. It keeps the names of the configuration resolved, and lets its owner wait, for a
 * bounded time, until each name has its first answer. */
#pragma once

#include "control/control.h"
#include "discovery/resolver.h"

enum { DNS_WAIT_MS = 5000 };

struct dns {
    struct control_part part;
    struct resolver *resolver; /* owns */
    struct task check;
    struct deadline give_up;
    void (*waiter)(void *arg); /* NULL: nothing waits */
    void *waiter_arg;
};

void dns_add(struct dns *dns, struct control *control);

/* The names of `config` are kept resolved from now on. */
void dns_watch(struct dns *dns, const struct config *config);

/* Calls `waiter` once, from the loop, when every name has had its first answer (good or bad), or
 * after DNS_WAIT_MS. Replaces an earlier waiter. */
void dns_wait(struct dns *dns, void (*waiter)(void *arg), void *arg);
void dns_stop_waiting(struct dns *dns);
