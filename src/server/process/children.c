#include "server/process/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/process/cgroup.h"
#include "server/process/childenv.h"
#include "server/process/children_priv.h"
#include "server/process/proctree.h"

/* Pauses between rounds: most trees are gone within 1 ms of SIGKILL, while a GPU driver may hold a
 * process for seconds. A scan of /proc costs more than a look at one cgroup file. */
#define PAUSE_MS_MAX_CGROUP 32
#define PAUSE_MS_MAX_MARKS 256
/* An empty folder that cannot be removed after so many rounds is left behind. */
#define FOLDER_ROUNDS_MAX 16
#define NAME_MAX_LENGTH 200
/* PIDFD_SIGNAL_PROCESS_GROUP of Linux 6.9, which older headers do not have. */
#define PIDFD_PROCESS_GROUP (1U << 2)

static void start_round(struct child *c);

/* --- the set --- */

static void timer_cb(uv_timer_t *timer);

static void find_how(struct children *cs, const char *cgroup_root)
{
    struct err why = {0};
    if (cgroup_root && strcmp(cgroup_root, "off") == 0)
        err_set(&why, "cgroups are switched off");
    else
        cs->cgroup_root = cgroup_make_root(cgroup_root, cs->mark, &why);
    cs->how = cs->cgroup_root ? alloc_printf("cgroup %s", cs->cgroup_root)
                              : alloc_printf("process marks (%s)", why.text);
}

struct children *children_new(const struct children_options *opt)
{
    struct children *cs = alloc_zeroed(1, sizeof(*cs));
    struct rlimit nofile;
    /* The sweep looks for "<mark>:" and must not find another daemon's "<mark>:x:". */
    must(opt->mark && *opt->mark && !strchr(opt->mark, ':'));
    cs->loop = opt->loop;
    cs->mark = alloc_text(opt->mark);
    cs->nofile_soft = opt->nofile_soft;
    if (cs->nofile_soft == 0 && getrlimit(RLIMIT_NOFILE, &nofile) == 0)
        cs->nofile_soft = nofile.rlim_cur;
    cs->oom_score_adj = opt->oom_score_adj;
    list_init(&cs->all);
    find_how(cs, opt->cgroup_root);
    /* Orphans of the trees come back to this process, and are reaped here (Linux 3.4). */
    must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    must(uv_signal_init(cs->loop, &cs->sigchld) == 0);
    must(uv_timer_init(cs->loop, &cs->timer) == 0);
    cs->handles_open = 2;
    cs->sigchld.data = cs->timer.data = cs;
    must(uv_signal_start(&cs->sigchld, reaper_signal_cb, SIGCHLD) == 0);
    return cs;
}

const char *children_how(const struct children *cs)
{
    return cs->how;
}

bool children_starting(const struct children *cs)
{
    const struct link *at;
    list_each(at, &cs->all)
        if (list_entry(at, const struct child, link)->state == CHILD_STARTING)
            return true;
    return false;
}

uint64_t children_nofile_soft(const struct children *cs)
{
    return cs->nofile_soft;
}

uint32_t children_count(const struct children *cs)
{
    return cs->all.count;
}

static void closed_cb(uv_handle_t *handle)
{
    struct children *cs = handle->data;
    if (--cs->handles_open > 0)
        return;
    void (*on_closed)(void *arg) = cs->on_closed;
    void *arg = cs->on_closed_arg;
    free(cs->mark);
    free(cs->how);
    free(cs->cgroup_root);
    childenv_free(cs->hidden);
    free(cs);
    if (on_closed)
        on_closed(arg);
}

void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg)
{
    must(list_empty(&cs->all));
    cs->on_closed = on_closed;
    cs->on_closed_arg = arg;
    if (cs->cgroup_root)
        (void)rmdir(cs->cgroup_root);
    uv_close((uv_handle_t *)&cs->sigchld, closed_cb);
    uv_close((uv_handle_t *)&cs->timer, closed_cb);
}

/* --- the end of a child --- */

