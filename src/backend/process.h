/* process.h: how a model that is a process comes and goes; decides, and does nothing itself.
 *
 * Events go in, actions come out, in order; the server performs them. Whatever happens, a LOAD is
 * answered by exactly one LOADED or LOAD_FAILED, an UNLOAD by exactly one UNLOADED (or STUCK, after
 * which GONE is reported as EXITED). Without either it ends in one EXITED, which answers whatever
 * else was asked of its engine. */
#ifndef BACKEND_PROCESS_H
#define BACKEND_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

enum process_event {
    PROCESS_LOAD,
    PROCESS_TAKE_OVER, /* instead of a LOAD: it is on its way, of an earlier daemon */
    PROCESS_ABORT,
    PROCESS_UNLOAD,
    PROCESS_KILL,  /* the grace of the UNLOAD, or of something asked of its engine, is over */
    PROCESS_SLEEP, /* its engine is asked to give its memory back: it serves no more */
    PROCESS_WAKE,  /* its engine has it again, or has kept it */
    PROCESS_SPAWNED,
    PROCESS_SPAWN_FAILED, /* GONE follows */
    PROCESS_PROBE_OK,
    PROCESS_PROBE_FAILED,
    PROCESS_TIMER,
    PROCESS_EXITED, /* the main process ended; GONE follows */
    PROCESS_GONE,   /* nothing of its tree is left */
};

enum process_action {
    PROCESS_DO_SPAWN,
    PROCESS_DO_PROBE, /* answered by PROBE_OK or PROBE_FAILED, unless the process ends first */
    PROCESS_DO_TIMER, /* TIMER after delay_ns; replaces an earlier one */
    PROCESS_DO_TERM,  /* ask it to go */
    PROCESS_DO_KILL,  /* end the whole tree */
    PROCESS_DO_LOADED,
    PROCESS_DO_LOAD_FAILED,
    PROCESS_DO_UNLOADED,
    PROCESS_DO_STUCK,
    PROCESS_DO_BROKEN, /* it ended by itself while it was ready; GONE is still to come */
    PROCESS_DO_EXITED, /* gone without an UNLOAD, or, after a KILL, given up */
};

enum process_phase {
    PROCESS_STARTING,
    PROCESS_READY,
    PROCESS_ASLEEP, /* or on the way there, or back */
    PROCESS_STOPPING,
    PROCESS_KILLED, /* KILL was given; waiting for GONE */
    PROCESS_LOST,   /* reported as stuck */
    PROCESS_OVER,
};

#define PROCESS_ACTIONS_MAX 3
/* From KILL until a process that still has not gone is called stuck. */
#define PROCESS_KILL_GRACE_NS (10 * NS_PER_S)

struct process {
    enum process_phase phase;
    bool probes;    /* there is a check endpoint; else it is ready when spawned */
    bool loading;   /* LOAD is not answered yet */
    bool unloading; /* UNLOAD is not answered yet */
    bool exited;    /* the main process has ended */
    bool disowned;  /* given up before it could be ended; its end is no news */
    uint64_t started_ns;
};

struct process_actions {
    uint32_t count;
    enum process_action items[PROCESS_ACTIONS_MAX];
    uint64_t delay_ns; /* of DO_TIMER */
};

void process_init(struct process *p, bool probes);
/* One that an earlier daemon has started, and that was STARTING, READY or ASLEEP. */
void process_adopt(struct process *p, bool probes, enum process_phase phase);
struct process_actions process_step(struct process *p, enum process_event ev, uint64_t now_ns);
/* Time until the next probe, elapsed after the spawn: close together at first, then a fixed small
 * share of the time already waited, so that readiness is seen at most that much late. */
uint64_t process_probe_interval_ns(uint64_t elapsed_ns);

#endif
