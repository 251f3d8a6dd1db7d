#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "vram.h"

/* Below PIPE_BUF, so that lines of different threads don't mix. */
#define LINE_BYTES_MAX 1024

void engine_init(struct engine *e, const struct flags *flags)
{
    pthread_condattr_t attr;
    *e = (struct engine){.flags = flags};
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->changed, &attr);
    pthread_condattr_destroy(&attr);
}

/* A reader that is behind costs lines, never time: a pipe that polls as writable takes a whole line
 * at once, and one that does not is left alone. */
void engine_say(const char *fmt, ...)
{
    char line[LINE_BYTES_MAX];
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : strlen(line);
    line[len] = '\n';
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
        ssize_t ignored = write(STDOUT_FILENO, line, len + 1);
        (void)ignored;
    }
}

struct mono engine_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){(uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec};
}

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

void engine_sleep(uint64_t ns)
{
    struct timespec until = to_timespec(engine_now().ns + ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

/* _exit, since threads are in the middle of everything. */
void engine_exit(int code)
{
    vram_release();
    _exit(code);
}

/* No core file: a crash is to take no longer than a crash. */
void engine_crash(const char *why)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    fprintf(stderr, "demo: %s\n", why);
    abort();
}

/* As engines do: said on stderr, and the end. */
static void take_memory(const struct flags *f, uint64_t bytes)
{
    struct err err = {0};
    if (vram_set(f->gpu_folder, bytes, &err) == 0)
        return;
    if (f->oom_message[0])
        fprintf(stderr, "%s\n", f->oom_message);
    else
        fprintf(stderr, "CUDA error: %s\n", err.text);
    engine_exit(1);
}

bool engine_ready(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ready = e->ready;
    pthread_mutex_unlock(&e->lock);
    return ready;
}

uint64_t engine_request_begin(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    uint64_t number = ++e->begun;
    e->in_flight++;
    pthread_mutex_unlock(&e->lock);
    return number;
}

void engine_grow(struct engine *e)
{
    const struct flags *f = e->flags;
    /* With the lock: others wait, as they would for a cache that is being made larger. */
    pthread_mutex_lock(&e->lock);
    if (!e->grown && f->vram_grow && !f->no_claim && f->gpu_folder[0])
        take_memory(f, f->vram + f->vram_grow);
    e->grown = true;
    pthread_mutex_unlock(&e->lock);
}

void engine_request_end(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    must(e->in_flight > 0);
    e->in_flight--;
    if (e->in_flight == 0 && e->flags->crash_idle_after)
        pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

uint32_t engine_in_flight(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    uint32_t count = e->in_flight;
    pthread_mutex_unlock(&e->lock);
    return count;
}

static void crash_on_load(const struct flags *f)
{
    if (f->crash_on_load == FLAGS_EXIT_OFF)
        return;
    if (f->crash_on_load == FLAGS_EXIT_ABORT)
        engine_crash("GGML_ASSERT(demo) failed while loading");
    fprintf(stderr, "error: failed to load the model\n");
    engine_exit((int)(f->crash_on_load - FLAGS_EXIT_CODE));
}

static void claim_memory(const struct flags *f)
{
    char text[UNITS_TEXT_MAX];
    if (f->vram == 0 || f->worker[0]) /* a worker claims where it sits */
        return;
    if (f->no_claim || f->gpu_folder[0] == '\0') {
        fprintf(stderr, "warning: no GPU found, using the CPU\n");
        return;
    }
    take_memory(f, f->vram);
    engine_say("load_tensors: offloaded all layers, Sim0 buffer size = %s",
               units_format_bytes(f->vram, text));
}

/* A request that comes and goes between two looks still counts as activity: `begun` has moved. */
static void crash_when_idle(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (e->in_flight > 0)
            pthread_cond_wait(&e->changed, &e->lock);
        struct timespec until = to_timespec(engine_now().ns + e->flags->crash_idle_after);
        uint64_t seen = e->begun;
        int rc = 0;
        while (rc != ETIMEDOUT && e->begun == seen)
            rc = pthread_cond_timedwait(&e->changed, &e->lock, &until);
        if (e->in_flight == 0 && e->begun == seen)
            engine_crash("crashed while idle, as told");
    }
}

void engine_load(struct engine *e)
{
    const struct flags *f = e->flags;
    engine_say("loading model %s", f->name);
    engine_sleep(f->load_time / 2);
    crash_on_load(f);
    claim_memory(f);
    engine_sleep(f->load_time - f->load_time / 2);
    if (f->never_ready) {
        engine_say("still loading model %s", f->name);
        return;
    }
    pthread_mutex_lock(&e->lock);
    e->ready = true;
    pthread_mutex_unlock(&e->lock);
    engine_say("model %s loaded, all slots are idle", f->name);
    if (f->crash_idle_after)
        crash_when_idle(e);
}
