/* The alarms of one loop; for net/ alone. */
#pragma once

#include "net/wall_alarm.h"

struct wall_alarms;
struct wall_alarms *wall_alarms_new(struct loop *loop);
void wall_alarms_free(struct wall_alarms *alarms);

/* Rings what is due, or everything when the wall clock was set. */
enum wall_clock_news { WALL_CLOCK_RUNS, WALL_CLOCK_WAS_SET };
void wall_alarms_ring(struct wall_alarms *alarms, enum wall_clock_news news);

/* The loop's alarms, made at the first call. */
struct wall_alarms *loop_wall_alarms(struct loop *loop);
