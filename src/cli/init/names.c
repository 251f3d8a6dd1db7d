#include "cli/init/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/pure/check.h"

/* llama.cpp's gguf-split. */
#define PART_SHAPE "-00000-of-00000"
#define PROJECTOR "mmproj"
#define LATEST ":latest"

const char *names_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool names_is_gguf(const char *base)
{
    size_t n = strlen(base), suffix = strlen(NAMES_SUFFIX);
    return n > suffix && strcasecmp(base + n - suffix, NAMES_SUFFIX) == 0;
}

/* The length of the name without ".gguf". */
static size_t stem_length(const char *base)
{
    return strlen(base) - (names_is_gguf(base) ? strlen(NAMES_SUFFIX) : 0);
}

/* Where "-00002-of-00003" begins in the first n bytes, or n. */
static size_t part_start(const char *base, size_t n)
{
    size_t len = strlen(PART_SHAPE);
    if (n <= len)
        return n;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)base[n - len + i];
        if (PART_SHAPE[i] == '0' ? !isdigit(c) : c != (unsigned char)PART_SHAPE[i])
            return n;
    }
    return n - len;
}

bool names_part(const char *base, uint32_t *ret_part, uint32_t *ret_of)
{
    size_t n = stem_length(base), at = part_start(base, n);
    if (at == n)
        return false;
    *ret_part = (uint32_t)strtoul(base + at + 1, NULL, 10);
    *ret_of = (uint32_t)strtoul(base + n - 5, NULL, 10);
    return true;
}

bool names_is_projector(const char *base)
{
    return strcasestr(base, PROJECTOR) != NULL;
}

/* Small letters; whatever is none of the characters of an id becomes one '-'. */
static char *clean(const char *text, size_t n)
{
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = c < 0x80 && (isalnum(c) || c == '.' || c == '_');
        if (plain)
            buf_char(&out, (char)tolower(c));
        else if (out.len && out.data[out.len - 1] != '-')
            buf_char(&out, '-');
    }
    char *id = buf_take(&out);
    size_t start = strspn(id, "-._"), end = strlen(id);
    while (end > start && strchr("-._", id[end - 1]))
        end--;
    memmove(id, id + start, end - start);
    id[end - start] = '\0';
    return id;
}

/* llama.cpp's cache puts the repository before the file: "ggml-org_Qwen3-8B-GGUF_Qwen3-8B-Q8_0". */
static const char *without_repository(const char *base)
{
    const char *at = base;
    for (const char *p = base; (p = strcasestr(p, "gguf_")) != NULL; p++)
        if (p > base && strchr("-_.", p[-1]) && p[strlen("gguf_")])
            at = p + strlen("gguf_");
    return at;
}

static char *cleaned_stem(const char *base)
{
    const char *from = without_repository(base);
    return clean(from, part_start(from, stem_length(from)));
}

/* Digits of a quantisation and what follows them, such as "4_k_m": letters and digits, parted by
 * '_'. */
