/* tree.h: the processes below this one, ended without leaving any out.
 *
 * The process is a subreaper (prctl(2)): whoever loses its parent below it becomes its child,
 * whatever session it made for itself. So the tree is empty when there is no child left, and every
 * end that matters arrives here as SIGCHLD. */
#ifndef CLI_JOB_TREE_H
#define CLI_JOB_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TREE_STRANGERS_MAX 64

struct tree {
    /* Children that the process had before, from the program whose place it took by an exec; they
     * and what is below them are left alone. */
    pid_t strangers[TREE_STRANGERS_MAX];
    size_t stranger_count;
};

/* From here on the process is a subreaper. */
void tree_init(struct tree *t);
/* Sends the signal to everything below. Returns how many processes took it; of those that there are
 * in *ret_seen. */
size_t tree_signal(const struct tree *t, int number, size_t *ret_seen);
/* SIGKILL to everything below until nothing is left; children are reaped. False when something may
 * not be killed, such as a program that runs as another user. Blocks. */
bool tree_end(const struct tree *t);

#endif
