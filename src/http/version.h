/* Which nghttp2 this process runs with. */
#pragma once

const char *http_library_version(void); /* "1.2.3"; static */
