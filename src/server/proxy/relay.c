#include "server/proxy/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/pure/errors.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/cors.h"
#include "server/proxy/request.h"
#include "server/proxy/upstream.h"
#include "server/record/recording.h"
#include "server/record/traffic.h"
#include "server/server.h"

/* Pieces of content taken from one read and sent as one chunk. */
#define PIECES_MAX 60

/* What one read of the upstream becomes: one write to the client. */
struct batch {
    uv_buf_t bufs[PIECES_MAX + 4];
    unsigned head, count; /* bufs[0] is the answer's head if head == 1; content from 2 on */
    size_t bytes;         /* of content */
    bool ended, malformed;
};

static size_t append(char *to, size_t at, const char *text, size_t n)
{
    if (n) /* of nothing, there may be no text */
        memcpy(to + at, text, n);
    return at + n;
}

static size_t append_text(char *to, size_t at, const char *text)
{
    return append(to, at, text, strlen(text));
}

/* What wharf has to say. cors: of who may read it, too. */
static size_t append_own(const struct exchange *ex, bool cors, char *to, size_t at)
{
    struct buf fields = {0};
    waiting_put_fields(ex, &fields);
    if (ex->recording)
        recording_put_fields(ex->recording, &fields);
    if (cors)
        cors_put_fields(ex, &fields);
    at = append(to, at, fields.data, fields.len);
    buf_fini(&fields);
    return at;
}

/* framing: of the answer as the client gets it, before its connection has had its say. */
static size_t append_framing(struct exchange *ex, enum http_framing framing, char *to, size_t at)
{
    bool bodyless = framing == HTTP_BODY_NONE;
    ex->out_chunked = ex->out_until_close = false;
    /* The length that a HEAD or 304 answer states is kept; it is no framing there. */
    if (framing == HTTP_BODY_CHUNKED || framing == HTTP_BODY_UNTIL_CLOSE) {
        ex->out_chunked = !ex->client_http10;
        ex->out_until_close = ex->client_http10;
    }
    if (ex->out_chunked)
        at = append_text(to, at, "Transfer-Encoding: chunked\r\n");
    if (ex->out_until_close && !bodyless)
        ex->client_keep_alive = false;
    if (!ex->client_keep_alive || !ex->body_complete || !server_takes_more(ex->server)) {
        ex->client_keep_alive = false;
        return append_text(to, at, "Connection: close\r\n");
    }
    return ex->client_http10 ? append_text(to, at, "Connection: keep-alive\r\n") : at;
}

/* The scratch holds any head: one that was parsed is at most HTTP_HEAD_BYTES_MAX long, and what is
 * added is far less than the rest. */
static size_t format_head(struct exchange *ex, const struct http_head *h, const char *data,
                          bool tunnel)
{
    _Static_assert(SERVER_SCRATCH_BYTES > HTTP_HEAD_BYTES_MAX + 4096, "room for any head");
    char *to = ex->server->scratch;
    size_t at = append_text(to, 0, "HTTP/1.1 ");
    char status[UNITS_DIGITS_MAX];
    size_t digits = units_put_digits(h->status, status);
    at = append(to, at, status, digits);
    at = append(to, at, " ", 1);
    at = append(to, at, data + h->reason.off, h->reason.len);
    at = append(to, at, "\r\n", 2);
    bool sse = http_head_is_event_stream(h, data);
    /* RFC 9110, section 8.6: there it is none, and might be taken for one. */
    bool no_length = h->status < 200 || h->status == 204;
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        bool upgrade = tunnel && f->known == HTTP_FIELD_UPGRADE;
        if (!upgrade && http_head_is_hop(h, data, f))
            continue;
        if ((sse && http_span_equal_case(data, f->name, "x-accel-buffering")) ||
            (no_length && f->known == HTTP_FIELD_CONTENT_LENGTH))
            continue;
        /* Name, colon and value stand together in what was parsed; only the spaces may differ. */
        at = append(to, at, data + f->name.off, f->name.len);
        at = append(to, at, ": ", 2);
        at = append(to, at, data + f->value.off, f->value.len);
        at = append(to, at, "\r\n", 2);
    }
    if (sse)
        at = append_text(to, at, "X-Accel-Buffering: no\r\n");
    bool cors = !tunnel && http_head_find(ex->head, HTTP_FIELD_ORIGIN) &&
                !http_head_find_text(h, data, "access-control-allow-origin");
    at = append_own(ex, cors, to, at);
    at = tunnel ? append_text(to, at, "Connection: Upgrade\r\n")
                : append_framing(ex, h->framing, to, at);
    return append(to, at, "\r\n", 2);
}

