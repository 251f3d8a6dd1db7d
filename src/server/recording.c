#include "server/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "server/inflight.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/head_copy.h"
#include "server/proxy/tap.h"
#include "server/redact.h"
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
    t->started_ns = uv_hrtime();
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

/* By the loop's clock, which stands while it works: most are granted at once. */
static void note_granted(struct recording *t)
{
    uint64_t now_ns = uv_now(t->ex->server->loop) * NS_PER_MS;
    t->waited_ms = now_ns > t->started_ns ? (int64_t)((now_ns - t->started_ns) / NS_PER_MS) : 0;
}

void recording_granted(struct exchange *ex)
{
    if (ex->recording)
        note_granted(ex->recording);
}

void recording_head_done(struct exchange *ex)
{
    if (!ex->recording || ex->recording->request)
        return;
    ex->recording->request = ex->head;
    ex->head = NULL;
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

static void capture_request(struct exchange *ex, struct recording *t)
{
    struct server *s = ex->server;
    uint64_t size = body_size(&ex->body), at = 0;
    size_t path_len;
    const char *path = recording_path(t, &path_len);
    if (!captures_request_body(path, path_len))
        return;
    if (size > s->captures.bytes_max) {
        captures_drop(&s->captures, t->capture);
        t->capture = NULL;
    }
    while (t->capture) {
        const char *data;
        size_t n;
        if (body_peek(&ex->body, at, s->spool_scratch, SERVER_SCRATCH_BYTES, &data, &n) < 0 ||
            n == 0)
            return;
        at += n;
        if (!captures_add(&s->captures, t->capture, &t->capture->request, data, n))
            t->capture = NULL;
    }
}

static void capture_answer(struct recording *t, const char *data, size_t n)
{
    size_t path_len;
    const char *path = recording_path(t, &path_len);
    if (!t->capture || t->status != 200 || !captures_answer_body(path, path_len))
        return;
    if (!captures_add(&t->ex->server->captures, t->capture, &t->capture->answer, data, n))
        t->capture = NULL;
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
    t->capture =
        captures_begin(&ex->server->captures, head_copy_size(t->request ? t->request : ex->head) +
                                                  (t->answer ? head_copy_size(t->answer) : 0));
    if (t->capture)
        capture_request(ex, t);
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
    uint64_t took_ms = (uv_hrtime() - t->started_ns) / NS_PER_MS;
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

/* The heads are the capture's from here on. */
static void keep_capture(struct server *s, struct recording *t, int64_t id)
{
    struct capture *c = t->capture;
    recording_head_done(t->ex);
    c->path = t->path;
    c->translated = t->translated;
    c->request_head = t->request;
    c->answer_head = t->answer;
    t->request = t->answer = NULL;
    redact_erase(c->request_head, head_copy_bytes(c->request_head));
    if (c->answer_head)
        redact_erase(c->answer_head, head_copy_bytes(c->answer_head));
    captures_keep(&s->captures, c, id);
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
    if (t->capture)
        keep_capture(s, t, id);
    ex->recording = NULL;
    tap_free(t->tap);
    free(t->request);
    free(t->answer);
    free(t);
    tell_over(s, id);
}
