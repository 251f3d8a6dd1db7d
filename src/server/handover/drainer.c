#include "server/handover/drainer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "http/chunk.h"
#include "server/handover/courier.h"
#include "server/handover/message.h"
#include "server/leases/leases.h"
#include "server/net/listener.h"
#include "server/net/origin.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/given.h"
#include "server/proxy/upstream.h"
#include "server/server.h"

struct drainer {
    struct server *server;
    struct courier *courier;
    struct origin *successor; /* counted; where the other ends of pairs are */
    uv_timer_t grace;
    uv_prepare_t turn;
};

static const int no_fds[COURIER_FDS_MAX] = {-1, -1};

/* ---- what came of a request so far ---- */

/* A file that is written from its beginning, and read by another from there. */
struct preface {
    int fd; /* -1: it could not be made */
    bool failed;
};

static struct preface preface_open(const struct server *s, bool large)
{
    int fd = large ? open(s->state_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    if (fd < 0) /* not every file system can */
        fd = memfd_create("wharf-request", MFD_CLOEXEC);
    return (struct preface){.fd = fd, .failed = fd < 0};
}

static void preface_put(struct preface *p, const char *data, size_t n)
{
    while (n && !p->failed) {
        ssize_t rc = write(p->fd, data, n);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0) {
            p->failed = true;
            return;
        }
        data += rc;
        n -= (size_t)rc;
    }
}

static int preface_end(struct preface *p)
{
    if (!p->failed && lseek(p->fd, 0, SEEK_SET) == 0)
        return p->fd;
    if (p->fd >= 0)
        close(p->fd);
    return -1;
}

/* As it came, without what was changed in it. */
static struct body body_as_sent(const struct exchange *ex)
{
    struct body b = ex->body_asked.budget ? ex->body_asked : ex->body;
    b.edit_count = 0;
    return b;
}

static void put_body(struct preface *p, const struct exchange *ex, const struct body *b)
{
    size_t n = 1;
    for (uint64_t at = 0; n && !p->failed; at += n) {
        const char *data;
        if (body_peek(b, at, ex->server->spool_scratch, SERVER_SCRATCH_BYTES, &data, &n) < 0)
            p->failed = true;
        else
            preface_put(p, data, n);
    }
}

static void put_chunks(struct preface *p, const struct exchange *ex, const struct body *b)
{
    char line[CHUNK_SIZE_LINE_MAX];
    if (b->size) {
        preface_put(p, line, chunk_format_size(line, b->size));
        put_body(p, ex, b);
        preface_put(p, "\r\n", 2);
    }
    preface_put(p, "0\r\n\r\n", 5);
}

static void put_ahead(struct preface *p, struct client *c)
{
    char piece[4096];
    ssize_t n;
    preface_put(p, c->ahead.data, c->ahead.len);
    while (c->stream.preface >= 0 && (n = read(c->stream.preface, piece, sizeof(piece))) > 0)
        preface_put(p, piece, (size_t)n);
}

/* Of a request: its head, its body and what came behind that. -1: it cannot be kept. */
static int write_request(const struct exchange *ex)
{
    const struct body b = body_as_sent(ex);
    struct preface p = preface_open(ex->server, b.fd >= 0);
    preface_put(&p, ex->bytes, ex->head->bytes);
    if (ex->head->framing == HTTP_BODY_CHUNKED)
        put_chunks(&p, ex, &b);
    else
        put_body(&p, ex, &b);
    put_ahead(&p, ex->client);
    return preface_end(&p);
}

/* ---- handing over ---- */

static struct given_client where(const struct client *c)
{
    struct given_client g = {.is_unix = c->at.is_unix,
                             .is_local = c->at.is_local,
                             .tls = c->at.tls,
                             .ollama = c->api == c->server->options.ollama_api,
                             .user = c->user};
    memcpy(g.peer, c->peer, sizeof(g.peer));
    return g;
}

static struct given about(const struct exchange *ex)
{
    struct given g = {.since_ns = ex->since_ns,
                      .begun = ex->answer_begun,
                      .chunked = ex->out_chunked,
                      .late =
                          !id_none(ex->ask.lease) || (ex->route && ex->route->kind == ROUTE_LOCAL),
                      .upgrade = upgrade_is_asked_by(ex->server, ex)};
    leases_name_waiting(ex, g.lease_id, g.lease_token);
    return g;
}

static void send_client(struct drainer *d, const struct given_client *g, int fd, int preface)
{
    courier_send(d->courier, message_client(g), (int[COURIER_FDS_MAX]){fd, preface});
}

