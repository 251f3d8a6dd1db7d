#include "store/footprints.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "store/store_priv.h"

/* Kept in the file as its user_version. */
#define SCHEMA_VERSION 1
/* Rows are written together. */
#define BATCH_MS 100
/* A file that somebody has locked is waited for so long, while it is opened and while it is
 * written; what could not be written is tried again after a while. */
#define BUSY_MS 250
#define RETRY_MS 1000

const char *const footprint_source_words[FOOTPRINT_SOURCE__COUNT] = {
    [FOOTPRINT_MEASURED] = "measured", [FOOTPRINT_OOM] = "oom"};

struct footprint_store {
    sqlite3 *db; /* the opener's, then the thread's */
    sqlite3_stmt *insert, *prune;
    void (*on_news)(void *arg);
    void *arg;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t news;
    struct list rows; /* oldest first */
    char *problem;    /* owned; NULL: none */
    bool stopping;
};

/* ---- the file ---- */

static const char schema[] =
    "create table footprint ("
    " model text not null, placement text not null, hash integer not null,"
    " device text not null default '', bytes integer not null default 0,"
    " residue integer not null default 0, load_ns integer not null default 0,"
    " samples integer not null default 0, source text not null default 'measured',"
    " measured_s integer not null default 0, written integer not null default 0,"
    " primary key (model, placement, hash));"
    "pragma user_version = 1;";

/* A number, or the first text, that the statement answers with; an SQLite code. */
static int ask_one(sqlite3 *db, const char *sql, int64_t *ret, char text[64])
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && ret)
        *ret = sqlite3_column_int64(st, 0);
    if (rc == SQLITE_ROW && text)
        sqlite3_snprintf(64, text, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* An SQLite code; *ret_why: why it is to be put aside, or NULL. The caller frees it. */
static int examine(sqlite3 *db, char **ret_why)
{
    int64_t version = 0, tables = 0;
    char check[64] = "ok";
    int rc = ask_one(db, "pragma user_version", &version, NULL);
    if (rc == SQLITE_OK)
        rc = ask_one(db, "select count(*) from sqlite_master", &tables, NULL);
    if (rc == SQLITE_OK)
        rc = ask_one(db, "pragma quick_check(1)", NULL, check);
    *ret_why = NULL;
    if (store_is_damage(rc) || strcmp(check, "ok") != 0)
        *ret_why = alloc_printf("it is damaged (%s)", rc == SQLITE_OK ? check : sqlite3_errmsg(db));
    else if (rc == SQLITE_OK && version != SCHEMA_VERSION && (version != 0 || tables != 0))
        *ret_why = alloc_printf("it is of schema version %lld, not %d", (long long)version,
                                SCHEMA_VERSION);
    return *ret_why ? SQLITE_OK : rc;
}

static int prepare(struct footprint_store *st)
{
    static const char insert[] =
        "insert or replace into footprint (model, placement, hash, device, bytes, residue, load_ns,"
        " samples, source, measured_s, written)"
        " values (?,?,?,?,?,?,?,?,?,?,"
        " (select coalesce(max(written), 0) + 1 from footprint))";
    /* Of the model that was written last, and of all, the oldest. */
    static const char prune[] =
        "delete from footprint where"
        " (model = ?1 and hash not in (select hash from footprint where model = ?1"
        "  group by hash order by max(written) desc limit ?2))"
        " or written <= (select max(written) from footprint) - ?3";
    int64_t version = 0;
    int rc = ask_one(st->db, "pragma journal_mode = wal", NULL, NULL);
    if (rc == SQLITE_OK)
        rc = store_exec(st->db, "pragma synchronous = normal; begin immediate");
    if (rc == SQLITE_OK)
        rc = ask_one(st->db, "pragma user_version", &version, NULL);
    if (rc == SQLITE_OK && version == 0)
        rc = store_exec(st->db, schema);
    if (rc == SQLITE_OK)
        rc = store_exec(st->db, "commit");
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, insert, -1, &st->insert, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, prune, -1, &st->prune, NULL);
    return rc;
}

