#include "server/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/descriptors.h"
#include "server/net/handed.h"
#include "server/net/tls.h"
#include "server/proxy/client.h"
#include "server/server.h"
#include "server/service.h"

#define LISTENERS_MAX 16
#define BACKLOG 1024
/* The rest comes in the next turn: those who are in are served meanwhile. */
#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100
#define LOOK_MS 2000

struct listener {
    struct listeners *all;
    int fd; /* -1: not open */
    uv_poll_t poll;
    bool polled; /* the loop knows the handle */
    const struct server_api *api;
    bool is_unix, is_local;
    bool failed; /* and is done without */
    char *path;  /* owned; of a unix socket whose file is the daemon's to remove */
    enum handed_source source;
    char text[300];
};

/* A file of TLS that may be renewed under its name. */
struct watched {
    uv_fs_poll_t poll;
    bool begun; /* the loop knows the handle */
};

struct listeners {
    struct server *server;
    struct watched files[2]; /* certificate and key */
    uv_timer_t clock;        /* the certificate is looked at again */
    bool clock_begun;
    struct tls_context *tls; /* owned; of the TCP ones; NULL: they are plain */
    struct listener items[LISTENERS_MAX];
    uint32_t count;
    uv_timer_t pause; /* runs while nobody is accepted, for want of descriptors */
    bool closed;
    char *file; /* owned; STATE/listen */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void listen_on(struct listener *l)
{
    if (l->polled && !l->all->closed)
        uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct listeners *ls = container_of(timer, struct listeners, pause);
    for (uint32_t i = 0; i < ls->count; i++)
        listen_on(&ls->items[i]);
}

/* A socket that is readable and cannot be accepted from would keep the loop busy. */
static void pause_all(struct listeners *ls)
{
    for (uint32_t i = 0; i < ls->count; i++)
        if (ls->items[i].polled)
            uv_poll_stop(&ls->items[i].poll);
    uv_timer_start(&ls->pause, on_pause_over, PAUSE_MS, 0);
}

static struct client_door door_of(const struct listener *l)
{
    return (struct client_door){.api = l->api,
                                .tls = l->is_unix ? NULL : l->all->tls,
                                .is_unix = l->is_unix,
                                .is_local = l->is_local};
}

static int accept_one(const struct listener *l)
{
    return accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Nobody waits for what is not to be had: who comes meanwhile is told so, by means of the
 * descriptor that is kept for this. False: not even that is possible. */
static bool turn_away(struct listener *l)
{
    struct server *s = l->all->server;
    struct client_door door = door_of(l);
    bool told = false;
    (void)descriptors_short(s, "to accept a connection", errno);
    if (descriptors_give(&s->descriptors)) {
        int fd = accept_one(l);
        told = fd >= 0;
        if (told)
            client_turn_away(fd, &door);
    }
    return descriptors_take_back(&s->descriptors) && told;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* What else accept says is about the connection that it would have been (accept(2)). */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = container_of(poll, struct listener, poll);
    struct server *s = l->all->server;
    struct client_door door = door_of(l);
    (void)events;
    if (status < 0)
        log_warn(NULL, "%s: %s", l->text, uv_strerror(status));
    for (uint32_t left = ACCEPTS_PER_TURN; left > 0 && !l->all->closed; left--) {
        int fd = accept_one(l);
        if (fd >= 0) {
            client_accept(s, fd, &door);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (is_shortage(errno) && !turn_away(l)) {
            pause_all(l->all);
            return;
        }
    }
}

/* `::` is read as an address everywhere; whether there is IPv6, only a socket tells. */
static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 || errno != EAFNOSUPPORT;
    if (fd >= 0)
        close(fd);
    return has;
}

static int resolve(const struct config_listen *want, struct sockaddr_storage *ret, struct err *err)
{
    /* Machines without IPv6 still have all of their IPv4 addresses. */
    const char *host = want->host[0] ? want->host : has_ipv6() ? "::" : "0.0.0.0";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", want->port);
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0)
        return err_set(err, "listen address %s: %s", host, gai_strerror(rc));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
    char text[64] = "";
    uv_ip_name((const struct sockaddr *)addr, text, sizeof(text));
    return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0;
}

static void warn_of_strangers(const struct listener *l)
{
    bool open = l->all->server->roster.current->config->key_count == 0;
    log_warn(NULL, "listening on %s, which other machines can reach%s", l->text,
             open ? "; no keys are configured, so whoever reaches it can use all models, read what "
                    "others ask them, and load and unload them (see keys and apiKeys)"
                  : "");
}

/* fd: one that was handed over; -1: a new one. False: errno says why. */
static bool bind_to(struct listener *l, int fd, const struct sockaddr *addr, socklen_t n)
{
    const int on = 1;
    l->fd = fd >= 0 ? fd : socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return false;
    int flags = fcntl(l->fd, F_GETFL);
    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return false;
    if (fd >= 0)
        return true;
    if (addr->sa_family != AF_UNIX)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->sa_family == AF_INET6) /* `::` is all of IPv4 too, whatever the system's default */
        (void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    return bind(l->fd, addr, n) == 0;
}

static int open_tcp(struct listener *l, const struct config_listen *want, struct err *err)
{
    struct sockaddr_storage addr;
    if (resolve(want, &addr, err) < 0)
        return -1;
    int fd = handed_take(l->all->server, (struct sockaddr *)&addr, &l->source);
    socklen_t n =
        addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (!bind_to(l, fd, (struct sockaddr *)&addr, n) ||
        getsockname(l->fd, (struct sockaddr *)&addr, &(socklen_t){sizeof(addr)}) < 0)
        return err_set(err, "cannot listen on %s:%u: %s", want->host, want->port,
                       uv_strerror(uv_translate_sys_error(errno)));
    char ip[64] = "";
    uv_ip_name((struct sockaddr *)&addr, ip, sizeof(ip));
    unsigned port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                     : ((struct sockaddr_in *)&addr)->sin_port);
    snprintf(l->text, sizeof(l->text), addr.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, port);
    l->is_local = is_loopback(&addr);
    if (!l->is_local)
        warn_of_strangers(l);
    return 0;
}

