/* service.h with libsystemd. What cannot be told is not worth a line in the log: the service
 * manager acts on what it does not hear. */
#include "server/service.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

#define HANDED_MAX 64
/* A name in the fd store has no colon and no control character (sd_pid_notify_with_fds(3)). */
#define STORED_PREFIX "wharf-listen-"
#define NAME_BYTES 256
#define STOP_NS_MAX (30 * 24 * 3600 * NS_PER_S)

/* A socket that was handed over and not taken yet. */
struct handed {
    int fd; /* -1: taken */
    enum service_source source;
    struct sockaddr_storage address;
    char name[NAME_BYTES];
};

struct service {
    struct handed handed[HANDED_MAX];
    uint32_t count;
    bool ready, stopping;
    uint64_t watchdog_ms; /* 0: nobody watches */
    uv_timer_t watchdog;  /* a timer of the loop, so that it speaks only as long as that turns */
};

/* ---- what was handed over ---- */

static bool is_listening(int fd, struct sockaddr_storage *ret)
{
    socklen_t n = sizeof(*ret);
    memset(ret, 0, sizeof(*ret));
    return sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0 &&
           getsockname(fd, (struct sockaddr *)ret, &n) == 0;
}

static void describe(const struct sockaddr_storage *a, char *out, size_t out_size)
{
    char ip[64] = "";
    if (a->ss_family == AF_UNIX) {
        snprintf(out, out_size, "unix:%s", ((const struct sockaddr_un *)a)->sun_path);
        return;
    }
    bool v6 = a->ss_family == AF_INET6;
    uv_ip_name((const struct sockaddr *)a, ip, sizeof(ip));
    unsigned port = ntohs(v6 ? ((const struct sockaddr_in6 *)a)->sin6_port
                             : ((const struct sockaddr_in *)a)->sin_port);
    snprintf(out, out_size, v6 ? "[%s]:%u" : "%s:%u", ip, port);
}

static void name_stored(const char *where, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, STORED_PREFIX "%s", where);
    for (char *c = out; *c; c++)
        if (*c == ':')
            *c = '_';
}

static void note(struct service *sv, int fd, const char *name)
{
    struct sockaddr_storage address;
    if (sv->count == HANDED_MAX || !is_listening(fd, &address)) {
        log_warn(NULL,
                 "the service manager handed descriptor %d over, which is no listening socket", fd);
        close(fd);
        return;
    }
    struct handed *h = &sv->handed[sv->count++];
    bool stored = strncmp(name, STORED_PREFIX, sizeof(STORED_PREFIX) - 1) == 0;
    *h = (struct handed){
        .fd = fd, .source = stored ? SERVICE_STORED : SERVICE_UNIT, .address = address};
    snprintf(h->name, sizeof(h->name), "%s", name);
}

/* libsystemd sets CLOEXEC on each of them. */
static void receive(struct service *sv)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; i++) {
        note(sv, SD_LISTEN_FDS_START + i, names[i]);
        free(names[i]);
    }
    free(names);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    if (a->ss_family != b->sa_family)
        return false;
    if (a->ss_family == AF_UNIX)
        return strcmp(((const struct sockaddr_un *)a)->sun_path,
                      ((const struct sockaddr_un *)b)->sun_path) == 0;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *have = (const struct sockaddr_in *)a;
        const struct sockaddr_in *want = (const struct sockaddr_in *)b;
        return have->sin_addr.s_addr == want->sin_addr.s_addr &&
               (want->sin_port == 0 || want->sin_port == have->sin_port);
    }
    const struct sockaddr_in6 *have = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *want = (const struct sockaddr_in6 *)b;
    return memcmp(&have->sin6_addr, &want->sin6_addr, sizeof(have->sin6_addr)) == 0 &&
           (want->sin6_port == 0 || want->sin6_port == have->sin6_port);
}

static void forget_name(const char *name)
{
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

static void drop(struct handed *h, const char *why)
{
    char text[NAME_BYTES];
    describe(&h->address, text, sizeof(text));
    log_warn(NULL, "closing the socket at %s, which the service manager handed over: %s", text,
             why);
    if (h->source == SERVICE_STORED)
        forget_name(h->name);
    close(h->fd);
    h->fd = -1;
}

/* A unix socket is found by clients only as long as its file is there; it does not come back. */
static bool can_be_reached(const struct handed *h)
{
    struct stat st;
    return h->address.ss_family != AF_UNIX ||
           (lstat(((const struct sockaddr_un *)&h->address)->sun_path, &st) == 0 &&
            S_ISSOCK(st.st_mode));
}

int service_take(struct server *s, const struct sockaddr *address, enum service_source *ret_source)
{
    struct service *sv = s->service;
    for (uint32_t i = 0; i < sv->count; i++) {
        struct handed *h = &sv->handed[i];
        if (h->fd < 0 || !same_address(&h->address, address))
            continue;
        if (!can_be_reached(h)) {
            drop(h, "its file has gone");
            continue;
        }
        int fd = h->fd;
        h->fd = -1;
        *ret_source = h->source;
        return fd;
    }
    return -1;
}

void service_drop_rest(struct server *s)
{
    for (uint32_t i = 0; i < s->service->count; i++)
        if (s->service->handed[i].fd >= 0)
            drop(&s->service->handed[i], "no listen names that address");
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
    forget_name(name);
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
    receive(sv);
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
    struct service *sv = s->service;
    for (uint32_t i = 0; i < sv->count; i++)
        if (sv->handed[i].fd >= 0)
            close(sv->handed[i].fd);
    free(sv);
}
