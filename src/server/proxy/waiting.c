#include "server/proxy/waiting.h"

#include <string.h>

#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/loading.h"
#include "server/server.h"

/* Programs are not told more often; people, who read the loading state, at each tick. */
#define TELL_MS 5000
/* To know a place costs a walk up to it, so those far behind are told less often: what all who wait
 * cost together grows with their number only. */
#define TELL_MS_A_PLACE 10

bool waiting_parse(const char *text, enum progress *ret_progress)
{
    static const char *const words[PROGRESS__COUNT] = {
        [PROGRESS_UNSAID] = "",
        [PROGRESS_NONE] = "none",
        [PROGRESS_INTERIM] = "interim",
        [PROGRESS_COMMENTS] = "comments",
    };
    for (int i = 0; i < PROGRESS__COUNT; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_progress = (enum progress)i;
            return true;
        }
    }
    return false;
}

/* What it is told as things are; UNSAID and NONE: nothing. */
static enum progress way_of(const struct exchange *ex)
{
    enum progress asked = ex->ask.progress;
    const struct config_model *m = roster_model(&ex->server->roster, ex->slot);
    bool stream = ex->ask.stream && ex->route->kind == ROUTE_MODEL_BODY &&
                  (!ex->filter || ex->answer_begun); /* another's filter: another's stream */
    if (asked == PROGRESS_INTERIM)
        return ex->client_http10 ? PROGRESS_NONE : asked;
    if (asked == PROGRESS_COMMENTS)
        return stream ? asked : PROGRESS_NONE;
    bool loading = asked == PROGRESS_UNSAID && stream && ex->route->tells_loading;
    return loading && m && m->sends_loading_state ? PROGRESS_UNSAID : PROGRESS_NONE;
}

static bool is_loaded(const struct exchange *ex)
{
    struct core_model_view v;
    core_view_model(ex->server->runner.core, ex->slot, &v);
    return v.state == MODEL_LOADED;
}

static bool send_interim(struct exchange *ex, uint32_t position, uint32_t estimate_s)
{
    struct buf text = {0};
    buf_printf(&text,
               "HTTP/1.1 102 Processing\r\nX-Wharf-Position: %u\r\nX-Wharf-Estimate: %u\r\n\r\n",
               position, estimate_s);
    uv_buf_t out = uv_buf_init(text.data, (unsigned)text.len);
    bool alive = client_write(ex->client, &out, 1);
    buf_fini(&text);
    return alive;
}

/* False: the exchange is gone. */
static bool tell(struct exchange *ex, enum progress way, uint32_t position, uint32_t estimate_s)
{
    struct waiting *w = &ex->waiting;
    uint64_t now = uv_now(ex->server->loop);
    bool due = now >= w->tell_ms, moved = position != w->position_now;
    uint64_t pause = (uint64_t)position * TELL_MS_A_PLACE;
    uint64_t least = way == PROGRESS_UNSAID ? 0 : TELL_MS;
    if (due) {
        w->tell_ms = now + (pause > least ? pause : least);
        w->position_now = position;
    }
    switch (way) {
    case PROGRESS_INTERIM:
        return !due || send_interim(ex, position, estimate_s);
    case PROGRESS_COMMENTS:
        return !due || loading_comment(ex, position, estimate_s);
    case PROGRESS_UNSAID:
        return due && moved ? loading_place(ex, position, estimate_s) : loading_dot(ex);
    case PROGRESS_NONE:
    case PROGRESS__COUNT:
        break;
    }
    return true;
}

/* An answer that is told of has to begin; whoever waits for a model that is loaded waits for others
 * to be served, of which llama-swap's loading state says nothing. */
static bool may_tell(struct exchange *ex, enum progress way)
{
    if (way == PROGRESS_NONE || stream_full(&ex->client->stream))
        return false;
    return way != PROGRESS_UNSAID || ex->answer_begun || !is_loaded(ex);
}

static void rearm(struct exchange *ex)
{
    timeouts_arm_ms(&ex->server->timeouts, &ex->waiting.timeout, TIMEOUT_PROGRESS, WAITING_TICK_MS);
}

void waiting_begin(struct exchange *ex, const struct effect *e)
{
    struct waiting *w = &ex->waiting;
    enum progress way = way_of(ex);
    if (!w->position) { /* else its model's server was not there, and it is back in the queue */
        w->since_ms = uv_now(ex->server->loop) - (uv_hrtime() - ex->since_ns) / NS_PER_MS;
        w->position = e->position;
        w->estimate_s = e->retry_after_s;
    }
    w->over_ms = 0;
    if (way == PROGRESS_NONE)
        return;
    rearm(ex);
    if (may_tell(ex, way))
        tell(ex, way, e->position, e->retry_after_s);
}

void waiting_over(struct exchange *ex)
{
    timeouts_disarm(&ex->server->timeouts, &ex->waiting.timeout);
    if (!ex->waiting.over_ms)
        ex->waiting.over_ms = uv_now(ex->server->loop);
}

bool waiting_granted(struct exchange *ex)
{
    waiting_over(ex);
    return !ex->answer_begun || way_of(ex) != PROGRESS_UNSAID || loading_ready(ex);
}

void waiting_on_timeout(struct timeout *t)
{
    struct exchange *ex =
        container_of(container_of(t, struct waiting, timeout), struct exchange, waiting);
    enum progress way = way_of(ex);
    uint32_t position = ex->waiting.position_now, estimate_s = 0;
    rearm(ex);
    if (!may_tell(ex, way))
        return;
    if (uv_now(ex->server->loop) >= ex->waiting.tell_ms)
        core_view_waiter(ex->server->runner.core, ex->waiter, &position, &estimate_s);
    if (position) /* else it is granted or refused, which is about to be told */
        tell(ex, way, position, estimate_s);
}

void waiting_put_fields(const struct exchange *ex, struct buf *out)
{
    const struct waiting *w = &ex->waiting;
    if (!w->position)
        return;
    if (w->over_ms) {
        uint64_t ms = w->over_ms - w->since_ms;
        buf_printf(out, "X-Wharf-Queued: %llu.%03u\r\n", (unsigned long long)(ms / 1000),
                   (unsigned)(ms % 1000));
    }
    buf_printf(out, "X-Wharf-Position: %u\r\nX-Wharf-Estimate: %u\r\n", w->position, w->estimate_s);
}