/* Same, with a filter's fields. A body that it may change has no length that is known; where the
 * client has had its head, there is nothing to send. */
static size_t filter_head(struct exchange *ex, const struct http_head *h, const char *data)
{
    struct buf text = {0};
    char *to = ex->server->scratch;
    size_t at = 0;
    bool begun = ex->answer_begun;
    ex->filter->head(ex, h, data, &text);
    must(begun ? text.len == 0 : text.len < SERVER_SCRATCH_BYTES - 4096);
    if (!begun) {
        at = append(to, at, text.data, text.len);
        at = append_own(ex, true, to, at);
        at = append_framing(ex, h->framing == HTTP_BODY_NONE ? h->framing : HTTP_BODY_CHUNKED, to,
                            at);
        at = append(to, at, "\r\n", 2);
    }
    buf_fini(&text);
    return at;
}

static void add_piece(struct batch *b, const char *data, size_t n)
{
    union {
        const char *from;
        char *to;
    } text = {data}; /* uv_buf_t has no const form; nothing is written through it */
    if (n == 0)
        return;
    b->bufs[2 + b->count++] = (uv_buf_t){text.to, n};
    b->bytes += n;
}

/* Splits what came into content, and says whether the body has ended. Returns the bytes taken. */
static size_t take_content(struct exchange *ex, struct batch *b, const char *data, size_t n)
{
    switch (ex->in.framing) {
    case HTTP_BODY_NONE:
        b->ended = true;
        return 0;
    case HTTP_BODY_UNTIL_CLOSE:
        add_piece(b, data, n);
        return n;
    case HTTP_BODY_LENGTH: {
        size_t part = n < ex->in.left ? n : (size_t)ex->in.left;
        ex->in.left -= part;
        add_piece(b, data, part);
        b->ended = ex->in.left == 0;
        return part;
    }
    case HTTP_BODY_CHUNKED:
        break;
    }
    size_t taken = 0;
    while (taken < n && !b->ended && b->count < PIECES_MAX) {
        size_t used, off, len;
        int rc = chunk_decode(&ex->in.chunks, data + taken, n - taken, &used, &off, &len);
        if (rc < 0) {
            b->malformed = true;
            return taken;
        }
        add_piece(b, data + taken + off, len);
        taken += used;
        b->ended = rc == 1;
    }
    return taken;
}

/* Has the filter say what the client gets instead of the batch's content. */
static void filter_batch(struct exchange *ex, struct batch *b, struct buf *text)
{
    unsigned count = b->count;
    b->count = 0;
    b->bytes = 0;
    for (unsigned i = 0; i < count; i++)
        ex->filter->data(ex, b->bufs[2 + i].base, b->bufs[2 + i].len, text);
    if (b->ended)
        ex->filter->end(ex, NULL, text);
    if (ex->out_chunked || ex->out_until_close) /* else there is no body, as with HEAD */
        add_piece(b, text->data, text->len);
}

/* Frames what is in the batch and writes it as one message part. False when the exchange is gone.
 */
static bool send_batch(struct exchange *ex, struct batch *b)
{
    static char last[] = "0\r\n\r\n", end[] = "\r\n";
    char size[CHUNK_SIZE_LINE_MAX];
    unsigned first = 2, count = b->count;
    const struct server *s = ex->server;
    struct id self = ex->self;
    if (ex->out_chunked && b->bytes) {
        b->bufs[--first] = uv_buf_init(size, (unsigned)chunk_format_size(size, b->bytes));
        b->bufs[2 + b->count] = uv_buf_init(end, 2);
        count += 2;
    }
    if (ex->out_chunked && b->ended)
        b->bufs[first + count++] = uv_buf_init(last, sizeof(last) - 1);
    if (b->head) {
        b->bufs[first - 1] = uv_buf_init(ex->server->scratch, b->head);
        first--;
        count++;
    }
    return count == 0 || client_write(ex->client, b->bufs + first, count) ||
           exchange_lives(s, self);
}

/* Passes the batch on, or drops it when the client has left before. False when the exchange is
 * gone. */
static bool write_batch(struct exchange *ex, struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        traffic_bytes(ex, b->bufs[2 + i].base, b->bufs[2 + i].len);
    if (!ex->client)
        return true;
    if (!ex->filter)
        return send_batch(ex, b);
    struct buf text = {0};
    filter_batch(ex, b, &text);
    bool alive = send_batch(ex, b);
    buf_fini(&text);
    return alive;
}

