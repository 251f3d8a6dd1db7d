/* llama-swap's event stream: the logs, and the models' states, as they change. Its data is JSON in
 * a string in JSON, which clients of llama-swap decode twice. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/alloc.h"
#include "config/config.h"
#include "server/record/inflight.h"

#define KEEPALIVE_MS 15000

/* One follower: of two logs and of what changes besides. */
struct watch {
    struct feed_follower own, models, changes;
    struct exchange *exchange;
    uv_timer_t timer;
};

/* False when the client, and with it the exchange and the watch, are gone; so are those below. */
static bool send_frame(struct watch *w, const char *type, const char *payload)
{
    struct buf frame = {0};
    buf_printf(&frame, "event:message\ndata:{\"type\":\"%s\",\"data\":", type);
    buf_json_text(&frame, payload);
    buf_text(&frame, "}\n\n");
    bool ok = exchange_stream_write(w->exchange, frame.data, frame.len);
    buf_fini(&frame);
    return ok;
}

static bool send_log(struct watch *w, const char *source, const char *text, size_t n)
{
    struct buf json = {0};
    buf_text(&json, "{\"data\":");
    buf_json(&json, text, n);
    buf_printf(&json, ",\"source\":\"%s\"}", source);
    bool ok = send_frame(w, "logData", json.data);
    buf_fini(&json);
    return ok;
}

/* ---- the payloads ---- */

static const char *state_word(enum model_state state)
{
    static const char *const words[MODEL__COUNT] = {
        [MODEL_UNLOADED] = "stopped",  [MODEL_LOADING] = "starting",
        [MODEL_LOADED] = "ready",      [MODEL_UNLOADING] = "stopping",
        [MODEL_MOVING] = "starting",   [MODEL_SUSPENDING] = "stopping",
        [MODEL_SUSPENDED] = "stopped", [MODEL_RESUMING] = "starting",
        [MODEL_ERROR] = "stopped",     [MODEL_STUCK] = "stopping",
    };
    return words[state];
}

static void put_member(struct buf *json, const char *name, const char *text)
{
    buf_printf(json, "\"%s\":", name);
    buf_json_text(json, text);
    buf_char(json, ',');
}

static void put_model(struct server *s, const struct config_model *m, uint32_t slot,
                      struct buf *json)
{
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    buf_char(json, '{');
    put_member(json, "id", m->id);
    put_member(json, "name", m->name);
    put_member(json, "description", m->description);
    put_member(json, "state", state_word(v.state));
    buf_printf(json, "\"unlisted\":%s,\"peerID\":\"\"", m->unlisted ? "true" : "false");
    for (uint32_t i = 0; i < m->aliases.count; i++) {
        buf_text(json, i ? "," : ",\"aliases\":[");
        buf_json_text(json, m->aliases.items[i]);
    }
    buf_text(json, m->aliases.count ? "]" : "");
    if (m->capabilities.configured) {
        api_put_capabilities(&m->capabilities, json);
        api_put_context(&m->capabilities, json);
    }
    buf_char(json, '}');
}

static void put_peer(const struct config_peer *p, const char *name, struct buf *json)
{
    buf_char(json, '{');
    put_member(json, "id", name);
    buf_text(json,
             "\"name\":\"\",\"description\":\"\",\"state\":\"\",\"unlisted\":false,\"peerID\":");
    buf_json_text(json, p->id);
    buf_char(json, '}');
}

/* The models, then those of peers. */
static void put_models(struct server *s, struct buf *json)
{
    const struct config_ref *ref = s->roster.current;
    const struct config *c = ref->config;
    const char *sep = "";
    buf_char(json, '[');
    for (uint32_t i = 0; i < c->model_count; i++) {
        buf_text(json, sep);
        put_model(s, &c->models[i], ref->slots[i], json);
        sep = ",";
    }
    for (uint32_t i = 0; i < c->peer_count; i++)
        for (uint32_t k = 0; k < c->peers[i].names.count; k++) {
            buf_text(json, sep);
            put_peer(&c->peers[i], c->peers[i].names.items[k], json);
            sep = ",";
        }
    buf_char(json, ']');
}

static void put_ui_config(struct server *s, struct buf *json)
{
    const struct config_strings *headers = &s->roster.current->config->observe.session_headers;
    buf_text(json, "{\"activity\":{\"session_id\":[");
    for (uint32_t i = 0; i < headers->count; i++) {
        buf_text(json, i ? "," : "");
        buf_json_text(json, headers->items[i]);
    }
    buf_text(json, "]}}");
}

static void put_profile(struct server *s, struct buf *json)
{
    buf_text(json, "{\"active\":");
    if (s->profiles.active)
        buf_json_text(json, s->profiles.active);
    else
        buf_text(json, "null");
    buf_char(json, '}');
}

