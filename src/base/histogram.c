#include "histogram.h"

#include "pure/check.h"

void histogram_observe(struct histogram *h, const struct histogram_buckets *by, uint64_t value)
{
    uint32_t i = 0;
    while (i < by->count && value > by->bounds[i])
        i++;
    must(i <= HISTOGRAM_BUCKETS_MAX);
    h->counts[i]++;
    h->sum += value;
}

uint64_t histogram_count(const struct histogram *h, const struct histogram_buckets *by)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i <= by->count; i++)
        count += h->counts[i];
    return count;
}
