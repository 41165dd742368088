/* What the kernel says about this process: for the metrics page, and for what it is held to. */
#pragma once

#include "observe/metrics.h"

/* Adds process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
 * process_open_fds, process_max_fds, process_threads and process_start_time_seconds; a figure that
 * cannot be read is left out. */
void process_metrics_print(struct text *out);

/* The first `size` - 1 bytes of a small file of the kernel's, in `out` with a NUL behind; empty
 * when it cannot be read. Opening files may wait: not on a worker. */
struct str process_read(const char *path, char *out, size_t size);
