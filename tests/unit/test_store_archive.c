#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "store/archive.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define BEGAN INT64_C(1790000000000)

static char folder[] = "/tmp/wharf-archive-XXXXXX";
static sem_t news;
static int64_t wall, steady;

static void on_news(void *arg)
{
    (void)arg;
    sem_post(&news);
}

static int64_t wall_ms(void)
{
    return __atomic_load_n(&wall, __ATOMIC_SEQ_CST);
}

static int64_t steady_ms(void)
{
    return __atomic_load_n(&steady, __ATOMIC_SEQ_CST);
}

static void set_clocks(int64_t wall_at, int64_t steady_at)
{
    __atomic_store_n(&wall, wall_at, __ATOMIC_SEQ_CST);
    __atomic_store_n(&steady, steady_at, __ATOMIC_SEQ_CST);
}

static void pass(int64_t ms)
{
    set_clocks(wall + ms, steady + ms);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static struct archive *open_at(const char *path, uint64_t bytes_max, uint64_t age_ms_max)
{
    struct archive *a = archive_open(
        &(struct archive_options){.path = path,
                                  .bounds = {.bytes_max = bytes_max, .age_ms_max = age_ms_max},
                                  .on_news = on_news,
                                  .wall_ms = wall_ms,
                                  .steady_ms = steady_ms});
    assert_non_null(a);
    return a;
}

static void put_request(struct archive *a, int64_t arrived, const char *model, int64_t tokens)
{
    struct archive_draft d;
    archive_draft_init(&d, ARCHIVE_REQUESTS);
    archive_set_number(&d, ARCHIVE_REQUESTS_arrived, arrived);
    archive_set_text(&d, ARCHIVE_REQUESTS_model, model);
    archive_set_text(&d, ARCHIVE_REQUESTS_trace, "0af7651916cd43dd8448eb211c80319c");
    archive_set_number(&d, ARCHIVE_REQUESTS_status, 200);
    if (tokens >= 0)
        archive_set_number(&d, ARCHIVE_REQUESTS_output_tokens, tokens);
    assert_true(archive_put(a, archive_row_new(&d)));
}

static void put_sample(struct archive *a, int64_t at, int64_t used, int64_t power_mw)
{
    struct archive_draft d;
    archive_draft_init(&d, ARCHIVE_SAMPLES);
    archive_set_number(&d, ARCHIVE_SAMPLES_at, at);
    archive_set_text(&d, ARCHIVE_SAMPLES_device, "gpu0");
    archive_set_number(&d, ARCHIVE_SAMPLES_span_s, 1);
    archive_set_number(&d, ARCHIVE_SAMPLES_samples, 1);
    archive_set_number(&d, ARCHIVE_SAMPLES_total_bytes, 1000);
    archive_set_number(&d, ARCHIVE_SAMPLES_used_bytes, used);
    if (power_mw >= 0)
        archive_set_number(&d, ARCHIVE_SAMPLES_power_w, power_mw);
    assert_true(archive_put(a, archive_row_new(&d)));
}

/* Takes *like; the answer is the caller's. Also the way to have all that was put written. */
static struct archive_question *ask(struct archive *a, const struct archive_question *like)
{
    struct archive_question *q = alloc_zeroed(1, sizeof(*q));
    *q = *like;
    q->end_ms = q->end_ms ? q->end_ms : INT64_MAX;
    q->limit = q->limit ? q->limit : ARCHIVE_PAGE_MAX;
    assert_true(archive_ask(a, q));
    struct archive_question *answered;
    while (!(answered = archive_answered(a)))
        sem_wait(&news);
    assert_ptr_equal(answered, q);
    return q;
}

static uint32_t count(struct archive *a, enum archive_table table)
{
    struct archive_question *q = ask(a, &(struct archive_question){.table = table});
    assert_false(q->failed);
    uint32_t n = q->row_count;
    archive_question_free(q);
    return n;
}

/* The one number that the statement gives of a file that nobody has open. */
static int64_t number_of(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return number;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int set_up(void **state)
{
    (void)state;
    set_clocks(BEGAN, 1000);
    return 0;
}

/* ---- what goes in and comes out ---- */

static void test_rows(void **state)
{
    const char *path = path_of("rows.db");
    struct archive *a = open_at(path, 64 * MIB, 0);
    (void)state;
    for (int i = 0; i < 40; i++) /* more than one statement takes, and not a multiple */
        put_request(a, BEGAN + i, i % 2 ? "odd" : "even", i ? i : -1);
    struct archive_question *q = ask(
        a, &(struct archive_question){.table = ARCHIVE_REQUESTS, .ascending = true, .limit = 1});
    assert_string_equal(q->text.data,
                        "{\"id\":1,\"arrived\":\"2026-09-21T14:13:20.000Z\",\"model\":\"even\","
                        "\"class\":null,\"path\":null,\"status\":200,\"ended\":null,\"key\":null,"
                        "\"trace\":\"0af7651916cd43dd8448eb211c80319c\",\"waited_ms\":null,"
                        "\"load_ms\":null,\"first_byte_ms\":null,\"total_ms\":null,"
                        "\"input_tokens\":null,\"output_tokens\":null,\"cached_tokens\":null,"
                        "\"bytes\":null}");
    assert_true(archive_is_cursor(q->next));
    archive_question_free(q);
    q = ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS, .filter = alloc_text("odd")});
    assert_int_equal(q->row_count, 20);
    assert_string_equal(q->next, "");
    archive_question_free(q);
    archive_free(a);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Ids go on where they were, also when all rows are gone. */
    run_sql(path, "delete from requests");
    a = open_at(path, 64 * MIB, 0);
    put_request(a, BEGAN, "m", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 1);
    archive_free(a);
    assert_int_equal(number_of(path, "select id from requests"), 41);
}

