/* Log-linear histograms: 8 sub-buckets for each power of two. An addition is a few shifts, and
 * no value is wrong by more than 12.5 %. Values below 8 µs have a bucket each. The last bucket
 * counts everything above about two hours. */
#include "observe/histogram.h"

enum { SUB_BITS = 3, SUB_BUCKETS = 1 << SUB_BITS };

unsigned histogram_index(uint64_t us)
{
    if (us < SUB_BUCKETS)
        return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned sub = (unsigned)(us >> (power - SUB_BITS)) & (SUB_BUCKETS - 1);
    return MIN((power - SUB_BITS + 1) * SUB_BUCKETS + sub, HISTOGRAM_BUCKETS - 1u);
}

uint64_t histogram_upper_us(unsigned index)
{
    if (index >= HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    if (index < SUB_BUCKETS)
        return index;
    unsigned shift = index / SUB_BUCKETS - 1;
    uint64_t lower = (uint64_t)(SUB_BUCKETS + index % SUB_BUCKETS) << shift;
    return lower + ((uint64_t)1 << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    metric_add(&histogram->bucket[histogram_index(us)], 1);
    metric_add(&histogram->sum_us, us);
}

void histogram_sum(struct histogram_sum *sum, const struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->bucket[i] += metric_get(&histogram->bucket[i]);
    sum->sum_us += metric_get(&histogram->sum_us);
}

uint64_t histogram_sum_up_to(const struct histogram_sum *sum, uint64_t limit_us)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_upper_us(i) <= limit_us; i++)
        count += sum->bucket[i];
    return count;
}
