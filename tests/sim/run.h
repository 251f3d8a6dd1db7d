/* run.h: one core under one judge: tells it notes, carries the effects out, and stops at the first
 * broken rule, a failed check of the core's own included. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <setjmp.h>
#include <stdio.h>

#include "count.h"
#include "judge/judge.h"
#include "note.h"

struct run {
    struct core_limits limits;
    void *mem; /* of the core; core_size(limits) bytes */
    struct core *core;
    struct judge *judge;
    struct counts *counts; /* NULL: nothing is counted */
    struct tape *tape;     /* NULL: nothing is recorded */
    FILE *trace;           /* NULL: nothing is printed */
    uint32_t check_every;  /* steps between calls of core_check; 0: never */
    /* An order to the world; it must not tell the core anything from there. */
    void (*carry_out)(void *world, const struct effect *e);
    void *world;
    uint64_t now_ns, steps, hash;
    jmp_buf failed; /* where run_fail goes */
};

/* Gives it memory, a core and a judge with these terms; the rest of *r is the caller's. */
void run_init(struct run *r, const struct core_limits *limits, const struct terms *terms);
void run_fini(struct run *r);
/* Calls what(arg) and comes back when it has returned, or something has failed. The broken rule, or
 * RULE_NONE. */
enum rule run_guarded(struct run *r, void (*what)(void *arg), void *arg);
/* Tells the core, at r->now_ns; then everything that `more` asks for. */
void run_tell(struct run *r, struct note *n);
/* A TICK, if one is due. */
void run_tick(struct run *r);
/* Does not return, where anything has been broken. */
void run_stop_if_broken(struct run *r);
/* The seed or whatever else a signal handler is to say. */
extern struct run *run_current;

#endif
