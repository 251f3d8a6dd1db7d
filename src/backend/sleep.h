/* sleep.h: how the engine of a model's process gives its memory back while the process stays, and
 * how it takes it again; decides, and does nothing itself.
 *
 * What an engine is asked is one row of a table. The machine goes through the row's calls in order,
 * asks the engine whether it sleeps, and believes what is measured more than any answer: events go
 * in, one action comes out for each. It ends in exactly one of DONE, REFUSED and KILL. It has no
 * deadline of its own for calls that are never answered: whoever ordered it has one. */
#ifndef BACKEND_SLEEP_H
#define BACKEND_SLEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

struct buf;

#define SLEEP_CALLS_MAX 3
#define SLEEP_MEMBERS_MAX 2
#define SLEEP_STATUSES_MAX 2

/* ---- the table; texts may hold "${NAME}", which sleep_fill replaces ---- */

struct sleep_call {
    const char *method, *path, *body; /* a path that comes to "": there is no such call */
};

/* A question with GET. Yes: all members have that value, or, without members, its status is one of
 * those and not 200. */
struct sleep_question {
    const char *path; /* "" or NULL: it cannot be asked */
    const char *members[SLEEP_MEMBERS_MAX];
    const char *value; /* JSON without blanks, or the text of a string */
    int statuses[SLEEP_STATUSES_MAX];
};

struct sleep_engine {
    const char *word;
    uint32_t level;             /* which of its ways; 0: it has one */
    struct sleep_question idle; /* whether nothing runs; it is not sent to sleep before */
    struct sleep_call suspend[SLEEP_CALLS_MAX], resume[SLEEP_CALLS_MAX];
    struct sleep_question asleep; /* without it its memory tells */
    bool prompt;                  /* what wakes it is answered when it is awake, or will never be */
    const char *key;              /* of the Authorization field; NULL: none is sent */
    const char *needs;            /* what it has to be started with to know these calls; or NULL */
};

/* NULL: of no such engine. */
const struct sleep_engine *sleep_find(const char *word, uint32_t level);

struct sleep_value {
    const char *name, *text;
};

/* Appends the text with the names replaced; a name that is not among the values becomes nothing. */
void sleep_fill(struct buf *out, const char *text, const struct sleep_value *values, size_t count);

enum sleep_says {
    SLEEP_UNKNOWN, /* the answer says neither */
    SLEEP_YES,
    SLEEP_NO,
};

/* What a whole answer to the question says, of which the texts have been filled in. */
enum sleep_says sleep_read(const struct sleep_question *q, int status, const char *body, size_t n);

/* ---- the machine ---- */

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
