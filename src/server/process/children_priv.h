/* children_priv.h: what children.c, adopt.c, reaper.c and sweep.c share.
 *
 * A child goes through
 *
 *     STARTING --spawned--> RUNNING --reaped--> ENDING --tree empty--> freed
 *         +------could not be started-------------^
 *
 * and has at most one job on the thread pool at a time: first the spawn, later rounds. A round
 * kills what is left of the tree and tells whether anything was; rounds repeat, with pauses from 1
 * ms up, until nothing is. They begin when the main process has been reaped, or earlier by
 * child_kill. The child is gone when its main process has been reaped AND a round found nothing.
 *
 * Workers write only `spawn`, `round` and `tree`, and the loop leaves them alone meanwhile. */
#ifndef SERVER_PROCESS_CHILDREN_PRIV_H
#define SERVER_PROCESS_CHILDREN_PRIV_H

#include <stddef.h>

#include "base/pure/list.h"
#include "server/process/children.h"
#include "server/process/proctree.h"
#include "server/process/spawn.h"

/* Exits reaped while a spawn that may have been theirs had not reported its pid yet. When the table
 * is full the others stay zombies until a spawn has reported, so that none is lost. */
#define EARLY_EXITS_MAX 256

enum child_state { CHILD_STARTING, CHILD_RUNNING, CHILD_ENDING, CHILD__COUNT };

struct round {
    bool sid_reaped;  /* in: the main process was reaped before the round began */
    bool empty;       /* out: nothing of the tree is left */
    bool folder_kept; /* out: it is empty, but its cgroup folder could not be removed */
};

struct child {
    struct children *cs;
    struct link link; /* in cs->all */
    const struct child_ops *ops;
    void *owner;
    char *id;   /* "<name>.<n>", for logs */
    char *mark; /* "WHARF_INSTANCE=<mark>:<name>:<n>" */
    uint64_t n; /* its number; a later child has a greater one */

    enum child_state state;
    pid_t main_pid;   /* number of the main process, kept after the reap; 0: none was made */
    int pidfd;        /* until the reap; -1: none */
    bool reaped;      /* main_pid has been reaped, or there is none */
    bool failed;      /* on_spawn_failed has been called: no on_exited */
    uv_poll_t *watch; /* of an adopted one's pidfd, until the end; freed when closed. NULL: none */
    bool kill_wanted;

    uv_work_t work;
    bool work_busy;
    struct spawn_job spawn;
    struct round round;
    struct proc_list tree; /* without a cgroup: what the last round found and killed */
    bool tree_empty;
    unsigned rounds; /* carried out so far */
    uint64_t due_ms; /* of the next round, on uv_now; 0: none is waiting */
};

struct early_exit {
    pid_t pid;
    int status;
    uint64_t n_max; /* children with greater numbers were not spawned yet */
};

struct children {
    uv_loop_t *loop;
    char *mark;
    char *how;
    char *cgroup_root; /* NULL: none */
    rlim_t nofile_soft;
    int oom_score_adj;
    char **hidden;   /* owned; NULL: nothing is */
    struct list all; /* of struct child, by n */
    uint64_t n_last;
    uv_signal_t sigchld;
    uv_timer_t timer; /* of the earliest due_ms */
    struct early_exit early[EARLY_EXITS_MAX];
    size_t n_early;
    unsigned handles_open;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* reaper.c */
void reaper_signal_cb(uv_signal_t *handle, int signum);
/* Reaps whatever has ended; calls child_reaped for children. */
void reaper_run(struct children *cs);
/* Whether c's main process, just reported, was reaped before; then *ret_status is its end. */
bool reaper_take_early(struct child *c, int *ret_status);
/* Forgets exits that no spawn still under way can claim. */
void reaper_forget_early(struct children *cs);

/* adopt.c: its end is known, or it is not waited for any more. */
void child_unwatch(struct child *c);

/* children.c */
void child_free(struct child *c);
/* As of the main process that is made next; its texts are owned by the child. */
struct child *child_new(struct children *cs, const char *name, uint64_t n,
                        const struct child_ops *ops, void *owner);
/* The main process has just been reaped. The child may be freed when this returns. */
void child_reaped(struct child *c, int wait_status);

#endif