static void test_csv(void **state)
{
    struct archive *a = open_at(path_of("csv.db"), 64 * MIB, 0);
    struct buf headings = {0};
    (void)state;
    put_request(a, BEGAN, "a, \"b\"", 7);
    put_sample(a, BEGAN, 5, 1500);
    struct archive_question *q =
        ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS, .form = ARCHIVE_AS_CSV});
    assert_string_equal(q->text.data, "1,2026-09-21T14:13:20.000Z,\"a, \"\"b\"\"\",,,200,,,"
                                      "0af7651916cd43dd8448eb211c80319c,,,,,,7,,\r\n");
    archive_question_free(q);
    q = ask(a, &(struct archive_question){.table = ARCHIVE_SAMPLES, .form = ARCHIVE_AS_CSV});
    assert_non_null(
        strstr(q->text.data, ",gpu0,1,1,1000,1000,1000,5,5,5,,,,,,,,,,,,,1.5,1.5,1.5,"));
    archive_put_headings(ARCHIVE_SAMPLES, &headings);
    size_t heads = 0, cells = 0;
    for (const char *p = headings.data; *p; p++)
        heads += *p == ',';
    for (const char *p = q->text.data; *p; p++)
        cells += *p == ',';
    assert_int_equal(heads, cells);
    buf_fini(&headings);
    archive_question_free(q);
    archive_free(a);
}

/* ---- bounds ---- */

static void test_size(void **state)
{
    const char *path = path_of("size.db");
    struct archive *a = open_at(path, 8 * MIB, 0);
    struct stat st;
    (void)state;
    for (int i = 0; i < 150000; i++) {
        put_request(a, BEGAN + i, "m", i);
        if (i % 4000 == 0)
            (void)count(a, ARCHIVE_SWAPS); /* so that the queue holds them */
    }
    put_request(a, BEGAN + 150000, "m", 150000);
    assert_true(count(a, ARCHIVE_REQUESTS) == ARCHIVE_PAGE_MAX);
    struct archive_state now;
    archive_look(a, &now);
    assert_int_equal(now.dropped, 0);
    assert_true(now.bytes <= 8 * MIB);
    free(now.problem);
    archive_free(a);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 4 * MIB, 8 * MIB);
    /* The oldest are gone, the newest are there, and none between. */
    assert_int_equal(number_of(path, "select max(arrived) from requests"), BEGAN + 150000);
    assert_int_equal(number_of(path, "select max(id) - min(id) + 1 - count(*) from requests"), 0);
    assert_true(number_of(path, "select count(*) from requests") > 50000);
    /* A smaller bound is kept too, a little at a time, and the space is given back. */
    a = open_at(path, 8 * MIB, 0);
    archive_bound(a, &(struct archive_bounds){.bytes_max = 4 * MIB});
    for (int i = 1; i <= 200; i++) {
        put_request(a, BEGAN + 150000 + i, "m", i);
        (void)count(a, ARCHIVE_SWAPS);
    }
    archive_free(a);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1 * MIB, 4 * MIB);
}

