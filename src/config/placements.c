/* The ways in which a model may sit: its variants by device, or one for all. */
#include <string.h>
#include <strings.h>

#include "base/pure/units.h"
#include "config/resolve.h"

#define ANY_GPU_ID "gpu" /* of the placement of a model without variants */
#define LOADED "loaded"
#define UNLOADED "unloaded"
/* A worker goes to a GPU by itself, so there should be more room than it needs. */
#define WORKER_FREE_BYTES_MIN GIB

/* Kinds of GPU, which are no names of one. */
static const char *const kinds[] = {"cuda", "rocm", "vulkan"};

static bool is_kind(const char *id)
{
    bool is = false;
    for (size_t i = 0; i < countof(kinds); i++)
        is |= strcmp(id, kinds[i]) == 0;
    return is;
}

static void take_vram(const struct value *vram, struct config_placement *p)
{
    if (!vram->given || vram->broken)
        return;
    bool is_auto = vram->number == BOUND_VRAM_AUTO;
    p->vram = is_auto ? CONFIG_VRAM_AUTO : CONFIG_VRAM_BYTES;
    p->vram_bytes = is_auto ? 0 : (uint64_t)vram->number;
}

/* One that was refused is taken as one, since vram is divided by it. */
static uint32_t gpu_count_of(const struct value *v)
{
    return v->broken || v->number == 0 ? 1 : (uint32_t)v->number;
}

static void check_host(struct resolver *r, const struct bound *b, enum config_backend backend)
{
    static const enum setting_id keys[] = {SET_VARIANT_vram, SET_VARIANT_minFree, SET_VARIANT_gpus,
                                           SET_VARIANT_gpuCount};
    for (size_t i = 0; i < countof(keys); i++) {
        const struct value *v = bound_value(b, keys[i]);
        if (v->given && !v->broken)
            diag_error(r->diag, v->at,
                       "device " CONFIG_HOST_ID " takes no GPU, so it has no %s; %s",
                       settings[keys[i]].key,
                       backend == CONFIG_BACKEND_PROCESS ? "only cmd can stand there"
                                                         : "write " CONFIG_HOST_ID ": {}");
    }
}

static void resolve_gpu_variant(struct resolver *r, const struct bound *b,
                                const struct config_model *m, struct config_placement *p)
{
    const struct value *vram = bound_value(b, SET_VARIANT_vram);
    const struct value *least = bound_value(b, SET_VARIANT_minFree);
    bool worker = m->backend == CONFIG_BACKEND_WORKER;
    take_vram(vram, p);
    if (p->vram == CONFIG_VRAM_BYTES && p->vram_bytes == 0)
        diag_error(r->diag, vram->at,
                   "device %s takes no GPU memory; such a one is called " CONFIG_HOST_ID,
                   diag_quote(r->diag, p->id));
    p->gpu_count = gpu_count_of(bound_value(b, SET_VARIANT_gpuCount));
    p->free_bytes_min = least->given ? (uint64_t)least->number : worker ? WORKER_FREE_BYTES_MIN : 0;
    p->gpus = resolve_texts(r, bound_value(b, SET_VARIANT_gpus));
    if (p->gpus.count || is_kind(p->id))
        return;
    p->gpus.items = arena_alloc(r->arena, 1, sizeof(*p->gpus.items));
    p->gpus.items[p->gpus.count++] = p->id;
}

static void resolve_variant(struct resolver *r, const struct bound *b, const struct config_model *m,
                            struct config_placement *p)
{
    const struct value *cmd = bound_value(b, SET_VARIANT_cmd);
    resolve_check_name(r, b, "device");
    p->id = arena_text(r->arena, b->id);
    p->host = strcmp(p->id, CONFIG_HOST_ID) == 0;
    p->gpu_count = 1;
    p->cmd = arena_text(r->arena, cmd->text[strspn(cmd->text, " \t\n")] ? cmd->text : "");
    p->argv = resolve_argv(r, "cmd", cmd);
    if (strcmp(p->id, LOADED) == 0 || strcmp(p->id, UNLOADED) == 0)
        diag_error(r->diag, b->at,
                   "a device cannot be called %s, since modes mean something else "
                   "by it",
                   p->id);
    if (*p->cmd && m->backend != CONFIG_BACKEND_PROCESS)
        diag_error(r->diag, cmd->at,
                   "cmd cannot be given with backend: %s; wharf does not start "
                   "its server",
                   config_backend_words[m->backend]);
    if (p->host)
        check_host(r, b, m->backend);
    else
        resolve_gpu_variant(r, b, m, p);
}

