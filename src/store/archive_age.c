/* The archive within its bounds: old rows leave, and old samples are put together. A little with
 * each batch of rows that is written, so that nobody waits for it. */
#include <string.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "store/archive_priv.h"
#include "store/store_priv.h"

#define SECOND_MS 1000
#define HOUR_MS (3600 * SECOND_MS)
/* Clocks that differ by less agree: they are set by a little all the time. */
#define CLOCKS_AGREE_MS (60 * SECOND_MS)
/* Deleted with one batch, beyond as many as are new, and how often for the file's size. */
#define DELETED_AT_ONCE 500
#define DELETED_TIMES_MAX 8
/* Pages given back with one batch, and how many may be free without being given back. */
#define PAGES_AT_ONCE 256
#define PAGES_FREE_MAX 256
/* Beside the file, its log of writes: up to a checkpoint, and the batch that leads to it. */
#define LOG_BYTES (2 * MIB)
#define SAMPLES_EVERY_MS (10 * SECOND_MS)

/* ---- time ---- */

void archive_clock_init(struct archive *a, int64_t stamp_ms)
{
    int64_t steady = a->steady_ms(), offset = a->wall_ms() - steady;
    if (a->clock.known)
        return;
    /* The time since the last write is not known; that there was none is believed first. */
    a->clock =
        (struct archive_clock){.known = true, .offset_ms = stamp_ms ? stamp_ms - steady : offset};
}

/* A clock that is wrong for a while, as one that a machine starts with often is, would make all
 * rows old: it has to have been right for an hour before they are. */
int64_t archive_now_ms(struct archive *a)
{
    struct archive_clock *c = &a->clock;
    int64_t steady = a->steady_ms(), offset = a->wall_ms() - steady;
    int64_t step = offset - c->other_offset_ms;
    bool agrees =
        offset - c->offset_ms < CLOCKS_AGREE_MS && c->offset_ms - offset < CLOCKS_AGREE_MS;
    bool holds = c->doubted && step <= CLOCKS_AGREE_MS && step >= -CLOCKS_AGREE_MS;
    if (agrees || (holds && steady - c->other_since_ms >= HOUR_MS)) {
        c->offset_ms = offset;
        c->doubted = false;
    } else if (!holds) {
        c->doubted = true;
        c->other_offset_ms = offset;
        c->other_since_ms = steady;
    }
    return steady + (offset < c->offset_ms ? offset : c->offset_ms);
}

/* ---- rows ---- */