static void test_age(void **state)
{
    const char *path = path_of("age.db");
    struct archive *a = open_at(path, 64 * MIB, DAY);
    (void)state;
    put_request(a, BEGAN, "old", 1);
    put_sample(a, BEGAN, 1, 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 1);
    pass(DAY - 1000);
    put_request(a, BEGAN + DAY - 1000, "new", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 2);
    pass(2000);
    put_request(a, BEGAN + DAY + 1000, "newest", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 2);
    assert_int_equal(count(a, ARCHIVE_SAMPLES), 1); /* of whatever age */
    archive_free(a);
}

/* A clock that is years ahead for a while makes nothing old; one that stays there is believed. */
static void test_clock_jumps(void **state)
{
    const char *path = path_of("clock.db");
    struct archive *a = open_at(path, 64 * MIB, DAY);
    (void)state;
    for (int i = 0; i < 5; i++)
        put_request(a, BEGAN + i, "m", i);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 5);
    static const int64_t jumps[] = {3650 * DAY, -3650 * DAY, HOUR, 0};
    /* A row that says it is ten years old is, once the clock is right again. */
    static const uint32_t rows[] = {6, 7, 7, 8};
    for (size_t i = 0; i < countof(jumps); i++) {
        set_clocks(BEGAN + jumps[i] + 2000 * (int64_t)i, 1000 + 2000 * (int64_t)i);
        put_request(a, BEGAN + jumps[i], "jumped", 1);
        assert_int_equal(count(a, ARCHIVE_REQUESTS), rows[i]);
    }
    archive_free(a);
    /* Another daemon begins with it, as after a start without a battery. */
    set_clocks(BEGAN + 3650 * DAY, 500);
    a = open_at(path, 64 * MIB, DAY);
    put_request(a, BEGAN + 3650 * DAY, "far", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 9);
    pass(HOUR / 2);
    put_request(a, BEGAN + 3650 * DAY, "far", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 10);
    pass(HOUR);
    put_request(a, BEGAN + 3650 * DAY + HOUR, "far", 1);
    /* Those of ten years ahead, and of now. */
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 4);
    archive_free(a);
}

/* ---- samples ---- */

