/* Several files as one configuration, and what is seen of them without reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include "base/buf.h"
#include "config/arena.h"
#include "config/gather.h"
#include "config/sources.h"
#include "config_folder.h"

#define FILES_MAX 4

struct file {
    const char *name, *text;
};

/* Loads in the folder, so that messages have short names. file, dir: what the command line says. */
static struct config *load(const struct folder *f, const struct config_sources *sources,
                           struct config_report *report)
{
    must(chdir(f->path) == 0);
    struct config *c = config_load(sources, report);
    buf_text(&report->text, "");
    must(chdir("/") == 0);
    return c;
}

static const struct {
    const char *rule;
    struct file files[FILES_MAX];
    struct config_sources sources;
    const char *report; /* NULL: see shown */
    const char *shown;  /* what must stand in the printed configuration */
} cases[] = {
    {"file alone", {{"a.yaml", "logLevel: warn\n"}}, {"a.yaml", NULL}, "", "logLevel: \"warn\""},
    {"folder alone", {{"d/a.yaml", "logLevel: warn\n"}}, {NULL, "d"}, "", "logLevel: \"warn\""},
    {"yml and yaml, nothing else, top level only",
     {{"d/a.yml", "maxBody: 1MiB\n"},
      {"d/b.yaml", "spool: 1MiB\n"},
      {"d/c.txt", "- no mapping\n"},
      {"d/e.yaml/x.yaml", "- no mapping\n"}},
     {NULL, "d"},
     "",
     "maxBody: 1MiB\nspool: 1MiB\n"},
    {"locks of editors", {{"d/.#a.yaml", "- no"}, {"d/b.yaml", ""}}, {NULL, "d"}, "", "models:"},
    {"the file comes first, then names in order",
     {{"z.yaml", "apiKeys: [one]\nlisten: [':1']\n"},
      {"d/b.yaml", "listen: [':3']\n"},
      {"d/a.yml", "listen: [':2']\n"}},
     {"z.yaml", "d"},
     "",
     "listen:\n  - \":1\"\n  - \":2\"\n  - \":3\"\n"},
    {"empty folder, no file",
     {{"d/x", ""}},
     {NULL, "d"},
     "d: error: no configuration is here: the folder has no *.yml or *.yaml\n",
     NULL},
    {"empty folder and a file",
     {{"d/x", ""}, {"a.yaml", "logLevel: warn\n"}},
     {"a.yaml", "d"},
     "",
     "logLevel: \"warn\""},
    {"no such folder",
     {{"a.yaml", ""}},
     {"a.yaml", "d"},
     "d: error: the folder cannot be read: No such file or directory\n",
     NULL},
    {"no such file",
     {{"d/a.yaml", "x: [\n"}},
     {"a.yaml", "d"},
     "a.yaml: error: cannot be opened: No such file or directory\n"
     "d/a.yaml:2:1: error: not valid YAML: flow sequence without a closing bracket\n",
     NULL},
    {"file inside the folder",
     {{"d/a.yaml", ""}},
     {"d/a.yaml", "d"},
     "d: error: the file 'd/a.yaml' is in this folder and named besides; name one of them\n",
     NULL},
    {"no mapping",
     {{"d/a.yaml", "models: {}\n"}, {"d/b.yaml", "- x\n"}},
     {NULL, "d"},
     "d/b.yaml:1:1: error: the top level must be a mapping, such as 'models:'\n",
     NULL},
    {"empty ones are skipped",
     {{"d/a.yaml", "# nothing\n"}, {"d/b.yaml", "spool: 1MiB\n"}},
     {NULL, "d"},
     "",
     "spool: 1MiB"},
    {"all empty", {{"d/a.yaml", ""}, {"d/b.yaml", "# nothing\n"}}, {NULL, "d"}, "", "spool: 4GiB"},
    {"mappings are merged",
     {{"d/a.yaml", "timeouts: {head: 5s}\n"}, {"d/b.yaml", "timeouts: {body: 6s}\n"}},
     {NULL, "d"},
     "",
     "  head: 5s\n  body: 6s\n"},
    {"equal values",
     {{"d/a.yaml", "spool: 1MiB\n"}, {"d/b.yaml", "spool: 1MiB\n"}},
     {NULL, "d"},
     "",
     "spool: 1MiB"},
    {"other values",
     {{"d/a.yaml", "timeouts:\n  head: 5s\n"}, {"d/b.yaml", "timeouts:\n  head: 6s\n"}},
     {NULL, "d"},
     "d/b.yaml:2:9: error: conflict at 'timeouts.head': it has another value in d/a.yaml, line 2\n",
     NULL},
    {"a number and its text differ",
     {{"d/a.yaml", "startPort: 5900\n"}, {"d/b.yaml", "startPort: \"5900\"\n"}},
     {NULL, "d"},
     "d/b.yaml:1:12: error: conflict at 'startPort': it has another value in d/a.yaml, line 1\n",
     NULL},
    {"an empty value yields",
     {{"d/a.yaml", "state:\nspool: 1MiB\nlogLevel: ~\n"},
      {"d/b.yaml", "state: x\nspool: ''\nlogLevel: warn\n"}},
     {NULL, "d"},
     "",
     "logLevel: \"warn\"\nstate: \"x\"\n"},
    {"other kinds",
     {{"d/a.yaml", "apiKeys: [a]\n"}, {"d/b.yaml", "apiKeys: b\n"}},
     {NULL, "d"},
     "d/b.yaml:1:10: error: conflict at 'apiKeys': a single value here, but a list in d/a.yaml, "
     "line 1\n",
     NULL},
    {"a model in each",
     {{"d/a.yaml", "models: {a: {cmd: 'x ${PORT}'}}\n"},
      {"d/b.yaml", "models: {b: {cmd: 'y ${PORT}'}}\n"}},
     {NULL, "d"},
     "",
     "  \"b\":\n    cmd: \"y ${PORT}\""},
    {"a model in two",
     {{"d/a.yaml", "models:\n  a: {cmd: 'x ${PORT}'}\n"},
      {"d/b.yaml", "models:\n  a: {cmd: 'x ${PORT}'}\n"}},
     {NULL, "d"},
     "d/b.yaml:2:3: error: duplicate 'a' in models: it stands in d/a.yaml, line 2 already\n",
     NULL},
    {"a group in two",
     {{"d/a.yaml", "groups:\n  g: {swap: true}\n"}, {"d/b.yaml", "groups:\n  g: {}\n"}},
     {NULL, "d"},
     "d/b.yaml:2:3: error: duplicate 'g' in groups: it stands in d/a.yaml, line 2 already\n",
     NULL},
    {"a group in two, the newer place",
     {{"d/a.yaml", "routing: {router: {settings: {groups: {g: {swap: true}}}}}\n"},
      {"d/b.yaml", "routing: {router: {settings: {groups: {g: {swap: true}}}}}\n"}},
     {NULL, "d"},
     "d/b.yaml:1:40: error: duplicate 'g' in routing.router.settings.groups: it stands in "
     "d/a.yaml, "
     "line 1 already\n",
     NULL},
    {"the sets of a matrix in two",
     {{"d/a.yaml", "matrix: {sets: {s: a}}\nmodels: {a: {cmd: 'x ${PORT}'}}\n"},
      {"d/b.yaml", "matrix: {sets: {t: a}}\n"}},
     {NULL, "d"},
     "d/b.yaml:1:10: error: duplicate 'sets' in matrix: it stands in d/a.yaml, line 1 already\n",
     NULL},
    {"a mode in two",
     {{"d/a.yaml", "modes: {m: {}}\n"}, {"d/b.yaml", "modes: {m: {}}\n"}},
     {NULL, "d"},
     "d/b.yaml:1:9: error: duplicate 'm' in modes: it stands in d/a.yaml, line 1 already\n",
     NULL},
    {"macros of one in another",
     {{"d/a.yaml", "models: {a: {cmd: '${srv} ${PORT}'}}\n"},
      {"d/b.yaml", "macros: {srv: serve}\n"}},
     {NULL, "d"},
     "",
     "cmd: \"serve ${PORT}\""},
    {"messages in the order of the sources",
     {{"z.yaml", "a: 1\nb: 2\n"}, {"d/a.yaml", "c: 3\n"}, {"d/b.yaml", "\n\nd: 4\n"}},
     {"z.yaml", "d"},
     "z.yaml:1:1: warning: unknown key 'a', ignored\nz.yaml:2:1: warning: unknown key 'b', "
     "ignored\n"
     "d/a.yaml:1:1: warning: unknown key 'c', ignored\nd/b.yaml:3:1: warning: unknown key 'd', "
     "ignored\n",
     NULL},
};

