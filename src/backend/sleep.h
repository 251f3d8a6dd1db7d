/* sleep.h: how the engine of a model's process gives its memory back while the process stays, and
 * how it takes it again; decides, and does nothing itself.
 *
 * The machine goes through the calls of an engine (sleep_engine.h) in order, asks it whether it
 * sleeps, and believes what is measured more than any answer: events go in, one action comes out
 * for each. It ends in exactly one of DONE, REFUSED and KILL. It has no deadline of its own for
 * calls that are never answered: whoever ordered it has one. */
#ifndef BACKEND_SLEEP_H
#define BACKEND_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/sleep_engine.h"
#include "base/pure/check.h"
#include "base/pure/units.h"

enum sleep_event_type {
    SLEEP_BEGIN,
    SLEEP_ANSWERED, /* a call, a question or the look at its health: status, says */
    SLEEP_LOST,     /* no whole answer came */
    SLEEP_TIMER,
    SLEEP_SAMPLE, /* what it uses, by a reading that was begun after it was asked for */
};

enum sleep_measure {
    SLEEP_BLIND, /* nobody can tell */
    SLEEP_LATER, /* not known yet */
    SLEEP_SEEN,
};

struct sleep_event {
    enum sleep_event_type type;
    int status;
    enum sleep_says says; /* of a question */
    enum sleep_measure measure;
    uint64_t bytes;      /* SEEN: on all devices together */
    uint64_t most_bytes; /* SEEN: on the device where it is most */
};

enum sleep_do {
    SLEEP_DO_CALL, /* the one numbered m->step; answered by ANSWERED or LOST, as all that asks */
    SLEEP_DO_ASK_IDLE, /* the engine's questions */
    SLEEP_DO_ASK,
    SLEEP_DO_HEALTH,
    SLEEP_DO_SAMPLE,
    SLEEP_DO_WAIT, /* TIMER after delay_ns */
    SLEEP_DO_DONE,
    SLEEP_DO_REFUSED, /* it is as it was before */
    SLEEP_DO_KILL,    /* nobody knows how it is: it has to go */
};

/* Why it did not come to DONE. */
enum sleep_trouble {
    SLEEP_FINE,
    SLEEP_TROUBLE_ABSENT,  /* it does not know the call */
    SLEEP_TROUBLE_REFUSED, /* it answered the call with m->status */
    SLEEP_TROUBLE_CUT,     /* it did not answer */
    SLEEP_TROUBLE_BUSY,    /* it never became idle */
    SLEEP_TROUBLE_UNMOVED, /* it answered, and is as before */
};

enum sleep_phase {
    SLEEP_PHASE_BEFORE, /* how much it has */
    SLEEP_PHASE_IDLE,
    SLEEP_PHASE_CALLS,
    SLEEP_PHASE_ASK,
    SLEEP_PHASE_MEASURE,
    SLEEP_PHASE_HEALTH,
};

struct sleep_plan {
    bool wakes; /* else it is to sleep */
    uint32_t call_count;
    bool asks_idle, asks, has_health; /* there is a question, a check endpoint */
    bool prompt;                      /* see struct sleep_engine */
    uint64_t limit_ns;                /* when it will be killed, from BEGIN on */
};

struct sleep {
    struct sleep_plan plan;
    enum sleep_phase phase;
    uint32_t step; /* of the calls */
    uint32_t lost; /* questions in a row that nobody answered */
    bool failed;   /* a call did: where the engine stands has to be found out */
    bool harmless; /* the first of them, which the engine turned away */
    bool said;     /* it says that it sleeps */
    int status;    /* of the call that failed */
    enum sleep_trouble trouble;
    uint64_t began_ns, phase_ns;
    uint64_t before_bytes, last_bytes; /* 0: not known; the last sample's */
    uint64_t residue_bytes;            /* DONE: on the device where it is most; 0: not known */
    bool sampled;
};

struct sleep_action {
    enum sleep_do what;
    uint64_t delay_ns;
};

void sleep_init(struct sleep *m, const struct sleep_plan *plan);
struct sleep_action sleep_step(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns);
/* Whether less came free than half of what it had. */
bool sleep_freed_little(const struct sleep *m);

#endif
