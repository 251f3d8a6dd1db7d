#include "server/abort.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"

/* libuv's own number of workers (UV_THREADPOOL_SIZE), and its bound. */
#define WORKERS 4
#define WORKERS_MAX 1024
/* An epoll, an eventfd, pipes for signals, and one that is kept for a day without any. */
#define DESCRIPTORS 8

/* A text while it is read: twice as it grows, itself, and what it is put into. */
#define JSON_TIMES 8

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static bool is_shortage(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOSPC;
}

/* errno is what the library saw that called abort(). From somebody else the signal means what it
 * always does: a service manager sends it to a daemon that hangs. */
static void on_abort(int signum, siginfo_t *info, void *context)
{
    int error = errno;
    bool own = info->si_pid == getpid();
    (void)context;
    if (own && alloc_ended)
        _exit(1);
    if (!own || !is_shortage(error)) {
        signal(signum, SIG_DFL);
        raise(signum);
        return;
    }
    say("wharf: a library cannot go on: ");
    say(strerrordesc_np(error));
    say("\n");
    _exit(1);
}

/* Jansson does not bear it to be told no. */
static void *json_alloc(size_t n)
{
    return alloc_grow(NULL, n, 1);
}

bool abort_json_fits(size_t bytes)
{
    void *all = alloc_try(NULL, JSON_TIMES, bytes);
    bool fits = all != NULL;
    free(all);
    return fits;
}

void abort_watch(void)
{
    json_set_alloc_funcs(json_alloc, free);
    struct sigaction sa = {.sa_sigaction = on_abort, .sa_flags = SA_SIGINFO};
    sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGABRT, &sa, NULL);
}

static int foresee_descriptors(struct err *err)
{
    int fds[DESCRIPTORS], error = 0;
    size_t n = 0;
    for (; n < countof(fds) && !error; n++) {
        fds[n] = dup(STDERR_FILENO);
        if (fds[n] < 0)
            error = errno;
    }
    while (n-- > 0)
        if (fds[n] >= 0)
            close(fds[n]);
    return error ? err_set(err, "no descriptors for the loop: %s", strerror(error)) : 0;
}

static void *stand_by(void *barrier)
{
    pthread_mutex_lock(barrier);
    pthread_mutex_unlock(barrier);
    return NULL;
}

/* All at once, as they will be. */
static int foresee_threads(struct err *err)
{
    pthread_mutex_t barrier = PTHREAD_MUTEX_INITIALIZER;
    const char *text = getenv("UV_THREADPOOL_SIZE");
    long given = text ? strtol(text, NULL, 10) : WORKERS;
    size_t wanted = given < 1 ? 1 : given > WORKERS_MAX ? WORKERS_MAX : (size_t)given, n = 0;
    pthread_t *threads = alloc_zeroed(wanted, sizeof(*threads));
    int error = 0;
    pthread_mutex_lock(&barrier);
    while (n < wanted && !error) {
        error = pthread_create(&threads[n], NULL, stand_by, &barrier);
        n += error == 0;
    }
    pthread_mutex_unlock(&barrier);
    while (n-- > 0)
        pthread_join(threads[n], NULL);
    free(threads);
    return error ? err_set(err, "no threads to work on files: %s", strerror(error)) : 0;
}

int abort_foresee(struct err *err)
{
    return foresee_descriptors(err) < 0 ? -1 : foresee_threads(err);
}
