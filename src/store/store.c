#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "store_priv.h"

/* Rows are written together: a thread that is woken for each costs more than the row. */
#define BATCH_MS 100
/* A file that is locked is waited for so long, and tried again after a while; at the end of the
 * daemon, for the last time. */
#define BUSY_MS 250
#define BUSY_LAST_MS 5000
#define LOCKED_MS 250
#define BATCH_ROWS (STORE_ROWS_QUEUED_MAX / 8)
/* In memory they are only written where more are kept than the queue holds. */
#define MEMORY_ROWS (STORE_ROWS_QUEUED_MAX / 2)
/* Old rows deleted with one batch of new ones, beyond as many as are new: a file that holds many
 * more than it may is worn down, rather than holding up what is new. */
#define PRUNED_AT_ONCE 2000

struct store {
    sqlite3 *db; /* the thread's */
    sqlite3_stmt *insert, *insert_own, *prune, *prune_own;
    int64_t last_id;
    void (*on_news)(void *arg);
    void *arg;
    pthread_t thread;
    bool running, in_memory;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t news;
    struct list rows, asked, answered;
    uint64_t dropped, rows_max;
    bool stopping;
    bool locked;    /* somebody else has the file: rows stay where they are */
    bool gathering; /* the thread has been told of rows, and waits for more */
};

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text ? text : "", -1, SQLITE_STATIC);
}

static bool run(sqlite3_stmt *st)
{
    bool done = sqlite3_step(st) == SQLITE_DONE;
    sqlite3_reset(st);
    return done;
}

static bool insert(struct store *st, const struct store_row *r)
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
    if (!run(in))
        return false;
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

/* Writes them as one transaction; those that could not be written are counted. */
static uint64_t write_rows(struct store *st, struct list *rows, uint64_t rows_max)
{
    uint64_t failed = 0, all = rows->count;
    int64_t newest = 0;
    struct link *pos;
    while ((pos = list_pop(rows))) {
        struct store_row *row = list_entry(pos, struct store_row, link);
        if (insert(st, row))
            newest = row->id;
        else
            failed++;
        free(row);
    }
    if (newest)
        prune(st, newest, rows_max, all);
    if (store_exec(st->db, "commit") == SQLITE_OK)
        return failed;
    store_exec(st->db, "rollback");
    return all;
}

/* Whether there is something that cannot wait. */
static bool is_urgent(const struct store *st)
{
    uint64_t enough = st->in_memory ? MEMORY_ROWS : BATCH_ROWS;
    return st->stopping || st->asked.count || (st->rows.count >= enough && !st->locked);
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* the other one may be set back by hours */
    t.tv_nsec += ms % 1000 * 1000000L;
    t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

/* Waits for something to do, and where that is but a few rows, for more of them. With the lock. */
static void wait_for_work(struct store *st)
{
    while (!is_urgent(st) && (st->rows.count == 0 || st->in_memory))
        pthread_cond_wait(&st->news, &st->lock);
    struct timespec until = after_ms(st->locked ? LOCKED_MS : BATCH_MS);
    st->gathering = true;
    while (!is_urgent(st))
        if (pthread_cond_timedwait(&st->news, &st->lock, &until) != 0)
            break;
    st->gathering = false;
}

/* The oldest leave, until so many are there. With the lock. */
static uint64_t drop_oldest(struct store *st, uint64_t max)
{
    uint64_t dropped = 0;
    for (; st->rows.count > max; dropped++)
        free(list_entry(list_pop(&st->rows), struct store_row, link));
    return dropped;
}

/* Writes what is queued. Those that wait for whoever has locked the file go back to the head of the
 * queue; at the end of the daemon there is nothing left to wait for. With the lock, which it lets
 * go of meanwhile. */
static void flush(struct store *st)
{
    struct list rows;
    uint64_t rows_max = st->rows_max, failed = 0;
    bool last = st->stopping;
    list_init(&rows);
    list_splice(&rows, &st->rows);
    if (rows.count == 0)
        return;
    pthread_mutex_unlock(&st->lock);
    sqlite3_busy_timeout(st->db, last ? BUSY_LAST_MS : BUSY_MS);
    int rc = store_exec(st->db, "begin immediate");
    if (rc == SQLITE_OK)
        failed = write_rows(st, &rows, rows_max);
    pthread_mutex_lock(&st->lock);
    bool was_locked = st->locked;
    st->locked = rc == SQLITE_BUSY && !last;
    list_splice(&rows, &st->rows);
    list_splice(&st->rows, &rows);
    if (rc != SQLITE_OK && !st->locked)
        failed += drop_oldest(st, 0);
    failed += drop_oldest(st, STORE_ROWS_QUEUED_MAX);
    st->dropped += failed;
    if (failed || st->locked != was_locked)
        st->on_news(st->arg);
}

/* With the lock, which it lets go of meanwhile. */
static void answer(struct store *st, struct store_query *q)
{
    pthread_mutex_unlock(&st->lock);
    store_answer(st->db, q);
    pthread_mutex_lock(&st->lock);
    list_push(&st->answered, &q->link);
    st->on_news(st->arg);
}

static void *work(void *arg)
{
    struct store *st = arg;
    pthread_mutex_lock(&st->lock);
    while (!st->stopping || st->rows.count || st->asked.count) {
        wait_for_work(st);
        if (st->stopping && st->in_memory && st->asked.count == 0)
            (void)drop_oldest(st, 0); /* they would go with the memory */
        /* Before what is queued is written: a question is about all rows put before it. */
        struct link *asked = list_pop(&st->asked);
        flush(st);
        if (asked)
            answer(st, list_entry(asked, struct store_query, link));
    }
    pthread_mutex_unlock(&st->lock);
    return NULL;
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

/* Signals are the loop thread's. */
static int start(struct store *st, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&st->thread, NULL, work, st);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    st->running = rc == 0;
    return rc == 0 ? 0 : err_set(err, "store: no thread can be started");
}

static void init_news(struct store *st)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&st->news, &attr);
    pthread_condattr_destroy(&attr);
}