/* Puts those of so many seconds in, and lets time pass; sums are what they were. */
static void test_samples_are_put_together(void **state)
{
    const char *path = path_of("samples.db");
    static const struct {
        int64_t after;
        int64_t span, rows;
    } cases[] = {{HOUR + 2 * 60000, 10, 60}, {DAY + HOUR, 60, 10}, {8 * DAY, 600, 1}};
    int64_t began = BEGAN / 600000 * 600000, used = 0, power = 0, powers = 0;
    struct archive *a = open_at(path, 64 * MIB, 0);
    (void)state;
    set_clocks(began, 1000);
    for (int i = 0; i < 600; i++) {
        int64_t u = i < 60 ? 500 : i, p = i % 3 ? i * 7 : -1;
        put_sample(a, began + i * 1000, u, p);
        used += u;
        power += p < 0 ? 0 : p;
        powers += p >= 0;
    }
    assert_int_equal(count(a, ARCHIVE_SAMPLES), 600);
    for (size_t i = 0; i < countof(cases); i++) {
        char sql[128];
        set_clocks(began + cases[i].after + 600000, 1000 + cases[i].after + 600000);
        put_request(a, wall, "m", 1);
        (void)count(a, ARCHIVE_REQUESTS);
        archive_free(a);
        snprintf(sql, sizeof(sql), "select count(*) from samples where span_s = %" PRId64,
                 cases[i].span);
        assert_int_equal(number_of(path, sql), cases[i].rows);
        assert_int_equal(number_of(path, "select count(*) from samples"), cases[i].rows);
        assert_int_equal(number_of(path, "select sum(used_bytes) from samples"), used);
        assert_int_equal(number_of(path, "select sum(samples) from samples"), 600);
        assert_int_equal(number_of(path, "select sum(power_w) from samples"), power);
        assert_int_equal(number_of(path, "select sum(coalesce(power_w_n, samples)) from samples"),
                         powers);
        assert_int_equal(
            number_of(path,
                      "select min(coalesce(used_bytes_min, used_bytes / samples)) from samples"),
            60);
        assert_int_equal(
            number_of(path,
                      "select max(coalesce(used_bytes_max, used_bytes / samples)) from samples"),
            599);
        a = open_at(path, 64 * MIB, 0);
        (void)count(a, ARCHIVE_SWAPS); /* it has looked at the clocks */
    }
    struct archive_question *q = ask(a, &(struct archive_question){.table = ARCHIVE_SAMPLES});
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "\"used_bytes\":{\"min\":60,\"mean\":%.15g,\"max\":599}",
             (double)used / 600);
    if (!strstr(q->text.data, wanted))
        fail_msg("no %s in %s", wanted, q->text.data);
    snprintf(wanted, sizeof(wanted), "\"power_w\":{\"min\":0.007,\"mean\":%.15g,",
             (double)power / (double)powers / 1000);
    if (!strstr(q->text.data, wanted))
        fail_msg("no %s in %s", wanted, q->text.data);
    assert_non_null(
        strstr(q->text.data, "\"total_bytes\":{\"min\":1000,\"mean\":1000,\"max\":1000}"));
    archive_question_free(q);
    archive_free(a);
}

/* ---- files ---- */

static void test_an_older_file(void **state)
{
    const char *path = path_of("older.db");
    (void)state;
    run_sql(path, "pragma auto_vacuum = incremental;"
                  "create table names (id integer primary key, text text not null unique);"
                  "create table stamp (id integer primary key, number integer not null);"
                  "create table requests (id integer primary key, arrived integer, model integer);"
                  "insert into names values (7, 'old');"
                  "insert into requests values (3, 1790000000000, 7);"
                  "insert into stamp values (2, 3);"
                  "pragma user_version = 1");
    struct archive *a = open_at(path, 64 * MIB, 0);
    put_request(a, BEGAN + 1, "old", 5);
    struct archive_question *q = ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS});
    assert_int_equal(q->row_count, 2);
    assert_non_null(strstr(q->text.data, "{\"id\":4,"));
    assert_non_null(strstr(q->text.data, "{\"id\":3,\"arrived\":\"2026-09-21T14:13:20.000Z\","
                                         "\"model\":\"old\",\"class\":null"));
    archive_question_free(q);
    archive_free(a);
}

static void check_aside(const char *path, const char *why)
{
    struct archive *a = open_at(path, 64 * MIB, 0);
    struct archive_state now;
    char *aside = alloc_printf("%s.aside", path);
    put_request(a, BEGAN, "m", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 1);
    archive_look(a, &now);
    if (!now.aside || !strstr(now.aside, why))
        fail_msg("put aside for '%s', not '%s'", now.aside ? now.aside : "nothing", why);
    assert_int_equal(access(aside, F_OK), 0);
    free(now.aside);
    free(now.problem);
    archive_look(a, &now);
    assert_null(now.aside); /* told once */
    free(now.problem);
    free(aside);
    archive_free(a);
}

static void test_files_that_are_put_aside(void **state)
{
    const char *path = path_of("aside.db");
    (void)state;
    run_sql(path, "create table other (a); insert into other values (1)");
    check_aside(path, "schema version 0");
    run_sql(path, "pragma user_version = 9");
    check_aside(path, "schema version 9");
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 20000; i++)
        fputs("no database ", f);
    fclose(f);
    check_aside(path, "it is damaged");
}

