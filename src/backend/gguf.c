#include "backend/gguf.h"

#include <stdbool.h>
#include <string.h>

#include "base/pure/check.h"

#define MAGIC "GGUF"
#define VERSION_MIN 2
#define VERSION_MAX 3
#define KEYS_MAX 65536
/* Larger ones are nonsense, and products of those below stay far from overflowing. */
#define NUMBER_MAX (UINT64_C(1) << 32)
#define LENGTH_MAX (UINT64_C(1) << 20)
#define CACHE_BLOCK 32

enum type {
    TYPE_U8,
    TYPE_I8,
    TYPE_U16,
    TYPE_I16,
    TYPE_U32,
    TYPE_I32,
    TYPE_F32,
    TYPE_BOOL,
    TYPE_STRING,
    TYPE_ARRAY,
    TYPE_U64,
    TYPE_I64,
    TYPE_F64,
    TYPE__COUNT
};

/* Of a value; 0: it says itself how long it is. */
static const uint8_t type_bytes[TYPE__COUNT] = {
    [TYPE_U8] = 1,  [TYPE_I8] = 1,   [TYPE_U16] = 2, [TYPE_I16] = 2, [TYPE_U32] = 4, [TYPE_I32] = 4,
    [TYPE_F32] = 4, [TYPE_BOOL] = 1, [TYPE_U64] = 8, [TYPE_I64] = 8, [TYPE_F64] = 8};

struct reader {
    const unsigned char *data;
    size_t n, at;
    enum gguf_result result;
};

struct text {
    const char *at; /* not terminated */
    size_t n;
};

/* The next n bytes, or NULL. */
static const unsigned char *take(struct reader *r, uint64_t n)
{
    if (r->result != GGUF_OK)
        return NULL;
    if (n > r->n - r->at) {
        r->result = GGUF_CUT;
        return NULL;
    }
    const unsigned char *at = r->data + r->at;
    r->at += (size_t)n;
    return at;
}

