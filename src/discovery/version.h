/* Which c-ares this process runs with. */
#pragma once

const char *discovery_library_version(void); /* "1.2.3"; static */
