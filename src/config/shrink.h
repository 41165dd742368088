/* Lists that became much shorter from one configuration to the next: cut off while they were
 * written, perhaps. Only warnings come of it. */
#pragma once

#include "config/config.h"

/* `report` is given one line for each list of `after`, and for the table of wikis, that has lost
 * more than the share `list_shrink_warning` of what it had in `before`. */
typedef void shrink_report(void *arg, const struct place *place, const char *text);
void config_compare_lists(const struct config *before, const struct config *after,
                          shrink_report *report, void *arg);
