/* The rarer inhabitants of a loop: wake-ups from other threads, tickers, foreign descriptors. */
#include "base/base.h"
#include "net/loop.h"

#include <errno.h>
#include <ev.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- news from other threads ----------------------------------------------------------------- */

struct wakeup {
    ev_io io; /* its fd is an eventfd that we own */
    struct loop *loop;
    atomic_bool
        sent; /* the eventfd has been written and not yet read: further sends cost nothing */
    void (*woken)(void *arg);
    void *arg;
};

static void on_wakeup(struct ev_loop *ev UNUSED, ev_io *io, int events UNUSED)
{
    struct wakeup *wakeup = io->data;
    uint64_t count;

    ssize_t n UNUSED = read(io->fd, &count, sizeof(count));
    /* Before `woken` looks: what is sent from here on makes another call. */
    atomic_exchange(&wakeup->sent, false);
    wakeup->woken(wakeup->arg);
}

struct wakeup *wakeup_new(struct loop *loop, void (*woken)(void *arg), void *arg)
{
    struct wakeup *wakeup = mem_new(sizeof(*wakeup));
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0)
        assert_failed("eventfd is not available", __FILE__, __LINE__);
    wakeup->loop = loop;
    wakeup->woken = woken;
    wakeup->arg = arg;
    ev_io_init(&wakeup->io, on_wakeup, fd, EV_READ);
    wakeup->io.data = wakeup;
    ev_io_start(loop_ev(loop), &wakeup->io);
    return wakeup;
}

void wakeup_send(struct wakeup *wakeup)
{
    const uint64_t one = 1;
    int saved_errno = errno; /* we may be in a signal handler */

    if (!atomic_exchange(&wakeup->sent, true)) {
        ssize_t n UNUSED = write(wakeup->io.fd, &one, sizeof(one));
    }
    errno = saved_errno;
}

void wakeup_free(struct wakeup *wakeup)
{
    if (wakeup == NULL)
        return;
    ev_io_stop(loop_ev(wakeup->loop), &wakeup->io);
    close(wakeup->io.fd);
    free(wakeup);
}

/* --- repeating timer ------------------------------------------------------------------------- */

struct ticker {
    ev_timer timer;
    struct loop *loop;
    void (*tick)(void *arg);
    void *arg;
};

static void on_tick(struct ev_loop *ev UNUSED, ev_timer *timer, int events UNUSED)
{
    struct ticker *ticker = timer->data;

    ticker->tick(ticker->arg);
}

struct ticker *ticker_new(struct loop *loop, int64_t every_ms, void (*tick)(void *arg), void *arg)
{
    struct ticker *ticker = mem_new(sizeof(*ticker));
    double every_s = (double)MAX(every_ms, 1) / 1000;

    ticker->loop = loop;
    ticker->tick = tick;
    ticker->arg = arg;
    ev_timer_init(&ticker->timer, on_tick, every_s, every_s);
    ticker->timer.data = ticker;
    ev_timer_start(loop_ev(loop), &ticker->timer);
    return ticker;
}

void ticker_free(struct ticker *ticker)
{
    if (ticker == NULL)
        return;
    ev_timer_stop(loop_ev(ticker->loop), &ticker->timer);
    free(ticker);
}

/* --- a foreign descriptor -------------------------------------------------------------------- */

struct fd_watch {
    ev_io io;
    struct loop *loop;
    void (*ready)(void *arg, int fd, int events);
    void *arg;
};

static void on_fd_ready(struct ev_loop *ev UNUSED, ev_io *io, int events)
{
    struct fd_watch *watch = io->data;
    int ready = ((events & EV_READ) ? FD_READABLE : 0) | ((events & EV_WRITE) ? FD_WRITABLE : 0);

    watch->ready(watch->arg, io->fd, ready);
}

struct fd_watch *fd_watch_new(struct loop *loop, int fd, int events,
                              void (*ready)(void *arg, int fd, int events), void *arg)
{
    struct fd_watch *watch = mem_new(sizeof(*watch));
    int wanted = ((events & FD_READABLE) ? EV_READ : 0) | ((events & FD_WRITABLE) ? EV_WRITE : 0);

    watch->loop = loop;
    watch->ready = ready;
    watch->arg = arg;
    ev_io_init(&watch->io, on_fd_ready, fd, wanted);
    watch->io.data = watch;
    if (wanted != 0)
        ev_io_start(loop_ev(loop), &watch->io);
    return watch;
}

void fd_watch_free(struct fd_watch *watch)
{
    if (watch == NULL)
        return;
    ev_io_stop(loop_ev(watch->loop), &watch->io);
    free(watch);
}