bool exchange_filter_fail(struct exchange *ex, const struct problem *p)
{
    struct batch b = {.ended = true};
    struct buf text = {0};
    if (!ex->filter || ex->state == EXCHANGE_TUNNEL)
        return false;
    if (ex->state != EXCHANGE_RELAYING) /* what the client has had was no answer yet */
        traffic_head(ex, (unsigned)error_info(p->error)->http_status, NULL, NULL);
    ex->filter->end(ex, p, &text);
    bool said = text.len > 0;
    if (said) {
        add_piece(&b, text.data, text.len);
        ex->upstream_keep = false;
        if (send_batch(ex, &b))
            exchange_over(ex, ENDED_CUT, ex->client_keep_alive);
    }
    buf_fini(&text);
    return said;
}

static void finish(struct exchange *ex, bool surplus)
{
    /* Bytes beyond the end of an answer, or a request that was not taken whole: what the
     * connection would bring next cannot be trusted. */
    ex->upstream_keep = ex->upstream_keep && !surplus && ex->sent_all;
    exchange_over(ex, ENDED_DONE, ex->client_keep_alive);
}

static void relay(struct exchange *ex, size_t head, const char *data, size_t n)
{
    bool first = true;
    while (first || n) {
        struct batch b = {.head = (unsigned)(first ? head : 0)};
        first = false;
        size_t taken = take_content(ex, &b, data, n);
        data += taken;
        n -= taken;
        if (!write_batch(ex, &b))
            return;
        if (b.malformed) {
            exchange_fail_upstream(ex, ERR_UPSTREAM_INVALID, "malformed chunk");
            return;
        }
        if (b.ended) {
            finish(ex, n > 0);
            return;
        }
        if (ex->client)
            stream_pace(&ex->upstream->stream, &ex->client->stream);
        if (ex->client && stream_full(&ex->client->stream))
            stream_read_stop(&ex->upstream->stream);
    }
}

/* The request is not needed any more, except for what of its body is still to be sent. */
static void drop_request(struct exchange *ex)
{
    traffic_head_done(ex);
    free(ex->head);
    ex->head = NULL;
    ex->bytes = NULL;
    body_fini(&ex->body_asked);
    if (ex->body_complete && ex->sent_all)
        body_fini(&ex->body);
}

static void open_tunnel(struct exchange *ex, size_t head, const char *data, size_t n)
{
    uv_buf_t out[2] = {uv_buf_init(ex->server->scratch, (unsigned)head)};
    union {
        const char *from;
        char *to;
    } rest = {data}; /* uv_buf_t has no const form; nothing is written through it */
    out[1] = (uv_buf_t){rest.to, n};
    ex->state = EXCHANGE_TUNNEL;
    ex->answer_begun = ex->out_until_close = true;
    ex->upstream_keep = false;
    drop_request(ex);
    if (client_write(ex->client, out, n ? 2 : 1))
        client_tunnel(ex->client);
}

static void on_kept(struct exchange *ex)
{
    (void)ex; /* nobody waits for it */
}

/* Why a 101 cannot be passed on; NULL when it can: it names one protocol that was asked for (RFC
 * 9110, section 7.8). */
static const char *why_no_tunnel(const struct exchange *ex, const struct http_head *h,
                                 const char *data)
{
    const struct http_field *f = http_head_find(h, HTTP_FIELD_UPGRADE);
    if (!ex->head->upgrade)
        return "it switched protocols unasked";
    if (!h->upgrade)
        return "it switched protocols without saying to which";
    const char *name = data + f->value.off, *slash = memchr(name, '/', f->value.len);
    size_t n = slash ? (size_t)(slash - name) : f->value.len;
    return http_head_upgrades_to(ex->head, ex->bytes, name, n)
               ? NULL
               : "it switched to a protocol that was not asked for";
}

static void begin_answer(struct exchange *ex, const struct http_head *h, const char *data, size_t n)
{
    bool tunnel = h->status == 101;
    timeouts_disarm(&ex->server->timeouts, &ex->upstream->timeout);
    if (tunnel && !ex->client) {
        exchange_over(ex, ENDED_GONE, false);
        return;
    }
    const char *why = tunnel ? why_no_tunnel(ex, h, data) : NULL;
    if (why) {
        exchange_fail_upstream(ex, ERR_UPSTREAM_INVALID, why);
        return;
    }
    traffic_head(ex, h->status, h, data);
    if (ex->ask.keeps)
        exchange_keep(ex, ex->slot, ex->ask.keep_ns, on_kept);
    size_t head =
        ex->filter && !tunnel ? filter_head(ex, h, data) : format_head(ex, h, data, tunnel);
    data += h->bytes;
    n -= h->bytes;
    if (tunnel) {
        open_tunnel(ex, head, data, n);
        return;
    }
    ex->in.framing = h->framing;
    ex->in.left = h->content_length;
    if (h->framing == HTTP_BODY_LENGTH && h->content_length == 0)
        ex->in.framing = HTTP_BODY_NONE;
    ex->in.chunks = (struct chunk_decoder){0};
    ex->upstream_keep = h->keep_alive && h->framing != HTTP_BODY_UNTIL_CLOSE;
    ex->state = EXCHANGE_RELAYING;
    ex->answer_begun = true;
    drop_request(ex);
    relay(ex, head, data, n);
}

