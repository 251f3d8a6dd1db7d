/* A configuration, and what it changes. What did not change keeps running. */
#include "core/core_priv.h"

#include <string.h>

/* A model whose command changed must go before the new one can come; what waits, stays. */
static void change_model(struct core *c, uint32_t slot, const struct core_model_policy *policy)
{
    struct model *m = &c->models[slot];
    if (m->policy.hash_process == policy->hash_process || !model_resident(m)) {
        m->policy = *policy;
        /* It may be mended: the pause ends with the next tick, which bounds its effects. */
        if (m->state == MODEL_ERROR)
            core_set_deadline(c, deadline_slot(slot, DEADLINE_ERROR), c->now);
        m->next = false;
        heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_IDLE)); /* the ttl may be new */
        return;
    }
    m->next_policy = *policy;
    m->next = true;
    model_leave(c, slot, REASON_CONFIG);
}

static void retire(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    m->policy.present = false;
    m->removed = false;
    if (m->state == MODEL_ERROR)
        model_end_error(c, slot, REASON_REMOVED);
    core_emit(c, EFFECT_MODEL_RETIRED, slot);
}

static void remove_model(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    m->removed = c->sweep = true;
    queue_doom(c, slot, REASON_MODEL_UNKNOWN);
    command_finish(c, slot, true, REASON_MODEL_UNKNOWN);
    if (model_resident(m))
        model_leave(c, slot, REASON_REMOVED);
}

void reload_take_next(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->next) {
        m->policy = m->next_policy;
        m->next = false;
    }
    if (m->removed)
        c->sweep = true;
}

void reload_sweep(struct core *c)
{
    c->sweep = false;
    for (uint32_t i = 0; i < c->model_count; i++) {
        struct model *m = &c->models[i];
        if (!core_has_room(c)) {
            c->sweep = true;
            return;
        }
        if (m->removed && !model_resident(m) && !m->running.count && !m->doomed.count)
            retire(c, i);
        model_refresh(c, i);
    }
    for (uint32_t i = 0; i < c->gate_count; i++)
        lease_admit(c, i);
}

static void apply_model(struct core *c, uint32_t slot, const struct core_model_policy *policy)
{
    struct model *m = &c->models[slot];
    bool want = policy && policy->present;
    if (want && !m->policy.present) {
        m->policy = *policy;
        m->load_ns_mean = m->serve_ns_mean = 0;
        m->failures = 0;
    } else if (want) {
        m->removed = false;
        change_model(c, slot, policy);
    } else if (m->policy.present && !m->removed) {
        remove_model(c, slot);
    }
}

/* Sizes, groups and policies may all be different: what has not begun to load is planned anew. */
static void outdate_plans(struct core *c)
{
    const struct link *n;
    list_each(n, &c->active) {
        struct model *t = list_entry(n, struct model, active);
        t->plan.stale = t->state == MODEL_UNLOADED;
    }
}

static void apply_gates(struct core *c, const struct core_config *config)
{
    for (uint32_t i = 0; i < config->gate_count; i++) {
        if (i >= c->gate_count)
            gate_init(&c->gates[i], config->gates[i].limit);
        c->gates[i].limit = config->gates[i].limit;
    }
    if (config->gate_count > c->gate_count)
        c->gate_count = config->gate_count;
    c->sweep = true; /* a limit may have grown */
}

void reload_apply(struct core *c, const struct core_config *config)
{
    must(config->model_count <= c->limits.models_max);
    must(config->group_count <= c->limits.groups_max);
    must(config->gate_count <= c->limits.gates_max);
    must(config->device_count <= CORE_DEVICES_MAX);
    for (uint32_t i = c->model_count; i < config->model_count; i++)
        model_init(&c->models[i]);
    if (config->model_count > c->model_count)
        c->model_count = config->model_count;
    c->sched = config->sched;
    c->plan = config->plan;
    memcpy(c->groups, config->groups, config->group_count * sizeof(*c->groups));
    c->group_count = config->group_count;
    c->device_count = config->device_count;
    for (uint32_t i = 0; i < config->device_count; i++)
        c->devices[i].policy = config->devices[i];
    apply_gates(c, config);
    for (uint32_t i = 0; i < c->model_count; i++)
        apply_model(c, i, i < config->model_count ? &config->models[i] : NULL);
    outdate_plans(c);
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
}
