#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/worker.h"
#include "store_priv.h"

/* Rows are written together: a thread that is woken for each costs more than the row. */
#define BATCH_MS 100
/* A file that is locked is waited for so long, and tried again after a while, as is one that cannot
 * be written; at the end of the daemon, for the last time. */
#define BUSY_MS 250
#define BUSY_LAST_MS 5000
#define AGAIN_MS 250
/* Old rows deleted with one batch of new ones, beyond as many as are new: a file that holds many
 * more than it may is worn down, rather than holding up what is new. */
#define PRUNED_AT_ONCE 2000

struct store {
    sqlite3 *db; /* the worker's */
    sqlite3_stmt *insert, *insert_own, *prune, *prune_own;
    int64_t last_id;
    struct worker *worker;
    pthread_mutex_t lock; /* guards what follows */
    uint64_t rows_max;
};

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text ? text : "", -1, SQLITE_STATIC);
}

static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int insert(struct store *st, const struct store_row *r)
{
    sqlite3_stmt *in = st->insert;
    sqlite3_bind_int64(in, 1, r->id);
    sqlite3_bind_int64(in, 2, r->created_s);
    bind_text(in, 3, r->model);
    bind_text(in, 4, r->path);
    bind_text(in, 5, r->content_type);
    sqlite3_bind_int64(in, 6, r->status);
    sqlite3_bind_int64(in, 7, r->cached);
    sqlite3_bind_int64(in, 8, r->drafted);
    sqlite3_bind_int64(in, 9, r->draft_accepted);
    sqlite3_bind_int64(in, 10, r->input);
    sqlite3_bind_int64(in, 11, r->output);
    sqlite3_bind_double(in, 12, r->prompt_per_second);
    sqlite3_bind_double(in, 13, r->output_per_second);
    sqlite3_bind_int64(in, 14, r->duration_ms);
    bind_text(in, 15, r->error);
    bind_text(in, 16, r->metadata);
    int rc = run(in);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st->insert_own, 1, r->id);
    sqlite3_bind_int64(st->insert_own, 2, r->waited_ms);
    bind_text(st->insert_own, 3, r->ended);
    return run(st->insert_own);
}

static void prune(struct store *st, int64_t newest, uint64_t rows_max, uint64_t written)
{
    sqlite3_stmt *both[] = {st->prune_own, st->prune};
    for (size_t i = 0; i < countof(both); i++) {
        sqlite3_bind_int64(both[i], 1, newest - (int64_t)rows_max);
        sqlite3_bind_int64(both[i], 2, PRUNED_AT_ONCE + (int64_t)written);
        (void)run(both[i]);
    }
}

/* What is wrong is the row, not the file. */
static bool is_rows_fault(int rc)
{
    return (rc & 0xff) == SQLITE_CONSTRAINT;
}

static uint64_t rows_max(struct store *st)
{
    pthread_mutex_lock(&st->lock);
    uint64_t max = st->rows_max;
    pthread_mutex_unlock(&st->lock);
    return max;
}

/* Leaves those there that the file has no place for: all. */
static int insert_rows(struct store *st, const struct list *rows, uint64_t *failed)
{
    int64_t newest = 0;
    uint64_t refused = 0, max = rows_max(st);
    struct link *pos, *next;
    int rc = store_exec(st->db, "begin immediate");
    if (rc != SQLITE_OK)
        return rc;
    list_each_safe(pos, next, rows) {
        const struct store_row *row = list_entry(pos, struct store_row, link);
        rc = insert(st, row);
        if (rc == SQLITE_OK)
            newest = row->id;
        else if (is_rows_fault(rc))
            refused++;
        else
            break;
    }
    if (rc == SQLITE_OK || is_rows_fault(rc)) {
        if (newest)
            prune(st, newest, max, rows->count);
        rc = store_exec(st->db, "commit");
    }
    if (rc == SQLITE_OK)
        *failed += refused;
    return rc;
}

static int write_rows(void *arg, const struct list *rows, bool patient, uint64_t *failed)
{
    struct store *st = arg;
    sqlite3_busy_timeout(st->db, patient ? BUSY_LAST_MS : BUSY_MS);
    int rc = insert_rows(st, rows, failed);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db)) /* some errors have ended it already */
        store_exec(st->db, "rollback");
    return rc;
}

static const char *problem(void *arg)
{
    const struct store *st = arg;
    return sqlite3_errmsg(st->db);
}

