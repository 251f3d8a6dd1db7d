/* histogram.h: how often something took how long, or was how large: counts in buckets of fixed
 * bounds. Plain data without allocation: all zero is one that has seen nothing. An observation is a
 * look along the bounds and two additions. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS_MAX 15

/* Rising upper bounds, which belong to their bucket. Static: shared by all histograms of a kind. */
struct histogram_buckets {
    uint64_t bounds[HISTOGRAM_BUCKETS_MAX];
    uint32_t count;
};

struct histogram {
    uint64_t sum; /* of all values; wraps around after 584 years of ns */
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1]; /* each by itself; [count]: above all bounds */
};

void histogram_observe(struct histogram *h, const struct histogram_buckets *by, uint64_t value);
/* How many values there were. */
uint64_t histogram_count(const struct histogram *h, const struct histogram_buckets *by);

#endif
