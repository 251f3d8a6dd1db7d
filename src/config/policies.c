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

/* A word that is none: what there is, and what was probably meant. */
static void refuse_wish(struct resolver *r, const struct bound_text *t,
                        const struct config_model *m)
{
    const struct config *c = r->config;
    struct nearest near = nearest_to(t->word);
    nearest_offer(&near, LOADED);
    nearest_offer(&near, UNLOADED);
    for (uint32_t i = 0; i < c->gpu_count; i++)
        nearest_offer(&near, c->gpus[i].name);
    uint32_t gpu = config_find_gpu(c, t->word);
    if (gpu != UINT32_MAX && !config_model_may_use(c, m, gpu))
        diag_error(r->diag, t->word_at, "model %s may not use GPU %s, as its gpus say",
                   diag_quote(r->diag, m->id), diag_quote(r->diag, t->word));
    else if (gpu != UINT32_MAX)
        diag_error(r->diag, t->word_at,
                   "model %s takes %u GPUs at once, so a mode can only want it %s or %s",
                   diag_quote(r->diag, m->id), m->gpu_count, LOADED, UNLOADED);
    else
        diag_error(r->diag, t->word_at,
                   "a mode wants a model %s, %s, or on a GPU that 'gpus' lists, not %s%s", LOADED,
                   UNLOADED, diag_quote(r->diag, t->word), diag_hint(r->diag, near.best));
}

static struct config_wish read_wish(struct resolver *r, const struct bound_text *t, uint32_t model)
{
    const struct config *c = r->config;
    const struct config_model *m = &c->models[model];
    uint32_t gpu = config_find_gpu(c, t->word);
    struct config_wish wish = {.model = model, .kind = CONFIG_WISH_LOADED, .gpu = CONFIG_GPU_ANY};
    if (strcmp(t->word, UNLOADED) == 0)
        wish.kind = CONFIG_WISH_UNLOADED;
    else if (strcmp(t->word, LOADED) == 0)
        wish.gpu = CONFIG_GPU_ANY;
    else if (gpu != UINT32_MAX && config_model_may_use(c, m, gpu) && m->gpu_count == 1)
        wish.gpu = gpu;
    else
        refuse_wish(r, t, m);
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

/* Each GPU that a mode names for a model is one way in which it may sit; the core has a few. */
static void check_wished_gpus(struct resolver *r, const struct value *modes)
{
    const struct config *c = r->config;
    uint32_t *wished = arena_alloc(r->scratch, c->model_count, sizeof(*wished));
    for (uint32_t i = 0; i < c->mode_count; i++)
        for (uint32_t w = 0; w < c->modes[i].wish_count; w++)
            if (c->modes[i].wishes[w].gpu != CONFIG_GPU_ANY)
                wished[c->modes[i].wishes[w].model] |= 1U << c->modes[i].wishes[w].gpu;
    for (uint32_t i = 0; i < c->model_count; i++) {
        uint32_t count = 0;
        for (uint32_t mask = wished[i]; mask; mask &= mask - 1)
            count++;
        if (count > CONFIG_WISHED_GPUS_MAX)
            diag_error(r->diag, modes->at, "modes want model %s on %u GPUs; %d is the most",
                       diag_quote(r->diag, c->models[i].id), count, CONFIG_WISHED_GPUS_MAX);
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
#define EVENT(type) #type,
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
    }
}

/* Accepted, so that a file can be written for what comes, but never silently. */
static void warn_of_no_effect(struct resolver *r)
{
    const struct config *c = r->config;
    struct diag *d = r->diag;
    if (c->on_exit == CONFIG_EXIT_KEEP)
        diag_warn(d, bound_value(r->root, SET_ROOT_onExit)->at,
                  "onExit: keep has no effect yet: models cannot be adopted so far, so they stop");
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].suspend != CONFIG_SUSPEND_NONE)
            diag_warn(d, bound_value(r->models[i], SET_MODEL_suspend)->at,
                      "suspend: %s has no effect yet: no backend can suspend a model so far",
                      config_suspend_words[c->models[i].suspend]);
}

void resolve_policies(struct resolver *r)
{
    struct config *c = r->config;
    const struct bound *classes = bound_child(r->root, SET_ROOT_classes);
    bound_project(bound_child(classes, SET_CLASSES_foreground), r->arena, c);
    bound_project(bound_child(classes, SET_CLASSES_normal), r->arena, c);
    bound_project(bound_child(classes, SET_CLASSES_background), r->arena, c);
    bound_project(bound_child(r->root, SET_ROOT_host), r->arena, c);
    resolve_gates(r);
    resolve_modes(r);
    resolve_start_mode(r);
    resolve_hooks(r);
    warn_of_no_effect(r);
}
