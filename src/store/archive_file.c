/* The archive's file: how it is made, opened, told from others, and put aside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "store/archive_priv.h"
#include "store/store_priv.h"

/* Kept in the file as its user_version. A column that is new in archive.def needs no other: it is
 * added to tables that lack it. */
#define SCHEMA_VERSION 1

static bool is_gauge(enum archive_type type)
{
    return type == ARCHIVE_GAUGE || type == ARCHIVE_GAUGE_MILLI;
}

/* ---- statements ---- */

sqlite3_stmt *archive_prepare(struct archive *a, const char *sql, int *rc)
{
    sqlite3_stmt *st = NULL;
    if (*rc == SQLITE_OK)
        *rc = sqlite3_prepare_v3(a->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    return st;
}

int archive_read_number(sqlite3_stmt *st, int64_t *ret)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int ask_number(struct archive *a, const char *sql, int64_t *ret)
{
    int rc = SQLITE_OK;
    sqlite3_stmt *st = archive_prepare(a, sql, &rc);
    if (rc == SQLITE_OK)
        rc = archive_read_number(st, ret);
    sqlite3_finalize(st);
    return rc;
}

static int exec(struct archive *a, const struct buf *sql)
{
    return store_exec(a->db, sql->data);
}

/* ---- tables ---- */

static const char base[] = "create table if not exists names"
                           " (id integer primary key, text text not null unique);"
                           "create table if not exists stamp"
                           " (id integer primary key, number integer not null);";

static const char *const gauge_parts[] = {"", "_n", "_min", "_max"};

static size_t parts_of(const struct archive_column *c)
{
    return is_gauge(c->type) ? countof(gauge_parts) : 1;
}

static int make_table(struct archive *a, enum archive_table t)
{
    struct buf sql = {0};
    const char *table = archive_table_names[t];
    buf_printf(&sql, "create table if not exists %s (id integer primary key", table);
    for (uint32_t i = archive_column_first(t); i < archive_column_end(t); i++)
        for (size_t p = 0; p < parts_of(&archive_columns[i]); p++)
            buf_printf(&sql, ", %s%s", archive_columns[i].name, gauge_parts[p]);
    buf_printf(&sql, "); create index if not exists %s_by_time on %s (%s)", table, table,
               archive_columns[archive_column_first(t)].name);
    int rc = exec(a, &sql);
    buf_fini(&sql);
    return rc;
}

static int add_column(struct archive *a, const char *table, const char *name, const char *suffix)
{
    struct buf sql = {0};
    int64_t there = 0;
    buf_printf(&sql, "select count(*) from pragma_table_info('%s') where name = '%s%s'", table,
               name, suffix);
    int rc = ask_number(a, sql.data, &there);
    buf_clear(&sql);
    buf_printf(&sql, "alter table %s add column %s%s", table, name, suffix);
    if (rc == SQLITE_OK && !there)
        rc = exec(a, &sql);
    buf_fini(&sql);
    return rc;
}

static int add_columns(struct archive *a, enum archive_table t)
{
    int rc = SQLITE_OK;
    for (uint32_t i = archive_column_first(t); i < archive_column_end(t); i++) {
        const struct archive_column *c = &archive_columns[i];
        for (size_t p = 0; p < parts_of(c) && rc == SQLITE_OK; p++)
            rc = add_column(a, archive_table_names[t], c->name, gauge_parts[p]);
    }
    return rc;
}

static int make_tables(struct archive *a)
{
    char version[48];
    int64_t was = 0;
    int rc = ask_number(a, "pragma user_version", &was);
    if (rc == SQLITE_OK)
        rc = store_exec(a->db, base);
    for (int t = 0; t < ARCHIVE__COUNT && rc == SQLITE_OK; t++) {
        rc = make_table(a, (enum archive_table)t);
        if (rc == SQLITE_OK && was) /* a new file has them all */
            rc = add_columns(a, (enum archive_table)t);
    }
    snprintf(version, sizeof(version), "pragma user_version = %d", SCHEMA_VERSION);
    return rc == SQLITE_OK ? store_exec(a->db, version) : rc;
}

/* Of another wharf's making, or nobody's. An SQLite code. */
static int examine(struct archive *a, char **ret_why)
{
    int64_t version = 0, tables = 0;
    int rc = ask_number(a, "pragma user_version", &version);
    if (rc == SQLITE_OK)
        rc = ask_number(a, "select count(*) from sqlite_master", &tables);
    if (rc == SQLITE_OK && version != SCHEMA_VERSION && (version != 0 || tables != 0))
        *ret_why = alloc_printf("it is of schema version %lld, not %d", (long long)version,
                                SCHEMA_VERSION);
    return rc;
}

/* ---- what is done with it ---- */

/* ?1 and on: the id and the columns of each row. */
static sqlite3_stmt *prepare_insert(struct archive *a, enum archive_table t, uint32_t count,
                                    int *rc)
{
    struct buf sql = {0};
    buf_printf(&sql, "insert into %s (id", archive_table_names[t]);
    for (uint32_t i = archive_column_first(t); i < archive_column_end(t); i++)
        buf_printf(&sql, ",%s", archive_columns[i].name);
    for (uint32_t row = 0; row < count; row++) {
        buf_text(&sql, row ? ",(?" : ") values (?");
        for (uint32_t i = archive_column_first(t); i < archive_column_end(t); i++)
            buf_text(&sql, ",?");
        buf_char(&sql, ')');
    }
    sqlite3_stmt *st = archive_prepare(a, sql.data, rc);
    buf_fini(&sql);
    return st;
}

/* ?1: up to which time; ?2: how many at most. */
static sqlite3_stmt *prepare_expire(struct archive *a, enum archive_table t, int *rc)
{
    struct buf sql = {0};
    const char *table = archive_table_names[t];
    const char *time = archive_columns[archive_column_first(t)].name;
    buf_printf(&sql, "delete from %s where id in (select id from %s where %s <= ?1", table, table,
               time);
    buf_printf(&sql, " order by %s limit ?2)", time);
    sqlite3_stmt *st = archive_prepare(a, sql.data, rc);
    buf_fini(&sql);
    return st;
}

static sqlite3_stmt *prepare_oldest(struct archive *a, enum archive_table t, int *rc)
{
    struct buf sql = {0};
    const char *time = archive_columns[archive_column_first(t)].name;
    buf_printf(&sql, "select %s from %s order by %s limit 1", time, archive_table_names[t], time);
    sqlite3_stmt *st = archive_prepare(a, sql.data, rc);
    buf_fini(&sql);
    return st;
}

static int prepare(struct archive *a)
{
    int rc = SQLITE_OK;
    for (int t = 0; t < ARCHIVE__COUNT; t++) {
        a->insert[t] = prepare_insert(a, (enum archive_table)t, 1, &rc);
        a->expire[t] = prepare_expire(a, (enum archive_table)t, &rc);
        a->oldest[t] = prepare_oldest(a, (enum archive_table)t, &rc);
    }
    a->insert_requests = prepare_insert(a, ARCHIVE_REQUESTS, ARCHIVE_REQUESTS_AT_ONCE, &rc);
    a->name_find = archive_prepare(a, "select id from names where text = ?", &rc);
    a->name_add = archive_prepare(a, "insert into names (text) values (?) returning id", &rc);
    a->name_text = archive_prepare(a, "select text from names where id = ?", &rc);
    a->pages = archive_prepare(a, "pragma page_count", &rc);
    a->free_pages = archive_prepare(a, "pragma freelist_count", &rc);
    a->stamp = archive_prepare(a, "insert or replace into stamp (id, number) values (?, ?)", &rc);
    a->newest_sample = archive_prepare(a, "select max(id) from samples", &rc);
    return rc;
}

static int read_stamp(struct archive *a, int id, int64_t *ret)
{
    char sql[64];
    *ret = 0;
    snprintf(sql, sizeof(sql), "select number from stamp where id = %d", id);
    return ask_number(a, sql, ret);
}

int archive_file_stamp(struct archive *a, int id, int64_t number)
{
    sqlite3_bind_int64(a->stamp, 1, id);
    sqlite3_bind_int64(a->stamp, 2, number);
    return archive_read_number(a->stamp, &(int64_t){0});
}

static int prepare_file(struct archive *a)
{
    int64_t stamp = 0;
    /* Whether space is given back is decided before there is a table. */
    int rc = store_exec(a->db, "pragma auto_vacuum = incremental; pragma journal_mode = wal;"
                               "pragma synchronous = normal; pragma wal_autocheckpoint = 256;"
                               "pragma journal_size_limit = 1048576; begin immediate");
    if (rc == SQLITE_OK)
        rc = make_tables(a);
    if (rc == SQLITE_OK)
        rc = store_exec(a->db, "commit");
    if (rc == SQLITE_OK)
        rc = prepare(a);
    if (rc == SQLITE_OK)
        rc = read_stamp(a, ARCHIVE_STAMP_TIME, &stamp);
    for (int t = 0; t < ARCHIVE__COUNT && rc == SQLITE_OK; t++)
        rc = read_stamp(a, ARCHIVE_STAMP_IDS + t, &a->last_id[t]);
    if (rc == SQLITE_OK)
        archive_clock_init(a, stamp);
    return rc;
}

static void finalize(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
    *st = NULL;
}

void archive_file_close(struct archive *a)
{
    for (int t = 0; t < ARCHIVE__COUNT; t++) {
        finalize(&a->insert[t]);
        finalize(&a->expire[t]);
        finalize(&a->oldest[t]);
    }
    sqlite3_stmt **const others[] = {&a->insert_requests, &a->name_find,    &a->name_add,
                                     &a->name_text,       &a->pages,        &a->free_pages,
                                     &a->stamp,           &a->newest_sample};
    for (size_t i = 0; i < countof(others); i++)
        finalize(others[i]);
    archive_names_forget(a);
    sqlite3_close(a->db);
    a->db = NULL;
}

/* Takes why. */
static void set_aside(struct archive *a, char *why)
{
    archive_file_close(a);
    if (store_put_aside(a->path) < 0) {
        free(why);
        return;
    }
    pthread_mutex_lock(&a->lock);
    free(a->aside);
    a->aside = why;
    pthread_mutex_unlock(&a->lock);
    a->on_news(a->arg);
}

int archive_file_failed(struct archive *a, int rc)
{
    if (rc == SQLITE_OK)
        return rc;
    snprintf(a->why, sizeof(a->why), "%s", a->db ? sqlite3_errmsg(a->db) : sqlite3_errstr(rc));
    if (store_is_damage(rc))
        set_aside(a, alloc_printf("it is damaged (%s)", a->why));
    return rc;
}

static int open_once(struct archive *a)
{
    char *why = NULL;
    store_create_private(a->path);
    int rc = sqlite3_open_v2(
        a->path, &a->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK && store_is_read_only(a->db))
        rc = SQLITE_CANTOPEN;
    if (rc == SQLITE_OK)
        rc = examine(a, &why);
    if (rc == SQLITE_OK && why) {
        set_aside(a, why);
        return SQLITE_NOTADB;
    }
    free(why);
    if (rc == SQLITE_OK)
        rc = prepare_file(a);
    if (rc == SQLITE_OK)
        return rc;
    (void)archive_file_failed(a, rc);
    archive_file_close(a);
    return rc;
}

int archive_file_open(struct archive *a)
{
    if (a->db)
        return SQLITE_OK;
    int rc = open_once(a);
    return store_is_damage(rc) ? open_once(a) : rc;
}