/* An SQLite code; *ret_why: the file was opened, and is to be put aside. */
static int open_file(struct footprint_store *st, const char *path, char **ret_why)
{
    /* One thread at a time uses it: first the one that opens it, then the store's own. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    store_configure();
    store_create_private(path);
    int rc = sqlite3_open_v2(path, &st->db, flags, NULL);
    *ret_why = NULL;
    if (rc == SQLITE_OK && store_is_read_only(st->db))
        rc = SQLITE_CANTOPEN;
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(st->db, BUSY_MS);
    rc = examine(st->db, ret_why);
    if (rc != SQLITE_OK || *ret_why)
        return rc;
    rc = prepare(st);
    if (rc == SQLITE_ERROR)
        *ret_why = alloc_printf("wharf has not written it so (%s)", sqlite3_errmsg(st->db));
    return rc;
}

static void close_file(struct footprint_store *st)
{
    sqlite3_finalize(st->insert);
    sqlite3_finalize(st->prune);
    sqlite3_close(st->db);
    st->db = NULL;
    st->insert = st->prune = NULL;
}

static enum footprint_source find_source(const char *word)
{
    for (int i = 0; i < FOOTPRINT_SOURCE__COUNT; i++)
        if (strcmp(word, footprint_source_words[i]) == 0)
            return (enum footprint_source)i;
    return FOOTPRINT_MEASURED;
}

static const char *text_at(sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    return text ? text : "";
}

/* What nobody has written so is not believed. */
static uint64_t number_at(sqlite3_stmt *st, int column)
{
    int64_t number = sqlite3_column_int64(st, column);
    return number > 0 ? (uint64_t)number : 0;
}

static int read_rows(struct footprint_store *st, const struct footprint_store_options *opt)
{
    static const char sql[] = "select model, placement, hash, device, bytes, residue, load_ns,"
                              " samples, source, measured_s from footprint order by written";
    sqlite3_stmt *all;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &all, NULL);
    if (rc != SQLITE_OK)
        return rc;
    while ((rc = sqlite3_step(all)) == SQLITE_ROW) {
        struct footprint_row row = {.model = text_at(all, 0),
                                    .placement = text_at(all, 1),
                                    .hash = (uint64_t)sqlite3_column_int64(all, 2),
                                    .device = text_at(all, 3),
                                    .bytes = number_at(all, 4),
                                    .residue_bytes = number_at(all, 5),
                                    .load_ns = number_at(all, 6),
                                    .samples = number_at(all, 7),
                                    .source = find_source(text_at(all, 8)),
                                    .measured_s = sqlite3_column_int64(all, 9)};
        opt->on_row(opt->arg, &row);
    }
    sqlite3_finalize(all);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- what waits ---- */

static bool bind_and_run(struct footprint_store *st, const struct footprint_row *r)
{
    const char *texts[] = {r->model, r->placement, r->device, footprint_source_words[r->source]};
    static const int text_places[] = {1, 2, 4, 9};
    const uint64_t numbers[] = {r->hash,    r->bytes,   r->residue_bytes,
                                r->load_ns, r->samples, (uint64_t)r->measured_s};
    static const int number_places[] = {3, 5, 6, 7, 8, 10};
    for (size_t i = 0; i < countof(texts); i++)
        sqlite3_bind_text(st->insert, text_places[i], texts[i], -1, SQLITE_STATIC);
    for (size_t i = 0; i < countof(numbers); i++)
        sqlite3_bind_int64(st->insert, number_places[i], (int64_t)numbers[i]);
    bool done = sqlite3_step(st->insert) == SQLITE_DONE;
    sqlite3_reset(st->insert);
    if (!done)
        return false;
    sqlite3_bind_text(st->prune, 1, r->model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st->prune, 2, FOOTPRINTS_HASHES_MAX);
    sqlite3_bind_int64(st->prune, 3, FOOTPRINTS_ROWS_MAX);
    done = sqlite3_step(st->prune) == SQLITE_DONE;
    sqlite3_reset(st->prune);
    return done;
}

/* NULL when all are written, in one transaction; else why none is. The caller frees it. */
static char *write_rows(struct footprint_store *st, const struct list *rows)
{
    struct link *pos, *next;
    bool ok = store_exec(st->db, "begin immediate") == SQLITE_OK;
    bool began = ok;
    list_each_safe(pos, next, rows)
        ok = ok && bind_and_run(st, list_entry(pos, struct footprint_row, link));
    ok = ok && store_exec(st->db, "commit") == SQLITE_OK;
    char *why = ok ? NULL : alloc_text(sqlite3_errmsg(st->db));
    if (!ok && began)
        store_exec(st->db, "rollback");
    return why;
}

static bool same_key(const struct footprint_row *a, const struct footprint_row *b)
{
    return a->hash == b->hash && strcmp(a->model, b->model) == 0 &&
           strcmp(a->placement, b->placement) == 0;
}

static struct footprint_row *find_queued(struct list *rows, const struct footprint_row *like)
{
    struct link *pos, *next;
    list_each_safe(pos, next, rows) {
        struct footprint_row *row = list_entry(pos, struct footprint_row, link);
        if (same_key(row, like))
            return row;
    }
    return NULL;
}

static void free_rows(struct list *rows)
{
    struct link *pos;
    while ((pos = list_pop(rows)))
        free(list_entry(pos, struct footprint_row, link));
}

/* What could not be written waits on, behind nothing: what is newer takes its place. With the lock.
 */
static void put_back(struct footprint_store *st, struct list *rows)
{
    struct link *pos;
    while ((pos = list_pop(&st->rows))) {
        struct footprint_row *newer = list_entry(pos, struct footprint_row, link);
        struct footprint_row *older = find_queued(rows, newer);
        if (older) {
            list_remove(rows, &older->link);
            free(older);
        }
        list_push(rows, &newer->link);
    }
    list_splice(&st->rows, rows);
}

/* With the lock, which it lets go of meanwhile. */
static void flush(struct footprint_store *st)
{
    struct list rows;
    list_init(&rows);
    list_splice(&rows, &st->rows);
    if (rows.count == 0)
        return;
    pthread_mutex_unlock(&st->lock);
    char *problem = write_rows(st, &rows);
    pthread_mutex_lock(&st->lock);
    if (problem)
        put_back(st, &rows);
    free_rows(&rows);
    bool news = (problem != NULL) != (st->problem != NULL) ||
                (problem && strcmp(problem, st->problem) != 0);
    free(st->problem);
    st->problem = problem;
    if (news)
        st->on_news(st->arg);
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms % 1000 * 1000000L;
    t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

static void *work(void *arg)
{
    struct footprint_store *st = arg;
    pthread_mutex_lock(&st->lock);
    while (!st->stopping) {
        while (!st->stopping && st->rows.count == 0)
            pthread_cond_wait(&st->news, &st->lock);
        struct timespec until = after_ms(st->problem ? RETRY_MS : BATCH_MS);
        while (!st->stopping && pthread_cond_timedwait(&st->news, &st->lock, &until) == 0)
            continue;
        flush(st);
    }
    flush(st); /* what came while the last were written */
    pthread_mutex_unlock(&st->lock);
    return NULL;
}

/* Signals are the loop thread's. */
static int start(struct footprint_store *st)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&st->thread, NULL, work, st);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    st->running = rc == 0;
    return rc;
}

