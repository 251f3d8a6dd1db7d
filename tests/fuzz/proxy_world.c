#include "proxy_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "api/routes.h"
#include "base/pure/rng.h"
#include "base/pure/units.h"
#include "server/proxy/exchange.h"
#include "server_world.h"

/* Callbacks come a turn or two after what they are about. */
#define QUIET_TURNS 3
#define TURNS_MAX 10000

static const char config[] = "captureBuffer: 1\n"
                             "gpus: [{sim: {name: left, memory: 4GiB}, limit: 1}]\n"
                             "routing: {router: {use: fit}}\n"
                             "gates: {one: {limit: 1}, two: {limit: 2}}\n"
                             "peers: {p: {proxy: 'unix:%s/up', models: [m]}}\n";

static struct proxy_world world;
static char folder[] = "/tmp/wharf-fuzz-proxy-XXXXXX";
static struct server_api api;
static struct client_door door = {.api = &api, .is_unix = true};
static uv_poll_t listener;
static int client_listener, upstream_listener;

static void on_connection(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)events;
    int fd = accept4(client_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    must(status == 0 && fd >= 0);
    client_accept(world.server, fd, &door);
}

static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", folder, name);
    return un;
}

static void clean_up(void)
{
    unlink(address("down").sun_path);
    unlink(address("up").sun_path);
    rmdir(folder);
}

static int listen_at(const char *name)
{
    struct sockaddr_un un = address(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
    must(listen(fd, 64) == 0);
    return fd;
}

static void listen_for_clients(void)
{
    client_listener = listen_at("down");
    must(uv_poll_init(world.server->loop, &listener, client_listener) == 0);
    must(uv_poll_start(&listener, UV_READABLE, on_connection) == 0);
}

/* Of wharf's own API, what needs no more than there is here. */
static const struct route_table *lease_routes(void)
{
    static struct route rows[8];
    static struct route_table table = {.routes = rows};
    for (uint32_t i = 0; i < routes_of_wharf.count; i++)
        if (strncmp(routes_of_wharf.routes[i].path, "/wharf/leases", 13) == 0) {
            must(table.count < countof(rows));
            rows[table.count++] = routes_of_wharf.routes[i];
        }
    must(table.count > 0);
    return &table;
}

/* As the start does it, once the devices are known. */
static void boot(struct server *s)
{
    parts_configure(s);
    runner_event(&s->runner, (struct event){.type = EVENT_DEVICE_FOUND,
                                            .found = {.device = 0, .total_bytes = 4 * GIB}});
    s->boot.over = true;
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
}

struct proxy_world *proxy_world(void)
{
    static const struct route_table *tables[] = {&routes_of_openai, &routes_to_models,
                                                 &routes_of_ollama, NULL, NULL};
    if (world.server)
        return &world;
    must(mkdtemp(folder));
    atexit(clean_up);
    api = *api_table();
    api.tables = tables;
    char text[sizeof(config) + sizeof(folder)];
    snprintf(text, sizeof(text), config, folder);
    world.server = server_world_new(text);
    server_apply(world.server);
    log_level_min = LOG_ERROR + 1;
    tables[3] = lease_routes();
    boot(world.server);
    listen_for_clients();
    upstream_listener = listen_at("up");
    return &world;
}

static void set_up(struct side *s, int fd)
{
    must(fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    s->fd = fd;
    s->ended = false;
    buf_clear(&s->in);
}

struct side *proxy_connect(struct proxy_world *w)
{
    struct sockaddr_un un = address("down");
    must(w->client_count < PROXY_CLIENTS_MAX);
    struct side *s = &w->clients[w->client_count++];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
    set_up(s, fd);
    proxy_turn(w);
    return s;
}

/* True when anything came. */
static bool read_side(struct side *s)
{
    static char bytes[64 * 1024];
    if (s->fd < 0 || s->ended)
        return false;
    ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        s->ended = true;
    else
        buf_append(&s->in, bytes, (size_t)n);
    return true;
}

static bool accept_upstream(struct proxy_world *w)
{
    int fd = accept4(upstream_listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    must(w->upstream_count < PROXY_UPSTREAMS_MAX);
    set_up(&w->upstreams[w->upstream_count++], fd);
    return true;
}

void proxy_turn(struct proxy_world *w)
{
    uint32_t turns = 0;
    for (uint32_t quiet = 0; quiet < QUIET_TURNS; quiet++) {
        must(turns++ < TURNS_MAX);
        uv_run(w->server->loop, UV_RUN_NOWAIT);
        runner_after_poll(&w->server->runner);
        stream_hub_turn(&w->server->hub);
        stream_hub_relieve(&w->server->hub);
        bool moved = accept_upstream(w);
        for (uint32_t i = 0; i < w->client_count; i++)
            moved |= read_side(&w->clients[i]);
        for (uint32_t i = 0; i < w->upstream_count; i++)
            moved |= read_side(&w->upstreams[i]);
        if (moved)
            quiet = 0;
    }
}

/* What wharf does not take any more is lost, as it is for everybody whom it has left. */
static void send_piece(struct proxy_world *w, struct side *s, const char *data, size_t n)
{
    for (uint32_t tries = 0; n && tries < 100; tries++) {
        ssize_t sent = s->fd < 0 ? -1 : send(s->fd, data, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            break;
        data += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        proxy_turn(w);
    }
}

void proxy_send(struct proxy_world *w, struct side *s, const char *data, size_t n, uint64_t seed)
{
    struct rng rng = {seed};
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = seed ? 1 + rng_below(&rng, UINT64_C(1) << (1 + rng_below(&rng, 8))) : n;
        piece = piece < n - at ? piece : n - at;
        send_piece(w, s, data + at, piece);
        if (w->on_piece)
            w->on_piece(w);
    }
}

void proxy_close(struct proxy_world *w, struct side *s)
{
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    proxy_turn(w);
}

void proxy_over(struct proxy_world *w)
{
    for (uint32_t i = 0; i < w->client_count; i++)
        proxy_close(w, &w->clients[i]);
    for (uint32_t i = 0; i < w->upstream_count; i++)
        proxy_close(w, &w->upstreams[i]);
    w->client_count = w->upstream_count = 0;
    must(w->server->clients.count == 0 && w->server->hub.count == 0);
    must(exchange_table_count(w->server->exchanges) == 0);
    must(w->server->hub.queued_bytes == 0 && w->server->peers.requests == 0);
}
