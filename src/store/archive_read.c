/* Questions about the archive: a page of a table, as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/csv.h"
#include "base/date.h"
#include "base/pure/units.h"
#include "store/archive_priv.h"

/* Rows that are looked at for one answer, found or not: others wait behind it. */
#define LOOKED_AT_MAX 200000

/* ---- cursors ---- */

bool archive_is_cursor(const char *text)
{
    long long time, id;
    int used = 0;
    return strlen(text) < ARCHIVE_CURSOR_MAX && text[strspn(text, "0123456789-")] == '\0' &&
           sscanf(text, "%lld-%lld%n", &time, &id, &used) == 2 && text[used] == '\0';
}

/* ---- values ---- */

struct reading {
    struct archive *archive;
    struct archive_question *q;
    sqlite3_stmt *st;
    struct buf *out;
};

/* Where a column of archive.def stands in the answer: the id is first, and a gauge has four. */
static int place_of(uint32_t column)
{
    int place = 1;
    for (uint32_t i = archive_column_first(archive_columns[column].table); i < column; i++)
        place += archive_columns[i].type == ARCHIVE_GAUGE ||
                         archive_columns[i].type == ARCHIVE_GAUGE_MILLI
                     ? 4
                     : 1;
    return place;
}

static void put_time(struct buf *out, int64_t ms)
{
    char text[DATE_TEXT_MAX];
    date_format_seconds(ms / 1000, text);
    /* 2026-01-31T12:00:00Z, with the thousandths before the Z */
    buf_printf(out, "%.*s.%03dZ", (int)strlen(text) - 1, text, (int)(ms % 1000));
}

static void put_trace(struct buf *out, const unsigned char *bytes, int n)
{
    for (int i = 0; i < n; i++)
        buf_printf(out, "%02x", bytes[i]);
}

struct gauge {
    double min, mean, max;
};

static struct gauge read_gauge(const struct reading *r, uint32_t column, int place)
{
    double unit = archive_columns[column].type == ARCHIVE_GAUGE_MILLI ? 1000 : 1;
    int all = place_of(ARCHIVE_SAMPLES_samples);
    bool some = sqlite3_column_type(r->st, place + 1) != SQLITE_NULL;
    bool range = sqlite3_column_type(r->st, place + 2) != SQLITE_NULL;
    int64_t n = sqlite3_column_int64(r->st, some ? place + 1 : all);
    double mean = (double)sqlite3_column_int64(r->st, place) / (n > 0 ? (double)n : 1) / unit;
    return (struct gauge){
        .min = range ? (double)sqlite3_column_int64(r->st, place + 2) / unit : mean,
        .mean = mean,
        .max = range ? (double)sqlite3_column_int64(r->st, place + 3) / unit : mean};
}

static const char *text_at(const struct reading *r, enum archive_type type, int place)
{
    if (type == ARCHIVE_NAME || type == ARCHIVE_LIST)
        return archive_name_text(r->archive, sqlite3_column_int64(r->st, place));
    return (const char *)sqlite3_column_text(r->st, place);
}

static void put_number(struct buf *out, enum archive_type type, int64_t n)
{
    if (type == ARCHIVE_TIME)
        put_time(out, n);
    else if (type == ARCHIVE_MILLIS)
        buf_printf(out, "%" PRId64 ".%03d", n / 1000, (int)(n % 1000));
    else if (type == ARCHIVE_FLAG)
        buf_text(out, n ? "true" : "false");
    else
        buf_whole(out, n);
}

/* ---- JSON ---- */

static void put_json_text(struct buf *out, enum archive_type type, const char *text)
{
    if (type == ARCHIVE_LIST)
        buf_text(out, text ? text : "[]");
    else if (!text || !*text)
        buf_text(out, "null");
    else if (type == ARCHIVE_JSON)
        buf_text(out, text);
    else
        buf_json_text(out, text);
}

