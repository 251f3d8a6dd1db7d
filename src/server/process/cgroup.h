/* cgroup.h: a cgroup2 folder for each child, so that its whole tree is killed and waited for at
 * once.
 *
 * Only the core files are used (cgroup.procs, cgroup.events, cgroup.kill), no controller, so that
 * the rule against processes in inner nodes does not apply. All of it blocks shortly; for the
 * thread pool, and for start-up and shut-down. */
#ifndef SERVER_PROCESS_CGROUP_H
#define SERVER_PROCESS_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "server/process/proctree.h"

/* The folder of one daemon: <where>/wharf-<hash of mark>. where: a folder on a cgroup2 mount, or
 * NULL for the one the daemon itself is in. Returns the path (free()), or NULL with why set. */
char *cgroup_make_root(const char *where, const char *mark, struct err *why);
/* <root>/<name>, with a suffix when that folder is still in use. NULL with errno on failure. */
char *cgroup_make(const char *root, const char *name);
/* Moves a process there. 0 or a negative errno. */
int cgroup_join(const char *path, pid_t pid) __attribute__((warn_unused_result));
/* Whether a living process is in it or below; false when the folder is gone, true when the
 * answer could not be had. */
bool cgroup_populated(const char *path);
/* SIGKILL to every process in it and below. */
void cgroup_kill(const char *path);
/* Removes the folder and those below it; false while something keeps it. */
bool cgroup_remove(const char *path);
/* Removes only the folders below it. */
void cgroup_remove_below(const char *path);
/* Adds the processes in it and below. Returns how many were new. */
unsigned cgroup_list(const char *path, struct proc_list *list);
/* Whether the process is in it or below. root: what cgroup_make was given. */
bool cgroup_holds(const char *root, const char *path, pid_t pid);

#endif
