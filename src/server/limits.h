/* Process limits. */
#pragma once

#include "base/base.h"

/* Raises the number of descriptors to the hard limit, and warns when that is too few for
 * `max_connections` clients with an upstream connection each. */
void limits_raise_descriptors(uint32_t max_connections);
