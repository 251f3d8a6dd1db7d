/* replay.h: tells a tape, or part of it, to a fresh core, and makes a failing one short. */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "run.h"
#include "tape.h"

struct replay {
    enum rule broken;
    char text[200];
    struct tape heard; /* what was told indeed: the legal ones, up to the break */
};

/* ticks: deadlines get their TICKs by themselves, as in a golden story, and the tape's own are left
 * out. peace: everything comes to its end after the last event. keep: which items; NULL: all. */
struct replay_how {
    bool ticks, peace;
    bool unchecked; /* the core does not check itself */
    const bool *keep;
    FILE *trace;
};

void replay_tape(const struct tape *t, const struct replay_how *how, struct replay *ret);
void replay_fini(struct replay *r);

/* Makes *t as short as it gets while the same rule (and for RULE_CHECK, the same check) is broken.
 * False when the tape does not break it again. *how: as it was told in the end. */
bool shrink_tape(struct tape *t, enum rule rule, const char *text, struct replay_how *how);

#endif