/* What cannot be handed over itself goes through here: from now on each byte as it comes. */
static void bridge(struct client *c, struct given_client *g, int preface)
{
    static const struct http_head none = {.method = {0, 0}};
    struct server *s = c->server;
    struct exchange *ex = c->exchange = exchange_new(s, c, &none, "");
    int pair[2];
    if (ex && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
        traffic_forget(ex);
        ex->state = EXCHANGE_TUNNEL;
        ex->upstream = upstream_take(s->drainer->successor, ex, pair[0]);
        if (!ex->upstream)
            close(pair[1]);
    }
    if (!ex || !ex->upstream) { /* this one goes, and nobody else */
        if (preface >= 0)
            close(preface);
        client_drop(c);
        return;
    }
    send_client(s->drainer, g, pair[1], preface);
    buf_fini(&c->ahead);
    client_tunnel(c);
}

static void send_away(struct client *c, struct given_client *g, int preface)
{
    int fd = client_duplicate(c);
    if (fd < 0) {
        bridge(c, g, preface);
        return;
    }
    send_client(c->server->drainer, g, fd, preface);
    client_let_go(c);
}

void drainer_give(struct client *c, const char *data, size_t n)
{
    struct given_client g = where(c);
    int preface = -1;
    bool whole = c->ahead.len + n == 0 && c->stream.preface < 0;
    if (whole && (c->stream.tls || c->stream.queued_bytes))
        return; /* until it says something */
    if (!whole) {
        struct preface p = preface_open(c->server, false);
        put_ahead(&p, c);
        preface_put(&p, data, n);
        preface = preface_end(&p);
    }
    if (!whole && preface < 0)
        client_drop(c);
    else
        send_away(c, &g, preface);
}

static void give_request(struct exchange *ex)
{
    struct client *c = ex->client;
    struct given_client g = where(c);
    int preface = write_request(ex);
    if (preface < 0) {
        exchange_fail_error(ex, ERR_SHUTTING_DOWN, "what came of it cannot be kept");
        return;
    }
    g.request = about(ex);
    exchange_forget(ex);
    send_away(c, &g, preface);
}

bool drainer_takes(struct exchange *ex)
{
    if (ex->upstream || ex->peer ||
        (ex->state != EXCHANGE_READING && ex->state != EXCHANGE_WAITING))
        return false;
    give_request(ex);
    return true;
}

void drainer_bounce(struct exchange *ex)
{
    drainer_request_ended(ex->server, ex->waiter, ENDED_CUT);
    ex->waiter = (struct id){0};
    if (ex->client)
        give_request(ex);
    else
        exchange_over(ex, ENDED_GONE, false);
}

/* ---- at first ---- */

static bool can_go(const struct exchange *ex)
{
    bool own = ex->state == EXCHANGE_READING || ex->state == EXCHANGE_WAITING ||
               ex->state == EXCHANGE_LOCAL;
    bool again = !ex->answer_begun || ex->state == EXCHANGE_WAITING ||
                 leases_name_waiting(ex, (char[LEASE_ID_MAX]){0}, (char[LEASE_TOKEN_MAX]){0});
    return own && again && ex->client && ex->head && !ex->upstream && !ex->peer;
}

static int by_time(const void *a, const void *b)
{
    const struct exchange *x = *(struct exchange *const *)a, *y = *(struct exchange *const *)b;
    return x->since_ns < y->since_ns ? -1 : x->since_ns > y->since_ns;
}

/* In the order in which they came, so that they are in that order there. Those that have not said
 * all yet in a coding whose rest only this process can read follow later (drainer_takes). */
static void give_requests(struct server *s)
{
    struct exchange **all = alloc_zeroed(exchange_table_count(s->exchanges) + 1, sizeof(*all)), *ex;
    uint32_t count = 0;
    for (uint32_t i = 0; (ex = exchange_next(s, &i));)
        if (can_go(ex) && (ex->body_complete || ex->head->framing == HTTP_BODY_LENGTH))
            all[count++] = ex;
    qsort(all, count, sizeof(*all), by_time);
    for (uint32_t i = 0; i < count; i++)
        give_request(all[i]);
    free(all);
}

/* Answers without an end get a proper one: who follows them comes back. */
static void end_streams(struct server *s)
{
    struct exchange *ex;
    for (uint32_t i = 0; (ex = exchange_next(s, &i));)
        if (ex->state == EXCHANGE_LOCAL && ex->answer_begun && ex->client && ex->on_local_end)
            exchange_stream_end(ex);
}

static void give_idle(struct server *s)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->clients) {
        struct client *c = list_entry(n, struct client, link);
        if (c->state == CLIENT_HEAD && !c->exchange)
            drainer_give(c, NULL, 0);
    }
}

