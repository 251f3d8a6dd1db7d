/* Answers without an end: public events, and logs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handlers.h"
#include "base/alloc.h"
#include "base/pure/errors.h"
#include "http/url.h"

#define HISTORY_BYTES (100 * 1024)
#define KEEPALIVE_MS 15000
#define TAIL_MS 100
#define LOG_TYPE "text/plain; charset=utf-8"

/* One follower of a feed, or of a model's log file. */
struct follow {
    struct feed_follower follower; /* of a feed */
    struct exchange *exchange;
    struct feed *feed; /* NULL: a file */
    int fd;            /* of a file; -1 otherwise */
    char *path;        /* of it; owned */
    off_t at;
    bool sse, tails; /* tails: it wants what models print */
    uv_timer_t timer;
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct follow *f = container_of(handle, struct follow, timer);
    free(f->path);
    free(f);
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
}

/* False when the client, and with it the exchange and f's use, are gone. */
static bool send_event(struct follow *f, const struct feed_item *item, uint64_t id)
{
    struct buf text = {0};
    buf_printf(&text, "id: %llu\nevent: %s\ndata: ", (unsigned long long)id, item->type);
    buf_append(&text, item->text, item->len);
    buf_text(&text, "\n\n");
    bool ok = exchange_stream_write(f->exchange, text.data, text.len);
    buf_fini(&text);
    return ok;
}

static bool send_gap(struct follow *f, uint64_t missed)
{
    char text[96];
    int n = snprintf(text, sizeof(text),
                     f->sse ? "event: gap\ndata: {\"missed\":%llu}\n\n"
                            : "\n[%llu pieces of the log were left out]\n",
                     (unsigned long long)missed);
    return exchange_stream_write(f->exchange, text, (size_t)n);
}

/* Sends what there is, as far as the client takes it. */
static void pump_feed(struct follow *f)
{
    uint64_t id, missed;
    const struct feed_item *item;
    while (!exchange_stream_full(f->exchange)) {
        item = feed_read(f->feed, &f->follower, &id, &missed);
        if (missed && !send_gap(f, missed))
            return;
        if (!item)
            return;
        bool ok = f->sse ? send_event(f, item, id)
                         : exchange_stream_write(f->exchange, item->text, item->len);
        if (!ok)
            return;
    }
}

/* At the end of a file that was put aside, because another of its name has begun: goes over to
 * that. False: there is none. */
static bool follow_next_file(struct follow *f)
{
    struct stat here, now;
    if (fstat(f->fd, &here) < 0 || stat(f->path, &now) < 0 ||
        (here.st_dev == now.st_dev && here.st_ino == now.st_ino))
        return false;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    close(f->fd);
    f->fd = fd;
    f->at = 0;
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

static void on_news(struct feed_follower *follower)
{
    pump_feed(container_of(follower, struct follow, follower));
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
    struct follow *f = begin(ex, "text/event-stream");
    if (!f)
        return;
    f->sse = true;
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

/* "?NAME", with or without a value. */
static bool asks_for(const struct exchange *ex, const char *name)
{
    char value[8];
    struct http_span q = ex->head->query;
    return url_query_find(ex->bytes + q.off, q.len, name, value, sizeof(value)) != 0;
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
    bool skip = asks_for(ex, "no-history");
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
    bool skip = asks_for(ex, "no-history"), once = asks_for(ex, "no-follow");
    char *path = server_log_path(s, roster_id(&s->roster, slot));
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
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
