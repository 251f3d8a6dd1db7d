#include "server/proxy/client.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/net/tls.h"
#include "server/proxy/answer.h"
#include "server/proxy/relay.h"
#include "server/proxy/routing.h"
#include "server/server.h"

/* After an early answer, this much more input is read and thrown away before the connection is
 * closed: closing on unread input would reset it, and the answer with it. */
#define LINGER_BYTES_MAX (4 * 1024 * 1024)

static void feed(struct client *c, const char *data, size_t n);

static struct client *of(struct stream *s)
{
    return container_of(s, struct client, stream);
}

/* Expires when the peer takes nothing; looked at again when it took something. */
static void arm_write(struct client *c)
{
    c->progress = c->stream.progress;
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_WRITE);
}

static void close_now(struct client *c)
{
    c->state = CLIENT_CLOSING;
    timeouts_disarm(&c->server->timeouts, &c->timeout);
    stream_close(&c->stream);
}

void client_drop(struct client *c)
{
    struct exchange *ex = c->exchange;
    c->exchange = NULL;
    close_now(c);
    if (ex)
        exchange_client_gone(ex);
}

static void on_end(struct stream *s, int error)
{
    (void)error;
    client_drop(of(s));
}

static void on_drain(struct stream *s)
{
    struct client *c = of(s);
    if (c->timeout.kind == TIMEOUT_WRITE)
        timeouts_disarm(&c->server->timeouts, &c->timeout);
    if (c->exchange)
        exchange_client_drained(c->exchange);
}

static void on_closed(struct stream *s)
{
    struct client *c = of(s);
    /* A connection that closed by itself once it was drained still has its timeout. */
    timeouts_disarm(&c->server->timeouts, &c->timeout);
    list_remove(&c->server->clients, &c->link);
    buf_fini(&c->ahead);
    free(c);
}

static void begin_linger(struct client *c)
{
    c->state = CLIENT_LINGER;
    c->body_left = LINGER_BYTES_MAX;
    buf_fini(&c->ahead);
    stream_read_start(&c->stream);
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_LINGER);
    stream_shutdown(&c->stream);
}

/* Answers a head that cannot even become an exchange, and ends the connection. */
static void reject(struct client *c, int error)
{
    struct problem p = {.error = -error};
    struct buf body = {0}, head = {0};
    const char *type =
        c->api->format_problem(&p, &(struct problem_reader){.face = c->api->face}, &body);
    int status = error_info(error)->http_status;
    buf_printf(&head,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
               "Connection: close\r\n\r\n",
               status, http_reason(status), type, body.len,
               error_info(error)->retryable ? "Retry-After: 1\r\n" : ANSWER_NO_RETRY);
    uv_buf_t out[] = {uv_buf_init(head.data, (unsigned)head.len),
                      uv_buf_init(body.data, (unsigned)body.len)};
    if (client_write(c, out, 2))
        begin_linger(c);
    buf_fini(&body);
    buf_fini(&head);
}

static void start_exchange(struct client *c, const struct http_head *head, const char *bytes)
{
    c->framing = head->framing;
    c->body_left = head->content_length;
    c->chunks = (struct chunk_decoder){0};
    c->state = CLIENT_BODY;
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_BODY);
    c->exchange = exchange_new(c->server, c, head, bytes);
    if (!c->exchange) {
        reject(c, -ERR_OVERLOADED);
        return;
    }
    exchange_route(c->exchange);
    bool none =
        c->framing == HTTP_BODY_NONE || (c->framing == HTTP_BODY_LENGTH && c->body_left == 0);
    if (none && c->state == CLIENT_BODY && c->exchange) {
        c->state = CLIENT_ANSWER;
        timeouts_disarm(&c->server->timeouts, &c->timeout);
        exchange_body_end(c->exchange);
    }
}

/* Takes a head from the front of the bytes; *ret_used: what it was long. True: go on with the
 * rest. */