/* ---- what is sent when ---- */

static bool send_made(struct watch *w, const char *type,
                      void (*put)(struct server *s, struct buf *json))
{
    struct buf json = {0};
    put(w->exchange->server, &json);
    bool ok = send_frame(w, type, json.data);
    buf_fini(&json);
    return ok;
}

static bool send_history(struct watch *w, const char *source, const struct feed *feed)
{
    struct buf text = {0};
    for (uint64_t id = feed->first; id < feed->next; id++) {
        const struct feed_item *item = &feed->items[id % FEED_ITEMS_MAX];
        buf_append(&text, item->text, item->len);
    }
    bool ok = send_log(w, source, text.len ? text.data : "", text.len);
    buf_fini(&text);
    return ok;
}

/* How things are, for who comes or has missed some of what changed. */
static bool send_snapshot(struct watch *w)
{
    return send_made(w, CHANGE_MODELS, put_models) && send_made(w, "uiConfig", put_ui_config) &&
           send_made(w, "profileChanged", put_profile) &&
           send_made(w, CHANGE_INFLIGHT, inflight_put_snapshot);
}

/* One change, if there is one. */
static bool send_change(struct watch *w, bool *ret_any)
{
    uint64_t id, missed;
    const struct feed_item *item =
        feed_read(&w->exchange->server->changes.feed, &w->changes, &id, &missed);
    *ret_any = item != NULL;
    if (missed && !send_snapshot(w))
        return false;
    if (!item)
        return true;
    return item->len ? send_frame(w, item->type, item->text) : send_made(w, item->type, put_models);
}

static bool send_piece(struct watch *w, struct feed *feed, struct feed_follower *f,
                       const char *source, bool *ret_any)
{
    static const char gap[] = "\n[some of the log was left out]\n";
    uint64_t id, missed;
    const struct feed_item *item = feed_read(feed, f, &id, &missed);
    *ret_any = item != NULL;
    if (missed && !send_log(w, source, gap, sizeof(gap) - 1))
        return false;
    return !item || send_log(w, source, item->text, item->len);
}

/* As far as the client takes it. */
static void pump(struct watch *w)
{
    struct logs *logs = &w->exchange->server->logs;
    bool changes = true, own = true, models = true;
    while ((changes || own || models) && !exchange_stream_full(w->exchange))
        if (!send_change(w, &changes) || !send_piece(w, &logs->own, &w->own, "proxy", &own) ||
            !send_piece(w, &logs->models, &w->models, "upstream", &models))
            return;
}

static void on_own(struct feed_follower *f)
{
    pump(container_of(f, struct watch, own));
}

static void on_models(struct feed_follower *f)
{
    pump(container_of(f, struct watch, models));
}

static void on_changes(struct feed_follower *f)
{
    pump(container_of(f, struct watch, changes));
}

static void on_local_drain(struct exchange *ex)
{
    pump(ex->local);
}

static void on_keepalive(uv_timer_t *timer)
{
    struct watch *w = container_of(timer, struct watch, timer);
    exchange_stream_write(w->exchange, ": \n\n", 4);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct watch, timer));
}

static void on_local_end(struct exchange *ex)
{
    struct watch *w = ex->local;
    struct server *s = ex->server;
    feed_unfollow(&s->logs.own, &w->own);
    feed_unfollow(&s->logs.models, &w->models);
    feed_unfollow(&s->changes.feed, &w->changes);
    tails_unwant(s);
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static void follow(struct watch *w)
{
    struct server *s = w->exchange->server;
    w->own.on_news = on_own;
    w->models.on_news = on_models;
    w->changes.on_news = on_changes;
    feed_follow(&s->logs.own, &w->own, s->logs.own.next);
    feed_follow(&s->logs.models, &w->models, s->logs.models.next);
    feed_follow(&s->changes.feed, &w->changes, s->changes.feed.next);
}

void api_llamaswap_events(struct server *s, struct exchange *ex)
{
    struct watch *w = alloc_zeroed(1, sizeof(*w));
    w->exchange = ex;
    uv_timer_init(s->loop, &w->timer);
    ex->local = w;
    ex->on_local_end = on_local_end;
    ex->on_local_drain = on_local_drain;
    tails_want(s);
    if (!exchange_stream_begin(ex, "text/event-stream") ||
        !send_history(w, "proxy", &s->logs.own) || !send_history(w, "upstream", &s->logs.models) ||
        !send_snapshot(w))
        return;
    follow(w);
    uv_timer_start(&w->timer, on_keepalive, KEEPALIVE_MS, KEEPALIVE_MS);
}