static void answer(void *arg, struct link *question, atomic_bool *ending)
{
    const struct store *st = arg;
    store_break_off(st->db, ending);
    store_answer(st->db, list_entry(question, struct store_query, link));
    store_break_off(st->db, NULL);
}

static int prepare(struct store *st, struct err *err)
{
    static const char insert_sql[] =
        "insert into activity (id, ts_created, model_id, req_path, resp_content_type,"
        " resp_status_code, cache_tokens, draft_tokens, draft_acc_tokens, input_tokens,"
        " output_tokens, prompt_per_second, tokens_per_second, duration_ms, error_msg,"
        " metadata_json) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    static const char own_sql[] =
        "insert or replace into activity_wharf (id, waited_ms, ended) values (?,?,?)";
    static const char prune_sql[] = "delete from activity where id <= ?1 and"
                                    " id < (select min(id) from activity) + ?2";
    static const char prune_own_sql[] = "delete from activity_wharf where id <= ?1 and"
                                        " id < (select min(id) from activity_wharf) + ?2";
    if (sqlite3_prepare_v2(st->db, insert_sql, -1, &st->insert, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(st->db, own_sql, -1, &st->insert_own, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(st->db, prune_sql, -1, &st->prune, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(st->db, prune_own_sql, -1, &st->prune_own, NULL) == SQLITE_OK)
        return 0;
    return err_set(err, "store: %s", sqlite3_errmsg(st->db));
}

static bool start(struct store *st, const struct store_options *opt)
{
    st->worker =
        worker_start(&(struct worker_options){.write = write_rows,
                                              .problem = problem,
                                              .answer = answer,
                                              .on_news = opt->on_news,
                                              .arg = st,
                                              .news_arg = opt->arg,
                                              .rows_queued_max = STORE_ROWS_QUEUED_MAX,
                                              .questions_queued_max = STORE_QUERIES_QUEUED_MAX,
                                              .batch_ms = BATCH_MS,
                                              .again_ms = AGAIN_MS,
                                              .lazy = *opt->path == '\0',
                                              .rows_kept_max = opt->rows_max});
    return st->worker != NULL;
}

struct store *store_open(const struct store_options *opt, bool *ret_short, struct err *err)
{
    struct store *st = alloc_zeroed(1, sizeof(*st));
    pthread_mutex_init(&st->lock, NULL);
    st->rows_max = opt->rows_max;
    st->db = store_db_open(opt->path, &st->last_id, ret_short, err);
    if (st->db && prepare(st, err) == 0) {
        if (start(st, opt))
            return st;
        err_set(err, "store: no thread can be started");
        *ret_short = true;
    }
    store_free(st);
    return NULL;
}

int64_t store_last_id(const struct store *st)
{
    return st->last_id;
}

void store_limit(struct store *st, uint64_t rows_max)
{
    pthread_mutex_lock(&st->lock);
    st->rows_max = rows_max;
    pthread_mutex_unlock(&st->lock);
    worker_keep(st->worker, rows_max);
}

bool store_put(struct store *st, struct store_row *row)
{
    return worker_put(st->worker, &row->link);
}

bool store_ask(struct store *st, struct store_query *q)
{
    return worker_ask(st->worker, &q->link);
}

struct store_query *store_answered(struct store *st)
{
    struct link *pos = st->worker ? worker_answered(st->worker) : NULL;
    return pos ? list_entry(pos, struct store_query, link) : NULL;
}

uint32_t store_queued(struct store *st)
{
    return worker_queued(st->worker);
}

uint64_t store_dropped(struct store *st)
{
    return worker_dropped(st->worker);
}

bool store_locked(struct store *st)
{
    return worker_locked(st->worker);
}

char *store_problem(struct store *st)
{
    return worker_problem(st->worker);
}

void store_stop(struct store *st, bool hurried)
{
    if (st->worker)
        worker_stop(st->worker, hurried);
}

void store_free(struct store *st)
{
    struct store_query *q;
    store_stop(st, false);
    while ((q = store_answered(st)))
        store_query_free(q);
    worker_free(st->worker);
    sqlite3_finalize(st->insert);
    sqlite3_finalize(st->insert_own);
    sqlite3_finalize(st->prune);
    sqlite3_finalize(st->prune_own);
    sqlite3_close(st->db);
    pthread_mutex_destroy(&st->lock);
    free(st);
}
