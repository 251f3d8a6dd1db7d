/* timeline.h: who was where, and how many waited, written down for a plot. */
#ifndef SIMULATE_TIMELINE_H
#define SIMULATE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_NEVER UINT64_MAX

/* From the order to load to the last byte gone. */
struct timeline_stay {
    uint32_t model, devices;            /* a mask; 0: on no device */
    uint64_t from_ns, loaded_ns, to_ns; /* loaded_ns: TIMELINE_NEVER where it never was */
};

/* A time in which a model served something. */
struct timeline_work {
    uint32_t stay;
    uint64_t from_ns, to_ns;
};

struct timeline_point {
    uint64_t at_ns;
    uint32_t waiting;
};

/* All zero is an empty timeline. */
struct timeline {
    struct timeline_stay *stays; /* owned, as all arrays */
    struct timeline_work *works;
    struct timeline_point *points;
    uint32_t stay_count, work_count, point_count;
    uint64_t from_ns, to_ns;
};

void timeline_fini(struct timeline *t);
/* Returns the stay's number, for the three calls below. */
uint32_t timeline_come(struct timeline *t, uint32_t model, uint32_t devices, uint64_t at_ns);
void timeline_loaded(struct timeline *t, uint32_t stay, uint64_t at_ns);
void timeline_leave(struct timeline *t, uint32_t stay, uint64_t at_ns);
void timeline_work(struct timeline *t, uint32_t stay, uint64_t from_ns, uint64_t to_ns);
void timeline_waiting(struct timeline *t, uint64_t at_ns, uint32_t waiting);

#endif
