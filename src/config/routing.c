/* Which models may run together, who is served first, and what is loaded at start. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"
#include "config/nearest.h"
#include "config/resolve.h"

#define DEFAULT_GROUP "(default)"
#define NO_GROUP UINT32_MAX

static int by_id(const void *pa, const void *pb)
{
    const struct bound *const *a = pa, *const *b = pb;
    return strcmp((*a)->id, (*b)->id);
}

static void add_members(struct resolver *r, const struct bound *b, uint32_t group)
{
    struct config *c = r->config;
    const struct value *members = bound_value(b, SET_GROUP_members);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct bound_text *t = &members->texts[i];
        uint32_t model = resolve_find(r, t->text);
        const char *name = diag_quote(r->diag, t->text);
        if (model == UINT32_MAX)
            diag_error(r->diag, t->at, "group %s has the unknown member %s%s",
                       diag_quote(r->diag, b->id), name, resolve_model_hint(r, t->text));
        else if (c->models[model].group == group)
            diag_error(r->diag, t->at, "model %s stands twice in group %s", name,
                       diag_quote(r->diag, b->id));
        else if (c->models[model].group != NO_GROUP)
            diag_error(r->diag, t->at, "model %s is in group %s already; a model has one group",
                       name, diag_quote(r->diag, c->groups[c->models[model].group].id));
        else
            c->models[model].group = group;
    }
}

/* Models in no group share one. */
static void add_default_group(struct resolver *r)
{
    struct config *c = r->config;
    uint32_t group = c->group_count;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (c->models[i].group != NO_GROUP)
            continue;
        c->models[i].group = group;
        c->group_count = group + 1;
    }
    if (c->group_count > group)
        c->groups[group] = (struct config_group){
            .id = arena_text(r->arena, DEFAULT_GROUP), .swap = true, .exclusive = true};
}

static void resolve_groups(struct resolver *r, const struct value *given)
{
    struct config *c = r->config;
    const struct bound **sorted = arena_alloc(r->scratch, given->count, sizeof(*sorted));
    for (uint32_t i = 0; i < given->count; i++)
        sorted[i] = given->children[i];
    if (given->count)
        qsort(sorted, given->count, sizeof(*sorted), by_id);
    if (given->count > CONFIG_GROUPS_MAX)
        diag_error(r->diag, given->at, "more than %d groups", CONFIG_GROUPS_MAX);
    c->groups = arena_alloc(r->arena, given->count + 1, sizeof(*c->groups));
    c->group_count = given->count;
    for (uint32_t i = 0; i < given->count; i++) {
        c->groups[i].id = arena_text(r->arena, sorted[i]->id);
        bound_project(sorted[i], r->arena, &c->groups[i]);
        if (strcmp(sorted[i]->id, DEFAULT_GROUP) == 0)
            diag_error(r->diag, sorted[i]->at,
                       "'(default)' is the group of the models in no group; write another name");
        add_members(r, sorted[i], i);
    }
    add_default_group(r);
}

static const struct bound *router_settings(const struct resolver *r)
{
    const struct bound *router =
        bound_child(bound_child(r->root, SET_ROOT_routing), SET_ROUTING_router);
    return bound_child(router, SET_ROUTER_settings);
}

/* The older place of the groups and the newer one cannot be mixed. */
static const struct value *choose_groups(struct resolver *r, const char *use)
{
    const struct value *old = bound_value(r->root, SET_ROOT_groups);
    const struct value *new = bound_value(router_settings(r), SET_ROUTER_SETTINGS_groups);
    if (old->count && (*use || new->count))
        diag_error(r->diag, old->at,
                   "both 'groups' and 'routing.router' are there; move the groups to "
                   "routing.router.settings.groups");
    return new->count ? new : old;
}

/* What asks for the fit planner, or NULL. */
static char *fit_reason(struct resolver *r)
{
    const struct config *c = r->config;
    if (bound_value(r->root, SET_ROOT_gpus)->count)
        return arena_text(r->arena, "gpus are listed");
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].vram != CONFIG_VRAM_UNSET || c->models[i].gpus.count)
            return arena_printf(r->arena, "model %s gives %s", c->models[i].id,
                                c->models[i].vram != CONFIG_VRAM_UNSET ? "vram" : "gpus");
    return NULL;
}

static void resolve_planner(struct resolver *r, const struct value *use, const struct value *groups)
{
    struct config *c = r->config;
    c->planner = CONFIG_PLAN_GROUP;
    if (strcmp(use->text, "fit") == 0 || strcmp(use->text, "group") == 0) {
        c->planner = use->text[0] == 'f' ? CONFIG_PLAN_FIT : CONFIG_PLAN_GROUP;
        c->planner_why = arena_printf(r->arena, "routing.router.use is %s", use->text);
    } else if (*use->text == '\0') {
        c->planner_why = fit_reason(r);
        c->planner = c->planner_why ? CONFIG_PLAN_FIT : CONFIG_PLAN_GROUP;
    } else if (strcmp(use->text, "matrix") == 0) {
        diag_error(r->diag, use->at,
                   "routing.router.use: matrix is not supported yet; write group or fit");
    } else if (!use->broken) {
        struct nearest near = nearest_to(use->text);
        nearest_offer(&near, "group");
        nearest_offer(&near, "fit");
        diag_error(r->diag, use->at, "routing.router.use: unknown router %s (group or fit)%s",
                   diag_quote(r->diag, use->text), diag_hint(r->diag, near.best));
    }
    if (!c->planner_why)
        c->planner_why =
            arena_text(r->arena, "no model gives vram or gpus, and no gpus are listed");
    if (c->planner == CONFIG_PLAN_FIT && groups->count)
        diag_warn(r->diag, groups->at,
                  "groups have no effect with the fit router, in use because %s; write "
                  "routing.router.use: group to keep them",
                  c->planner_why);
}

