/* Which requests are refused, and which of their fields are taken out, when they arrive, so that
 * neither conditions nor upstreams see them. The proxy marks them in the head that it has; the
 * tools and libweir-route leave them out of what they are given. */
#pragma once

#include "config/config.h"

/* The listener in front of routers[index]: the first that asks it; NULL when there is none. */
const struct listener_conf *arrival_listener(const struct config *config, size_t index);

/* Does `listener` (NULL: none) take this forwarding field from clients that it does not trust? */
bool arrival_removes_untrusted(const struct listener_conf *listener, struct str name);

/* Is the name odd (base/field_names.h), and does `listener` not keep such fields? */
bool arrival_name_is_odd(const struct listener_conf *listener, struct str name);

/* Does `listener` (NULL: none) take a path with encoded controls, and a target with raw UTF-8? */
bool arrival_takes_target(const struct listener_conf *listener, struct str target);

/* Is there something left of a field `name` for `router` to see? `listener` may be NULL. */
bool arrival_keeps(const struct listener_conf *listener, const struct router_conf *router,
                   bool is_trusted, struct str name);

/* Does the router have a debug header of its own name? It is taken from untrusted clients, as
 * X-Wikimedia-Debug is, which stands among the forwarding fields. */
bool arrival_removes_debug(const struct router_conf *router);
