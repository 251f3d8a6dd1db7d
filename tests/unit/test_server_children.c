/* Processes and their trees: every case runs with cgroups and with process marks, and again with
 * what older kernels lack taken away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "server/process/children.h"

#include "children_watch.h"

/* The ways in which every case runs. The last ones play an old kernel or a strict sandbox: such a
 * filter cannot be taken back, so they come last. */
struct mode {
    const char *name;
    bool cgroup, brief;
    int denied[2]; /* system calls that fail with ENOSYS from here on; 0: none */
};

static struct mode modes[] = {
    {.name = "cgroup", .cgroup = true},
    {.name = "marks"},
    {.name = "cgroup without clone3", .cgroup = true, .brief = true, .denied = {SYS_clone3}},
    {.name = "marks without clone3", .brief = true},
    {.name = "cgroup without pidfd",
     .cgroup = true,
     .brief = true,
     .denied = {SYS_pidfd_open, SYS_pidfd_send_signal}},
    {.name = "marks without pidfd", .brief = true},
};

struct test_case;

struct trial {
    struct mode *mode;
    const struct test_case *test_case;
};

struct world {
    const struct mode *mode;
    const struct test_case *test_case;
    uv_loop_t loop;
    struct children *cs;
    char cgroup[256]; /* the daemon's folder; empty without */
    bool closed;
};

static char root[] = "/tmp/wharf-children-XXXXXX";
static char mount_point[64], log_path[64], pids_path[64], odd_path[64];
/* Of this run: others may be under way on the same machine, and share its cgroups. */
static char mark[32];
static char mount_error[128], deny_error[128];

/* --- starting and looking --- */

static void start_spec(struct world *t, struct watch *w, struct child_spec spec)
{
    spec.name = spec.name ? spec.name : "child";
    *w = (struct watch){.asked_ns = uv_hrtime()};
    w->child = children_spawn(t->cs, &spec, &watch_ops, w);
}

/* The script finds the two files as $LOG and $PIDS. */
static void start(struct world *t, struct watch *w, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    start_spec(t, w, (struct child_spec){.argv = argv, .log_path = log_path});
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static bool is_gone(void *arg)
{
    return ((struct watch *)arg)->gone;
}

static void run_until_gone(struct world *t, struct watch *w)
{
    run_until(&t->loop, is_gone, w, "on_gone");
}

static char *read_text(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    return text;
}

/* Number of whole lines in $PIDS. */
static unsigned read_pids(pid_t *pids, unsigned max)
{
    unsigned n = 0;
    char *text = read_text(pids_path);
    for (char *end; (end = strchr(text, '\n')) != NULL && n < max; text = end + 1)
        pids[n++] = (pid_t)strtol(text, NULL, 10);
    return n;
}

static bool has_pids(void *arg)
{
    pid_t pids[16];
    return read_pids(pids, 16) >= *(unsigned *)arg;
}

/* The script has come so far, and the loop knows that it runs. w may be NULL. */
static void run_until_pids(struct world *t, struct watch *w, unsigned count)
{
    run_until(&t->loop, has_pids, &count, "the script's pids");
    if (w)
        run_until(&t->loop, is_true, &w->spawned, "on_spawned");
}

/* Neither missing nor a zombie. */
static bool lives(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    const char *rest = strrchr(read_text(path), ')');
    return rest && rest[2] != 'Z' && rest[2] != 'X';
}

static bool is_reaped(void *arg)
{
    return kill(*(pid_t *)arg, 0) != 0 && errno == ESRCH;
}

/* While a process becomes another program, nothing can be read of its environment. */
static bool sleeps(void *arg)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)*(pid_t *)arg);
    return strcmp(read_text(path), "sleep\n") == 0;
}

/* --- set-up --- */

/* Once per mode. All threads, the pool's included, get the filter; children inherit it. */
static void deny(struct mode *mode)
{
    for (size_t i = 0; i < countof(mode->denied) && mode->denied[i] != 0; i++) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)mode->denied[i], 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = countof(code), .filter = code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
            snprintf(deny_error, sizeof(deny_error), "cannot deny system calls: %s",
                     strerror(errno));
        mode->denied[i] = 0;
    }
}

