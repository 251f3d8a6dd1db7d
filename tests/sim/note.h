/* note.h: an event on its way to the core, told by names that stay the same when the events before
 * it change: parties by tag instead of id, ops by model. */
#ifndef SIM_NOTE_H
#define SIM_NOTE_H

#include "core/event.h"

struct note {
    struct event ev;           /* ids and ops are filled in when it is told */
    uint64_t tag;              /* of the request or lease that it is about; 0: none */
    uint64_t lease_tag;        /* REQUEST_ARRIVED: of the lease it is made under; 0: none */
    bool wrong_op;             /* a completion of an op that never was */
    struct core_lease_ask ask; /* LEASE_ASKED, LEASE_RESTORED */
};

static inline bool note_about_model(enum event_type t)
{
    return t == EVENT_MODEL_ADOPTED || (t >= EVENT_MODEL_LOADED && t <= EVENT_UPSTREAM_BROKEN);
}

#endif
