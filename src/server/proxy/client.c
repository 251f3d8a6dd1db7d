#include "server/proxy/client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/handover/drainer.h"
#include "server/limits.h"
#include "server/net/tls.h"
#include "server/proxy/answer.h"
#include "server/proxy/given.h"
#include "server/proxy/relay.h"
#include "server/proxy/request.h"
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

/* Reading the body begins, or goes on after a pause that was not the client's. */
static void expect_body(struct client *c)
{
    c->body_from_ms = uv_now(c->server->loop);
    c->body_bytes = 0;
    timeouts_arm(&c->server->timeouts, &c->timeout, TIMEOUT_BODY);
}

/* Expires when the peer takes nothing; looked at again when it took something. */
static void arm_write(struct client *c)
{
    c->taken = c->stream.taken_bytes;
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
    c->server->limits.turned_away -= c->turned_away;
    limits_client_left(c->server);
    buf_fini(&c->ahead);
    free(c->given);
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

static void format_rejection(const struct server_api *api, int error, struct buf *out)
{
    struct problem p = {.error = -error};
    struct buf body = {0};
    const char *type = api->format_problem(&p, &(struct problem_reader){.face = api->face}, &body);
    int status = error_info(error)->http_status;
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Content-Type-Options: nosniff\r\n"
               "Content-Length: %zu\r\n%s"
               "Connection: close\r\n\r\n",
               status, http_reason(status), type, body.len,
               error_info(error)->retryable ? "Retry-After: 1\r\n" : ANSWER_NO_RETRY);
    buf_append(out, body.data, body.len);
    buf_fini(&body);
}

/* Answers a head that cannot even become an exchange, and ends the connection. */
static void reject(struct client *c, int error)
{
    struct buf text = {0};
    format_rejection(c->api, error, &text);
    limits_count(c->server, error);
    uv_buf_t answer = {text.data, text.len};
    if (client_write(c, &answer, 1))
        begin_linger(c);
    buf_fini(&text);
}

