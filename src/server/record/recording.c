#include "server/record/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/head_copy.h"
#include "server/proxy/tap.h"
#include "server/record/inflight.h"
#include "server/record/redact.h"
#include "server/server.h"

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

static struct recording *record(struct exchange *ex)
{
    struct server *s = ex->server;
    const struct config_model *m = roster_model(&s->roster, ex->slot);
    const char *model = model_of(ex);
    size_t model_bytes = strlen(model) + 1;
    struct recording *t = alloc_zeroed(1, sizeof(*t) + model_bytes);
    t->id = ++s->in_flight_id;
    t->ex = ex;
    t->started_s = time(NULL);
    t->started_ms = uv_now(s->loop);
    t->waited_ms = -1;
    t->path = path_of(ex);
    if (t->path.len > RECORDING_PATH_MAX)
        t->path.len = RECORDING_PATH_MAX;
    t->translated = ex->ask.path;
    t->has_priority = m != NULL;
    t->priority = m ? m->priority : 0;
    memcpy(t->peer, ex->client->peer, sizeof(t->peer));
    memcpy(t->model, model, model_bytes);
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
    if (ex->recording)
        ex->recording->waited_ms = (int64_t)age_ms(ex->recording);
}

const struct http_head *recording_request(const struct recording *t, const char **ret_bytes)
{
    struct http_head *head = t->request ? t->request : t->ex->head;
    *ret_bytes = head_copy_bytes(head);
    return head;
}

void recording_put_metadata(const struct recording *t, struct buf *out)
{
    const char *selector = t->ex->ask.selector;
    if (!t->has_priority && !selector)
        return;
    buf_char(out, '{');
    if (t->has_priority) {
        buf_text(out, "\"fifo_priority\":\"");
        buf_whole(out, t->priority);
        buf_char(out, '"');
    }
    if (selector) {
        buf_text(out, t->has_priority ? ",\"selector\":" : "\"selector\":");
        buf_json_text(out, selector);
    }
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
    t->captured = ex->server->captures.bytes_max > 0;
    inflight_changed(t);
}

void recording_bytes(struct exchange *ex, const char *data, size_t n)
{
    struct recording *t = ex->recording;
    if (!t || !t->tap)
        return;
    t->answer_bytes += n;
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

void recording_over(struct exchange *ex, enum ended how)
{
    struct server *s = ex->server;
    struct recording *t = ex->recording;
    if (!t)
        return;
    list_remove(&s->in_flight, &t->link);
    inflight_gone(s, t->id);
    int64_t id = history_add(s, row_of(t, how));
    if (t->captured)
        keep_capture(s, t, id);
    give_up_capture(t);
    ex->recording = NULL;
    tap_free(t->tap);
    free(t->request);
    free(t->answer);
    free(t);
    tell_over(s, id);
}