static void put_json(const struct reading *r, uint32_t column, int place)
{
    enum archive_type type = archive_columns[column].type;
    bool none = sqlite3_column_type(r->st, place) == SQLITE_NULL;
    if (type == ARCHIVE_GAUGE || type == ARCHIVE_GAUGE_MILLI) {
        struct gauge g = read_gauge(r, column, place);
        if (none)
            buf_text(r->out, "null");
        else
            buf_printf(r->out, "{\"min\":%.15g,\"mean\":%.15g,\"max\":%.15g}", g.min, g.mean,
                       g.max);
    } else if (type == ARCHIVE_TRACE && !none) {
        buf_char(r->out, '"');
        put_trace(r->out, sqlite3_column_blob(r->st, place), sqlite3_column_bytes(r->st, place));
        buf_char(r->out, '"');
    } else if (archive_type_is_text(type)) {
        put_json_text(r->out, type, none ? NULL : text_at(r, type, place));
    } else if (none) {
        buf_text(r->out, "null");
    } else {
        buf_text(r->out, type == ARCHIVE_TIME ? "\"" : "");
        put_number(r->out, type, sqlite3_column_int64(r->st, place));
        buf_text(r->out, type == ARCHIVE_TIME ? "\"" : "");
    }
}

static void put_row_json(const struct reading *r)
{
    buf_printf(r->out, "%s{\"id\":%" PRId64, r->q->row_count ? "," : "",
               (int64_t)sqlite3_column_int64(r->st, 0));
    for (uint32_t i = archive_column_first(r->q->table); i < archive_column_end(r->q->table); i++) {
        buf_printf(r->out, ",\"%s\":", archive_columns[i].name);
        put_json(r, i, place_of(i));
    }
    buf_char(r->out, '}');
}

/* ---- CSV (RFC 4180) ---- */

static void put_csv(const struct reading *r, uint32_t column, int place)
{
    enum archive_type type = archive_columns[column].type;
    bool none = sqlite3_column_type(r->st, place) == SQLITE_NULL;
    if (type == ARCHIVE_GAUGE || type == ARCHIVE_GAUGE_MILLI) {
        struct gauge g = read_gauge(r, column, place);
        if (none)
            buf_text(r->out, ",,");
        else
            buf_printf(r->out, "%.15g,%.15g,%.15g", g.min, g.mean, g.max);
    } else if (none) {
        return;
    } else if (type == ARCHIVE_TRACE) {
        put_trace(r->out, sqlite3_column_blob(r->st, place), sqlite3_column_bytes(r->st, place));
    } else if (archive_type_is_text(type)) {
        const char *text = text_at(r, type, place);
        csv_put_text(r->out, text ? text : "");
    } else {
        put_number(r->out, type, sqlite3_column_int64(r->st, place));
    }
}

static void put_row_csv(const struct reading *r)
{
    buf_whole(r->out, sqlite3_column_int64(r->st, 0));
    for (uint32_t i = archive_column_first(r->q->table); i < archive_column_end(r->q->table); i++) {
        buf_char(r->out, ',');
        put_csv(r, i, place_of(i));
    }
    buf_text(r->out, "\r\n");
}

void archive_put_headings(enum archive_table table, struct buf *out)
{
    buf_text(out, "id");
    for (uint32_t i = archive_column_first(table); i < archive_column_end(table); i++) {
        const char *name = archive_columns[i].name;
        if (archive_columns[i].type == ARCHIVE_GAUGE ||
            archive_columns[i].type == ARCHIVE_GAUGE_MILLI)
            buf_printf(out, ",%s_min,%s_mean,%s_max", name, name, name);
        else
            buf_printf(out, ",%s", name);
    }
    buf_text(out, "\r\n");
}

/* ---- for whoever wants no text ---- */

/* A gauge is its mean. */
static void give_row(const struct reading *r)
{
    struct archive_draft d;
    char *texts[ARCHIVE_COLUMNS_MAX] = {NULL};
    uint32_t first = archive_column_first(r->q->table), end = archive_column_end(r->q->table);
    archive_draft_init(&d, r->q->table);
    for (uint32_t i = first; i < end; i++) {
        int place = place_of(i);
        enum archive_type type = archive_columns[i].type;
        if (sqlite3_column_type(r->st, place) == SQLITE_NULL || type == ARCHIVE_TRACE)
            continue;
        if (archive_type_is_text(type)) {
            const char *text = text_at(r, type, place);
            texts[i - first] = text ? alloc_text(text) : NULL;
            d.values[i - first].text = texts[i - first];
        } else if (type == ARCHIVE_GAUGE || type == ARCHIVE_GAUGE_MILLI) {
            double unit = type == ARCHIVE_GAUGE_MILLI ? 1000 : 1;
            d.values[i - first].number = (int64_t)(read_gauge(r, i, place).mean * unit);
        } else {
            d.values[i - first].number = sqlite3_column_int64(r->st, place);
        }
    }
    r->q->on_row(r->q->arg, &d);
    for (size_t i = 0; i < ARCHIVE_COLUMNS_MAX; i++)
        free(texts[i]);
}