/* Takes heads off the front, interim ones too. Returns bytes used up by interim heads, or -1 when
 * there is nothing more to do with this data. */
static ssize_t take_head(struct exchange *ex, const char *data, size_t n)
{
    struct http_head *h = &ex->server->head;
    int rc = http_head_parse(HTTP_RESPONSE, ex->is_head_method, data, n, &ex->upstream->scan, h);
    if (rc < 0) {
        exchange_fail_upstream(ex, ERR_UPSTREAM_INVALID, "malformed head");
        return -1;
    }
    if (rc == 0)
        return 0;
    ex->upstream->scan = 0;
    if (h->status >= 100 && h->status < 200 && h->status != 101) {
        ex->upstream->reused = false; /* its server has the request: no other one is sent it */
        return h->bytes;
    }
    begin_answer(ex, h, data, n);
    return -1;
}

static void read_heads(struct exchange *ex, const char *data, size_t n)
{
    struct upstream *up = ex->upstream;
    struct buf kept = {0};
    if (up->in.len) {
        buf_append(&up->in, data, n);
        if (up->in.overflow) {
            exchange_fail_upstream(ex, ERR_UPSTREAM_INVALID, "its head is too large");
            return;
        }
        kept = up->in;
        up->in = (struct buf){.max = kept.max};
        data = kept.data;
        n = kept.len;
    }
    ssize_t used;
    while ((used = take_head(ex, data, n)) > 0) {
        data += used;
        n -= (size_t)used;
    }
    if (used == 0)
        buf_append(&up->in, data, n);
    buf_fini(&kept);
}

void exchange_upstream_data(struct exchange *ex, const char *data, size_t n)
{
    switch (ex->state) {
    case EXCHANGE_FORWARDING:
        read_heads(ex, data, n);
        break;
    case EXCHANGE_RELAYING:
        relay(ex, 0, data, n);
        break;
    case EXCHANGE_TUNNEL: {
        struct batch b = {0};
        add_piece(&b, data, n);
        if (client_write(ex->client, b.bufs + 2, b.count) && stream_full(&ex->client->stream))
            stream_read_stop(&ex->upstream->stream);
        break;
    }
    case EXCHANGE_READING:
    case EXCHANGE_WAITING:
    case EXCHANGE_LOCAL:
        never("an exchange without an upstream");
    }
}

void exchange_upstream_end(struct exchange *ex, int error)
{
    struct upstream *up = ex->upstream;
    const char *why = error ? stream_why(&up->stream, error) : NULL;
    if (ex->state == EXCHANGE_RELAYING) {
        if (error == 0 && ex->in.framing == HTTP_BODY_UNTIL_CLOSE) {
            struct batch b = {.ended = true};
            if (write_batch(ex, &b))
                finish(ex, true);
        } else {
            exchange_fail_upstream(ex, ERR_UPSTREAM_CLOSED, why);
        }
        return;
    }
    if (ex->state == EXCHANGE_TUNNEL) {
        ex->upstream_keep = false;
        exchange_over(ex, ENDED_DONE, false);
        return;
    }
    /* An idle connection may have been closed by the server just as it was taken up: the request
     * goes out once more, on a fresh one. */
    if (up->reused && up->in.len == 0 && ex->body_complete && !ex->fresh_only && ex->client) {
        ex->fresh_only = true;
        ex->upstream = NULL;
        upstream_put(up, false);
        exchange_forward(ex);
        return;
    }
    exchange_fail_upstream(ex, ERR_UPSTREAM_CLOSED, why);
}

void exchange_tunnel_in(struct exchange *ex, const char *data, size_t n)
{
    struct batch b = {0};
    add_piece(&b, data, n);
    if (stream_write(&ex->upstream->stream, b.bufs + 2, b.count) < 0) {
        exchange_upstream_end(ex, UV_EPIPE);
        return;
    }
    if (stream_full(&ex->upstream->stream))
        client_pause(ex->client);
}
