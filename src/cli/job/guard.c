#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pure/units.h"
#include "cli/job/tree.h"
#include "cli/output.h"

#define RETRY_NS (500 * NS_PER_MS)
#define SILENCE_NS (3 * CLIENT_LEASE_PING_MS * NS_PER_MS)
/* A lease with a time to live is renewed so many times within it. */
#define RENEWALS 3
#define NEVER UINT64_MAX
/* So long before the end of a revoked lease its processes are killed. */
#define KILL_MARGIN_SHARE 5
#define KILL_MARGIN_NS_MAX NS_PER_S

enum phase {
    RUNNING,
    ENDING, /* told to end; everything has until kill_ns */
    OVER,   /* what is left is killed */
};

struct guard {
    const struct guard_plan *plan;
    struct hold *hold;
    struct client_options options; /* stopped by what has to be looked at meanwhile */
    struct tree tree;
    int link, signals, both; /* `both` is readable when one of the two is */
    struct buf text;         /* the lease's line that is being read */
    pid_t main_pid;
    bool main_ended, tree_empty;
    int main_status; /* as of waitpid */
    enum phase phase;
    uint64_t kill_ns;  /* in ENDING */
    uint64_t limit_ns; /* the job was to be over by then; NEVER */
    bool lease_over;   /* nothing of it is to be expected any more */
    bool lost_said;
    uint64_t lease_ns; /* when to try to reach the daemon next, or to give its silence up */
};

/* Room for one descriptor. */
union ancillary {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
};

static int say_with(int link, enum guard_word word, int value, int fd)
{
    struct guard_message m = {.word = word, .value = value};
    struct iovec io = {.iov_base = &m, .iov_len = sizeof(m)};
    union ancillary with = {.room = {0}};
    struct msghdr packet = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd >= 0) {
        packet.msg_control = with.room;
        packet.msg_controllen = sizeof(with.room);
        struct cmsghdr *c = CMSG_FIRSTHDR(&packet);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(link, &packet, MSG_NOSIGNAL) == (ssize_t)sizeof(m) ? 0 : -1;
}

int guard_say(int link, enum guard_word word, int value)
{
    return say_with(link, word, value, -1);
}

int guard_hear(int link, struct guard_message *ret, int *ret_fd)
{
    struct iovec io = {.iov_base = ret, .iov_len = sizeof(*ret)};
    union ancillary with = {.room = {0}};
    struct msghdr packet = {.msg_iov = &io,
                            .msg_iovlen = 1,
                            .msg_control = with.room,
                            .msg_controllen = sizeof(with.room)};
    *ret_fd = -1;
    ssize_t n = recvmsg(link, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&packet) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    return n == 0 ? 0 : n == (ssize_t)sizeof(*ret) ? 1 : -1;
}

/* --- starting --- */

static void set_environment(const struct hold *h)
{
    const json_t *environment = json_object_get(h->line.json, "environment");
    void *at = json_object_iter((json_t *)(uintptr_t)environment);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)environment, at)) {
        const char *value = json_string_value(json_object_iter_value(at));
        if (value)
            (void)setenv(json_object_iter_key(at), value, 1);
    }
}

