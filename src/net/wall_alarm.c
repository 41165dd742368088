/* One timerfd of CLOCK_REALTIME per loop, set to the earliest alarm. The kernel ends its wait when
 * the clock is set (TFD_TIMER_CANCEL_ON_SET), so a jump is noticed at once. */
#include "net/wall_alarm.h"

#include "net/loop_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The latest date that is given to the kernel: 2200. */
#define DATE_MAX_US (INT64_C(7258118400) * 1000000)

struct wall_alarms {
    struct loop_extra extra;
    struct loop *loop; /* borrows */
    struct list set;   /* struct wall_alarm */
    int fd;            /* owns */
    struct fd_watch *watch;
    int64_t armed_us; /* what fd is set to; 0: nothing */
};

static void arm(struct wall_alarms *alarms)
{
    int64_t earliest_us = DATE_MAX_US;

    LIST_EACH(node, &alarms->set)
    earliest_us = MIN(earliest_us, CONTAINER_OF(node, struct wall_alarm, node)->at_wall_us);
    if (list_is_empty(&alarms->set) || earliest_us == alarms->armed_us)
        return;
    alarms->armed_us = earliest_us;
    /* A time of 0 would disarm the timer. */
    int64_t at_us = MAX(earliest_us, 1);
    const struct itimerspec spec = {
        .it_value = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000}};
    if (timerfd_settime(alarms->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL) < 0)
        assert_failed("timerfd_settime failed", __FILE__, __LINE__);
}

/* Rings what is due, or everything when the wall clock was set. */
static void ring_due(struct wall_alarms *alarms, bool was_clock_set)
{
    int64_t now_us = loop_wall_us(alarms->loop);
    struct list due;

    list_init(&due);
    LIST_EACH(node, &alarms->set)
    {
        struct wall_alarm *alarm = CONTAINER_OF(node, struct wall_alarm, node);
        if (!was_clock_set && alarm->at_wall_us > now_us)
            continue;
        list_remove(node);
        list_push_back(&due, node);
    }
    /* An alarm that rings may set, clear or deinit any other. */
    for (struct list *node; (node = list_pop_front(&due)) != NULL;) {
        struct wall_alarm *alarm = CONTAINER_OF(node, struct wall_alarm, node);
        alarm->ring(alarm);
    }
}

static void on_timer(void *arg, int fd, int events UNUSED)
{
    struct wall_alarms *alarms = arg;
    bool was_clock_set = false;
    uint64_t expirations;

    if (read(fd, &expirations, sizeof(expirations)) < 0) {
        if (errno != ECANCELED)
            return;
        was_clock_set = true;
    }
    alarms->armed_us = 0;
    ring_due(alarms, was_clock_set);
    arm(alarms);
}

/* --- what the loop has of it ----------------------------------------------------------------- */

static void on_turn(struct loop_extra *extra, bool was_wall_clock_set)
{
    ring_due(CONTAINER_OF(extra, struct wall_alarms, extra), was_wall_clock_set);
}

static void alarms_free(struct loop_extra *extra)
{
    struct wall_alarms *alarms = CONTAINER_OF(extra, struct wall_alarms, extra);

    fd_watch_free(alarms->watch);
    close(alarms->fd);
    free(alarms);
}

static struct wall_alarms *alarms_new(struct loop *loop)
{
    struct wall_alarms *alarms = mem_new(sizeof(*alarms));

    alarms->extra = (struct loop_extra){.turn = on_turn, .free = alarms_free};
    alarms->loop = loop;
    list_init(&alarms->set);
    alarms->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (alarms->fd < 0)
        assert_failed("timerfd is not available", __FILE__, __LINE__);
    alarms->watch = fd_watch_new(loop, alarms->fd, FD_READABLE, on_timer, alarms);
    return alarms;
}

static struct wall_alarms *alarms_of(struct loop *loop)
{
    struct loop_extra **extra = loop_alarms(loop);

    if (*extra == NULL)
        *extra = &alarms_new(loop)->extra;
    return CONTAINER_OF(*extra, struct wall_alarms, extra);
}

/* --- alarms ---------------------------------------------------------------------------------- */

void wall_alarm_init(struct wall_alarm *alarm, void (*ring)(struct wall_alarm *alarm))
{
    *alarm = (struct wall_alarm){.ring = ring};
    list_init(&alarm->node);
}

void wall_alarm_set(struct loop *loop, struct wall_alarm *alarm, int64_t at_wall_us)
{
    struct wall_alarms *alarms = alarms_of(loop);

    wall_alarm_clear(alarm);
    alarm->at_wall_us = at_wall_us;
    list_push_back(&alarms->set, &alarm->node);
    arm(alarms);
}

void wall_alarm_clear(struct wall_alarm *alarm)
{
    list_remove(&alarm->node);
}

void wall_alarm_deinit(struct wall_alarm *alarm)
{
    list_remove(&alarm->node);
}
