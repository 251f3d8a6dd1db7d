/* Questions about the history. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "store_priv.h"

static const struct {
    const char *word, *column;
} sorts[] = {
    {"id", "a.id"},
    {"time", "ts_created"},
    {"model", "model_id"},
    {"req_path", "req_path"},
    {"resp_status_code", "resp_status_code"},
    {"resp_content_type", "resp_content_type"},
    {"cached", "cache_tokens"},
    {"prompt", "input_tokens"},
    {"generated", "output_tokens"},
    {"drafted", "draft_tokens"},
    {"prompt_speed", "prompt_per_second"},
    {"gen_speed", "tokens_per_second"},
    {"duration", "duration_ms"},
};

int store_sort_find(const char *word)
{
    for (size_t i = 0; i < countof(sorts); i++)
        if (strcmp(sorts[i].word, word) == 0)
            return (int)i;
    return -1;
}

static void put_models(const struct store_query *q, struct buf *sql)
{
    if (q->model_count == 0)
        return;
    buf_text(sql, " and model_id in (?");
    for (uint32_t i = 1; i < q->model_count; i++)
        buf_text(sql, ",?");
    buf_char(sql, ')');
}

/* Prepares it, with the models bound first. NULL: it cannot be. */
static sqlite3_stmt *prepare(sqlite3 *db, const struct store_query *q, const struct buf *sql)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql->data, -1, &st, NULL) != SQLITE_OK)
        return NULL;
    for (uint32_t i = 0; i < q->model_count; i++)
        sqlite3_bind_text(st, (int)i + 1, q->models[i], -1, SQLITE_STATIC);
    return st;
}

static const char *text_of(sqlite3_stmt *st, int column)
{
    return (const char *)sqlite3_column_text(st, column);
}

static struct store_row *read_row(sqlite3_stmt *st)
{
    struct store_row r = {
        .id = sqlite3_column_int64(st, 0),
        .created_s = sqlite3_column_int64(st, 1),
        .model = text_of(st, 2),
        .path = text_of(st, 3),
        .content_type = text_of(st, 4),
        .status = sqlite3_column_int64(st, 5),
        .cached = sqlite3_column_int64(st, 6),
        .drafted = sqlite3_column_int64(st, 7),
        .draft_accepted = sqlite3_column_int64(st, 8),
        .input = sqlite3_column_int64(st, 9),
        .output = sqlite3_column_int64(st, 10),
        .prompt_per_second = sqlite3_column_double(st, 11),
        .output_per_second = sqlite3_column_double(st, 12),
        .duration_ms = sqlite3_column_int64(st, 13),
        .error = text_of(st, 14),
        .metadata = text_of(st, 15),
        .waited_ms = sqlite3_column_type(st, 16) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 16),
        .ended = text_of(st, 17),
    };
    return store_row_new(&r);
}

static void put_range(const struct store_query *q, struct buf *sql)
{
    buf_text(sql, " from activity a left join activity_wharf w on w.id = a.id where 1");
    put_models(q, sql);
    buf_printf(sql, " and ts_created between %lld and %lld and a.id between %lld and %lld",
               (long long)q->start_s, (long long)q->end_s, (long long)q->id_min,
               (long long)q->id_max);
}

static bool count_rows(sqlite3 *db, struct store_query *q)
{
    struct buf sql = {0};
    buf_text(&sql, "select count(*)");
    put_range(q, &sql);
    sqlite3_stmt *st = prepare(db, q, &sql);
    bool done = st && sqlite3_step(st) == SQLITE_ROW;
    if (done)
        q->total = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    buf_fini(&sql);
    return done;
}