static void resolve_variants(struct resolver *r, const struct bound *b, struct config_model *m)
{
    static const enum setting_id keys[] = {SET_MODEL_vram, SET_MODEL_gpus, SET_MODEL_gpuCount};
    const struct value *v = bound_value(b, SET_MODEL_devices);
    if (v->count == 0 && !v->broken)
        diag_error(r->diag, v->at,
                   "devices is empty; write such as devices: {cuda: {vram: 500MiB}, "
                   "cpu: {}}");
    if (v->count > CONFIG_PLACEMENTS_MAX)
        diag_error(r->diag, v->at, "model %s has %u devices; %d is the most",
                   diag_quote(r->diag, m->id), v->count, CONFIG_PLACEMENTS_MAX);
    for (size_t i = 0; m->backend == CONFIG_BACKEND_PROCESS && i < countof(keys); i++) {
        const struct value *own = bound_value(b, keys[i]);
        if (own->given && !own->broken)
            diag_error(r->diag, own->at, "%s cannot stand beside devices; write it below a device",
                       settings[keys[i]].key);
    }
    m->has_variants = true;
    m->placements = arena_alloc(r->arena, v->count, sizeof(*m->placements));
    m->placement_count = v->count;
    for (uint32_t i = 0; i < v->count; i++)
        resolve_variant(r, v->children[i], m, &m->placements[i]);
}

bool resolve_endpoint_is_here(const char *endpoint, const char **ret_tail)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(endpoint, "://");
    *ret_tail = endpoint;
    if (!host)
        return true; /* unix:/PATH */
    host += 3;
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    bool here = strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
    for (size_t i = 0; i < countof(hosts); i++)
        here |= strlen(hosts[i]) == n && strncasecmp(host, hosts[i], n) == 0;
    *ret_tail = host + n;
    return here;
}

/* What another machine's server holds takes nothing here, unless something is said of it. */
static bool is_elsewhere(const struct bound *b, const struct config_model *m)
{
    static const enum setting_id keys[] = {SET_MODEL_vram, SET_MODEL_gpus, SET_MODEL_gpuCount};
    const char *tail;
    bool said = false;
    for (size_t i = 0; i < countof(keys); i++)
        said |= bound_value(b, keys[i])->given;
    return m->backend == CONFIG_BACKEND_OLLAMA && !said &&
           !resolve_endpoint_is_here(m->endpoint, &tail);
}

/* A worker sits on the host unless something else is said; another model on any GPU. */
static void resolve_only(struct resolver *r, const struct bound *b, struct config_model *m)
{
    struct config_placement *p = arena_alloc(r->arena, 1, sizeof(*p));
    *p = (struct config_placement){.gpu_count = gpu_count_of(bound_value(b, SET_MODEL_gpuCount)),
                                   .gpus = resolve_texts(r, bound_value(b, SET_MODEL_gpus)),
                                   .host = m->backend == CONFIG_BACKEND_WORKER,
                                   .cmd = arena_text(r->arena, "")};
    p->id = arena_text(r->arena, p->host ? CONFIG_HOST_ID : ANY_GPU_ID);
    take_vram(bound_value(b, SET_MODEL_vram), p);
    m->has_variants = p->host;
    m->placements = p;
    m->placement_count = (p->vram != CONFIG_VRAM_BYTES || p->vram_bytes > 0) && !is_elsewhere(b, m);
}

static void resolve_yield(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *v = bound_value(b, SET_MODEL_yield);
    bool host = config_model_find_placement(m, CONFIG_HOST_ID) != UINT32_MAX;
    if (!v->given && host && m->backend == CONFIG_BACKEND_WORKER)
        m->yield = CONFIG_YIELD_ALWAYS;
    if (v->given && !v->broken && m->yield == CONFIG_YIELD_ALWAYS && !host)
        diag_error(r->diag, v->at,
                   "yield: always needs a place to go to; write such as devices: "
                   "{cuda: {vram: 500MiB}, cpu: {}}");
}

void resolve_placements(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *devices = bound_value(b, SET_MODEL_devices);
    if (devices->given && !devices->broken && m->backend != CONFIG_BACKEND_OLLAMA)
        resolve_variants(r, b, m);
    else
        resolve_only(r, b, m);
    resolve_yield(r, b, m);
}

const struct value *resolve_placement_value(const struct resolver *r, uint32_t model,
                                            uint32_t placement, enum setting_id own,
                                            enum setting_id variant)
{
    const struct value *devices = bound_value(r->models[model], SET_MODEL_devices);
    if (placement < devices->count && r->config->models[model].has_variants)
        return bound_value(devices->children[placement], variant);
    return bound_value(r->models[model], own);
}
