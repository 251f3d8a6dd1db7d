/* The one place that reaps. A pid stays ours until waitpid has returned it here, on the loop; that
 * is what makes kill(-pid) safe elsewhere. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/process/children_priv.h"

static struct child *find_child(struct children *cs, pid_t pid)
{
    struct link *at;
    list_each(at, &cs->all) {
        struct child *c = list_entry(at, struct child, link);
        if (c->main_pid == pid && !c->reaped)
            return c;
    }
    return NULL;
}

/* The oldest child whose worker has not reported yet. */
static struct child *oldest_starting(struct children *cs)
{
    struct link *at;
    list_each(at, &cs->all) {
        struct child *c = list_entry(at, struct child, link);
        if (c->state == CHILD_STARTING)
            return c;
    }
    return NULL;
}

/* Looks, without reaping, for a process that has ended. 0: none. */
static pid_t peek_ended(void)
{
    siginfo_t info;
    int rc;
    info.si_pid = 0;
    do
        rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? info.si_pid : 0;
}

static int reap(pid_t pid)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    must(got == pid);
    return status;
}

void reaper_run(struct children *cs)
{
    pid_t pid;
    while ((pid = peek_ended()) > 0) {
        struct child *c = find_child(cs, pid);
        bool starting = oldest_starting(cs) != NULL;
        if (!c && starting && cs->n_early == EARLY_EXITS_MAX)
            return;
        /* While the leader is unreaped, its group's number cannot be anyone else's. */
        if (c)
            (void)kill(-pid, SIGKILL);
        int status = reap(pid);
        if (c)
            child_reaped(c, status);
        else if (starting)
            cs->early[cs->n_early++] =
                (struct early_exit){.pid = pid, .status = status, .n_max = cs->n_last};
    }
}

void reaper_signal_cb(uv_signal_t *handle, int signum)
{
    (void)signum;
    reaper_run(handle->data);
}

static void remove_early(struct children *cs, size_t i)
{
    cs->n_early--;
    memmove(&cs->early[i], &cs->early[i + 1], (cs->n_early - i) * sizeof(cs->early[0]));
}

/* An orphan may have had the same number before: then the pidfd, which pins our process, still
 * finds it (zombies included), and the entry is the orphan's. */
bool reaper_take_early(struct child *c, int *ret_status)
{
    struct children *cs = c->cs;
    bool found = false;
    bool here = c->pidfd >= 0 && syscall(SYS_pidfd_send_signal, c->pidfd, 0, NULL, 0) == 0;
    for (size_t i = cs->n_early; i-- > 0;) {
        if (cs->early[i].pid != c->main_pid)
            continue;
        /* The latest entry counts. */
        if (!found && !here) {
            *ret_status = cs->early[i].status;
            found = true;
        }
        remove_early(cs, i);
    }
    return found;
}

void reaper_forget_early(struct children *cs)
{
    const struct child *oldest = oldest_starting(cs);
    for (size_t i = cs->n_early; i-- > 0;) {
        if (!oldest || oldest->n > cs->early[i].n_max)
            remove_early(cs, i);
    }
}