/* A handler is nothing that CMD has; what the caller ignores, it ignores. */
static void drop_handlers(void)
{
    struct sigaction action, none = {.sa_handler = SIG_DFL};
    for (int n = 1; n < NSIG; n++)
        if (sigaction(n, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaction(n, &none, NULL);
}

static _Noreturn void become_command(const struct guard *g, pid_t guard_pid, int report)
{
    char **argv = g->hold->ask->argv;
    int error = 0;
    if (g->plan->own_group && setpgid(0, 0) != 0)
        error = errno;
    /* Asked behind the prctl: a guard that ended before it tells nobody. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != guard_pid)
        _exit(CLI_NOT_RUNNABLE);
    drop_handlers();
    (void)sigprocmask(SIG_SETMASK, &g->plan->old_signals, NULL);
    if (error == 0) {
        execvp(argv[0], argv);
        error = errno;
    }
    (void)!write(report, &error, sizeof(error));
    _exit(CLI_NOT_RUNNABLE);
}

/* 0, or the errno with which it could not be run. */
static int start_command(struct guard *g)
{
    int report[2], error = 0;
    pid_t self = getpid();
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    g->main_pid = fork();
    if (g->main_pid == 0)
        become_command(g, self, report[1]);
    if (g->main_pid < 0)
        error = errno;
    close(report[1]);
    /* Its end comes when the program runs. */
    while (g->main_pid > 0 && read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
        continue;
    close(report[0]);
    return error;
}

void guard_let_go(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    close(null);
}

static void watch(struct guard *g)
{
    struct epoll_event in = {.events = EPOLLIN};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    g->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    g->both = epoll_create1(EPOLL_CLOEXEC);
    must(g->signals >= 0 && g->both >= 0);
    must(epoll_ctl(g->both, EPOLL_CTL_ADD, g->signals, &in) == 0);
    must(epoll_ctl(g->both, EPOLL_CTL_ADD, g->link, &in) == 0);
    g->options = g->hold->session->options;
    g->options.stop_fd = g->both;
}

/* --- ending --- */

static void tell_all(struct guard *g, int number)
{
    size_t seen;
    (void)tree_signal(&g->tree, number, &seen);
}

static void end_job(struct guard *g, uint64_t grace_ns)
{
    if (g->phase != RUNNING)
        return;
    g->phase = ENDING;
    g->kill_ns = hold_now_ns() + grace_ns;
    tell_all(g, g->hold->ask->end_signal);
    /* A stopped process takes no other signal than SIGKILL. */
    tell_all(g, SIGCONT);
}

static void look_at_main(struct guard *g, const siginfo_t *si)
{
    if (si->si_code == CLD_STOPPED) {
        (void)guard_say(g->link, GUARD_STOPPED, si->si_status);
    } else if (si->si_code == CLD_EXITED) {
        g->main_ended = true;
        g->main_status = W_EXITCODE(si->si_status, 0);
    } else {
        g->main_ended = true;
        g->main_status = W_EXITCODE(0, si->si_status);
    }
}

static void reap(struct guard *g)
{
    struct signalfd_siginfo seen[4];
    while (read(g->signals, seen, sizeof(seen)) > 0)
        continue;
    for (;;) {
        siginfo_t si = {.si_pid = 0};
        if (waitid(P_ALL, 0, &si, WEXITED | WSTOPPED | WNOHANG) != 0) {
            g->tree_empty = errno == ECHILD;
            return;
        }
        if (si.si_pid == 0)
            return;
        if (si.si_pid == g->main_pid)
            look_at_main(g, &si);
    }
}

static void hear_front(struct guard *g)
{
    struct guard_message m;
    int fd;
    int rc = guard_hear(g->link, &m, &fd);
    if (rc == 0) {
        g->phase = OVER; /* the front was killed */
    } else if (rc > 0 && m.word == GUARD_END) {
        end_job(g, g->hold->ask->lease.grace_ns);
    } else if (rc > 0 && m.word == GUARD_FORWARD && !g->main_ended) {
        (void)kill(g->main_pid, m.value);
    }
}

/* --- the lease --- */

static void drop_connection(struct guard *g, uint64_t again_ns)
{
    client_hang_up(g->hold->answer);
    g->hold->answer = NULL;
    buf_clear(&g->text);
    g->lease_ns = hold_now_ns() + again_ns;
}

/* A gate is somebody else's as soon as the grace is over: nothing of the job may be left then. */
static uint64_t until_killed(uint64_t grace_ns)
{
    uint64_t margin = grace_ns / KILL_MARGIN_SHARE;
    return grace_ns - (margin < KILL_MARGIN_NS_MAX ? margin : KILL_MARGIN_NS_MAX);
}

static void take_end(struct guard *g, const struct client_lease_line *l)
{
    bool is_revoked = l->state == CLIENT_LEASE_REVOKED;
    uint64_t grace_ns = g->hold->ask->lease.grace_ns;
    char span[UNITS_TEXT_MAX];
    if (is_revoked && l->grace_s >= 0 && l->grace_s < 1e9)
        grace_ns = until_killed((uint64_t)(l->grace_s * (double)NS_PER_S));
    if (g->phase == RUNNING)
        output_note("the lease %s (%s); the job is told to end, and has %s",
                    is_revoked ? "is revoked" : "has ended",
                    l->why ? l->why : "no reason was given", units_format_duration(grace_ns, span));
    g->lease_over = g->lease_over || !is_revoked;
    end_job(g, grace_ns);
}

static void hear_daemon(struct guard *g)
{
    for (;;) {
        struct err e = {.set = false};
        struct client_lease_line l;
        int rc = client_lease_read(g->hold->answer, &g->text, &l, &e);
        if (rc == -CLIENT_AGAIN)
            return;
        if (rc <= 0) {
            drop_connection(g, 0);
            return;
        }
        g->lease_ns = hold_now_ns() + SILENCE_NS;
        if (l.state == CLIENT_LEASE_REVOKED || l.state == CLIENT_LEASE_ENDED)
            take_end(g, &l);
        client_lease_line_fini(&l);
    }
}

/* Bytes that it holds are then somebody's that wharf knows nothing of, and no room for others. */
static void go_on_without(struct guard *g, const char *why)
{
    g->lease_over = true;
    if (g->phase == RUNNING)
        output_note("the lease is lost (%s); the job goes on without it", why);
}

static void say_lost(struct guard *g)
{
    if (!g->lost_said)
        output_note("the daemon at %s is gone; the job goes on, and its lease is taken up again "
                    "when it is back",
                    g->options.address.text);
    g->lost_said = true;
}

static void say_back(struct guard *g)
{
    if (g->lost_said)
        output_note("the daemon is back, and the lease is kept");
    g->lost_said = false;
}

/* What its status means for the lease; true when it stands. */
static bool stands(struct guard *g, uint16_t status)
{
    if (status >= 200 && status < 300) {
        say_back(g);
        return true;
    }
    if (status == 403 || status == 404 || status == 410)
        go_on_without(g,
                      status == 403 ? "its token is not accepted" : "the daemon does not know it");
    return false;
}

static void resume(struct guard *g)
{
    struct err e = {.set = false};
    struct client_answer *a;
    int rc = client_lease_resume(&g->options, g->hold->id, g->hold->token, &a, &e);
    g->lease_ns = hold_now_ns() + RETRY_NS;
    if (rc < 0) {
        if (rc != -CLIENT_STOPPED)
            say_lost(g);
        return;
    }
    /* Before all else: if this process is killed now, the lease must not end. */
    if (client_status(a) == 200)
        (void)say_with(g->link, GUARD_HOLDS, 0, client_fd(a));
    if (!stands(g, client_status(a))) {
        client_close(a);
        return;
    }
    client_set_silence(a, CLIENT_NO_WAIT);
    g->hold->answer = a;
    g->lease_ns = hold_now_ns() + SILENCE_NS;
    hear_daemon(g);
}

static void renew(struct guard *g)
{
    struct err e = {.set = false};
    struct client_reply r;
    int rc = client_lease_renew(&g->options, g->hold->id, g->hold->token, &r, &e);
    g->lease_ns = hold_now_ns() + RETRY_NS;
    if (rc < 0) {
        if (rc != -CLIENT_STOPPED)
            say_lost(g);
        return;
    }
    struct client_lease_line l = {.state = CLIENT_LEASE_PING};
    if (stands(g, r.status))
        g->lease_ns = hold_now_ns() + g->hold->ask->lease.ttl_ns / RENEWALS;
    if (r.json && client_lease_line_take(json_incref(r.json), &l) == 0 &&
        l.state == CLIENT_LEASE_REVOKED) {
        l.grace_s = l.expires_s;
        take_end(g, &l);
    }
    client_lease_line_fini(&l);
    client_reply_fini(&r);
}

static void tend_lease(struct guard *g)
{
    if (g->lease_over || hold_now_ns() < g->lease_ns)
        return;
    if (g->hold->ask->lease.ttl_ns > 0) {
        renew(g);
        return;
    }
    if (g->hold->answer)
        drop_connection(g, 0); /* silent for too long */
    resume(g);
}

/* --- the loop --- */

static uint64_t next_ns(const struct guard *g)
{
    uint64_t next = g->lease_over ? NEVER : g->lease_ns;
    if (g->phase == ENDING && g->kill_ns < next)
        next = g->kill_ns;
    if (g->phase == RUNNING && g->limit_ns < next)
        next = g->limit_ns;
    return next;
}

static int timeout_ms(const struct guard *g)
{
    uint64_t next = next_ns(g), now = hold_now_ns();
    if (next == NEVER)
        return -1;
    if (next <= now)
        return 0;
    uint64_t ms = (next - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void keep_limits(struct guard *g)
{
    uint64_t now = hold_now_ns();
    if (g->phase == RUNNING && now >= g->limit_ns) {
        output_note("the job has run for as long as --run says, and is told to end");
        end_job(g, g->hold->ask->lease.grace_ns);
    }
    if (g->phase == ENDING && now >= g->kill_ns)
        g->phase = OVER;
    /* An end that nobody ordered leaves nothing behind. */
    if (g->phase == RUNNING && g->main_ended)
        g->phase = OVER;
}

static void run(struct guard *g)
{
    while (!g->tree_empty && g->phase != OVER) {
        struct pollfd fds[] = {
            {.fd = g->signals, .events = POLLIN},
            {.fd = g->link, .events = POLLIN},
            {.fd = g->hold->answer ? client_fd(g->hold->answer) : -1, .events = POLLIN}};
        (void)poll(fds, countof(fds), timeout_ms(g));
        reap(g);
        if (fds[1].revents)
            hear_front(g);
        if (fds[2].revents && g->hold->answer)
            hear_daemon(g);
        tend_lease(g);
        keep_limits(g);
    }
}

static void end_tree(struct guard *g)
{
    int status;
    /* Its status is wanted, and tree_end takes those of all. */
    while (!g->main_ended && !g->tree_empty) {
        (void)kill(g->main_pid, SIGKILL);
        g->main_ended = waitpid(g->main_pid, &status, 0) == g->main_pid;
        if (g->main_ended)
            g->main_status = status;
        else if (errno != EINTR)
            break;
    }
    if (!g->tree_empty && !tree_end(&g->tree))
        output_note("some of the job's processes may not be ended by this user, and go on");
}

_Noreturn void guard_main(const struct guard_plan *plan)
{
    struct guard g = {.plan = plan,
                      .hold = plan->hold,
                      .link = plan->link,
                      .limit_ns = NEVER,
                      .lease_ns = hold_now_ns() + SILENCE_NS};
    const struct job_ask *ask = plan->hold->ask;
    tree_init(&g.tree);
    set_environment(g.hold);
    int error = start_command(&g);
    /* Behind the start: CMD stays in the terminal's session. */
    (void)setsid();
    guard_let_go();
    watch(&g);
    if (ask->lease.ttl_ns > 0)
        g.lease_ns = hold_now_ns() + ask->lease.ttl_ns / RENEWALS;
    if (ask->lease.run_ns > 0)
        g.limit_ns = hold_now_ns() + ask->lease.run_ns;
    if (error == 0) {
        if (g.hold->answer) {
            client_set_silence(g.hold->answer, CLIENT_NO_WAIT);
            hear_daemon(&g);
        }
        run(&g);
    }
    end_tree(&g);
    if (!g.lease_over)
        hold_give_back(g.hold);
    if (error != 0)
        (void)guard_say(g.link, GUARD_FAILED, error);
    else
        (void)guard_say(g.link, GUARD_ENDED, g.main_status);
    _exit(0);
}
