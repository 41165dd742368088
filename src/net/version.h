/* Which libev this process runs with. */
#pragma once

const char *net_library_version(void); /* "1.2.3"; static */
