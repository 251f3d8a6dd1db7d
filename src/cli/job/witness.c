#include "witness.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/pure/check.h"
#include "cli/job/guard.h"

/* One that was stopped by itself answers nobody. */
#define ANSWER_MS_MAX 200

static _Noreturn void witness_main(int link, pid_t caller)
{
    const struct timespec at_once = {0};
    int number;
    guard_let_go();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != caller)
        _exit(0);
    while (recv(link, &number, sizeof(number), 0) == (ssize_t)sizeof(number)) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, number);
        const bool saw = sigtimedwait(&one, NULL, &at_once) == number;
        if (send(link, &saw, sizeof(saw), MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

void witness_start(struct witness *w, const int *not_its, size_t count)
{
    int pair[2];
    pid_t self = getpid();
    *w = (struct witness){.link = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    w->pid = fork();
    if (w->pid == 0) {
        close(pair[0]);
        for (size_t i = 0; i < count; i++)
            if (not_its[i] >= 0)
                close(not_its[i]);
        witness_main(pair[1], self);
    }
    close(pair[1]);
    w->link = pair[0];
    if (w->pid < 0)
        witness_end(w);
}

bool witness_saw(struct witness *w, int number)
{
    struct pollfd answer = {.fd = w->link, .events = POLLIN};
    bool saw = false;
    if (w->link < 0)
        return false;
    if (send(w->link, &number, sizeof(number), MSG_NOSIGNAL) < 0 ||
        poll(&answer, 1, ANSWER_MS_MAX) != 1 ||
        recv(w->link, &saw, sizeof(saw), 0) != sizeof(saw)) {
        witness_end(w); /* an answer that comes late would be taken for another's */
        return false;
    }
    return saw;
}

void witness_end(struct witness *w)
{
    if (w->link >= 0)
        close(w->link);
    w->link = -1;
    if (w->pid <= 0)
        return;
    (void)kill(w->pid, SIGKILL);
    (void)waitpid(w->pid, NULL, 0);
    w->pid = 0;
}
