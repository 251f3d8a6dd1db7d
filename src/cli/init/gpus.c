#include "cli/init/gpus.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "gpu/probe.h"
#include "server/gpus/gpuprobe.h"

/* As long as the daemon waits for a first answer. */
#define ANSWER_MS_MAX 30000

static uint64_t now_ms(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

/* The child: this program again, with the socket as its stdin. */
static _Noreturn void become_probe(int fd)
{
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    if (dup2(fd, STDIN_FILENO) >= 0)
        execl("/proc/self/exe", "wharf", PROBE_COMMAND, (char *)NULL);
    _exit(127);
}

/* How many bytes have come before the end: 0 when the probe has ended, -1 when time is over. */
static ssize_t await(int fd, struct gpu_report *ret, uint64_t end_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        uint64_t now = now_ms();
        int n = poll(&p, 1, now < end_ms ? (int)(end_ms - now) : 0);
        if (n == 0)
            return -1;
        ssize_t got = n < 0 ? -1 : recv(fd, ret, sizeof(*ret), MSG_DONTWAIT);
        if (got >= 0)
            return got;
        if (errno != EINTR && errno != EAGAIN)
            return 0;
    }
}

/* NULL with the answer in ret, or why there is none. */
static const char *ask(int fd, struct gpu_report *ret)
{
    struct gpu_question q;
    wire_init_question(&q, 1);
    if (send(fd, &q, sizeof(q), MSG_NOSIGNAL) != (ssize_t)sizeof(q))
        return "the GPU probe has ended";
    ssize_t n = await(fd, ret, now_ms() + gpuprobe_hurry(ANSWER_MS_MAX));
    if (n < 0)
        return "their driver does not answer";
    return n > 0 && wire_check_report(ret, (size_t)n) ? NULL : "the GPU probe has ended";
}

static const char *probe(struct gpu_report *ret)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return "no socket for the GPU probe";
    pid_t pid = fork();
    if (pid == 0)
        become_probe(pair[1]);
    close(pair[1]);
    const char *problem = pid < 0 ? "the GPU probe cannot be started" : ask(pair[0], ret);
    close(pair[0]);
    if (pid > 0) {
        /* One that hangs in a driver cannot be waited for; it ends when the driver lets it. */
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, problem ? WNOHANG : 0);
    }
    return problem;
}

void gpus_look(struct found *f)
{
    struct gpu_report *report = alloc_zeroed(1, sizeof(*report));
    struct gpu_choice choice = {.nvidia = false};
    const char *problem = probe(report);
    if (problem)
        f->gpu_problem = alloc_text(problem);
    for (uint32_t i = 0; !problem && i < report->device_count; i++)
        gpu_choice_add(&choice, &report->devices[i]);
    for (uint32_t i = 0; !problem && i < report->device_count; i++) {
        const struct gpu_device *d = &report->devices[i];
        struct found_gpu *g = &f->gpus[f->gpu_count++];
        uint64_t reserved = d->known & GPU_RESERVED ? d->reserved_bytes : 0;
        gpu_set_text(g->name, sizeof(g->name), *d->name ? d->name : d->driver);
        g->bytes =
            (d->known & GPU_TOTAL) && d->total_bytes > reserved ? d->total_bytes - reserved : 0;
        g->used = !d->lost && gpu_choice_takes(&choice, d);
    }
    free(report);
}
