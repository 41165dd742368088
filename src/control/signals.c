/* Signals come through a signalfd, so that they are handled between two events of the loop and
 * never in the middle of one. */
#include "control/signals.h"

#include "base/log.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void handle_signal(const struct signal_handlers *handlers, int number)
{
    switch (number) {
    case SIGHUP:
        handlers->hangup(handlers->arg);
        break;
    case SIGUSR1:
        handlers->reopen(handlers->arg);
        break;
    case SIGUSR2:
        LOG_WARN("signal_ignored",
                 "signal=SIGUSR2 reason=\"upgrading the binary is not supported\"");
        break;
    default:
        handlers->end(handlers->arg);
        break;
    }
}

static void on_signal(void *arg, int fd, int events UNUSED)
{
    const struct signals *signals = arg;
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        LOG_DEBUG("signal", "number=%u pid=%u", info.ssi_signo, info.ssi_pid);
        handle_signal(&signals->handlers, (int)info.ssi_signo);
    }
}

/* These signals would end the process by default. A handler that something else has installed, such
 * as a preloaded profiler, stays. SIGXFSZ is ignored so that a file size limit becomes a failed
 * write, which is counted. */
static void ignore_other_signals(void)
{
    static const int numbers[] = {SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF,
                                  SIGIO,   SIGPWR,  SIGSTKFLT, SIGXFSZ};
    struct sigaction now;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(numbers[i], SIG_IGN);
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(number, SIG_IGN);
    }
}

static void init(struct control_part *part)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    struct signals *signals = CONTAINER_OF(part, struct signals, part);
    sigset_t set;

    ignore_other_signals();
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        sigaddset(&set, handled[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        assert_failed("signalfd is not available", __FILE__, __LINE__);
    signals->watch =
        fd_watch_new(control_loop(part->control), signals->fd, FD_READABLE, on_signal, signals);
}

static void release(struct control_part *part)
{
    struct signals *signals = CONTAINER_OF(part, struct signals, part);

    fd_watch_free(signals->watch);
    close(signals->fd);
}

void signals_add(struct signals *signals, struct control *control,
                 const struct signal_handlers *handlers)
{
    static const struct control_part_ops ops = {.name = "signals", .init = init, .free = release};

    signals->handlers = *handlers;
    control_add(control, &signals->part, &ops);
}