static bool is_bits(const char *p)
{
    return *p >= '1' && *p <= '9' && p[strspn(p, "0123456789abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

/* Whether all of the text, in small letters, is the name of a quantisation (ggml's ftype), with
 * what its makers put before it. */
static bool is_quantisation(const char *p)
{
    static const char *const before[] = {"ud-", "i1-", "gguf-"};
    static const char *const whole[] = {"f16", "f32",   "bf16",      "fp16", "fp32",
                                        "fp8", "mxfp4", "mxfp4_moe", "gguf", "ud",
                                        "qat", "imat",  "imatrix"};
    static const char *const kinds[] = {"iq", "tq", "q"};
    for (size_t i = 0; i < countof(before); i++)
        if (strncmp(p, before[i], strlen(before[i])) == 0)
            p += strlen(before[i]);
    for (size_t i = 0; i < countof(whole); i++)
        if (strcmp(p, whole[i]) == 0)
            return true;
    for (size_t i = 0; i < countof(kinds); i++)
        if (strncmp(p, kinds[i], strlen(kinds[i])) == 0 && is_bits(p + strlen(kinds[i])))
            return true;
    return false;
}

/* Cuts it off at the end, as often as there is one. */
static void cut_quantisation(char *id)
{
    bool cut = true;
    while (cut) {
        cut = false;
        for (char *p = id; *p && !cut; p++) {
            if (p == id || !strchr("-._", *p) || !is_quantisation(p + 1))
                continue;
            *p = '\0';
            cut = true;
        }
    }
}

static bool says_nothing(const char *id)
{
    static const char *const words[] = {"", "model", "ggml-model", "ggml", "unsloth", "merged"};
    for (size_t i = 0; i < countof(words); i++)
        if (strcmp(id, words[i]) == 0)
            return true;
    return is_quantisation(id);
}

char *names_long_id(const char *base)
{
    char *id = cleaned_stem(base);
    if (*id)
        return id;
    free(id);
    return alloc_text("model");
}

char *names_short_id(const char *base, const char *title)
{
    char *id = cleaned_stem(base);
    cut_quantisation(id);
    if (!says_nothing(id))
        return id;
    free(id);
    id = clean(title, strlen(title));
    cut_quantisation(id);
    if (!says_nothing(id))
        return id;
    free(id);
    return names_long_id(base);
}

char *names_projected(const char *base)
{
    auto_free char *id = cleaned_stem(base);
    char *word = strstr(id, PROJECTOR);
    if (word)
        memmove(word, word + strlen(PROJECTOR), strlen(word + strlen(PROJECTOR)) + 1);
    /* What is cleaned once more has no '-' left where the word was; a quantisation may now stand
     * first. */
    char *name = clean(id, strlen(id));
    cut_quantisation(name);
    if (says_nothing(name))
        name[0] = '\0';
    return name;
}

/* ---- one id each ---- */

static bool is_taken(const struct found *f, const char *id)
{
    for (uint32_t i = 0; i < f->model_count; i++)
        if (f->models[i].id && strcmp(f->models[i].id, id) == 0)
            return true;
    for (uint32_t i = 0; i < f->pulled_count; i++)
        if (f->pulled[i].id && strcmp(f->pulled[i].id, id) == 0)
            return true;
    return false;
}

/* Takes id over; gives it back with a number where somebody has it. */
static char *unique(const struct found *f, char *id)
{
    char *is = alloc_text(id);
    for (uint32_t n = 2; is_taken(f, is); n++) {
        free(is);
        is = alloc_printf("%s-%u", id, n);
    }
    free(id);
    return is;
}

static void assign_models(struct found *f)
{
    char **shorts = alloc_zeroed(f->model_count + 1, sizeof(*shorts));
    for (uint32_t i = 0; i < f->model_count; i++)
        shorts[i] = names_short_id(names_base(f->models[i].path), f->models[i].head.name);
    for (uint32_t i = 0; i < f->model_count; i++) {
        uint32_t like = 0;
        for (uint32_t k = 0; k < f->model_count; k++)
            like += strcmp(shorts[i], shorts[k]) == 0;
        f->models[i].id = unique(f, like == 1 ? alloc_text(shorts[i])
                                              : names_long_id(names_base(f->models[i].path)));
    }
    for (uint32_t i = 0; i < f->model_count; i++)
        free(shorts[i]);
    free(shorts);
}

void names_assign(struct found *f)
{
    assign_models(f);
    for (uint32_t i = 0; i < f->pulled_count; i++) {
        const char *name = f->pulled[i].name;
        size_t n = strlen(name), latest = strlen(LATEST);
        if (n > latest && strcmp(name + n - latest, LATEST) == 0)
            n -= latest;
        char *id = alloc_text_n(name, n);
        if (is_taken(f, id)) {
            char *other = alloc_printf("%s-ollama", id);
            free(id);
            id = other;
        }
        f->pulled[i].id = unique(f, id);
    }
}
