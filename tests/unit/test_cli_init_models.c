/* Which files are models, where they are looked for, and how they fit: `wharf init`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "backend/estimate.h"
#include "cli/init/fit.h"
#include "cli/init/pulled.h"
#include "cli/init/walk.h"
#include "config_folder.h"
#include "init_finds.h"

/* ---- what files are ---- */

static bool has_note(const struct found *f, const char *path, const char *why)
{
    for (uint32_t i = 0; i < f->notes.count; i++)
        if (strncmp(f->notes.items[i], path, strlen(path)) == 0 && strstr(f->notes.items[i], why))
            return true;
    return false;
}

static void test_parts_are_one_model(void **state)
{
    struct gguf_seen seen[8];
    uint32_t n = 0;
    struct found f = {.gpu_count = 0};
    (void)state;
    finds_see(seen, &n, "/m/big-00002-of-00003.gguf", 20);
    finds_see(seen, &n, "/m/big-00003-of-00003.gguf", 30);
    finds_see(seen, &n, "/m/big-00001-of-00003.gguf", 10);
    finds_see(seen, &n, "/m/torn-00001-of-00002.gguf", 10);
    finds_see(seen, &n, "/n/torn-00002-of-00002.gguf", 10); /* in another folder */
    models_sort_out(seen, n, &f);
    assert_int_equal(f.model_count, 1);
    assert_string_equal(f.models[0].path, "/m/big-00001-of-00003.gguf");
    assert_int_equal(f.models[0].bytes, 60);
    assert_true(has_note(&f, "/m/torn-00001", "part 2 of 2 is missing"));
    assert_int_equal(f.notes.count, 1);
    finds_free(seen, n);
    found_fini(&f);
}

static void test_links_are_one_model(void **state)
{
    struct gguf_seen seen[2];
    uint32_t n = 0;
    struct found f = {.gpu_count = 0};
    (void)state;
    finds_see(seen, &n, "/hub/snapshots/b/x.gguf", 10);
    finds_see(seen, &n, "/hub/snapshots/a/x.gguf", 10)->inode = seen[0].inode;
    models_sort_out(seen, n, &f);
    assert_int_equal(f.model_count, 1);
    assert_string_equal(f.models[0].path, "/hub/snapshots/a/x.gguf");
    finds_free(seen, n);
    found_fini(&f);
}

static void test_what_is_no_model(void **state)
{
    struct gguf_seen seen[10];
    uint32_t n = 0;
    struct found f = {.gpu_count = 0};
    (void)state;
    finds_see(seen, &n, "/m/a-vocab.gguf", 10)->head.tensors = 0;
    strcpy(finds_see(seen, &n, "/m/b-lora.gguf", 10)->head.type, "adapter");
    strcpy(finds_see(seen, &n, "/m/c-flux.gguf", 10)->head.architecture, "flux");
    finds_see(seen, &n, "/m/d-half.gguf", 10)->result = GGUF_CUT;
    finds_see(seen, &n, "/m/e-text.gguf", 10)->result = GGUF_BAD;
    finds_see(seen, &n, "/m/f-secret.gguf", 10)->error = EACCES;
    finds_see(seen, &n, "/m/g\n.gguf", 10);
    finds_see(seen, &n, "/m/h${PORT}.gguf", 10);
    finds_see(seen, &n, "/m/mmproj-alone.gguf", 10);
    models_sort_out(seen, n, &f);
    assert_int_equal(f.model_count, 0);
    assert_true(has_note(&f, "/m/h${PORT}.gguf", "characters"));
    assert_true(has_note(&f, "/m/a-vocab.gguf", "a vocabulary alone"));
    assert_true(has_note(&f, "/m/b-lora.gguf", "goes with one"));
    assert_true(has_note(&f, "/m/c-flux.gguf", "images"));
    assert_true(has_note(&f, "/m/d-half.gguf", "not whole"));
    assert_true(has_note(&f, "/m/e-text.gguf", "no GGUF file"));
    assert_true(has_note(&f, "/m/f-secret.gguf", strerror(EACCES)));
    assert_true(has_note(&f, "/m/g\n.gguf", "characters"));
    assert_true(has_note(&f, "/m/mmproj-alone.gguf", "a projector"));
    assert_int_equal(f.notes.count, n);
    finds_free(seen, n);
    found_fini(&f);
}