void child_free(struct child *c)
{
    must(!c->work_busy && !link_linked(&c->link));
    child_unwatch(c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    spawn_fini(&c->spawn);
    free(c->spawn.cgroup);
    proc_list_fini(&c->tree);
    free(c->id);
    free(c->mark);
    free(c);
}

static struct proc_mark mark_of(const struct child *c, bool sid_reaped)
{
    return (struct proc_mark){.text = c->mark,
                              .sid = c->main_pid,
                              .sid_reaped = sid_reaped,
                              .start_ticks_min = c->spawn.start_ticks};
}

static void round_cgroup(const char *folder, struct round *r)
{
    if (cgroup_populated(folder)) {
        cgroup_kill(folder);
        if (cgroup_populated(folder))
            return;
    }
    r->empty = true;
    r->folder_kept = !cgroup_remove(folder);
}

/* One scan may miss a process that forks into a number already passed; two in a row do not. */
static void round_marks(struct child *c, struct round *r)
{
    struct proc_mark mark = mark_of(c, r->sid_reaped);
    r->empty = true;
    for (unsigned pass = 0; pass < 2 && r->empty; pass++) {
        bool complete = proctree_scan(&mark, &c->tree);
        proctree_kill(&c->tree);
        r->empty = complete && c->tree.count == 0;
    }
}

static void round_work(uv_work_t *work)
{
    struct child *c = work->data;
    if (c->main_pid == 0 && !c->spawn.cgroup)
        c->round.empty = true;
    else if (c->spawn.cgroup)
        round_cgroup(c->spawn.cgroup, &c->round);
    else
        round_marks(c, &c->round);
}

static void finish_if_gone(struct child *c)
{
    if (!c->reaped || !c->tree_empty || c->work_busy)
        return;
    must(c->state == CHILD_ENDING && c->due_ms == 0);
    list_remove(&c->cs->all, &c->link);
    c->ops->on_gone(c->owner, c);
    child_free(c);
}

static void arm_timer(struct children *cs)
{
    uint64_t earliest = UINT64_MAX, now = uv_now(cs->loop);
    struct link *at;
    list_each(at, &cs->all) {
        const struct child *c = list_entry(at, struct child, link);
        if (c->due_ms != 0 && c->due_ms < earliest)
            earliest = c->due_ms;
    }
    if (earliest == UINT64_MAX)
        must(uv_timer_stop(&cs->timer) == 0);
    else
        must(uv_timer_start(&cs->timer, timer_cb, earliest > now ? earliest - now : 0, 0) == 0);
}

static void pause_round(struct child *c)
{
    uint64_t max = c->spawn.cgroup ? PAUSE_MS_MAX_CGROUP : PAUSE_MS_MAX_MARKS;
    uint64_t pause = c->rounds < 10 ? UINT64_C(1) << (c->rounds - 1) : max;
    uv_update_time(c->cs->loop);
    c->due_ms = uv_now(c->cs->loop) + (pause < max ? pause : max);
    arm_timer(c->cs);
}

static void round_done(uv_work_t *work, int status)
{
    struct child *c = work->data;
    must(status == 0);
    c->work_busy = false;
    c->rounds++;
    c->tree_empty = c->round.empty;
    if (c->round.folder_kept && c->rounds < FOLDER_ROUNDS_MAX)
        c->tree_empty = false;
    else if (c->round.folder_kept)
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("child", c->id), LOG_TEXT("path", c->spawn.cgroup)),
                      "the empty cgroup folder cannot be removed");
    if (!c->tree_empty && c->reaped && !c->round.sid_reaped)
        start_round(c);
    else if (!c->tree_empty)
        pause_round(c);
    finish_if_gone(c);
}

/* Now, unless one is under way: that one is followed by another if it leaves anything. */
static void start_round(struct child *c)
{
    must(c->state != CHILD_STARTING);
    if (c->work_busy || c->tree_empty)
        return;
    c->due_ms = 0;
    c->round = (struct round){.sid_reaped = c->reaped};
    c->work_busy = true;
    must(uv_queue_work(c->cs->loop, &c->work, round_work, round_done) == 0);
}

static void timer_cb(uv_timer_t *timer)
{
    struct children *cs = timer->data;
    struct link *at;
    list_each(at, &cs->all) {
        struct child *c = list_entry(at, struct child, link);
        if (c->due_ms != 0 && c->due_ms <= uv_now(cs->loop))
            start_round(c);
    }
    arm_timer(cs);
}

void child_reaped(struct child *c, int wait_status)
{
    must(!c->reaped);
    c->reaped = true;
    c->state = CHILD_ENDING;
    child_unwatch(c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = -1;
    start_round(c);
    if (!c->failed)
        c->ops->on_exited(c->owner, c, wait_status);
    finish_if_gone(c);
}

/* --- the start of a child --- */

static void spawn_work(uv_work_t *work)
{
    struct child *c = work->data;
    spawn_run(&c->spawn);
}

int child_spawn_error(const struct child *c)
{
    return c->spawn.error;
}

static void start_failed(struct child *c)
{
    char text[ERR_TEXT_MAX];
    c->state = CHILD_ENDING;
    c->failed = true;
    c->ops->on_spawn_failed(c->owner, c, spawn_text(&c->spawn, text, sizeof(text)));
}

static void spawn_done(uv_work_t *work, int status)
{
    struct child *c = work->data;
    struct children *cs = c->cs;
    int wait_status = 0;
    must(status == 0 && c->state == CHILD_STARTING);
    c->work_busy = false;
    c->main_pid = c->spawn.pid;
    c->pidfd = c->spawn.pidfd;
    c->reaped = c->main_pid == 0;
    c->state = CHILD_RUNNING;
    bool ended = c->main_pid != 0 && reaper_take_early(c, &wait_status);
    reaper_forget_early(cs);
    if (c->spawn.cgroup_error != 0)
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("child", c->id)),
                      "not in a cgroup, its processes are found by their mark: %s",
                      strerror(c->spawn.cgroup_error));
    if (c->spawn.stage == SPAWN_DONE)
        c->ops->on_spawned(c->owner, c, c->main_pid);
    else
        start_failed(c);
    spawn_fini(&c->spawn);
    if (ended)
        child_reaped(c, wait_status);
    else if (c->failed)
        start_round(c);
    else if (c->kill_wanted)
        child_kill(c);
    /* Exits that found the table full have waited for this. */
    reaper_run(cs);
}

