#include "simulate/result.h"

#include <stdlib.h>

void sim_result_fini(struct sim_result *r)
{
    free(r->models);
    *r = (struct sim_result){.model_count = 0};
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The least wait that at least so many permille of all do not exceed. */
static uint64_t rank(const uint64_t *waits_ns, uint32_t count, uint32_t permille)
{
    uint64_t place = ((uint64_t)count * permille + 999) / 1000;
    return waits_ns[place ? place - 1 : 0];
}

void sim_waits_from(uint64_t *waits_ns, uint32_t count, struct sim_waits *ret)
{
    uint64_t sum = 0;
    *ret = (struct sim_waits){.count = count};
    if (count == 0)
        return;
    qsort(waits_ns, count, sizeof(*waits_ns), by_size);
    for (uint32_t i = 0; i < count; i++)
        sum += waits_ns[i];
    ret->mean_ns = sum / count;
    ret->p50_ns = rank(waits_ns, count, 500);
    ret->p95_ns = rank(waits_ns, count, 950);
    ret->p99_ns = rank(waits_ns, count, 990);
    ret->max_ns = waits_ns[count - 1];
}