static void test_kinds(void **state)
{
    struct gguf_seen seen[8];
    uint32_t n = 0;
    struct found f = {.gpu_count = 0};
    (void)state;
    strcpy(finds_see(seen, &n, "/m/a.gguf", 10)->head.architecture, "nomic-bert-moe");
    finds_see(seen, &n, "/m/b.gguf", 10)->head.pooling = GGUF_POOLING_LAST;
    finds_see(seen, &n, "/m/c.gguf", 10)->head.pooling = GGUF_POOLING_RANK;
    finds_see(seen, &n, "/m/d.gguf", 10)->head.pooling = GGUF_POOLING_NONE;
    strcpy(finds_see(seen, &n, "/m/e-Reranker.gguf", 10)->head.architecture, "bert");
    models_sort_out(seen, n, &f);
    static const enum found_kind kinds[] = {FOUND_EMBEDS, FOUND_EMBEDS, FOUND_RERANKS, FOUND_CHAT,
                                            FOUND_RERANKS};
    assert_int_equal(f.model_count, countof(kinds));
    for (uint32_t i = 0; i < countof(kinds); i++)
        assert_int_equal(f.models[i].kind, kinds[i]);
    finds_free(seen, n);
    found_fini(&f);
}

static void test_projectors_go_to_their_models(void **state)
{
    struct gguf_seen seen[16];
    uint32_t n = 0;
    struct found f = {.gpu_count = 0};
    (void)state;
    /* Alone in its folder: in two quantisations, and of the projectors f16 is taken. */
    finds_see(seen, &n, "/a/gemma-q4_0.gguf", 10);
    finds_see(seen, &n, "/a/gemma-q8_0.gguf", 10);
    finds_see(seen, &n, "/a/mmproj-BF16.gguf", 7);
    finds_see(seen, &n, "/a/mmproj-F16.gguf", 8);
    finds_see(seen, &n, "/a/mmproj-F32.gguf", 9);
    /* Among others, by name. */
    finds_see(seen, &n, "/b/mmproj-qwen2-vl-7b-f16.gguf", 5);
    finds_see(seen, &n, "/b/qwen2-vl-7b-q4_0.gguf", 10);
    finds_see(seen, &n, "/b/qwen2-vl-72b-q4_0.gguf", 10);
    finds_see(seen, &n, "/b/mmproj-other.gguf", 10);
    /* By what the file says of itself. */
    finds_see(seen, &n, "/c/llava.gguf", 10);
    strcpy(finds_see(seen, &n, "/c/vision.gguf", 6)->head.architecture, "clip");
    models_sort_out(seen, n, &f);
    assert_int_equal(f.model_count, 5);
    assert_string_equal(f.models[0].projector, "/a/mmproj-F16.gguf");
    assert_int_equal(f.models[0].projector_bytes, 8);
    assert_string_equal(f.models[1].projector, "/a/mmproj-F16.gguf");
    assert_string_equal(f.models[2].path, "/b/qwen2-vl-72b-q4_0.gguf");
    assert_null(f.models[2].projector);
    assert_string_equal(f.models[3].projector, "/b/mmproj-qwen2-vl-7b-f16.gguf");
    assert_string_equal(f.models[4].projector, "/c/vision.gguf");
    assert_int_equal(f.notes.count, 1);
    assert_true(has_note(&f, "/b/mmproj-other.gguf", "no model beside it"));
    finds_free(seen, n);
    found_fini(&f);
}

/* ---- where they are looked for ---- */

static const struct walk_bounds wide = {
    .depth_max = 6, .entries_max = 1000, .files_max = 100, .ns_max = 60 * NS_PER_S};

/* How many files were seen below the folder; their names are in `names`. */
static uint32_t walk_all(const struct walk_bounds *bounds, const char *folder,
                         struct found_notes *notes, struct buf *names)
{
    struct walk *w = walk_new(bounds);
    uint32_t n;
    assert_int_equal(walk_folder(w, folder, notes), 0);
    assert_int_equal(walk_folder(w, folder, notes), 0); /* again: nothing is seen twice */
    walk_read_heads(w);
    const struct gguf_seen *seen = walk_seen(w, &n);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(names, "%s ", strrchr(seen[i].path, '/') + 1);
        assert_int_equal(seen[i].result, GGUF_BAD);
    }
    walk_free(w);
    return n;
}

