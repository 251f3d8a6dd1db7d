#include "server/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/alloc.h"

#define BLOCK_BYTES (4096 - 32)
/* Blocks given to the kernel in one writev. */
#define BLOCKS_PER_WRITE 16

struct stream_block {
    struct stream_block *next;
    uint32_t from, to; /* unsent bytes of data */
    char data[BLOCK_BYTES];
};

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop)
{
    *hub = (struct stream_hub){.loop = loop, .slab = alloc_zeroed(1, STREAM_SLAB_BYTES)};
    list_init(&hub->stalled);
}

void stream_hub_fini(struct stream_hub *hub)
{
    must(hub->count == 0 && hub->queued_bytes == 0);
    free(hub->slab);
    hub->slab = NULL;
}

static void init_handle(struct stream *s, bool is_unix)
{
    uv_loop_t *loop = s->hub->loop;
    int rc = is_unix ? uv_pipe_init(loop, &s->uv.pipe, 0) : uv_tcp_init(loop, &s->uv.tcp);
    must(rc == 0);
}

void stream_init(struct stream *s, struct stream_hub *hub, bool is_unix,
                 const struct stream_ops *ops)
{
    *s = (struct stream){.hub = hub, .ops = ops, .open = true};
    init_handle(s, is_unix);
    hub->count++;
}

int stream_accept(struct stream *s, uv_stream_t *listener)
{
    int rc = uv_accept(listener, &s->uv.stream);
    if (rc == 0 && s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return rc;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct stream *s = container_of(req->handle, struct stream, uv.stream);
    if (s->closing || s->reopening)
        return;
    if (status == 0 && s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    s->ops->on_connected(s, status);
}

int stream_connect(struct stream *s, const struct sockaddr *addr, uv_connect_t *req)
{
    if (addr->sa_family != AF_UNIX)
        return uv_tcp_connect(req, &s->uv.tcp, addr, on_connect);
    uv_pipe_connect(req, &s->uv.pipe, ((const struct sockaddr_un *)addr)->sun_path, on_connect);
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = container_of(handle, struct stream, uv.handle);
    (void)suggested;
    *ret = uv_buf_init(s->hub->slab, STREAM_SLAB_BYTES);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = container_of(handle, struct stream, uv.stream);
    if (n > 0) {
        s->ops->on_data(s, buf->base, (size_t)n);
    } else if (n < 0) {
        stream_read_stop(s);
        s->ops->on_end(s, n == UV_EOF ? 0 : (int)n);
    }
}

void stream_read_start(struct stream *s)
{
    if (s->reading || s->closing)
        return;
    s->reading = uv_read_start(&s->uv.stream, on_alloc, on_read) == 0;
}

void stream_read_stop(struct stream *s)
{
    if (!s->reading || s->closing)
        return;
    uv_read_stop(&s->uv.stream);
    s->reading = false;
}

static void set_queued(struct stream *s, size_t bytes)
{
    s->hub->queued_bytes = s->hub->queued_bytes - s->queued_bytes + bytes;
    s->queued_bytes = bytes;
    if (bytes && !s->closing && !link_linked(&s->stalled))
        list_push(&s->hub->stalled, &s->stalled);
    if (!bytes && link_linked(&s->stalled))
        list_remove(&s->hub->stalled, &s->stalled);
}

static void drop_first_block(struct stream *s)
{
    struct stream_block *b = s->out_first;
    s->out_first = b->next;
    if (!s->out_first)
        s->out_last = NULL;
    free(b);
}

static void write_blocks(struct stream *s);

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = container_of(req, struct stream, write);
    size_t left = s->queued_bytes;
    for (; s->in_flight_blocks > 0; s->in_flight_blocks--) {
        left -= s->out_first->to - s->out_first->from;
        drop_first_block(s);
    }
    s->progress++;
    set_queued(s, left);
    if (s->closing)
        return;
    if (status < 0) {
        s->ops->on_end(s, status);
        return;
    }
    /* Progress: whoever moves is not the longest stalled. */
    if (left) {
        list_remove(&s->hub->stalled, &s->stalled);
        list_push(&s->hub->stalled, &s->stalled);
        write_blocks(s);
    } else if (s->close_when_drained) {
        stream_close(s);
        return;
    }
    if (s->full && left <= STREAM_LOW_BYTES) {
        s->full = false;
        if (s->ops->on_drain)
            s->ops->on_drain(s);
    }
}

static void write_blocks(struct stream *s)
{
    uv_buf_t bufs[BLOCKS_PER_WRITE];
    unsigned count = 0;
    for (struct stream_block *b = s->out_first; b && count < BLOCKS_PER_WRITE; b = b->next)
        bufs[count++] = uv_buf_init(b->data + b->from, b->to - b->from);
    s->in_flight_blocks = count;
    /* uv_write only fails at once for a bad handle; socket errors come to on_written. */
    int rc = uv_write(&s->write, &s->uv.stream, bufs, count, on_written);
    must(rc == 0);
}

static void enqueue(struct stream *s, const char *data, size_t n)
{
    set_queued(s, s->queued_bytes + n);
    /* Only a block that libuv does not hold may grow. */
    struct stream_block *b = s->out_last;
    bool held = s->in_flight_blocks > 0;
    if (held) {
        uint32_t behind = 0;
        for (struct stream_block *x = s->out_first; x; x = x->next)
            behind++;
        held = behind <= s->in_flight_blocks;
    }
    while (n) {
        if (!b || held || b->to == BLOCK_BYTES) {
            struct stream_block *fresh = alloc_grow(NULL, 1, sizeof(*fresh));
            fresh->next = NULL;
            fresh->from = fresh->to = 0;
            if (s->out_last)
                s->out_last->next = fresh;
            else
                s->out_first = fresh;
            s->out_last = b = fresh;
            held = false;
        }
        size_t part = BLOCK_BYTES - b->to < n ? BLOCK_BYTES - b->to : n;
        memcpy(b->data + b->to, data, part);
        b->to += (uint32_t)part;
        data += part;
        n -= part;
    }
}

int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    size_t sent = 0;
    if (s->closing)
        return UV_ECANCELED;
    if (!s->out_first) {
        int rc = uv_try_write(&s->uv.stream, bufs, count);
        if (rc < 0 && rc != UV_EAGAIN)
            return rc;
        sent = rc > 0 ? (size_t)rc : 0;
    }
    bool idle = !s->out_first;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = sent < bufs[i].len ? sent : bufs[i].len;
        sent -= skip;
        if (bufs[i].len > skip)
            enqueue(s, bufs[i].base + skip, bufs[i].len - skip);
    }
    if (idle && s->out_first)
        write_blocks(s);
    return 0;
}

