/* What the kernel reports about this process, for the metrics page and for the limits of memory. */
#pragma once

#include "observe/metrics.h"

/* Adds the PROCESS_FIGURES of metrics_table.h; a figure that cannot be read is left out. */
void process_metrics_print(struct text *out);

/* The first `size` - 1 bytes of a small file of the kernel, in `out` with a NUL at the end;
 * empty when it cannot be read. Not for workers, because opening files may wait. */
struct str process_read(const char *path, char *out, size_t size);
