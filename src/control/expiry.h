/* Part: certificates that expire. A metric shows when each one does, and a line in the log says so
 * at the moment when it happens. */
#pragma once

#include "control/control.h"
#include "net/wall_alarm.h"

struct expiry {
    struct control_part part;
    struct wall_alarm next;   /* the next certificate expires, or the clock was set */
    int64_t reported_until_s; /* certificates that expired until then were reported */
};

void expiry_add(struct expiry *expiry, struct control *control);
