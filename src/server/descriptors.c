#include "server/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "server/limits.h"
#include "server/server.h"

/* Listeners, logs, the store, probes, hooks. */
#define RESERVED 256
/* A process has a pidfd and, while it starts, its log and a socket pair. */
#define RESERVED_PER_MODEL 4
/* A daemon that is given next to nothing still has to be reachable. */
#define CONNECTIONS_MIN 8
/* Where the hard limit is beyond all reason, as in containers. */
#define LIMIT_MAX (1024 * 1024)
#define LOOK_MS 500
/* So many have to be free before all is well again. */
#define ENOUGH 8

static int open_any(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool descriptors_give(struct descriptors *d)
{
    if (d->spare == 0)
        return false;
    close((int)d->spare - 1);
    d->spare = 0;
    return true;
}

bool descriptors_take_back(struct descriptors *d)
{
    int fd = d->spare ? -1 : open_any();
    if (fd >= 0)
        d->spare = (uint32_t)fd + 1;
    return d->spare != 0;
}

bool descriptors_is_short(int error)
{
    int e = error < 0 ? -error : error;
    return e == EMFILE || e == ENFILE;
}

static bool there_are_enough(void)
{
    int fds[ENOUGH], n = 0;
    while (n < ENOUGH && (fds[n] = open_any()) >= 0)
        n++;
    for (int i = 0; i < n; i++)
        close(fds[i]);
    return n == ENOUGH;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, descriptors.timer);
    struct descriptors *d = &s->descriptors;
    if (!descriptors_take_back(d) || !there_are_enough())
        return;
    d->lacking = false;
    uv_timer_stop(timer);
    degraded_clear(s, DEGRADED_LIMIT, limit_names[LIMIT_descriptors]);
}

bool descriptors_short(struct server *s, const char *what, int error)
{
    struct descriptors *d = &s->descriptors;
    char reason[160];
    if (!descriptors_is_short(error))
        return false;
    d->shortages++;
    if (d->lacking || uv_is_closing((uv_handle_t *)&d->timer))
        return true;
    d->lacking = true;
    uv_timer_start(&d->timer, on_timer, LOOK_MS, LOOK_MS);
    snprintf(reason, sizeof(reason), "no file descriptor was left %s: %s", what,
             uv_strerror(error < 0 ? error : -error));
    degraded_set(s, DEGRADED_LIMIT, limit_names[LIMIT_descriptors], reason, NULL, 0);
    return true;
}

uint64_t descriptors_used(const struct server *s)
{
    struct stat st;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    return s->hub.count + s->bodies.files;
}

void descriptors_init(struct server *s)
{
    uv_timer_init(s->loop, &s->descriptors.timer);
    s->limits.connections_max = UINT32_MAX; /* until descriptors_open */
}

/* In all but this the soft limit is the user's word; here it is what programs that select() need.
 */
static uint64_t raise_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return LIMIT_MAX;
    struct rlimit raised = lim;
    raised.rlim_cur = lim.rlim_max < LIMIT_MAX ? lim.rlim_max : LIMIT_MAX;
    if (raised.rlim_cur > lim.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        lim = raised;
    return lim.rlim_cur;
}

int descriptors_open(struct server *s, struct err *err)
{
    const struct config *c = s->roster.current->config;
    struct descriptors *d = &s->descriptors;
    (void)err;
    d->max = raise_limit();
    (void)descriptors_take_back(d);
    uint64_t kept = RESERVED + (uint64_t)c->model_count * RESERVED_PER_MODEL +
                    2 * CONNECTIONS_KEPT + CONNECTIONS_TURNED_AWAY;
    uint64_t room = d->max > kept ? (d->max - kept) / 2 : 0;
    if (room < CONNECTIONS_MIN)
        room = CONNECTIONS_MIN;
    s->bodies.descriptors_max = d->max > kept ? d->max - kept + 2 * CONNECTIONS_KEPT : d->max / 2;
    s->limits.connections_max = c->connections_max < room ? c->connections_max : (uint32_t)room;
    if (s->limits.connections_max < c->connections_max)
        log_warn(NULL,
                 "the limit of open files (%llu) is enough for %u connections, not for "
                 "maxConnections (%u)",
                 (unsigned long long)d->max, s->limits.connections_max, c->connections_max);
    return 0;
}

void descriptors_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->descriptors.timer, NULL);
    (void)descriptors_give(&s->descriptors);
}
