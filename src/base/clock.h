/* The two clocks. Rooms that decide take the time as an argument; only loops and threads ask
 * here. */
#pragma once

#include "base/base.h"

int64_t clock_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
int64_t clock_mono_ms(void); /* the same, milliseconds */
int64_t clock_wall_us(void); /* CLOCK_REALTIME, microseconds since 1970 */
