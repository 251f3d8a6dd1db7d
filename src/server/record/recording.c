#include "server/record/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "server/leases/secret.h"
#include "server/metrics/metrics.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/head_copy.h"
#include "server/proxy/tap.h"
#include "server/record/archive_request.h"
#include "server/record/inflight.h"
#include "server/record/redact.h"
#include "server/server.h"
#include "server/tell/residency.h"

/* ---- what is recorded ---- */

/* The path as the model's server sees it, unless it was translated. */
static struct http_span path_of(const struct exchange *ex)
{
    struct http_span path = ex->head->path;
    uint32_t skip = ex->ask.path_skip < path.len ? ex->ask.path_skip : 0;
    return (struct http_span){path.off + skip, path.len - skip};
}

static bool is_inference(const struct exchange *ex)
{
    const struct server_api *api = ex->client->api;
    struct http_span path = path_of(ex);
    const char *allow;
    if (ex->route->kind != ROUTE_MODEL_PATH)
        return ex->route->kind == ROUTE_MODEL_BODY;
    const struct route *inner = api->find(
        api,
        &(struct route_request){
            .method = "POST", .method_len = 4, .path = ex->bytes + path.off, .path_len = path.len},
        &allow);
    return inner && inner->kind == ROUTE_MODEL_BODY;
}

static bool is_recorded(const struct exchange *ex)
{
    return ex->route && ex->head && ex->client &&
           http_span_equal(ex->bytes, ex->head->method, "POST") && is_inference(ex);
}

static const char *model_of(const struct exchange *ex)
{
    if (ex->peer)
        return ex->peer->names.items[ex->peer_model];
    return ex->slot == CORE_SLOT_NONE ? "" : roster_id(&ex->server->roster, ex->slot);
}

/* Whoever has begun one is not talked over, even where it is none. It is marked as sampled, since
 * it is here: servers that go by their parent take part. */
static void begin_trace(struct recording *t)
{
    char id[TRACE_ID_MAX], parent[17];
    const struct exchange *ex = t->ex;
    if (!ex->config->config->observe.makes_traces || trace_find(ex->head, ex->bytes, id) > 0)
        return;
    secret_make(id, 16);
    secret_make(parent, 8);
    snprintf(t->traceparent, sizeof(t->traceparent), "00-%s-%s-01", id, parent);
}

static struct recording *record(struct exchange *ex)
{
    struct server *s = ex->server;
    const struct config_model *m = roster_model(&s->roster, ex->slot);
    const char *model = model_of(ex);
    size_t model_bytes = strlen(model) + 1;
    struct recording *t = alloc_zeroed(1, sizeof(*t) + model_bytes);
    t->id = ++s->in_flight_id;
    t->ex = ex;
    uint64_t age_ns = ex->since_ns ? uv_hrtime() - ex->since_ns : 0;
    t->started_s = time(NULL) - (int64_t)(age_ns / NS_PER_S);
    t->started_ms = uv_now(s->loop) - age_ns / NS_PER_MS;
    t->waited_ms = t->first_ms = -1;
    t->path = path_of(ex);
    if (t->path.len > RECORDING_PATH_MAX)
        t->path.len = RECORDING_PATH_MAX;
    t->translated = ex->ask.path;
    t->has_priority = m != NULL;
    t->priority = m ? m->priority : 0;
    memcpy(t->peer, ex->client->peer, sizeof(t->peer));
    memcpy(t->model, model, model_bytes);
    begin_trace(t);
    list_push(&s->in_flight, &t->link);
    ex->recording = t;
    inflight_changed(t);
    return t;
}

void recording_begin(struct exchange *ex)
{
    if (!ex->recording && is_recorded(ex))
        record(ex);
}

static uint64_t age_ms(const struct recording *t)
{
    return uv_now(t->ex->server->loop) - t->started_ms;
}

