#include "cli/top/feed.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/pure/check.h"

#define EVERY_MS 1000
/* Events come together; between two questions there is that much at least. */
#define TOGETHER_MS 100
#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 4000

void top_signal(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one));
}

void top_unsignal(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof(count));
}

int top_thread(pthread_t *ret, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(ret, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* Waits for the first of these; fd -1: none. True: it is over. */
static bool wait_for(const struct top_feed *f, int fd, bool heeds_kick, int ms)
{
    struct pollfd fds[] = {{.fd = f->quit_fd, .events = POLLIN},
                           {.fd = heeds_kick ? f->kick_fd : -1, .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};
    if (poll(fds, countof(fds), ms) > 0 && fds[1].revents)
        top_unsignal(f->kick_fd);
    return fds[0].revents != 0;
}

static bool ask(struct top_feed *f)
{
    struct top_known k;
    bool is_there = top_known_ask(&f->options, &k) == 0;
    pthread_mutex_lock(&f->lock);
    top_known_take(&f->latest, &k);
    f->is_new = true;
    pthread_mutex_unlock(&f->lock);
    top_signal(f->wake_fd);
    return is_there;
}

static struct client_answer *follow(const struct top_feed *f)
{
    const struct client_request rq = {.method = "GET",
                                      .path = "/wharf/events",
                                      .accept = "text/event-stream",
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    struct client_answer *a;
    struct err e = {.set = false};
    if (client_open(&f->options, &rq, &a, &e) < 0)
        return NULL;
    client_set_silence(a, CLIENT_NO_WAIT);
    if (client_status(a) == 200)
        return a;
    client_close(a);
    return NULL;
}

/* What has come is only a sign that something happened. False: the stream is over. */
static bool drain(struct client_answer *a)
{
    const char *data;
    size_t n;
    struct err e = {.set = false};
    int rc;
    while ((rc = client_read(a, &data, &n, &e)) > 0)
        continue;
    return rc == -CLIENT_AGAIN;
}

static void *run(void *arg)
{
    struct top_feed *f = arg;
    struct client_answer *events = NULL;
    int retry_ms = RETRY_MS_MIN;
    bool is_over = false;
    while (!is_over) {
        /* First the events: what happens after the answers is told by one. */
        if (!events)
            events = follow(f);
        if (!ask(f)) {
            client_close(events);
            events = NULL;
            is_over = wait_for(f, -1, false, retry_ms);
            retry_ms = retry_ms * 2 < RETRY_MS_MAX ? retry_ms * 2 : RETRY_MS_MAX;
            continue;
        }
        retry_ms = RETRY_MS_MIN;
        is_over = wait_for(f, events ? client_fd(events) : -1, true, EVERY_MS) ||
                  wait_for(f, -1, false, TOGETHER_MS);
        if (events && !drain(events)) {
            client_close(events);
            events = NULL;
        }
    }
    client_close(events);
    return NULL;
}

int top_feed_begin(struct top_feed *f, const struct client_options *opt, int quit_fd, int wake_fd)
{
    *f = (struct top_feed){.options = *opt, .quit_fd = quit_fd, .wake_fd = wake_fd};
    f->options.stop_fd = quit_fd;
    f->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->kick_fd < 0)
        return -1;
    pthread_mutex_init(&f->lock, NULL);
    int rc = top_thread(&f->thread, run, f);
    if (rc != 0) {
        close(f->kick_fd);
        errno = rc;
        return -1;
    }
    return 0;
}

bool top_feed_take(struct top_feed *f, struct top_known *into)
{
    pthread_mutex_lock(&f->lock);
    bool is_new = f->is_new;
    if (is_new)
        top_known_take(into, &f->latest);
    f->is_new = false;
    pthread_mutex_unlock(&f->lock);
    return is_new;
}

void top_feed_kick(struct top_feed *f)
{
    top_signal(f->kick_fd);
}

void top_feed_end(struct top_feed *f)
{
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    top_known_fini(&f->latest);
    close(f->kick_fd);
}
