/* gate.h: a named limit on how many may be inside at once. A leaf: it knows nothing of the core,
 * and no time.
 *
 * With limit 1 it is a priority gate: foreground goes before background, first come first served
 * within a class, nobody inside is ever put out, a waiter that left is never served. One that its
 * owner calls overdue goes before all that are not, in the order in which they were called so. The
 * caller owns the entrants and the memory of everything; nothing is called back: gate_leave says
 * who comes in. The rules are those of the priority gate that wharf was asked to implement.
 *
 * Who waits at several gates stands behind the same others in all of them, as long as its owner
 * enters it, and calls it overdue, everywhere at once: so that of all who wait, one is the first at
 * each of its gates. */
#ifndef CORE_GATE_H
#define CORE_GATE_H

#include "base/pure/list.h"
#include "core/words.h"

enum gate_place { GATE_OUTSIDE, GATE_WAITING, GATE_INSIDE };

/* Embedded in whoever wants in; zero is valid and outside. */
struct gate_entrant {
    struct link link; /* private: in the list that it waits in */
    enum gate_place place;
    enum class class;
    bool overdue;
};

struct gate {
    uint32_t limit, inside;
    uint64_t wait_ns_max[CLASS__COUNT]; /* for the owner: then one is overdue; 0: never */
    struct list waiting[CLASS__COUNT], overdue;
};

void gate_init(struct gate *g, uint32_t limit);
/* True: inside at once. False: it waits. A newcomer never passes one that waits, whatever its
 * class: who waits is served by gate_leave. (A lease that stands at the head and waits for its
 * bytes has been offered the slot: a higher class that comes meanwhile is offered it first.) */
bool gate_enter(struct gate *g, struct gate_entrant *e, enum class class);
/* It waits, even where there is room: gate_admit lets it in. */
void gate_queue(struct gate *g, struct gate_entrant *e, enum class class);
/* It is inside, whatever the limit: it was so before a restart. */
void gate_restore(struct gate *g, struct gate_entrant *e, enum class class);
/* It waits, and has waited for too long. */
void gate_overdue(struct gate *g, struct gate_entrant *e);
/* The entrant leaves from wherever it is: inside, waiting (a cancel) or outside (no effect). Then,
 * as often as there is room, gate_next admits one. */
void gate_leave(struct gate *g, struct gate_entrant *e);
/* Who comes in next, once there is room; NULL when nobody waits. */
struct gate_entrant *gate_head(const struct gate *g);
bool gate_has_room(const struct gate *g);
/* The head comes in; there must be room. */
void gate_admit(struct gate *g, struct gate_entrant *e);
/* Admits the next waiter if there is room; NULL when nobody can come in. Call until NULL after
 * gate_leave and after the limit grew. */
struct gate_entrant *gate_next(struct gate *g);
uint32_t gate_waiting(const struct gate *g);
void gate_check(const struct gate *g);

#endif