/* Little endian; 0 when it is not there. */
static uint64_t take_number(struct reader *r, uint32_t bytes)
{
    const unsigned char *at = take(r, bytes);
    uint64_t number = 0;
    for (uint32_t i = 0; at && i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

static struct text take_text(struct reader *r)
{
    uint64_t n = take_number(r, 8);
    const unsigned char *at = take(r, n);
    return (struct text){.at = (const char *)at, .n = at ? (size_t)n : 0};
}

static uint32_t take_type(struct reader *r)
{
    uint32_t type = (uint32_t)take_number(r, 4);
    if (r->result == GGUF_OK && type >= TYPE__COUNT)
        r->result = GGUF_BAD;
    return r->result == GGUF_OK ? type : TYPE_U8;
}

/* A whole number of that type; 0 for what is none, negative, or larger than any model has. */
static uint64_t take_whole(struct reader *r, uint32_t type)
{
    uint32_t bytes = type_bytes[type];
    uint64_t number = take_number(r, bytes);
    bool is_signed = type == TYPE_I8 || type == TYPE_I16 || type == TYPE_I32 || type == TYPE_I64;
    bool negative = is_signed && number >> (8 * bytes - 1);
    bool whole = type != TYPE_F32 && type != TYPE_F64 && !negative;
    return whole && number <= NUMBER_MAX ? number : 0;
}

/* Several values of one type; arrays within arrays are not written by anybody. */
static void skip_elements(struct reader *r, uint32_t type, uint64_t count)
{
    if (type == TYPE_ARRAY) {
        r->result = GGUF_BAD;
    } else if (type_bytes[type]) {
        if (count > UINT64_MAX / 8)
            r->result = GGUF_CUT;
        take(r, count * type_bytes[type]);
    } else {
        for (uint64_t i = 0; i < count && r->result == GGUF_OK; i++)
            take_text(r);
    }
}

/* A number, or one for each layer. */
struct numbers {
    uint64_t count, sum, most;
    bool each; /* for each layer */
};

static void read_number(struct reader *r, uint32_t type, struct numbers *ret)
{
    struct numbers is = {.count = 1};
    uint32_t of = type;
    if (type == TYPE_ARRAY) {
        is.each = true;
        of = take_type(r);
        is.count = take_number(r, 8);
    }
    if (!type_bytes[of] || is.count > GGUF_LAYERS_MAX) {
        skip_elements(r, of, is.count);
        return;
    }
    for (uint64_t i = 0; i < is.count && r->result == GGUF_OK; i++) {
        uint64_t number = take_whole(r, of);
        is.sum += number;
        is.most = number > is.most ? number : is.most;
    }
    if (r->result == GGUF_OK)
        *ret = is;
}

static bool text_is(struct text t, const char *word)
{
    return t.n == strlen(word) && memcmp(t.at, word, t.n) == 0;
}

enum wanted {
    LAYERS,
    CONTEXT,
    EMBEDDING,
    HEADS,
    KV_HEADS,
    KEY_LENGTH,
    VALUE_LENGTH,
    POOLING,
    WANTED__COUNT
};

/* Behind the architecture and a dot. */
static const char *const wanted_keys[WANTED__COUNT] = {
    [LAYERS] = "block_count",
    [CONTEXT] = "context_length",
    [EMBEDDING] = "embedding_length",
    [HEADS] = "attention.head_count",
    [KV_HEADS] = "attention.head_count_kv",
    [KEY_LENGTH] = "attention.key_length",
    [VALUE_LENGTH] = "attention.value_length",
    [POOLING] = "pooling_type",
};

enum said { ARCHITECTURE, NAME, TYPE, SAID__COUNT };

static const char *const said_keys[SAID__COUNT] = {
    [ARCHITECTURE] = "general.architecture", [NAME] = "general.name", [TYPE] = "general.type"};

struct found {
    uint64_t tensors;
    struct text said[SAID__COUNT];
    struct numbers numbers[WANTED__COUNT];
};

static struct numbers *find_wanted(struct found *f, struct text key)
{
    const struct text *name = &f->said[ARCHITECTURE];
    size_t n = name->n;
    if (!n || key.n <= n + 1 || memcmp(key.at, name->at, n) != 0 || key.at[n] != '.')
        return NULL;
    struct text rest = {.at = key.at + n + 1, .n = key.n - n - 1};
    for (size_t i = 0; i < WANTED__COUNT; i++)
        if (text_is(rest, wanted_keys[i]))
            return &f->numbers[i];
    return NULL;
}

static struct text *find_said(struct found *f, struct text key)
{
    for (size_t i = 0; i < SAID__COUNT; i++)
        if (text_is(key, said_keys[i]))
            return &f->said[i];
    return NULL;
}

static void read_pair(struct reader *r, struct found *f)
{
    struct text key = take_text(r);
    uint32_t type = take_type(r);
    struct numbers *wanted = r->result == GGUF_OK ? find_wanted(f, key) : NULL;
    if (r->result != GGUF_OK)
        return;
    struct text *said = type == TYPE_STRING ? find_said(f, key) : NULL;
    if (said) {
        *said = take_text(r);
    } else if (wanted) {
        read_number(r, type, wanted);
    } else if (type == TYPE_ARRAY) {
        uint32_t of = take_type(r);
        skip_elements(r, of, take_number(r, 8));
    } else {
        skip_elements(r, type, 1);
    }
}

/* Reads the pairs. The architecture usually stands first; where it does not, what came before it is
 * found by reading once more with the name known. */
static void read_pairs(struct reader *r, struct found *f)
{
    const unsigned char *magic = take(r, 4);
    if (magic && memcmp(magic, MAGIC, 4) != 0)
        r->result = GGUF_BAD;
    uint64_t version = take_number(r, 4);
    if (r->result == GGUF_OK && (version < VERSION_MIN || version > VERSION_MAX))
        r->result = GGUF_BAD;
    f->tensors = take_number(r, 8);
    uint64_t pairs = take_number(r, 8);
    if (r->result == GGUF_OK && pairs > KEYS_MAX)
        r->result = GGUF_BAD;
    for (uint64_t i = 0; i < pairs && r->result == GGUF_OK; i++)
        read_pair(r, f);
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number <= most ? number : 0;
}

/* Cut where it is too long, or holds a NUL. */
static void copy_text(char out[GGUF_TEXT_MAX], struct text text)
{
    size_t n = text.n < GGUF_TEXT_MAX ? text.n : GGUF_TEXT_MAX - 1;
    const char *nul = n ? memchr(text.at, '\0', n) : NULL;
    if (nul)
        n = (size_t)(nul - text.at);
    if (n)
        memcpy(out, text.at, n);
    out[n] = '\0';
}

static uint64_t pooling_of(const struct numbers *is)
{
    uint64_t pooling = is->count == 1 ? is->sum + GGUF_POOLING_NONE : GGUF_POOLING_UNKNOWN;
    return pooling < GGUF_POOLING__COUNT ? pooling : GGUF_POOLING_UNKNOWN;
}

enum gguf_result gguf_read(const void *data, size_t n, struct gguf_model *ret)
{
    struct found f = {.tensors = 0};
    struct reader r = {.n = 0};
    for (int pass = 0; pass < 2; pass++) {
        r = (struct reader){.data = data, .n = n};
        read_pairs(&r, &f);
    }
    uint64_t layers = at_most(f.numbers[LAYERS].most, GGUF_LAYERS_MAX);
    const struct numbers *kv = f.numbers[KV_HEADS].count ? &f.numbers[KV_HEADS] : &f.numbers[HEADS];
    uint64_t kv_heads = kv->each ? kv->sum : at_most(kv->most, LENGTH_MAX) * layers;
    *ret = (struct gguf_model){.tensors = f.tensors,
                               .pooling = pooling_of(&f.numbers[POOLING]),
                               .layers = layers,
                               .context = f.numbers[CONTEXT].most,
                               .embedding = at_most(f.numbers[EMBEDDING].most, LENGTH_MAX),
                               .heads = at_most(f.numbers[HEADS].most, LENGTH_MAX),
                               .kv_heads = at_most(kv_heads, LENGTH_MAX),
                               .key_length = at_most(f.numbers[KEY_LENGTH].most, LENGTH_MAX),
                               .value_length = at_most(f.numbers[VALUE_LENGTH].most, LENGTH_MAX),
                               .metadata_bytes = r.result == GGUF_OK ? r.at : 0};
    copy_text(ret->architecture, f.said[ARCHITECTURE]);
    copy_text(ret->name, f.said[NAME]);
    copy_text(ret->type, f.said[TYPE]);
    return r.result;
}

uint32_t gguf_cache_block_bytes(const char *word)
{
    static const struct {
        const char *word;
        uint32_t bytes;
    } types[] = {{"f32", 128}, {"f16", 64},  {"bf16", 64}, {"q8_0", 34},  {"q5_1", 24},
                 {"q5_0", 22}, {"q4_1", 20}, {"q4_0", 18}, {"iq4_nl", 18}};
    for (size_t i = 0; i < countof(types); i++)
        if (strcmp(word, types[i].word) == 0)
            return types[i].bytes;
    return 0;
}

uint64_t gguf_cache_bytes(const struct gguf_model *m, uint64_t tokens, uint32_t key_block_bytes,
                          uint32_t value_block_bytes)
{
    uint64_t head = m->heads ? m->embedding / m->heads : 0;
    uint64_t key = m->key_length ? m->key_length : head;
    uint64_t value = m->value_length ? m->value_length : head;
    uint64_t block = key * key_block_bytes + value * value_block_bytes;
    /* A head's length is a multiple of the block's, or of little matter. */
    uint64_t token = m->kv_heads * block / CACHE_BLOCK;
    return tokens && token > UINT64_MAX / tokens ? UINT64_MAX : token * tokens;
}
