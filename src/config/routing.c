/* Which models may run together, who is served first, and what is loaded at start. */
#include <string.h>

#include "base/pure/units.h"
#include "config/resolve.h"

#define NO_GROUP UINT32_MAX

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
            .id = arena_text(r->arena, CONFIG_DEFAULT_GROUP), .swap = true, .exclusive = true};
}

static void resolve_groups(struct resolver *r, const struct value *given)
{
    struct config *c = r->config;
    const struct bound **sorted = resolve_sorted(r, given);
    if (given->count > CONFIG_GROUPS_MAX)
        diag_error(r->diag, given->at, "more than %d groups", CONFIG_GROUPS_MAX);
    c->groups = arena_alloc(r->arena, given->count + 1, sizeof(*c->groups));
    for (uint32_t i = 0; i < given->count; i++) {
        if (strcmp(sorted[i]->id, CONFIG_DEFAULT_GROUP) == 0) {
            diag_warn(r->diag, sorted[i]->at,
                      "'(default)' is the group of the models in no group; ignored, write another "
                      "name");
            continue;
        }
        struct config_group *group = &c->groups[c->group_count];
        group->id = arena_text(r->arena, sorted[i]->id);
        bound_project(sorted[i], r->arena, group);
        add_members(r, sorted[i], c->group_count++);
    }
    add_default_group(r);
}

/* What the configuration says about the router. Groups and matrix each have an older place at the
 * top level. */
struct router {
    const struct value *use, *groups, *old_groups, *matrix, *old_matrix;
};

static struct router find_router(const struct resolver *r)
{
    const struct bound *routing = bound_child(r->root, SET_ROOT_routing);
    const struct bound *router = bound_child(routing, SET_ROUTING_router);
    const struct bound *inner = bound_child(router, SET_ROUTER_settings);
    return (struct router){.use = bound_value(router, SET_ROUTER_use),
                           .groups = bound_value(inner, SET_ROUTER_SETTINGS_groups),
                           .old_groups = bound_value(r->root, SET_ROOT_groups),
                           .matrix = bound_value(inner, SET_ROUTER_SETTINGS_matrix),
                           .old_matrix = bound_value(r->root, SET_ROOT_matrix)};
}

/* The older places and the newer ones cannot be mixed. */
static bool check_places(struct resolver *r, const struct router *router)
{
    bool is_new = router->use->given || router->groups->count || router->matrix->given;
    uint32_t errors = r->diag->errors;
    if (router->old_groups->count && is_new)
        diag_error(r->diag, router->old_groups->at,
                   "both 'groups' and 'routing.router' are there; move the groups to "
                   "routing.router.settings.groups");
    if (router->old_matrix->given && is_new)
        diag_error(r->diag, router->old_matrix->at,
                   "both 'matrix' and 'routing.router' are there; move the matrix to "
                   "routing.router.settings.matrix");
    if (router->old_groups->count && router->old_matrix->given)
        diag_error(r->diag, router->old_matrix->at, "config cannot use both 'groups' and 'matrix'");
    if (router->use->number == CONFIG_PLAN_MATRIX && router->use->given && !router->use->broken &&
        !router->matrix->given)
        diag_error(r->diag, router->use->at,
                   "routing.router.use is 'matrix' but routing.router.settings.matrix is not set");
    return r->diag->errors == errors;
}

/* The key of the model that asks for the fit planner, or NULL. */
static const char *fit_key(const struct config_model *m)
{
    const struct config_placement *p = config_model_on_gpu(m);
    if (m->has_variants)
        return p ? "devices" : NULL;
    if (!p || p->vram != CONFIG_VRAM_UNSET)
        return "vram";
    return p->gpus.count ? "gpus" : NULL;
}

/* What asks for the fit planner, or NULL. */
static char *fit_reason(struct resolver *r)
{
    const struct config *c = r->config;
    if (bound_value(r->root, SET_ROOT_gpus)->count)
        return arena_text(r->arena, "gpus are listed");
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct config_model *m = &c->models[i];
        const char *gives = fit_key(m);
        if (gives)
            return arena_printf(r->arena, "model %s gives %s", m->id, gives);
    }
    return NULL;
}

static void choose_planner(struct resolver *r, const struct router *router)
{
    struct config *c = r->config;
    if (router->use->given) {
        c->planner = (enum config_planner)router->use->number;
        c->planner_why =
            arena_printf(r->arena, "routing.router.use is %s", config_planner_words[c->planner]);
    } else if (router->old_matrix->given) {
        c->planner = CONFIG_PLAN_MATRIX;
        c->planner_why = arena_text(r->arena, "matrix is given");
    } else if ((c->planner_why = fit_reason(r)) != NULL) {
        c->planner = CONFIG_PLAN_FIT;
    } else {
        c->planner = CONFIG_PLAN_GROUP;
        c->planner_why =
            arena_text(r->arena, "no model gives vram or gpus, and no gpus are listed");
    }
}

/* What another planner than the one in use would have read. */
static void warn_of_others(struct resolver *r, const struct value *groups,
                           const struct value *matrix)
{
    const struct config *c = r->config;
    const char *planner = config_planner_words[c->planner];
    if (c->planner != CONFIG_PLAN_GROUP && groups->count)
        diag_warn(r->diag, groups->at,
                  "groups have no effect with the %s router, in use because %s; write "
                  "routing.router.use: group to keep them",
                  planner, c->planner_why);
    if (c->planner != CONFIG_PLAN_MATRIX && matrix->given)
        diag_warn(r->diag, matrix->at,
                  "the matrix has no effect with the %s router, in use because %s; write "
                  "routing.router.use: matrix to keep it",
                  planner, c->planner_why);
}

