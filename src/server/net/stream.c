#include "server/net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/net/tls.h"

#define BLOCK_BYTES (4096 - 32)
/* In the kernel, of what no window has been open for: else it takes megabytes for each client that
 * does not read. */
#define UNSENT_BYTES_MAX (64 * 1024)
/* More than the kernel takes for somebody who does not read. */
#define AT_EASE 16
/* Blocks given to the kernel in one writev. */
#define BLOCKS_PER_WRITE 16
/* So much goes through TLS at once: its memory is kept as large as it once had to be. It is the
 * largest record (RFC 8446, section 5.1). */
#define TLS_PIECE_BYTES (16 * 1024)
/* A handshake takes about a millisecond, in which nobody else is served. */
#define HANDSHAKES_PER_TURN 4

struct stream_block {
    struct stream_block *next;
    uint32_t from, to; /* unsent bytes of data */
    char data[BLOCK_BYTES];
};

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop)
{
    *hub = (struct stream_hub){.loop = loop, .slab = alloc_zeroed(1, STREAM_SLAB_BYTES)};
    list_init(&hub->stalled);
    list_init(&hub->due);
    uv_idle_init(loop, &hub->spin);
}

void stream_hub_close(struct stream_hub *hub)
{
    uv_close((uv_handle_t *)&hub->spin, NULL);
}

void stream_hub_fini(struct stream_hub *hub)
{
    must(hub->count == 0 && hub->queued_bytes == 0);
    free(hub->slab);
    free(hub->plain);
    hub->slab = hub->plain = NULL;
}

static void init_handle(struct stream *s, bool is_unix)
{
    uv_loop_t *loop = s->hub->loop;
    int rc = is_unix ? uv_pipe_init(loop, &s->uv.pipe, 0) : uv_tcp_init(loop, &s->uv.tcp);
    must(rc == 0);
    s->uv.handle.data = s->hub; /* whose it is, for those who walk over all handles */
}

void stream_init(struct stream *s, struct stream_hub *hub, bool is_unix,
                 const struct stream_ops *ops)
{
    *s = (struct stream){.hub = hub, .ops = ops, .open = true, .preface = -1};
    init_handle(s, is_unix);
    hub->count++;
}

/* libuv ends the process where epoll has no room for one more descriptor (ENOMEM, ENOSPC), but
 * takes one as it is that is watched already. */
static int watch_early(const struct stream *s, int fd)
{
    struct epoll_event nothing = {.data.fd = fd};
    int rc = epoll_ctl(uv_backend_fd(s->hub->loop), EPOLL_CTL_ADD, fd, &nothing);
    return rc < 0 && errno != EEXIST ? -errno : 0;
}

