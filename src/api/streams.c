/* Answers without an end: public events, and logs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handlers.h"
#include "api/json.h"
#include "api/query.h"
#include "base/alloc.h"
#include "base/pure/errors.h"

#define HISTORY_BYTES (100 * 1024)
#define KEEPALIVE_MS 15000
#define TAIL_MS 100
#define PIECE_BYTES (8 * 1024)
/* Whoever gathers events for longer wants no stream. */
#define GATHER_MS_MAX 10000
#define LOG_TYPE "text/plain; charset=utf-8"

/* One follower of a feed, or of a model's log file. */
struct follow {
    struct feed_follower follower; /* of a feed */
    struct exchange *exchange;
    struct feed *feed; /* NULL: a file */
    int fd;            /* of a file; -1 otherwise */
    char *path;        /* of it; owned */
    off_t at;
    bool sse, tails;    /* tails: it wants what models print */
    uint64_t gather_ms; /* what comes within that is told together; 0: at once */
    uint32_t timers;    /* that are not closed yet */
    uv_timer_t timer, gathering;
};

static void timer_over(struct follow *f)
{
    if (--f->timers > 0)
        return;
    free(f->path);
    free(f);
}

static void on_timer_closed(uv_handle_t *handle)
{
    timer_over(container_of(handle, struct follow, timer));
}

static void on_gathering_closed(uv_handle_t *handle)
{
    timer_over(container_of(handle, struct follow, gathering));
}

static void on_local_end(struct exchange *ex)
{
    struct follow *f = ex->local;
    if (f->feed)
        feed_unfollow(f->feed, &f->follower);
    if (f->fd >= 0)
        close(f->fd);
    if (f->tails)
        tails_unwant(ex->server);
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
    uv_close((uv_handle_t *)&f->gathering, on_gathering_closed);
}

static void put_item(const struct follow *f, const struct feed_item *item, uint64_t id,
                     struct buf *out)
{
    if (f->sse)
        buf_printf(out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)id, item->type);
    buf_append(out, item->text, item->len);
    buf_text(out, f->sse ? "\n\n" : "");
}

static void put_gap(const struct follow *f, uint64_t missed, struct buf *out)
{
    buf_printf(out,
               f->sse ? "event: gap\ndata: {\"missed\":%llu}\n\n"
                      : "\n[%llu pieces of the log were left out]\n",
               (unsigned long long)missed);
}

/* What there is, up to a piece. False: that was all. */
static bool gather_piece(struct follow *f, struct buf *out)
{
    uint64_t id, missed;
    out->len = 0;
    while (out->len < PIECE_BYTES) {
        const struct feed_item *item = feed_read(f->feed, &f->follower, &id, &missed);
        if (missed)
            put_gap(f, missed, out);
        if (!item)
            return false;
        put_item(f, item, id, out);
    }
    return true;
}

/* Sends what there is, as far as the client takes it. */
static void pump_feed(struct follow *f)
{
    struct exchange *ex = f->exchange;
    struct buf out = {0};
    bool goes_on = true;
    while (goes_on && !exchange_stream_full(ex)) {
        goes_on = gather_piece(f, &out);
        /* When the client goes away, the exchange and f do too. */
        if (out.len && !exchange_stream_write(ex, out.data, out.len))
            break;
    }
    buf_fini(&out);
}

/* The file was begun anew, and what stood in it is in the one beside it. */
static int open_aside(const struct follow *f)
{
    struct stat st;
    char *path = alloc_printf("%s.1", f->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0 || (fstat(fd, &st) == 0 && st.st_size > f->at))
        return fd;
    close(fd);
    return -1;
}

/* At the end of a file that was put aside, because another of its name has begun, or that was begun
 * anew (tails.h): goes on where there is more. False: there is none. */
