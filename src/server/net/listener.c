#include "server/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/net/tls.h"
#include "server/proxy/client.h"
#include "server/server.h"
#include "server/service.h"

#define LISTENERS_MAX 16
#define BACKLOG 1024
#define LOOK_MS 2000

struct listener {
    struct listeners *all;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
        uv_handle_t handle;
    } uv;
    const struct server_api *api;
    bool is_unix, is_local;
    bool failed; /* and is done without */
    char *path;  /* owned; of a unix socket whose file is the daemon's to remove */
    enum service_source source;
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
    struct tls_context *tls; /* owned; of the TCP ones; NULL: they are plain */
    struct listener items[LISTENERS_MAX];
    uint32_t count; /* of those whose handle the loop knows, open or not */
    bool closed;
    char *file; /* owned; STATE/listen */
};

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = container_of(stream, struct listener, uv.stream);
    if (status < 0)
        log_warn(NULL, "accept: %s", uv_strerror(status));
    else
        client_accept(l->all->server, stream,
                      &(struct client_door){.api = l->api,
                                            .tls = l->is_unix ? NULL : l->all->tls,
                                            .is_unix = l->is_unix,
                                            .is_local = l->is_local});
}

static int resolve(const struct config_listen *want, struct sockaddr_storage *ret, struct err *err)
{
    const char *host = want->host[0] ? want->host : "::";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", want->port);
    int rc = getaddrinfo(host, port, &hints, &found);
    /* Machines without IPv6 still have all of their IPv4 addresses. */
    if (rc != 0 && !want->host[0])
        rc = getaddrinfo("0.0.0.0", port, &hints, &found);
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

static int open_tcp(struct listener *l, const struct config_listen *want, struct err *err)
{
    struct sockaddr_storage addr;
    int n = sizeof(addr);
    if (resolve(want, &addr, err) < 0)
        return -1;
    int fd = service_take(l->all->server, (struct sockaddr *)&addr, &l->source);
    int rc =
        fd < 0 ? uv_tcp_bind(&l->uv.tcp, (struct sockaddr *)&addr, 0) : uv_tcp_open(&l->uv.tcp, fd);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&addr, &n);
    if (rc < 0)
        return err_set(err, "cannot listen on %s:%u: %s", want->host, want->port, uv_strerror(rc));
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

/* The group first: else it would be another's for a moment that may connect. */
static int open_up(const struct listener *l, struct err *err)
{
    const struct config_access *a = &l->all->server->roster.current->config->access;
    if (a->has_group && chown(l->path, (uid_t)-1, (gid_t)a->socket_gid) < 0)
        return err_set(err, "cannot give unix:%s to group %u (socket.group): %s", l->path,
                       a->socket_gid, strerror(errno));
    if (chmod(l->path, (mode_t)a->socket_mode) < 0)
        return err_set(err, "cannot set the mode of unix:%s: %s", l->path, strerror(errno));
    return 0;
}

static int bind_unix(struct listener *l, const char *path)
{
    remove_stale(path);
    mode_t old = umask(0177); /* the owner alone, from the first moment */
    int rc = uv_pipe_bind(&l->uv.pipe, path);
    umask(old);
    return rc;
}

static int open_unix(struct listener *l, const struct config_listen *want, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", want->path);
    int fd = service_take(l->all->server, (struct sockaddr *)&addr, &l->source);
    int rc = fd < 0 ? bind_unix(l, want->path) : uv_pipe_open(&l->uv.pipe, fd);
    if (rc < 0)
        return err_set(err, "cannot listen on unix:%s: %s", want->path, uv_strerror(rc));
    snprintf(l->text, sizeof(l->text), "unix:%s", want->path);
    if (l->source == SERVICE_UNIT)
        return 0; /* its file and who may connect are the unit's */
    l->path = alloc_text(want->path);
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
    l->is_unix = want->is_unix;
    if (want->is_unix)
        uv_pipe_init(ls->server->loop, &l->uv.pipe, 0);
    else
        uv_tcp_init(ls->server->loop, &l->uv.tcp);
    return want->is_unix ? open_unix(l, want, err) : open_tcp(l, want, err);
}

struct listeners *listeners_new(struct server *s)
{
    struct listeners *ls = alloc_zeroed(1, sizeof(*ls));
    ls->server = s;
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
    service_drop_rest(ls->server);
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
    FILE *f = fopen(tmp, "we");
    bool ok = f && fprintf(f, "%s\n", ls->items[0].text) > 0;
    ok = f && fclose(f) == 0 && ok && rename(tmp, ls->file) == 0;
    int rc = ok ? 0 : err_set(err, "cannot write %s: %s", ls->file, strerror(errno));
    if (f && !ok)
        unlink(tmp);
    free(tmp);
    return rc;
}

static const char *const where_from[] = {
    [SERVICE_OWN] = "",
    [SERVICE_UNIT] = ", a socket of the service manager's",
    [SERVICE_STORED] = ", an earlier daemon's socket",
};

/* Clients that come between this daemon, should it be killed, and the next one wait for that. */
static void store(struct listener *l)
{
    uv_os_fd_t fd;
    if (l->source == SERVICE_OWN && uv_fileno(&l->uv.handle, &fd) == 0)
        service_store(l->all->server, fd, l->text);
}

int listeners_start(struct listeners *ls, struct err *err)
{
    for (uint32_t i = 0; i < ls->count; i++) {
        struct listener *l = &ls->items[i];
        bool ollama = l->api == ls->server->options.ollama_api, tls = ls->tls && !l->is_unix;
        int rc = l->failed ? 0 : uv_listen(&l->uv.stream, BACKLOG, on_connection);
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
    watch_files(ls);
    return write_address(ls, err);
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
}

void listeners_close(struct listeners *ls)
{
    if (ls->closed)
        return; /* by now another daemon may have taken the names */
    ls->closed = true;
    for (size_t i = 0; i < countof(ls->files); i++)
        if (ls->files[i].begun)
            uv_close((uv_handle_t *)&ls->files[i].poll, NULL);
    for (uint32_t i = 0; i < ls->count; i++) {
        /* Nobody is to wait behind a daemon that means to end. */
        if (ls->items[i].source != SERVICE_UNIT)
            service_forget(ls->server, ls->items[i].text);
        uv_close(&ls->items[i].uv.handle, NULL);
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
