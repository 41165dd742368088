/* Reading histograms: sums over workers, and counts below a limit. */
#pragma once

#include "observe/metrics.h"

/* Which bucket a duration belongs to, and the longest duration of a bucket (the last:
 * UINT64_MAX). */
unsigned histogram_index(uint64_t us);
uint64_t histogram_upper_us(unsigned index);

/* Figures of several workers added up; zero-initialised. */
struct histogram_sum {
    uint64_t bucket[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};
void histogram_sum(struct histogram_sum *sum, const struct histogram *histogram);

/* How many durations were certainly not longer than `limit_us`. A bucket that contains the limit
 * is not counted, so a cumulative count is never too high. */
uint64_t histogram_sum_up_to(const struct histogram_sum *sum, uint64_t limit_us);
