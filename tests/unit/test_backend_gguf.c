#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/estimate.h"
#include "backend/gguf.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/pure/check.h"
#include "base/pure/units.h"

enum { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9, U64 = 10 };

/* ---- files, made here ---- */

static void put(struct buf *b, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_char(b, (char)(number >> (8 * i) & 0xff));
}

static void put_text(struct buf *b, const char *text)
{
    put(b, strlen(text), 8);
    buf_text(b, text);
}

static void put_u32(struct buf *b, const char *key, uint32_t number)
{
    put_text(b, key);
    put(b, U32, 4);
    put(b, number, 4);
}

static void put_name(struct buf *b, const char *name)
{
    put_text(b, "general.architecture");
    put(b, STRING, 4);
    put_text(b, name);
}

static void begin(struct buf *b, uint32_t version, uint64_t pairs)
{
    buf_text(b, "GGUF");
    put(b, version, 4);
    put(b, 291, 8);
    put(b, pairs, 8);
}

/* Of a known model: its numbers stand in its config.json. */
struct known {
    const char *what, *arch;
    uint32_t layers, embedding, heads, kv_heads, key_length, context;
    uint64_t cache_8k_bytes; /* of f16, as llama.cpp prints it for -c 8192 */
};

static const struct known known[] = {
    {"Llama 3 8B", "llama", 32, 4096, 32, 8, 0, 8192, GIB},
    {"Llama 2 7B", "llama", 32, 4096, 32, 0, 0, 4096, 4 * GIB},
    {"Llama 3 70B", "llama", 80, 8192, 64, 8, 128, 8192, 2560 * MIB},
    {"Qwen2.5 7B", "qwen2", 28, 3584, 28, 4, 0, 32768, 448 * MIB},
    {"Qwen3 30B A3B", "qwen3moe", 48, 2048, 32, 4, 128, 40960, 768 * MIB},
};

static void put_known(struct buf *b, const struct known *k)
{
    char key[64];
    const struct {
        const char *name;
        uint32_t number;
    } all[] = {{"block_count", k->layers},
               {"embedding_length", k->embedding},
               {"attention.head_count", k->heads},
               {"context_length", k->context},
               {"attention.head_count_kv", k->kv_heads},
               {"attention.key_length", k->key_length},
               {"attention.value_length", k->key_length}};
    uint64_t pairs = 2;
    for (size_t i = 0; i < countof(all); i++)
        pairs += all[i].number != 0;
    begin(b, 3, pairs);
    put_name(b, k->arch);
    for (size_t i = 0; i < countof(all); i++) {
        snprintf(key, sizeof(key), "%s.%s", k->arch, all[i].name);
        if (all[i].number)
            put_u32(b, key, all[i].number);
    }
    put_text(b, "tokenizer.ggml.tokens");
    put(b, ARRAY, 4);
    put(b, STRING, 4);
    put(b, 3, 8);
    put_text(b, "<unk>");
    put_text(b, "");
    put_text(b, "a");
}

static enum gguf_result read_buf(const struct buf *b, struct gguf_model *ret)
{
    return gguf_read(b->data, b->len, ret);
}

/* ---- what a file says ---- */

static void test_known_models(void **state)
{
    uint32_t f16 = gguf_cache_block_bytes("f16"), q8 = gguf_cache_block_bytes("q8_0");
    (void)state;
    for (size_t i = 0; i < countof(known); i++) {
        const struct known *k = &known[i];
        struct buf b = {0};
        struct gguf_model m;
        put_known(&b, k);
        assert_int_equal(read_buf(&b, &m), GGUF_OK);
        assert_int_equal(m.layers, k->layers);
        assert_int_equal(m.context, k->context);
        assert_int_equal(m.metadata_bytes, b.len);
        uint64_t cache = gguf_cache_bytes(&m, 8192, f16, f16);
        if (cache != k->cache_8k_bytes)
            fail_msg("%s: %llu, expected %llu", k->what, (unsigned long long)cache,
                     (unsigned long long)k->cache_8k_bytes);
        /* 34 bytes in place of 64 for 32 elements. */
        assert_int_equal(gguf_cache_bytes(&m, 8192, q8, q8), cache / 64 * 34);
        buf_fini(&b);
    }
}