static int open_world(void **state)
{
    const struct trial *trial = *state;
    struct mode *mode = trial->mode;
    struct world *t = alloc_zeroed(1, sizeof(*t));
    struct children_options opt = {.loop = &t->loop, .mark = mark, .nofile_soft = 321};
    deny(mode);
    t->mode = mode;
    t->test_case = trial->test_case;
    opt.cgroup_root = mode->cgroup ? mount_point : "off";
    opt.oom_score_adj = 123;
    unlink(log_path);
    unlink(pids_path);
    uv_loop_init(&t->loop);
    t->cs = children_new(&opt);
    const char *how = children_how(t->cs);
    if (strncmp(how, "cgroup ", 7) == 0)
        snprintf(t->cgroup, sizeof(t->cgroup), "%s", how + 7);
    *state = t;
    return 0;
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static int close_world(void **state)
{
    struct world *t = *state;
    if (children_count(t->cs) > 0) /* the case has failed, and says so */
        return -1;
    children_close(t->cs, closed_cb, &t->closed);
    run_until(&t->loop, is_true, &t->closed, "children_close");
    uv_run(&t->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    assert_int_equal(access(t->cgroup, F_OK), -1);
    free(t);
    return 0;
}

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(mark, sizeof(mark), "test-%d", (int)getpid());
    snprintf(mount_point, sizeof(mount_point), "%s/cgroup", root);
    snprintf(log_path, sizeof(log_path), "%s/log", root);
    snprintf(pids_path, sizeof(pids_path), "%s/pids", root);
    snprintf(odd_path, sizeof(odd_path), "%s/odd", root);
    setenv("LOG", log_path, 1);
    setenv("PIDS", pids_path, 1);
    if (mkdir(mount_point, 0700) != 0)
        return -1;
    if (mount("none", mount_point, "cgroup2", 0, NULL) != 0)
        snprintf(mount_error, sizeof(mount_error), "cannot mount a cgroup2: %s", strerror(errno));
    return 0;
}

static int remove_files(void **state)
{
    char command[128];
    (void)state;
    if (!*mount_error && umount(mount_point) != 0)
        return -1;
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

/* --- cases --- */

static void normal_exit(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w, "exit 7");
    assert_int_equal(children_count(t->cs), 1);
    assert_int_equal(child_pid(w.child), 0);
    assert_false(w.spawned);
    run_until_gone(t, &w);
    assert_true(w.spawned && w.exited);
    assert_true(WIFEXITED(w.status));
    assert_int_equal(WEXITSTATUS(w.status), 7);
    assert_int_equal(children_count(t->cs), 0);
}

static void signal_death(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w, "kill -KILL $$");
    run_until_gone(t, &w);
    assert_true(WIFSIGNALED(w.status));
    assert_int_equal(WTERMSIG(w.status), SIGKILL);
}

static void exec_failures(void **state)
{
    struct world *t = *state;
    const struct {
        const char *program, *log, *text;
    } cases[] = {
        {"wharf-no-such-program", log_path,
         "cannot run 'wharf-no-such-program': No such file or directory"},
        {"", log_path, "cannot run '': No such file or directory"},
        {"/no/such/program", log_path, "cannot run '/no/such/program': No such file or directory"},
        {"/etc/passwd", log_path, "cannot run '/etc/passwd': Permission denied"},
        {"/etc", log_path, "cannot run '/etc': Is a directory"},
        {odd_path, log_path, "Exec format error"},
    };
    FILE *odd = fopen(odd_path, "w");
    assert_non_null(odd);
    fputs("no program\n", odd);
    fclose(odd);
    chmod(odd_path, 0755);
    for (size_t i = 0; i < countof(cases); i++) {
        struct watch w;
        const char *argv[] = {cases[i].program, NULL};
        start_spec(t, &w, (struct child_spec){.argv = argv, .log_path = cases[i].log});
        run_until_gone(t, &w);
        assert_true(w.failed && !w.spawned && !w.exited);
        if (!strstr(w.text, cases[i].text))
            fail_msg("'%s' does not contain '%s'", w.text, cases[i].text);
    }
}