static void start_exchange(struct client *c, const struct http_head *head, const char *bytes)
{
    c->framing = head->framing;
    c->body_left = head->content_length;
    c->chunks = (struct chunk_decoder){0};
    c->state = CLIENT_BODY;
    expect_body(c);
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

/* One that comes all the time, but next to nothing, would hold its place for as long as it likes.
 */
static bool trickles(const struct client *c)
{
    const struct timeouts *ts = &c->server->timeouts;
    uint64_t rate = c->server->roster.current->config->timeouts.rate_min;
    uint64_t limit = ts->length_ms[TIMEOUT_BODY], ms = uv_now(ts->loop) - c->body_from_ms;
    return limit && ms > limit && c->body_bytes < rate * ms / 1000;
}

static void body_too_slow(struct client *c)
{
    limits_refused(c->server, LIMIT_body_time);
    exchange_fail(c->exchange, &(struct problem){.error = ERR_TIMEOUT});
}

static void body_bytes(struct client *c, const char *data, size_t n, bool last)
{
    c->body_bytes += n;
    if (!last && trickles(c)) {
        body_too_slow(c);
        return;
    }
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

/* Reading pauses before that is more than it may be. False: there is no memory for it, and the
 * client is gone. */
static bool keep_ahead(struct client *c, const char *data, size_t n)
{
    c->ahead.max = CLIENT_AHEAD_MAX + STREAM_SLAB_BYTES;
    buf_append(&c->ahead, data, n);
    if (c->ahead.overflow)
        client_drop(c);
    return !c->ahead.overflow;
}

/* What is not taken now is kept for later. */
static void keep(struct client *c, const char *data, size_t n)
{
    if (n == 0 || c->state == CLIENT_CLOSING || c->state == CLIENT_LINGER)
        return;
    if (!keep_ahead(c, data, n))
        return;
    if (c->state == CLIENT_ANSWER && c->ahead.len >= CLIENT_AHEAD_MAX)
        stream_read_stop(&c->stream);
}

static void feed(struct client *c, const char *data, size_t n)
{
    size_t used;
    c->feeding = true;
    while (n && c->state != CLIENT_CLOSING) {
        if (c->state == CLIENT_HEAD && c->server->drainer) {
            drainer_give(c, data, n);
            c->feeding = false;
            return;
        } else if (c->state == CLIENT_HEAD) {
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
    if (!keep_ahead(c, data, n))
        return;
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
    if (!c->feeding && c->server->drainer)
        drainer_give(c, NULL, 0);
    else if (!c->feeding && c->ahead.len)
        feed_kept(c);
}

void client_answered(struct client *c, bool keep_open)
{
    c->exchange = NULL;
    if (c->state == CLIENT_CLOSING)
        return;
    if (c->state == CLIENT_ANSWER && keep_open && server_takes_more(c->server)) {
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
    if (c->state == CLIENT_BODY && c->timeout.kind != TIMEOUT_BODY)
        expect_body(c);
    stream_read_start(&c->stream);
}

/* Over one length of TIMEOUT_WRITE. */
static bool keeps_up(const struct client *c)
{
    const struct server *s = c->server;
    uint64_t taken = c->stream.taken_bytes - c->taken;
    uint64_t rate = s->roster.current->config->timeouts.rate_min;
    return taken > 0 && taken >= rate * s->timeouts.length_ms[TIMEOUT_WRITE] / 1000;
}

void client_on_timeout(struct client *c, enum timeout_kind kind)
{
    log_debug_with(NULL, LOG_WITH(LOG_NUMBER("kind", kind)), "client timed out");
    if (kind == TIMEOUT_WRITE && keeps_up(c)) {
        arm_write(c);
    } else if (kind == TIMEOUT_HEAD) {
        limits_refused(c->server, LIMIT_head_time);
        reject(c, -ERR_TIMEOUT);
    } else if (kind == TIMEOUT_BODY && c->exchange) {
        body_too_slow(c);
    } else {
        if (kind == TIMEOUT_WRITE)
            limits_refused(c->server, LIMIT_write_time);
        client_drop(c);
    }
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

/* What has come by now is taken, so that closing does not reset the connection, and the answer with
 * it, more often than it must. */
void client_turn_away(int fd, const struct client_door *door)
{
    char sink[4096];
    struct buf text = {0};
    format_rejection(door->api, -ERR_OVERLOADED, &text);
    if (!door->tls && send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        (void)shutdown(fd, SHUT_WR);
    while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) == (ssize_t)sizeof(sink))
        ;
    buf_fini(&text);
    close(fd);
}

static bool can_be_told(const struct server *s, const struct client_door *door)
{
    return !door->tls && s->limits.turned_away < CONNECTIONS_TURNED_AWAY;
}

static struct client *make(struct server *s, const struct server_api *api,
                           const struct client_came *at, bool pipe)
{
    static const struct stream_ops ops = {
        .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_closed = on_closed};
    struct client *c = alloc_zeroed(1, sizeof(*c));
    c->server = s;
    c->api = api;
    c->at = *at;
    stream_init(&c->stream, &s->hub, pipe, &ops);
    list_push(&s->clients, &c->link);
    return c;
}

/* NULL, and closed: something failed. */
static struct client *take_in(struct server *s, int fd, const struct client_door *door)
{
    struct client *c =
        make(s, door->api,
             &(struct client_came){
                 .is_unix = door->is_unix, .is_local = door->is_local, .tls = door->tls != NULL},
             door->is_unix);
    int rc = stream_accept(&c->stream, fd);
    if (rc < 0)
        close(fd);
    struct tls *t = rc == 0 && door->tls ? tls_accept(door->tls) : NULL;
    if (t)
        stream_secure(&c->stream, t);
    else if (rc == 0 && door->tls)
        rc = UV_ENOMEM;
    if (rc == 0)
        return c;
    log_warn(NULL, "cannot accept a connection: %s", uv_strerror(rc));
    close_now(c);
    return NULL;
}

void client_accept(struct server *s, int fd, const struct client_door *door)
{
    bool admitted = limits_admit(s, door->is_unix);
    if (!admitted && !can_be_told(s, door)) {
        client_turn_away(fd, door);
        return;
    }
    struct client *c = take_in(s, fd, door);
    if (!c)
        return;
    if (!admitted) {
        c->turned_away = true;
        s->limits.turned_away++;
        reject(c, -ERR_OVERLOADED);
        return;
    }
    s->metrics.accepted++;
    if (door->is_unix)
        note_user(c);
    else
        note_peer(c);
    timeouts_arm(&s->timeouts, &c->timeout, TIMEOUT_HEAD);
    stream_read_start(&c->stream);
}

static bool is_unix_socket(int fd)
{
    struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof(a);
    return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && a.ss_family == AF_UNIX;
}

void client_take(struct server *s, int fd, int preface, const struct given_client *given)
{
    struct client *c =
        make(s, given->ollama ? s->options.ollama_api : s->options.api,
             &(struct client_came){
                 .is_unix = given->is_unix, .is_local = given->is_local, .tls = given->tls},
             is_unix_socket(fd));
    if (preface >= 0)
        stream_preface(&c->stream, preface);
    int rc = stream_accept(&c->stream, fd);
    if (rc < 0 || s->stopping) {
        log_warn(NULL, "cannot take a connection over: %s", rc < 0 ? uv_strerror(rc) : "stopping");
        if (rc < 0)
            close(fd);
        close_now(c);
        return;
    }
    c->user = given->user;
    memcpy(c->peer, given->peer, sizeof(c->peer));
    c->given = alloc_zeroed(1, sizeof(*c->given));
    *c->given = given->request;
    timeouts_arm(&s->timeouts, &c->timeout, preface >= 0 ? TIMEOUT_HEAD : TIMEOUT_IDLE);
    stream_read_start(&c->stream);
}

int client_duplicate(const struct client *c)
{
    uv_os_fd_t fd;
    if (c->stream.tls || c->stream.queued_bytes || c->stream.closing ||
        uv_fileno(&c->stream.uv.handle, &fd) != 0)
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void client_let_go(struct client *c)
{
    c->exchange = NULL;
    close_now(c);
}
