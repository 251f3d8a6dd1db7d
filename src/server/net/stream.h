/* stream.h: one connected socket, TCP or unix, plain or under TLS, with bounded memory.
 *
 * Reading: one 64 KiB slab serves all sockets; what on_data needs later it copies.
 * Writing: written from the caller's memory at once as far as the socket takes it; only the rest is
 * copied, into 4 KiB blocks. A source feeding a stream pauses when stream_full says so and goes on
 * at on_drain. Over all streams STREAM_QUEUED_MAX bytes may wait; beyond, the stream that has been
 * stalled longest is cut.
 *
 * TLS: what the owner reads and writes is plain; what is queued is ciphertext. on_connected comes
 * after the handshake. An end without TLS's own (close_notify) is a failure, UV_EOF. What had been
 * decrypted when reading stopped comes from stream_hub_turn once it goes on.
 *
 * The owner embeds struct stream and frees itself in on_closed only. After stream_close no other
 * callback comes. */
#ifndef SERVER_STREAM_H
#define SERVER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/pure/check.h"
#include "base/pure/list.h"

#define STREAM_SLAB_BYTES (64 * 1024)
#define STREAM_HIGH_BYTES (16 * 1024)
#define STREAM_LOW_BYTES (4 * 1024)
#define STREAM_QUEUED_MAX (64 * 1024 * 1024)

struct stream;

struct stream_ops {
    /* data is valid during the call only. */
    void (*on_data)(struct stream *s, const char *data, size_t n);
    /* The peer ended its side (error 0) or the connection failed (a negative errno). Nothing more
     * arrives; the owner should close. */
    void (*on_end)(struct stream *s, int error);
    /* The queue fell below STREAM_LOW_BYTES after stream_full. May be NULL. */
    void (*on_drain)(struct stream *s);
    /* The owner's memory may go. */
    void (*on_closed)(struct stream *s);
    /* After stream_connect: 0 or a negative errno. NULL for accepted streams. */
    void (*on_connected)(struct stream *s, int error);
    /* The socket is connected, and a handshake begins. May be NULL. */
    void (*on_handshake)(struct stream *s);
    /* After stream_reopen: stream_connect may follow. NULL for accepted streams. */
    void (*on_reopened)(struct stream *s);
};

/* What all streams of a loop share. */
struct stream_hub {
    uv_loop_t *loop;
    char *slab;  /* owned */
    char *plain; /* owned; of what has been decrypted; NULL before there is any TLS */
    size_t queued_bytes;
    struct list stalled; /* streams with queued bytes, longest first */
    struct list due;     /* streams that have something to do in the next turn: TLS, prefaces */
    uint32_t handshakes; /* of this turn */
    uint32_t prefaces;   /* that are being read, and not to their ends yet */
    uint64_t cut;        /* streams, for what was queued in all */
    uv_idle_t spin;      /* keeps the loop from sleeping while one is due */
    uint32_t count;
};

struct stream_block;
struct tls;

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct stream_hub *hub;
    const struct stream_ops *ops;
    struct stream_block *out_first, *out_last; /* owned */
    struct link stalled, due;
    struct tls *tls; /* owned; NULL: plain */
    int preface;     /* owned; a file that is read before the socket; -1: none */
    int end;         /* under TLS: what on_end is to be told once all has been read */
    size_t queued_bytes;
    uint64_t taken_bytes;      /* of what was queued, in all */
    uint32_t in_flight_blocks; /* handed to libuv, from out_first on */
    bool open, closing, reading, full, close_when_drained, reopening;
    bool paced;          /* stream_pace has been called */
    uint8_t at_ease;     /* writes to its sink in a row that the sink took at once, up to a few */
    bool secured, ended; /* under TLS: the handshake is done; the socket has ended */
};

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop);
/* No stream does any more than close after this. */
void stream_hub_close(struct stream_hub *hub);
void stream_hub_fini(struct stream_hub *hub);
/* Once in each turn of the loop, between callbacks. */
void stream_hub_turn(struct stream_hub *hub);
/* Cuts (on_end with UV_ENOBUFS) the longest stalled streams while too much is queued over all.
 * Call between callbacks, never from one: the owners close. */
void stream_hub_relieve(struct stream_hub *hub);

/* Makes it open; is_unix chooses the kind. Follow with stream_accept or stream_connect. */
void stream_init(struct stream *s, struct stream_hub *hub, bool is_unix,
                 const struct stream_ops *ops);
/* fd: a connected socket that does not block; the stream's from now on, unless this fails. */
int stream_accept(struct stream *s, int fd) warn_unused;
/* What the peer has sent already: the rest of a file (taken), which is read before the socket. For
 * a plain stream that does not read yet. */
void stream_preface(struct stream *s, int fd);
/* Puts it under TLS (taken), before it is connected or after it was accepted, before it reads. */
void stream_secure(struct stream *s, struct tls *tls);
/* Why there was that error, as a clause. */
const char *stream_why(const struct stream *s, int error);
/* addr: of the family that stream_init was told. */
int stream_connect(struct stream *s, const struct sockaddr *addr, uv_connect_t *req) warn_unused;
/* A socket that could not be connected, or has not been yet, gives way to a fresh one. */
void stream_reopen(struct stream *s);
/* Start (or go on) and stop reading; cheap to repeat. */
void stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);
/* Writes all of it or queues the rest. 0 or a negative errno, after which nothing was queued and
 * the owner should close. */
int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count) warn_unused;
/* The source should pause: more than STREAM_HIGH_BYTES wait. Asking arms on_drain. */
bool stream_full(struct stream *s);
/* What was read from source has been written to sink: large pieces are read only for those who keep
 * up, since the piece that a sink does not take is queued whole. */
void stream_pace(struct stream *source, const struct stream *sink);
/* Closes once everything queued is written, or at once when nothing is. */
void stream_close_drained(struct stream *s);
/* Ends this side after what is queued; reading goes on. */
void stream_shutdown(struct stream *s);
/* Closes at once; queued bytes are lost. Idempotent. */
void stream_close(struct stream *s);
/* Closes with a reset, so that the peer cannot take a cut message for a whole one. */
void stream_reset(struct stream *s);

#endif
