/* All of it as text. */
#include <stdlib.h>

#include "base/alloc.h"
#include "server/gpus/monitor.h"
#include "server/metrics/metrics.h"
#include "server/metrics/samples.h"
#include "server/proxy/answer.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

static const struct metric table[] = {
#define METRIC(name, type, labels, writer, help)                                                   \
    {#name, #type, labels, help, metrics_put_##writer, NULL},
#define HISTOGRAM(name, buckets, labels, writer, help)                                             \
    {#name, "histogram", labels, help, metrics_put_##writer, &metrics_##buckets##_buckets},
#include "server/metrics/metrics.def"
};

/* Requests that are under way: looked at one by one, so that no count can be wrong. */
static struct metrics_load *look_at_requests(const struct server *s)
{
    uint32_t others = s->roster.count, cursor = 0;
    struct metrics_load *loads = alloc_zeroed(others + 1, sizeof(*loads));
    const struct exchange *ex;
    while ((ex = exchange_next(s, &cursor))) {
        enum class class = ex->ask.class < CLASS__COUNT ? ex->ask.class : CLASS_NORMAL;
        struct metrics_load *l = &loads[ex->slot < others ? ex->slot : others];
        switch (ex->state) {
        case EXCHANGE_WAITING:
            l->waiting[class]++;
            break;
        case EXCHANGE_FORWARDING:
        case EXCHANGE_RELAYING:
        case EXCHANGE_TUNNEL:
            l->running[class]++;
            break;
        case EXCHANGE_READING:
        case EXCHANGE_LOCAL:
            break;
        }
    }
    return loads;
}

/* ---- in pieces ---- */

/* Less than a millisecond's work. */
#define PIECE_BYTES (128 * 1024)

/* An answer that is being made; exchange->local. */
struct scrape {
    struct link link; /* in the metrics' scrapes, unless its client has yet to take some of it */
    struct exchange *ex;
    size_t row; /* of the table */
    struct metrics_now now;
    struct samples samples;
    struct buf piece;
};

static void begin_row(struct samples *s, const struct metric *row)
{
    s->metric = row;
    s->headed = false;
    s->slot = s->class = 0;
    samples_drop(s);
}

static struct scrape *begin(struct exchange *ex)
{
    const struct server *s = ex->server;
    struct scrape *it = alloc_zeroed(1, sizeof(*it));
    it->ex = ex;
    it->now.slot_count = s->roster.count;
    it->now.loads = look_at_requests(s);
    limits_look(s, it->now.limits);
    it->samples = (struct samples){.server = s, .now = &it->now, .out = &it->piece};
    begin_row(&it->samples, &table[0]);
    return it;
}

/* True: that was the last. */
static bool write_piece(struct scrape *it)
{
    buf_clear(&it->piece);
    it->now.host = monitor_latest(it->ex->server); /* borrowed until the loop goes on */
    /* Of what is not sent, the length has to be told. */
    it->samples.pause_at = it->ex->is_head_method ? SIZE_MAX : PIECE_BYTES;
    while (it->row < countof(table) && it->piece.len < it->samples.pause_at) {
        it->samples.paused = false;
        table[it->row].put(&it->samples);
        if (it->samples.paused)
            break;
        if (++it->row < countof(table))
            begin_row(&it->samples, &table[it->row]);
    }
    return it->row == countof(table);
}

static void release(struct scrape *it)
{
    buf_fini(&it->samples.labels);
    buf_fini(&it->piece);
    free(it->now.loads);
    free(it);
}

static void on_end(struct exchange *ex)
{
    struct scrape *it = ex->local;
    if (link_linked(&it->link))
        list_remove(&ex->server->metrics.scrapes, &it->link);
    release(it);
}

static void on_spin(uv_idle_t *spin);

/* At its next turn. */
static void go_on(struct exchange *ex)
{
    struct scrape *it = ex->local;
    struct metrics *m = &ex->server->metrics;
    if (!link_linked(&it->link))
        list_push(&m->scrapes, &it->link);
    uv_idle_start(&m->spin, on_spin);
}

/* What is in the piece goes out; then the next one is made. */
static void send_piece(struct scrape *it, bool last)
{
    struct exchange *ex = it->ex;
    /* When the client goes away, the exchange and this do too. */
    if (!exchange_stream_write(ex, it->piece.data, it->piece.len))
        return;
    if (last)
        exchange_stream_end(ex);
    else if (!exchange_stream_full(ex))
        go_on(ex);
}

static void on_spin(uv_idle_t *spin)
{
    struct server *s = container_of(spin, struct server, metrics.spin);
    struct link *n = list_pop(&s->metrics.scrapes);
    if (s->metrics.scrapes.count == 0)
        uv_idle_stop(spin);
    if (!n)
        return;
    struct scrape *it = list_entry(n, struct scrape, link);
    send_piece(it, write_piece(it));
}

void metrics_tell(struct exchange *ex, const char *content_type)
{
    struct scrape *it = begin(ex);
    if (write_piece(it)) {
        exchange_reply(ex, 200, content_type, NULL, it->piece.data, it->piece.len);
        release(it);
        return;
    }
    ex->local = it;
    ex->on_local_end = on_end;
    ex->on_local_drain = go_on;
    if (exchange_stream_begin(ex, content_type))
        send_piece(it, false);
}
