/* The GGUF files of a folder as models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include "base/buf.h"
#include "config/config.h"
#include "config_folder.h"

#define FILES_MAX 6
#define TEMPLATE "modelTemplate: {cmd: 'x ${PORT} -m \"${MODEL_FILE}\"'}\n"

static const struct {
    const char *rule;
    const char *files[FILES_MAX]; /* in the folder m */
    const char *text;
    const char *report;
    const char *models; /* "id=word of its command after -m", parted by "; " */
} cases[] = {
    {"each file is one",
     {"b.gguf", "a.GGUF"},
     "modelsDir: m\n" TEMPLATE,
     "",
     "a=m/a.GGUF; b=m/b.gguf"},
    {"an empty folder", {"x"}, "modelsDir: m\n" TEMPLATE, "", ""},
    {"names with blanks and dots",
     {"my model.Q4.gguf"},
     "modelsDir: m\n" TEMPLATE,
     "",
     "my model.Q4=m/my model.Q4.gguf"},
    {"other files, projectors, hidden ones, folders",
     {"a.bin", "mmproj-a.gguf", ".b.gguf", "c.gguf.part", ".gguf", "d/e.gguf"},
     "modelsDir: m\n" TEMPLATE,
     "",
     ""},
    {"a folder that is called as a file is none",
     {"a.gguf/b.gguf", "c.gguf"},
     "modelsDir: m\n" TEMPLATE,
     "",
     "c=m/c.gguf"},
    {"parts are one model, by the first",
     {"a-00002-of-00002.gguf", "a-00001-of-00002.gguf", "b-0001-of-0002.gguf"},
     "modelsDir: m\n" TEMPLATE,
     "",
     "a=m/a-00001-of-00002.gguf; b-0001-of-0002=m/b-0001-of-0002.gguf"},
    {"what is written down takes the file's place",
     {"a.gguf", "b.gguf", "c.gguf"},
     "modelsDir: m\n" TEMPLATE
     "models: {a: {cmd: 'y -m own', proxy: 'http://h:1', aliases: [b]}}\n",
     "",
     "a=own; c=m/c.gguf"},
    {"so does a selector, and a name of setParamsByID",
     {"a.gguf", "b.gguf", "c.gguf"},
     "modelsDir: m\n" TEMPLATE "selectors: {a: {strategy: pin, targets: [own]}}\n"
     "models:\n"
     "  own:\n"
     "    cmd: 'y ${PORT} -m own'\n"
     "    filters: {setParamsByID: {b: {x: 1}}}\n",
     "",
     "c=m/c.gguf; own=own"},
    {"models is empty", {"a.gguf"}, "models:\nmodelsDir: m\n" TEMPLATE, "", "a=m/a.gguf"},
    {"macros of all kinds",
     {"a.gguf"},
     "modelsDir: m\n"
     "macros: {srv: 'srv --port ${PORT}'}\n"
     "modelTemplate:\n"
     "  macros: {file: '${MODEL_FILE}'}\n"
     "  cmd: '${srv} -m ${file}-${MODEL_ID}'\n",
     "",
     "a=m/a.gguf-a"},
    {"names that would be read otherwise",
     {"a'b.gguf", "c${d}.gguf"},
     "modelsDir: m\n" TEMPLATE,
     "c:1:12: warning: modelsDir: 'm/a'b.gguf' is left out: it has quotes, a backslash or line "
     "breaks\n"
     "c:1:12: warning: modelsDir: 'm/c${d}.gguf' is left out: it has '${'\n",
     ""},
    {"no template",
     {"a.gguf"},
     "modelsDir: m\n",
     "c:1:12: error: modelsDir needs modelTemplate, a mapping like a model's, such as 'cmd: "
     "llama-server --port ${PORT} -m \"${MODEL_FILE}\"'\n",
     NULL},
    {"template without cmd",
     {"a.gguf"},
     "modelsDir: m\nmodelTemplate: {ttl: 5}\n",
     "c:2:16: error: modelTemplate needs a cmd\n",
     NULL},
    {"template that knows no file",
     {"a.gguf"},
     "modelsDir: m\nmodelTemplate: {cmd: x}\n",
     "c:2:22: error: the cmd of modelTemplate starts the same for every file; write "
     "\"${MODEL_FILE}\" where the file's path belongs\n",
     NULL},
    {"template without a folder",
     {"a.gguf"},
     TEMPLATE,
     "c:1:16: warning: modelTemplate has no effect without modelsDir\n",
     ""},
    {"no such folder",
     {NULL},
     "modelsDir: nowhere\n" TEMPLATE,
     "c:1:12: error: modelsDir: the folder cannot be read: No such file or directory\n",
     NULL},
    {"a macro in the folder's name",
     {NULL},
     "macros: {d: m}\nmodelsDir: ${d}\n" TEMPLATE,
     "c:2:12: error: modelsDir may hold ${env.NAME}, but no macros\n",
     NULL},
    {"a folder that is a list",
     {NULL},
     "modelsDir: [m]\n",
     "c:1:12: error: modelsDir must be a text, not a list\n",
     NULL},
    {"a wrong key is told once",
     {"a.gguf", "b.gguf"},
     "modelsDir: m\nmodelTemplate: {cmd: 'x ${PORT} ${MODEL_FILE}', tll: 5}\n",
     "c:2:49: warning: unknown key 'tll' in models.ID, ignored; did you mean 'ttl'?\n",
     "a=; b="},
};

static void describe(const struct config *c, struct buf *out)
{
    buf_text(out, "");
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct config_strings *argv = &c->models[i].argv;
        const char *file = "";
        for (uint32_t k = 0; k + 1 < argv->count; k++)
            if (strcmp(argv->items[k], "-m") == 0)
                file = argv->items[k + 1];
        buf_printf(out, "%s%s=%s", i ? "; " : "", c->models[i].id, file);
    }
}

static void test_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct folder f = folder_new();
        struct config_report report = {.errors = 0};
        struct buf got = {0};
        for (size_t k = 0; k < FILES_MAX && cases[i].files[k]; k++) {
            char name[100];
            snprintf(name, sizeof(name), "m/%s", cases[i].files[k]);
            folder_write(&f, name, "");
        }
        must(chdir(f.path) == 0);
        struct config *c = config_load_text("c", cases[i].text, strlen(cases[i].text), &report);
        must(chdir("/") == 0);
        buf_text(&report.text, "");
        if (strcmp(report.text.data, cases[i].report) != 0)
            fail_msg("%s:\n%s\nnot:\n%s", cases[i].rule, report.text.data, cases[i].report);
        assert_int_equal(c == NULL, cases[i].models == NULL);
        if (c)
            describe(c, &got);
        if (c && strcmp(got.data, cases[i].models) != 0)
            fail_msg("%s: '%s', not '%s'", cases[i].rule, got.data, cases[i].models);
        buf_fini(&got);
        config_free(c);
        config_report_fini(&report);
        folder_remove(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
