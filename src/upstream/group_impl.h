/* How groups follow the configuration; for upstream.c alone. */
#pragma once

#include "tls/client.h"
#include "upstream/group.h"

/* One reference. `side`, a static text: "legacy", "k8s" or "-". */
struct group *group_new(struct upstream *upstream, const struct group_conf *conf, const char *side);

/* Takes the configuration that is in force from now on. Targets that match their predecessor keep
 * their connections, the others retire. `plan` is NULL for a group without TLS. */
void group_configure(struct group *group, const struct group_conf *conf,
                     struct tls_client_plan *plan, const char *side);

/* Leaves the configuration: its targets retire. Drops one reference. */
void group_retire(struct group *group);

/* An endpoint set has changed: targets that use its key look at it again. */
void group_refresh(struct group *group, struct str key);
