/* Records that outlive a daemon: torn, of a wrong checksum, older, too many, of another boot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config_folder.h"
#include "server/records.h"

#define BOOT "11111111-2222-3333-4444-555555555555"

static struct folder folder;
static char *path;

static int begin(void **state)
{
    (void)state;
    folder = folder_new();
    path = alloc_printf("%s/records", folder.path);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(path);
    folder_remove(&folder);
    return 0;
}

static struct records opened(const char *boot)
{
    struct records r;
    struct err err = {0};
    if (records_open(&r, path, boot, &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

static uint32_t put(struct records *r, uint32_t slot, const char *text)
{
    assert_int_equal(records_put(r, &slot, RECORD_LEASE, text, (uint32_t)strlen(text) + 1), 0);
    return slot;
}

/* All that is kept, with a space behind each. */
static const char *all(const struct records *r)
{
    static char text[1024];
    struct record at;
    uint32_t cursor = 0;
    text[0] = '\0';
    while (records_next(r, &cursor, &at)) {
        assert_int_equal(at.kind, RECORD_LEASE);
        assert_int_equal(at.len, strlen(at.data) + 1);
        strcat(text, at.data);
        strcat(text, " ");
    }
    return text;
}

/* The file as another daemon would find it after this one was killed: nothing is closed. */
static void expect_kept(const char *what)
{
    struct records again = opened(BOOT);
    assert_string_equal(all(&again), what);
    records_close(&again);
}

/* Changes a byte behind the n-th occurrence of that text. */
static void spoil(const char *text, int n, size_t behind)
{
    struct stat st;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *data = alloc_zeroed((size_t)st.st_size, 1);
    assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
    for (off_t at = 0; at < st.st_size; at++) {
        if (memcmp(data + at, text, strlen(text)) != 0 || n-- > 0)
            continue;
        char c = (char)(data[(size_t)at + behind] ^ 1);
        assert_int_equal(pwrite(fd, &c, 1, at + (off_t)behind), 1);
        break;
    }
    free(data);
    close(fd);
}

static void test_kept(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    uint32_t a = put(&r, RECORDS_NONE, "a1"), b = put(&r, RECORDS_NONE, "b1");
    assert_int_not_equal(a, b);
    expect_kept("a1 b1 ");
    assert_int_equal(put(&r, a, "a2"), a);
    expect_kept("a2 b1 ");
    records_drop(&r, &a);
    assert_int_equal(a, RECORDS_NONE);
    expect_kept("b1 ");
    /* A slot that was left is taken again, and its past is past. */
    assert_int_equal(put(&r, RECORDS_NONE, "c1"), 0);
    expect_kept("c1 b1 ");
    records_close(&r);
    expect_kept("c1 b1 ");
}

static void test_half_written(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    uint32_t a = put(&r, RECORDS_NONE, "first");
    put(&r, a, "second");
    records_close(&r);
    /* The newer is spoiled: the older holds; then it is written over, and the newest holds. */
    spoil("second", 0, 2);
    expect_kept("first ");
    r = opened(BOOT);
    put(&r, a, "third");
    expect_kept("third ");
    put(&r, a, "fourth");
    records_close(&r);
    spoil("third", 0, 0);
    expect_kept("fourth ");
    spoil("fourth", 0, 0);
    expect_kept("");
}

static void test_an_older_one_does_not_hold(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    uint32_t a = RECORDS_NONE;
    char text[16];
    for (int i = 0; i < 9; i++) {
        snprintf(text, sizeof(text), "v%d", i);
        a = put(&r, a, text);
    }
    expect_kept("v8 ");
    records_drop(&r, &a);
    expect_kept("");
    records_close(&r);
}

static void test_another_boot(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    put(&r, RECORDS_NONE, "a");
    records_close(&r);
    r = opened("99999999-2222-3333-4444-555555555555");
    assert_string_equal(all(&r), "");
    put(&r, RECORDS_NONE, "b");
    records_close(&r);
    r = opened(BOOT);
    assert_string_equal(all(&r), "");
    records_close(&r);
    /* The kernel's own, which does not change meanwhile. */
    r = opened(NULL);
    put(&r, RECORDS_NONE, "c");
    records_close(&r);
    r = opened(NULL);
    assert_string_equal(all(&r), "c ");
    records_close(&r);
}

static void test_full(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    off_t small = st.st_size;
    for (uint32_t i = 0; i < RECORDS_MAX; i++)
        assert_int_equal(put(&r, RECORDS_NONE, "x"), i);
    uint32_t slot = RECORDS_NONE;
    assert_int_equal(records_put(&r, &slot, RECORD_LEASE, "y", 2), -1);
    assert_int_equal(slot, RECORDS_NONE);
    /* What has a place can be written all the same. */
    assert_int_equal(put(&r, 7, "z"), 7);
    slot = 7;
    records_drop(&r, &slot);
    assert_int_equal(put(&r, RECORDS_NONE, "again"), 7);
    records_close(&r);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > small);
    r = opened(BOOT);
    uint32_t cursor = 0, count = 0;
    struct record at;
    while (records_next(&r, &cursor, &at))
        count++;
    assert_int_equal(count, RECORDS_MAX);
    records_close(&r);
}

