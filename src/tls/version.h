/* Which OpenSSL this process runs with. */
#pragma once

const char *tls_library_version(void); /* "1.2.3"; static */
