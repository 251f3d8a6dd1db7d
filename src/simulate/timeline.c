#include "simulate/timeline.h"

#include <stdlib.h>

#include "base/alloc.h"

#define COUNT_MIN 256

/* Room for one more, by doubling: a power of two is full. */
static void *room(void *items, uint32_t count, size_t size)
{
    bool is_full = count == 0 || (count >= COUNT_MIN && (count & (count - 1)) == 0);
    if (!is_full)
        return items;
    return alloc_grow(items, count ? 2 * (size_t)count : COUNT_MIN, size);
}

void timeline_fini(struct timeline *t)
{
    free(t->stays);
    free(t->works);
    free(t->points);
    *t = (struct timeline){.stay_count = 0};
}

uint32_t timeline_come(struct timeline *t, uint32_t model, uint32_t devices, uint64_t at_ns)
{
    t->stays = room(t->stays, t->stay_count, sizeof(*t->stays));
    t->stays[t->stay_count] = (struct timeline_stay){model, devices, at_ns, TIMELINE_NEVER, at_ns};
    return t->stay_count++;
}

void timeline_loaded(struct timeline *t, uint32_t stay, uint64_t at_ns)
{
    t->stays[stay].loaded_ns = at_ns;
}

void timeline_leave(struct timeline *t, uint32_t stay, uint64_t at_ns)
{
    t->stays[stay].to_ns = at_ns;
}

void timeline_work(struct timeline *t, uint32_t stay, uint64_t from_ns, uint64_t to_ns)
{
    t->works = room(t->works, t->work_count, sizeof(*t->works));
    t->works[t->work_count++] = (struct timeline_work){stay, from_ns, to_ns};
}

void timeline_waiting(struct timeline *t, uint64_t at_ns, uint32_t waiting)
{
    if (t->point_count && t->points[t->point_count - 1].at_ns == at_ns) {
        t->points[t->point_count - 1].waiting = waiting;
        return;
    }
    t->points = room(t->points, t->point_count, sizeof(*t->points));
    t->points[t->point_count++] = (struct timeline_point){at_ns, waiting};
}
