/* Gates, modes and hooks, and what is read but not acted upon yet. */
#include <string.h>

#include "config/command.h"
#include "config/nearest.h"
#include "config/resolve.h"

#define IDLE "idle"
#define LOADED "loaded"
#define UNLOADED "unloaded"

static void resolve_gates(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_gates);
    const struct bound **sorted = resolve_sorted(r, v);
    if (v->count > CONFIG_GATES_MAX)
        diag_error(r->diag, v->at, "more than %d gates", CONFIG_GATES_MAX);
    c->gates = arena_alloc(r->arena, v->count, sizeof(*c->gates));
    c->gate_count = v->count;
    for (uint32_t i = 0; i < v->count; i++) {
        resolve_check_name(r, sorted[i], "gate");
        c->gates[i].id = arena_text(r->arena, sorted[i]->id);
        bound_project(sorted[i], r->arena, &c->gates[i]);
    }
}

/* "cuda, cpu" */
static const char *list_variants(struct resolver *r, const struct config_model *m)
{
    const char *list = "";
    for (uint32_t i = 0; i < m->placement_count; i++)
        list = arena_printf(r->scratch, "%s%s%s", list, i ? ", " : "", m->placements[i].id);
    return list;
}

/* A word that is none: what there is, and what was probably meant. */
static void refuse_wish(struct resolver *r, const struct bound_text *t,
                        const struct config_model *m)
{
    const struct config *c = r->config;
    struct nearest near = nearest_to(t->word);
    nearest_offer(&near, LOADED);
    nearest_offer(&near, UNLOADED);
    for (uint32_t i = 0; m->has_variants && i < m->placement_count; i++)
        nearest_offer(&near, m->placements[i].id);
    for (uint32_t i = 0; i < c->gpu_count; i++)
        nearest_offer(&near, c->gpus[i].name);
    uint32_t gpu = config_find_gpu(c, t->word);
    bool may = false;
    for (uint32_t i = 0; gpu != UINT32_MAX && i < m->placement_count; i++)
        may |= config_placement_may_use(c, &m->placements[i], gpu);
    if (gpu != UINT32_MAX && !may)
        diag_error(r->diag, t->word_at, "model %s may not use GPU %s, as its %s say",
                   diag_quote(r->diag, m->id), diag_quote(r->diag, t->word),
                   m->has_variants ? "devices" : "gpus");
    else if (gpu != UINT32_MAX)
        diag_error(r->diag, t->word_at,
                   "model %s takes %u GPUs at once, so a mode can only want it %s or %s",
                   diag_quote(r->diag, m->id), config_model_on_gpu(m)->gpu_count, LOADED, UNLOADED);
    else if (m->has_variants)
        diag_error(r->diag, t->word_at,
                   "a mode wants model %s %s, %s, on one of its devices (%s), or on a GPU that "
                   "'gpus' lists, not %s%s",
                   diag_quote(r->diag, m->id), LOADED, UNLOADED, list_variants(r, m),
                   diag_quote(r->diag, t->word), diag_hint(r->diag, near.best));
    else
        diag_error(r->diag, t->word_at,
                   "a mode wants a model %s, %s, or on a GPU that 'gpus' lists, not %s%s", LOADED,
                   UNLOADED, diag_quote(r->diag, t->word), diag_hint(r->diag, near.best));
}

/* Whether it has this GPU and no other, so that a wish for this one says nothing more. */
static bool is_only_gpu(const struct config *c, const struct config_placement *p, uint32_t gpu)
{
    bool only = config_placement_may_use(c, p, gpu);
    for (uint32_t g = 0; g < c->gpu_count; g++)
        only &= g == gpu || !config_placement_may_use(c, p, g);
    return only;
}

/* The placement that is that GPU, else the first from which the model can be on it alone. */
static uint32_t placement_with(const struct config *c, const struct config_model *m, uint32_t gpu)
{
    uint32_t first = CONFIG_PLACEMENT_ANY;
    for (uint32_t i = m->placement_count; gpu != UINT32_MAX && i-- > 0;)
        if (config_placement_may_use(c, &m->placements[i], gpu) && m->placements[i].gpu_count == 1)
            first = i;
    for (uint32_t i = 0; first != CONFIG_PLACEMENT_ANY && i < m->placement_count; i++)
        if (m->placements[i].gpu_count == 1 && is_only_gpu(c, &m->placements[i], gpu))
            return i;
    return first;
}