struct store *store_open(const struct store_options *opt, struct err *err)
{
    struct store *st = alloc_zeroed(1, sizeof(*st));
    st->rows_max = opt->rows_max;
    st->in_memory = *opt->path == '\0';
    st->on_news = opt->on_news;
    st->arg = opt->arg;
    pthread_mutex_init(&st->lock, NULL);
    init_news(st);
    list_init(&st->rows);
    list_init(&st->asked);
    list_init(&st->answered);
    st->db = store_db_open(opt->path, &st->last_id, err);
    if (st->db && prepare(st, err) == 0 && start(st, err) == 0)
        return st;
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
}

bool store_put(struct store *st, struct store_row *row)
{
    pthread_mutex_lock(&st->lock);
    bool fits = st->rows.count < STORE_ROWS_QUEUED_MAX && !st->stopping;
    if (fits) {
        list_push(&st->rows, &row->link);
        if (st->in_memory) /* what will not be kept need not be written first */
            (void)drop_oldest(st, st->rows_max);
        if (st->rows.count == (st->in_memory ? MEMORY_ROWS : BATCH_ROWS) ||
            (st->rows.count == 1 && !st->gathering && !st->in_memory))
            pthread_cond_signal(&st->news);
    } else {
        st->dropped++;
    }
    pthread_mutex_unlock(&st->lock);
    if (!fits)
        free(row);
    return fits;
}

bool store_ask(struct store *st, struct store_query *q)
{
    pthread_mutex_lock(&st->lock);
    bool fits = st->asked.count < STORE_QUERIES_QUEUED_MAX && !st->stopping;
    if (fits) {
        list_push(&st->asked, &q->link);
        pthread_cond_signal(&st->news);
    }
    pthread_mutex_unlock(&st->lock);
    return fits;
}

struct store_query *store_answered(struct store *st)
{
    pthread_mutex_lock(&st->lock);
    struct link *pos = list_pop(&st->answered);
    pthread_mutex_unlock(&st->lock);
    return pos ? list_entry(pos, struct store_query, link) : NULL;
}

uint64_t store_dropped(struct store *st)
{
    pthread_mutex_lock(&st->lock);
    uint64_t dropped = st->dropped;
    pthread_mutex_unlock(&st->lock);
    return dropped;
}

bool store_locked(struct store *st)
{
    pthread_mutex_lock(&st->lock);
    bool locked = st->locked;
    pthread_mutex_unlock(&st->lock);
    return locked;
}

void store_stop(struct store *st)
{
    if (!st->running)
        return;
    pthread_mutex_lock(&st->lock);
    st->stopping = true;
    pthread_cond_signal(&st->news);
    pthread_mutex_unlock(&st->lock);
    pthread_join(st->thread, NULL);
    st->running = false;
}

void store_free(struct store *st)
{
    struct store_query *q;
    store_stop(st);
    while ((q = store_answered(st)))
        store_query_free(q);
    sqlite3_finalize(st->insert);
    sqlite3_finalize(st->insert_own);
    sqlite3_finalize(st->prune);
    sqlite3_finalize(st->prune_own);
    sqlite3_close(st->db);
    pthread_mutex_destroy(&st->lock);
    pthread_cond_destroy(&st->news);
    free(st);
}
