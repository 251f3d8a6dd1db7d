#include "cli/init/models.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "cli/init/names.h"
#include "cli/init/quote.h"

struct sorter {
    struct gguf_seen *seen;
    uint32_t count;
    struct found *found;
    bool *is_projector, *is_used; /* by the order of seen */
};

/* ---- what a file is ---- */

/* Architectures of files that other programs serve. */
static const char *other_server(const char *architecture)
{
    static const struct {
        const char *architecture, *what;
    } others[] = {{"flux", "a model of images"},
                  {"sd1", "a model of images"},
                  {"sd3", "a model of images"},
                  {"sdxl", "a model of images"},
                  {"aura", "a model of images"},
                  {"hidream", "a model of images"},
                  {"lumina2", "a model of images"},
                  {"qwen_image", "a model of images"},
                  {"z_image", "a model of images"},
                  {"wan", "a model of videos"},
                  {"ltxv", "a model of videos"},
                  {"hyvid", "a model of videos"},
                  {"cosmos", "a model of videos"},
                  {"whisper", "a model of speech"},
                  {"t5encoder", "a part of a model of images"},
                  {"wavtokenizer-dec", "a part of a model of speech"},
                  {"controlvector", "a control vector"},
                  {"eagle3", "a draft of another model"}};
    for (size_t i = 0; i < countof(others); i++)
        if (strcmp(architecture, others[i].architecture) == 0)
            return others[i].what;
    return NULL;
}

/* Why a file is no model, or NULL. */
static const char *why_not(const struct gguf_seen *s)
{
    if (!quote_is_word(s->path))
        return "its name has characters that a configuration cannot hold";
    if (s->error)
        return strerror(s->error);
    if (s->result != GGUF_OK)
        return s->result == GGUF_CUT ? "it is not whole" : "it is no GGUF file";
    if (!s->head.tensors)
        return "it is a vocabulary alone";
    if (s->head.type[0] && strcmp(s->head.type, "model") != 0)
        return "it is no model, but goes with one";
    return other_server(s->head.architecture);
}

static bool is_projector(const struct gguf_seen *s)
{
    return names_is_projector(names_base(s->path)) || strcmp(s->head.architecture, "clip") == 0 ||
           strcmp(s->head.type, "mmproj") == 0;
}

static bool is_embedder(const char *architecture)
{
    static const char *const words[] = {"gemma-embedding", "eurobert", "llama-embed"};
    for (size_t i = 0; i < countof(words); i++)
        if (strcmp(architecture, words[i]) == 0)
            return true;
    return strstr(architecture, "bert") != NULL; /* nomic-bert, jina-bert-v2, modern-bert, … */
}

static enum found_kind kind_of(const struct gguf_seen *s)
{
    const char *base = names_base(s->path);
    bool ranks = s->head.pooling == GGUF_POOLING_RANK || strcasestr(base, "rerank");
    bool embeds = s->head.pooling > GGUF_POOLING_NONE || is_embedder(s->head.architecture) ||
                  strcasestr(base, "embed");
    return ranks ? FOUND_RERANKS : embeds ? FOUND_EMBEDS : FOUND_CHAT;
}

/* ---- parts ---- */

static size_t folder_length(const char *path)
{
    return (size_t)(names_base(path) - path);
}

static bool same_folder(const char *a, const char *b)
{
    size_t n = folder_length(a);
    return n == folder_length(b) && memcmp(a, b, n) == 0;
}

/* Whether b is part `part` of what a is the first part of. */
static bool is_part_of(const char *a, const char *b, uint32_t part)
{
    uint32_t of_a = 0, of_b = 0, part_a = 0, part_b = 0;
    size_t n = strlen(a);
    return names_part(names_base(a), &part_a, &of_a) && names_part(names_base(b), &part_b, &of_b) &&
           of_a == of_b && part_b == part && strlen(b) == n &&
           memcmp(a, b, n - strlen("00000-of-00000" NAMES_SUFFIX)) == 0;
}

/* The bytes of all parts; 0, and a note, where one is missing. */
static uint64_t whole_bytes(struct sorter *s, const struct gguf_seen *first)
{
    uint32_t part = 1, of = 1;
    uint64_t bytes = first->bytes;
    if (!names_part(names_base(first->path), &part, &of))
        return bytes;
    for (part = 2; part <= of; part++) {
        uint32_t i = 0;
        while (i < s->count && !is_part_of(first->path, s->seen[i].path, part))
            i++;
        if (i == s->count) {
            found_note(&s->found->notes, "%s: part %u of %u is missing", first->path, part, of);
            return 0;
        }
        bytes += s->seen[i].bytes;
    }
    return bytes;
}

