/* The file as llama-swap writes it (version 1 of its migrations, which it keeps with goose), and
 * wharf's own table beside it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "store_priv.h"

/* While a file is being opened, which nothing else may be held up by. */
#define BUSY_OPEN_MS 250
/* Of SQLite's machine: less than a millisecond. */
#define INSTRUCTIONS_BETWEEN_LOOKS 1000

static const char tables[] =
    "create table if not exists goose_db_version ("
    " id integer primary key autoincrement, version_id integer not null,"
    " is_applied integer not null, tstamp timestamp default (datetime('now')));"
    "insert into goose_db_version (version_id, is_applied)"
    " select 0, 1 where not exists (select 1 from goose_db_version where version_id = 0);"
    "insert into goose_db_version (version_id, is_applied)"
    " select 1, 1 where not exists (select 1 from goose_db_version where version_id = 1);"
    "create table if not exists activity ("
    " id integer primary key autoincrement, ts_created integer not null,"
    " model_id text not null, req_path text not null default '',"
    " resp_content_type text not null default '', resp_status_code integer not null default 0,"
    " cache_tokens integer not null default 0, draft_tokens integer not null default 0,"
    " draft_acc_tokens integer not null default 0, input_tokens integer not null default 0,"
    " output_tokens integer not null default 0, prompt_per_second real not null default 0,"
    " tokens_per_second real not null default 0, duration_ms integer not null default 0,"
    " error_msg text not null default '', metadata_json text not null default '');"
    "create index if not exists idx_activity_created_id on activity (ts_created desc, id desc);"
    "create index if not exists idx_activity_model_created_id"
    " on activity (model_id, ts_created desc, id desc);"
    "create table if not exists activity_wharf ("
    " id integer primary key, waited_ms integer not null default -1,"
    " ended text not null default '');";

static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void store_configure(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
}

int store_exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int is_true(void *flag)
{
    return atomic_load((atomic_bool *)flag);
}

void store_break_off(sqlite3 *db, atomic_bool *ending)
{
    sqlite3_progress_handler(db, ending ? INSTRUCTIONS_BETWEEN_LOOKS : 0, ending ? is_true : NULL,
                             ending);
}

/* The first column of the first row, as a number and, where text is given, as a text. */
static int read_one(sqlite3 *db, const char *sql, int64_t *number, char *text, size_t size)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && number)
        *number = sqlite3_column_int64(st, 0);
    if (rc == SQLITE_ROW && text)
        sqlite3_snprintf((int)size, text, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int prepare(sqlite3 *db, bool in_memory, int64_t *ret_last_id, struct err *err)
{
    char mode[16] = "";
    sqlite3_busy_timeout(db, BUSY_OPEN_MS);
    int rc = read_one(db, "pragma journal_mode = wal", NULL, mode, sizeof(mode));
    if (rc == SQLITE_OK && !in_memory && strcmp(mode, "wal") != 0)
        return err_set(err, "it cannot be written ahead (WAL), only with journal mode %s", mode);
    if (rc == SQLITE_OK)
        rc = store_exec(db, "pragma synchronous = normal; begin immediate");
    if (rc == SQLITE_OK)
        rc = store_exec(db, tables);
    if (rc == SQLITE_OK)
        rc = store_exec(db, "commit");
    if (rc == SQLITE_OK)
        rc = read_one(db, "select seq from sqlite_sequence where name = 'activity'", ret_last_id,
                      NULL, 0);
    return rc == SQLITE_OK ? 0 : err_set(err, "%s", sqlite3_errmsg(db));
}

void store_create_private(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

bool store_is_read_only(sqlite3 *db)
{
    return sqlite3_db_readonly(db, "main") == 1;
}

bool store_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT;
}

int store_put_aside(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    int rc = 0;
    for (size_t i = 0; i < countof(parts); i++) {
        char *from = alloc_printf("%s%s", path, parts[i]);
        char *to = alloc_printf("%s.aside%s", path, parts[i]);
        unlink(to);
        if (rename(from, to) < 0 && i == 0)
            rc = -1;
        free(from);
        free(to);
    }
    return rc;
}

/* Why the file cannot be written; 0: by now it can. */
static int try_write(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), error = errno;
    if (fd >= 0)
        close(fd);
    return fd < 0 ? error : 0;
}

/* Neither the file nor its name is wrong. */
static bool is_short(sqlite3 *db, const char *path)
{
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    int error = db ? sqlite3_system_errno(db) : 0;
    if (db && store_is_read_only(db)) {
        error = try_write(path);
        if (error == 0)
            return true;
    }
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return true;
    default:
        return code == SQLITE_FULL || code == SQLITE_NOMEM || code == SQLITE_IOERR ||
               code == SQLITE_BUSY;
    }
}

sqlite3 *store_db_open(const char *path, int64_t *ret_last_id, bool *ret_short, struct err *err)
{
    sqlite3 *db = NULL;
    bool in_memory = *path == '\0';
    /* One thread at a time uses it: first the one that opens it, then the store's own. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    store_configure();
    if (!in_memory)
        store_create_private(path);
    int rc = sqlite3_open_v2(in_memory ? ":memory:" : path, &db, flags, NULL);
    *ret_last_id = 0;
    *ret_short = false;
    if (rc == SQLITE_OK && prepare(db, in_memory, ret_last_id, err) == 0)
        return db;
    if (rc != SQLITE_OK)
        err_set(err, "%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    *ret_short = is_short(db, path);
    err_wrap(err, "store %s", in_memory ? "in memory" : path);
    sqlite3_close(db);
    return NULL;
}