/* ---- becoming one ---- */

/* The loop has timers, signals and descriptors of all parts of a daemon, of which nothing is to
 * happen any more; what remains are streams, their timeouts, and the turns of the loop. */
static void stop_handle(uv_handle_t *h, void *arg)
{
    struct server *s = arg;
    bool own = h == (uv_handle_t *)&s->timeouts.timer || h == (uv_handle_t *)&s->hub.spin ||
               h == (uv_handle_t *)&s->check || h->data == &s->hub;
    if (own || uv_is_closing(h))
        return;
    switch ((int)h->type) {
    case UV_TIMER:
        uv_timer_stop((uv_timer_t *)h);
        break;
    case UV_POLL:
        uv_poll_stop((uv_poll_t *)h);
        break;
    case UV_SIGNAL:
        uv_signal_stop((uv_signal_t *)h);
        break;
    case UV_IDLE:
        uv_idle_stop((uv_idle_t *)h);
        break;
    case UV_CHECK:
        uv_check_stop((uv_check_t *)h);
        break;
    case UV_FS_EVENT:
        uv_fs_event_stop((uv_fs_event_t *)h);
        break;
    case UV_FS_POLL:
        uv_fs_poll_stop((uv_fs_poll_t *)h);
        break;
    default:
        break;
    }
}

/* A terminal sends signals to all who belong to it, and a drainer ends by itself; SIGTERM ends it
 * at once. */
static void set_signals(void)
{
    const int ignored[] = {SIGINT, SIGHUP, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < countof(ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    server_unblock_signals();
}

static void on_grace(uv_timer_t *timer)
{
    (void)timer;
    log_info(NULL, "what has not ended is cut");
    log_finish();
    _exit(0);
}

static void on_message(void *owner, const json_t *msg, int fds[COURIER_FDS_MAX])
{
    struct drainer *d = owner;
    uint64_t grace_ns;
    (void)fds;
    if (message_is_stop(msg, &grace_ns))
        uv_timer_start(&d->grace, on_grace, (grace_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

/* Requests go on to their ends; for those who wait there is nobody any more. */
static void on_gone(void *owner)
{
    (void)owner;
}

/* Before the loop waits: what was closed in the turn before is gone by now. */
static void on_turn(uv_prepare_t *turn)
{
    const struct drainer *d = turn->data;
    if (d->server->clients.count || exchange_table_count(d->server->exchanges) ||
        !courier_idle(d->courier))
        return;
    log_info(NULL, "all that the earlier program had begun is over");
    log_finish();
    _exit(0);
}

/* A thread that was done with something right before the fork has marked the loop as told of it,
 * while what tells it stayed with the other process. uv_loop_fork lets the mark stand, as of libuv
 * 1.44 (its pull request 1269), and as long as it does, nothing that a thread does here is heard
 * of. */
static void hear_threads(uv_loop_t *loop)
{
    loop->wq_async.pending = 0;
}

void drainer_begin(struct server *s, int fd)
{
    static const struct courier_ops ops = {on_message, on_gone};
    struct drainer *d = alloc_zeroed(1, sizeof(*d));
    must(uv_loop_fork(s->loop) == 0);
    hear_threads(s->loop);
    prctl(PR_SET_NAME, "wharf-drainer");
    records_close(&s->records);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->closed = s->stopping = true;
    s->drainer = d;
    listeners_leave(s->listeners);
    uv_walk(s->loop, stop_handle, s);
    set_signals();
    d->server = s;
    d->courier = courier_new(s->loop, fd, &ops, d);
    d->successor = origin_new(s);
    d->successor->is_unix = true;
    uv_timer_init(s->loop, &d->grace);
    uv_prepare_init(s->loop, &d->turn);
    uv_prepare_start(&d->turn, on_turn);
    d->turn.data = d;
    resolver_begin_anew(&s->resolver);
    give_requests(s);
    end_streams(s);
    give_idle(s);
    courier_send(d->courier, message_settled(), no_fds);
}

/* ---- what it reports ---- */

void drainer_request_ended(struct server *s, struct id waiter, enum ended how)
{
    if (!id_none(waiter))
        courier_send(s->drainer->courier, message_ended(waiter, how), no_fds);
}

void drainer_row(struct server *s, const struct store_row *row)
{
    courier_send(s->drainer->courier, message_row(row), no_fds);
}

void drainer_archived(struct server *s, const struct archive_draft *row)
{
    courier_send(s->drainer->courier, message_archived(row), no_fds);
}
