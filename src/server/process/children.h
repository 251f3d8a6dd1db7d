/* children.h: processes that wharf starts, and their whole trees.
 *
 * A child is started off the loop, in its own session and, where a cgroup2 folder can be made, in
 * its own cgroup from its first instruction; it carries WHARF_INSTANCE=<mark> in its environment,
 * its output goes to a file opened O_APPEND, stdin is /dev/null. It ends when its main process has
 * been reaped AND nothing of its tree is left: cgroup empty, or, without a cgroup, no process with
 * its mark (two scans in a row find none). One reaper (SIGCHLD, waitpid) serves all; wharf is a
 * subreaper, so that orphaned grandchildren come back to it.
 *
 * Callbacks run on the loop, never from inside a call of this header. */
#ifndef SERVER_PROCESS_CHILDREN_H
#define SERVER_PROCESS_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"

struct children; /* one per daemon */
struct child;    /* owned by children until on_gone has returned */

struct child_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* "K=V" added to the daemon's environment, NULL-terminated */
    const char *name;        /* of the cgroup folder and in messages; [A-Za-z0-9._-] */
    const char
        *log_path; /* opened O_APPEND|O_CREAT, 0600; NULL, or it cannot be: output is dropped */
    int stdin_fd;  /* > 0: the child's stdin, duplicated at once; 0: /dev/null */
};

/* Of an adopted child: whoever reaped it is not this daemon. */
#define CHILD_STATUS_UNKNOWN (-1)

struct child_ops {
    /* The program runs (execve succeeded). */
    void (*on_spawned)(void *owner, struct child *c, pid_t pid);
    /* It could not be started; text says why. Followed by on_gone. */
    void (*on_spawn_failed)(void *owner, struct child *c, const char *text);
    /* The main process has ended (wait status as of waitpid, or CHILD_STATUS_UNKNOWN). The tree may
     * still live: what is left of it is killed at once, and on_gone follows. */
    void (*on_exited)(void *owner, struct child *c, int wait_status);
    /* Nothing is left; the child is freed when this returns. */
    void (*on_gone)(void *owner, struct child *c);
};

struct children_options {
    uv_loop_t *loop;
    /* This daemon's identity: WHARF_INSTANCE=<mark>:<name>:<n>. Contains no ':'. */
    const char *mark;
    const char *cgroup_root; /* folder on a cgroup2 mount; NULL: find one; "off": do not use any */
    uint64_t nofile_soft;    /* soft limit on children's descriptors; 0: the daemon's own, as it
                              * is at children_new */
    int oom_score_adj;       /* of children (proc(5)); 0: left as it is */
};

struct children *children_new(const struct children_options *opt);
/* Ends leftovers of an earlier daemon with the same mark (cgroup or environment) that were not
 * adopted, and waits until they are gone; call before the loop runs. Returns how many processes
 * were ended. */
uint32_t children_sweep(struct children *cs);
/* From now on no variable of the daemon's own environment with one of these values is passed on.
 * NULL-terminated; copied. */
void children_hide(struct children *cs, const char *const *values);
/* "cgroup /path" or "process marks (why)": for the start-up log. */
const char *children_how(const struct children *cs);

/* What a next daemon has to know of a child to take it over. */
#define CHILD_NAME_BYTES 208
#define CHILD_CGROUP_BYTES 1024
struct child_identity {
    char name[CHILD_NAME_BYTES];
    char cgroup[CHILD_CGROUP_BYTES]; /* "": it is in none */
    uint64_t n;
    uint64_t start_ticks; /* of the main process */
    pid_t pid;            /* 0: it is not known yet */
};

/* Of the next child that children_spawn makes, before it is made; and of one that is there. Those
 * whose names are too long are not told: false. */
bool children_foresee(const struct children *cs, const char *name,
                      struct child_identity *ret) warn_unused;
bool child_identify(const struct child *c, struct child_identity *ret) warn_unused;
/* adopt.c: takes over a child of an earlier daemon with the same mark, as one that runs; before
 * children_sweep, which spares it. NULL: its main process is not there any more, or cannot be
 * watched (Linux before 5.3). How its main process ends is not known then: see on_exited. */
struct child *children_adopt(struct children *cs, const struct child_identity *id,
                             const struct child_ops *ops, void *owner);
/* Leaves it running, for a next daemon; frees it without a callback. Only while child_runs. */
void child_abandon(struct child *c);
/* Its program runs, and nobody has begun to end it. */
bool child_runs(const struct child *c);

/* Copies what it needs. Never fails at once: failures come as on_spawn_failed. */
struct child *children_spawn(struct children *cs, const struct child_spec *spec,
                             const struct child_ops *ops, void *owner);
/* In on_spawn_failed: the errno that it failed with. */
int child_spawn_error(const struct child *c);
/* Signals the process group of the main process, if it still lives; true when it was sent. */
bool child_signal(struct child *c, int signum);
/* Kills the whole tree now (cgroup.kill, or SIGKILL to group and marked processes, repeated until
 * none is left). on_exited and on_gone follow. Also legal before on_spawned. */
void child_kill(struct child *c);
/* errno of why what it prints is not kept; 0: it is. From on_spawned on. */
int child_log_error(const struct child *c);
pid_t child_pid(const struct child *c); /* 0 before on_spawned and after the reap */
/* Whether pid is the child's main process or in its tree (cgroup or mark). Reads /proc. */
bool child_owns(const struct child *c, pid_t pid);

/* When no child is left. Closes its loop handles; on_closed runs when they are closed, then it is
 * freed. */
void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg);
uint32_t children_count(const struct children *cs);
uint64_t children_nofile_soft(const struct children *cs); /* what they get */
/* Whether one is being made: until it runs, nobody else could find it. */
bool children_starting(const struct children *cs);

#endif
