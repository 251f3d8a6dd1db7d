/* What `wharf init` writes. The texts for some finds stand in tests/unit/init/NAME.yaml;
 * WHARF_GOLDEN_UPDATE=1 writes them anew, to be read before they are committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "base/pure/check.h"
#include "cli/init/names.h"
#include "cli/init/quote.h"
#include "cli/init/tell.h"
#include "cli/init/writer.h"
#include "config/config.h"
#include "config/text.h"
#include "init_finds.h"

static const struct writer_wishes usual = {.file = "wharf.yaml", .listen = WRITER_LISTEN_DEFAULT};

static struct found_model *add(struct found *f, const char *path, uint64_t bytes,
                               struct gguf_model head)
{
    f->models = alloc_grow(f->models, f->model_count + 1, sizeof(*f->models));
    struct found_model *m = &f->models[f->model_count++];
    *m = (struct found_model){.path = alloc_text(path), .bytes = bytes, .head = head};
    return m;
}

static struct found_pulled *add_pulled(struct found *f, const char *name, uint64_t bytes)
{
    f->pulled = alloc_grow(f->pulled, f->pulled_count + 1, sizeof(*f->pulled));
    struct found_pulled *p = &f->pulled[f->pulled_count++];
    *p = (struct found_pulled){.name = alloc_text(name), .bytes = bytes};
    return p;
}

/* The configuration that the text is, without an error or a warning. */
static struct config *load(const struct buf *text)
{
    struct config_report report = {.errors = 0};
    struct config *c = config_load_text("wharf.yaml", text->data, text->len, &report);
    if (!c || report.warnings)
        fail_msg("%s\n%s", report.text.data, text->data);
    config_report_fini(&report);
    return c;
}