static void test_the_largest(void **state)
{
    (void)state;
    char data[RECORD_BYTES_MAX];
    memset(data, 'x', sizeof(data));
    struct records r = opened(BOOT);
    uint32_t slot = RECORDS_NONE, cursor = 0;
    assert_int_equal(records_put(&r, &slot, RECORD_LEASE, data, sizeof(data)), 0);
    records_close(&r);
    r = opened(BOOT);
    struct record at;
    assert_true(records_next(&r, &cursor, &at));
    assert_int_equal(at.len, sizeof(data));
    assert_memory_equal(at.data, data, sizeof(data));
    records_close(&r);
}

static void test_noise(void **state)
{
    (void)state;
    struct records r = opened(BOOT);
    put(&r, RECORDS_NONE, "a");
    records_close(&r);
    int fd = open(path, O_RDWR);
    char noise[4096];
    unsigned seed = 1;
    /* All but the file's head, so that its boot is the right one. */
    for (off_t at = 4096; at < 40960; at += (off_t)sizeof(noise)) {
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)((seed = seed * 1103515245U + 12345U) >> 16);
        assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
    }
    /* One that was cut short is made long enough again. */
    assert_int_equal(ftruncate(fd, 30000), 0);
    close(fd);
    expect_kept("");
    r = opened(BOOT);
    put(&r, RECORDS_NONE, "b");
    expect_kept("b ");
    records_close(&r);
}

/* Why something was not written, the last time. */
static char trouble[256];

static void on_trouble(void *arg, const char *why)
{
    (void)arg;
    snprintf(trouble, sizeof(trouble), "%s", why);
}

/* All is in memory until there is a file, and then in that. */
static void test_no_file(void **state)
{
    (void)state;
    struct records r;
    struct err err = {0};
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(records_open(&r, path, BOOT, &err), -1);
    assert_non_null(strstr(err.text, path));
    assert_false(records_kept(&r));
    uint32_t a = put(&r, RECORDS_NONE, "a"), b = put(&r, RECORDS_NONE, "b");
    put(&r, a, "a2");
    records_drop(&r, &b);
    assert_string_equal(all(&r), "a2 ");
    assert_int_equal(records_mend(&r, &err), -1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(records_mend(&r, &err), 0);
    assert_true(records_kept(&r));
    expect_kept("a2 ");
    put(&r, RECORDS_NONE, "c");
    expect_kept("a2 c ");
    records_close(&r);
}

/* Of what cannot be written the file has what it had, until it can be. */
static void test_a_file_that_cannot_be_written(void **state)
{
    (void)state;
    struct err err = {0};
    struct records r = opened(BOOT);
    r.on_trouble = on_trouble;
    uint32_t a = put(&r, RECORDS_NONE, "a1"), b = put(&r, RECORDS_NONE, "b1");
    int was = r.fd;
    r.fd = open(path, O_RDONLY);
    put(&r, a, "a2");
    assert_string_not_equal(trouble, "");
    put(&r, a, "a3");
    records_drop(&r, &b);
    put(&r, RECORDS_NONE, "c1");
    assert_string_equal(all(&r), "a3 c1 ");
    assert_false(records_kept(&r));
    expect_kept("a1 b1 ");
    assert_int_equal(records_mend(&r, &err), -1);
    close(r.fd);
    r.fd = was;
    assert_int_equal(records_mend(&r, &err), 0);
    expect_kept("a3 c1 ");
    put(&r, a, "a4");
    expect_kept("a4 c1 ");
    records_close(&r);
}

/* In a field of 32 bytes; texts with the same first 31 are told apart. */
static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "a",
        "thirty-one bytes are its length",
        "thirty-two bytes are its length.",
        "thirty-two bytes are its length!",
        "thirty-three bytes and somewhat more are its length",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char field[32];
        memset(field, 'x', sizeof(field));
        record_put_name(field, sizeof(field), names[i]);
        assert_non_null(memchr(field, '\0', sizeof(field)));
        if (strlen(names[i]) < sizeof(field))
            assert_string_equal(field, names[i]);
        for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
            if (record_has_name(field, sizeof(field), names[k]) != (i == k))
                fail_msg("'%s' in the field '%s', which has '%s'", names[k], field, names[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_kept),         TEST(test_half_written), TEST(test_an_older_one_does_not_hold),
        TEST(test_another_boot), TEST(test_full),         TEST(test_the_largest),
        TEST(test_noise),        TEST(test_no_file),      TEST(test_a_file_that_cannot_be_written),
        TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
