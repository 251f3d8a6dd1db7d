#include <math.h>
#include <stdlib.h>

#include "store/store.h"

#define BINS_MIN 5

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two values that the rank lies between. */
static double percentile(const double *sorted, uint64_t count, double part)
{
    double rank = part * (double)(count - 1);
    uint64_t below = (uint64_t)rank, above = below + 1 < count ? below + 1 : below;
    double share = rank - (double)below;
    return sorted[below] + (sorted[above] - sorted[below]) * share;
}

static uint32_t bins_for(uint64_t count)
{
    double bins = ceil(log2((double)count)) + 1;
    return bins < BINS_MIN ? BINS_MIN : bins > STORE_BINS_MAX ? STORE_BINS_MAX : (uint32_t)bins;
}

void store_histogram(double *values, uint64_t count, struct store_histogram *ret)
{
    *ret = (struct store_histogram){.values = count};
    if (count == 0)
        return;
    qsort(values, count, sizeof(*values), compare);
    ret->min = values[0];
    ret->max = values[count - 1];
    ret->p50 = percentile(values, count, 0.5);
    ret->p95 = percentile(values, count, 0.95);
    ret->p99 = percentile(values, count, 0.99);
    ret->bin_count = 1;
    if (ret->max > ret->min) {
        ret->bin_count = bins_for(count);
        ret->bin_size = (ret->max - ret->min) / ret->bin_count;
    }
    for (uint64_t i = 0; i < count; i++) {
        double bin = ret->bin_size > 0 ? (values[i] - ret->min) / ret->bin_size : 0;
        ret->bins[bin < ret->bin_count ? (uint32_t)bin : ret->bin_count - 1]++;
    }
}
