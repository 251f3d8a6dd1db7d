/* guard.h: the process that keeps a granted lease and the job's processes together.
 *
 *     wharf run (the front: what the shell sees)  ──link──  guard  ──▶  CMD and all below it
 *                                                             └── the lease's connection
 *
 * Each side outlives the kill -9 of the other: the guard ends the tree when the link closes, the
 * front, a subreaper too, ends it when the guard is gone, and CMD itself dies with the guard. The
 * guard is in a session of its own, so that no signal of a terminal or a process group, SIGKILL and
 * SIGSTOP among them, takes both. It ends the connection when the tree is empty and not before:
 * whoever is granted the gate next finds it free. So that a guard that is killed does not end it
 * either, the front has a copy of its socket. */
#ifndef CLI_JOB_GUARD_H
#define CLI_JOB_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/job/hold.h"

/* What goes over the link, one message a packet. */
enum guard_word {
    GUARD_FORWARD, /* to the guard: send this signal to CMD */
    GUARD_END,     /* to the guard: end the job, with its signal and grace */
    GUARD_HOLDS,   /* from it: a copy of the connection that holds the lease now */
    GUARD_STOPPED, /* from it: CMD was stopped by this signal */
    GUARD_FAILED,  /* from it: CMD could not be run, for this errno */
    GUARD_ENDED,   /* from it: the tree has ended; CMD with this wait status */
};

struct guard_message {
    enum guard_word word;
    int value;
};

struct guard_plan {
    struct hold *hold; /* granted */
    int link;
    bool own_group;       /* CMD leads a process group of its own; else it stays in the front's */
    sigset_t old_signals; /* blocked when the program began, and in CMD */
};

/* What the process that was forked for it does. All signals are blocked. */
_Noreturn void guard_main(const struct guard_plan *plan);
/* Standard input and output become /dev/null, so that CMD's ends of pipes are the last ones: when
 * it closes its output, the reader sees the end. stderr stays for what there is to say. */
void guard_let_go(void);
/* 0, or -1 when nobody is there. */
int guard_say(int link, enum guard_word word, int value);
/* The next message, and the descriptor that came with it, owned by the caller; -1: none did.
 * Returns 1, 0 when nobody is there any more, or -1 when there is none, or none that is whole. */
int guard_hear(int link, struct guard_message *ret, int *ret_fd);

#endif
