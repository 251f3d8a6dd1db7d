#include "store/archive.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "store/archive_priv.h"
#include "store/store_priv.h"

/* Nobody waits for rows to be in the file: those who ask have them written first. */
#define BATCH_MS 1000
#define AGAIN_MS 1000
#define BUSY_MS 250
#define BUSY_LAST_MS 2000

/* ---- on the thread ---- */

/* The 16 bytes of a trace id; false: it is none. */
static bool read_trace(const char *text, unsigned char ret[ARCHIVE_TRACE_DIGITS / 2])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < ARCHIVE_TRACE_DIGITS; i++) {
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;
        if (!at)
            return false;
        unsigned char digit = (unsigned char)(at - digits);
        ret[i / 2] = (unsigned char)(i % 2 ? ret[i / 2] | digit : digit << 4);
    }
    return text[ARCHIVE_TRACE_DIGITS] == '\0';
}

static int bind_text(struct archive *a, sqlite3_stmt *st, int place, enum archive_type type,
                     const char *text)
{
    unsigned char trace[ARCHIVE_TRACE_DIGITS / 2];
    int rc = SQLITE_OK;
    int64_t id;
    if (!text || !*text)
        return sqlite3_bind_null(st, place);
    switch (type) {
    case ARCHIVE_NAME:
    case ARCHIVE_LIST:
        id = archive_name_id(a, text, &rc);
        return rc == SQLITE_OK ? sqlite3_bind_int64(st, place, id) : rc;
    case ARCHIVE_TRACE:
        return read_trace(text, trace)
                   ? sqlite3_bind_blob(st, place, trace, sizeof(trace), SQLITE_TRANSIENT)
                   : sqlite3_bind_null(st, place);
    case ARCHIVE_TEXT:
    case ARCHIVE_JSON:
    case ARCHIVE_TIME:
    case ARCHIVE_NUMBER:
    case ARCHIVE_MILLIS:
    case ARCHIVE_FLAG:
    case ARCHIVE_GAUGE:
    case ARCHIVE_GAUGE_MILLI:
        break;
    }
    return sqlite3_bind_text(st, place, text, -1, SQLITE_STATIC);
}

static int bind(struct archive *a, sqlite3_stmt *st, int place, const struct archive_draft *d)
{
    uint32_t first = archive_column_first(d->table), end = archive_column_end(d->table);
    int rc = sqlite3_bind_int64(st, place++, ++a->last_id[d->table]);
    for (uint32_t i = first; i < end && rc == SQLITE_OK; i++, place++) {
        const union archive_value *v = &d->values[i - first];
        if (archive_type_is_text(archive_columns[i].type))
            rc = bind_text(a, st, place, archive_columns[i].type, v->text);
        else if (v->number == ARCHIVE_UNKNOWN)
            rc = sqlite3_bind_null(st, place);
        else
            rc = sqlite3_bind_int64(st, place, v->number);
    }
    return rc;
}

static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static const struct archive_draft *draft_of(const struct link *n)
{
    return &list_entry(n, struct archive_row, link)->draft;
}

/* From pos on: so many requests in a row that one statement takes them. */
static bool are_requests(const struct list *rows, const struct link *pos)
{
    int n = 0;
    for (; n < ARCHIVE_REQUESTS_AT_ONCE && pos != &rows->head; n++, pos = pos->next)
        if (draft_of(pos)->table != ARCHIVE_REQUESTS)
            return false;
    return n == ARCHIVE_REQUESTS_AT_ONCE;
}

static int insert_requests(struct archive *a, const struct link **pos)
{
    int place = 1, rc = SQLITE_OK;
    int columns =
        1 + (int)(archive_column_end(ARCHIVE_REQUESTS) - archive_column_first(ARCHIVE_REQUESTS));
    for (int i = 0; i < ARCHIVE_REQUESTS_AT_ONCE && rc == SQLITE_OK; i++) {
        rc = bind(a, a->insert_requests, place, draft_of(*pos));
        place += columns;
        *pos = (*pos)->next;
    }
    return rc == SQLITE_OK ? run(a->insert_requests) : rc;
}

static int insert(struct archive *a, const struct link **pos)
{
    const struct archive_draft *d = draft_of(*pos);
    int rc = bind(a, a->insert[d->table], 1, d);
    *pos = (*pos)->next;
    return rc == SQLITE_OK ? run(a->insert[d->table]) : rc;
}

static int stamp_ids(struct archive *a)
{
    int rc = SQLITE_OK;
    for (int t = 0; t < ARCHIVE__COUNT && rc == SQLITE_OK; t++)
        rc = archive_file_stamp(a, ARCHIVE_STAMP_IDS + t, a->last_id[t]);
    return rc;
}

static int insert_all(struct archive *a, const struct list *rows)
{
    const struct link *pos = rows->head.next;
    int rc = store_exec(a->db, "begin immediate");
    while (rc == SQLITE_OK && pos != &rows->head)
        rc = are_requests(rows, pos) ? insert_requests(a, &pos) : insert(a, &pos);
    if (rc == SQLITE_OK)
        rc = archive_age(a, rows->count);
    if (rc == SQLITE_OK)
        rc = stamp_ids(a);
    return rc == SQLITE_OK ? store_exec(a->db, "commit") : rc;
}