bool stream_full(struct stream *s)
{
    if (s->queued_bytes > STREAM_HIGH_BYTES)
        s->full = true;
    return s->full;
}

void stream_close_drained(struct stream *s)
{
    if (s->queued_bytes == 0) {
        stream_close(s);
        return;
    }
    s->close_when_drained = true;
}

void stream_shutdown(struct stream *s)
{
    if (!s->closing)
        uv_shutdown(&s->shutdown, &s->uv.stream, NULL);
}

static void on_close(uv_handle_t *handle)
{
    struct stream *s = container_of(handle, struct stream, uv.handle);
    while (s->out_first)
        drop_first_block(s);
    set_queued(s, 0);
    s->open = false;
    s->hub->count--;
    s->ops->on_closed(s);
}

static void on_reopen(uv_handle_t *handle)
{
    struct stream *s = container_of(handle, struct stream, uv.handle);
    if (s->closing) {
        on_close(handle);
        return;
    }
    s->reopening = false;
    init_handle(s, handle->type == UV_NAMED_PIPE);
    s->ops->on_reopened(s);
}

void stream_reopen(struct stream *s)
{
    must(!s->closing && !s->reopening && !s->reading && !s->out_first);
    s->reopening = true;
    uv_close(&s->uv.handle, on_reopen);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    if (s->reopening)
        return; /* its handle is being closed already */
    uv_close(&s->uv.handle, on_close);
}

void stream_reset(struct stream *s)
{
    if (s->closing)
        return;
    if (!s->reopening && s->uv.handle.type == UV_TCP &&
        uv_tcp_close_reset(&s->uv.tcp, on_close) == 0)
        s->closing = true;
    else
        stream_close(s);
}

void stream_hub_relieve(struct stream_hub *hub)
{
    size_t reclaimed = 0; /* goes with the close callbacks, later */
    while (hub->queued_bytes - reclaimed > STREAM_QUEUED_MAX && hub->stalled.count) {
        struct stream *victim = list_entry(list_first(&hub->stalled), struct stream, stalled);
        list_remove(&hub->stalled, &victim->stalled);
        reclaimed += victim->queued_bytes;
        if (!victim->closing)
            victim->ops->on_end(victim, UV_ENOBUFS);
    }
}
