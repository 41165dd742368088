/* How many descriptors the process may have, and how they are shared out. */
#pragma once

#include "base/base.h"

/* Raises the number of descriptors to the hard limit, and warns when that is too few for
 * `max_connections` clients with an upstream connection each. */
void limits_raise_descriptors(uint32_t max_connections);

/* The highest descriptor numbers for client connections and for upstream connections. The rest is for
 * the admin port, files and DNS. 0: no bound. */
struct descriptor_limits {
    uint32_t accept_max, connect_max;
};
struct descriptor_limits limits_descriptors(void);