/* Whatever of it is there: each cut of a file is known to be one, and nothing behind it is read. */
static void test_cut_anywhere(void **state)
{
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    put_known(&b, &known[0]);
    for (size_t n = 0; n < b.len; n++) {
        char *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, b.data, n);
        assert_int_equal(gguf_read(exact, n, &m), GGUF_CUT);
        assert_int_equal(m.metadata_bytes, 0);
        free(exact);
    }
    /* The numbers are there before the vocabulary is. */
    assert_int_equal(gguf_read(b.data, b.len - 1, &m), GGUF_CUT);
    assert_int_equal(m.layers, 32);
    buf_fini(&b);
}

static void test_architecture_may_come_last(void **state)
{
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    begin(&b, 2, 3);
    put_u32(&b, "gemma3.block_count", 26);
    put_u32(&b, "clip.vision.block_count", 27);
    put_name(&b, "gemma3");
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    assert_int_equal(m.layers, 26);
    buf_fini(&b);
}

static void put_said(struct buf *b, const char *key, const char *text, size_t n)
{
    put_text(b, key);
    put(b, STRING, 4);
    put(b, n, 8);
    buf_append(b, text, n);
}

static void test_what_it_says_of_itself(void **state)
{
    static const char nul[] = "a\0b";
    char longer[100];
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    memset(longer, 'x', sizeof(longer));
    begin(&b, 3, 5);
    put_said(&b, "general.name", longer, sizeof(longer));
    put_said(&b, "general.type", nul, 3);
    put_name(&b, "bert");
    put_u32(&b, "bert.pooling_type", 4);
    put_u32(&b, "llama.pooling_type", 1);
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    assert_string_equal(m.architecture, "bert");
    assert_int_equal(strlen(m.name), GGUF_TEXT_MAX - 1);
    assert_string_equal(m.type, "a");
    assert_int_equal(m.pooling, GGUF_POOLING_RANK);
    assert_int_equal(m.tensors, 291);
    buf_clear(&b);
    begin(&b, 3, 2);
    put_name(&b, "bert");
    put_u32(&b, "bert.pooling_type", 7); /* no such kind */
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    assert_string_equal(m.name, "");
    assert_int_equal(m.pooling, GGUF_POOLING_UNKNOWN);
    buf_fini(&b);
}

/* Hybrid models have heads in some layers only. */
static void test_heads_layer_by_layer(void **state)
{
    static const uint32_t heads[] = {0, 8, 0, 8, 0, 8};
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    begin(&b, 3, 4);
    put_name(&b, "nemotron_h");
    put_u32(&b, "nemotron_h.block_count", 6);
    put_u32(&b, "nemotron_h.attention.key_length", 128);
    put_text(&b, "nemotron_h.attention.head_count_kv");
    put(&b, ARRAY, 4);
    put(&b, I32, 4);
    put(&b, countof(heads), 8);
    for (size_t i = 0; i < countof(heads); i++)
        put(&b, heads[i], 4);
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    assert_int_equal(m.kv_heads, 24);
    assert_int_equal(gguf_cache_bytes(&m, 1000, 64, 64), UINT64_C(24) * 128 * 2 * 1000);
    buf_fini(&b);
}

static void test_nonsense_counts_as_unknown(void **state)
{
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    begin(&b, 3, 6);
    put_name(&b, "llama");
    put_u32(&b, "llama.block_count", UINT32_MAX);
    put_text(&b, "llama.context_length");
    put(&b, I32, 4);
    put(&b, (uint32_t)-1, 4);
    put_text(&b, "llama.embedding_length");
    put(&b, F32, 4);
    put(&b, 0x45800000, 4);
    put_text(&b, "llama.attention.head_count");
    put(&b, U64, 4);
    put(&b, UINT64_MAX, 8);
    put_text(&b, "llama.attention.head_count_kv");
    put(&b, STRING, 4);
    put_text(&b, "eight");
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    assert_int_equal(m.layers + m.context + m.embedding + m.heads + m.kv_heads, 0);
    assert_int_equal(gguf_cache_bytes(&m, UINT64_MAX, 128, 128), 0);
    buf_fini(&b);
}