void recording_granted(struct exchange *ex)
{
    struct recording *t = ex->recording;
    if (!t)
        return;
    t->waited_ms = (int64_t)age_ms(t);
    if (ex->slot != CORE_SLOT_NONE)
        t->loading_ms = (int64_t)(residency_loading_ns(ex->server, ex->slot,
                                                       uv_hrtime() - age_ms(t) * NS_PER_MS) /
                                  NS_PER_MS);
    if (t->loading_ms > t->waited_ms)
        t->loading_ms = t->waited_ms;
}

const struct http_head *recording_request(const struct recording *t, const char **ret_bytes)
{
    struct http_head *head = t->request ? t->request : t->ex->head;
    *ret_bytes = head_copy_bytes(head);
    return head;
}

void recording_trace(const struct recording *t, char ret[TRACE_ID_MAX])
{
    const char *bytes;
    if (*t->traceparent) {
        (void)trace_parse(t->traceparent, strlen(t->traceparent), ret);
        return;
    }
    const struct http_head *head = recording_request(t, &bytes);
    (void)trace_find(head, bytes, ret);
}

void recording_put_fields(const struct recording *t, struct buf *out)
{
    if (*t->traceparent)
        buf_printf(out, "traceresponse: %s\r\n", t->traceparent);
}

static void put_member(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    buf_json_text(out, text);
}

static void put_millis(struct buf *out, const char *name, int64_t ms)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)ms);
    if (ms > 0)
        put_member(out, name, text);
}

/* Its class is what it asked for, within what its key may have; else its model's. */
const char *recording_class(const struct recording *t)
{
    const struct config_model *m = roster_model(&t->ex->server->roster, t->ex->slot);
    if (t->ex->ask.class < CLASS__COUNT)
        return class_text(t->ex->ask.class);
    return m ? config_class_words[m->class] : NULL;
}

/* llama-swap's are texts, so these are too. */
void recording_put_metadata(const struct recording *t, struct buf *out)
{
    const struct config_key *key = t->ex->ask.auth.key;
    const char *class = recording_class(t);
    buf_char(out, '{');
    if (t->has_priority) {
        buf_text(out, "\"fifo_priority\":\"");
        buf_whole(out, t->priority);
        buf_char(out, '"');
    }
    if (t->ex->ask.selector)
        put_member(out, "selector", t->ex->ask.selector);
    if (class)
        put_member(out, "class", class);
    if (key && *key->name)
        put_member(out, "key", key->name);
    put_millis(out, "loading_ms", t->loading_ms);
    put_millis(out, "first_ms", t->first_ms);
    if (out->len == 1)
        buf_fini(out); /* nothing was said */
    else
        buf_char(out, '}');
}

const char *recording_path(const struct recording *t, size_t *ret_len)
{
    const char *bytes;
    (void)recording_request(t, &bytes);
    *ret_len = t->translated ? strlen(t->translated) : t->path.len;
    return t->translated ? t->translated : bytes + t->path.off;
}

/* ---- captures ---- */

static void give_up_capture(struct recording *t)
{
    struct captures *c = &t->ex->server->captures;
    captures_let_go(c, &t->answer_body);
    captures_discharge(c, t->request_body.size);
    body_fini(&t->request_body);
    t->captured = false;
}

static void capture_answer(struct recording *t, const char *data, size_t n)
{
    size_t path_len;
    const char *path = recording_path(t, &path_len);
    if (!t->captured || t->status != 200 || !captures_answer_body(path, path_len))
        return;
    if (!captures_hold(&t->ex->server->captures, &t->answer_body, data, n))
        give_up_capture(t);
}

static bool keeps_request_body(const struct recording *t)
{
    size_t path_len;
    const char *path = recording_path(t, &path_len);
    return captures_request_body(path, path_len);
}

