#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "store/store.h"

static sem_t news;
static char folder[] = "/tmp/wharf-store-XXXXXX";

static void on_news(void *arg)
{
    (void)arg;
    sem_post(&news);
}

static time_t wall_ahead_s; /* of the wall clock, as it was before somebody set it back */

/* In place of libc's. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, ret);
    if (clock == CLOCK_REALTIME)
        ret->tv_sec += wall_ahead_s;
    return rc;
}

static struct store *open_or_fail(const char *path, uint64_t rows_max)
{
    struct err err = {0};
    bool is_short;
    struct store *st =
        store_open(&(struct store_options){.path = path, .rows_max = rows_max, .on_news = on_news},
                   &is_short, &err);
    if (!st)
        fail_msg("not opened: %s", err.text);
    return st;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void put(struct store *st, int64_t id, const char *model, int64_t input, double speed)
{
    struct store_row r = {.id = id,
                          .created_s = 1000 + id,
                          .model = model,
                          .path = "/v1/x",
                          .content_type = "application/json",
                          .error = "",
                          .metadata = "{\"a\":1}",
                          .ended = "done",
                          .status = 200,
                          .cached = -1,
                          .drafted = 2,
                          .draft_accepted = 1,
                          .input = input,
                          .output = 7,
                          .duration_ms = 12,
                          .prompt_per_second = -1,
                          .output_per_second = speed,
                          .waited_ms = 3};
    assert_true(store_put(st, store_row_new(&r)));
}

static struct store_query *question(enum store_question what)
{
    struct store_query *q = alloc_zeroed(1, sizeof(*q));
    q->what = what;
    q->end_s = q->id_max = INT64_MAX;
    q->limit = 25;
    q->page = 1;
    return q;
}

static struct store_query *ask(struct store *st, struct store_query *q)
{
    assert_true(store_ask(st, q));
    struct store_query *a;
    while (!(a = store_answered(st)))
        sem_wait(&news);
    assert_ptr_equal(a, q);
    assert_false(a->failed);
    return a;
}

static const char *ids(struct store *st, struct store_query *q)
{
    static char out[256];
    size_t n = 0;
    ask(st, q);
    out[0] = '\0';
    for (uint32_t i = 0; i < q->row_count; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%lld ", (long long)q->rows[i]->id);
    snprintf(out + n, sizeof(out) - n, "of %lld", (long long)q->total);
    store_query_free(q);
    return out;
}

static void fill(struct store *st)
{
    put(st, 1, "a", 30, 1);
    put(st, 2, "b", 10, 2);
    put(st, 3, "a", 20, 3);
    put(st, 4, "a", 20, 4);
}

static void test_questions(void **state)
{
    (void)state;
    struct store *st = open_or_fail("", 100);
    fill(st);
    struct store_query *q = question(STORE_ACTIVITY);
    assert_string_equal(ids(st, q), "4 3 2 1 of 4");
    q = question(STORE_ACTIVITY);
    q->models[q->model_count++] = alloc_text("a");
    q->models[q->model_count++] = alloc_text("' or 1 --");
    assert_string_equal(ids(st, q), "4 3 1 of 3");
    q = question(STORE_ACTIVITY);
    q->limit = 3;
    q->page = 2;
    assert_string_equal(ids(st, q), "1 of 4");
    q = question(STORE_ACTIVITY);
    q->sort = (uint32_t)store_sort_find("prompt");
    q->ascending = true;
    assert_string_equal(ids(st, q), "2 3 4 1 of 4");
    q = question(STORE_ACTIVITY);
    q->start_s = 1002;
    q->end_s = 1003;
    assert_string_equal(ids(st, q), "3 2 of 2");
    q = question(STORE_ACTIVITY);
    q->id_min = 2;
    q->id_max = 3;
    assert_string_equal(ids(st, q), "3 2 of 2");
    store_stop(st, false);
    store_free(st);
}

static void test_sorts(void **state)
{
    static const char *const words[] = {"id",           "time",      "model",
                                        "req_path",     "cached",    "resp_status_code",
                                        "prompt",       "generated", "resp_content_type",
                                        "prompt_speed", "gen_speed", "drafted",
                                        "duration"};
    (void)state;
    struct store *st = open_or_fail("", 100);
    fill(st);
    for (size_t i = 0; i < countof(words); i++) {
        struct store_query *q = question(STORE_ACTIVITY);
        int sort = store_sort_find(words[i]);
        assert_in_range(sort, 0, 12);
        q->sort = (uint32_t)sort;
        ask(st, q);
        assert_int_equal(q->row_count, 4);
        store_query_free(q);
    }
    assert_int_equal(store_sort_find("id; drop table activity"), -1);
    store_free(st);
}

static void test_rows_come_back(void **state)
{
    (void)state;
    struct store *st = open_or_fail("", 100);
    put(st, 1, "a", 30, 1.5);
    struct store_query *q = ask(st, question(STORE_ACTIVITY));
    const struct store_row *r = q->rows[0];
    assert_int_equal(q->row_count, 1);
    assert_string_equal(r->model, "a");
    assert_string_equal(r->metadata, "{\"a\":1}");
    assert_string_equal(r->ended, "done");
    assert_int_equal(r->waited_ms, 3);
    assert_int_equal(r->cached, -1);
    assert_true(fabs(r->output_per_second - 1.5) < 1e-9);
    store_query_free(q);
    store_free(st);
}

static void test_stats(void **state)
{
    (void)state;
    struct store *st = open_or_fail("", 100);
    fill(st);
    struct store_query *q = question(STORE_STATS);
    q->models[q->model_count++] = alloc_text("a");
    ask(st, q);
    assert_int_equal(q->stats.requests, 3);
    assert_int_equal(q->stats.input, 70);
    assert_int_equal(q->stats.output, 21);
    assert_int_equal(q->stats.cached, 0);
    assert_int_equal(q->stats.prompt_speed.values, 0);
    assert_int_equal(q->stats.output_speed.values, 3);
    store_query_free(q);
    store_free(st);
}

static void test_oldest_leave(void **state)
{
    (void)state;
    struct store *st = open_or_fail("", 3);
    for (int64_t id = 1; id <= 10; id++)
        put(st, id, "a", 1, 1);
    assert_string_equal(ids(st, question(STORE_ACTIVITY)), "10 9 8 of 3");
    store_free(st);
}

/* The first column of the first row, as a text. */
static const char *one(const char *path, const char *sql)
{
    static char out[256];
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    snprintf(out, sizeof(out), "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    return out;
}

static void test_file(void **state)
{
    (void)state;
    const char *path = path_of("history.db");
    for (int64_t round = 0; round < 2; round++) {
        struct store *st = open_or_fail(path, 100);
        assert_int_equal(store_last_id(st), round);
        put(st, round + 1, "a", 1, 1);
        store_stop(st, false);
        assert_int_equal(store_dropped(st), 0);
        store_free(st);
    }
    assert_string_equal(one(path, "pragma journal_mode"), "wal");
    assert_string_equal(one(path, "select count(*) || max(version_id) || min(is_applied)"
                                  " from goose_db_version"),
                        "211");
    assert_string_equal(one(path, "select group_concat(name) from (select name from sqlite_master"
                                  " where name like 'idx_activity%' order by name)"),
                        "idx_activity_created_id,idx_activity_model_created_id");
    assert_string_equal(one(path, "select min(id) || ',' || max(id) from activity"), "1,2");
    assert_string_equal(one(path, "select group_concat(waited_ms) from activity_wharf"), "3,3");
}

/* An id that somebody else has used meanwhile: that row is lost, and told. */
static void test_rows_that_cannot_be_written(void **state)
{
    (void)state;
    struct store *st = open_or_fail(path_of("taken.db"), 100);
    put(st, 1, "a", 1, 1);
    store_query_free(ask(st, question(STORE_ACTIVITY)));
    put(st, 1, "a", 1, 1);
    put(st, 2, "a", 1, 1);
    assert_string_equal(ids(st, question(STORE_ACTIVITY)), "2 1 of 2");
    assert_int_equal(store_dropped(st), 1);
    store_free(st);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof(path), "%s", path_of("noise.db"));
    FILE *f = fopen(path, "w");
    fputs("this is no database, and it is longer than a header would be, by some bytes and more "
          "bytes than that",
          f);
    fclose(f);
    const struct store_options noise = {.path = path, .rows_max = 1, .on_news = on_news};
    bool is_short = true;
    assert_null(store_open(&noise, &is_short, &err));
    assert_false(is_short);
    assert_non_null(strstr(err.text, "not a database"));
    err = (struct err){0};
    const struct store_options nowhere = {
        .path = "/nonexistent/x.db", .rows_max = 1, .on_news = on_news};
    assert_null(store_open(&nowhere, &is_short, &err));
    assert_false(is_short);
    assert_non_null(strstr(err.text, "/nonexistent/x.db: unable to open"));
}

