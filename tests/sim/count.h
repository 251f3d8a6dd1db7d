/* count.h: how often everything was seen, so that one sees what the simulation never reaches. */
#ifndef SIM_COUNT_H
#define SIM_COUNT_H

#include <stdio.h>

#include "core/core.h"

struct counts {
    uint64_t seeds, steps, waiting_sum, most_effects;
    uint64_t events[EVENT__COUNT], effects[EFFECT__COUNT], notices[NOTICE__COUNT];
    uint64_t refusals[REASON__COUNT], decisions[REASON__COUNT], unloads[REASON__COUNT];
    uint64_t lease_ends[REASON__COUNT], commands_done[REASON__COUNT], traces[4 + 1];
    uint64_t sched[3], plan[3];
};

void count_event(struct counts *c, const struct event *ev);
void count_effect(struct counts *c, const struct effect *e);
void count_add(struct counts *to, const struct counts *from);
/* Those that were seen and, at the end, those that never were. */
void count_print(const struct counts *c, FILE *out);

#endif
