/* witness.h: a process that tells whether a signal was for the whole process group.
 *
 * On a terminal, the command is in the process group of `wharf run`, so that the terminal and the
 * shell treat them as one job. A signal that `kill %1` sends reaches both; one that was sent to
 * `wharf run` alone has to be passed on, and passing on both would tell the command twice, which
 * many take as "at once". The two look the same to who gets them. A third process of the group,
 * with all signals blocked, has one pending exactly when it was for the group: the kernel gives it
 * to younger members first, and the witness is younger than `wharf run`. */
#ifndef CLI_JOB_WITNESS_H
#define CLI_JOB_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct witness {
    pid_t pid;
    int link; /* -1: there is none, and nothing is seen */
};

/* not_its: count descriptors of the caller's that it must not keep open; -1 is none. All signals
 * are blocked. */
void witness_start(struct witness *w, const int *not_its, size_t count);
/* Whether the signal came to the witness too, since it was last asked about it. */
bool witness_saw(struct witness *w, int number);
void witness_end(struct witness *w);

#endif
