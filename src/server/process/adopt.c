/* Children of an earlier daemon, which was killed, or left them running: found again by what it
 * wrote down, watched by pidfd, since nobody but their parent can wait for them. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/process/cgroup.h"
#include "server/process/children_priv.h"
#include "server/process/proctree.h"

static bool put_name(char *out, size_t out_size, const char *text)
{
    int n = snprintf(out, out_size, "%s", text);
    return n >= 0 && (size_t)n < out_size;
}

bool children_foresee(const struct children *cs, const char *name, struct child_identity *ret)
{
    *ret = (struct child_identity){.n = cs->n_last + 1};
    return put_name(ret->name, sizeof(ret->name), name);
}

static uint64_t start_of(pid_t pid)
{
    struct proc_list one = {0};
    uint64_t ticks = proc_list_add(&one, pid) ? one.items[0].start_ticks : 0;
    proc_list_fini(&one);
    return ticks;
}

bool child_identify(const struct child *c, struct child_identity *ret)
{
    *ret = (struct child_identity){.n = c->n, .pid = child_pid(c)};
    const char *folder = c->spawn.cgroup ? c->spawn.cgroup : "";
    bool fits = put_name(ret->name, sizeof(ret->name), c->id) &&
                put_name(ret->cgroup, sizeof(ret->cgroup), folder);
    char *dot = strrchr(ret->name, '.'); /* the id is "<name>.<n>" */
    if (!fits || !dot)
        return false;
    *dot = '\0';
    ret->start_ticks = ret->pid ? start_of(ret->pid) : 0;
    return ret->pid == 0 || ret->start_ticks != 0;
}

/* One that was being started when the daemon was killed: it leads its session, and has the mark. */
static pid_t find_main(const struct child *c)
{
    struct proc_list found = {0};
    const struct proc_mark mark = {.text = c->mark};
    pid_t pid = 0;
    bool complete = proctree_scan(&mark, &found);
    for (size_t i = 0; i < found.count && complete; i++)
        if (getsid(found.items[i].pid) == found.items[i].pid)
            pid = found.items[i].pid;
    proc_list_fini(&found);
    return pid;
}

static char *find_folder(const struct child *c, const struct child_identity *id)
{
    if (*id->cgroup)
        return alloc_text(id->cgroup);
    if (id->pid || !c->cs->cgroup_root)
        return NULL;
    char *folder = alloc_printf("%s/%s", c->cs->cgroup_root, c->id);
    if (cgroup_holds(c->cs->cgroup_root, folder, c->main_pid))
        return folder;
    free(folder);
    return NULL;
}

/* Whether the process is the one that was written down, and lives. The pidfd is opened first: from
 * then on the number cannot come to mean another. */
static bool grasp(struct child *c, const struct child_identity *id)
{
    c->main_pid = id->pid ? id->pid : find_main(c);
    if (c->main_pid <= 1)
        return false;
    c->pidfd = (int)syscall(SYS_pidfd_open, c->main_pid, 0);
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    uint64_t start = c->pidfd >= 0 ? start_of(c->main_pid) : 0;
    c->spawn.start_ticks = start;
    return start && (!id->start_ticks || start == id->start_ticks) && poll(&p, 1, 0) == 0;
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    struct child *c = poll->data;
    (void)status;
    (void)events;
    /* It may be this process's own to reap all the same, if it was started before an exec. */
    reaper_run(c->cs);
    if (poll->data == c)
        child_reaped(c, CHILD_STATUS_UNKNOWN);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle);
}

void child_unwatch(struct child *c)
{
    if (!c->watch)
        return;
    c->watch->data = NULL;
    uv_poll_stop(c->watch);
    uv_close((uv_handle_t *)c->watch, on_watch_closed);
    c->watch = NULL;
}

static bool start_watch(struct child *c)
{
    uv_poll_t *poll = alloc_zeroed(1, sizeof(*poll));
    if (uv_poll_init(c->cs->loop, poll, c->pidfd) < 0) {
        free(poll);
        return false;
    }
    c->watch = poll;
    poll->data = c;
    must(uv_poll_start(poll, UV_READABLE, on_pidfd) == 0);
    return true;
}

struct child *children_adopt(struct children *cs, const struct child_identity *id,
                             const struct child_ops *ops, void *owner)
{
    /* No later child has its number, adopted or not. */
    cs->n_last = id->n > cs->n_last ? id->n : cs->n_last;
    struct child *c = child_new(cs, id->name, id->n, ops, owner);
    if (!grasp(c, id) || !start_watch(c)) {
        child_free(c);
        return NULL;
    }
    c->state = CHILD_RUNNING;
    c->spawn.cgroup = find_folder(c, id);
    list_push(&cs->all, &c->link);
    return c;
}

bool child_runs(const struct child *c)
{
    return c->state == CHILD_RUNNING && !c->work_busy && !c->kill_wanted;
}

void child_abandon(struct child *c)
{
    must(child_runs(c));
    list_remove(&c->cs->all, &c->link);
    child_free(c);
}
