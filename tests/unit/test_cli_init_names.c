/* What names say, how texts are quoted, and where Ollama is: `wharf init`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "cli/init/names.h"
#include "cli/init/places.h"
#include "cli/init/quote.h"
#include "config/command.h"

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *base, *title, *longer, *shorter;
    } cases[] = {
        {"Qwen3-8B-Q4_K_M.gguf", "", "qwen3-8b-q4_k_m", "qwen3-8b"},
        {"Qwen3-8B.Q4_K_M.GGUF", "", "qwen3-8b.q4_k_m", "qwen3-8b"},
        {"gpt-oss-20b-mxfp4.gguf", "", "gpt-oss-20b-mxfp4", "gpt-oss-20b"},
        {"Qwen3-235B-UD-Q2_K_XL-00001-of-00002.gguf", "", "qwen3-235b-ud-q2_k_xl", "qwen3-235b"},
        {"gemma-3-4b-it-BF16.gguf", "", "gemma-3-4b-it-bf16", "gemma-3-4b-it"},
        {"mistral.i1-IQ3_XXS.gguf", "", "mistral.i1-iq3_xxs", "mistral"},
        {"phi_3_mini_q4_0.gguf", "", "phi_3_mini_q4_0", "phi_3_mini"},
        {"ggml-org_Qwen3-0.6B-GGUF_Qwen3-0.6B-Q8_0.gguf", "", "qwen3-0.6b-q8_0", "qwen3-0.6b"},
        {"stories260K.gguf", "", "stories260k", "stories260k"},
        /* No quantisation: "q" is a word, 2b a size. */
        {"agent-q.gguf", "", "agent-q", "agent-q"},
        {"gemma-2b.gguf", "", "gemma-2b", "gemma-2b"},
        /* The name says nothing. */
        {"ggml-model-Q4_0.gguf", "Tiny Llama", "ggml-model-q4_0", "tiny-llama"},
        {"model.gguf", "", "model", "model"},
        {"Q4_K_M.gguf", "", "q4_k_m", "q4_k_m"},
        {"\xe6\xa8\xa1\xe5\x9e\x8b.gguf", "", "model", "model"},
        {"a b: 'c'$\\{x}\n.gguf", "", "a-b-c-x", "a-b-c-x"},
        {"-._x_.-.gguf", "", "x", "x"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *longer = names_long_id(cases[i].base);
        auto_free char *shorter = names_short_id(cases[i].base, cases[i].title);
        assert_string_equal(longer, cases[i].longer);
        assert_string_equal(shorter, cases[i].shorter);
    }
}

static void test_parts(void **state)
{
    uint32_t part = 9, of = 9;
    (void)state;
    assert_true(names_part("x-00002-of-00013.gguf", &part, &of));
    assert_int_equal(part, 2);
    assert_int_equal(of, 13);
    static const char *const whole[] = {"x.gguf", "x-00002-of-0013.gguf", "-00002-of-00013.gguf",
                                        "x-0000a-of-00013.gguf"};
    for (size_t i = 0; i < countof(whole); i++)
        assert_false(names_part(whole[i], &part, &of));
    assert_int_equal(part, 2);
}

static void test_projectors(void **state)
{
    (void)state;
    static const struct {
        const char *base, *name;
    } cases[] = {{"mmproj-Qwen2.5-VL-7B-Instruct-f16.gguf", "qwen2.5-vl-7b-instruct"},
                 {"gemma-3-4b-it-mmproj-BF16.gguf", "gemma-3-4b-it"},
                 {"mmproj-model-f16.gguf", ""},
                 {"mmproj-F16.gguf", ""},
                 {"mmproj.gguf", ""}};
    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *name = names_projected(cases[i].base);
        assert_true(names_is_projector(cases[i].base));
        assert_string_equal(name, cases[i].name);
    }
    assert_false(names_is_projector("gemma-3-4b-it.gguf"));
}

static void add(struct found *f, const char *path)
{
    f->models = alloc_grow(f->models, f->model_count + 1, sizeof(*f->models));
    f->models[f->model_count++] = (struct found_model){.path = alloc_text(path)};
}

static void add_pulled(struct found *f, const char *name)
{
    f->pulled = alloc_grow(f->pulled, f->pulled_count + 1, sizeof(*f->pulled));
    f->pulled[f->pulled_count++] = (struct found_pulled){.name = alloc_text(name)};
}

