/* A configuration file as a sorted list of paths and values, everything included and substituted,
 * as it is written: for comparing two of them. What items mean is not looked at, so nothing can be
 * forgotten here when a key is added elsewhere. */
#pragma once

#include "config/config.h"

/* "listeners[edge].bind" = "[0.0.0.0:443, [::]:443]". Items of lists go by their name, those
 * without one by all that they say; lists of plain values are one value. The order of a list of
 * mappings is an item of its own, "routers.mediawiki.rules[]". */
struct flat_item {
    struct str path, value;
    struct place place;
};

struct flat {
    struct arena arena;      /* owns all of the below */
    struct flat_item *items; /* owns: by path, each once */
    size_t count, cap;
};

/* NULL after a complaint. */
struct flat *flat_load(const char *path, struct complaints *complaints);
void flat_free(struct flat *flat);
