/* The files of weir demo: a configuration, its list of wikis, a certificate with its key, and a
 * configuration for the backends, so that all of it can be tried with `weir run`, too. */
#pragma once

#include "base/err.h"

enum { DEMO_PATH_MAX = 4096 };

/* Writes them below `directory`, which is made when it is not there. A file that exists is not
 * overwritten but an error. */
MUST_USE int demo_files_write(const char *directory, struct err *err);

/* A new directory of its own for them, into `directory` (DEMO_PATH_MAX). */
MUST_USE int demo_files_make_directory(char *directory, struct err *err);

/* Removes what demo_files_write has written, and the directory when nothing else is in it. */
void demo_files_remove(const char *directory);
