/* Telling systemd how we are (sd_notify(3)); nothing happens where NOTIFY_SOCKET is not set. */
#pragma once

#include "base/base.h"

void notify_ready(void);
void notify_reloading(void); /* ends with the next notify_ready */
void notify_stopping(void);
