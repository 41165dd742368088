/* See progress.h. */
#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 40, REDRAW_MS = 200 };

void progress_init(struct progress *progress, uint64_t total)
{
    *progress = (struct progress){
        .total = total,
        .shown_at_ms = (uint64_t)clock_mono_ms(),
        .is_shown = total > 0 && isatty(STDERR_FILENO),
    };
}

void progress_at(struct progress *progress, uint64_t done)
{
    static const char full[] = "########################################";
    uint64_t now = progress->is_shown ? (uint64_t)clock_mono_ms() : 0;

    if (!progress->is_shown || now - progress->shown_at_ms < REDRAW_MS)
        return;
    progress->shown_at_ms = now;
    progress->has_drawn = true;
    done = MIN(done, progress->total);
    fprintf(stderr, "\r[%-*.*s] %3" PRIu64 "%%", BAR_WIDTH,
            (int)(done * BAR_WIDTH / progress->total), full, done * 100 / progress->total);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->has_drawn)
        fprintf(stderr, "\r%*s\r", BAR_WIDTH + 8, "");
    progress->has_drawn = false;
}
