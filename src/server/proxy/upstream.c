#include "server/proxy/upstream.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "http/head.h"
#include "server/net/origin.h"
#include "server/proxy/exchange.h"
#include "server/proxy/relay.h"
#include "server/proxy/request.h"
#include "server/server.h"

static struct upstream *of(struct stream *s)
{
    return container_of(s, struct upstream, stream);
}

static void shut(struct upstream *up)
{
    up->exchange = NULL;
    if (link_linked(&up->idle))
        list_remove(&up->origin->idle, &up->idle);
    timeouts_disarm(&up->server->timeouts, &up->timeout);
    dial_stop(&up->dial);
    stream_close(&up->stream);
}

static void on_data(struct stream *s, const char *data, size_t n)
{
    struct upstream *up = of(s);
    if (up->exchange)
        exchange_upstream_data(up->exchange, data, n);
    else
        shut(up); /* an idle connection has nothing to say */
}

static void on_end(struct stream *s, int error)
{
    struct upstream *up = of(s);
    if (up->exchange)
        exchange_upstream_end(up->exchange, error);
    else
        shut(up);
}

static void on_drain(struct stream *s)
{
    if (of(s)->exchange)
        exchange_upstream_drained(of(s)->exchange);
}

static void on_closed(struct stream *s)
{
    struct upstream *up = of(s);
    timeouts_disarm(&up->server->timeouts, &up->timeout);
    buf_fini(&up->in);
    origin_put(up->origin);
    free(up);
}

/* Each address has its share of the time, so that one that swallows everything leaves some. */
static void arm_connect(struct upstream *up)
{
    const struct origin *o = up->origin;
    timeouts_arm_ms(&up->server->timeouts, &up->timeout, TIMEOUT_CONNECT,
                    o->connect_timeout_ns / NS_PER_MS / (o->addr_count ? o->addr_count : 1));
}

/* True when another address is tried; else *error is what is to be told. */
static bool try_next(struct upstream *up, int *error)
{
    if (!up->exchange || !dial_next(&up->dial, error))
        return false;
    arm_connect(up);
    return true;
}

static void on_connected(struct stream *s, int error)
{
    struct upstream *up = of(s);
    timeouts_disarm(&up->server->timeouts, &up->timeout);
    if (!error)
        error = dial_check(&up->dial);
    if (error && try_next(up, &error))
        return;
    up->connected = error == 0;
    if (error == 0) {
        dial_done(&up->dial);
        stream_read_start(s);
    }
    if (up->exchange)
        exchange_upstream_connected(up->exchange, error);
    else
        shut(up);
}

static void on_handshake(struct stream *s)
{
    struct upstream *up = of(s);
    timeouts_arm_ms(&up->server->timeouts, &up->timeout, TIMEOUT_HANDSHAKE,
                    up->origin->tls_timeout_ns / NS_PER_MS);
}

static void on_reopened(struct stream *s)
{
    dial_reopened(&of(s)->dial);
}

static struct upstream *reuse(struct origin *o)
{
    struct link *n = list_pop(&o->idle);
    if (!n)
        return NULL;
    struct upstream *up = list_entry(n, struct upstream, idle);
    timeouts_disarm(&up->server->timeouts, &up->timeout);
    up->reused = true;
    return up;
}

static struct upstream *make(struct origin *o)
{
    static const struct stream_ops ops = {.on_data = on_data,
                                          .on_end = on_end,
                                          .on_drain = on_drain,
                                          .on_closed = on_closed,
                                          .on_connected = on_connected,
                                          .on_handshake = on_handshake,
                                          .on_reopened = on_reopened};
    struct upstream *up = alloc_zeroed(1, sizeof(*up));
    up->server = o->server;
    up->origin = origin_get(o);
    buf_init(&up->in, HTTP_HEAD_BYTES_MAX + STREAM_SLAB_BYTES);
    stream_init(&up->stream, &o->server->hub, o->is_unix, &ops);
    return up;
}

static struct upstream *dial(struct origin *o, int *ret_error)
{
    struct upstream *up = make(o);
    int rc = dial_start(&up->dial, &up->stream, o);
    if (rc < 0) {
        *ret_error = rc;
        stream_close(&up->stream);
        return NULL;
    }
    arm_connect(up);
    return up;
}

struct upstream *upstream_get(struct origin *o, struct exchange *ex, bool fresh, int *ret_error)
{
    struct upstream *up = fresh ? NULL : reuse(o);
    if (!up)
        up = dial(o, ret_error);
    if (up)
        up->exchange = ex;
    return up;
}

struct upstream *upstream_take(struct origin *o, struct exchange *ex, int fd)
{
    struct upstream *up = make(o);
    if (stream_accept(&up->stream, fd) < 0) {
        close(fd);
        stream_close(&up->stream);
        return NULL;
    }
    up->exchange = ex;
    up->connected = true;
    stream_read_start(&up->stream);
    return up;
}

void upstream_put(struct upstream *up, bool keep)
{
    struct origin *o = up->origin;
    up->exchange = NULL;
    if (!keep || !o->open || up->in.len || up->stream.closing || up->stream.queued_bytes) {
        shut(up);
        return;
    }
    up->scan = 0;
    list_push_front(&o->idle, &up->idle);
    uint64_t idle_ms = o->idle_timeout_ns / NS_PER_MS;
    if (idle_ms == 0 || idle_ms > UPSTREAM_IDLE_MS)
        idle_ms = UPSTREAM_IDLE_MS;
    timeouts_arm_ms(&up->server->timeouts, &up->timeout, TIMEOUT_POOL, idle_ms);
    stream_read_start(&up->stream);
}

void upstream_drop_idle(struct origin *o)
{
    struct link *n;
    while ((n = list_first(&o->idle))) {
        struct upstream *up = list_entry(n, struct upstream, idle);
        list_remove(&o->idle, n);
        shut(up);
    }
}

void upstream_on_timeout(struct upstream *up, enum timeout_kind kind)
{
    int error = UV_ETIMEDOUT;
    if ((kind == TIMEOUT_CONNECT || kind == TIMEOUT_HANDSHAKE) && try_next(up, &error))
        return;
    if (up->exchange)
        exchange_upstream_timeout(up->exchange, kind);
    else
        shut(up);
}