/* The exchange would let go of it. */
static void take_request_body(struct recording *t)
{
    struct exchange *ex = t->ex;
    if (!t->captured || !ex->body_complete || !ex->sent_all || !keeps_request_body(t))
        return;
    if (!captures_charge(&ex->server->captures, ex->body.size)) {
        give_up_capture(t);
        return;
    }
    t->request_body = ex->body;
    ex->body = (struct body){0};
}

void recording_head_done(struct exchange *ex)
{
    struct recording *t = ex->recording;
    if (!t || t->request)
        return;
    t->request = ex->head;
    ex->head = NULL;
    take_request_body(t);
}

/* False: it cannot be read back. */
static bool copy_body(struct server *s, const struct body *body, char *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *data;
        size_t n;
        if (body_peek(body, at, s->spool_scratch, SERVER_SCRATCH_BYTES, &data, &n) < 0 || n == 0)
            return false;
        n = n < size - at ? n : size - at;
        memcpy(to + at, data, n);
        at += n;
    }
    return true;
}

static void keep_head(struct http_head *to, const struct http_head *head, size_t size)
{
    memcpy(to, head, size);
    redact_erase(to, head_copy_bytes(to));
}

/* Its heads and bodies are still there: of the request, and as far as they came, of the answer. */
static void keep_capture(struct server *s, struct recording *t, int64_t id)
{
    recording_head_done(t->ex);
    if (!t->captured)
        return;
    const struct body *body = t->request_body.budget ? &t->request_body : &t->ex->body;
    uint64_t body_bytes = keeps_request_body(t) && body->budget ? body_size(body) : 0;
    if (body_bytes > s->captures.bytes_max)
        return;
    const struct capture_sizes sizes = {.request_head = head_copy_size(t->request),
                                        .answer_head = t->answer ? head_copy_size(t->answer) : 0,
                                        .request = body_bytes,
                                        .answer = t->answer_body.len};
    struct capture *c = captures_make(&s->captures, id, &sizes);
    if (!c)
        return;
    c->path = t->path;
    c->translated = t->translated;
    keep_head(c->request_head, t->request, sizes.request_head);
    if (t->answer)
        keep_head(c->answer_head, t->answer, sizes.answer_head);
    if (!copy_body(s, body, c->request, body_bytes))
        c->request_bytes = 0;
    if (t->answer_body.len)
        memcpy(c->answer, t->answer_body.data, t->answer_body.len);
}

/* ---- the answer ---- */

static void begin_tap(struct recording *t, const struct http_head *head, const char *bytes)
{
    const struct http_field *type = head ? http_head_find(head, HTTP_FIELD_CONTENT_TYPE) : NULL;
    const struct http_field *encoding =
        head ? http_head_find(head, HTTP_FIELD_CONTENT_ENCODING) : NULL;
    struct tap_answer a = {.status = t->status, .type = ""};
    if (type) {
        a.type = bytes + type->value.off;
        a.type_len = type->value.len;
    }
    a.encoded = encoding && encoding->value.len &&
                !http_span_equal_case(bytes, encoding->value, "identity");
    t->tap = tap_new(&a, &t->ex->server->tap_spare);
}

void recording_head(struct exchange *ex, unsigned status, const struct http_head *head,
                    const char *bytes)
{
    struct recording *t = ex->recording;
    /* What fails before its model is known is recorded too, but not who has no key. */
    if (!t && !head && status != 401 && is_recorded(ex))
        t = record(ex);
    if (!t || t->tap)
        return;
    t->status = status;
    begin_tap(t, head, bytes);
    t->answer = head ? head_copy(head, bytes) : NULL;
    t->captured = ex->server->captures.bytes_max > 0 && (t->answer || !head);
    inflight_changed(t);
}

void recording_bytes(struct exchange *ex, const char *data, size_t n)
{
    struct recording *t = ex->recording;
    if (!t || !t->tap)
        return;
    t->answer_bytes += n;
    if (n && t->first_ms < 0)
        t->first_ms = (int64_t)age_ms(t);
    tap_feed(t->tap, data, n);
    capture_answer(t, data, n);
    inflight_grown(t);
}

