/* See version.h. */
#include "discovery/version.h"

#include <ares.h>
#include <stddef.h>

const char *discovery_library_version(void)
{
    return ares_version(NULL);
}