int stream_accept(struct stream *s, int fd)
{
    bool is_pipe = s->uv.handle.type != UV_TCP;
    int rc =
        watch_early(s, fd); /* first, so that the descriptor stays the caller's if that fails */
    if (rc == 0)
        rc = is_pipe ? uv_pipe_open(&s->uv.pipe, fd) : uv_tcp_open(&s->uv.tcp, fd);
    if (rc < 0 || is_pipe)
        return rc;
    uv_tcp_nodelay(&s->uv.tcp, 1);
    /* tcp(7): what is sent and not yet taken is the window's business. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT_BYTES_MAX}, sizeof(int));
    return 0;
}

static void take_cipher(struct stream *s);
static void on_spin(uv_idle_t *idle);

static void on_connect(uv_connect_t *req, int status)
{
    struct stream *s = container_of(req->handle, struct stream, uv.stream);
    if (s->closing || s->reopening)
        return;
    if (status == 0 && s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    if (status == 0 && s->tls) {
        if (s->ops->on_handshake)
            s->ops->on_handshake(s);
        stream_read_start(s);
        take_cipher(s);
        return;
    }
    s->ops->on_connected(s, status);
}

int stream_connect(struct stream *s, const struct sockaddr *addr, uv_connect_t *req)
{
    int rc = 0;
    if (addr->sa_family != AF_UNIX)
        rc = uv_tcp_connect(req, &s->uv.tcp, addr, on_connect);
    else
        uv_pipe_connect(req, &s->uv.pipe, ((const struct sockaddr_un *)addr)->sun_path, on_connect);
    uv_os_fd_t fd;
    return rc < 0 || uv_fileno(&s->uv.handle, &fd) < 0 ? rc : watch_early(s, fd);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = container_of(handle, struct stream, uv.handle);
    (void)suggested;
    bool little = s->paced && s->at_ease < AT_EASE;
    *ret = uv_buf_init(s->hub->slab, little ? STREAM_HIGH_BYTES : STREAM_SLAB_BYTES);
}

void stream_pace(struct stream *source, const struct stream *sink)
{
    source->paced = true;
    if (sink->queued_bytes)
        source->at_ease = 0;
    else if (source->at_ease < AT_EASE)
        source->at_ease++;
}

static void set_due(struct stream *s)
{
    struct stream_hub *hub = s->hub;
    if (link_linked(&s->due) || uv_is_closing((uv_handle_t *)&hub->spin))
        return;
    list_push(&hub->due, &s->due);
    uv_idle_start(&hub->spin, on_spin);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf);

static void drop_due(struct stream *s)
{
    if (link_linked(&s->due))
        list_remove(&s->hub->due, &s->due);
}

static int write_plain(struct stream *s, const uv_buf_t *bufs, unsigned count);

/* Sends what TLS has put out. */
static int flush(struct stream *s)
{
    char *data;
    size_t n = tls_output(s->tls, &data);
    if (n == 0)
        return 0;
    uv_buf_t out = uv_buf_init(data, (unsigned)n);
    int rc = write_plain(s, &out, 1);
    tls_sent(s->tls);
    return rc;
}

/* Goes on with the handshake; true once it is done. */
static bool shake_hands(struct stream *s)
{
    if (s->hub->handshakes >= HANDSHAKES_PER_TURN) {
        uv_read_stop(&s->uv.stream); /* what comes before its turn is not kept here */
        set_due(s);
        return false;
    }
    s->hub->handshakes++;
    if (s->reading && !s->ended)
        (void)uv_read_start(&s->uv.stream, on_alloc, on_read);
    int rc = tls_handshake(s->tls), sent = flush(s);
    if (rc == 0 && sent == 0) {
        if (!s->ended)
            return false;
        rc = TLS_BROKEN;
        sent = s->end ? s->end : UV_EOF;
    }
    s->secured = rc == 1 && sent == 0;
    if (!s->secured)
        stream_read_stop(s);
    int error = s->secured ? 0 : sent < 0 ? sent : UV_EPROTO;
    if (s->ops->on_connected)
        s->ops->on_connected(s, error);
    else if (error)
        s->ops->on_end(s, error);
    return s->secured && !s->closing;
}

/* Hands on what can be decrypted, as long as the owner reads. */
static void take_cipher(struct stream *s)
{
    if (s->closing || (!s->secured && !shake_hands(s)))
        return;
    if (!s->hub->plain)
        s->hub->plain = alloc_zeroed(1, STREAM_SLAB_BYTES);
    while (s->reading && !s->closing) {
        ssize_t n = tls_read(s->tls, s->hub->plain, STREAM_SLAB_BYTES);
        int sent = flush(s);
        if (n > 0) {
            s->ops->on_data(s, s->hub->plain, (size_t)n);
            continue;
        }
        if (n == 0 && sent == 0 && !s->ended)
            return;
        stream_read_stop(s);
        s->ops->on_end(s, n == TLS_ENDED ? 0
                          : n < 0        ? UV_EPROTO
                          : sent < 0     ? sent
                          : s->end < 0   ? s->end
                                         : UV_EOF);
    }
}

static void read_cipher(struct stream *s, const char *data, ssize_t n)
{
    if (n < 0) {
        s->ended = true;
        s->end = n == UV_EOF ? 0 : (int)n;
        uv_read_stop(&s->uv.stream);
        take_cipher(s);
        return;
    }
    while (n > 0 && !s->closing && s->tls) {
        size_t part = n < TLS_PIECE_BYTES ? (size_t)n : TLS_PIECE_BYTES;
        tls_feed(s->tls, data, part);
        data += part;
        n -= (ssize_t)part;
        take_cipher(s);
    }
}

static void on_spin(uv_idle_t *idle)
{
    (void)idle;
}

/* The mover of `reading`, by which prefaces are counted: one whose owner has enough for now holds
 * nobody up. */
static void set_reading(struct stream *s, bool reading)
{
    if (s->preface >= 0 && s->reading != reading)
        s->hub->prefaces += reading ? 1 : UINT32_MAX;
    s->reading = reading;
}

static void end_preface(struct stream *s)
{
    set_reading(s, false);
    if (s->preface >= 0)
        close(s->preface);
    s->preface = -1;
}

/* All of it, as far as the owner reads; the socket comes next. At once, so that requests are whole
 * in the order in which they were handed over, whatever their lengths. */
static void take_preface(struct stream *s)
{
    while (s->reading && !s->closing) {
        ssize_t n = read(s->preface, s->hub->slab, STREAM_SLAB_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            end_preface(s);
            stream_read_start(s);
            return;
        }
        s->ops->on_data(s, s->hub->slab, (size_t)n);
    }
}

void stream_preface(struct stream *s, int fd)
{
    must(!s->tls && !s->reading && s->preface < 0);
    s->preface = fd;
}

static void take_due(struct stream *s)
{
    if (s->preface >= 0)
        take_preface(s);
    else
        take_cipher(s);
}

void stream_hub_turn(struct stream_hub *hub)
{
    struct link *n;
    hub->handshakes = 0;
    for (uint32_t left = hub->due.count; left > 0 && (n = list_pop(&hub->due)); left--)
        take_due(list_entry(n, struct stream, due));
    if (hub->due.count == 0)
        uv_idle_stop(&hub->spin);
}

void stream_secure(struct stream *s, struct tls *tls)
{
    must(!s->tls && !s->reading);
    s->tls = tls;
}

const char *stream_why(const struct stream *s, int error)
{
    return error == UV_EPROTO && s->tls ? tls_why(s->tls) : uv_strerror(error);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = container_of(handle, struct stream, uv.stream);
    if (s->tls && n) {
        read_cipher(s, buf->base, n);
    } else if (n > 0) {
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
    if (s->preface >= 0) {
        set_reading(s, true);
        set_due(s);
        return;
    }
    s->reading = s->ended || uv_read_start(&s->uv.stream, on_alloc, on_read) == 0;
    if (s->secured)
        set_due(s); /* the owner is never called from his own call */
}

void stream_read_stop(struct stream *s)
{
    if (!s->reading || s->closing)
        return;
    uv_read_stop(&s->uv.stream);
    set_reading(s, false);
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

static void drop_blocks(struct stream *s)
{
    while (s->out_first)
        drop_first_block(s);
    set_queued(s, 0);
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
    s->taken_bytes += s->queued_bytes - left;
    set_queued(s, left);
    if (s->closing || s->reopening)
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

static int write_plain(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    size_t sent = 0;
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

static int write_piece(struct stream *s, const char *data, size_t n)
{
    return tls_write(s->tls, data, n) ? flush(s) : UV_EPROTO;
}

/* What is written at once becomes as few records as may be: each costs a call of the kernel and
 * some 30 bytes, and an event of a stream is a chunk of three pieces. */
static int write_cipher(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    char piece[TLS_PIECE_BYTES];
    size_t held = 0;
    int rc = s->secured ? 0 : UV_ENOTCONN;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        const char *data = bufs[i].base;
        for (size_t left = bufs[i].len, part; left > 0 && rc == 0; left -= part, data += part) {
            part = left < sizeof(piece) - held ? left : sizeof(piece) - held;
            memcpy(piece + held, data, part);
            held += part;
            if (held < sizeof(piece))
                continue;
            rc = write_piece(s, piece, held);
            held = 0;
        }
    }
    return held && rc == 0 ? write_piece(s, piece, held) : rc;
}

int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    if (s->closing)
        return UV_ECANCELED;
    return s->tls ? write_cipher(s, bufs, count) : write_plain(s, bufs, count);
}

/* Tells the other side that this is the end, and no accident. What fails here is found by what
 * comes after. */
static void say_end(struct stream *s)
{
    if (!s->tls || s->closing)
        return;
    tls_end(s->tls);
    if (flush(s) < 0)
        s->secured = false;
}

bool stream_full(struct stream *s)
{
    if (s->queued_bytes > STREAM_HIGH_BYTES)
        s->full = true;
    return s->full;
}

void stream_close_drained(struct stream *s)
{
    say_end(s);
    if (s->queued_bytes == 0) {
        stream_close(s);
        return;
    }
    s->close_when_drained = true;
}

void stream_shutdown(struct stream *s)
{
    say_end(s);
    if (!s->closing)
        uv_shutdown(&s->shutdown, &s->uv.stream, NULL);
}

static void on_close(uv_handle_t *handle)
{
    struct stream *s = container_of(handle, struct stream, uv.handle);
    drop_blocks(s);
    tls_free(s->tls);
    s->tls = NULL;
    end_preface(s);
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
    drop_blocks(s);
    s->reopening = false;
    init_handle(s, handle->type == UV_NAMED_PIPE);
    s->ops->on_reopened(s);
}

void stream_reopen(struct stream *s)
{
    must(!s->closing && !s->reopening);
    stream_read_stop(s); /* a handshake may have been under way */
    s->reopening = true;
    drop_due(s);
    tls_free(s->tls);
    s->tls = NULL;
    s->secured = s->ended = false;
    uv_close(&s->uv.handle, on_reopen);
}

/* As far as the socket takes it at once: nobody waits for that. */
static void try_say_end(struct stream *s)
{
    char *data;
    if (!s->secured || s->out_first)
        return;
    tls_end(s->tls);
    size_t n = tls_output(s->tls, &data);
    uv_buf_t out = uv_buf_init(data, (unsigned)n);
    if (n)
        uv_try_write(&s->uv.stream, &out, 1);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    try_say_end(s);
    s->closing = true;
    drop_due(s);
    if (s->reopening)
        return; /* its handle is being closed already */
    uv_close(&s->uv.handle, on_close);
}

void stream_reset(struct stream *s)
{
    if (s->closing)
        return;
    if (!s->reopening && s->uv.handle.type == UV_TCP &&
        uv_tcp_close_reset(&s->uv.tcp, on_close) == 0) {
        s->closing = true;
        drop_due(s);
    } else {
        stream_close(s);
    }
}

void stream_hub_relieve(struct stream_hub *hub)
{
    size_t reclaimed = 0; /* goes with the close callbacks, later */
    while (hub->queued_bytes - reclaimed > STREAM_QUEUED_MAX && hub->stalled.count) {
        struct stream *victim = list_entry(list_first(&hub->stalled), struct stream, stalled);
        list_remove(&hub->stalled, &victim->stalled);
        reclaimed += victim->queued_bytes;
        hub->cut++;
        if (!victim->closing)
            victim->ops->on_end(victim, UV_ENOBUFS);
    }
}
