/* Names that stand for one of several models, and profiles. */
#include <stdlib.h>
#include <string.h>

#include "config/resolve.h"

/* Ids first: what else may be called so is checked before any target is looked up. */
void resolve_selector_ids(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_selectors);
    r->selectors = resolve_sorted(r, v);
    if (v->count > CONFIG_SELECTORS_MAX)
        diag_error(r->diag, v->at, "more than %d selectors", CONFIG_SELECTORS_MAX);
    c->selectors = arena_alloc(r->arena, v->count, sizeof(*c->selectors));
    c->selector_count = v->count;
    for (uint32_t i = 0; i < v->count; i++) {
        if (r->selectors[i]->id[strspn(r->selectors[i]->id, " \t\r\n")] == '\0')
            diag_error(r->diag, r->selectors[i]->at, "a selector needs a name");
        else
            resolve_check_name(r, r->selectors[i], "selector");
        c->selectors[i].id = arena_text(r->arena, r->selectors[i]->id);
    }
}

/* False, and reported, where the name is no model's. */
static bool read_target(struct resolver *r, const struct config_selector *s,
                        const struct bound_text *t, struct config_target *ret)
{
    const char *id = diag_quote(r->diag, s->id), *name = diag_quote(r->diag, t->text);
    const struct config_name *found = config_find_name(r->config, t->text);
    if (!found) {
        diag_error(r->diag, t->at, "selector %s: unknown model %s%s", id, name,
                   resolve_model_hint(r, t->text));
        return false;
    }
    if (found->kind == CONFIG_NAME_SELECTOR) {
        diag_error(r->diag, t->at,
                   "selector %s: %s is a selector; a selector cannot choose another", id, name);
        return false;
    }
    *ret = (struct config_target){.name = arena_text(r->arena, t->text), .model = CONFIG_NO_MODEL};
    if (found->kind == CONFIG_NAME_MODEL) {
        ret->model = found->index;
        return true;
    }
    ret->peer = found->index;
    ret->peer_model = found->peer_model;
    if (s->strategy != CONFIG_STRATEGY_WARM)
        return true;
    diag_error(r->diag, t->at,
               "selector %s: %s is a peer's; with the strategy warm, all targets are models of "
               "this configuration",
               id, name);
    return false;
}

static bool same_target(const struct config_target *a, const struct config_target *b)
{
    return a->model == b->model &&
           (a->model != CONFIG_NO_MODEL || (a->peer == b->peer && a->peer_model == b->peer_model));
}

static void read_targets(struct resolver *r, const struct value *v, struct config_selector *s)
{
    if (v->count > CONFIG_TARGETS_MAX) {
        diag_error(r->diag, v->at, "selector %s has more than %d targets",
                   diag_quote(r->diag, s->id), CONFIG_TARGETS_MAX);
        return;
    }
    s->targets = arena_alloc(r->arena, v->count, sizeof(*s->targets));
    for (uint32_t i = 0; i < v->count; i++) {
        struct config_target *target = &s->targets[s->target_count];
        if (!read_target(r, s, &v->texts[i], target))
            continue;
        for (uint32_t k = 0; s->strategy == CONFIG_STRATEGY_SPILLOVER && k < s->target_count; k++)
            if (same_target(&s->targets[k], target))
                diag_error(r->diag, v->texts[i].at, "selector %s: %s is a target already",
                           diag_quote(r->diag, s->id), diag_quote(r->diag, target->name));
        s->target_count++;
    }
    if (v->count == 0 && !v->broken)
        diag_error(r->diag, v->at, "selector %s needs at least one target",
                   diag_quote(r->diag, s->id));
}

static int by_index(const void *pa, const void *pb)
{
    const uint32_t *a = pa, *b = pb;
    return *a < *b ? -1 : *a > *b;
}

/* Whether one combination of the matrix holds all local targets, of which there are so many. */
static bool matrix_has_all(const struct config *c, const struct config_selector *s, uint32_t local)
{
    const struct config_matrix *m = &c->matrix;
    uint32_t start = 0;
    for (uint32_t i = 0; i < m->set_count; start = m->ends[i++]) {
        const uint32_t *members = m->members + start, count = m->ends[i] - start;
        bool all = count >= local;
        for (uint32_t t = 0; all && t < s->target_count; t++)
            all = s->targets[t].model == CONFIG_NO_MODEL ||
                  bsearch(&s->targets[t].model, members, count, sizeof(*members), by_index);
        if (all)
            return true;
    }
    return false;
}

/* What keeps the group planner from loading all local targets at once, or NULL. */
static const char *group_problem(struct resolver *r, const struct config_selector *s)
{
    const struct config *c = r->config;
    uint32_t group = UINT32_MAX;
    for (uint32_t t = 0; t < s->target_count; t++) {
        if (s->targets[t].model == CONFIG_NO_MODEL)
            continue;
        const struct config_group *its = &c->groups[c->models[s->targets[t].model].group];
        const char *name = diag_quote(r->diag, s->targets[t].name);
        if (strcmp(its->id, CONFIG_DEFAULT_GROUP) == 0)
            return arena_printf(r->scratch, "%s is in no group", name);
        if (its->swap)
            return arena_printf(r->scratch, "group %s, with %s, has swap: true",
                                diag_quote(r->diag, its->id), name);
        if (group != UINT32_MAX && its != &c->groups[group])
            return "they are in several groups";
        group = (uint32_t)(its - c->groups);
    }
    return NULL;
}

