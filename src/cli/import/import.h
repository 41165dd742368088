/* weir import: what people have, as weir's YAML. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdio.h>

struct import;
struct import *import_new(void);
void import_free(struct import *import);

/* The table of wikis: "name host mobile-host" in each line. */
MUST_USE int import_wikis(struct import *import, const char *path, struct err *err);

/* The Lua table of the original split, or a list of database names. `share` is the list's, NULL
 * when none was given. The file's type is detected from its content. */
MUST_USE int import_file(struct import *import, const char *path, const char *share,
                         struct err *err);

/* `split:` of a router; how many doubts there are in it. */
size_t import_print(struct import *import, FILE *out);
