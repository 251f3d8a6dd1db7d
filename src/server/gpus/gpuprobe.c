#include "server/gpus/gpuprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gpu/probe.h"
#include "server/server.h"

/* A driver that sleeps takes seconds to wake up, for each GPU; later answers take milliseconds. */
#define FIRST_ANSWER_MS 30000
#define ANSWER_MS 5000
#define PAUSE_MS_MIN 1000
#define PAUSE_MS_MAX 60000
/* One that has lived this long did not fail at once. */
#define HEALTHY_NS (60 * NS_PER_S)
/* So many that cannot be ended are enough; the next one waits for the end of one of them. */
#define STUCK_MAX 3

/* One process. Freed when it is gone and its handle is closed. */
struct run {
    struct gpuprobe *probe;
    struct child *child; /* NULL once it is gone */
    uv_poll_t poll;
    int fd;
    bool current; /* the one that is asked; the others only have to end */
    bool gone, closed;
    uint64_t started_ns;
};

struct gpuprobe {
    struct server *server;
    const struct gpuprobe_ops *ops;
    void *owner;
    struct run *run;  /* NULL: none */
    uv_timer_t timer; /* of the answer, while one is awaited; else of the pause */
    uint64_t number, asked_ns, pause_ms, first_answer_ms, answer_ms;
    uint32_t stuck; /* processes that were killed and are still there */
    bool asked, answered, pausing, final, stopped;
    struct gpu_report report; /* large */
};

static void free_run(struct run *r)
{
    if (r->gone && r->closed)
        free(r);
}

static void on_closed(uv_handle_t *handle)
{
    struct run *r = container_of((uv_poll_t *)handle, struct run, poll);
    close(r->fd);
    r->closed = true;
    free_run(r);
}

/* It is asked no more. Nothing waits for its end. */
static void abandon(struct run *r)
{
    struct gpuprobe *p = r->probe;
    must(r->current && p->run == r);
    r->current = false;
    p->run = NULL;
    p->asked = p->answered = false;
    uv_timer_stop(&p->timer);
    uv_close((uv_handle_t *)&r->poll, on_closed);
    if (r->gone)
        return;
    p->stuck++;
    child_kill(r->child);
}

static void on_timer(uv_timer_t *timer);

static void start_pause(struct gpuprobe *p, uint64_t lived_ns)
{
    uint64_t least = gpuprobe_hurry(PAUSE_MS_MIN), most = gpuprobe_hurry(PAUSE_MS_MAX);
    p->pause_ms = p->pause_ms && lived_ns <= HEALTHY_NS ? p->pause_ms * 2 : least;
    if (p->pause_ms > most)
        p->pause_ms = most;
    p->pausing = true;
    uv_timer_start(&p->timer, on_timer, p->pause_ms, 0);
}

static void lose(struct run *r, const char *text)
{
    struct gpuprobe *p = r->probe;
    abandon(r);
    if (p->stopped || p->final)
        return;
    start_pause(p, uv_hrtime() - r->started_ns);
    p->ops->on_lost(p->owner, text);
}

static void on_timer(uv_timer_t *timer)
{
    struct gpuprobe *p = container_of(timer, struct gpuprobe, timer);
    if (p->asked && p->run) {
        char text[128];
        snprintf(text, sizeof(text), "the GPU driver has not answered for %llu ms",
                 (unsigned long long)(p->answered ? p->answer_ms : p->first_answer_ms));
        lose(p->run, text);
        return;
    }
    if (p->stuck > STUCK_MAX) {
        uv_timer_start(&p->timer, on_timer, PAUSE_MS_MAX, 0);
        return;
    }
    if (p->stuck)
        log_warn(NULL, "%u GPU probes were killed and hang in the driver still", p->stuck);
    p->pausing = false;
    (void)gpuprobe_ask(p);
}

/* ---- what it says ---- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct run *r = container_of(poll, struct run, poll);
    struct gpuprobe *p = r->probe;
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(r->fd, &p->report, sizeof(p->report), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        uv_poll_stop(poll); /* how it ended is told by on_exited */
        return;
    }
    if (!wire_check_report(&p->report, (size_t)n)) {
        lose(r, "the GPU probe speaks another version: the program was replaced");
        return;
    }
    if (!p->asked || p->report.number != p->number)
        return;
    p->asked = false;
    p->answered = true;
    uv_timer_stop(&p->timer);
    p->final = p->report.final;
    p->ops->on_report(p->owner, &p->report, p->asked_ns);
}

/* ---- the process ---- */

