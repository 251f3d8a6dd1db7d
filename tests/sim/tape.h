/* tape.h: the notes of a run in order, each with what it refers to, so that they can be told again
 * to a fresh core, all of them or some. */
#ifndef SIM_TAPE_H
#define SIM_TAPE_H

#include "judge/judge.h"
#include "note.h"

struct tape_item {
    struct note note;
    void *payload;      /* configuration, wishes or uses; the tape's */
    uint64_t *use_tags; /* of a sample's uses: 0 for a model */
};

struct tape {
    struct core_limits limits;
    struct terms terms;
    struct tape_item *items;
    size_t count, room;
};

/* Copies the note; n->ev is complete. */
void tape_record(struct tape *t, struct judge *j, const struct note *n);
void tape_fini(struct tape *t);
/* The copies are the tape's; only what the tape itself points to is changed by a change of them. */
struct core_config *tape_config(const struct tape_item *item);

#endif