static void test_one_id_each(void **state)
{
    struct found f = {.gpu_count = 0};
    (void)state;
    add(&f, "/a/qwen3-8b-q4_k_m.gguf");
    add(&f, "/a/qwen3-8b-q8_0.gguf");
    add(&f, "/a/solo-q8_0.gguf");
    add(&f, "/b/qwen3-8b-q8_0.gguf");
    add_pulled(&f, "llama3.2:latest");
    add_pulled(&f, "qwen3:8b");
    add_pulled(&f, "solo");
    names_assign(&f);
    assert_string_equal(f.models[0].id, "qwen3-8b-q4_k_m");
    assert_string_equal(f.models[1].id, "qwen3-8b-q8_0");
    assert_string_equal(f.models[2].id, "solo");
    assert_string_equal(f.models[3].id, "qwen3-8b-q8_0-2");
    assert_string_equal(f.pulled[0].id, "llama3.2");
    assert_string_equal(f.pulled[1].id, "qwen3:8b");
    assert_string_equal(f.pulled[2].id, "solo-ollama");
    found_fini(&f);
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *text, *yaml;
    } cases[] = {
        {"qwen3-8b", "qwen3-8b"},
        {"${server} -c 8192 -m ${dir}/a.gguf", "${server} -c 8192 -m ${dir}/a.gguf"},
        {"/a/'b c'", "/a/'b c'"},
        /* What would be read as something else. */
        {"", "\"\""},
        {"yes", "\"yes\""},
        {"NULL", "\"NULL\""},
        {"7b", "\"7b\""},
        {"-x", "\"-x\""},
        {"a: b", "\"a: b\""},
        {"a:", "\"a:\""},
        {"a #b", "\"a #b\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\xe6\xa8\xa1", "\"\xe6\xa8\xa1\""},
        /* C1 controls, line separators and the like never stand there as they are. */
        {"a\xc2\x85"
         "b",
         "\"a\\u0085b\""},
        {"a\xe2\x80\xa8"
         "b",
         "\"a\\u2028b\""},
        {"a\xe2\x80\xae", "\"a\\u202e\""},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        quote_scalar(&out, cases[i].text);
        assert_string_equal(out.data, cases[i].yaml);
        buf_fini(&out);
    }
    assert_false(quote_is_text("a\nb"));
    assert_false(quote_is_text("a\tb"));
    assert_false(quote_is_text("a\x7f"));
    assert_false(quote_is_text("a\xff"));
    assert_true(quote_is_text("a \xe6\xa8\xa1 ${x} 'b'"));
}

/* Whatever a word is, a command that holds it is split into it again, and no macro is in it. */
static void test_words(void **state)
{
    (void)state;
    static const char *const words[] = {"/a/b.gguf",    "/a b/c",        "it's",  "''", "\"", "$",
                                        "${x}",         "a${env.HOME}b", "$${x}", "${", "\\", "#c",
                                        "a\\'b",        "`x`",           "$(x)",  "*",  "~",  "",
                                        "\xe6\xa8\xa1", "a'${'b",        "'$'{x}"};
    for (size_t i = 0; i < countof(words); i++) {
        struct arena arena = {0};
        struct buf cmd = {0};
        struct config_strings argv;
        bool open = true;
        buf_text(&cmd, "x -m ");
        quote_word(&cmd, words[i]);
        assert_null(strstr(cmd.data, "${"));
        assert_null(config_split_command(&arena, cmd.data, &argv, &open));
        assert_false(open);
        assert_int_equal(argv.count, 3);
        assert_string_equal(argv.items[2], words[i]);
        buf_fini(&cmd);
        arena_fini(&arena);
    }
}

static void test_where_ollama_is(void **state)
{
    (void)state;
    static const struct {
        const char *host, *url;
    } cases[] = {{NULL, "http://127.0.0.1:11434"},
                 {"", "http://127.0.0.1:11434"},
                 {"0.0.0.0", "http://127.0.0.1:11434"},
                 {"0.0.0.0:1234", "http://127.0.0.1:1234"},
                 {":1234", "http://127.0.0.1:1234"},
                 {" \"box:1234\" ", "http://box:1234"},
                 {"http://box", "http://box:80"},
                 {"http://box:1234/", "http://box:1234"},
                 {"http://box/ollama/", "http://box:80/ollama"},
                 {"https://box", "https://box:443"},
                 {"[::1]:1234", "http://[::1]:1234"},
                 {"[::]", "http://[::1]:11434"},
                 {"::1", "http://[::1]:11434"},
                 {"unix:/run/o.sock", "unix:/run/o.sock"}};
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf url = {0};
        places_ollama(cases[i].host, &url);
        assert_string_equal(url.data, cases[i].url);
        buf_fini(&url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_projectors),
        cmocka_unit_test(test_one_id_each),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_where_ollama_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
