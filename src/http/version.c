/* See version.h. */
#include "http/version.h"

#include <nghttp2/nghttp2.h>

const char *http_library_version(void)
{
    return nghttp2_version(0)->version_str;
}
