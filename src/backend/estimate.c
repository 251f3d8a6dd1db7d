#include "backend/estimate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

#define NUMBER_MAX (UINT64_C(1) << 32)
#define FILES_MAX 999
/* "-00001-of-00003.gguf" */
#define SPLIT_DIGITS 5
#define SPLIT_SUFFIX ".gguf"
#define SPLIT_CHARS (1 + SPLIT_DIGITS + 4 + SPLIT_DIGITS + sizeof(SPLIT_SUFFIX) - 1)

enum flag {
    FLAG_MODEL,
    FLAG_DRAFT,
    FLAG_BESIDES,
    FLAG_CONTEXT,
    FLAG_DRAFT_CONTEXT,
    FLAG_LAYERS,
    FLAG_DRAFT_LAYERS,
    FLAG_KEY_TYPE,
    FLAG_VALUE_TYPE,
    FLAG_PROJECTOR,
    FLAG_CACHE_ON_HOST, /* from here on without a value */
    FLAG_PROJECTOR_ON_HOST,
};

/* llama.cpp's words (common/arg.cpp), old ones included. */
static const struct {
    const char *word;
    enum flag is;
} flags[] = {
    {"-m", FLAG_MODEL},
    {"--model", FLAG_MODEL},
    {"-md", FLAG_DRAFT},
    {"--model-draft", FLAG_DRAFT},
    {"--mmproj", FLAG_PROJECTOR},
    {"-mm", FLAG_PROJECTOR},
    {"--lora", FLAG_BESIDES},
    {"-c", FLAG_CONTEXT},
    {"--ctx-size", FLAG_CONTEXT},
    {"-cd", FLAG_DRAFT_CONTEXT},
    {"--ctx-size-draft", FLAG_DRAFT_CONTEXT},
    {"-ngl", FLAG_LAYERS},
    {"--gpu-layers", FLAG_LAYERS},
    {"--n-gpu-layers", FLAG_LAYERS},
    {"-ngld", FLAG_DRAFT_LAYERS},
    {"--gpu-layers-draft", FLAG_DRAFT_LAYERS},
    {"--n-gpu-layers-draft", FLAG_DRAFT_LAYERS},
    {"-ctk", FLAG_KEY_TYPE},
    {"--cache-type-k", FLAG_KEY_TYPE},
    {"-ctv", FLAG_VALUE_TYPE},
    {"--cache-type-v", FLAG_VALUE_TYPE},
    {"-nkvo", FLAG_CACHE_ON_HOST},
    {"--no-kv-offload", FLAG_CACHE_ON_HOST},
    {"--no-mmproj-offload", FLAG_PROJECTOR_ON_HOST},
};

static bool find_flag(const char *word, size_t n, enum flag *ret)
{
    for (size_t i = 0; i < countof(flags); i++) {
        if (strlen(flags[i].word) != n || memcmp(flags[i].word, word, n) != 0)
            continue;
        *ret = flags[i].is;
        return true;
    }
    return false;
}

/* absent for what is no such number, as `auto` and `all` are none. */
static uint64_t number_of(const char *text, uint64_t absent)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = digits && digits <= 10 ? strtoull(text, NULL, 10) : NUMBER_MAX + 1;
    return text[digits] == '\0' && number <= NUMBER_MAX ? number : absent;
}

static uint32_t type_of(const char *text, uint32_t absent)
{
    uint32_t bytes = gguf_cache_block_bytes(text);
    return bytes ? bytes : absent;
}

struct reading {
    struct estimate_args *args;
    const char *projector;
    bool projector_on_host;
};

static void add_besides(struct estimate_args *a, const char *path)
{
    if (a->besides_count < ESTIMATE_BESIDES_MAX)
        a->besides[a->besides_count++] = path;
}

static void take(struct reading *r, enum flag flag, const char *value)
{
    struct estimate_args *a = r->args;
    switch (flag) {
    case FLAG_MODEL:
        a->model.path = value;
        break;
    case FLAG_DRAFT:
        a->draft.path = value;
        break;
    case FLAG_BESIDES:
        add_besides(a, value);
        break;
    case FLAG_CONTEXT:
        a->model.context = number_of(value, 0);
        break;
    case FLAG_DRAFT_CONTEXT:
        a->draft.context = number_of(value, 0);
        break;
    case FLAG_LAYERS:
        a->model.layers = number_of(value, ESTIMATE_ALL_LAYERS);
        break;
    case FLAG_DRAFT_LAYERS:
        a->draft.layers = number_of(value, ESTIMATE_ALL_LAYERS);
        break;
    case FLAG_KEY_TYPE:
        a->key_block_bytes = type_of(value, a->key_block_bytes);
        break;
    case FLAG_VALUE_TYPE:
        a->value_block_bytes = type_of(value, a->value_block_bytes);
        break;
    case FLAG_PROJECTOR:
        r->projector = value;
        break;
    case FLAG_CACHE_ON_HOST:
        a->model.cache_on_host = a->draft.cache_on_host = true;
        break;
    case FLAG_PROJECTOR_ON_HOST:
        r->projector_on_host = true;
        break;
    }
}