/* ---- the end ---- */

static const char *word_for(const struct recording *t, enum ended how)
{
    if (how == ENDED_GONE)
        return "gone";
    return how == ENDED_DONE || (t->tap && !t->answer) ? "done" : "cut";
}

static void copy(char *to, size_t size, const char *text, size_t n)
{
    n = n < size ? n : size - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

/* Cut to fit. Of an answer of wharf's own, what it always is. */
static void copy_type(const struct recording *t, char *to, size_t size)
{
    static const char own[] = "application/json";
    const struct http_field *f =
        t->answer ? http_head_find(t->answer, HTTP_FIELD_CONTENT_TYPE) : NULL;
    if (f)
        copy(to, size, head_copy_bytes(t->answer) + f->value.off, f->value.len);
    else
        copy(to, size, own, t->tap && !t->answer ? sizeof(own) - 1 : 0);
}

/* Who leaves before there is an answer stands as 200 with nothing, as in llama-swap; how it ended
 * says the rest. */
static struct store_row *row_of(const struct recording *t, enum ended how)
{
    struct tap_counts c = {0};
    struct buf error = {0}, metadata = {0};
    char path[RECORDING_PATH_MAX + 1], type[256];
    if (t->tap)
        tap_end(t->tap, &c, &error);
    metrics_tokens(t->ex, &c);
    recording_put_metadata(t, &metadata);
    size_t path_len;
    const char *seen = recording_path(t, &path_len);
    copy(path, sizeof(path), seen, path_len);
    copy_type(t, type, sizeof(type));
    uint64_t took_ms = age_ms(t);
    struct store_row r = {
        .created_s = t->started_s,
        .model = t->model,
        .path = path,
        .content_type = type,
        .error = error.data,
        .metadata = metadata.data,
        .ended = word_for(t, how),
        .status = t->status ? (int64_t)t->status : 200,
        .cached = c.cached,
        .drafted = c.drafted,
        .draft_accepted = c.draft_accepted,
        .input = c.input,
        .output = c.output,
        .prompt_per_second = c.prompt_per_second,
        .output_per_second = c.output_per_second,
        .duration_ms = (int64_t)(took_ms > c.measured_ms ? took_ms : c.measured_ms),
        .waited_ms = t->waited_ms,
    };
    struct store_row *row = store_row_new(&r);
    buf_fini(&error);
    buf_fini(&metadata);
    return row;
}

/* At the end of the daemon nobody is told: its followers are being let go. */
static void tell_over(struct server *s, int64_t id)
{
    char json[40];
    if (s->stopping || s->changes.feed.followers.count == 0)
        return;
    snprintf(json, sizeof(json), "{\"id\":%lld}", (long long)id);
    changes_tell_soon(s, "activity", json);
}

static void release(struct exchange *ex)
{
    struct recording *t = ex->recording;
    give_up_capture(t);
    ex->recording = NULL;
    tap_free(t->tap);
    free(t->request);
    free(t->answer);
    free(t);
}

static void leave(struct recording *t)
{
    struct server *s = t->ex->server;
    list_remove(&s->in_flight, &t->link);
    inflight_gone(s, t->id);
}

void recording_forget(struct exchange *ex)
{
    if (!ex->recording)
        return;
    leave(ex->recording);
    release(ex);
}

void recording_over(struct exchange *ex, enum ended how)
{
    struct server *s = ex->server;
    struct recording *t = ex->recording;
    if (!t)
        return;
    leave(t);
    struct store_row *row = row_of(t, how);
    archive_request(t, row);
    int64_t id = history_add(s, row);
    if (t->captured && !s->drainer) /* nobody can ask a drainer for it */
        keep_capture(s, t, id);
    release(ex);
    tell_over(s, id);
}
