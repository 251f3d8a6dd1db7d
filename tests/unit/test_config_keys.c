/* Keys: where they come from, which models they are for, and who administers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "config/config.h"

static struct config *load(const char *text, struct config_report *report)
{
    *report = (struct config_report){0};
    return config_load_text("c", text, strlen(text), report);
}

static struct config *config_of(const char *text)
{
    struct config_report report;
    struct config *c = load(text, &report);
    if (!c)
        fail_msg("%s: %s", text, report.text.data);
    config_report_fini(&report);
    return c;
}

static void test_who_administers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *administer; /* a letter for each key: y, n */
    } rows[] = {
        {"apiKeys: [a, b]", "yy"},
        {"apiKeys: [a]\nkeys: [{key: b}, {key: c, models: [m]}, {key: d, readOnly: true}]", "yynn"},
        {"keys: [{key: a, admin: false}, {key: b}]", "ny"},
        {"apiKeys: [a]\nkeys: [{key: b, admin: true}, {key: c}]", "nyn"},
        {"apiKeys: [a]\nkeys: [{user: \"0\", admin: true}]", "ny"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct config *c = config_of(rows[i].text);
        assert_int_equal(c->key_count, strlen(rows[i].administer));
        for (uint32_t k = 0; k < c->key_count; k++)
            if (c->keys[k].administers != (rows[i].administer[k] == 'y'))
                fail_msg("%s: key %u", rows[i].text, k);
        config_free(c);
    }
}

static void test_models(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *name;
        bool fits;
    } rows[] = {
        {"[m]", "m", true},           {"[m]", "mm", false},        {"[\"q*\"]", "qwen:7b", true},
        {"[\"q*\"]", "aq", false},    {"[a, \"?b\"]", "xb", true}, {"[\"*\"]", "peer/x", true},
        {"[\"p/*\"]", "p/a/b", true}, {"[\"[ab]c\"]", "bc", true}, {"[M]", "m", false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf text = {0};
        buf_printf(&text, "keys: [{key: k, models: %s}]", rows[i].patterns);
        struct config *c = config_of(text.data);
        if (config_key_fits(&c->keys[0], rows[i].name) != rows[i].fits)
            fail_msg("%s: %s", rows[i].patterns, rows[i].name);
        config_free(c);
        buf_fini(&text);
    }
    struct config *c =
        config_of("models: {m: {cmd: x, proxy: \"http://h:1\", aliases: [fast]}}\n"
                  "keys: [{key: a, models: [fast]}, {key: b, models: [slow]}, {key: c}]");
    assert_true(config_key_fits_model(&c->keys[0], &c->models[0]));
    assert_false(config_key_fits_model(&c->keys[1], &c->models[0]));
    assert_true(config_key_fits_model(&c->keys[2], &c->models[0]));
    config_free(c);
}

/* A file with that text, of that mode; the path is static. */
static const char *file_of(const char *text, mode_t mode)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/wharf-keys-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && fchmod(fd, mode) == 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        uint32_t keys;
        const char *said; /* NULL: nothing */
    } rows[] = {
        {"one\n", 0600, 1, NULL},
        {"one", 0640, 1, NULL},
        {"# of Monday\n\n  one \r\ntwo\n#three\n", 0600, 2, NULL},
        {"one\n", 0644, 1, "can be read by every user"},
        {"", 0600, 0, "holds no key"},
        {"# nothing\n\n", 0600, 0, "holds no key"},
        {"one two\n", 0600, 0, "key 1 holds a blank"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        const char *path = file_of(rows[i].text, rows[i].mode);
        struct buf text = {0};
        struct config_report report;
        buf_printf(&text, "keys: [{keyFile: \"%s\", name: n, class: background}]", path);
        struct config *c = load(text.data, &report);
        unlink(path);
        if ((c ? c->key_count : 0) != rows[i].keys)
            fail_msg("row %zu: %s", i, report.text.len ? report.text.data : "no word");
        for (uint32_t k = 0; k < rows[i].keys; k++) {
            assert_string_equal(c->keys[k].key, k ? "two" : "one");
            assert_string_equal(c->keys[k].name, "n");
            assert_int_equal(c->keys[k].class, CONFIG_CLASS_BACKGROUND);
        }
        if (rows[i].said ? !strstr(report.text.len ? report.text.data : "", rows[i].said)
                         : report.text.len > 0)
            fail_msg("row %zu: %s", i, report.text.len ? report.text.data : "no word");
        assert_true(report.text.len == 0 || !strstr(report.text.data, "one two"));
        config_free(c);
        config_report_fini(&report);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_administers),
                                       cmocka_unit_test(test_models), cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
