#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Grandchildren that nobody reaped end by themselves. */
#define GRANDCHILD_SECONDS 300

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void process_block_signals(void)
{
    sigset_t set = stop_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static _Noreturn void linger(void)
{
    int fd = open("/dev/null", O_RDWR);
    signal(SIGTERM, SIG_IGN);
    for (int i = 0; i <= STDERR_FILENO && fd >= 0; i++)
        dup2(fd, i);
    alarm(GRANDCHILD_SECONDS);
    for (;;)
        pause();
}

void process_leave_grandchildren(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            setsid();
            pid_t grandchild = fork();
            if (grandchild == 0)
                linger();
            dprintf(STDOUT_FILENO, "left process %d behind\n", (int)grandchild);
            _exit(grandchild > 0 ? 0 : 1);
        }
        if (child > 0)
            waitpid(child, NULL, 0);
    }
}

static void wait_for_signal(const struct flags *f)
{
    sigset_t set = stop_signals();
    int got = 0;
    for (;;) {
        if (sigwait(&set, &got) != 0)
            continue;
        engine_say("%s signal %d", f->ignore_sigterm ? "ignoring" : "stopping at", got);
        if (!f->ignore_sigterm)
            return;
    }
}

void process_wait(struct engine *e, int listen_fd)
{
    const struct flags *f = e->flags;
    wait_for_signal(f);
    if (f->slow_stop) {
        engine_say("stopping slowly");
        engine_sleep(f->slow_stop);
    }
    if (f->stop_time) {
        shutdown(listen_fd, SHUT_RDWR);
        engine_say("stopping, freeing memory");
        engine_sleep(f->stop_time);
    }
    engine_exit(0);
}
