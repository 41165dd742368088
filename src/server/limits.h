/* Process limits. */
#pragma once

#include "base/base.h"

/* Raises the number of descriptors to the hard limit, and warns when that is too few for
 * `max_connections` clients with an upstream connection each. */
/* How many descriptors there may be for connections. */
uint64_t limits_descriptors(void);

void limits_raise_descriptors(uint32_t max_connections);