static void on_spawned(void *owner, struct child *c, pid_t pid)
{
    (void)owner;
    (void)c;
    log_debug_with(NULL, LOG_WITH(LOG_NUMBER("pid", pid)), "GPU probe started");
}

static void on_spawn_failed(void *owner, struct child *c, const char *text)
{
    struct run *r = owner;
    (void)c;
    if (r->current)
        lose(r, text);
}

static void on_exited(void *owner, struct child *c, int wait_status)
{
    struct run *r = owner;
    char text[64];
    (void)c;
    if (!r->current)
        return;
    /* What it said last may still be in the socket. */
    on_readable(&r->poll, 0, UV_READABLE);
    if (!r->current)
        return;
    snprintf(text, sizeof(text), "the GPU probe ended with %s %d",
             WIFSIGNALED(wait_status) ? "signal" : "status",
             WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
    lose(r, text);
}

static void on_gone(void *owner, struct child *c)
{
    struct run *r = owner;
    (void)c;
    r->gone = true;
    r->child = NULL;
    if (!r->current)
        r->probe->stuck--;
    free_run(r);
}

static const struct child_ops ops = {.on_spawned = on_spawned,
                                     .on_spawn_failed = on_spawn_failed,
                                     .on_exited = on_exited,
                                     .on_gone = on_gone};

/* This program, also when its file was replaced: then the link ends in " (deleted)". */
static char *own_path(void)
{
    static const char link[] = "/proc/self/exe";
    char path[4096];
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return alloc_text(n > 0 && access(path, X_OK) == 0 ? path : link);
}

static bool start(struct gpuprobe *p)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_warn(NULL, "no socket for the GPU probe: %s", strerror(errno));
        return false;
    }
    struct run *r = alloc_zeroed(1, sizeof(*r));
    int rc = uv_poll_init(p->server->loop, &r->poll, pair[0]);
    if (rc < 0) {
        log_warn(NULL, "the GPU probe cannot be watched: %s", uv_strerror(rc));
        close(pair[0]);
        close(pair[1]);
        free(r);
        return false;
    }
    char *path = own_path();
    const char *argv[] = {path, PROBE_COMMAND, NULL};
    struct child_spec spec = {.argv = argv, .name = PROBE_COMMAND, .stdin_fd = pair[1]};
    r->probe = p;
    r->fd = pair[0];
    r->current = true;
    r->started_ns = uv_hrtime();
    must(uv_poll_start(&r->poll, UV_READABLE, on_readable) == 0);
    p->run = r;
    r->child = children_spawn(p->server->children, &spec, &ops, r);
    close(pair[1]);
    free(path);
    return true;
}

bool gpuprobe_ask(struct gpuprobe *p)
{
    struct gpu_question q;
    if (p->stopped || p->final || p->asked || p->pausing || (!p->run && !start(p)))
        return false;
    wire_init_question(&q, ++p->number);
    p->asked = true;
    p->asked_ns = uv_hrtime();
    uv_update_time(p->server->loop);
    uv_timer_start(&p->timer, on_timer, p->answered ? p->answer_ms : p->first_answer_ms, 0);
    /* One that has just ended does not get it; its end is told by on_exited. */
    (void)!send(p->run->fd, &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT);
    return true;
}

void gpuprobe_renew(struct gpuprobe *p)
{
    p->final = false;
    if (p->run && !p->asked && !p->stopped)
        abandon(p->run);
}

uint64_t gpuprobe_hurry(uint64_t time)
{
    const char *text = getenv("WHARF_GPU_HURRY");
    uint64_t factor = text ? strtoull(text, NULL, 10) : 1;
    return factor ? time / factor : time;
}

struct gpuprobe *gpuprobe_new(struct server *s, const struct gpuprobe_ops *probe_ops, void *owner)
{
    struct gpuprobe *p = alloc_zeroed(1, sizeof(*p));
    p->server = s;
    p->ops = probe_ops;
    p->owner = owner;
    p->answer_ms = gpuprobe_hurry(ANSWER_MS);
    p->first_answer_ms = gpuprobe_hurry(FIRST_ANSWER_MS);
    uv_timer_init(s->loop, &p->timer);
    return p;
}

void gpuprobe_stop(struct gpuprobe *p)
{
    p->stopped = true;
    if (p->run)
        abandon(p->run);
    if (!uv_is_closing((uv_handle_t *)&p->timer))
        uv_timer_stop(&p->timer);
}

void gpuprobe_close(struct gpuprobe *p)
{
    gpuprobe_stop(p);
    uv_close((uv_handle_t *)&p->timer, NULL);
}

void gpuprobe_free(struct gpuprobe *p)
{
    free(p);
}