/* ---- the question ---- */

static sqlite3_stmt *prepare(struct archive *a, const struct archive_question *q)
{
    struct buf sql = {0};
    int rc = SQLITE_OK;
    const char *time = archive_columns[archive_column_first(q->table)].name;
    const char *order = q->ascending ? "asc" : "desc";
    buf_text(&sql, "select id");
    for (uint32_t i = archive_column_first(q->table); i < archive_column_end(q->table); i++) {
        const char *name = archive_columns[i].name;
        buf_printf(&sql, ",%s", name);
        if (archive_columns[i].type == ARCHIVE_GAUGE ||
            archive_columns[i].type == ARCHIVE_GAUGE_MILLI)
            buf_printf(&sql, ",%s_n,%s_min,%s_max", name, name, name);
    }
    buf_printf(&sql, " from %s where %s between ? and ?", archive_table_names[q->table], time);
    if (*q->after)
        buf_printf(&sql, " and (%s, id) %s (?, ?)", time, q->ascending ? ">" : "<");
    buf_printf(&sql, " order by %s %s, id %s", time, order, order);
    sqlite3_stmt *st = archive_prepare(a, sql.data, &rc);
    buf_fini(&sql);
    if (!st)
        return NULL;
    long long after_ms = 0, after_id = 0, start_ms = q->start_ms, end_ms = q->end_ms;
    if (*q->after && sscanf(q->after, "%lld-%lld", &after_ms, &after_id) == 2) {
        /* The index is entered where the page begins: by the pairs alone it is gone through. */
        if (q->ascending && after_ms > start_ms)
            start_ms = after_ms;
        if (!q->ascending && after_ms < end_ms)
            end_ms = after_ms;
        sqlite3_bind_int64(st, 3, after_ms);
        sqlite3_bind_int64(st, 4, after_id);
    }
    sqlite3_bind_int64(st, 1, start_ms);
    sqlite3_bind_int64(st, 2, end_ms);
    return st;
}

/* Whether the row is one of those that are asked for. */
static bool is_meant(const struct reading *r, int64_t name)
{
    uint32_t column = (uint32_t)archive_filter(r->q->table);
    int place = place_of(column);
    if (!r->q->filter)
        return true;
    if (archive_columns[column].type == ARCHIVE_NAME)
        return name && sqlite3_column_int64(r->st, place) == name;
    const char *text = (const char *)sqlite3_column_text(r->st, place);
    return text && strcmp(text, r->q->filter) == 0;
}

static void put_row(const struct reading *r)
{
    if (r->q->on_row)
        give_row(r);
    else if (r->q->form == ARCHIVE_AS_CSV)
        put_row_csv(r);
    else
        put_row_json(r);
    r->q->row_count++;
}

void archive_answer(struct archive *a, struct archive_question *q)
{
    struct reading r = {.archive = a, .q = q, .st = prepare(a, q), .out = &q->text};
    int64_t name = q->filter ? archive_name_known(a, q->filter) : 0;
    uint32_t looked_at = 0;
    int rc = r.st ? SQLITE_OK : SQLITE_ERROR;
    while (r.st && (rc = sqlite3_step(r.st)) == SQLITE_ROW) {
        if (q->row_count == q->limit || looked_at == LOOKED_AT_MAX)
            break;
        looked_at++;
        if (is_meant(&r, name))
            put_row(&r);
        snprintf(q->next, sizeof(q->next), "%lld-%lld", (long long)sqlite3_column_int64(r.st, 1),
                 (long long)sqlite3_column_int64(r.st, 0));
    }
    if (rc != SQLITE_ROW)
        q->next[0] = '\0'; /* there is no more */
    q->failed = rc != SQLITE_ROW && rc != SQLITE_DONE;
    sqlite3_reset(a->name_text); /* else the file would be read on, and its log never ended */
    sqlite3_finalize(r.st);
    if (q->failed)
        (void)archive_file_failed(a, sqlite3_errcode(a->db));
}