/* A socket file that nobody listens on is left over from a daemon that was killed. A connection to
 * a file that is no socket is refused too (unix(7)), and that file is somebody's. */
static void remove_stale(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

/* The group first: else it would be another's for a moment that may connect. fd: O_PATH, which the
 * calls that change a file refuse; its name in /proc they take. */
static int open_to(const struct listener *l, int fd, struct err *err)
{
    const struct config_access *a = &l->all->server->roster.current->config->access;
    char name[sizeof("/proc/self/fd/") + 12];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    if (a->has_group && fchownat(fd, "", (uid_t)-1, (gid_t)a->socket_gid, AT_EMPTY_PATH) < 0)
        return err_set(err, "cannot give unix:%s to group %u (socket.group): %s", l->path,
                       a->socket_gid, strerror(errno));
    if (chmod(name, (mode_t)a->socket_mode) < 0)
        return err_set(err, "cannot set the mode of unix:%s: %s", l->path, strerror(errno));
    return 0;
}

/* In a folder that others may write, the name may by now be that of another file, which this is not
 * to open to anybody. */
static int open_up(const struct listener *l, struct err *err)
{
    struct stat st;
    int fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc;
    if (fd < 0 || fstat(fd, &st) < 0)
        rc = err_set(err, "cannot look at unix:%s: %s", l->path, strerror(errno));
    else if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        rc = err_set(err,
                     "unix:%s is not wharf's own socket any more: somebody has put another file "
                     "in its place",
                     l->path);
    else
        rc = open_to(l, fd, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Whoever may take it away there may put one of his own in its place, and hear clients' keys. */
static void warn_of_folder(const char *path)
{
    struct stat st;
    char *folder = alloc_text(path), *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    if (slash && stat(folder, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        log_warn(NULL,
                 "every user may write in %s: who does may put a socket of his own in place of "
                 "unix:%s",
                 folder, path);
    free(folder);
}

static int open_unix(struct listener *l, const struct config_listen *want, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(want->path);
    if (len >= sizeof(addr.sun_path))
        return err_set(err, "cannot listen on unix:%s: the path is too long", want->path);
    memcpy(addr.sun_path, want->path, len + 1);
    int fd = handed_take(l->all->server, (struct sockaddr *)&addr, &l->source);
    if (fd < 0)
        remove_stale(want->path);
    mode_t old = umask(0177); /* the owner alone, from the first moment */
    bool bound = bind_to(l, fd, (struct sockaddr *)&addr, sizeof(addr));
    int error = errno;
    umask(old);
    if (!bound)
        return err_set(err, "cannot listen on unix:%s: %s", want->path,
                       uv_strerror(uv_translate_sys_error(error)));
    snprintf(l->text, sizeof(l->text), "unix:%s", want->path);
    if (l->source == HANDED_UNIT)
        return 0; /* its file and who may connect are the unit's */
    l->path = alloc_text(want->path);
    warn_of_folder(want->path);
    return open_up(l, err);
}

static int open_one(struct listeners *ls, const struct config_listen *want,
                    const struct server_api *api, struct err *err)
{
    if (ls->count == LISTENERS_MAX)
        return err_set(err, "more than %d listen addresses", LISTENERS_MAX);
    struct listener *l = &ls->items[ls->count++];
    l->all = ls;
    l->api = api;
    l->fd = -1;
    l->is_unix = want->is_unix;
    return want->is_unix ? open_unix(l, want, err) : open_tcp(l, want, err);
}

struct listeners *listeners_new(struct server *s)
{
    struct listeners *ls = alloc_zeroed(1, sizeof(*ls));
    ls->server = s;
    uv_timer_init(s->loop, &ls->pause);
    return ls;
}

static int open_option(struct listeners *ls, const char *text, struct err *err)
{
    struct config_listen want;
    if (config_parse_listen(text, &want) < 0)
        return err_set(err, "listen %s: not HOST:PORT or unix:PATH", text);
    int rc = open_one(ls, &want, ls->server->options.api, err);
    config_listen_fini(&want);
    return rc;
}

/* A real Ollama may have its port. */
static void go_without(struct listener *l, const char *why)
{
    l->failed = true;
    log_warn(NULL, "ollama.listen: %s; going on without it", why);
}

static void open_ollama(struct listeners *ls, const struct config_listen *want)
{
    uint32_t before = ls->count;
    struct err err = {0};
    if (open_one(ls, want, ls->server->options.ollama_api, &err) == 0)
        return;
    if (ls->count > before)
        go_without(&ls->items[before], err.text);
    else
        log_warn(NULL, "ollama.listen: %s", err.text);
}

static int open_all(struct listeners *ls, struct err *err)
{
    const struct serve_options *options = &ls->server->options;
    const struct config *c = ls->server->roster.current->config;
    for (uint32_t i = 0; i < options->listen_count; i++)
        if (open_option(ls, options->listens[i], err) < 0)
            return -1;
    if (options->listen_count)
        return 0;
    for (uint32_t i = 0; i < c->listen_count; i++)
        if (open_one(ls, &c->listens[i], options->api, err) < 0)
            return -1;
    return c->listen_count == 0 ? open_option(ls, options->listen_default, err) : 0;
}

int listeners_open(struct listeners *ls, struct err *err)
{
    const struct serve_options *options = &ls->server->options;
    const struct config *c = ls->server->roster.current->config;
    if (options->tls_cert_file &&
        !(ls->tls = tls_context_server(options->tls_cert_file, options->tls_key_file, err)))
        return -1;
    if (open_all(ls, err) < 0)
        return -1;
    if (c->ollama_listen)
        open_ollama(ls, c->ollama_listen);
    handed_drop_rest(ls->server);
    return 0;
}

/* One of the two may be there before the other: then the pair does not fit, what was read before
 * stays, and the second change mends it. */
static void on_file_change(uv_fs_poll_t *poll, int status, const uv_stat_t *before,
                           const uv_stat_t *now)
{
    struct listeners *ls = poll->data;
    (void)before;
    (void)now;
    if (status == 0 && !ls->closed) {
        log_info(NULL, "the files of TLS have changed");
        listeners_reload(ls);
    }
}

static void on_clock(uv_timer_t *timer);

/* Clients that are told to trust whatever comes go on with one that has expired. */
static void look_at_certificate(struct listeners *ls)
{
    const char *file = ls->server->options.tls_cert_file;
    char text[CERTIFICATE_TEXT_MAX];
    int64_t now = time(NULL);
    if (!ls->tls || ls->closed)
        return;
    struct certificate_life life = tls_context_life(ls->tls);
    if (certificate_describe(life, now, text))
        degraded_set(ls->server, DEGRADED_CERTIFICATE, file, text, NULL, 0);
    else
        degraded_clear(ls->server, DEGRADED_CERTIFICATE, file);
    if (!ls->clock_begun)
        uv_timer_init(ls->server->loop, &ls->clock);
    ls->clock_begun = true;
    uv_update_time(ls->server->loop);
    uv_timer_start(&ls->clock, on_clock, certificate_next_look_s(life, now) * UINT64_C(1000), 0);
}

static void on_clock(uv_timer_t *timer)
{
    look_at_certificate(container_of(timer, struct listeners, clock));
}

/* Whoever has read it can pass for this server. */
static void warn_of_key(const struct listeners *ls)
{
    const char *file = ls->server->options.tls_key_file;
    struct stat st;
    if (ls->tls && stat(file, &st) == 0 && (st.st_mode & S_IRWXO))
        log_warn(NULL, "the key of the certificate, %s, can be read by every user (mode %04o)",
                 file, (unsigned)st.st_mode & 07777);
}

static void watch_files(struct listeners *ls)
{
    const char *const paths[] = {ls->server->options.tls_cert_file,
                                 ls->server->options.tls_key_file};
    for (size_t i = 0; ls->tls && i < countof(ls->files); i++) {
        struct watched *w = &ls->files[i];
        uv_fs_poll_init(ls->server->loop, &w->poll);
        w->poll.data = ls;
        w->begun = true;
        int rc = uv_fs_poll_start(&w->poll, on_file_change, paths[i], LOOK_MS);
        if (rc < 0)
            log_warn(NULL, "%s is not watched for changes: %s", paths[i], uv_strerror(rc));
    }
}

/* Written whole under another name first: whoever waits for the file reads all of it. */
static int write_address(struct listeners *ls, struct err *err)
{
    ls->file = alloc_printf("%s/listen", ls->server->state_dir);
    char *tmp = alloc_printf("%s.new", ls->file);
    unlink(tmp); /* of a daemon that was killed */
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f && fprintf(f, "%s\n", ls->items[0].text) > 0;
    ok = f && fclose(f) == 0 && ok && rename(tmp, ls->file) == 0;
    int rc = ok ? 0 : err_set(err, "cannot write %s: %s", ls->file, strerror(errno));
    if (f && !ok)
        unlink(tmp);
    free(tmp);
    return rc;
}

static const char *const where_from[] = {
    [HANDED_NOT] = "",
    [HANDED_UNIT] = ", a socket of the service manager's",
    [HANDED_STORED] = ", an earlier daemon's socket",
};

/* Clients that come between this daemon, should it be killed, and the next one wait for that. */
static void store(struct listener *l)
{
    if (l->source == HANDED_NOT)
        service_store(l->all->server, l->fd, l->text);
}

static int start_one(struct listener *l)
{
    if (listen(l->fd, BACKLOG) < 0)
        return uv_translate_sys_error(errno);
    int rc = uv_poll_init(l->all->server->loop, &l->poll, l->fd);
    l->polled = rc == 0;
    listen_on(l);
    return rc;
}

static int listen_all(struct listeners *ls, struct err *err)
{
    for (uint32_t i = 0; i < ls->count; i++) {
        struct listener *l = &ls->items[i];
        bool ollama = l->api == ls->server->options.ollama_api, tls = ls->tls && !l->is_unix;
        int rc = l->failed ? 0 : start_one(l);
        if (rc < 0 && !ollama)
            return err_set(err, "cannot listen on %s: %s", l->text, uv_strerror(rc));
        if (rc < 0)
            go_without(l, uv_strerror(rc));
        if (l->failed)
            continue;
        log_info(NULL, "listening on %s%s%s%s", l->text, tls ? " with TLS" : "",
                 ollama ? ", Ollama's API alone" : "", where_from[l->source]);
        store(l);
    }
    return 0;
}

int listeners_announce(struct listeners *ls, struct err *err)
{
    watch_files(ls);
    warn_of_key(ls);
    look_at_certificate(ls);
    return write_address(ls, err);
}

int listeners_accept(struct listeners *ls, struct err *err)
{
    return ls->closed ? 0 : listen_all(ls, err);
}

bool listeners_next(const struct listeners *ls, uint32_t *cursor, struct listener_view *ret)
{
    while (*cursor < ls->count) {
        const struct listener *l = &ls->items[(*cursor)++];
        if (l->failed || l->fd < 0)
            continue;
        *ret = (struct listener_view){.fd = l->fd, .is_units = l->source == HANDED_UNIT};
        return true;
    }
    return false;
}

void listeners_leave(struct listeners *ls)
{
    ls->closed = true;
    uv_timer_stop(&ls->pause);
    for (uint32_t i = 0; i < ls->count; i++) {
        struct listener *l = &ls->items[i];
        if (l->polled)
            uv_poll_stop(&l->poll);
        if (l->fd >= 0)
            close(l->fd);
    }
}

void listeners_reload(struct listeners *ls)
{
    const struct serve_options *options = &ls->server->options;
    struct err err = {0};
    if (!ls->tls)
        return;
    struct tls_context *fresh =
        tls_context_server(options->tls_cert_file, options->tls_key_file, &err);
    if (!fresh) {
        log_warn(NULL, "%s; the certificate that was read before stays", err.text);
        return;
    }
    tls_context_free(ls->tls);
    ls->tls = fresh;
    log_info(NULL, "the certificate has been read again");
    warn_of_key(ls);
    look_at_certificate(ls);
}

void listeners_close(struct listeners *ls)
{
    if (ls->closed)
        return; /* by now another daemon may have taken the names */
    ls->closed = true;
    uv_close((uv_handle_t *)&ls->pause, NULL);
    for (size_t i = 0; i < countof(ls->files); i++)
        if (ls->files[i].begun)
            uv_close((uv_handle_t *)&ls->files[i].poll, NULL);
    if (ls->clock_begun)
        uv_close((uv_handle_t *)&ls->clock, NULL);
    for (uint32_t i = 0; i < ls->count; i++) {
        /* Nobody is to wait behind a daemon that means to end. */
        if (ls->items[i].source != HANDED_UNIT)
            service_forget(ls->server, ls->items[i].text);
        if (ls->items[i].polled)
            uv_close((uv_handle_t *)&ls->items[i].poll, NULL);
        if (ls->items[i].fd >= 0)
            close(ls->items[i].fd);
        if (ls->items[i].path)
            unlink(ls->items[i].path);
    }
    if (ls->file)
        unlink(ls->file);
}

void listeners_free(struct listeners *ls)
{
    for (uint32_t i = 0; i < ls->count; i++)
        free(ls->items[i].path);
    tls_context_free(ls->tls);
    free(ls->file);
    free(ls);
}
