/* service.h with libsystemd. What cannot be told is not worth a line in the log: the service
 * manager acts on what it does not hear. */
#include "server/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

/* A name in the fd store has no colon and no control character (sd_pid_notify_with_fds(3)). */
#define STORED_PREFIX "wharf-listen-"
#define NAME_BYTES 256
#define STOP_NS_MAX (30 * 24 * 3600 * NS_PER_S)

struct service {
    bool ready, stopping;
    uint64_t watchdog_ms; /* 0: nobody watches */
    uv_timer_t watchdog;  /* a timer of the loop, so that it speaks only as long as that turns */
};

/* ---- sockets ---- */

static void name_stored(const char *where, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, STORED_PREFIX "%s", where);
    for (char *c = out; *c; c++)
        if (*c == ':')
            *c = '_';
}

/* libsystemd sets CLOEXEC on each of them. */
static void receive(struct server *s)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; i++) {
        bool stored = strncmp(names[i], STORED_PREFIX, sizeof(STORED_PREFIX) - 1) == 0;
        handed_add(&s->handed, SD_LISTEN_FDS_START + i, stored ? HANDED_STORED : HANDED_UNIT);
        free(names[i]);
    }
    free(names);
}

void service_store(struct server *s, int fd, const char *where)
{
    char name[NAME_BYTES];
    (void)s;
    name_stored(where, name);
    char *text = alloc_printf("FDSTORE=1\nFDNAME=%s", name);
    sd_pid_notify_with_fds(0, 0, text, &fd, 1);
    free(text);
}

void service_forget(struct server *s, const char *where)
{
    char name[NAME_BYTES];
    (void)s;
    name_stored(where, name);
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* ---- what it is told ---- */

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sd_notify(0, "WATCHDOG=1");
}

void service_init(struct server *s)
{
    uint64_t watchdog_us = 0;
    struct service *sv = s->service = alloc_zeroed(1, sizeof(*sv));
    uv_timer_init(s->loop, &sv->watchdog);
    if (sd_watchdog_enabled(1, &watchdog_us) > 0)
        sv->watchdog_ms = watchdog_us / 2000 ? watchdog_us / 2000 : 1;
    receive(s);
}

static void tell_ready(const struct server *s, const char *more)
{
    sd_notifyf(0, "READY=1\nSTATUS=%u models configured%s", s->roster.current->config->model_count,
               more);
}

int service_start(struct server *s, struct err *err)
{
    struct service *sv = s->service;
    (void)err;
    sv->ready = true;
    tell_ready(s, "");
    if (sv->watchdog_ms)
        uv_timer_start(&sv->watchdog, on_watchdog, 0, sv->watchdog_ms);
    return 0;
}

/* The time is what tells systemd which of its own orders to reload is being carried out
 * (Type=notify-reload, since version 253). */
void service_reloading(struct server *s)
{
    struct timespec t;
    if (!s->service->ready || s->service->stopping)
        return;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration again",
               (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
}

void service_reloaded(struct server *s, bool ok)
{
    if (s->service->ready && !s->service->stopping)
        tell_ready(s, ok ? "" : "; the new configuration has errors, the old one stays in force");
}

/* Requests may run for longer than the unit's TimeoutStopSec. */
void service_stopping(struct server *s, uint64_t ns_max)
{
    uint64_t ns = ns_max < STOP_NS_MAX ? ns_max : STOP_NS_MAX;
    s->service->stopping = true;
    sd_notifyf(0, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%" PRIu64, ns / 1000);
}

void service_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->service->watchdog, NULL);
}

void service_fini(struct server *s)
{
    free(s->service);
}

void service_before_exec(const struct server *s)
{
    char text[24];
    if (!s->service->watchdog_ms)
        return;
    snprintf(text, sizeof(text), "%" PRIu64, s->service->watchdog_ms * 2000);
    setenv("WATCHDOG_USEC", text, 1);
}
