/* Reports the state of the process to systemd (sd_notify(3)). Without NOTIFY_SOCKET in the environment
 * these functions do nothing. */
#pragma once

#include "base/base.h"

void notify_ready(void);
void notify_reloading(void); /* ends with the next notify_ready */
void notify_stopping(void);
