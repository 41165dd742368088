/* What a start on this machine would refuse and no file can tell: users that do not exist here,
 * directories that are missing. For `weir check`, which may run on another machine. */
#pragma once

#include "config/config.h"

typedef void machine_warning(void *arg, const struct place *place, const char *text);

void machine_review(const struct config *config, machine_warning *warn, void *arg);
