/* A second look at a configuration that is right: what will probably not do what was meant. Only
 * warnings come of it, and only who asks pays for it: `weir check` and programs that use the
 * library do, a start and a reload do not. */
#pragma once

#include "config/config.h"

/* Adds what there is to say, sorted, to `complaints`. */
void config_review(const struct config *config, struct complaints *complaints);

/* What of the table of wikis stands in no rule and in no list of any router, in the order of the
 * table; how many. */
typedef void review_host(void *arg, const struct wiki_conf *wiki);
size_t config_review_hosts(const struct config *config, review_host *found, void *arg);