static void resolve_priorities(struct resolver *r, const struct bound *scheduler)
{
    const struct bound *inner = bound_child(scheduler, SET_SCHEDULER_settings);
    const struct bound *fifo = bound_child(inner, SET_SCHEDULER_SETTINGS_fifo);
    const struct value *v = bound_value(fifo, SET_FIFO_priority);
    for (uint32_t i = 0; i < v->count; i++) {
        const struct bound_text *t = &v->texts[i];
        uint32_t model = resolve_find(r, t->text);
        if (model == UINT32_MAX)
            diag_error(r->diag, t->at,
                       "routing.scheduler.settings.fifo.priority: unknown model %s%s",
                       diag_quote(r->diag, t->text), resolve_model_hint(r, t->text));
        else
            r->config->models[model].priority = (int32_t)t->number;
    }
}

static void resolve_scheduler(struct resolver *r, const struct bound *scheduler)
{
    struct config *c = r->config;
    const struct value *use = bound_value(scheduler, SET_SCHEDULER_use);
    bool serial = strcmp(use->text, "serial") == 0;
    c->scheduler = serial ? CONFIG_SCHED_SERIAL : CONFIG_SCHED_FIFO;
    c->scheduler_why = *use->text ? arena_printf(r->arena, "routing.scheduler.use is %s", use->text)
                                  : arena_text(r->arena, "it is the default");
    if (!use->broken && *use->text && !serial && strcmp(use->text, "fifo") != 0) {
        bool fair = strcmp(use->text, "fair") == 0;
        diag_error(r->diag, use->at, "routing.scheduler.use: %s %s (fifo or serial)",
                   fair ? "not supported yet:" : "unknown scheduler",
                   diag_quote(r->diag, use->text));
    }
    resolve_priorities(r, scheduler);
}

static char *trimmed(struct resolver *r, const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return arena_text_n(r->arena, text, n);
}

static void resolve_preload(struct resolver *r)
{
    struct config *c = r->config;
    const struct bound *hooks = bound_child(r->root, SET_ROOT_hooks);
    const struct value *v =
        bound_value(bound_child(hooks, SET_HOOKS_on_startup), SET_ON_STARTUP_preload);
    bool *listed = arena_alloc(r->scratch, c->model_count, sizeof(*listed));
    c->preload.items = arena_alloc(r->arena, v->count, sizeof(*c->preload.items));
    for (uint32_t i = 0; i < v->count; i++) {
        const char *name = trimmed(r, v->texts[i].text);
        uint32_t model = resolve_find(r, name);
        if (model == UINT32_MAX && *name)
            diag_warn(r->diag, v->texts[i].at, "preload: unknown model %s, ignored%s",
                      diag_quote(r->diag, name), resolve_model_hint(r, name));
        if (model == UINT32_MAX || listed[model])
            continue;
        listed[model] = true;
        c->preload.items[c->preload.count++] = c->models[model].id;
    }
}

/* The most that a device may ever hand out. */
static uint64_t usable_bytes(const struct config_gpu *gpu)
{
    uint64_t share = gpu->memory_bytes / 1000 * gpu->limit_permille +
                     gpu->memory_bytes % 1000 * gpu->limit_permille / 1000;
    return share > gpu->reserve_bytes ? share - gpu->reserve_bytes : 0;
}

/* Only where all devices are simulated is it known beforehand what they hold. */
static void warn_of_no_room(struct resolver *r)
{
    const struct config *c = r->config;
    uint64_t most = 0;
    char need[UNITS_TEXT_MAX], have[UNITS_TEXT_MAX];
    for (uint32_t i = 0; i < c->gpu_count; i++) {
        if (!c->gpus[i].sim)
            return;
        uint64_t usable = usable_bytes(&c->gpus[i]);
        most = usable > most ? usable : most;
    }
    for (uint32_t i = 0; c->gpu_count && i < c->model_count; i++)
        if (c->models[i].vram == CONFIG_VRAM_BYTES && c->models[i].vram_bytes > most)
            diag_warn(r->diag, bound_value(r->models[i], SET_MODEL_vram)->at,
                      "model %s can never be loaded: it takes %s, and no GPU has more than %s for "
                      "models",
                      diag_quote(r->diag, c->models[i].id),
                      units_format_bytes(c->models[i].vram_bytes, need),
                      units_format_bytes(most, have));
}

void resolve_routing(struct resolver *r)
{
    const struct bound *routing = bound_child(r->root, SET_ROOT_routing);
    const struct value *use = bound_value(bound_child(routing, SET_ROUTING_router), SET_ROUTER_use);
    const struct value *groups = choose_groups(r, use->text);
    resolve_groups(r, groups);
    resolve_planner(r, use, groups);
    resolve_scheduler(r, bound_child(routing, SET_ROUTING_scheduler));
    resolve_preload(r);
    if (r->config->planner == CONFIG_PLAN_FIT)
        warn_of_no_room(r);
}
