#include "server/net/held.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/server.h"

struct held {
    struct exchange *exchange;
    char *ping; /* owned; with the line's end */
    uint64_t ping_ms;
    void (*on_left)(void *arg); /* NULL: it is not to be told */
    void *arg;
    uv_timer_t timer;
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct held *h = container_of(handle, struct held, timer);
    free(h->ping);
    free(h);
}

static void on_local_end(struct exchange *ex)
{
    struct held *h = ex->local;
    void (*on_left)(void *arg) = h->on_left;
    void *arg = h->arg;
    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
    if (on_left)
        on_left(arg);
}

static bool put(struct held *h, const char *line, size_t n)
{
    uv_timer_again(&h->timer);
    return exchange_stream_write(h->exchange, line, n);
}

static void on_ping(uv_timer_t *timer)
{
    struct held *h = container_of(timer, struct held, timer);
    /* One who does not read has enough to read. */
    if (!exchange_stream_full(h->exchange))
        put(h, h->ping, strlen(h->ping));
}

/* A peer that does not take what is sent, since it or the network has died, is gone after this time
 * (RFC 5482): a connection of TCP would otherwise be kept for a quarter of an hour. */
static void watch_peer(struct exchange *ex)
{
    uv_os_fd_t fd;
    unsigned ms = (unsigned)(HELD_PEER_NS / NS_PER_MS);
    if (*ex->client->peer && uv_fileno(&ex->client->stream.uv.handle, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

struct held *held_begin(struct exchange *ex, const struct held_spec *spec)
{
    struct held *h = alloc_zeroed(1, sizeof(*h));
    h->exchange = ex;
    h->ping = alloc_printf("%s\n", spec->ping);
    h->ping_ms = (spec->ping_ns ? spec->ping_ns : HELD_PING_NS) / NS_PER_MS;
    h->arg = spec->arg;
    uv_timer_init(ex->server->loop, &h->timer);
    watch_peer(ex);
    ex->local = h;
    ex->on_local_end = on_local_end;
    if (!exchange_stream_begin(ex, "application/x-ndjson"))
        return NULL;
    uv_timer_start(&h->timer, on_ping, h->ping_ms, h->ping_ms);
    h->on_left = spec->on_left;
    return h;
}

bool held_line(struct held *h, const char *json)
{
    struct buf line = {0};
    buf_printf(&line, "%s\n", json);
    bool here = put(h, line.data, line.len);
    buf_fini(&line);
    return here;
}

void held_end(struct held *h)
{
    h->on_left = NULL;
    exchange_stream_end(h->exchange);
}
