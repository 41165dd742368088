/* See version.h. */
#include "net/version.h"

#include <ev.h>
#include <stdio.h>

const char *net_library_version(void)
{
    static char text[16];

    snprintf(text, sizeof(text), "%d.%02d", ev_version_major(), ev_version_minor());
    return text;
}
