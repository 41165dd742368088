/* Where an item of a configuration stands; for messages and for the trace of a decision. */
#pragma once

#include "base/err.h"

#include <stdio.h>

struct place {
    const char *file; /* borrows from the configuration */
    int line, column; /* 1-based; 0 when the item is a default */
};

/* What went wrong is the doing of the item that stands there. */
static inline void place_err(struct err *err, const struct place *place)
{
    if (place->file == NULL)
        return;
    snprintf(err->file, sizeof(err->file), "%s", place->file);
    err->line = place->line;
    err->column = place->column;
}
