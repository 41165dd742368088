/* Alarms of the wall clock, for what is due at a date and not after a time: a certificate that
 * expires, a ramp that goes on at noon. Deadlines (loop.h) follow the monotonic clock and know
 * nothing of dates. */
#pragma once

#include "net/loop.h"

/* Later than any date: such an alarm rings only when the wall clock is set. */
#define WALL_NEVER INT64_MAX

/* `ring` is called once, when the wall clock has reached `at_wall_us`, or when the wall clock was
 * set, forward or back, whichever comes first. In both cases the alarm is not set any more, so the
 * owner looks at loop_wall_us, does what is due, and sets the alarm again. */
struct wall_alarm {
    struct list node;
    int64_t at_wall_us;
    void (*ring)(struct wall_alarm *alarm);
};

void wall_alarm_init(struct wall_alarm *alarm, void (*ring)(struct wall_alarm *alarm));

/* Sets the alarm, or moves it. */
void wall_alarm_set(struct loop *loop, struct wall_alarm *alarm, int64_t at_wall_us);
void wall_alarm_clear(struct wall_alarm *alarm);
void wall_alarm_deinit(struct wall_alarm *alarm);