static char *read_file(const char *path)
{
    struct buf text = {0};
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "r");
    while (file && (n = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_append(&text, piece, n);
    if (file)
        must(fclose(file) == 0);
    return buf_take(&text);
}

/* ---- finds ---- */

static void find_nothing(struct found *f)
{
    f->ollama = alloc_text("http://127.0.0.1:11434");
}

static void find_much(struct found *f)
{
    finds_gpu(f, "NVIDIA GeForce RTX 4090", 24 * GIB);
    f->server = alloc_text("/usr/local/bin/llama-server");
    f->ollama = alloc_text("http://127.0.0.1:11434");
    f->ollama_answers = true;
    add(f, "/home/me/models/Qwen3-8B-Q4_K_M.gguf", 5 * GIB, finds_head("qwen3", "Qwen3 8B", 40960));
    struct found_model *m = add(f, "/home/me/models/gemma/gemma-3-27b-it-Q4_0.gguf", 17 * GIB,
                                finds_head("gemma3", "Gemma 3 27B Instruct", 131072));
    m->projector = alloc_text("/home/me/models/gemma/mmproj-F16.gguf");
    m->projector_bytes = GIB;
    add(f, "/home/me/models/bge-m3-q8_0.gguf", 600 * MIB, finds_head("bert", "", 8192))->kind =
        FOUND_EMBEDS;
    add(f, "/home/me/models/bge-reranker-v2-m3-q8_0.gguf", 600 * MIB, finds_head("bert", "", 8192))
        ->kind = FOUND_RERANKS;
    add(f, "/home/me/models/big-70b-Q4_K_M.gguf", 40 * GIB, finds_head("llama", "Big", 8192));
    add_pulled(f, "llama3.2:latest", 2 * GIB);
    add_pulled(f, "qwen3:30b-a3b", 18 * GIB);
    add_pulled(f, "nomic-embed-text:latest", 274 * MIB)->embeds = true;
    found_note(&f->notes, "/home/me/models/part.gguf: it is not whole");
}

static void find_two_gpus(struct found *f)
{
    finds_gpu(f, "NVIDIA RTX A6000", 48 * GIB);
    finds_gpu(f, "NVIDIA RTX A6000", 48 * GIB);
    finds_gpu(f, "Intel", 0);
    f->gpus[2].used = false;
    f->server = alloc_text("/opt/llama cpp/llama-server");
    add(f, "/srv/a b/it's-70b-Q8_0.gguf", 70 * GIB, finds_head("llama", "", 8192));
    add(f, "/srv/a b/$HOME ${env.HOME} #1: x.gguf", 5 * GIB, finds_head("llama", "a\nb: c", 0));
}

static void find_no_server(struct found *f)
{
    f->gpu_problem = alloc_text("their driver does not answer");
    f->ollama = alloc_text("http://box:11434");
    f->ollama_answers = true;
    add(f, "/models/a-Q4_0.gguf", 5 * GIB, finds_head("llama", "", 8192));
    add(f, "/models/b-Q4_0.gguf", 5 * GIB, finds_head("llama", "", 8192));
    add_pulled(f, "yes", 0);
}

static const struct find {
    const char *name;
    void (*find)(struct found *f);
    uint32_t models; /* that are served */
    struct writer_wishes wishes;
} finds[] = {
    {"nothing", find_nothing, 0, {"wharf.yaml", WRITER_LISTEN_DEFAULT}},
    {"much", find_much, 8, {"wharf.yaml", WRITER_LISTEN_DEFAULT}},
    {"two_gpus", find_two_gpus, 2, {"/etc/my wharf.yaml", ":8080"}},
    {"no_server", find_no_server, 1, {"x.yaml", "unix:/run/wharf.sock"}},
};

static void test_find(void **state)
{
    const struct find *is = *state;
    struct found f = {.gpu_count = 0};
    struct buf text = {0}, told = {0};
    char path[512];
    is->find(&f);
    names_assign(&f);
    writer_write(&f, &is->wishes, &text);
    struct config *c = load(&text);
    assert_int_equal(c->model_count, is->models);
    config_free(c);
    tell_text(&f, is->wishes.file, is->wishes.listen, &told);
    /* What is told of it stands in the same file, behind the configuration. */
    buf_printf(&text, "---- told\n%s", told.data);
    buf_clear(&told);
    tell_json(&f, is->wishes.file, &told);
    json_t *json = json_loads(told.data, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "models")),
                     f.model_count + f.pulled_count);
    json_decref(json);
    snprintf(path, sizeof(path), "%s/tests/unit/init/%s.txt", getenv("WHARF_SOURCE_ROOT"),
             is->name);
    if (getenv("WHARF_GOLDEN_UPDATE")) {
        FILE *file = fopen(path, "w");
        must(file && fwrite(text.data, 1, text.len, file) == text.len && fclose(file) == 0);
    }
    char *golden = read_file(path);
    assert_string_equal(text.data, golden);
    free(golden);
    buf_fini(&told);
    buf_fini(&text);
    found_fini(&f);
}

/* Who takes away the # before the models has a configuration that works. */
static void test_commented_out_models(void **state)
{
    struct found f = {.gpu_count = 0};
    struct buf text = {0}, bare = {0};
    (void)state;
    find_no_server(&f);
    names_assign(&f);
    writer_write(&f, &usual, &text);
    for (const char *p = text.data; *p;) {
        size_t n = strcspn(p, "\n") + 1;
        bool is_model = strncmp(p, "#  a:", 5) == 0 || strncmp(p, "#  b:", 5) == 0 ||
                        strncmp(p, "#    cmd", 8) == 0;
        buf_append(&bare, p + is_model, n - is_model);
        p += n;
    }
    struct config *c = load(&bare);
    assert_int_equal(c->model_count, 3);
    assert_string_equal(config_find_model(c, "b")->argv.items[0], "llama-server");
    config_free(c);
    buf_fini(&bare);
    buf_fini(&text);
    found_fini(&f);
}

/* ---- names that would be more than names ---- */

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

