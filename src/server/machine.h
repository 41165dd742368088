/* Reasons why a start would fail on this machine that are not in the configuration: users that do
 * not exist here, missing directories. They are warnings of `weir check`, because it may run on
 * another machine. */
#pragma once

#include "config/config.h"

typedef void machine_warning(void *arg, const struct place *place, const char *text);

void machine_review(const struct config *config, machine_warning *warn, void *arg);
