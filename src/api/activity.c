/* GET /api/metrics/activity and /api/metrics/stats: the history of requests, as llama-swap tells
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/alloc.h"
#include "base/date.h"
#include "base/pure/errors.h"
#include "http/url.h"

#define LIMIT_DEFAULT 25
#define LIMIT_MAX 999
#define VALUE_MAX 64

/* ---- what is asked ---- */

static bool parse_whole(const char *text, int64_t *ret)
{
    char *end;
    const char *digits = *text == '-' ? text + 1 : text;
    if (!*digits || strlen(digits) > 18 || digits[strspn(digits, "0123456789")])
        return false;
    *ret = strtoll(text, &end, 10);
    return true;
}

/* A sentence for what is wrong, or NULL. */
static const char *read_page(const struct exchange *ex, struct store_query *q)
{
    char value[VALUE_MAX];
    int64_t n = LIMIT_DEFAULT;
    if (api_query_value(ex, "limit", value, sizeof(value)) && !parse_whole(value, &n))
        return "invalid limit";
    if (n < 1 || n > LIMIT_MAX)
        return "limit must be between 1 and 999";
    q->limit = (uint32_t)n;
    n = 1;
    if (api_query_value(ex, "page", value, sizeof(value)) &&
        (!parse_whole(value, &n) || n < 1 || n > UINT32_MAX))
        return "page must be >= 1";
    q->page = (uint32_t)n;
    if (api_query_value(ex, "sort", value, sizeof(value))) {
        int sort = store_sort_find(value);
        if (sort < 0)
            return "invalid sort column";
        q->sort = (uint32_t)sort;
    }
    if (!api_query_value(ex, "order", value, sizeof(value)))
        return NULL;
    q->ascending = strcmp(value, "asc") == 0;
    return q->ascending || strcmp(value, "desc") == 0 ? NULL : "order must be asc or desc";
}

static const char *read_ranges(const struct exchange *ex, struct store_query *q)
{
    char value[VALUE_MAX];
    q->start_s = INT64_MIN;
    q->end_s = q->id_max = INT64_MAX;
    if (api_query_value(ex, "start", value, sizeof(value)) &&
        !date_parse_seconds(value, &q->start_s))
        return "invalid 'start' timestamp, use RFC3339 format";
    if (api_query_value(ex, "end", value, sizeof(value)) && !date_parse_seconds(value, &q->end_s))
        return "invalid 'end' timestamp, use RFC3339 format";
    if (q->start_s > q->end_s)
        return "start must be before end";
    if (api_query_value(ex, "min_id", value, sizeof(value)) &&
        (!parse_whole(value, &q->id_min) || q->id_min < 1))
        return "min_id must be >= 1";
    if (api_query_value(ex, "max_id", value, sizeof(value)) &&
        (!parse_whole(value, &q->id_max) || q->id_max < 1))
        return "max_id must be >= 1";
    return q->id_min > q->id_max ? "min_id must be <= max_id" : NULL;
}

/* By any of their names; one that is not configured any more by its id. */
static const char *read_models(const struct exchange *ex, struct store_query *q)
{
    char name[API_NAME_MAX];
    struct http_span query = ex->head->query;
    for (uint32_t i = 0;; i++) {
        int found = url_query_at(ex->bytes + query.off, query.len, "model", i, name, sizeof(name));
        if (found == 0)
            return NULL;
        if (found < 0)
            return "the model in the query cannot be read";
        if (!*name)
            continue;
        if (q->model_count == STORE_MODELS_MAX)
            return "too many models";
        uint32_t slot = roster_find(&ex->server->roster, name);
        q->models[q->model_count++] =
            alloc_text(slot == CORE_SLOT_NONE ? name : roster_id(&ex->server->roster, slot));
    }
}

static void ask(struct exchange *ex, struct history_question *q, const char *problem)
{
    if (problem) {
        store_query_free(&q->query);
        exchange_fail_error(ex, ERR_BODY_INVALID, problem);
    } else if (!history_ask(ex, q)) {
        exchange_fail_error(ex, ERR_INTERNAL, "the history cannot be asked now");
    }
}

/* ---- what is answered ---- */

static void put_number(struct buf *b, const char *name, int64_t value)
{
    buf_printf(b, ",\"%s\":%lld", name, (long long)value);
}

static void put_text(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    buf_json_text(b, text);
}

