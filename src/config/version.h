/* Which libyaml this process runs with. */
#pragma once

const char *config_library_version(void); /* "1.2.3"; static */