static void resolve_router(struct resolver *r)
{
    struct router router = find_router(r);
    const struct value *groups = router.groups->count ? router.groups : router.old_groups;
    const struct value *matrix = router.matrix->given ? router.matrix : router.old_matrix;
    bool is_clear = check_places(r, &router) && !router.use->broken;
    resolve_groups(r, groups);
    choose_planner(r, &router);
    if (is_clear)
        warn_of_others(r, groups, matrix);
    if (r->config->planner == CONFIG_PLAN_MATRIX && matrix->given)
        resolve_matrix(r, matrix->children[0]);
}

/* They count for fair as well: llama-swap's files give them without naming a scheduler. */
static void resolve_priorities(struct resolver *r, const struct bound *inner)
{
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
    const struct bound *inner = bound_child(scheduler, SET_SCHEDULER_settings);
    const struct value *fair = bound_value(inner, SET_SCHEDULER_SETTINGS_fair);
    bound_project(scheduler, r->arena, c);
    bound_project(fair->children[0], r->arena, c);
    if (use->given)
        c->scheduler_why = arena_printf(r->arena, "routing.scheduler.use is %s",
                                        config_scheduler_words[c->scheduler]);
    else
        c->scheduler_why = arena_text(r->arena, "it is the default");
    if (fair->given && c->scheduler != CONFIG_SCHED_FAIR)
        diag_warn(r->diag, fair->at, "settings of fair have no effect with the %s scheduler",
                  config_scheduler_words[c->scheduler]);
    resolve_priorities(r, inner);
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
        const char *name = resolve_trimmed(r, v->texts[i].text);
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

/* Of the GPUs that a placement may use. */
struct gpu_room {
    uint64_t most;         /* that one of them may hand out */
    uint32_t count, large; /* large: that can give its share */
};

static struct gpu_room room_of(const struct config *c, const struct config_placement *p)
{
    struct gpu_room room = {.count = 0};
    for (uint32_t g = 0; g < c->gpu_count; g++) {
        if (!config_placement_may_use(c, p, g))
            continue;
        uint64_t usable = usable_bytes(&c->gpus[g]);
        room.most = usable > room.most ? usable : room.most;
        room.large += usable >= config_placement_share_bytes(p);
        room.count++;
    }
    return room;
}

static void warn_of_vram(struct resolver *r, const struct config_placement *p, const char *what,
                         struct place at, const struct gpu_room *room)
{
    char need[UNITS_TEXT_MAX], have[UNITS_TEXT_MAX];
    if (p->vram != CONFIG_VRAM_BYTES || room->large >= p->gpu_count)
        return;
    if (p->gpu_count == 1)
        diag_warn(r->diag, at,
                  "model %s can never be loaded: it takes %s, and no GPU has more than %s for "
                  "models",
                  what, units_format_bytes(p->vram_bytes, need),
                  units_format_bytes(room->most, have));
    else
        diag_warn(r->diag, at,
                  "model %s can never be loaded: it takes %s on each of %u GPUs, and only %u can "
                  "give that",
                  what, units_format_bytes(config_placement_share_bytes(p), need), p->gpu_count,
                  room->large);
}

static void warn_of_placement(struct resolver *r, uint32_t model, uint32_t placement)
{
    const struct config_model *m = &r->config->models[model];
    const struct config_placement *p = &m->placements[placement];
    struct gpu_room room = room_of(r->config, p);
    char least[UNITS_TEXT_MAX], have[UNITS_TEXT_MAX];
    if (room.count == 0) /* it names GPUs that there are not, which has been reported */
        return;
    const char *what = diag_quote(r->diag, m->id);
    if (m->has_variants)
        what = arena_printf(r->scratch, "%s on device %s", what, diag_quote(r->diag, p->id));
    warn_of_vram(r, p, what,
                 resolve_placement_value(r, model, placement, SET_MODEL_vram, SET_VARIANT_vram)->at,
                 &room);
    if (p->free_bytes_min <= room.most || !m->has_variants)
        return;
    const struct bound *variant =
        bound_value(r->models[model], SET_MODEL_devices)->children[placement];
    const struct value *written = bound_value(variant, SET_VARIANT_minFree);
    diag_warn(r->diag, written->given ? written->at : variant->at,
              "model %s can never be moved there: minFree is %s, and no GPU has more than %s for "
              "models",
              what, units_format_bytes(p->free_bytes_min, least),
              units_format_bytes(room.most, have));
}

/* Only where all devices are simulated is it known beforehand what they hold. */
static void warn_of_no_room(struct resolver *r)
{
    const struct config *c = r->config;
    for (uint32_t i = 0; i < c->gpu_count; i++)
        if (!c->gpus[i].sim)
            return;
    for (uint32_t i = 0; c->gpu_count && i < c->model_count; i++)
        for (uint32_t k = 0; k < c->models[i].placement_count; k++)
            if (!c->models[i].placements[k].host)
                warn_of_placement(r, i, k);
}

void resolve_routing(struct resolver *r)
{
    const struct bound *routing = bound_child(r->root, SET_ROOT_routing);
    resolve_router(r);
    resolve_scheduler(r, bound_child(routing, SET_ROUTING_scheduler));
    resolve_preload(r);
    if (r->config->planner == CONFIG_PLAN_FIT)
        warn_of_no_room(r);
}
