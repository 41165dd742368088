/* Mobile hosts: de.m.wikipedia.org is the wiki de.wikipedia.org. Pure; used when a configuration is
 * checked and for every request. */
#pragma once

#include "config/router_conf.h"

enum { FOLD_MAX = 256 }; /* longer hosts stay as they are; no valid one is */

/* The host under which `host` (canonical) is looked up: what an alias says, else `host` without its
 * labels "m", which goes into `out` (FOLD_MAX bytes); `host` itself when it is not a mobile one. */
struct str mobile_fold(const struct split_conf *split, struct str host, char *out);

/* `host` without its labels "m", into `out` (FOLD_MAX bytes); host.len ≤ FOLD_MAX. */
struct str mobile_drop_labels(struct str host, char *out);