static void log_is_appended(void **state)
{
    struct world *t = *state;
    struct watch w;
    struct stat st;
    start(t, &w, "echo one; echo two >&2");
    run_until_gone(t, &w);
    start(t, &w, "echo three; [ \"$(readlink /proc/self/fd/0)\" = /dev/null ] && echo null");
    run_until_gone(t, &w);
    assert_string_equal(read_text(log_path), "one\ntwo\nthree\nnull\n");
    assert_int_equal(stat(log_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void environment(void **state)
{
    struct world *t = *state;
    struct watch w;
    const char *env[] = {"A=1", "B=2", "A=3", "PATH=/no/such:/bin", "C=", NULL};
    const char *argv[] = {"sh", "-c", "echo \"$A $B ${C-unset} $D $WHARF_INSTANCE\"", NULL};
    setenv("A", "0", 1);
    setenv("D", "4", 1);
    setenv("WHARF_INSTANCE", "outer:x:1", 1);
    start_spec(t, &w,
               (struct child_spec){.argv = argv, .env = env, .log_path = log_path, .name = "e-1"});
    run_until_gone(t, &w);
    unsetenv("WHARF_INSTANCE");
    char want[64];
    snprintf(want, sizeof(want), "3 2  4 %s:e-1:1\n", mark);
    assert_string_equal(read_text(log_path), want);
}

/* valgrind keeps a limit of its own and shows the program another one. */
static bool limits_are_real(void)
{
    struct rlimit old, low;
    char text[32] = "";
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 322;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    FILE *f = popen("ulimit -S -n", "r");
    bool read = f && fgets(text, sizeof(text), f);
    assert_int_equal(f ? pclose(f) : -1, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    return read && strcmp(text, "322\n") == 0;
}

/* What a daemon has changed for itself does not reach its children. */
static void clean_process(void **state)
{
    struct world *t = *state;
    struct watch w;
    sigset_t some, old;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigprocmask(SIG_BLOCK, &some, &old);
    signal(SIGPIPE, SIG_IGN);
    int leaked = open("/dev/null", O_RDONLY); /* not CLOEXEC */
    start(t, &w,
          "grep -E 'Sig(Blk|Ign):' /proc/self/status | tr '\\n' ' '; echo;"
          "ulimit -S -n; cat /proc/$$/oom_score_adj;"
          "set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && echo leader;"
          "ls /proc/$$/fd");
    run_until_gone(t, &w);
    close(leaked);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    char *text = read_text(log_path), *limit = strstr(text, "\n") + 1;
    unsigned long shown = strtoul(limit, &limit, 10);
    assert_string_equal(limit, "\n123\nleader\n0\n1\n2\n");
    if (limits_are_real())
        assert_int_equal(shown, 321);
    unsigned long long blocked, ignored;
    assert_int_equal(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    /* Others may have come ignored to this process itself: from make, or a shell's background. */
    assert_int_equal(ignored & 1U << (SIGPIPE - 1), 0);
}

static void stdin_is_passed(void **state)
{
    struct world *t = *state;
    struct watch w;
    int pair[2];
    const char *argv[] = {"cat", NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    start_spec(t, &w, (struct child_spec){.argv = argv, .log_path = log_path, .stdin_fd = pair[1]});
    close(pair[1]);
    assert_int_equal(write(pair[0], "hello\n", 6), 6);
    close(pair[0]);
    run_until_gone(t, &w);
    assert_string_equal(read_text(log_path), "hello\n");
}

static void graceful_stop(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w, "trap 'exit 3' TERM; echo $$ >>$PIDS; while :; do sleep 60 & wait $!; done");
    assert_false(child_signal(w.child, SIGTERM));
    run_until_pids(t, &w, 1);
    assert_true(child_signal(w.child, SIGTERM));
    run_until_gone(t, &w);
    assert_true(WIFEXITED(w.status));
    assert_int_equal(WEXITSTATUS(w.status), 3);
}

static void kill_after_ignored_term(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w, "trap '' TERM; echo $$ >>$PIDS; while :; do sleep 60; done");
    run_until_pids(t, &w, 1);
    assert_true(child_signal(w.child, SIGTERM));
    child_kill(w.child);
    child_kill(w.child);
    run_until_gone(t, &w);
    assert_true(WIFSIGNALED(w.status));
    assert_int_equal(WTERMSIG(w.status), SIGKILL);
}

/* Three that are in sessions of their own, ignore SIGTERM and are nobody's children any more. */
#define STRAYS                                                                                     \
    "for i in 1 2 3; do ( %s setsid sh -c 'trap \"\" TERM; echo $$ >>'$PIDS'; "                    \
    "while :; do sleep 60; done' & ) ; done; %s"

static void expect_gone(struct world *t, struct watch *w, unsigned count)
{
    pid_t pids[16];
    run_until_gone(t, w);
    assert_int_equal(read_pids(pids, 16), count);
    for (unsigned i = 0; i < count; i++) {
        if (lives(pids[i]))
            fail_msg("stray %d of %u lives after on_gone", (int)pids[i], count);
    }
}

static void strays_of_killed(void **state)
{
    struct world *t = *state;
    struct watch w;
    char script[512];
    snprintf(script, sizeof(script), STRAYS, "", "sleep 60");
    start(t, &w, script);
    run_until_pids(t, &w, 3);
    child_kill(w.child);
    expect_gone(t, &w, 3);
}

static void strays_of_exited(void **state)
{
    struct world *t = *state;
    struct watch w;
    char script[512];
    snprintf(script, sizeof(script), STRAYS, "",
             "while [ $(wc -l <$PIDS || echo 0) -lt 3 ]; do :; done; exit 5");
    start(t, &w, script);
    expect_gone(t, &w, 3);
    assert_int_equal(WEXITSTATUS(w.status), 5);
}

/* Without a mark only the cgroup can tell, once nobody's child and in another session. */
static void strays_without_environment(void **state)
{
    struct world *t = *state;
    struct watch w;
    char script[512];
    snprintf(script, sizeof(script), STRAYS, "env -i PATH=/bin:/usr/bin", "sleep 60");
    start(t, &w, script);
    run_until_pids(t, &w, 3);
    child_kill(w.child);
    expect_gone(t, &w, 3);
}

/* By session: the main process has ended, its child is in its session, with nothing inherited. */
static void session_without_environment(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w,
          "set -m; env -i /bin/sh -c 'echo $$ >>'$PIDS'; while :; do sleep 60; done' &"
          "while [ ! -s $PIDS ]; do :; done; exit 0");
    expect_gone(t, &w, 1);
}

/* By parent: in another session and without environment, but its parent is known. */
static void children_without_environment(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w,
          "env -i PATH=/bin:/usr/bin setsid sh -c 'echo $$ >>'$PIDS'; sleep 60; :' & sleep 60");
    run_until_pids(t, &w, 1);
    child_kill(w.child);
    expect_gone(t, &w, 1);
}

static void kill_before_spawned(void **state)
{
    struct world *t = *state;
    struct watch w;
    start(t, &w, "sleep 60");
    child_kill(w.child);
    assert_false(w.exited);
    run_until_gone(t, &w);
    assert_true(w.spawned && WIFSIGNALED(w.status));
    /* And of one that cannot be started. */
    const char *argv[] = {"/no/such/program", NULL};
    start_spec(t, &w, (struct child_spec){.argv = argv, .log_path = log_path});
    child_kill(w.child);
    run_until_gone(t, &w);
    assert_true(w.failed && !w.spawned);
}

static int compare_ns(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_times(const char *what, uint64_t *ns, size_t n)
{
    qsort(ns, n, sizeof(*ns), compare_ns);
    print_message("# %s: median %u us, 95%% %u us, most %u us\n", what,
                  (unsigned)(ns[n / 2] / 1000), (unsigned)(ns[n * 95 / 100] / 1000),
                  (unsigned)(ns[n - 1] / 1000));
}

#define RACES 200

static void immediate_exits(void **state)
{
    struct world *t = *state;
    uint64_t start_ns[RACES], end_ns[RACES];
    const char *argv[] = {"/bin/true", NULL};
    /* Fewer in the slow modes, which have the same reaper. */
    unsigned races = t->mode->brief ? RACES / 5 : RACES;
    for (unsigned i = 0; i < races; i++) {
        struct watch w;
        start_spec(t, &w, (struct child_spec){.argv = argv, .log_path = log_path});
        run_until_gone(t, &w);
        assert_true(w.spawned && WIFEXITED(w.status) && WEXITSTATUS(w.status) == 0);
        start_ns[i] = w.spawned_ns - w.asked_ns;
        end_ns[i] = w.gone_ns - w.exited_ns;
    }
    print_message("# %s\n", children_how(t->cs));
    print_times("children_spawn to on_spawned", start_ns, races);
    print_times("on_exited to on_gone", end_ns, races);
}

#define KILLS 50

static void prompt_kills(void **state)
{
    struct world *t = *state;
    uint64_t end_ns[KILLS];
    const char *argv[] = {"sleep", "60", NULL};
    for (unsigned i = 0; i < KILLS; i++) {
        struct watch w;
        start_spec(t, &w, (struct child_spec){.argv = argv, .log_path = log_path});
        run_until(&t->loop, is_true, &w.spawned, "on_spawned");
        uint64_t now = uv_hrtime();
        child_kill(w.child);
        run_until_gone(t, &w);
        assert_true(WIFSIGNALED(w.status));
        end_ns[i] = w.gone_ns - now;
    }
    print_times("child_kill to on_gone", end_ns, KILLS);
}

#define MANY 50

static bool none_left(void *arg)
{
    return children_count(arg) == 0;
}

static void many_at_once(void **state)
{
    struct world *t = *state;
    static struct watch w[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        char script[64];
        snprintf(script, sizeof(script), "exit %u", i);
        start(t, &w[i], script);
    }
    assert_int_equal(children_count(t->cs), MANY);
    run_until(&t->loop, none_left, t->cs, "all are gone");
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(w[i].gone && WIFEXITED(w[i].status));
        assert_int_equal(WEXITSTATUS(w[i].status), i);
    }
}

/* Many that live, ended together. */
static void many_killed(void **state)
{
    struct world *t = *state;
    static struct watch w[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        start(t, &w[i], "sleep 60 & sleep 60");
        if (i % 2)
            child_kill(w[i].child);
    }
    for (unsigned i = 0; i < MANY; i += 2)
        run_until(&t->loop, is_true, &w[i].spawned, "on_spawned");
    for (unsigned i = 0; i < MANY; i += 2)
        child_kill(w[i].child);
    run_until(&t->loop, none_left, t->cs, "all are gone");
    for (unsigned i = 0; i < MANY; i++) {
        /* The shell may see its sleep killed and say so before it is killed itself. */
        bool told = WIFEXITED(w[i].status) && WEXITSTATUS(w[i].status) == 128 + SIGKILL;
        assert_true(w[i].gone && (WIFSIGNALED(w[i].status) || told));
    }
}

/* Its mark is the daemon's with `more` behind it. */
static pid_t start_stranger(const char *more, const char *cgroup)
{
    char entry[64], script[512];
    char sh[] = "/bin/sh", c[] = "-c";
    char *argv[] = {sh, c, script, NULL};
    char *env[] = {entry, NULL};
    pid_t pid;
    snprintf(entry, sizeof(entry), "%s%s%s", *more ? "WHARF_INSTANCE=" : "", *more ? mark : "",
             more);
    snprintf(script, sizeof(script), "%s%s%s echo $$ >>%s; exec /bin/sleep 60",
             cgroup ? "echo $$ >" : "", cgroup ? cgroup : "", cgroup ? "/cgroup.procs;" : "",
             pids_path);
    assert_int_equal(posix_spawn(&pid, sh, NULL, NULL, argv, env), 0);
    return pid;
}

static void sweep(void **state)
{
    struct world *t = *state;
    bool with_cgroup = t->mode->cgroup;
    char folder[300] = "";
    unsigned strangers = with_cgroup ? 4 : 3;
    if (with_cgroup) {
        snprintf(folder, sizeof(folder), "%s/old.1", t->cgroup);
        assert_int_equal(mkdir(folder, 0755), 0);
    }
    pid_t other = start_stranger("-b:m:1", NULL);
    pid_t longer = start_stranger("0:m:1", NULL);
    pid_t ours = start_stranger(":m:1", NULL);
    pid_t held = with_cgroup ? start_stranger("", folder) : 0;
    run_until_pids(t, NULL, strangers);
    pid_t *all[] = {&other, &longer, &ours, &held};
    for (unsigned i = 0; i < strangers; i++)
        run_until(&t->loop, sleeps, all[i], "a stranger's program");
    uint32_t ended = children_sweep(t->cs);
    assert_int_equal(ended, with_cgroup ? 2 : 1);
    assert_false(lives(ours));
    assert_true(lives(other));
    assert_true(lives(longer));
    if (with_cgroup) {
        assert_false(lives(held));
        assert_int_equal(access(folder, F_OK), -1);
    }
    assert_int_equal(children_sweep(t->cs), 0);
    kill(other, SIGKILL);
    kill(longer, SIGKILL);
    run_until(&t->loop, is_reaped, &other, "the other's end");
    run_until(&t->loop, is_reaped, &longer, "the other's end");
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void descriptors_stay(void **state)
{
    struct world *t = *state;
    struct watch w;
    const char *missing[] = {"/no/such/program", NULL};
    start(t, &w, "exit 0");
    run_until_gone(t, &w);
    unsigned before = count_fds();
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 5 == 4)
            start_spec(t, &w, (struct child_spec){.argv = missing, .log_path = log_path});
        else
            start(t, &w, i % 2 ? "exit 0" : "sleep 60 & exit 0");
        run_until_gone(t, &w);
    }
    assert_int_equal(count_fds(), before);
}

static void orphans_are_reaped(void **state)
{
    struct world *t = *state;
    struct watch w;
    pid_t pid = 0;
    start(t, &w, "(sh -c 'echo $$ >>'$PIDS &) ; sleep 60");
    run_until_pids(t, &w, 1);
    assert_int_equal(read_pids(&pid, 1), 1);
    run_until(&t->loop, is_reaped, &pid, "the orphan's reap");
    assert_true(w.spawned && !w.exited);
    child_kill(w.child);
    run_until_gone(t, &w);
}

static void ownership(void **state)
{
    struct world *t = *state;
    struct watch w, v;
    pid_t pids[3];
    char script[512];
    snprintf(script, sizeof(script), STRAYS, "", "sleep 60");
    start(t, &w, script);
    start(t, &v, "sleep 60");
    run_until_pids(t, &w, 3);
    run_until(&t->loop, is_true, &v.spawned, "on_spawned");
    assert_int_equal(read_pids(pids, 3), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(child_owns(w.child, pids[i]));
        assert_false(child_owns(v.child, pids[i]));
    }
    assert_true(child_owns(w.child, w.pid));
    assert_false(child_owns(v.child, w.pid));
    assert_false(child_owns(w.child, getpid()));
    assert_false(child_owns(w.child, 1));
    assert_false(child_owns(w.child, 0));
    child_kill(w.child);
    child_kill(v.child);
    expect_gone(t, &w, 3);
    run_until_gone(t, &v);
}

/* A folder that cannot hold processes is said so, and everything works by marks. */
static void bad_cgroup_root(void **state)
{
    struct world *t = *state;
    bool closed = false;
    const struct children_options opt = {.loop = &t->loop, .mark = "c", .cgroup_root = root};
    struct children *cs = children_new(&opt);
    assert_non_null(strstr(children_how(cs), "is not on a cgroup2 mount"));
    children_close(cs, closed_cb, &closed);
    run_until(&t->loop, is_true, &closed, "children_close");
}

/* Whatever this machine offers: it says which, and programs run. In place of the first set, since
 * one process has one reaper; the tear-down closes it. */
static void found_cgroup_root(void **state)
{
    struct world *t = *state;
    bool closed = false;
    struct watch w;
    const struct children_options opt = {.loop = &t->loop, .mark = mark};
    children_close(t->cs, closed_cb, &closed);
    run_until(&t->loop, is_true, &closed, "children_close");
    t->cs = children_new(&opt);
    const char *how = children_how(t->cs);
    print_message("# %s\n", how);
    assert_true(strncmp(how, "cgroup /", 8) == 0 || strncmp(how, "process marks (", 15) == 0);
    start(t, &w, "sleep 60 & cat /proc/self/cgroup");
    run_until_gone(t, &w);
    assert_true(w.spawned && w.exited && WIFEXITED(w.status));
    if (how[0] == 'c')
        assert_non_null(strstr(read_text(log_path), "/child.1\n"));
}

/* --- running --- */

static const struct test_case {
    const char *name;
    CMUnitTestFunction run;
    bool cgroup_only;
} cases[] = {
    {.name = "normal exit", .run = normal_exit},
    {.name = "death by a signal", .run = signal_death},
    {.name = "programs that cannot be run", .run = exec_failures},
    {.name = "log is appended", .run = log_is_appended},
    {.name = "environment and mark", .run = environment},
    {.name = "signals, limits, descriptors, session", .run = clean_process},
    {.name = "stdin is passed", .run = stdin_is_passed},
    {.name = "graceful stop", .run = graceful_stop},
    {.name = "kill after an ignored SIGTERM", .run = kill_after_ignored_term},
    {.name = "strays of a killed child", .run = strays_of_killed},
    {.name = "strays of a child that exited", .run = strays_of_exited},
    {.name = "strays without environment", .run = strays_without_environment, .cgroup_only = true},
    {.name = "same session, without environment", .run = session_without_environment},
    {.name = "children without environment", .run = children_without_environment},
    {.name = "kill before spawned", .run = kill_before_spawned},
    {.name = "immediate exits", .run = immediate_exits},
    {.name = "prompt kills", .run = prompt_kills},
    {.name = "many at once", .run = many_at_once},
    {.name = "many killed", .run = many_killed},
    {.name = "sweep", .run = sweep},
    {.name = "descriptors stay", .run = descriptors_stay},
    {.name = "orphans are reaped", .run = orphans_are_reaped},
    {.name = "ownership", .run = ownership},
    {.name = "a bad cgroup root", .run = bad_cgroup_root},
    {.name = "the cgroup root that is found", .run = found_cgroup_root},
};

/* Why it cannot run in this mode; NULL when it can. */
static const char *obstacle(const struct world *t)
{
    if (t->mode->cgroup && *mount_error)
        return mount_error;
    if (*deny_error)
        return deny_error;
    if (t->test_case->cgroup_only && !t->mode->cgroup)
        return "marks cannot find orphans without environment and session";
    return NULL;
}

/* cmocka's skip() is written as a failure in its TAP output (1.1.5), so it is not used. */
static void run_case(void **state)
{
    const struct world *t = *state;
    const char *why = obstacle(t);
    if (why) {
        print_message("# skipped: %s\n", why);
        return;
    }
    assert_non_null(strstr(children_how(t->cs), t->mode->cgroup ? "cgroup /" : "process marks ("));
    t->test_case->run(state);
}

int main(void)
{
    static struct CMUnitTest tests[countof(modes) * countof(cases)];
    static struct trial trials[countof(tests)];
    static char names[countof(tests)][96];
    for (size_t i = 0; i < countof(tests); i++) {
        trials[i] = (struct trial){&modes[i / countof(cases)], &cases[i % countof(cases)]};
        snprintf(names[i], sizeof(names[i]), "%s: %s", trials[i].mode->name,
                 trials[i].test_case->name);
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = run_case,
                                       .setup_func = open_world,
                                       .teardown_func = close_world,
                                       .initial_state = &trials[i]};
    }
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