static void link_to(const struct folder *f, const char *target, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    assert_int_equal(symlink(target, path), 0);
}

static void test_walk(void **state)
{
    struct folder f = folder_new();
    struct found found = {.gpu_count = 0};
    struct buf names = {0};
    (void)state;
    folder_write(&f, "a.gguf", "not one");
    folder_write(&f, "a.txt", "");
    folder_write(&f, ".hidden/b.gguf", "not one");
    folder_write(&f, ".c.gguf", "not one");
    folder_write(&f, "hub/blobs/0123", "not one");
    folder_write(&f, "hub/snapshots/1/d.GGUF", "not one");
    folder_write(&f, "1/2/3/4/5/6/e.gguf", "not one");
    folder_write(&f, "1/2/3/4/5/6/7/too-deep.gguf", "not one");
    link_to(&f, "../blobs/0123", "hub/snapshots/f.gguf");
    link_to(&f, "..", "hub/loop");
    link_to(&f, "self", "self");
    link_to(&f, "nowhere", "gone.gguf");
    assert_int_equal(walk_all(&wide, f.path, &found.notes, &names), 4);
    assert_non_null(strstr(names.data, "a.gguf "));
    assert_non_null(strstr(names.data, "d.GGUF "));
    assert_non_null(strstr(names.data, "e.gguf "));
    assert_non_null(strstr(names.data, "f.gguf "));
    assert_int_equal(found.notes.count, 1); /* gone.gguf */
    buf_fini(&names);
    found_fini(&found);
    folder_remove(&f);
}

static void test_walk_ends(void **state)
{
    struct folder f = folder_new();
    struct walk_bounds few = wide, none = wide, hurried = wide;
    (void)state;
    for (char name[] = "a/x.gguf"; name[0] < 'k'; name[0]++)
        folder_write(&f, name, "not one");
    few.files_max = 3;
    none.entries_max = 5;
    hurried.ns_max = 0;
    const struct walk_bounds *const all[] = {&few, &none, &hurried};
    static const char *const why[] = {"too many GGUF files", "too many files", "too long"};
    for (size_t i = 0; i < countof(all); i++) {
        struct found found = {.gpu_count = 0};
        struct walk *w = walk_new(all[i]);
        uint32_t n;
        assert_int_equal(walk_folder(w, f.path, &found.notes), 0);
        (void)walk_seen(w, &n);
        assert_in_range(n, 0, 3);
        assert_int_equal(found.notes.count, 1);
        assert_non_null(strstr(found.notes.items[0], why[i]));
        walk_free(w);
        found_fini(&found);
    }
    folder_remove(&f);
}

static void test_walk_of_nothing(void **state)
{
    struct found found = {.gpu_count = 0};
    struct walk *w = walk_new(&wide);
    (void)state;
    assert_int_equal(walk_folder(w, "/no/such/folder", &found.notes), ENOENT);
    assert_int_equal(walk_folder(w, "/dev/null", &found.notes), ENOTDIR);
    assert_int_equal(found.notes.count, 0);
    walk_free(w);
}

/* ---- how they fit ---- */

