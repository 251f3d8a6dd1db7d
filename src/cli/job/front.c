#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/job/guard.h"
#include "cli/job/tree.h"
#include "cli/job/witness.h"
#include "cli/output.h"

struct front {
    struct tree tree;
    struct witness witness;
    struct hold *hold;
    pid_t guard;
    int link, signals;
    int held; /* a copy of the lease's connection; -1: there is none */
    sigset_t old_signals;
    bool is_detached;
    bool own_group;
    bool is_over;
    int failed_errno; /* with which the command could not be run; 0 */
    struct front_end *end;
};

/* All but those that a fault of this process raises, which blocked would be a loop, and the
 * children's, which say nothing that the link does not. */
static sigset_t to_pass_on(void)
{
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGCHLD};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < countof(kept); i++)
        sigdelset(&set, kept[i]);
    return set;
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- while the job runs --- */

/* As the command was, so that a shell sees it. A process group that no shell looks after is not
 * stopped by the terminal's signals, and the command's was not either, or it leads its own. */
static void stop_as(const struct front *f, int number)
{
    sigset_t one;
    signal(number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, number);
    if (f->own_group)
        number = SIGSTOP;
    (void)kill(getpid(), number);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)sigprocmask(SIG_BLOCK, &one, NULL);
}

/* Of the connection that holds the lease; the one before is over. */
static void keep_copy(struct front *f, int fd)
{
    if (f->held >= 0)
        close(f->held);
    f->held = fd;
}

static void hear_guard(struct front *f)
{
    struct guard_message m;
    int fd;
    int rc = guard_hear(f->link, &m, &fd);
    f->is_over = rc == 0;
    if (fd >= 0)
        keep_copy(f, fd);
    if (rc <= 0)
        return;
    if (m.word == GUARD_STOPPED && !f->is_detached) {
        stop_as(f, m.value);
    } else if (m.word == GUARD_FAILED) {
        f->failed_errno = m.value;
        f->is_over = true;
    } else if (m.word == GUARD_ENDED) {
        f->end->was_run = true;
        f->end->status = m.value;
        f->is_over = true;
    }
}

/* What came for the whole process group, as all that a terminal sends does, has come to the command
 * as well where it is in the same one. */
static void pass_on(struct front *f)
{
    struct signalfd_siginfo s;
    if (read(f->signals, &s, sizeof(s)) != (ssize_t)sizeof(s))
        return;
    int number = (int)s.ssi_signo;
    bool was_for_all = witness_saw(&f->witness, number) || s.ssi_code == SI_KERNEL;
    if (f->is_detached && (number == SIGTERM || number == SIGINT || number == SIGHUP)) {
        f->end->was_cancelled = true;
        (void)guard_say(f->link, GUARD_END, 0);
    } else if (f->own_group || !was_for_all) {
        (void)guard_say(f->link, GUARD_FORWARD, number);
    }
}

static void look_after(struct front *f)
{
    while (!f->is_over) {
        struct pollfd fds[] = {{.fd = f->link, .events = POLLIN},
                               {.fd = f->signals, .events = POLLIN}};
        if (poll(fds, countof(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            pass_on(f);
        if (fds[0].revents)
            hear_guard(f);
    }
}

/* --- beginning and end --- */

/* Before the command is there to be signalled. */
static void start_witness(struct front *f, const struct hold *h)
{
    const int not_its[] = {f->signals, h->answer ? client_fd(h->answer) : -1};
    witness_start(&f->witness, not_its, countof(not_its));
}

/* 0, or the errno. */
static int start_guard(struct front *f, struct hold *h)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    f->guard = fork();
    if (f->guard == 0) {
        const struct guard_plan plan = {
            .hold = h, .link = pair[1], .own_group = f->own_group, .old_signals = f->old_signals};
        close(pair[0]);
        close(f->signals);
        if (f->witness.link >= 0)
            close(f->witness.link);
        guard_main(&plan);
    }
    int error = f->guard < 0 ? errno : 0;
    close(pair[1]);
    f->link = pair[0];
    /* The guard speaks over it now; this side's copy is there for the case that it is killed. */
    if (h->answer && error == 0)
        f->held = fcntl(client_fd(h->answer), F_DUPFD_CLOEXEC, 0);
    client_close(h->answer);
    h->answer = NULL;
    return error;
}

static int not_run(const char *command, int error)
{
    output_complain("cannot run '%s': %s", command, strerror(error));
    return error == ENOENT || error == ENOTDIR ? CLI_NOT_FOUND : CLI_NOT_RUNNABLE;
}

/* The guard was killed, and the command with it; what else there was is below this process now.
 * Only when nothing is left the lease may go. */
static void take_over(struct front *f)
{
    output_note("the process that guards the job was killed, and the job is ended");
    (void)tree_end(&f->tree);
    hold_give_back(f->hold);
    f->end->was_run = true;
    f->end->status = W_EXITCODE(0, SIGKILL);
}

void front_run(struct hold *h, bool is_detached, struct front_end *ret)
{
    struct front f = {.is_detached = is_detached,
                      .own_group = !has_terminal(),
                      .witness = {.link = -1},
                      .hold = h,
                      .held = -1,
                      .end = ret};
    const sigset_t passed = to_pass_on();
    sigset_t all;
    *ret = (struct front_end){.was_run = false};
    sigfillset(&all);
    must(sigprocmask(SIG_BLOCK, &all, &f.old_signals) == 0);
    f.signals = signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK);
    must(f.signals >= 0);
    tree_init(&f.tree);
    if (!f.own_group)
        start_witness(&f, h);
    int error = session_interrupted() ? EINTR : start_guard(&f, h);
    if (error == 0) {
        guard_let_go();
        look_after(&f);
        error = f.failed_errno;
        if (error == 0 && !ret->was_run)
            take_over(&f);
        close(f.link);
        if (f.held >= 0)
            close(f.held);
    }
    witness_end(&f.witness);
    close(f.signals);
    if (error == 0)
        return;
    /* By a signal: session_end makes an end of it. */
    ret->status = error == EINTR ? CLI_FAILED : not_run(h->ask->argv[0], error);
    must(sigprocmask(SIG_SETMASK, &f.old_signals, NULL) == 0);
}

int front_end_as(const struct front_end *end)
{
    const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
    sigset_t one;
    if (!end->was_run)
        return end->status;
    if (WIFEXITED(end->status))
        return WEXITSTATUS(end->status);
    int number = WTERMSIG(end->status);
    /* The command has dumped core already, if it was to. */
    (void)setrlimit(RLIMIT_CORE, &no_core);
    signal(number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, number);
    (void)raise(number);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    return 128 + number;
}