static bool take_head(struct client *c, const char *data, size_t n, size_t *ret_used)
{
    *ret_used = 0;
    int rc = http_head_parse(HTTP_REQUEST, false, data, n, &c->scan, &c->server->head);
    if (rc < 0) {
        reject(c, rc);
        return false;
    }
    if (rc == 0) {
        if (n && c->timeout.kind != TIMEOUT_HEAD)
            timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_HEAD);
        return false;
    }
    c->scan = 0;
    *ret_used = c->server->head.bytes;
    start_exchange(c, &c->server->head, data);
    return true;
}

static void body_bytes(struct client *c, const char *data, size_t n, bool last)
{
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_BODY);
    if (n)
        exchange_body(c->exchange, data, n);
    if (!last || c->state != CLIENT_BODY || !c->exchange)
        return;
    c->state = CLIENT_ANSWER;
    timeouts_disarm(&c->server->timeouts, &c->timeout);
    exchange_body_end(c->exchange);
}

/* Returns how many bytes were the body's; all of them when it is malformed. */
static size_t take_body(struct client *c, const char *data, size_t n)
{
    if (c->framing == HTTP_BODY_LENGTH) {
        size_t part = n < c->body_left ? n : (size_t)c->body_left;
        c->body_left -= part;
        body_bytes(c, data, part, c->body_left == 0);
        return part;
    }
    size_t used, off, len;
    int rc = chunk_decode(&c->chunks, data, n, &used, &off, &len);
    if (rc < 0) {
        exchange_fail(c->exchange, &(struct problem){.error = ERR_HTTP_INVALID,
                                                     .detail = "malformed chunked body"});
        return n; /* where the body would have ended, nobody can say */
    }
    body_bytes(c, data + off, len, rc == 1);
    return used;
}

/* What is not taken now is kept for later. */
static void keep(struct client *c, const char *data, size_t n)
{
    if (n == 0 || c->state == CLIENT_CLOSING || c->state == CLIENT_LINGER)
        return;
    buf_append(&c->ahead, data, n);
    if (c->state == CLIENT_ANSWER && c->ahead.len >= CLIENT_AHEAD_MAX)
        stream_read_stop(&c->stream);
}

static void feed(struct client *c, const char *data, size_t n)
{
    size_t used;
    c->feeding = true;
    while (n && c->state != CLIENT_CLOSING) {
        if (c->state == CLIENT_HEAD) {
            if (!take_head(c, data, n, &used))
                break;
        } else if (c->state == CLIENT_BODY) {
            used = take_body(c, data, n);
        } else if (c->state == CLIENT_TUNNEL) {
            exchange_tunnel_in(c->exchange, data, n);
            used = n;
        } else {
            break;
        }
        data += used;
        n -= used;
    }
    c->feeding = false;
    keep(c, data, n);
}

/* Bytes that were kept come first. */
static void feed_kept(struct client *c)
{
    struct buf kept = c->ahead;
    c->ahead = (struct buf){0};
    feed(c, kept.data, kept.len);
    if (c->ahead.len == 0 && c->ahead.data == NULL) {
        buf_clear(&kept);
        c->ahead = kept;
        if (kept.cap > 4096)
            buf_fini(&c->ahead);
    } else {
        buf_fini(&kept);
    }
}

static void on_data(struct stream *s, const char *data, size_t n)
{
    struct client *c = of(s);
    if (c->state == CLIENT_LINGER) {
        if (n >= c->body_left)
            close_now(c);
        else
            c->body_left -= n;
        return;
    }
    if (c->ahead.len == 0) {
        feed(c, data, n);
        return;
    }
    buf_append(&c->ahead, data, n);
    if (c->state != CLIENT_ANSWER)
        feed_kept(c);
    else if (c->ahead.len >= CLIENT_AHEAD_MAX)
        stream_read_stop(s);
}

static void next_request(struct client *c)
{
    c->state = CLIENT_HEAD;
    c->scan = 0;
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_IDLE);
    stream_read_start(&c->stream);
    if (!c->feeding && c->ahead.len)
        feed_kept(c);
}

