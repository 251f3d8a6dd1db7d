#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/gather.h"
#include "config/models_dir.h"
#include "config/nearest.h"
#include "config/origins.h"
#include "config/resolve.h"
#include "config/source.h"

static struct config *resolve(struct arena *scratch, struct diag *d, const struct bound *root,
                              const struct expand_ports *ports)
{
    struct config *c = alloc_zeroed(1, sizeof(*c));
    c->memory = alloc_zeroed(1, sizeof(*c->memory));
    struct resolver r = {.arena = c->memory,
                         .scratch = scratch,
                         .diag = d,
                         .root = root,
                         .ports = ports,
                         .config = c};
    bound_project(root, r.arena, c);
    bound_project(bound_child(root, SET_ROOT_timeouts), r.arena, c);
    /* Printed, its models are there already; so it is no field. */
    c->models_dir = arena_text(r.arena, bound_value(root, SET_ROOT_modelsDir)->text);
    resolve_models(&r);
    resolve_peers(&r);
    resolve_selector_ids(&r);
    resolve_names(&r);
    resolve_endpoints(&r);
    resolve_machine(&r);
    resolve_keys(&r);
    resolve_access(&r);
    resolve_observe(&r);
    resolve_routing(&r);
    resolve_policies(&r);
    resolve_selectors(&r);
    resolve_hashes(&r);
    return c;
}

/* root: NULL when there is nothing to go on with. Its environment variables are expanded. */
static struct config *load(struct arena *scratch, struct diag *d, struct node *root,
                           struct config_report *report)
{
    struct expand_ports ports = {0};
    struct config *c = NULL;
    if (root) {
        models_dir_expand(scratch, d, root);
        expand_macros(scratch, d, root, &ports);
        c = resolve(scratch, d, bind_config(scratch, d, root), &ports);
        origins_gather(c, root);
    }
    if (d->errors) {
        config_free(c);
        c = NULL;
    }
    diag_report(d, report);
    return c;
}

static struct config *load_text(struct diag *d, const char *text, size_t n,
                                struct config_report *report)
{
    struct node *root = source_parse(d->arena, d, text, n);
    if (root)
        expand_env(d->arena, d, root);
    return load(d->arena, d, root, report);
}

struct config *config_load_text(const char *name, const char *text, size_t n,
                                struct config_report *report)
{
    struct arena scratch = {0};
    struct diag d = {.arena = &scratch, .file = name};
    struct config *c = load_text(&d, text, n, report);
    arena_fini(&scratch);
    return c;
}

struct config *config_check_text(const char *name, const char *text, size_t n,
                                 struct config_report *report)
{
    struct arena scratch = {0};
    struct diag d = {.arena = &scratch, .file = name, .hides_env = true};
    struct config *c = load_text(&d, text, n, report);
    arena_fini(&scratch);
    return c;
}

struct config *config_load(const struct config_sources *sources, struct config_report *report)
{
    struct arena scratch = {0};
    struct diag d = {.arena = &scratch, .file = sources->file ? sources->file : sources->dir};
    struct config *c = load(&scratch, &d, sources_gather(&scratch, &d, sources), report);
    arena_fini(&scratch);
    return c;
}

struct config *config_load_file(const char *path, struct config_report *report)
{
    return config_load(&(struct config_sources){.file = path}, report);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    if (c->memory)
        arena_fini(c->memory);
    free(c->memory);
    free(c);
}

void config_report_put_json(const struct config_report *report, struct buf *json)
{
    buf_char(json, '[');
    for (size_t at = 0; at < report->text.len;) {
        const char *line = report->text.data + at;
        const char *end = memchr(line, '\n', report->text.len - at);
        size_t n = end ? (size_t)(end - line) : report->text.len - at;
        buf_text(json, at > 0 ? "," : "");
        buf_json(json, line, n);
        at += n + 1;
    }
    buf_char(json, ']');
}

void config_report_fini(struct config_report *report)
{
    buf_fini(&report->text);
}

static bool is_text(const char *text, const char *name)
{
    return text && strcmp(text, name) == 0;
}

uint32_t config_find_gpu(const struct config *c, const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits && digits < 10 && name[digits] == '\0' && strtoul(name, NULL, 10) < c->gpu_count)
        return (uint32_t)strtoul(name, NULL, 10);
    for (uint32_t i = 0; i < c->gpu_count; i++)
        if (*name && (strcmp(c->gpus[i].name, name) == 0 || is_text(c->gpus[i].device, name) ||
                      is_text(c->gpus[i].uuid, name) || is_text(c->gpus[i].pci, name)))
            return i;
    return UINT32_MAX;
}

bool config_placement_may_use(const struct config *c, const struct config_placement *p,
                              uint32_t gpu)
{
    bool may = !p->host && p->gpus.count == 0;
    for (uint32_t i = 0; i < p->gpus.count; i++)
        may |= config_find_gpu(c, p->gpus.items[i]) == gpu;
    return may;
}

uint64_t config_placement_share_bytes(const struct config_placement *p)
{
    return p->vram_bytes / p->gpu_count + (p->vram_bytes % p->gpu_count != 0);
}

const struct config_placement *config_model_on_gpu(const struct config_model *m)
{
    for (uint32_t i = 0; i < m->placement_count; i++)
        if (!m->placements[i].host)
            return &m->placements[i];
    return NULL;
}

uint32_t config_model_find_placement(const struct config_model *m, const char *id)
{
    for (uint32_t i = 0; i < m->placement_count; i++)
        if (strcmp(m->placements[i].id, id) == 0)
            return i;
    return UINT32_MAX;
}

/* Keeps the best `max` in order by putting each into its place. */
uint32_t config_nearest_models(const struct config *c, const char *name, const char **out,
                               uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->name_count; i++) {
        if (c->names[i].kind != CONFIG_NAME_MODEL)
            continue;
        uint32_t distance = nearest_distance(name, c->names[i].name);
        if (distance == NEAREST_FAR)
            continue;
        uint32_t at = count;
        while (at > 0 && nearest_distance(name, out[at - 1]) > distance)
            at--;
        if (at == max)
            continue;
        count += count < max;
        memmove(out + at + 1, out + at, (count - 1 - at) * sizeof(*out));
        out[at] = c->names[i].name;
    }
    return count;
}