static void check_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);
    must(n > 0 && n <= NAME_MAX_LENGTH && strspn(name, allowed) == n);
}

struct child *child_new(struct children *cs, const char *name, uint64_t n,
                        const struct child_ops *ops, void *owner)
{
    struct child *c = alloc_zeroed(1, sizeof(*c));
    check_name(name);
    c->cs = cs;
    c->ops = ops;
    c->owner = owner;
    c->n = n;
    c->id = alloc_printf("%s.%llu", name, (unsigned long long)n);
    c->mark = alloc_printf("WHARF_INSTANCE=%s:%s:%llu", cs->mark, name, (unsigned long long)n);
    c->pidfd = -1;
    c->spawn.pidfd = c->spawn.stdin_fd = -1;
    c->work.data = c;
    return c;
}

void children_hide(struct children *cs, const char *const *values)
{
    size_t n = 0;
    while (values[n])
        n++;
    childenv_free(cs->hidden);
    cs->hidden = alloc_zeroed(n + 1, sizeof(*cs->hidden));
    for (size_t i = 0; i < n; i++)
        cs->hidden[i] = alloc_text(values[i]);
}

struct child *children_spawn(struct children *cs, const struct child_spec *spec,
                             const struct child_ops *ops, void *owner)
{
    struct child *c = child_new(cs, spec->name, ++cs->n_last, ops, owner);
    char **env = childenv_make((const char *const *)environ, spec->env, c->mark,
                               (const char *const *)cs->hidden);
    spawn_init(&c->spawn, spec->argv, (const char *const *)env, spec->stdin_fd);
    childenv_free(env);
    c->spawn.log_path = spec->log_path ? alloc_text(spec->log_path) : NULL;
    c->spawn.name = alloc_text(c->id);
    c->spawn.cgroup_root = cs->cgroup_root;
    c->spawn.nofile_soft = cs->nofile_soft;
    c->spawn.oom_score_adj = cs->oom_score_adj;
    list_push(&cs->all, &c->link);
    c->work_busy = true;
    must(uv_queue_work(cs->loop, &c->work, spawn_work, spawn_done) == 0);
    return c;
}

/* --- signals and questions --- */

int child_log_error(const struct child *c)
{
    return c->spawn.log_error;
}

/* Whether the main process is neither reaped nor a zombie. */
static bool main_lives(const struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    if (c->state == CHILD_STARTING || c->reaped)
        return false;
    return c->pidfd < 0 || poll(&p, 1, 0) == 0;
}

/* The group of one that is not this process's to reap may be another's as soon as it has ended;
 * since Linux 6.9 the pidfd names it for good. */
static bool signal_group(const struct child *c, int signum)
{
    if (c->watch &&
        syscall(SYS_pidfd_send_signal, c->pidfd, signum, NULL, PIDFD_PROCESS_GROUP) == 0)
        return true;
    return kill(-c->main_pid, signum) == 0;
}

bool child_signal(struct child *c, int signum)
{
    return main_lives(c) && !c->failed && signal_group(c, signum);
}

void child_kill(struct child *c)
{
    c->kill_wanted = true;
    if (c->state == CHILD_STARTING)
        return;
    /* With a cgroup nobody can get away meanwhile. Without, the round looks first, as long as
     * parents show whose their children are. */
    if (c->spawn.cgroup && main_lives(c))
        (void)signal_group(c, SIGKILL);
    start_round(c);
}

pid_t child_pid(const struct child *c)
{
    return c->state == CHILD_STARTING || c->reaped ? 0 : c->main_pid;
}

bool child_owns(const struct child *c, pid_t pid)
{
    if (c->state == CHILD_STARTING || pid <= 0)
        return false;
    if (!c->reaped && pid == c->main_pid)
        return true;
    if (c->spawn.cgroup)
        return cgroup_holds(c->cs->cgroup_root, c->spawn.cgroup, pid);
    struct proc_mark mark = mark_of(c, c->reaped);
    return proctree_match(&mark, pid);
}
