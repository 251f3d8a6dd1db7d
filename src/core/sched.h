/* sched.h: who is served next. One vtable row a scheduler; see ARCHITECTURE.md for what each
 * promises. A scheduler decides by calling queue_grant* and transition_commit, as long as
 * core_has_room. */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/core_priv.h"

struct sched {
    void (*dispatch)(struct core *c);
};

extern const struct sched sched_fifo;
extern const struct sched sched_serial;

#endif