static struct config_wish read_wish(struct resolver *r, const struct bound_text *t, uint32_t model)
{
    const struct config *c = r->config;
    const struct config_model *m = &c->models[model];
    uint32_t gpu = config_find_gpu(c, t->word), on_gpu = placement_with(c, m, gpu);
    uint32_t variant =
        m->has_variants ? config_model_find_placement(m, t->word) : CONFIG_PLACEMENT_ANY;
    struct config_wish wish = {.model = model,
                               .kind = CONFIG_WISH_LOADED,
                               .placement = CONFIG_PLACEMENT_ANY,
                               .gpu = CONFIG_GPU_ANY};
    if (strcmp(t->word, UNLOADED) == 0) {
        wish.kind = CONFIG_WISH_UNLOADED;
    } else if (variant != CONFIG_PLACEMENT_ANY) {
        wish.placement = variant;
    } else if (on_gpu != CONFIG_PLACEMENT_ANY) {
        wish.placement = on_gpu;
        wish.gpu = gpu;
    } else if (strcmp(t->word, LOADED) != 0) {
        refuse_wish(r, t, m);
    }
    return wish;
}

static void read_wishes(struct resolver *r, const struct bound *b, struct config_mode *mode)
{
    const struct value *v = bound_value(b, SET_MODE_MODEL);
    bool *named = arena_alloc(r->scratch, r->config->model_count, sizeof(*named));
    mode->wishes = arena_alloc(r->arena, v->count, sizeof(*mode->wishes));
    for (uint32_t i = 0; i < v->count; i++) {
        const struct bound_text *t = &v->texts[i];
        uint32_t model = resolve_find(r, t->text);
        if (model == UINT32_MAX) {
            diag_error(r->diag, t->at, "mode %s: unknown model %s%s", diag_quote(r->diag, b->id),
                       diag_quote(r->diag, t->text), resolve_model_hint(r, t->text));
            continue;
        }
        if (named[model])
            diag_error(r->diag, t->at, "mode %s: model %s stands there twice",
                       diag_quote(r->diag, b->id),
                       diag_quote(r->diag, r->config->models[model].id));
        named[model] = true;
        mode->wishes[mode->wish_count++] = read_wish(r, t, model);
    }
}

/* Each GPU that a mode names for a model is one more way in which it may sit; the core has a few.
 */
static void check_wished_gpus(struct resolver *r, const struct value *modes)
{
    const struct config *c = r->config;
    uint32_t *wished = arena_alloc(r->scratch, c->model_count, sizeof(*wished));
    for (uint32_t i = 0; i < c->mode_count; i++) {
        for (uint32_t k = 0; k < c->modes[i].wish_count; k++) {
            const struct config_wish *w = &c->modes[i].wishes[k];
            const struct config_model *m = &c->models[w->model];
            if (w->gpu != CONFIG_GPU_ANY && !is_only_gpu(c, &m->placements[w->placement], w->gpu))
                wished[w->model] |= 1U << w->gpu;
        }
    }
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct config_model *m = &c->models[i];
        uint32_t count = 0;
        for (uint32_t mask = wished[i]; mask; mask &= mask - 1)
            count++;
        if (count && count + m->placement_count > CONFIG_PLACEMENTS_MAX)
            diag_error(r->diag, modes->at, "modes want model %s on %u GPUs; %u is the most%s",
                       diag_quote(r->diag, m->id), count,
                       CONFIG_PLACEMENTS_MAX - m->placement_count,
                       m->has_variants ? ", besides its devices" : "");
    }
}

static uint32_t find_mode(const struct config *c, const char *id)
{
    for (uint32_t i = 0; i < c->mode_count; i++)
        if (strcmp(c->modes[i].id, id) == 0)
            return i;
    return UINT32_MAX;
}

/* `idle` takes its place among those that are written down. */
static void resolve_modes(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_modes);
    const struct bound **sorted = resolve_sorted(r, v);
    bool has_idle = false;
    if (v->count > CONFIG_MODES_MAX)
        diag_error(r->diag, v->at, "more than %d modes", CONFIG_MODES_MAX);
    c->modes = arena_alloc(r->arena, v->count + 1, sizeof(*c->modes));
    for (uint32_t i = 0; i <= v->count; i++) {
        int order = i < v->count ? strcmp(sorted[i]->id, IDLE) : 1;
        if (order > 0 && !has_idle)
            c->modes[c->mode_count++].id = arena_text(r->arena, IDLE);
        has_idle |= order >= 0;
        if (i == v->count)
            break;
        resolve_check_name(r, sorted[i], "mode");
        c->modes[c->mode_count].id = arena_text(r->arena, sorted[i]->id);
        read_wishes(r, sorted[i], &c->modes[c->mode_count++]);
    }
    check_wished_gpus(r, v);
}

static void resolve_start_mode(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_startMode);
    uint32_t mode = find_mode(c, *v->text ? v->text : IDLE);
    if (mode == UINT32_MAX) {
        struct nearest near = nearest_to(v->text);
        for (uint32_t i = 0; i < c->mode_count; i++)
            nearest_offer(&near, c->modes[i].id);
        diag_error(r->diag, v->at, "startMode: unknown mode %s%s", diag_quote(r->diag, v->text),
                   diag_hint(r->diag, near.best));
        mode = find_mode(c, IDLE);
    }
    c->start_mode = mode;
}

