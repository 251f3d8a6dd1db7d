/* front.h: a job that runs under a granted lease, as its caller sees it. */
#ifndef CLI_JOB_FRONT_H
#define CLI_JOB_FRONT_H

#include <stdbool.h>

#include "cli/job/hold.h"

struct front_end {
    bool was_run; /* else status is an exit status, and why was said */
    int status;   /* as of waitpid */
    bool was_cancelled;
};

/* Runs the command of a granted lease to its end and gives the lease back, whatever ends it.
 * Signals to this process go on to the command; with is_detached, those that end a program end the
 * job, with its signal and grace. When the command is stopped, so is this process. All signals are
 * blocked when it returns, but for front_end_as: what came for the command is not for what follows.
 */
void front_run(struct hold *h, bool is_detached, struct front_end *ret);
/* Ends this process as the command ended: with its exit status, which is returned, or by the signal
 * that killed it. */
int front_end_as(const struct front_end *end);

#endif
