/* agenda.h: what is going to happen in a simulated world, by time; equal times in the order in
 * which they were put in. */
#ifndef SIMULATE_AGENDA_H
#define SIMULATE_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

#define AGENDA_NEVER UINT64_MAX

struct agenda_item {
    uint64_t at_ns, seq;
    uint64_t token; /* the caller's, as are kind and index */
    uint32_t kind, index;
};

/* All zero is an empty agenda. */
struct agenda {
    struct agenda_item *items; /* owned; a heap with four children a node */
    uint32_t count, items_max;
    uint64_t seq;
};

void agenda_fini(struct agenda *a);
/* item.seq is filled in. */
void agenda_put(struct agenda *a, struct agenda_item item);
/* AGENDA_NEVER when it is empty. */
uint64_t agenda_next(const struct agenda *a);
/* The first; there must be one. */
struct agenda_item agenda_take(struct agenda *a);

#endif