void estimate_read_args(const char *const *argv, uint32_t count, struct estimate_args *ret)
{
    uint32_t f16 = gguf_cache_block_bytes("f16");
    struct reading r = {.args = ret};
    *ret = (struct estimate_args){.model = {.layers = ESTIMATE_ALL_LAYERS},
                                  .draft = {.layers = ESTIMATE_ALL_LAYERS},
                                  .key_block_bytes = f16,
                                  .value_block_bytes = f16};
    for (uint32_t i = 0; i < count; i++) {
        enum flag flag;
        size_t n = strcspn(argv[i], "=");
        bool joined = argv[i][n] == '=';
        if (!find_flag(argv[i], n, &flag))
            continue;
        if (flag >= FLAG_CACHE_ON_HOST)
            take(&r, flag, NULL);
        else if (joined)
            take(&r, flag, argv[i] + n + 1);
        else if (i + 1 < count)
            take(&r, flag, argv[++i]);
    }
    if (ret->draft.path && !ret->draft.context)
        ret->draft.context = ret->model.context;
    if (r.projector && !r.projector_on_host)
        add_besides(ret, r.projector);
}

/* bytes × part / whole, where part is no more than whole, without an overflow. */
static uint64_t share_of(uint64_t bytes, uint64_t part, uint64_t whole)
{
    return bytes / whole * part + bytes % whole * part / whole;
}

uint64_t estimate_plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t estimate_part_bytes(const struct gguf_model *m, uint64_t file_bytes,
                             const struct estimate_part *part, const struct estimate_args *args)
{
    uint64_t weights = file_bytes > m->metadata_bytes ? file_bytes - m->metadata_bytes : 0;
    uint64_t cache = gguf_cache_bytes(m, part->context ? part->context : m->context,
                                      args->key_block_bytes, args->value_block_bytes);
    /* What comes behind the last layer counts as one, as it does for llama.cpp. */
    uint64_t whole = m->layers + 1;
    uint64_t there = part->layers < whole ? part->layers : whole;
    uint64_t cached = there < m->layers ? there : m->layers;
    weights = share_of(weights, there, whole);
    cache = part->cache_on_host ? 0 : m->layers ? share_of(cache, cached, m->layers) : cache;
    return estimate_plus(weights, cache);
}

/* The number at that place, or 0. */
static uint32_t split_number(const char *at)
{
    char digits[SPLIT_DIGITS + 1] = "";
    memcpy(digits, at, SPLIT_DIGITS);
    return strspn(digits, "0123456789") == SPLIT_DIGITS ? (uint32_t)strtoul(digits, NULL, 10) : 0;
}

/* Where "-00001-of-" begins; NULL when the name is none of the first of several. */
static const char *find_split(const char *path, uint32_t *ret_count)
{
    size_t n = strlen(path);
    const char *at = n > SPLIT_CHARS ? path + n - SPLIT_CHARS : NULL;
    if (!at || at[0] != '-' || memcmp(at + 1 + SPLIT_DIGITS, "-of-", 4) != 0 ||
        strcmp(at + SPLIT_CHARS - strlen(SPLIT_SUFFIX), SPLIT_SUFFIX) != 0)
        return NULL;
    *ret_count = split_number(at + 1 + SPLIT_DIGITS + 4);
    bool first = split_number(at + 1) == 1;
    return first && *ret_count >= 1 && *ret_count <= FILES_MAX ? at : NULL;
}

uint32_t estimate_file_count(const char *path)
{
    uint32_t count;
    return find_split(path, &count) ? count : 1;
}

char *estimate_file_name(const char *path, uint32_t i)
{
    uint32_t count;
    const char *at = find_split(path, &count);
    if (!at || i == 0)
        return alloc_text(path);
    return alloc_printf("%.*s-%05u-of-%05u" SPLIT_SUFFIX, (int)(at - path), path, i + 1, count);
}
