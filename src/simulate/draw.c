#include "simulate/draw.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/pure/check.h"

#define GEOMETRIC_MAX 1000000

void draw_zipf_init(struct draw_zipf *z, uint32_t count, double exponent)
{
    must(count > 0);
    *z = (struct draw_zipf){.upto = alloc_zeroed(count, sizeof(*z->upto)), .count = count};
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += pow(i + 1.0, -exponent);
        z->upto[i] = sum;
    }
}

void draw_zipf_fini(struct draw_zipf *z)
{
    free(z->upto);
    *z = (struct draw_zipf){.count = 0};
}

uint32_t draw_zipf_pick(const struct draw_zipf *z, struct rng *rng)
{
    double at = draw_unit(rng) * z->upto[z->count - 1];
    uint32_t low = 0, high = z->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (z->upto[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

double draw_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

uint64_t draw_exponential(struct rng *rng, double mean)
{
    return (uint64_t)llround(-log1p(-draw_unit(rng)) * mean);
}

uint32_t draw_geometric(struct rng *rng, double mean)
{
    if (mean <= 1)
        return 1;
    double trials = ceil(log1p(-draw_unit(rng)) / log1p(-1 / mean));
    return trials < 1 ? 1 : trials > GEOMETRIC_MAX ? GEOMETRIC_MAX : (uint32_t)trials;
}

struct rng draw_stream(uint64_t seed, uint64_t purpose)
{
    struct rng mix = {seed};
    struct rng stream = {rng_next(&mix) ^ purpose * 0x9e3779b97f4a7c15U};
    stream.state = rng_next(&stream);
    return stream;
}
