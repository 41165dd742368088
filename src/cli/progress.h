/* How far a long file has been read, on standard error when that is a terminal. */
#pragma once

#include "base/base.h"

struct progress {
    uint64_t total, shown_at_ms;
    bool is_shown, has_drawn;
};

/* `total` 0: unknown, nothing is shown. */
void progress_init(struct progress *progress, uint64_t total);

/* Draws, a few times a second. */
void progress_at(struct progress *progress, uint64_t done);

/* Takes it off the screen. */
void progress_end(struct progress *progress);