static bool list_rows(sqlite3 *db, struct store_query *q)
{
    struct buf sql = {0};
    const char *order = q->ascending ? "asc" : "desc";
    buf_text(&sql, "select a.id, ts_created, model_id, req_path, resp_content_type,"
                   " resp_status_code, cache_tokens, draft_tokens, draft_acc_tokens, input_tokens,"
                   " output_tokens, prompt_per_second, tokens_per_second, duration_ms, error_msg,"
                   " metadata_json, w.waited_ms, w.ended");
    put_range(q, &sql);
    buf_printf(&sql, " order by %s %s, a.id %s limit %u offset %llu", sorts[q->sort].column, order,
               order, q->limit, (unsigned long long)(q->page - 1) * q->limit);
    sqlite3_stmt *st = prepare(db, q, &sql);
    buf_fini(&sql);
    if (!st)
        return false;
    q->rows = alloc_zeroed(q->limit, sizeof(struct store_row *));
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && q->row_count < q->limit)
        q->rows[q->row_count++] = read_row(st);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE;
}

static bool sum_up(sqlite3 *db, struct store_query *q)
{
    struct buf sql = {0};
    struct store_stats *s = &q->stats;
    buf_text(&sql, "select count(*), total(max(input_tokens, 0)), total(max(output_tokens, 0)),"
                   " total(max(cache_tokens, 0)) from activity where 1");
    put_models(q, &sql);
    sqlite3_stmt *st = prepare(db, q, &sql);
    bool done = st && sqlite3_step(st) == SQLITE_ROW;
    if (done) {
        s->requests = sqlite3_column_int64(st, 0);
        s->input = sqlite3_column_int64(st, 1);
        s->output = sqlite3_column_int64(st, 2);
        s->cached = sqlite3_column_int64(st, 3);
    }
    sqlite3_finalize(st);
    buf_fini(&sql);
    return done;
}

static bool spread(sqlite3 *db, const struct store_query *q, const char *column,
                   struct store_histogram *ret)
{
    struct buf sql = {0};
    uint64_t count = 0, room = 0;
    double *values = NULL;
    buf_printf(&sql, "select %s from activity where %s > 0", column, column);
    put_models(q, &sql);
    sqlite3_stmt *st = prepare(db, q, &sql);
    buf_fini(&sql);
    if (!st)
        return false;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (count == room) {
            room = room ? room * 2 : 64;
            values = alloc_grow(values, room, sizeof(*values));
        }
        values[count++] = sqlite3_column_double(st, 0);
    }
    sqlite3_finalize(st);
    store_histogram(values, count, ret);
    free(values);
    return rc == SQLITE_DONE;
}

void store_answer(sqlite3 *db, struct store_query *q)
{
    if (q->what == STORE_ACTIVITY)
        q->failed = !count_rows(db, q) || !list_rows(db, q);
    else
        q->failed = !sum_up(db, q) || !spread(db, q, "prompt_per_second", &q->stats.prompt_speed) ||
                    !spread(db, q, "tokens_per_second", &q->stats.output_speed);
}

struct store_row *store_row_new(const struct store_row *from)
{
    const char *const texts[] = {from->model, from->path,     from->content_type,
                                 from->error, from->metadata, from->ended};
    size_t sizes[countof(texts)], size = sizeof(*from);
    for (size_t i = 0; i < countof(texts); i++)
        size += sizes[i] = texts[i] ? strlen(texts[i]) + 1 : 1;
    struct store_row *row = alloc_grow(NULL, size, 1);
    *row = *from;
    const char **const to[] = {&row->model, &row->path,     &row->content_type,
                               &row->error, &row->metadata, &row->ended};
    char *at = (char *)(row + 1);
    for (size_t i = 0; i < countof(texts); i++) {
        memcpy(at, texts[i] ? texts[i] : "", sizes[i]);
        *to[i] = at;
        at += sizes[i];
    }
    return row;
}

void store_query_free(struct store_query *q)
{
    if (!q)
        return;
    for (uint32_t i = 0; i < q->model_count; i++)
        free(q->models[i]);
    for (uint32_t i = 0; i < q->row_count; i++)
        free(q->rows[i]);
    free(q->rows);
    free(q);
}