static void test_fit(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t gpus[4], bytes, context;
        struct fit fit;
    } cases[] = {
        {"no GPU", {0}, 5 * GIB, 131072, {8192, 0, false, ESTIMATE_ALL_LAYERS}},
        {"made for less", {0}, 5 * GIB, 2048, {2048, 0, false, ESTIMATE_ALL_LAYERS}},
        {"not said", {0}, 5 * GIB, 0, {0, 0, false, ESTIMATE_ALL_LAYERS}},
        /* Its cache takes 128 KiB a token: 4 GiB for 32768. */
        {"roomy", {24 * GIB}, 5 * GIB, 131072, {32768, 1, true, ESTIMATE_ALL_LAYERS}},
        {"half the context", {8 * GIB}, 5 * GIB, 131072, {16384, 1, true, ESTIMATE_ALL_LAYERS}},
        {"one of two", {24 * GIB, 24 * GIB}, 5 * GIB, 8192, {8192, 1, true, ESTIMATE_ALL_LAYERS}},
        {"both", {24 * GIB, 24 * GIB}, 40 * GIB, 8192, {8192, 2, true, ESTIMATE_ALL_LAYERS}},
        {"the second is too small",
         {8 * GIB, 24 * GIB},
         20 * GIB,
         8192,
         {8192, 1, true, ESTIMATE_ALL_LAYERS}},
        {"less context rather than half of it elsewhere",
         {8 * GIB},
         6 * GIB + 512 * MIB,
         131072,
         {4096, 1, true, ESTIMATE_ALL_LAYERS}},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct found f = {.gpu_count = 0};
        struct fit_gpus gpus;
        struct found_model m = {.bytes = cases[i].bytes,
                                .head = finds_head("llama", "", cases[i].context)};
        for (size_t k = 0; k < countof(cases[i].gpus) && cases[i].gpus[k]; k++)
            finds_gpu(&f, "GPU", cases[i].gpus[k]);
        fit_gpus_of(&f, &gpus);
        struct fit fit = fit_choose(&m, &gpus);
        if (fit.context != cases[i].fit.context || fit.gpus != cases[i].fit.gpus ||
            fit.offloads != cases[i].fit.offloads || fit.layers != cases[i].fit.layers)
            fail_msg("%s: %llu tokens, %u GPUs, %llu layers", cases[i].what,
                     (unsigned long long)fit.context, fit.gpus, (unsigned long long)fit.layers);
    }
}

static void test_fit_in_part(void **state)
{
    struct found f = {.gpu_count = 0};
    struct fit_gpus gpus;
    struct found_model m = {.bytes = 40 * GIB, .head = finds_head("llama", "", 8192)};
    (void)state;
    finds_gpu(&f, "GPU", 8 * GIB);
    fit_gpus_of(&f, &gpus);
    struct fit fit = fit_choose(&m, &gpus);
    /* 7.5 GiB less 512 MiB, by 40 / 33 + 1 / 32 GiB a layer. */
    assert_int_equal(fit.layers, 5);
    assert_int_equal(fit.gpus, 1);
    /* One whose memory is not known: all of it goes there, and nothing is reckoned. */
    f.gpus[0].bytes = 0;
    fit_gpus_of(&f, &gpus);
    fit = fit_choose(&m, &gpus);
    assert_true(fit.offloads && fit.gpus == 0 && fit.layers == ESTIMATE_ALL_LAYERS);
    /* Embeddings are made in one batch. */
    m.kind = FOUND_EMBEDS;
    assert_int_equal(fit_choose(&m, &gpus).context, FIT_BATCH_MAX);
}

/* ---- Ollama ---- */

static void test_pulled(void **state)
{
    static const char tags[] =
        "{\"models\": [{\"name\": \"qwen3:8b\", \"size\": 5000, \"details\": {\"family\": "
        "\"qwen3\"}},"
        "{\"model\": \"all-minilm:latest\", \"details\": {\"family\": \"bert\"}, \"size\": -1},"
        "{\"name\": \"qwen3:8b\"}, {\"name\": \"\"}, 7, {\"name\": 7},"
        "{\"name\": \"big:cloud\", \"remote_host\": \"https://x\"},"
        "{\"name\": \"a${env.HOME}\"}, {\"name\": \"a\\nb: c\"}]}";
    struct found f = {.gpu_count = 0};
    json_t *json = json_loads(tags, 0, NULL);
    (void)state;
    assert_int_equal(pulled_read(json, &f), 0);
    assert_int_equal(f.pulled_count, 2);
    assert_string_equal(f.pulled[0].name, "all-minilm:latest");
    assert_true(f.pulled[0].embeds && f.pulled[0].bytes == 0);
    assert_string_equal(f.pulled[1].name, "qwen3:8b");
    assert_true(!f.pulled[1].embeds && f.pulled[1].bytes == 5000);
    assert_true(has_note(&f, "big:cloud", "runs elsewhere"));
    assert_int_equal(f.notes.count, 3);
    json_decref(json);
    found_fini(&f);
    json = json_loads("{\"models\": 7}", 0, NULL);
    assert_int_equal(pulled_read(json, &f), -1);
    assert_int_equal(pulled_read(NULL, &f), -1);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_one_model),
        cmocka_unit_test(test_links_are_one_model),
        cmocka_unit_test(test_what_is_no_model),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_projectors_go_to_their_models),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_ends),
        cmocka_unit_test(test_walk_of_nothing),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_fit_in_part),
        cmocka_unit_test(test_pulled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
