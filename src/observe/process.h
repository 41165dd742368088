/* What the kernel says about this process, for the metrics page. */
#pragma once

#include "observe/metrics.h"

/* Adds process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
 * process_open_fds, process_max_fds, process_threads and process_start_time_seconds; a figure that
 * cannot be read is left out. */
void process_metrics_print(struct text *out);
