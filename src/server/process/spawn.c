#include "server/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "server/process/cgroup.h"
#include "server/process/childenv.h"
#include "server/process/proctree.h"

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"
/* /proc/PID/stat rounds start times down to ticks; one second of slack costs nothing. */
#define START_SLACK_TICKS 100

/* All that the new process needs, ready before it is made: it may allocate nothing, since another
 * thread may have held any lock when it was copied. */
struct plan {
    struct spawn_job *job;
    char **paths; /* candidates for execve, in order */
    int stdin_fd, log_fd, cgroup_fd;
    int link[2]; /* [0] here, [1] in the new process */
    struct rlimit nofile;
};

/* What the new process reports before it gives up; when the program runs, the end of the link
 * closes with nothing said. */
struct report {
    int stage, error;
};

/* --- preparing, on the loop --- */

static size_t count_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n])
        n++;
    return n;
}

static char **copy_texts(const char *const *texts)
{
    size_t n = count_texts(texts);
    char **copy = alloc_zeroed(n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = alloc_text(texts[i]);
    return copy;
}

void spawn_init(struct spawn_job *job, const char *const *argv, const char *const *env,
                int stdin_fd)
{
    *job = (struct spawn_job){.argv = copy_texts(argv), .envp = copy_texts(env)};
    job->stdin_fd = stdin_fd > 0 ? fcntl(stdin_fd, F_DUPFD_CLOEXEC, 3) : -1;
    job->pidfd = -1;
}

void spawn_fini(struct spawn_job *job)
{
    childenv_free(job->argv);
    childenv_free(job->envp);
    free(job->log_path);
    free(job->name);
    if (job->stdin_fd >= 0)
        close(job->stdin_fd);
    job->argv = job->envp = NULL;
    job->log_path = job->name = NULL;
    job->stdin_fd = -1;
}

/* --- in the new process: async-signal-safe calls only --- */

static _Noreturn void give_up(int link, enum spawn_stage stage)
{
    struct report r = {.stage = (int)stage, .error = errno};
    (void)!write(link, &r, sizeof(r));
    _exit(127);
}

/* Ignored signals would stay ignored over execve, and a handler of the daemon's must not run here:
 * libuv's writes into a pipe that is shared with the daemon. Signals are blocked until this is
 * done. */
static void reset_signals(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        (void)sigaction(s, &sa, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Every descriptor is opened with CLOEXEC; this is for libraries that forget to, and lets go at
 * once of other spawns' links, which a sibling would otherwise hold until its own execve. */
static void close_others(int keep)
{
#ifdef SYS_close_range
    if (keep > 3)
        (void)syscall(SYS_close_range, 3U, (unsigned)keep - 1, 0U);
    (void)syscall(SYS_close_range, (unsigned)keep + 1, ~0U, 0U);
#else
    (void)keep;
#endif
}

/* Writes a small number without stdio. */
static void set_oom_score(int score)
{
    char text[12];
    size_t at = sizeof(text);
    unsigned value = score < 0 ? 0U - (unsigned)score : (unsigned)score;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    do
        text[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    if (score < 0)
        text[--at] = '-';
    (void)!write(fd, text + at, sizeof(text) - at);
    close(fd);
}

/* As execvp(3): the first candidate that can be run; what was found but may not be run is
 * remembered. */
static void exec_first(const struct plan *p)
{
    int error = ENOENT;
    for (char **path = p->paths; *path; path++) {
        execve(*path, p->job->argv, p->job->envp);
        if (errno == EACCES)
            error = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return;
    }
    errno = error;
}

static _Noreturn void child_main(const struct plan *p)
{
    int link = p->link[1];
    if (dup2(p->stdin_fd, STDIN_FILENO) < 0 || dup2(p->log_fd, STDOUT_FILENO) < 0 ||
        dup2(p->log_fd, STDERR_FILENO) < 0)
        give_up(link, SPAWN_SETUP);
    close_others(link);
    if (setsid() < 0)
        give_up(link, SPAWN_SETUP);
    (void)setrlimit(RLIMIT_NOFILE, &p->nofile);
    if (p->job->oom_score_adj != 0)
        set_oom_score(p->job->oom_score_adj);
    reset_signals();
    exec_first(p);
    give_up(link, SPAWN_EXEC);
}

/* --- in the worker --- */

/* clone3 puts the process into its cgroup before its first instruction (Linux 5.7), and gives a
 * pidfd that cannot name another process. Without CLONE_VM it copies the process as fork does, but
 * runs no atfork handlers: it neither waits for nor needs malloc's locks. */
static pid_t clone_quick(const struct plan *p, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD};
    args.pidfd = (uint64_t)(uintptr_t)&pidfd;
    if (p->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)p->cgroup_fd;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid > 0)
        *ret_pidfd = pidfd;
    return pid;
}

/* Without a folder the program runs all the same; its tree is then found by its mark. */
static void leave_cgroup(struct spawn_job *job, int error)
{
    job->cgroup_error = error;
    if (job->cgroup)
        (void)cgroup_remove(job->cgroup);
    free(job->cgroup);
    job->cgroup = NULL;
}

/* For kernels, sandboxes and valgrind without clone3. The new process waits for a byte: until then
 * it cannot end, so that pidfd_open and the move into the cgroup meet no other process. */
static pid_t clone_slow(struct plan *p)
{
    struct spawn_job *job = p->job;
    char go = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (read(p->link[1], &go, 1) != 1)
            _exit(127);
        child_main(p);
    }
    if (pid < 0)
        return pid;
    job->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int error = job->cgroup ? cgroup_join(job->cgroup, pid) : 0;
    if (error != 0)
        leave_cgroup(job, -error);
    (void)send(p->link[0], &go, 1, MSG_NOSIGNAL);
    return pid;
}

static void make_process(struct plan *p)
{
    struct spawn_job *job = p->job;
    sigset_t all, old;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    uint64_t now = proctree_now_ticks();
    job->start_ticks = now > START_SLACK_TICKS ? now - START_SLACK_TICKS : 0;
    pid_t pid = clone_quick(p, &job->pidfd);
    if (pid == 0)
        child_main(p);
    if (pid < 0)
        pid = clone_slow(p);
    if (pid < 0) {
        job->stage = SPAWN_CLONE;
        job->error = errno;
    }
    job->pid = pid < 0 ? 0 : pid;
    must(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

/* Blocks until the program runs, which closes the link, or the process has reported why not. */
static void read_report(struct plan *p)
{
    struct report r;
    ssize_t n;
    close(p->link[1]);
    p->link[1] = -1;
    do
        n = read(p->link[0], &r, sizeof(r));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(r)) {
        p->job->stage = (enum spawn_stage)r.stage;
        p->job->error = r.error;
    }
}

static char **find_paths(const struct spawn_job *job)
{
    const char *name = job->argv[0], *path = PATH_DEFAULT;
    for (char **e = job->envp; *e; e++) {
        if (strncmp(*e, "PATH=", 5) == 0)
            path = *e + 5;
    }
    size_t count = 0, most = 2;
    for (const char *c = path; *c; c++)
        most += *c == ':';
    char **found = alloc_zeroed(most + 1, sizeof(*found));
    if (strchr(name, '/')) {
        found[0] = alloc_text(name);
        return found;
    }
    /* An empty element would mean the working folder: a trap, left out. */
    while (*path && *name) {
        int n = (int)strcspn(path, ":");
        if (n > 0)
            found[count++] = alloc_printf("%.*s/%s", n, path, name);
        path += n + (path[n] == ':');
    }
    return found;
}

/* Above the standard three, which the new process replaces one by one. */
static int above_std(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    errno = error;
    return moved;
}

static bool fail(struct spawn_job *job, enum spawn_stage stage)
{
    job->stage = stage;
    job->error = errno;
    return false;
}

static bool plan_open(struct plan *p)
{
    struct spawn_job *job = p->job;
    const int append = O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC;
    int pair[2];
    if (job->log_path) {
        p->log_fd = above_std(open(job->log_path, append | O_CREAT | O_NOFOLLOW, 0600));
        job->log_error = p->log_fd < 0 ? errno : 0;
    }
    /* A full disk is no reason not to serve. */
    if (p->log_fd < 0)
        p->log_fd = above_std(open("/dev/null", append));
    if (p->log_fd < 0)
        return fail(job, SPAWN_OPEN_NULL);
    p->stdin_fd = job->stdin_fd >= 0 ? fcntl(job->stdin_fd, F_DUPFD_CLOEXEC, 3)
                                     : above_std(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (p->stdin_fd < 0)
        return fail(job, SPAWN_OPEN_NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return fail(job, SPAWN_LINK);
    p->link[0] = above_std(pair[0]);
    p->link[1] = above_std(pair[1]);
    if (p->link[0] < 0 || p->link[1] < 0)
        return fail(job, SPAWN_LINK);
    if (getrlimit(RLIMIT_NOFILE, &p->nofile) != 0)
        return fail(job, SPAWN_LINK);
    p->nofile.rlim_cur =
        job->nofile_soft < p->nofile.rlim_max ? job->nofile_soft : p->nofile.rlim_max;
    return true;
}

static void plan_cgroup(struct plan *p)
{
    struct spawn_job *job = p->job;
    if (!job->cgroup_root)
        return;
    job->cgroup = cgroup_make(job->cgroup_root, job->name);
    if (job->cgroup)
        p->cgroup_fd = above_std(open(job->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (p->cgroup_fd < 0)
        leave_cgroup(job, errno);
}

static void plan_close(struct plan *p)
{
    const int fds[] = {p->stdin_fd, p->log_fd, p->cgroup_fd, p->link[0], p->link[1]};
    for (size_t i = 0; i < countof(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    childenv_free(p->paths);
}

void spawn_run(struct spawn_job *job)
{
    struct plan p = {.job = job, .stdin_fd = -1, .log_fd = -1, .cgroup_fd = -1, .link = {-1, -1}};
    struct stat st;
    must(job->argv[0] && job->pid == 0);
    p.paths = find_paths(job);
    if (plan_open(&p)) {
        plan_cgroup(&p);
        make_process(&p);
        if (job->pid > 0)
            read_report(&p);
    }
    plan_close(&p);
    /* execve says EACCES for a folder; that would send people to look at its permissions. */
    if (job->stage == SPAWN_EXEC && job->error == EACCES && stat(job->argv[0], &st) == 0 &&
        S_ISDIR(st.st_mode))
        job->error = EISDIR;
}

char *spawn_text(const struct spawn_job *job, char *out, size_t out_size)
{
    static const char *const what[SPAWN__COUNT] = {
        [SPAWN_OPEN_NULL] = "cannot open /dev/null for",
        [SPAWN_LINK] = "cannot make a link to",
        [SPAWN_CLONE] = "cannot make a process for",
        [SPAWN_SETUP] = "cannot set up the process of",
        [SPAWN_EXEC] = "cannot run",
    };
    must(job->stage > SPAWN_DONE && job->stage < SPAWN__COUNT);
    snprintf(out, out_size, "%s '%s': %s", what[job->stage], job->argv[0], strerror(job->error));
    return out;
}