static void check_together(struct resolver *r, const struct value *v,
                           const struct config_selector *s)
{
    uint32_t local = 0;
    for (uint32_t t = 0; t < s->target_count; t++)
        local += s->targets[t].model != CONFIG_NO_MODEL;
    const char *problem = NULL;
    if (local < 2)
        return;
    if (r->config->planner == CONFIG_PLAN_MATRIX && !matrix_has_all(r->config, s, local))
        problem = "no set of the matrix has them all";
    else if (r->config->planner == CONFIG_PLAN_GROUP)
        problem = group_problem(r, s);
    if (problem)
        diag_error(r->diag, v->at,
                   "selector %s: the targets of spillover must be able to run together, but %s",
                   diag_quote(r->diag, s->id), problem);
}

static void resolve_selector(struct resolver *r, const struct bound *b, struct config_selector *s)
{
    const struct value *targets = bound_value(b, SET_SELECTOR_targets);
    const struct value *strategy = bound_value(b, SET_SELECTOR_strategy);
    const struct value *spillover =
        bound_value(bound_child(b, SET_SELECTOR_settings), SET_SELECTOR_SETTINGS_spillover);
    const char *id = diag_quote(r->diag, s->id);
    bound_project(b, r->arena, s);
    s->metadata = resolve_any(r, bound_value(b, SET_SELECTOR_metadata));
    s->spillover = spillover->number >= 1 ? (uint32_t)spillover->number : 1;
    if (b->broken)
        return;
    if (!strategy->given)
        diag_error(r->diag, strategy->at, "selector %s needs a strategy: warm, pin or spillover",
                   id);
    uint32_t errors = r->diag->errors;
    read_targets(r, targets, s);
    if (s->strategy != CONFIG_STRATEGY_SPILLOVER)
        return;
    if (spillover->number < 1 && !spillover->broken)
        diag_error(r->diag, spillover->at, "selector %s: spillover must be at least 1", id);
    if (r->diag->errors == errors)
        check_together(r, targets, s);
}

static int by_name(const void *pa, const void *pb)
{
    const struct config_pin *a = pa, *b = pb;
    return strcmp(a->name, b->name);
}

static void read_pin(struct resolver *r, const struct config_profile *p, const struct bound_text *t)
{
    const char *id = diag_quote(r->diag, p->id);
    const struct config_name *named = config_find_name(r->config, t->text);
    if (t->text[strspn(t->text, " \t\r\n")] == '\0')
        diag_error(r->diag, t->at, "profile %s has a pin without a name", id);
    if (*t->word && !config_find_name(r->config, t->word))
        diag_error(r->diag, t->word_at, "profile %s: unknown model %s%s", id,
                   diag_quote(r->diag, t->word), resolve_model_hint(r, t->word));
    if (!named || named->kind != CONFIG_NAME_PEER)
        return;
    const struct config_peer *peer = &r->config->peers[named->index];
    if (strcmp(peer->names.items[named->peer_model], t->text) == 0)
        diag_error(r->diag, t->at, "profile %s: pin %s has the full name of a model of peer %s", id,
                   diag_quote(r->diag, t->text), diag_quote(r->diag, peer->id));
}

static void resolve_profile(struct resolver *r, const struct bound *b, struct config_profile *p)
{
    const struct value *v = bound_value(b, SET_PROFILE_pins);
    p->id = arena_text(r->arena, b->id);
    bound_project(b, r->arena, p);
    if (p->id[strspn(p->id, " \t\r\n")] == '\0')
        diag_error(r->diag, b->at, "a profile needs a name");
    else
        resolve_check_name(r, b, "profile");
    p->pins = arena_alloc(r->arena, v->count, sizeof(*p->pins));
    p->pin_count = v->count;
    for (uint32_t i = 0; i < v->count; i++) {
        read_pin(r, p, &v->texts[i]);
        p->pins[i] = (struct config_pin){.name = arena_text(r->arena, v->texts[i].text),
                                         .target = arena_text(r->arena, v->texts[i].word)};
    }
    if (v->count)
        qsort(p->pins, v->count, sizeof(*p->pins), by_name);
    else if (!v->broken && !b->broken)
        diag_error(r->diag, b->at, "profile %s needs at least one pin", diag_quote(r->diag, p->id));
}

void resolve_selectors(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_profiles);
    const struct bound **sorted = resolve_sorted(r, v);
    for (uint32_t i = 0; i < c->selector_count; i++)
        resolve_selector(r, r->selectors[i], &c->selectors[i]);
    if (v->count > CONFIG_PROFILES_MAX)
        diag_error(r->diag, v->at, "more than %d profiles", CONFIG_PROFILES_MAX);
    c->profiles = arena_alloc(r->arena, v->count, sizeof(*c->profiles));
    c->profile_count = v->count;
    for (uint32_t i = 0; i < v->count; i++)
        resolve_profile(r, sorted[i], &c->profiles[i]);
}
