/* Part: signals become calls on the control thread. */
#pragma once

#include "control/control.h"

/* What the owner does about each signal; `arg` is given to all. */
struct signal_handlers {
    void (*end)(void *arg);    /* SIGTERM, SIGINT, SIGQUIT */
    void (*hangup)(void *arg); /* SIGHUP */
    void (*reopen)(void *arg); /* SIGUSR1 */
    void *arg;
};

struct signals {
    struct control_part part;
    struct signal_handlers handlers;
    int fd; /* owns: a signalfd */
    struct fd_watch *watch;
};

/* Blocks the signals that it reads, so it must be added before any other thread starts: threads
 * inherit the mask. Signals that have no meaning for weir are ignored from now on. */
void signals_add(struct signals *signals, struct control *control,
                 const struct signal_handlers *handlers);