static void test_locked_file(void **state)
{
    (void)state;
    struct err err = {0};
    sqlite3 *db;
    char path[128];
    snprintf(path, sizeof(path), "%s", path_of("locked.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "begin exclusive; create table t (x)", NULL, NULL, NULL),
                     SQLITE_OK);
    const struct store_options locked = {.path = path, .rows_max = 1, .on_news = on_news};
    bool is_short;
    assert_null(store_open(&locked, &is_short, &err));
    assert_non_null(strstr(err.text, "locked"));
    sqlite3_close(db);
}

/* Until the store's thread has said so, one way or the other. */
static void wait_locked(struct store *st, bool locked)
{
    while (store_locked(st) != locked)
        sem_wait(&news);
}

static void test_rows_wait_for_a_locked_file(void **state)
{
    (void)state;
    sqlite3 *db;
    struct store *st = open_or_fail(path_of("busy.db"), 100);
    assert_int_equal(sqlite3_open(path_of("busy.db"), &db), SQLITE_OK);
    put(st, 1, "a", 1, 1);
    assert_string_equal(ids(st, question(STORE_ACTIVITY)), "1 of 1");
    assert_int_equal(sqlite3_exec(db, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    put(st, 2, "a", 1, 1);
    wait_locked(st, true);
    put(st, 3, "a", 1, 1);
    assert_string_equal(ids(st, question(STORE_ACTIVITY)), "1 of 1");
    assert_int_equal(sqlite3_exec(db, "commit", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    wait_locked(st, false);
    assert_string_equal(ids(st, question(STORE_ACTIVITY)), "3 2 1 of 3");
    assert_int_equal(store_dropped(st), 0);
    store_free(st);
}

/* The row is tried within moments all the same, which the lock makes known. */
static void test_the_clock_is_set_back(void **state)
{
    (void)state;
    sqlite3 *db;
    struct store *st = open_or_fail(path_of("clock.db"), 100);
    assert_int_equal(sqlite3_open(path_of("clock.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    wall_ahead_s = 3600;
    put(st, 1, "a", 1, 1);
    wait_locked(st, true);
    wall_ahead_s = 0;
    sqlite3_close(db);
    store_free(st);
}

/* Whoever puts rows is never held up, and what is queued stays within its bound. */
static void test_a_locked_file_has_a_bound(void **state)
{
    (void)state;
    enum { ROWS = 3 * STORE_ROWS_QUEUED_MAX };
    sqlite3 *db;
    struct store *st = open_or_fail(path_of("full.db"), 10 * ROWS);
    struct store_row row = {.id = 1};
    int64_t taken = 0;
    assert_int_equal(sqlite3_open(path_of("full.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    for (; row.id <= ROWS; row.id++)
        taken += store_put(st, store_row_new(&row));
    assert_true(taken < ROWS);
    wait_locked(st, true);
    assert_true(store_dropped(st) >= ROWS - 2 * STORE_ROWS_QUEUED_MAX);
    assert_int_equal(sqlite3_exec(db, "commit", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    wait_locked(st, false);
    struct store_query *q = ask(st, question(STORE_ACTIVITY));
    assert_true(q->total >= STORE_ROWS_QUEUED_MAX && q->total <= taken);
    assert_int_equal((uint64_t)q->total + store_dropped(st), ROWS);
    store_query_free(q);
    store_free(st);
}

static void test_rows_are_written_at_the_end(void **state)
{
    (void)state;
    struct store *st = open_or_fail(path_of("end.db"), 10000);
    for (int64_t id = 1; id <= 1000; id++)
        put(st, id, "a", 1, 1);
    store_free(st);
    assert_string_equal(one(path_of("end.db"), "select count(*) from activity"), "1000");
}

/* More are kept than the queue holds. */
static void test_many_rows_in_memory(void **state)
{
    (void)state;
    struct store *st = open_or_fail("", 2 * STORE_ROWS_QUEUED_MAX);
    struct store_row row = {.id = 1};
    for (; row.id <= 3 * STORE_ROWS_QUEUED_MAX; row.id++)
        while (!store_put(st, store_row_new(&row)))
            store_query_free(ask(st, question(STORE_STATS)));
    struct store_query *q = ask(st, question(STORE_ACTIVITY));
    assert_int_equal(q->total, 2 * STORE_ROWS_QUEUED_MAX);
    assert_int_equal(q->rows[0]->id, 3 * STORE_ROWS_QUEUED_MAX);
    store_query_free(q);
    store_free(st);
}

static void test_histogram(void **state)
{
    (void)state;
    struct store_histogram h;
    double five[] = {5, 1, 4, 2, 3}, same[] = {2, 2, 2}, many[1000];
    store_histogram(NULL, 0, &h);
    assert_int_equal(h.values, 0);
    store_histogram(same, 3, &h);
    assert_int_equal(h.bin_count, 1);
    assert_int_equal(h.bins[0], 3);
    assert_true(h.bin_size < 1e-9 && fabs(h.p99 - 2) < 1e-9);
    store_histogram(five, 5, &h);
    assert_int_equal(h.bin_count, 5);
    assert_int_equal(h.bins[4], 1);
    assert_true(fabs(h.bin_size - 0.8) < 1e-9 && fabs(h.p50 - 3) < 1e-9);
    assert_true(fabs(h.p95 - 4.8) < 1e-9);
    for (int i = 0; i < 1000; i++)
        many[i] = i;
    store_histogram(many, 1000, &h);
    assert_int_equal(h.bin_count, 11);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < h.bin_count; i++)
        sum += h.bins[i];
    assert_int_equal(sum, 1000);
}

static int set_up(void **state)
{
    (void)state;
    sem_init(&news, 0, 0);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_questions),
                                       cmocka_unit_test(test_sorts),
                                       cmocka_unit_test(test_rows_come_back),
                                       cmocka_unit_test(test_stats),
                                       cmocka_unit_test(test_oldest_leave),
                                       cmocka_unit_test(test_file),
                                       cmocka_unit_test(test_rows_that_cannot_be_written),
                                       cmocka_unit_test(test_what_cannot_be_opened),
                                       cmocka_unit_test(test_locked_file),
                                       cmocka_unit_test(test_rows_wait_for_a_locked_file),
                                       cmocka_unit_test(test_the_clock_is_set_back),
                                       cmocka_unit_test(test_a_locked_file_has_a_bound),
                                       cmocka_unit_test(test_rows_are_written_at_the_end),
                                       cmocka_unit_test(test_many_rows_in_memory),
                                       cmocka_unit_test(test_histogram)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
