/* The two uniform spellings of field names: "x-request-id" and "X-Request-Id". Names are tokens, so
 * they are ASCII. */
#pragma once

#include "base/str.h"

/* Writes `name` at `at` in lower case; or with a capital at its beginning and behind each "-", and
 * all else in lower case. Both answer where it ends. */
char *name_put_lower(char *at, struct str name);
char *name_put_proper(char *at, struct str name);