static bool is_later_part(const char *path)
{
    uint32_t part = 1, of = 1;
    return names_part(names_base(path), &part, &of) && part != 1;
}

static bool is_seen_before(const struct sorter *s, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (s->seen[k].device == s->seen[i].device && s->seen[k].inode == s->seen[i].inode)
            return true;
    return false;
}

static void add_models(struct sorter *s)
{
    struct found *f = s->found;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct gguf_seen *is = &s->seen[i];
        const char *why = why_not(is);
        if (is_later_part(is->path) || is_seen_before(s, i))
            continue;
        s->is_projector[i] = is_projector(is) && quote_is_word(is->path) && !is->error;
        if (s->is_projector[i])
            continue;
        if (why) {
            found_note(&f->notes, "%s: %s", is->path, why);
            continue;
        }
        uint64_t bytes = whole_bytes(s, is);
        if (bytes)
            f->models[f->model_count++] = (struct found_model){.path = alloc_text(is->path),
                                                               .bytes = bytes,
                                                               .kind = kind_of(is),
                                                               .head = is->head};
    }
}

/* ---- projectors ---- */

static bool alike(const struct found_model *a, const struct found_model *b)
{
    auto_free char *of_a = names_short_id(names_base(a->path), a->head.name);
    auto_free char *of_b = names_short_id(names_base(b->path), b->head.name);
    return strcmp(of_a, of_b) == 0;
}

/* Whether all models of its folder are the same one, in one quantisation or several. */
static bool is_alone(const struct found *f, const struct found_model *m)
{
    for (uint32_t i = 0; i < f->model_count; i++)
        if (same_folder(f->models[i].path, m->path) && !alike(&f->models[i], m))
            return false;
    return true;
}

/* How well a projector goes with a model: by its name, or since nothing else is there; 0: not at
 * all. */
static uint32_t match(const struct found *f, const struct found_model *m, const char *projector)
{
    if (m->kind != FOUND_CHAT || !same_folder(projector, m->path))
        return 0;
    auto_free char *wanted = names_projected(names_base(projector));
    auto_free char *id = names_short_id(names_base(m->path), m->head.name);
    size_t n = strlen(wanted);
    if (n && strcmp(wanted, id) == 0)
        return 3;
    if (n && strncmp(wanted, id, n) == 0 && strchr("-._", id[n]))
        return 2;
    return is_alone(f, m) ? 1 : 0;
}

/* Of several, the one that llama.cpp's documentation takes. */
static uint32_t precision(const char *path)
{
    const char *base = names_base(path);
    bool brain = strcasestr(base, "bf16") != NULL;
    return !brain && strcasestr(base, "f16") ? 3 : brain ? 2 : strcasestr(base, "q8_0") ? 1 : 0;
}

static void find_projector(struct sorter *s, struct found_model *m)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct gguf_seen *is = &s->seen[i];
        uint32_t how = s->is_projector[i] ? match(s->found, m, is->path) : 0;
        if (!how)
            continue;
        s->is_used[i] = true;
        if (how * 4 + precision(is->path) <= best)
            continue;
        best = how * 4 + precision(is->path);
        free(m->projector);
        m->projector = alloc_text(is->path);
        m->projector_bytes = is->bytes;
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct gguf_seen *)a)->path, ((const struct gguf_seen *)b)->path);
}

void models_sort_out(struct gguf_seen *seen, uint32_t count, struct found *f)
{
    struct sorter s = {.seen = seen, .count = count, .found = f};
    must(f->models == NULL);
    if (!count)
        return;
    qsort(seen, count, sizeof(*seen), by_path);
    f->models = alloc_zeroed(count, sizeof(*f->models));
    s.is_projector = alloc_zeroed(count, sizeof(*s.is_projector));
    s.is_used = alloc_zeroed(count, sizeof(*s.is_used));
    add_models(&s);
    for (uint32_t i = 0; i < f->model_count; i++)
        find_projector(&s, &f->models[i]);
    for (uint32_t i = 0; i < count; i++)
        if (s.is_projector[i] && !s.is_used[i])
            found_note(&f->notes, "%s: a projector, and no model beside it that it goes with",
                       seen[i].path);
    free(s.is_projector);
    free(s.is_used);
}