/* Damage that nobody sees before it is met. */
static void test_damage_within(void **state)
{
    const char *path = path_of("damage.db");
    struct archive *a = open_at(path, 64 * MIB, 0);
    (void)state;
    for (int i = 0; i < 5000; i++)
        put_request(a, BEGAN + i, "m", i);
    (void)count(a, ARCHIVE_REQUESTS);
    archive_free(a);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    FILE *f = fopen(path, "r+");
    for (long at = 8 * 4096; at + 4096 <= st.st_size; at += 4096) {
        fseek(f, at, SEEK_SET);
        for (int i = 0; i < 64; i++)
            fputc(0xee, f);
    }
    fclose(f);
    a = open_at(path, 64 * MIB, 0);
    put_request(a, BEGAN + 9999, "m", 1);
    struct archive_question *q = ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS});
    archive_question_free(q);
    /* By now it is another file, which takes what comes. */
    put_request(a, BEGAN + 10000, "m", 1);
    struct archive_state now;
    q = ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS});
    assert_false(q->failed);
    assert_true(q->row_count >= 1 && q->row_count <= 2);
    archive_question_free(q);
    archive_look(a, &now);
    assert_non_null(now.aside);
    assert_null(now.problem);
    assert_int_equal(now.dropped, 0);
    free(now.aside);
    archive_free(a);
}

