#include "server/proxy/loading.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/pure/errors.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/relay.h"
#include "server/server.h"

/* Of an answer that is no event stream. */
#define TEXT_BYTES_MAX (64 * 1024)

/* What came from the model's server so far. */
struct follow {
    unsigned status;
    bool events;     /* they go through as they are */
    char last[2];    /* of them */
    struct buf text; /* else it is kept, to be one event */
};

static void on_head(struct exchange *ex, const struct http_head *h, const char *bytes,
                    struct buf *out)
{
    struct follow *f = ex->filtering;
    (void)out;
    f->status = h->status;
    f->events = h->status == 200 && http_head_is_event_stream(h, bytes);
}

static void on_data(struct exchange *ex, const char *data, size_t n, struct buf *out)
{
    struct follow *f = ex->filtering;
    if (!f->events) {
        size_t room = TEXT_BYTES_MAX - f->text.len;
        buf_append(&f->text, data, n < room ? n : room);
        return;
    }
    buf_append(out, data, n);
    if (n)
        f->last[0] = n > 1 ? data[n - 2] : f->last[1];
    if (n)
        f->last[1] = data[n - 1];
}

/* As the data of one event; its lines are lines of the event. */
static void put_data(struct buf *out, const char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    buf_text(out, "data: ");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n')
            buf_text(out, "\ndata: ");
        else if (text[i] != '\r')
            buf_char(out, text[i]);
    }
    buf_text(out, "\n\n");
}

static void put_problem(struct exchange *ex, const struct problem *p, struct buf *out)
{
    struct buf text = {0};
    ex->client->api->format_problem(p, &(struct problem_reader){.face = ex->route->face}, &text);
    buf_text(out, "event: error\n");
    put_data(out, text.data, text.len);
    buf_fini(&text);
}

/* An answer that was no stream: JSON is what its client knows how to read. */
static void put_whole(struct exchange *ex, struct follow *f, struct buf *out)
{
    bool json = f->text.len && f->text.data[0] == '{';
    if (f->status == 200) {
        put_data(out, f->text.data, f->text.len);
        buf_text(out, "data: [DONE]\n\n");
    } else if (json) {
        buf_text(out, "event: error\n");
        put_data(out, f->text.data, f->text.len);
    } else {
        struct buf detail = {0};
        buf_printf(&detail,
                   "model %s: its server answered %u: ", roster_id(&ex->server->roster, ex->slot),
                   f->status);
        buf_append(&detail, f->text.data, f->text.len);
        put_problem(ex, &(struct problem){.error = ERR_UPSTREAM_ERROR, .detail = detail.data}, out);
        buf_fini(&detail);
    }
}

static void on_end(struct exchange *ex, const struct problem *problem, struct buf *out)
{
    struct follow *f = ex->filtering;
    bool whole = !f->last[1] || (f->last[1] == '\n' && (f->last[0] == '\n' || f->last[0] == '\r'));
    if (problem && whole)
        put_problem(ex, problem, out);
    else if (!problem && !f->events)
        put_whole(ex, f, out);
}

static void on_fini(struct exchange *ex)
{
    struct follow *f = ex->filtering;
    buf_fini(&f->text);
    free(f);
}

static const struct relay_filter filter = {
    .head = on_head, .data = on_data, .end = on_end, .fini = on_fini};

void loading_go_on(struct exchange *ex)
{
    ex->filter = &filter;
    ex->filtering = alloc_zeroed(1, sizeof(struct follow));
}

static bool begin(struct exchange *ex)
{
    if (ex->answer_begun)
        return true;
    loading_go_on(ex);
    return exchange_stream_open(ex, "text/event-stream");
}

static bool think(struct exchange *ex, const char *text)
{
    struct buf out = {0};
    buf_printf(&out,
               "data: {\"id\":\"chatcmpl-wharf\",\"object\":\"chat.completion.chunk\","
               "\"created\":%lld,\"model\":",
               (long long)time(NULL));
    buf_json_text(&out, roster_id(&ex->server->roster, ex->slot));
    buf_text(&out, ",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":");
    buf_json_text(&out, text);
    buf_text(&out, "},\"finish_reason\":null}]}\n\n");
    bool alive = exchange_stream_put(ex, out.data, out.len);
    buf_fini(&out);
    return alive;
}

bool loading_comment(struct exchange *ex, uint32_t position, uint32_t estimate_s)
{
    struct buf out = {0};
    buf_printf(&out, ": waiting position=%u estimate_s=%u\n\n", position, estimate_s);
    bool alive = begin(ex) && exchange_stream_put(ex, out.data, out.len);
    buf_fini(&out);
    return alive;
}

bool loading_place(struct exchange *ex, uint32_t position, uint32_t estimate_s)
{
    struct buf out = {0};
    bool first = !ex->answer_begun;
    if (first)
        buf_printf(&out, "%s is not loaded yet.", roster_id(&ex->server->roster, ex->slot));
    buf_printf(&out, "\nQueue position: %u, about %u s to go ", position, estimate_s);
    bool alive = begin(ex) && think(ex, out.data);
    buf_fini(&out);
    return alive;
}

bool loading_dot(struct exchange *ex)
{
    return think(ex, ".");
}

bool loading_ready(struct exchange *ex)
{
    struct buf out = {0};
    uint64_t ms = ex->waiting.over_ms - ex->waiting.since_ms;
    buf_printf(&out, "\nReady after %llu.%02u s.\n\n", (unsigned long long)(ms / 1000),
               (unsigned)(ms % 1000 / 10));
    bool alive = think(ex, out.data);
    buf_fini(&out);
    return alive;
}