void client_answered(struct client *c, bool keep_open)
{
    c->exchange = NULL;
    if (c->state == CLIENT_CLOSING)
        return;
    if (c->state == CLIENT_ANSWER && keep_open && !c->server->stopping) {
        next_request(c);
    } else if (c->state == CLIENT_BODY || c->ahead.len) {
        begin_linger(c);
    } else {
        c->state = CLIENT_CLOSING;
        arm_write(c);
        stream_close_drained(&c->stream);
    }
}

bool client_write(struct client *c, const uv_buf_t *bufs, unsigned count)
{
    if (stream_write(&c->stream, bufs, count) < 0) {
        client_drop(c);
        return false;
    }
    if (stream_full(&c->stream) && c->timeout.kind != TIMEOUT_WRITE && c->state == CLIENT_ANSWER)
        arm_write(c);
    return true;
}

void client_truncate(struct client *c, bool reset)
{
    c->exchange = NULL;
    c->state = CLIENT_CLOSING;
    if (reset) {
        timeouts_disarm(&c->server->timeouts, &c->timeout);
        stream_reset(&c->stream);
        return;
    }
    arm_write(c);
    stream_close_drained(&c->stream);
}

void client_tunnel(struct client *c)
{
    c->state = CLIENT_TUNNEL;
    timeouts_disarm(&c->server->timeouts, &c->timeout);
    stream_read_start(&c->stream);
    if (!c->feeding && c->ahead.len)
        feed_kept(c);
}

void client_pause(struct client *c)
{
    if (c->state != CLIENT_CLOSING)
        stream_read_stop(&c->stream);
    if (c->timeout.kind == TIMEOUT_BODY)
        timeouts_disarm(&c->server->timeouts, &c->timeout);
}

void client_resume(struct client *c)
{
    if (c->state == CLIENT_CLOSING)
        return;
    if (c->state == CLIENT_BODY)
        timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_BODY);
    stream_read_start(&c->stream);
}

void client_on_timeout(struct client *c, enum timeout_kind kind)
{
    log_debug(NULL, "client timed out kind=%d", (int)kind);
    if (kind == TIMEOUT_WRITE && c->progress != c->stream.progress)
        arm_write(c);
    else if (kind == TIMEOUT_HEAD)
        reject(c, -ERR_TIMEOUT);
    else if (kind == TIMEOUT_BODY && c->exchange)
        exchange_fail(c->exchange, &(struct problem){.error = ERR_TIMEOUT});
    else
        client_drop(c);
}

static void note_peer(struct client *c)
{
    struct sockaddr_storage addr;
    int n = sizeof(addr);
    if (uv_tcp_getpeername(&c->stream.uv.tcp, (struct sockaddr *)&addr, &n) == 0)
        uv_ip_name((struct sockaddr *)&addr, c->peer, sizeof(c->peer));
}

static void note_user(struct client *c)
{
    uv_os_fd_t fd;
    if (uv_fileno(&c->stream.uv.handle, &fd) == 0)
        c->user = peer_user_of_unix(fd);
}

void client_accept(struct server *s, uv_stream_t *listener, const struct client_door *door)
{
    static const struct stream_ops ops = {
        .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_closed = on_closed};
    struct client *c = alloc_zeroed(1, sizeof(*c));
    c->server = s;
    c->api = door->api;
    c->at = (struct client_came){
        .is_unix = door->is_unix, .is_local = door->is_local, .tls = door->tls != NULL};
    stream_init(&c->stream, &s->hub, door->is_unix, &ops);
    list_push(&s->clients, &c->link);
    int rc = stream_accept(&c->stream, listener);
    struct tls *t = rc == 0 && door->tls ? tls_accept(door->tls) : NULL;
    if (t)
        stream_secure(&c->stream, t);
    else if (rc == 0 && door->tls)
        rc = UV_ENOMEM;
    if (rc < 0 || s->clients.count > s->roster.current->config->connections_max || s->stopping) {
        if (rc < 0)
            log_warn(NULL, "cannot accept a connection: %s", uv_strerror(rc));
        close_now(c);
        return;
    }
    if (door->is_unix)
        note_user(c);
    else
        note_peer(c);
    timeouts_arm(&s->timeouts, &c->timeout, TIMEOUT_HEAD);
    stream_read_start(&c->stream);
}
