#include "server/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/tap.h"
#include "server/redact.h"
#include "server/server.h"

/* ---- what is recorded ---- */

/* The path as the model's server sees it; not terminated. */
static const char *path_of(const struct exchange *ex, size_t *ret_len)
{
    struct http_span path = ex->head->path;
    uint32_t skip = ex->ask.path_skip < path.len ? ex->ask.path_skip : 0;
    *ret_len = ex->ask.path ? strlen(ex->ask.path) : path.len - skip;
    return ex->ask.path ? ex->ask.path : ex->bytes + path.off + skip;
}

static bool is_inference(const struct exchange *ex)
{
    const struct server_api *api = ex->client->api;
    struct route_request want = {.method = "POST", .method_len = 4};
    const char *allow;
    if (ex->route->kind != ROUTE_MODEL_PATH)
        return ex->route->kind == ROUTE_MODEL_BODY;
    want.path = path_of(ex, &want.path_len);
    const struct route *inner = api->find(api, &want, &allow);
    return inner && inner->kind == ROUTE_MODEL_BODY;
}

static bool is_recorded(const struct exchange *ex)
{
    return ex->route && ex->head && ex->client &&
           http_span_equal(ex->bytes, ex->head->method, "POST") && is_inference(ex);
}

/* Cut to fit. */
static void copy(char *to, size_t size, const char *text, size_t n)
{
    n = n < size ? n : size - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

/* Whom a proxy in front of wharf says that it comes from, else the connection's other end. */
static void note_remote(const struct exchange *ex, struct recording *t)
{
    const struct http_field *f = http_head_find(ex->head, HTTP_FIELD_X_FORWARDED_FOR);
    if (!f)
        f = http_head_find_text(ex->head, ex->bytes, "x-real-ip");
    const char *text = f ? ex->bytes + f->value.off : ex->client->peer;
    size_t n = f ? f->value.len : strlen(text);
    const char *comma = memchr(text, ',', n);
    copy(t->remote, sizeof(t->remote), text, comma ? (size_t)(comma - text) : n);
}

static const char *model_of(const struct exchange *ex)
{
    if (ex->peer)
        return ex->peer->names.items[ex->peer_model];
    return ex->slot == CORE_SLOT_NONE ? "" : roster_id(&ex->server->roster, ex->slot);
}

/* What llama-swap notes of a request: a JSON object, or "" for none. */
static char *metadata_of(const struct exchange *ex)
{
    const struct config_model *m = roster_model(&ex->server->roster, ex->slot);
    struct buf json = {0};
    if (!m && !ex->ask.selector)
        return alloc_text("");
    buf_char(&json, '{');
    if (m)
        buf_printf(&json, "\"fifo_priority\":\"%d\"", (int)m->priority);
    if (ex->ask.selector) {
        buf_text(&json, m ? ",\"selector\":" : "\"selector\":");
        buf_json_text(&json, ex->ask.selector);
    }
    buf_char(&json, '}');
    return buf_take(&json);
}

static struct recording *record(struct exchange *ex)
{
    struct server *s = ex->server;
    struct recording *t = alloc_zeroed(1, sizeof(*t));
    struct http_span method = ex->head->method;
    size_t path_len;
    const char *path = path_of(ex, &path_len);
    struct buf fields = {0};
    t->id = ++s->in_flight_id;
    t->ex = ex;
    t->started_s = time(NULL);
    t->started_ns = uv_hrtime();
    t->waited_ms = -1;
    t->model = alloc_text(model_of(ex));
    t->path = alloc_text_n(path, path_len < RECORDING_PATH_MAX ? path_len : RECORDING_PATH_MAX);
    copy(t->method, sizeof(t->method), ex->bytes + method.off, method.len);
    note_remote(ex, t);
    redact_fields(ex->head, ex->bytes, &fields);
    t->request_fields = buf_take(&fields);
    t->metadata = metadata_of(ex);
    list_push(&s->in_flight, &t->link);
    ex->recording = t;
    return t;
}

void recording_begin(struct exchange *ex)
{
    if (!ex->recording && is_recorded(ex))
        record(ex);
}

void recording_granted(struct exchange *ex)
{
    if (ex->recording)
        ex->recording->waited_ms = (int64_t)((uv_hrtime() - ex->recording->started_ns) / NS_PER_MS);
}

/* ---- captures ---- */

static void capture_request(struct exchange *ex, struct recording *t)
{
    struct server *s = ex->server;
    uint64_t size = body_size(&ex->body), at = 0;
    if (!captures_request_body(t->path))
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
    if (!t->capture || t->status != 200 || !captures_answer_body(t->path))
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
    t->content_type = head ? alloc_text_n(a.type, a.type_len) : alloc_text("application/json");
    t->tap = tap_new(&a);
}

void recording_head(struct exchange *ex, unsigned status, const struct http_head *head,
                    const char *bytes)
{
    struct recording *t = ex->recording;
    struct buf fields = {0};
    /* What fails before its model is known is recorded too, but not who has no key. */
    if (!t && !head && status != 401 && is_recorded(ex))
        t = record(ex);
    if (!t || t->tap)
        return;
    t->status = status;
    t->own = !head;
    begin_tap(t, head, bytes);
    if (head)
        redact_fields(head, bytes, &fields);
    else
        buf_text(&fields, "{}");
    t->answer_fields = buf_take(&fields);
    t->capture = captures_begin(&ex->server->captures, strlen(t->path) + strlen(t->request_fields) +
                                                           strlen(t->answer_fields));
    if (t->capture)
        capture_request(ex, t);
}

void recording_bytes(struct exchange *ex, const char *data, size_t n)
{
    struct recording *t = ex->recording;
    if (!t || !t->tap)
        return;
    t->answer_bytes += n;
    tap_feed(t->tap, data, n);
    capture_answer(t, data, n);
}

/* ---- the end ---- */

static const char *word_for(const struct recording *t, enum ended how)
{
    if (how == ENDED_GONE)
        return "gone";
    return how == ENDED_DONE || t->own ? "done" : "cut";
}

/* Who leaves before there is an answer stands as 200 with nothing, as in llama-swap; how it ended
 * says the rest. */
static struct store_row *row_of(struct recording *t, enum ended how)
{
    struct store_row *r = alloc_zeroed(1, sizeof(*r));
    struct tap_counts c = {0};
    struct buf error = {0};
    if (t->tap)
        tap_end(t->tap, &c, &error);
    uint64_t took_ms = (uv_hrtime() - t->started_ns) / NS_PER_MS;
    *r = (struct store_row){
        .created_s = t->started_s,
        .model = t->model,
        .path = t->path,
        .content_type = t->content_type ? t->content_type : alloc_text(""),
        .error = buf_take(&error),
        .metadata = t->metadata,
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
    const char *word = word_for(t, how);
    copy(r->ended, sizeof(r->ended), word, strlen(word));
    t->model = t->path = t->content_type = t->metadata = NULL;
    return r;
}

static void release(struct recording *t)
{
    free(t->model);
    free(t->path);
    free(t->metadata);
    free(t->content_type);
    free(t->request_fields);
    free(t->answer_fields);
    tap_free(t->tap);
    free(t);
}

/* At the end of the daemon nobody is told: its followers are being let go. */
static void tell_over(struct server *s, int64_t id)
{
    char json[40];
    if (s->stopping || s->changes.feed.followers.count == 0)
        return;
    snprintf(json, sizeof(json), "{\"id\":%lld}", (long long)id);
    changes_tell(s, "activity", json);
}

void recording_over(struct exchange *ex, enum ended how)
{
    struct server *s = ex->server;
    struct recording *t = ex->recording;
    if (!t)
        return;
    ex->recording = NULL;
    list_remove(&s->in_flight, &t->link);
    if (t->capture) {
        t->capture->path = alloc_text(t->path);
        t->capture->request_fields = t->request_fields;
        t->capture->answer_fields = t->answer_fields;
        t->request_fields = t->answer_fields = NULL;
    }
    int64_t id = history_add(s, row_of(t, how));
    if (t->capture)
        captures_keep(&s->captures, t->capture, id);
    release(t);
    tell_over(s, id);
}