static void test_merged(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct folder f = folder_new();
        struct config_report report = {.errors = 0};
        struct buf printed = {0};
        for (size_t k = 0; k < FILES_MAX && cases[i].files[k].name; k++)
            folder_write(&f, cases[i].files[k].name, cases[i].files[k].text);
        struct config *c = load(&f, &cases[i].sources, &report);
        if (strcmp(report.text.data, cases[i].report) != 0)
            fail_msg("%s:\n%s\nnot:\n%s", cases[i].rule, report.text.data, cases[i].report);
        assert_int_equal(c == NULL, report.errors > 0);
        if (c)
            config_print(c, &printed);
        if (cases[i].shown && !strstr(printed.data, cases[i].shown))
            fail_msg("%s: '%s' is not in:\n%s", cases[i].rule, cases[i].shown, printed.data);
        buf_fini(&printed);
        config_free(c);
        config_report_fini(&report);
        folder_remove(&f);
    }
}

/* Environment variables are put in file by file, so that what they say can conflict as well. */
static void test_environment(void **state)
{
    (void)state;
    struct folder f = folder_new();
    struct config_report report = {.errors = 0};
    setenv("WHARF_TEST_NAME", "m", 1);
    folder_write(&f, "d/a.yaml", "models: {m: {cmd: 'x ${PORT}'}}\n");
    folder_write(&f, "d/b.yaml", "models: {'${env.WHARF_TEST_NAME}': {cmd: 'x ${PORT}'}}\n");
    assert_null(load(&f, &(struct config_sources){.dir = "d"}, &report));
    assert_string_equal(report.text.data,
                        "d/b.yaml:1:10: error: duplicate 'm' in models: it stands in d/a.yaml, "
                        "line 1 already\n");
    config_report_fini(&report);
    folder_remove(&f);
}

