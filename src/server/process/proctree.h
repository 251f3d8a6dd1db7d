/* proctree.h: finding processes by what they carry, from /proc.
 *
 * Used where no cgroup holds a tree together. A process belongs to a mark when its environment has
 * the mark, or it is in the main process's session (programs such as vLLM overwrite the memory
 * behind /proc/PID/environ with a process title), or its parent belongs. Ended processes that
 * nobody has reaped yet do not count. Blocking; for the thread pool, and for the sweep at start. */
#ifndef SERVER_PROCESS_PROCTREE_H
#define SERVER_PROCESS_PROCTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
    pid_t pid, ppid;
    uint64_t start_ticks; /* clock ticks since boot; with the pid, names a process for good */
    bool ours;
};

struct proc_list {
    struct proc *items; /* owned */
    size_t count, cap;
};

struct proc_mark {
    const char *text; /* "WHARF_INSTANCE=..." */
    bool prefix;      /* text is only the beginning; then session and parents do not count */
    pid_t sid;        /* session of the main process; 0: none */
    bool sid_reaped;  /* the main process has been reaped: its number may be reused */
    uint64_t start_ticks_min; /* older processes cannot belong */
};

void proc_list_fini(struct proc_list *l);
/* Adds a process once; true when it was not there yet. start_ticks is read here; false as well when
 * the process no longer exists. */
bool proc_list_add(struct proc_list *l, pid_t pid);

/* Replaces the list by the living processes that belong; the calling process never does. What was
 * in the list still belongs while it lives: a process that is being ended has no environment any
 * more, perhaps for seconds inside a GPU driver, and no parent to be known by. False when a lack of
 * descriptors or memory kept some unseen. */
bool proctree_scan(const struct proc_mark *mark, struct proc_list *list)
    __attribute__((warn_unused_result));
/* Replaces the list by a living process and all that descend from it, whoever they belong to; by
 * none when it has ended. False: as above. */
bool proctree_below(pid_t root, struct proc_list *list) __attribute__((warn_unused_result));
/* Whether one process belongs, by environment or session alone. */
bool proctree_match(const struct proc_mark *mark, pid_t pid);
/* Whether pid is ancestor, or came from it, as far as its parents still live. What the calling
 * process has started is its own, and not that of who has started it. */
bool proctree_descends(pid_t pid, pid_t ancestor);
/* The value of a variable in its environment, as it was when it was started; false: it has none,
 * one that is longer, or nobody may look. */
bool proctree_variable(pid_t pid, const char *name, char *out, size_t out_size);
/* The process and those that it came from, itself first, as far as they still live. */
uint32_t proctree_ancestors(pid_t pid, struct proc *ret, uint32_t ret_max);
/* SIGKILL to each that still is the process it was when it was listed. */
void proctree_kill(const struct proc_list *l);
/* Now, on the clock of start_ticks. */
uint64_t proctree_now_ticks(void);
/* What the process calls itself (proc(5), comm), which is its own word; "" when it has gone. */
#define PROCTREE_NAME_MAX 17
void proctree_name(pid_t pid, char out[PROCTREE_NAME_MAX]);

#endif