static void note_bytes(struct archive *a)
{
    int64_t pages = 0, page = 0;
    sqlite3_stmt *st = NULL;
    if (archive_read_number(a->pages, &pages) != SQLITE_OK ||
        sqlite3_prepare_v2(a->db, "pragma page_size", -1, &st, NULL) != SQLITE_OK)
        return;
    (void)archive_read_number(st, &page);
    sqlite3_finalize(st);
    pthread_mutex_lock(&a->lock);
    a->bytes = (uint64_t)(pages * page);
    pthread_mutex_unlock(&a->lock);
}

static int write_rows(void *arg, const struct list *rows, bool patient, uint64_t *failed)
{
    struct archive *a = arg;
    (void)failed; /* there is none that a file would not take */
    int rc = archive_file_open(a);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(a->db, patient ? BUSY_LAST_MS : BUSY_MS);
    rc = insert_all(a, rows);
    if (rc == SQLITE_OK) {
        note_bytes(a);
        return rc;
    }
    rc = archive_file_failed(a, rc);
    if (a->db && !sqlite3_get_autocommit(a->db))
        store_exec(a->db, "rollback");
    archive_names_forget(a);
    memset(a->aged_ms, 0, sizeof(a->aged_ms)); /* what was put together is not */
    return rc;
}

static const char *problem(void *arg)
{
    return ((struct archive *)arg)->why;
}

static void answer(void *arg, struct link *question, atomic_bool *ending)
{
    struct archive *a = arg;
    struct archive_question *q = list_entry(question, struct archive_question, link);
    q->failed = archive_file_open(a) != SQLITE_OK;
    if (q->failed)
        return;
    store_break_off(a->db, ending);
    archive_answer(a, q);
    if (a->db) /* it has not turned out to be damaged */
        store_break_off(a->db, NULL);
}

/* ---- for everybody ---- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t steady_ms(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

struct archive *archive_open(const struct archive_options *opt)
{
    struct archive *a = alloc_zeroed(1, sizeof(*a));
    store_configure();
    a->path = alloc_text(opt->path);
    a->bounds = opt->bounds;
    a->on_news = opt->on_news;
    a->arg = opt->arg;
    a->wall_ms = opt->wall_ms ? opt->wall_ms : wall_ms;
    a->steady_ms = opt->steady_ms ? opt->steady_ms : steady_ms;
    pthread_mutex_init(&a->lock, NULL);
    a->worker =
        worker_start(&(struct worker_options){.write = write_rows,
                                              .problem = problem,
                                              .answer = answer,
                                              .on_news = opt->on_news,
                                              .arg = a,
                                              .news_arg = opt->arg,
                                              .rows_queued_max = ARCHIVE_ROWS_QUEUED_MAX,
                                              .questions_queued_max = ARCHIVE_QUESTIONS_QUEUED_MAX,
                                              .batch_ms = BATCH_MS,
                                              .again_ms = AGAIN_MS});
    if (a->worker)
        return a;
    archive_free(a);
    return NULL;
}

void archive_bound(struct archive *a, const struct archive_bounds *bounds)
{
    pthread_mutex_lock(&a->lock);
    a->bounds = *bounds;
    pthread_mutex_unlock(&a->lock);
}

bool archive_put(struct archive *a, struct archive_row *row)
{
    return worker_put(a->worker, &row->link);
}

bool archive_ask(struct archive *a, struct archive_question *q)
{
    return worker_ask(a->worker, &q->link);
}

struct archive_question *archive_answered(struct archive *a)
{
    struct link *pos = worker_answered(a->worker);
    return pos ? list_entry(pos, struct archive_question, link) : NULL;
}

void archive_question_free(struct archive_question *q)
{
    if (!q)
        return;
    buf_fini(&q->text);
    free(q->filter);
    free(q);
}

uint32_t archive_queued(struct archive *a)
{
    return worker_queued(a->worker);
}

void archive_look(struct archive *a, struct archive_state *ret)
{
    *ret = (struct archive_state){.dropped = worker_dropped(a->worker),
                                  .locked = worker_locked(a->worker),
                                  .problem = worker_problem(a->worker)};
    pthread_mutex_lock(&a->lock);
    ret->aside = a->aside;
    ret->bytes = a->bytes;
    a->aside = NULL;
    pthread_mutex_unlock(&a->lock);
}

void archive_stop(struct archive *a, bool hurried)
{
    worker_stop(a->worker, hurried);
    archive_file_close(a);
}

void archive_free(struct archive *a)
{
    struct archive_question *q;
    if (a->worker) {
        archive_stop(a, false);
        while ((q = archive_answered(a)))
            archive_question_free(q);
    }
    worker_free(a->worker);
    pthread_mutex_destroy(&a->lock);
    free(a->aside);
    free(a->path);
    free(a);
}