static int expire(struct archive *a, enum archive_table t, int64_t until_ms, uint64_t max)
{
    sqlite3_bind_int64(a->expire[t], 1, until_ms);
    sqlite3_bind_int64(a->expire[t], 2, (int64_t)max);
    int rc = sqlite3_step(a->expire[t]);
    sqlite3_reset(a->expire[t]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int expire_old(struct archive *a, int64_t now_ms, uint64_t age_ms_max, uint64_t max)
{
    int rc = SQLITE_OK;
    int64_t until_ms = now_ms - (int64_t)age_ms_max;
    if (!age_ms_max || age_ms_max > (uint64_t)now_ms)
        return rc;
    for (int t = 0; t < ARCHIVE__COUNT && rc == SQLITE_OK; t++)
        if (t != ARCHIVE_SAMPLES)
            rc = expire(a, (enum archive_table)t, until_ms, max);
    return rc;
}

/* The table with the oldest row of all; ARCHIVE__COUNT: they are empty. */
static int find_oldest(struct archive *a, enum archive_table *ret)
{
    int64_t oldest = INT64_MAX;
    int rc = SQLITE_OK;
    *ret = ARCHIVE__COUNT;
    for (int t = 0; t < ARCHIVE__COUNT && rc == SQLITE_OK; t++) {
        int64_t time = INT64_MAX;
        rc = archive_read_number(a->oldest[t], &time);
        if (time < oldest) {
            oldest = time;
            *ret = (enum archive_table)t;
        }
    }
    return rc;
}

struct pages {
    int64_t all, free;
};

static int count_pages(struct archive *a, struct pages *ret)
{
    int rc = archive_read_number(a->pages, &ret->all);
    return rc == SQLITE_OK ? archive_read_number(a->free_pages, &ret->free) : rc;
}

static int64_t pages_max(struct archive *a, uint64_t bytes_max)
{
    int64_t page = 4096;
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(a->db, "pragma page_size", -1, &st, NULL) == SQLITE_OK)
        (void)archive_read_number(st, &page);
    sqlite3_finalize(st);
    return (int64_t)(bytes_max > LOG_BYTES ? bytes_max - LOG_BYTES : 0) / page;
}

static int shrink(struct archive *a, int64_t max, uint64_t at_once)
{
    struct pages p = {0, 0};
    int rc = count_pages(a, &p);
    for (int i = 0; rc == SQLITE_OK && p.all - p.free > max && i < DELETED_TIMES_MAX; i++) {
        enum archive_table t;
        rc = find_oldest(a, &t);
        if (rc == SQLITE_OK && t == ARCHIVE__COUNT)
            break;
        if (rc == SQLITE_OK)
            rc = expire(a, t, INT64_MAX, at_once);
        if (rc == SQLITE_OK)
            rc = count_pages(a, &p);
    }
    if (rc == SQLITE_OK && p.free && (p.all > max || p.free > PAGES_FREE_MAX)) {
        char sql[48];
        sqlite3_snprintf(sizeof(sql), sql, "pragma incremental_vacuum(%d)", PAGES_AT_ONCE);
        rc = store_exec(a->db, sql);
    }
    return rc;
}

/* ---- samples ---- */

/* How long a step is, and how old its samples become. */
static const struct {
    int64_t span_s, age_ms;
} levels[ARCHIVE_LEVELS] = {{1, HOUR_MS}, {10, 24 * HOUR_MS}, {60, 7 * 24 * HOUR_MS}, {600, 0}};

/* Of the columns of a gauge: what all values were, where they were the same, is not written twice.
 */
static void put_gauge(struct buf *sql, const char *q)
{
    buf_printf(sql, ", sum(%s)", q);
    buf_printf(sql,
               ", nullif(sum(case when %s is null then 0 else coalesce(%s_n, samples) end),"
               " sum(samples))",
               q, q);
    const char *const ends[] = {"min", "max"};
    for (size_t i = 0; i < countof(ends); i++)
        buf_printf(sql,
                   ", case when max(coalesce(%s_max, %s / coalesce(%s_n, samples))) >"
                   " min(coalesce(%s_min, %s / coalesce(%s_n, samples))) then"
                   " %s(coalesce(%s_%s, %s / coalesce(%s_n, samples))) end",
                   q, q, q, q, q, q, ends[i], q, ends[i], q, q);
}

static void put_columns(struct buf *sql, bool values)
{
    for (uint32_t i = ARCHIVE_SAMPLES_total_bytes; i < archive_column_end(ARCHIVE_SAMPLES); i++) {
        const char *q = archive_columns[i].name;
        if (values)
            put_gauge(sql, q);
        else
            buf_printf(sql, ", %s, %s_n, %s_min, %s_max", q, q, q, q);
    }
}

/* Those of one step, from and until then, become samples of the next. */
static int put_together(struct archive *a, uint32_t level, int64_t from_ms, int64_t until_ms)
{
    struct buf sql = {0};
    long long span = levels[level].span_s, next = levels[level + 1].span_s;
    long long step = next * SECOND_MS, from = from_ms, until = until_ms;
    buf_text(&sql, "insert into samples (id, at, device, span_s, samples");
    put_columns(&sql, false);
    buf_printf(&sql,
               ") select %lld + row_number() over (), at / %lld * %lld, device, %lld, sum(samples)",
               (long long)a->last_id[ARCHIVE_SAMPLES], step, step, next);
    put_columns(&sql, true);
    buf_printf(&sql,
               " from samples where at >= %lld and at < %lld and span_s = %lld"
               " group by device, at / %lld;",
               from, until, span, step);
    buf_printf(&sql, "delete from samples where at >= %lld and at < %lld and span_s = %lld", from,
               until, span);
    int rc = store_exec(a->db, sql.data);
    buf_fini(&sql);
    int64_t last = 0;
    if (rc == SQLITE_OK)
        rc = archive_read_number(a->newest_sample, &last);
    if (last > a->last_id[ARCHIVE_SAMPLES])
        a->last_id[ARCHIVE_SAMPLES] = last;
    return rc;
}

static int age_samples(struct archive *a, int64_t now_ms)
{
    int rc = SQLITE_OK;
    for (uint32_t i = 0; i + 1 < ARCHIVE_LEVELS && rc == SQLITE_OK; i++) {
        int64_t step = levels[i + 1].span_s * SECOND_MS;
        /* Whole steps only: what is put together once is not added to. */
        int64_t until = (now_ms - levels[i].age_ms) / step * step;
        if (until <= a->aged_ms[i])
            continue;
        rc = put_together(a, i, a->aged_ms[i], until);
        if (rc == SQLITE_OK)
            a->aged_ms[i] = until;
    }
    return rc;
}

int archive_age(struct archive *a, uint64_t written)
{
    pthread_mutex_lock(&a->lock);
    struct archive_bounds bounds = a->bounds;
    pthread_mutex_unlock(&a->lock);
    int64_t now_ms = archive_now_ms(a), steady = a->steady_ms();
    int rc = archive_file_stamp(a, ARCHIVE_STAMP_TIME, now_ms);
    uint64_t at_once = DELETED_AT_ONCE + written;
    if (rc == SQLITE_OK)
        rc = expire_old(a, now_ms, bounds.age_ms_max, at_once);
    if (rc == SQLITE_OK && (!a->aged_at_ms || steady - a->aged_at_ms >= SAMPLES_EVERY_MS)) {
        rc = age_samples(a, now_ms);
        a->aged_at_ms = steady;
    }
    return rc == SQLITE_OK ? shrink(a, pages_max(a, bounds.bytes_max), at_once) : rc;
}