/* Time stamps of a file system may be coarse: what changes here changes in size too. */
static void test_stamps(void **state)
{
    (void)state;
    struct folder f = folder_new();
    folder_write(&f, "z.yaml", "");
    folder_write(&f, "d/a.yaml", "");
    folder_write(&f, "m/x", "");
    must(chdir(f.path) == 0);
    static const struct config_sources both = {.file = "z.yaml", .dir = "d"};
    static const struct {
        const char *what, *write, *remove, *rename_to;
        bool changed;
    } steps[] = {
        {"nothing", NULL, NULL, NULL, false},
        {"the file grows", "z.yaml", NULL, NULL, true},
        {"the file goes", NULL, "z.yaml", NULL, false},
        {"the file comes", "z.yaml", NULL, NULL, true},
        {"renamed over", "new", NULL, "z.yaml", true},
        {"a source grows", "d/a.yaml", NULL, NULL, true},
        {"a source comes", "d/b.yml", NULL, NULL, true},
        {"a source goes", NULL, "d/b.yml", NULL, true},
        {"the last source goes", NULL, "d/a.yaml", NULL, false},
        {"a source is there again", "d/c.yaml", NULL, NULL, true},
        {"what is no source", "d/c.txt", NULL, NULL, false},
        {"a model comes", "m/a.gguf", NULL, NULL, true},
        {"a model is written on", "m/a.gguf", NULL, NULL, false},
        {"what is no model", "m/a.part", NULL, NULL, false},
        {"a model goes", NULL, "m/a.gguf", NULL, true},
    };
    struct config_stamp known = config_stamp_take(&both, "m");
    struct buf text = {0};
    for (size_t i = 0; i < countof(steps); i++) {
        buf_text(&text, "# more\n");
        if (steps[i].write)
            folder_write(&f, steps[i].write, text.data);
        if (steps[i].remove)
            must(remove(steps[i].remove) == 0);
        if (steps[i].rename_to)
            must(rename(steps[i].write, steps[i].rename_to) == 0);
        struct config_stamp now = config_stamp_take(&both, "m");
        if (config_stamp_changed(&known, &now) != steps[i].changed)
            fail_msg("%s: %d", steps[i].what, !steps[i].changed);
        known = now;
    }
    buf_fini(&text);
    must(chdir("/") == 0);
    folder_remove(&f);
}

/* Who opens one would wait for whoever writes into it: only what can be read is listed, and a link
 * that leads nowhere, so that this is told. */
static void test_no_files(void **state)
{
    (void)state;
    struct folder f = folder_new();
    struct arena a = {0};
    const char *const *paths;
    uint32_t n;
    folder_write(&f, "a.yaml", "");
    must(chdir(f.path) == 0 && mkfifo("b.yaml", 0600) == 0 && symlink("b.yaml", "c.yaml") == 0 &&
         symlink("nowhere", "d.yaml") == 0 && symlink("a.yaml", "e.yaml") == 0);
    int rc = sources_list(&a, ".", &paths, &n);
    must(chdir("/") == 0);
    assert_int_equal(rc, 0);
    assert_int_equal(n, 3);
    assert_string_equal(paths[0], "./a.yaml");
    assert_string_equal(paths[1], "./d.yaml");
    assert_string_equal(paths[2], "./e.yaml");
    arena_fini(&a);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_stamps),
        cmocka_unit_test(test_no_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