static void put_array(struct buf *b, uint32_t of, uint64_t count)
{
    begin(b, 3, 1);
    put_text(b, "x");
    put(b, ARRAY, 4);
    put(b, of, 4);
    put(b, count, 8);
}

static void test_bad_files(void **state)
{
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    assert_int_equal(gguf_read("GGML\3\0\0\0", 8, &m), GGUF_BAD);
    assert_int_equal(gguf_read(NULL, 0, &m), GGUF_CUT);
    begin(&b, 4, 0);
    assert_int_equal(read_buf(&b, &m), GGUF_BAD);
    buf_clear(&b);
    begin(&b, 0x03000000, 0); /* big endian */
    assert_int_equal(read_buf(&b, &m), GGUF_BAD);
    buf_clear(&b);
    begin(&b, 3, UINT64_MAX);
    assert_int_equal(read_buf(&b, &m), GGUF_BAD);
    buf_clear(&b);
    begin(&b, 3, 1);
    put_text(&b, "x");
    put(&b, 13, 4); /* no type */
    assert_int_equal(read_buf(&b, &m), GGUF_BAD);
    buf_clear(&b);
    put_array(&b, ARRAY, 1);
    assert_int_equal(read_buf(&b, &m), GGUF_BAD);
    buf_clear(&b);
    put_array(&b, U64, UINT64_MAX / 8 + 2); /* times 8 it would be 8 */
    put(&b, 0, 8);
    assert_int_equal(read_buf(&b, &m), GGUF_CUT);
    buf_clear(&b);
    put_array(&b, STRING, UINT64_MAX);
    put(&b, UINT64_MAX, 8); /* a text that would end before it begins */
    assert_int_equal(read_buf(&b, &m), GGUF_CUT);
    buf_fini(&b);
}

/* ---- a real file ---- */

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    char *data = alloc_zeroed(GGUF_HEAD_BYTES_MAX, 1);
    *ret_n = fread(data, 1, GGUF_HEAD_BYTES_MAX, f);
    fclose(f);
    return data;
}

static void test_real_model(void **state)
{
    const char *path = getenv("WHARF_TEST_GGUF");
    size_t n;
    struct gguf_model m;
    (void)state;
    if (!path)
        skip(); /* it names stories260K.gguf where there is one */
    char *data = read_file(path, &n);
    assert_int_equal(gguf_read(data, n, &m), GGUF_OK);
    assert_int_equal(m.layers, 5);
    assert_int_equal(m.context, 512);
    assert_int_equal(m.embedding, 64);
    assert_int_equal(m.heads, 8);
    assert_int_equal(m.kv_heads, 20);
    /* llama.cpp says: KV buffer size = 0.62 MiB for 1024 cells. */
    assert_int_equal(gguf_cache_bytes(&m, 1024, 64, 64), 655360);
    free(data);
}

/* ---- what a command line means ---- */

static struct estimate_args args_of(const char *line)
{
    static char text[512];
    static const char *words[32];
    uint32_t count = 0;
    struct estimate_args a;
    snprintf(text, sizeof(text), "%s", line);
    for (char *rest = text, *word; (word = strsep(&rest, " "));)
        words[count++] = word;
    estimate_read_args(words, count, &a);
    return a;
}

static void test_arguments(void **state)
{
    struct estimate_args a = args_of("llama-server --port 1 -m a.gguf -c 8192 -ngl 20");
    (void)state;
    assert_string_equal(a.model.path, "a.gguf");
    assert_int_equal(a.model.context, 8192);
    assert_int_equal(a.model.layers, 20);
    assert_int_equal(a.key_block_bytes, 64);
    assert_null(a.draft.path);
    assert_int_equal(a.besides_count, 0);

    a = args_of("llama-server --model=b.gguf --ctx-size=0 --n-gpu-layers all -ctk q8_0 -ctv q4_0 "
                "--mmproj p.gguf --lora l.gguf -md d.gguf -ngld 0 -nkvo");
    assert_string_equal(a.model.path, "b.gguf");
    assert_int_equal(a.model.context, 0);
    assert_int_equal(a.model.layers, ESTIMATE_ALL_LAYERS);
    assert_int_equal(a.key_block_bytes, 34);
    assert_int_equal(a.value_block_bytes, 18);
    assert_true(a.model.cache_on_host);
    assert_string_equal(a.draft.path, "d.gguf");
    assert_int_equal(a.draft.layers, 0);
    assert_int_equal(a.besides_count, 2);

    a = args_of("llama-server -m c.gguf -c 4096 -md d.gguf --mmproj p.gguf --no-mmproj-offload");
    assert_int_equal(a.besides_count, 0);
    assert_int_equal(a.draft.context, 4096);

    a = args_of("python3 -m vllm.server -ngl -c x -ctk f13 -m");
    assert_string_equal(a.model.path, "vllm.server");
    assert_int_equal(a.model.context, 0);
    assert_int_equal(a.key_block_bytes, 64);
    assert_int_equal(a.model.layers, ESTIMATE_ALL_LAYERS);
}