static void put_row(const struct server *s, const struct store_row *r, struct buf *b)
{
    buf_printf(b, "{\"id\":%lld,\"timestamp\":", (long long)r->id);
    api_put_time(b, r->created_s);
    put_text(b, "model", r->model);
    put_text(b, "req_path", r->path);
    put_text(b, "resp_content_type", r->content_type);
    put_number(b, "resp_status_code", r->status);
    buf_printf(b, ",\"tokens\":{\"cache_tokens\":%lld", (long long)r->cached);
    put_number(b, "draft_tokens", r->drafted);
    put_number(b, "draft_acc_tokens", r->draft_accepted);
    put_number(b, "input_tokens", r->input);
    put_number(b, "output_tokens", r->output);
    buf_printf(b, ",\"prompt_per_second\":%.10g,\"tokens_per_second\":%.10g}", r->prompt_per_second,
               r->output_per_second);
    put_number(b, "duration_ms", r->duration_ms);
    buf_printf(b, ",\"has_capture\":%s", captures_find(&s->captures, r->id) ? "true" : "false");
    if (*r->error)
        put_text(b, "error_msg", r->error);
    if (*r->metadata)
        buf_printf(b, ",\"metadata\":%s", r->metadata);
    if (*r->ended) {
        put_number(b, "waited_ms", r->waited_ms);
        put_text(b, "ended", r->ended);
    }
    buf_char(b, '}');
}

static void answer_activity(struct exchange *ex, struct store_query *q)
{
    struct buf json = {0};
    const char *sep = "";
    if (q->failed) {
        exchange_fail_error(ex, ERR_INTERNAL, "failed to get activity");
        return;
    }
    buf_text(&json, "{\"data\":[");
    for (uint32_t i = 0; i < q->row_count; i++) {
        buf_text(&json, sep);
        put_row(ex->server, q->rows[i], &json);
        sep = ",";
    }
    buf_printf(&json, "],\"page\":%u,\"limit\":%u,\"total\":%lld,\"total_pages\":%lld}", q->page,
               q->limit, (long long)q->total, (long long)((q->total + q->limit - 1) / q->limit));
    api_send_json(ex, 200, &json);
}

static void put_histogram(struct buf *b, const char *name, const struct store_histogram *h)
{
    buf_printf(b, ",\"%s\":", name);
    if (h->values == 0) {
        buf_text(b, "null");
        return;
    }
    buf_text(b, "{\"bins\":");
    for (uint32_t i = 0; i < h->bin_count; i++)
        buf_printf(b, "%c%llu", i == 0 ? '[' : ',', (unsigned long long)h->bins[i]);
    buf_printf(b,
               "],\"min\":%.10g,\"max\":%.10g,\"binSize\":%.10g,\"p50\":%.10g,\"p95\":%.10g,"
               "\"p99\":%.10g}",
               h->min, h->max, h->bin_size, h->p50, h->p95, h->p99);
}

static void answer_stats(struct exchange *ex, struct store_query *q)
{
    struct buf json = {0};
    if (q->failed) {
        exchange_fail_error(ex, ERR_INTERNAL, "failed to get stats");
        return;
    }
    buf_printf(&json, "{\"total_requests\":%lld", (long long)q->stats.requests);
    put_number(&json, "total_input_tokens", q->stats.input);
    put_number(&json, "total_output_tokens", q->stats.output);
    put_number(&json, "total_cache_tokens", q->stats.cached);
    put_histogram(&json, "prompt_histogram", &q->stats.prompt_speed);
    put_histogram(&json, "gen_histogram", &q->stats.output_speed);
    buf_char(&json, '}');
    api_send_json(ex, 200, &json);
}

void api_activity(struct server *s, struct exchange *ex)
{
    struct history_question *q = alloc_zeroed(1, sizeof(*q));
    (void)s;
    q->query.what = STORE_ACTIVITY;
    q->answer = answer_activity;
    const char *problem = read_page(ex, &q->query);
    if (!problem)
        problem = read_ranges(ex, &q->query);
    if (!problem)
        problem = read_models(ex, &q->query);
    ask(ex, q, problem);
}

void api_stats(struct server *s, struct exchange *ex)
{
    struct history_question *q = alloc_zeroed(1, sizeof(*q));
    (void)s;
    q->query.what = STORE_STATS;
    q->answer = answer_stats;
    ask(ex, q, read_models(ex, &q->query));
}