static void test_locked(void **state)
{
    const char *path = path_of("locked.db");
    sqlite3 *other;
    struct archive_state now;
    struct archive *a = open_at(path, 64 * MIB, 0);
    (void)state;
    put_request(a, BEGAN, "m", 1);
    (void)count(a, ARCHIVE_REQUESTS);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    put_request(a, BEGAN + 1, "m", 1);
    do {
        sem_wait(&news);
        archive_look(a, &now);
        assert_null(now.problem);
    } while (!now.locked);
    assert_int_equal(sqlite3_exec(other, "commit", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    do {
        sem_wait(&news);
        archive_look(a, &now);
    } while (now.locked);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 2);
    archive_free(a);
}

/* A question that was left open would keep the file as it was then: no write would be possible any
 * more once somebody else had written. */
static void test_a_question_is_over_when_it_is_answered(void **state)
{
    const char *path = path_of("over.db");
    struct archive_state now;
    struct archive *a = open_at(path, 64 * MIB, 0);
    (void)state;
    put_request(a, BEGAN, "m", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 1);
    run_sql(path, "update requests set status = 201");
    put_request(a, BEGAN + 1, "m", 1);
    assert_int_equal(count(a, ARCHIVE_REQUESTS), 2);
    archive_look(a, &now);
    assert_false(now.locked);
    archive_free(a);
}

static void test_an_end_waits_for_no_long_question(void **state)
{
    const char *path = path_of("end.db");
    struct archive *a = open_at(path, 64 * MIB, 0);
    struct archive_question *q;
    uint32_t answered = 0, failed = 0;
    (void)state;
    (void)count(a, ARCHIVE_REQUESTS);
    archive_stop(a, false);
    archive_free(a);
    run_sql(path, "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000)"
                  " insert into requests (id, arrived) select i + 1000, 1790000000000 + i from n");
    a = open_at(path, 64 * MIB, 0);
    for (uint32_t i = 0; i < 32; i++) {
        q = alloc_zeroed(1, sizeof(*q));
        *q = (struct archive_question){
            .end_ms = INT64_MAX, .limit = ARCHIVE_PAGE_MAX, .filter = alloc_text("nobody")};
        assert_true(archive_ask(a, q));
    }
    put_request(a, BEGAN, "m", 1);
    archive_stop(a, true);
    while ((q = archive_answered(a))) {
        answered++;
        failed += q->failed;
        archive_question_free(q);
    }
    archive_free(a);
    assert_int_equal(answered, 32);
    assert_true(failed > 16); /* some may have been answered by then */
    assert_int_equal(number_of(path, "select count(*) from requests"), 50001);
}

/* What does not fit into the queue is lost, and counted; what fitted is written in the end. */
static void test_a_locked_file_has_a_bound(void **state)
{
    const char *path = path_of("bound.db");
    sqlite3 *other;
    struct archive_state now;
    struct archive *a = open_at(path, 64 * MIB, 0);
    uint64_t lost = 0;
    (void)state;
    (void)count(a, ARCHIVE_REQUESTS);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    put_request(a, BEGAN, "m", 0);
    do {
        sem_wait(&news);
        archive_look(a, &now);
    } while (!now.locked);
    for (int i = 1; i < 2 * ARCHIVE_ROWS_QUEUED_MAX; i++) {
        struct archive_draft d;
        archive_draft_init(&d, ARCHIVE_REQUESTS);
        archive_set_number(&d, ARCHIVE_REQUESTS_arrived, BEGAN + i);
        lost += !archive_put(a, archive_row_new(&d));
    }
    assert_true(archive_queued(a) <= ARCHIVE_ROWS_QUEUED_MAX);
    assert_int_equal(sqlite3_exec(other, "commit", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    do {
        sem_wait(&news);
        archive_look(a, &now);
    } while (now.locked);
    assert_true(now.dropped >= lost && lost > 0);
    archive_free(a);
    int64_t rows = number_of(path, "select count(*) from requests");
    assert_int_equal(rows + (int64_t)now.dropped, 2 * ARCHIVE_ROWS_QUEUED_MAX);
}

/* A process that is killed while it writes loses what it had not written, and nothing else. */
static void test_killed(void **state)
{
    const char *path = path_of("killed.db");
    (void)state;
    int64_t before = 0;
    for (int turn = 0; turn < 5; turn++) {
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct archive *a = open_at(path, 64 * MIB, 0);
            for (int i = 0;; i++) {
                put_request(a, BEGAN + i, "m", i);
                if (i % 500 == 499)
                    (void)count(a, ARCHIVE_SWAPS);
                if (i == 2000 && write(ready[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(ready[0]);
        close(ready[1]);
        struct archive *a = open_at(path, 64 * MIB, 0);
        struct archive_question *q = ask(a, &(struct archive_question){.table = ARCHIVE_REQUESTS});
        struct archive_state now;
        assert_false(q->failed);
        archive_question_free(q);
        archive_look(a, &now);
        assert_null(now.aside);
        assert_null(now.problem);
        archive_free(a);
        int64_t rows = number_of(path, "select count(*) from requests");
        assert_true(rows >= before + 2000);
        assert_int_equal(number_of(path, "select max(id) - count(*) from requests"), 0);
        assert_int_equal(number_of(path, "select count(*) from pragma_quick_check where"
                                         " quick_check = 'ok'"),
                         1);
        before = rows;
    }
}

static void test_cursors(void **state)
{
    static const char *const bad[] = {
        "",     "x",    "1",
        "1-",   "-",    "1-2-3x",
        "1 -2", "1-2 ", "99999999999999999999999999999999999999999999-1"};
    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        if (archive_is_cursor(bad[i]))
            fail_msg("'%s' is taken", bad[i]);
    assert_true(archive_is_cursor("1790000000000-17"));
}

static int make_folder(void **state)
{
    (void)state;
    sem_init(&news, 0, 0);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows, set_up),
        cmocka_unit_test_setup(test_csv, set_up),
        cmocka_unit_test_setup(test_size, set_up),
        cmocka_unit_test_setup(test_age, set_up),
        cmocka_unit_test_setup(test_clock_jumps, set_up),
        cmocka_unit_test_setup(test_samples_are_put_together, set_up),
        cmocka_unit_test_setup(test_an_older_file, set_up),
        cmocka_unit_test_setup(test_files_that_are_put_aside, set_up),
        cmocka_unit_test_setup(test_damage_within, set_up),
        cmocka_unit_test_setup(test_locked, set_up),
        cmocka_unit_test_setup(test_a_question_is_over_when_it_is_answered, set_up),
        cmocka_unit_test_setup(test_an_end_waits_for_no_long_question, set_up),
        cmocka_unit_test_setup(test_a_locked_file_has_a_bound, set_up),
        cmocka_unit_test_setup(test_killed, set_up),
        cmocka_unit_test_setup(test_cursors, set_up),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