/* Llama 3 8B, Q4_K_M: 4.58 GiB of weights, a cache of 1 GiB for 8192 tokens. */
static void test_bytes(void **state)
{
    static const struct {
        const char *line;
        uint64_t weights, cache; /* in 33rds, in 32nds */
    } cases[] = {{"x -m a -c 8192", 33, 32}, {"x -m a", 33, 32},
                 {"x -m a -ngl 33", 33, 32}, {"x -m a -ngl 999", 33, 32},
                 {"x -m a -ngl 32", 32, 32}, {"x -m a -ngl 16", 16, 16},
                 {"x -m a -ngl 0", 0, 0},    {"x -m a -nkvo", 33, 0}};
    const uint64_t weights = UINT64_C(4920734272) / 33 * 33;
    struct buf b = {0};
    struct gguf_model m;
    (void)state;
    put_known(&b, &known[0]);
    assert_int_equal(read_buf(&b, &m), GGUF_OK);
    for (size_t i = 0; i < countof(cases); i++) {
        struct estimate_args a = args_of(cases[i].line);
        uint64_t is = estimate_part_bytes(&m, weights + m.metadata_bytes, &a.model, &a);
        uint64_t wanted = weights / 33 * cases[i].weights + GIB / 32 * cases[i].cache;
        if (is != wanted)
            fail_msg("%s: %llu, expected %llu", cases[i].line, (unsigned long long)is,
                     (unsigned long long)wanted);
    }
    buf_fini(&b);
}

/* A file that says nothing of layers, as an image model's may: its weights alone. */
static void test_bytes_without_layers(void **state)
{
    struct estimate_args a = args_of("x -m a");
    struct gguf_model m = {.metadata_bytes = 1000};
    (void)state;
    assert_int_equal(estimate_part_bytes(&m, 5000, &a.model, &a), 4000);
    assert_int_equal(estimate_part_bytes(&m, 10, &a.model, &a), 0);
}

static void test_split_files(void **state)
{
    static const char *const single[] = {"m.gguf",
                                         "",
                                         "-00001-of-00003.gguf", /* without a name */
                                         "m-00002-of-00003.gguf",
                                         "m-00001-of-00000.gguf",
                                         "m-00001-of-99999.gguf",
                                         "m-0001-of-00003.gguf",
                                         "m-00001-of-00003.bin",
                                         "m-0000x-of-00003.gguf"};
    (void)state;
    for (size_t i = 0; i < countof(single); i++) {
        if (estimate_file_count(single[i]) != 1)
            fail_msg("several files: %s", single[i]);
        auto_free char *name = estimate_file_name(single[i], 0);
        assert_string_equal(name, single[i]);
    }
    assert_int_equal(estimate_file_count("/d/m-00001-of-00003.gguf"), 3);
    auto_free char *first = estimate_file_name("/d/m-00001-of-00003.gguf", 0);
    auto_free char *last = estimate_file_name("/d/m-00001-of-00003.gguf", 2);
    assert_string_equal(first, "/d/m-00001-of-00003.gguf");
    assert_string_equal(last, "/d/m-00003-of-00003.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_models),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_architecture_may_come_last),
        cmocka_unit_test(test_what_it_says_of_itself),
        cmocka_unit_test(test_heads_layer_by_layer),
        cmocka_unit_test(test_nonsense_counts_as_unknown),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_real_model),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bytes_without_layers),
        cmocka_unit_test(test_split_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