/* ---- from outside ---- */

static struct footprint_store *make(const struct footprint_store_options *opt)
{
    pthread_condattr_t attr;
    struct footprint_store *st = alloc_zeroed(1, sizeof(*st));
    st->on_news = opt->on_news;
    st->arg = opt->arg;
    list_init(&st->rows);
    pthread_mutex_init(&st->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&st->news, &attr);
    pthread_condattr_destroy(&attr);
    return st;
}

struct footprint_store *footprint_store_open(const struct footprint_store_options *opt,
                                             char **ret_aside, struct err *err)
{
    struct footprint_store *st = make(opt);
    char *again = NULL;
    int rc = open_file(st, opt->path, ret_aside);
    if (*ret_aside) {
        close_file(st);
        rc = store_put_aside(opt->path) < 0 ? SQLITE_CANTOPEN : open_file(st, opt->path, &again);
        if (again) /* not even a new file */
            rc = SQLITE_CORRUPT;
        free(again);
    }
    if (rc == SQLITE_OK)
        rc = read_rows(st, opt);
    if (rc == SQLITE_OK && start(st) == 0)
        return st;
    err_set(err, "%s: %s", opt->path, rc != SQLITE_OK ? sqlite3_errstr(rc) : "no thread");
    footprint_store_free(st);
    return NULL;
}

static char *copy_text(char **at, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

struct footprint_row *footprint_row_new(const struct footprint_row *from)
{
    size_t n = strlen(from->model) + strlen(from->placement) + strlen(from->device) + 3;
    struct footprint_row *row = alloc_zeroed(1, sizeof(*row) + n);
    char *at = (char *)(row + 1);
    *row = *from;
    row->link = (struct link){0};
    row->model = copy_text(&at, from->model);
    row->placement = copy_text(&at, from->placement);
    row->device = copy_text(&at, from->device);
    return row;
}

bool footprint_store_put(struct footprint_store *st, struct footprint_row *row)
{
    pthread_mutex_lock(&st->lock);
    struct footprint_row *older = find_queued(&st->rows, row);
    bool fits = older || st->rows.count < FOOTPRINTS_QUEUED_MAX;
    if (older)
        list_remove(&st->rows, &older->link);
    if (fits)
        list_push(&st->rows, &row->link);
    if (st->rows.count == 1)
        pthread_cond_signal(&st->news);
    pthread_mutex_unlock(&st->lock);
    free(fits ? older : row);
    return fits;
}

char *footprint_store_problem(struct footprint_store *st)
{
    pthread_mutex_lock(&st->lock);
    char *problem = st->problem ? alloc_text(st->problem) : NULL;
    pthread_mutex_unlock(&st->lock);
    return problem;
}

void footprint_store_free(struct footprint_store *st)
{
    if (!st)
        return;
    if (st->running) {
        pthread_mutex_lock(&st->lock);
        st->stopping = true;
        pthread_cond_signal(&st->news);
        pthread_mutex_unlock(&st->lock);
        pthread_join(st->thread, NULL);
    }
    free_rows(&st->rows);
    close_file(st);
    pthread_mutex_destroy(&st->lock);
    pthread_cond_destroy(&st->news);
    free(st->problem);
    free(st);
}
