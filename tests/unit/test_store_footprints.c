#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "store/footprints.h"

static char folder[] = "/tmp/wharf-footprints-XXXXXX";
static sem_t news;

static void on_news(void *arg)
{
    (void)arg;
    sem_post(&news);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* ---- what is in a file, as one text ---- */

static void write_down(void *arg, const struct footprint_row *r)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 4096 - n, "%s@%s#%llu=%llu ", r->model, r->placement,
             (unsigned long long)r->hash, (unsigned long long)r->bytes);
}

static struct footprint_store *open_at(const char *path, char text[4096], char **ret_aside)
{
    struct err err = {0};
    text[0] = '\0';
    struct footprint_store *st = footprint_store_open(
        &(struct footprint_store_options){
            .path = path, .on_row = write_down, .on_news = on_news, .arg = text},
        ret_aside, &err);
    if (!st)
        fail_msg("not opened: %s", err.text);
    return st;
}

static void check_file(const char *path, const char *wanted)
{
    char text[4096], *aside;
    struct footprint_store *st = open_at(path, text, &aside);
    assert_null(aside);
    assert_string_equal(text, wanted);
    footprint_store_free(st);
}

static void put(struct footprint_store *st, const char *model, uint64_t hash, uint64_t bytes)
{
    struct footprint_row row = {.model = model,
                                .placement = "gpu",
                                .device = "sim",
                                .hash = hash,
                                .bytes = bytes,
                                .samples = 1};
    assert_true(footprint_store_put(st, footprint_row_new(&row)));
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

/* ---- tests ---- */

static void keep_row(void *arg, const struct footprint_row *r)
{
    struct footprint_row **kept = arg;
    assert_null(*kept);
    *kept = footprint_row_new(r);
}

static void test_everything_comes_back(void **state)
{
    const char *path = path_of("all");
    const struct footprint_row put_in = {.model = "org/q:8b",
                                         .placement = "cuda",
                                         .device = "GPU \"0\"",
                                         .hash = UINT64_MAX - 1,
                                         .bytes = UINT64_C(10) << 30,
                                         .residue_bytes = 300,
                                         .load_ns = 1234567890,
                                         .samples = 7,
                                         .source = FOOTPRINT_OOM,
                                         .measured_s = 1700000000};
    char text[4096], *aside;
    struct err err = {0};
    (void)state;
    struct footprint_store *st = open_at(path, text, &aside);
    assert_null(aside);
    assert_true(footprint_store_put(st, footprint_row_new(&put_in)));
    footprint_store_free(st);

    struct footprint_row *out = NULL;
    st = footprint_store_open(
        &(struct footprint_store_options){
            .path = path, .on_row = keep_row, .on_news = on_news, .arg = &out},
        &aside, &err);
    assert_non_null(st);
    assert_non_null(out);
    assert_string_equal(out->model, put_in.model);
    assert_string_equal(out->placement, put_in.placement);
    assert_string_equal(out->device, put_in.device);
    assert_true(out->hash == put_in.hash && out->bytes == put_in.bytes);
    assert_int_equal(out->residue_bytes, put_in.residue_bytes);
    assert_int_equal(out->load_ns, put_in.load_ns);
    assert_int_equal(out->samples, put_in.samples);
    assert_int_equal(out->source, put_in.source);
    assert_int_equal(out->measured_s, put_in.measured_s);
    free(out);
    footprint_store_free(st);
}

static void test_one_row_for_each_key(void **state)
{
    const char *path = path_of("keys");
    char text[4096], *aside;
    (void)state;
    struct footprint_store *st = open_at(path, text, &aside);
    for (uint64_t i = 1; i <= 100; i++)
        put(st, "a", 1, i);
    put(st, "a", 2, 5);
    put(st, "b", 1, 6);
    footprint_store_free(st);
    check_file(path, "a@gpu#1=100 a@gpu#2=5 b@gpu#1=6 ");
    st = open_at(path, text, &aside);
    put(st, "a", 1, 7);
    footprint_store_free(st);
    check_file(path, "a@gpu#2=5 b@gpu#1=6 a@gpu#1=7 ");
}

/* The newest definitions of a model are kept, whatever another model does. */
static void test_old_definitions_go(void **state)
{
    const char *path = path_of("old");
    char text[4096], *aside;
    (void)state;
    struct footprint_store *st = open_at(path, text, &aside);
    put(st, "other", 9, 9);
    for (uint64_t i = 1; i <= FOOTPRINTS_HASHES_MAX + 2; i++)
        put(st, "a", i, i);
    footprint_store_free(st);
    check_file(path, "other@gpu#9=9 a@gpu#3=3 a@gpu#4=4 a@gpu#5=5 a@gpu#6=6 ");
}

static void wait_for_row(const char *path)
{
    struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < 2000; i++) {
        sqlite3 *db;
        sqlite3_stmt *st = NULL;
        int64_t rows = 0;
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
        if (sqlite3_prepare_v2(db, "select count(*) from footprint", -1, &st, NULL) == SQLITE_OK &&
            sqlite3_step(st) == SQLITE_ROW)
            rows = sqlite3_column_int64(st, 0);
        sqlite3_finalize(st);
        sqlite3_close(db);
        if (rows)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("nothing was written");
}

/* What was put is in the file although nobody has closed it. */
static void test_it_is_written_by_itself(void **state)
{
    const char *path = path_of("live");
    char text[4096], *aside;
    (void)state;
    struct footprint_store *st = open_at(path, text, &aside);
    put(st, "a", 1, 5);
    wait_for_row(path);
    footprint_store_free(st);
}

/* A file that somebody has locked is told, and written when it is free. */
static void test_locked(void **state)
{
    const char *path = path_of("locked");
    char text[4096], *aside;
    sqlite3 *db;
    (void)state;
    struct footprint_store *st = open_at(path, text, &aside);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    assert_null(footprint_store_problem(st));
    put(st, "a", 1, 5);
    sem_wait(&news);
    auto_free char *problem = footprint_store_problem(st);
    assert_non_null(problem);
    assert_non_null(strstr(problem, "locked"));
    put(st, "a", 1, 6); /* in place of the one that waits */
    put(st, "b", 1, 7);
    assert_int_equal(sqlite3_exec(db, "rollback", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    sem_wait(&news);
    assert_null(footprint_store_problem(st));
    footprint_store_free(st);
    check_file(path, "a@gpu#1=6 b@gpu#1=7 ");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Opens what wharf cannot use: it is put aside with that reason, and a new file works. */
static void check_aside(const char *path, const char *why)
{
    char text[4096], *aside = NULL, moved[160];
    snprintf(moved, sizeof(moved), "%s.aside", path);
    struct footprint_store *st = open_at(path, text, &aside);
    assert_non_null(aside);
    if (!strstr(aside, why))
        fail_msg("said: %s", aside);
    assert_string_equal(text, "");
    assert_int_equal(access(moved, F_OK), 0);
    free(aside);
    put(st, "a", 1, 5);
    footprint_store_free(st);
    check_file(path, "a@gpu#1=5 ");
}

static void test_damaged(void **state)
{
    const char *path = path_of("damaged");
    char text[4096], *aside;
    (void)state;
    write_file(path,
               "this is no database, but some text that is long enough to be a header of one, "
               "which has a hundred bytes");
    check_aside(path, "damaged");
    /* Again, with a file put aside already; now one that was good, and lost a page. */
    struct footprint_store *st = open_at(path, text, &aside);
    for (uint64_t i = 0; i < 200; i++) {
        char model[32];
        snprintf(model, sizeof(model), "model-%llu", (unsigned long long)i);
        put(st, model, i, i + 1);
    }
    footprint_store_free(st);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 4096, SEEK_SET);
    for (int i = 0; i < 2 * 4096; i++)
        fputc(0xa5, f);
    fclose(f);
    check_aside(path, "damaged");
}

static void test_other_versions(void **state)
{
    static const char *const sql[] = {"create table footprint (x); pragma user_version = 0",
                                      "create table footprint (x); pragma user_version = 2",
                                      "pragma user_version = 99"};
    (void)state;
    for (size_t i = 0; i < countof(sql); i++) {
        const char *path = path_of("version");
        unlink(path);
        run_sql(path, sql[i]);
        check_aside(path, "schema version");
    }
    const char *path = path_of("tables");
    run_sql(path, "create table footprint (x); pragma user_version = 1");
    check_aside(path, "wharf has not written it so");
}

static void test_empty_file(void **state)
{
    const char *path = path_of("empty");
    (void)state;
    write_file(path, "");
    check_file(path, "");
}

static void test_cannot_be_opened(void **state)
{
    struct err err = {0};
    char *aside;
    (void)state;
    struct footprint_store_options opt = {
        .path = path_of("no/such/folder"), .on_row = write_down, .on_news = on_news};
    assert_null(footprint_store_open(&opt, &aside, &err));
    assert_null(aside);
    assert_non_null(strstr(err.text, "no/such/folder"));
    opt.path = folder; /* a folder is no file, and stays */
    assert_null(footprint_store_open(&opt, &aside, &err));
    assert_null(aside);
    assert_int_equal(access(folder, F_OK), 0);
    footprint_store_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_one_row_for_each_key),
        cmocka_unit_test(test_old_definitions_go),
        cmocka_unit_test(test_it_is_written_by_itself),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_cannot_be_opened),
    };
    sem_init(&news, 0, 0);
    if (!mkdtemp(folder))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = alloc_printf("rm -r %s", folder);
    int removed = system(command);
    free(command);
    return rc || removed;
}