static bool follow_next_file(struct follow *f)
{
    struct stat here, now;
    if (fstat(f->fd, &here) < 0 || stat(f->path, &now) < 0)
        return false;
    bool same = here.st_dev == now.st_dev && here.st_ino == now.st_ino;
    if (same && here.st_size >= f->at)
        return false;
    int aside = same ? open_aside(f) : -1;
    int fd = aside < 0 ? open(f->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : aside;
    if (fd < 0)
        return false;
    close(f->fd);
    f->fd = fd;
    f->at = aside < 0 ? 0 : f->at;
    return true;
}

static void pump_file(struct follow *f)
{
    char *data = f->exchange->server->scratch;
    while (!exchange_stream_full(f->exchange)) {
        ssize_t n = pread(f->fd, data, SERVER_SCRATCH_BYTES / 4, f->at);
        if ((n < 0 && errno == EINTR) || (n == 0 && follow_next_file(f)))
            continue;
        if (n <= 0)
            return;
        f->at += n;
        if (!exchange_stream_write(f->exchange, data, (size_t)n))
            return;
    }
}

static void on_gathered(uv_timer_t *timer)
{
    pump_feed(container_of(timer, struct follow, gathering));
}

static void on_news(struct feed_follower *follower)
{
    struct follow *f = container_of(follower, struct follow, follower);
    if (f->gather_ms == 0)
        pump_feed(f);
    else if (!uv_is_active((uv_handle_t *)&f->gathering))
        uv_timer_start(&f->gathering, on_gathered, f->gather_ms, 0);
}

static void on_drain(struct exchange *ex)
{
    struct follow *f = ex->local;
    if (f->feed)
        pump_feed(f);
    else
        pump_file(f);
}

static void on_keepalive(uv_timer_t *timer)
{
    struct follow *f = container_of(timer, struct follow, timer);
    exchange_stream_write(f->exchange, ": \n\n", 4);
}

static void on_tail(uv_timer_t *timer)
{
    pump_file(container_of(timer, struct follow, timer));
}

/* NULL: the client went away. */
static struct follow *begin(struct exchange *ex, const char *content_type)
{
    struct follow *f = alloc_zeroed(1, sizeof(*f));
    f->exchange = ex;
    f->fd = -1;
    uv_timer_init(ex->server->loop, &f->timer);
    uv_timer_init(ex->server->loop, &f->gathering);
    f->timers = 2;
    ex->local = f;
    ex->on_local_end = on_local_end;
    ex->on_local_drain = on_drain;
    return exchange_stream_begin(ex, content_type) ? f : NULL;
}

/* Where a client that was here before left off. */
static uint64_t resume_point(const struct exchange *ex, const struct feed *feed)
{
    const struct http_field *f = http_head_find(ex->head, HTTP_FIELD_LAST_EVENT_ID);
    uint64_t id = 0;
    if (!f || f->value.len == 0 || f->value.len > 18)
        return feed->next;
    for (uint32_t i = 0; i < f->value.len; i++) {
        char c = ex->bytes[f->value.off + i];
        if (c < '0' || c > '9')
            return feed->next;
        id = id * 10 + (uint64_t)(c - '0');
    }
    return id + 1;
}

void api_events(struct server *s, struct exchange *ex)
{
    uint64_t from = resume_point(ex, &s->events);
    uint64_t gather = api_query_number(ex, "every", 0);
    struct follow *f = begin(ex, "text/event-stream");
    if (!f)
        return;
    f->sse = true;
    f->gather_ms = gather < GATHER_MS_MAX ? gather : GATHER_MS_MAX;
    f->feed = &s->events;
    f->follower.on_news = on_news;
    feed_follow(f->feed, &f->follower, from);
    uv_timer_start(&f->timer, on_keepalive, KEEPALIVE_MS, KEEPALIVE_MS);
    pump_feed(f);
}

/* What is there; models' files are looked at only while somebody wants that. */
void api_logs(struct server *s, struct exchange *ex)
{
    struct feed *feed = &s->logs.shown;
    struct buf text = {0};
    tails_want(s);
    for (uint64_t id = feed->first; id < feed->next; id++) {
        const struct feed_item *item = &feed->items[id % FEED_ITEMS_MAX];
        buf_append(&text, item->text, item->len);
    }
    tails_unwant(s);
    buf_append(&text, "", 0);
    exchange_reply(ex, 200, LOG_TYPE, NULL, text.data, text.len);
    buf_fini(&text);
}

/* What the file holds now, and no more. */
static void send_file(struct exchange *ex, int fd, off_t from, off_t to)
{
    struct buf text = {0};
    while (from < to) {
        size_t want = to - from < HISTORY_BYTES ? (size_t)(to - from) : HISTORY_BYTES;
        ssize_t n = pread(fd, buf_reserve(&text, want), want, from);
        if (n <= 0)
            break;
        buf_commit(&text, (size_t)n);
        from += n;
    }
    close(fd);
    exchange_reply(ex, 200, LOG_TYPE, NULL, text.len ? text.data : "", text.len);
    buf_fini(&text);
}

static void stream_log(struct exchange *ex, struct feed *feed)
{
    bool skip = api_query_has(ex, "no-history");
    struct follow *f = begin(ex, LOG_TYPE);
    if (!f)
        return;
    /* First of all, so that what gathered unread is history. */
    f->tails = true;
    tails_want(ex->server);
    f->feed = feed;
    f->follower.on_news = on_news;
    feed_follow(f->feed, &f->follower, skip ? feed->next : feed->first);
    pump_feed(f);
}

void api_log_stream(struct server *s, struct exchange *ex)
{
    stream_log(ex, &s->logs.shown);
}

void api_log_stream_own(struct server *s, struct exchange *ex)
{
    stream_log(ex, &s->logs.own);
}

void api_log_stream_models(struct server *s, struct exchange *ex)
{
    stream_log(ex, &s->logs.models);
}

void api_model_log_stream(struct server *s, struct exchange *ex)
{
    struct stat st = {0};
    uint32_t slot;
    if (!api_path_model(ex, &slot))
        return;
    bool skip = api_query_has(ex, "no-history"), once = api_query_has(ex, "no-follow");
    char *path = server_log_path(s, roster_id(&s->roster, slot));
    int fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            close(fd);
        free(path);
        exchange_fail(ex, &(struct problem){.error = ERR_INTERNAL,
                                            .detail = "the model's log cannot be read"});
        return;
    }
    off_t from = skip ? st.st_size : st.st_size > HISTORY_BYTES ? st.st_size - HISTORY_BYTES : 0;
    if (once) {
        send_file(ex, fd, from, st.st_size);
        free(path);
        return;
    }
    struct follow *f = begin(ex, LOG_TYPE);
    if (!f) {
        close(fd);
        free(path);
        return;
    }
    f->fd = fd;
    f->path = path;
    f->at = from;
    uv_timer_start(&f->timer, on_tail, 0, TAIL_MS);
}
