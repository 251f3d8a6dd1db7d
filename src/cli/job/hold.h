/* hold.h: a job's lease, from the asking until it is granted. */
#ifndef CLI_JOB_HOLD_H
#define CLI_JOB_HOLD_H

#include <stdbool.h>

#include "cli/job/ask.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "client/client_lease.h"

struct hold {
    const struct session *session; /* borrowed */
    const struct job_ask *ask;     /* borrowed */
    struct client_answer *answer;  /* owned; NULL with a time to live */
    struct client_lease_line line; /* owned; the last one that said something; its state */
    char *id, *token;              /* owned; NULL before the first line */
    uint64_t asked_ns;             /* on the monotonic clock */
    bool on_terminal;              /* stderr is one: a line that changes in place */
    bool is_asking_anew;
    struct progress *progress;  /* owned; what shows it there; NULL: nothing is shown */
    void (*on_line)(void *arg); /* NULL, or called when line has changed */
    void *arg;
};

void hold_init(struct hold *h, const struct session *s, const struct job_ask *ask);
/* Ends the lease, unless it was given away by job_run. */
void hold_fini(struct hold *h);
/* Asks, and returns with the first line: CLI_DONE with the lease waiting or granted, or the exit
 * status after saying why. */
int hold_ask(struct hold *h) warn_unused;
/* Waits until it is granted, asking anew where the daemon went away meanwhile. As hold_ask. */
int hold_wait(struct hold *h) warn_unused;

/* Ends a granted lease: its connection, for everybody who has a copy of it, or by its token where
 * it has a time to live. What fails is said. */
void hold_give_back(struct hold *h);

uint64_t hold_now_ns(void);

#endif