/* A text made of what means something to YAML, macros or commands. */
static char *draw_text(uint64_t *seed)
{
    static const char *const pieces[] = {"a",
                                         "/",
                                         " ",
                                         "  ",
                                         "'",
                                         "\"",
                                         "\\",
                                         "$",
                                         "{",
                                         "}",
                                         "${",
                                         "${PORT}",
                                         "${PID}",
                                         "${env.HOME}",
                                         "${dir}",
                                         "#",
                                         " #",
                                         ": ",
                                         ":",
                                         "- ",
                                         "? ",
                                         "|",
                                         ">",
                                         "&a",
                                         "*a",
                                         "!!x",
                                         "%",
                                         "@",
                                         "`",
                                         "[",
                                         "]",
                                         ",",
                                         "\n",
                                         "\nmodels:\n",
                                         "\t",
                                         "\r",
                                         "\x01",
                                         "\x7f",
                                         "\xff",
                                         "\xc2\x85",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xae",
                                         "\xef\xbb\xbf",
                                         "\xef\xbf\xbe",
                                         "\xf0\x9f\x9a\xa2",
                                         "\xe6\xa8\xa1",
                                         "---",
                                         "...",
                                         "true",
                                         "~",
                                         "0",
                                         "<<",
                                         "=",
                                         ".gguf"};
    struct buf text = {0};
    for (uint64_t n = 1 + draw(seed, 6); n; n--)
        buf_text(&text, pieces[draw(seed, countof(pieces))]);
    return buf_take(&text);
}

/* The word behind a flag. */
static const char *word_behind(const struct config_model *m, const char *flag)
{
    for (uint32_t i = 0; i + 1 < m->argv.count; i++)
        if (strcmp(m->argv.items[i], flag) == 0)
            return m->argv.items[i + 1];
    return "";
}

/* One find with such names everywhere; what cannot be written is no path that anybody would be
 * given. */
static void check_names(uint64_t seed)
{
    struct found f = {.gpu_count = 0};
    struct buf text = {0};
    auto_free char *folder = draw_text(&seed);
    f.server = alloc_text("/llama");
    f.ollama = alloc_text("http://127.0.0.1:11434");
    f.ollama_answers = true;
    for (int i = 0; i < 2; i++) {
        auto_free char *name = draw_text(&seed), *title = draw_text(&seed);
        auto_free char *path = alloc_printf("/%s/%s", folder, name);
        struct gguf_model head = finds_head("llama", title, 0);
        if (quote_is_word(path))
            add(&f, path, 1, head)->projector = alloc_text(path);
        found_note(&f.notes, "%s", name);
    }
    char *name = draw_text(&seed);
    if (quote_is_text(name) && !strstr(name, "${"))
        add_pulled(&f, name, 1);
    free(name);
    names_assign(&f);
    writer_write(&f, &usual, &text);
    struct config *c = load(&text);
    assert_int_equal(c->model_count, f.model_count + f.pulled_count);
    for (uint32_t i = 0; i < f.model_count; i++) {
        const struct config_model *m = config_find_model(c, f.models[i].id);
        assert_non_null(m);
        /* These would be filled in wherever they stand. */
        assert_null(strstr(f.models[i].path, "${P"));
        assert_string_equal(word_behind(m, "-m"), f.models[i].path);
        assert_string_equal(word_behind(m, "--mmproj"), f.models[i].path);
    }
    for (uint32_t i = 0; i < f.pulled_count; i++)
        assert_non_null(config_find_model(c, f.pulled[i].id));
    config_free(c);
    buf_fini(&text);
    found_fini(&f);
}

static void test_names_stay_names(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++)
        check_names(seed * UINT64_C(0x9e3779b97f4a7c15));
}

static void test_loopback(void **state)
{
    (void)state;
    static const char *const here[] = {"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x"};
    static const char *const open[] = {":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1"};
    for (size_t i = 0; i < countof(here); i++)
        assert_true(writer_is_loopback(here[i]));
    for (size_t i = 0; i < countof(open); i++)
        assert_false(writer_is_loopback(open[i]));
}

int main(void)
{
    struct CMUnitTest tests[countof(finds) + 3];
    size_t n = 0;
    for (; n < countof(finds); n++)
        tests[n] =
            (struct CMUnitTest){finds[n].name, test_find, NULL, NULL, (void *)(uintptr_t)&finds[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_commented_out_models);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_names_stay_names);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_loopback);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