static const char *const event_types[] = {
#define EVENT(type, when, details) #type,
#include "config/events.def"
#undef EVENT
};

static void check_event(struct resolver *r, const struct bound_text *t)
{
    struct nearest near = nearest_to(t->text);
    const char *longer = NULL;
    for (size_t i = 0; i < countof(event_types); i++) {
        if (strcmp(event_types[i], t->text) == 0)
            return;
        nearest_offer(&near, event_types[i]);
        /* `loaded` is meant for model_loaded, not for blocked. */
        const char *end = strchr(event_types[i], '_');
        longer = end && strcmp(end + 1, t->text) == 0 ? event_types[i] : longer;
    }
    diag_error(r->diag, t->at, "hooks.on: there is no event %s%s", diag_quote(r->diag, t->text),
               diag_hint(r->diag, longer ? longer : near.best));
}

static void resolve_hooks(struct resolver *r)
{
    struct config *c = r->config;
    const struct bound *hooks = bound_child(r->root, SET_ROOT_hooks);
    const struct value *v = bound_value(bound_child(hooks, SET_HOOKS_on), SET_ON_EVENT);
    c->hooks = arena_alloc(r->arena, v->count, sizeof(*c->hooks));
    for (uint32_t i = 0; i < v->count; i++) {
        const struct bound_text *t = &v->texts[i];
        struct config_hook *hook = &c->hooks[c->hook_count++];
        hook->event = arena_text(r->arena, t->text);
        hook->command = arena_text(r->arena, t->word);
        check_event(r, t);
        bool open = false;
        const char *problem = config_split_command(r->arena, t->word, &hook->argv, &open);
        if (open)
            problem = "a quote is never closed";
        if (problem)
            diag_error(r->diag, t->word_at, "hooks.on: %s", problem);
        else
            resolve_warn_of_shell(r, "hooks.on", t->word_at, &hook->argv);
    }
}

/* What the configuration says elsewhere makes it pointless. */
static void warn_of_sleep(struct resolver *r, uint32_t model)
{
    const struct config *c = r->config;
    const struct config_model *m = &c->models[model];
    struct place at = bound_value(r->models[model], SET_MODEL_suspend)->at;
    const char *word = config_suspend_words[m->suspend];
    if (m->suspend == CONFIG_SUSPEND_CUDA)
        diag_warn(r->diag, at,
                  "suspend: cuda has no effect yet: the driver's checkpoint is not used so far");
    else if (c->planner != CONFIG_PLAN_FIT)
        diag_warn(r->diag, at,
                  "suspend: %s has an effect by command alone: the %s router, in use because %s, "
                  "sends nobody to sleep",
                  word, config_planner_words[c->planner], c->planner_why);
    else if (c->suspend_bytes_max == 0)
        diag_warn(r->diag, at,
                  "suspend: %s has no effect, since host.suspendBudget is 0; write such as host: "
                  "{suspendBudget: 32GiB}",
                  word);
}

static void warn_of_yield(struct resolver *r, uint32_t model)
{
    const struct config *c = r->config;
    const struct config_model *m = &c->models[model];
    const struct value *v = bound_value(r->models[model], SET_MODEL_yield);
    bool moves =
        config_model_find_placement(m, CONFIG_HOST_ID) != UINT32_MAX && config_model_on_gpu(m);
    if (c->planner != CONFIG_PLAN_FIT && m->yield == CONFIG_YIELD_ALWAYS && moves)
        diag_warn(r->diag, v->at,
                  "yield: always%s has no effect with the %s router, in use because %s; write "
                  "routing.router.use: fit",
                  v->given ? "" : ", as workers do,", config_planner_words[c->planner],
                  c->planner_why);
}

/* Accepted, so that a file can be written for what comes, but never silently. */
static void warn_of_no_effect(struct resolver *r)
{
    const struct config *c = r->config;
    for (uint32_t i = 0; i < c->model_count; i++) {
        warn_of_yield(r, i);
        if (c->models[i].suspend != CONFIG_SUSPEND_NONE &&
            c->models[i].backend == CONFIG_BACKEND_PROCESS)
            warn_of_sleep(r, i);
    }
}

void resolve_policies(struct resolver *r)
{
    struct config *c = r->config;
    const struct bound *classes = bound_child(r->root, SET_ROOT_classes);
    bound_project(bound_child(classes, SET_CLASSES_foreground), r->arena, c);
    bound_project(bound_child(classes, SET_CLASSES_normal), r->arena, c);
    bound_project(bound_child(classes, SET_CLASSES_background), r->arena, c);
    bound_project(bound_child(r->root, SET_ROOT_host), r->arena, c);
    bound_project(bound_child(r->root, SET_ROOT_hooks), r->arena, c);
    resolve_gates(r);
    resolve_modes(r);
    resolve_start_mode(r);
    resolve_hooks(r);
    warn_of_no_effect(r);
}
