/* A configuration, and what it changes. What did not change keeps running. */
#include "core/core_priv.h"

#include <string.h>

#define PROBE_NS (30 * NS_PER_S)
#define SETTLE_NS_MAX (3 * NS_PER_S)

/* Whether the new policy has the same devices at a placement of the old one. */
static bool same_place(const struct model *m, uint32_t placement,
                       const struct core_model_policy *policy)
{
    if (placement == CORE_SLOT_NONE)
        return m->state == MODEL_LOADED || !policy->placement_count;
    if (placement >= policy->placement_count)
        return false;
    const struct core_placement *old = &m->policy.placements[placement];
    const struct core_placement *new = &policy->placements[placement];
    return old->device_mask == new->device_mask && old->device_count == new->device_count;
}

/* Whether what is there may stay: the same process, in a place where it may be. */
static bool may_stay(const struct model *m, const struct core_model_policy *policy)
{
    return !model_resident(m) ||
           (m->policy.hash_process == policy->hash_process &&
            m->policy.backend == policy->backend && same_place(m, m->placement, policy) &&
            (m->op.kind != OP_MOVE || same_place(m, m->op.placement, policy)));
}

/* What was learned of one process says nothing of another. */
static void forget_process(struct model *m)
{
    memset(m->load_ns_mean, 0, sizeof(m->load_ns_mean));
    memset(m->learned_bytes, 0, sizeof(m->learned_bytes));
    memset(m->estimated_bytes, 0, sizeof(m->estimated_bytes));
    m->resume_ns_mean = m->residue_bytes = m->oom_bytes = 0;
    m->failures = 0;
    m->cannot_suspend = m->oom_tried = false;
}

static void take_policy(struct model *m, const struct core_model_policy *policy)
{
    if (m->policy.hash_process != policy->hash_process)
        forget_process(m);
    m->policy = *policy;
}

/* A model whose command or place changed must go before the new one can come; what waits, stays. */
static void change_model(struct core *c, uint32_t slot, const struct core_model_policy *policy)
{
    struct model *m = &c->models[slot];
    if (may_stay(m, policy)) {
        take_policy(m, policy);
        c->sweep |= c->backend_down[m->policy.backend];
        /* It may be mended: the pause ends with the next tick, which bounds its effects. */
        if (m->state == MODEL_ERROR)
            deadline_set(c, deadline_model(slot, DEADLINE_ERROR), c->now);
        m->next = false;
        deadline_clear(c, deadline_model(slot, DEADLINE_IDLE)); /* the ttl may be new */
        return;
    }
    m->next_policy = *policy;
    m->next = true;
    /* What the process knows nothing of holds at once. */
    m->policy.group = policy->group;
    m->policy.evict_cost = policy->evict_cost;
    m->policy.priority = policy->priority;
    m->policy.queue_max = policy->queue_max;
    m->policy.pinned = policy->pinned;
    model_leave(c, slot, LEAVE_UNLOAD, REASON_CONFIG);
}

static void retire(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    m->policy.present = false;
    m->removed = false;
    m->wish = WISH_NONE;
    if (m->state == MODEL_ERROR)
        model_end_error(c, slot, REASON_REMOVED);
    core_emit(c, EFFECT_MODEL_RETIRED, slot);
}

static void remove_model(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    m->removed = c->sweep = true;
    m->pinned = false;
    queue_doom(c, slot, REASON_MODEL_UNKNOWN);
    command_finish(c, slot, COMMAND_LOAD, REASON_MODEL_UNKNOWN);
    if (model_resident(m))
        model_leave(c, slot, LEAVE_UNLOAD, REASON_REMOVED);
}

void reload_take_next(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->next) {
        take_policy(m, &m->next_policy);
        m->next = false;
        c->sweep |= c->backend_down[m->policy.backend]; /* who waits for it has to be told */
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
    backend_sweep(c);
    lease_sweep(c);
}

/* Another model has the slot now. */
static void forget(struct model *m)
{
    forget_process(m);
    m->serve_ns_mean = 0;
    m->reuse = (struct reuse_model){0};
    m->pinned = m->kept = false;
    m->wish = WISH_NONE;
    m->wish_placement = CORE_SLOT_NONE;
}

static void apply_model(struct core *c, uint32_t slot, const struct core_model_policy *policy)
{
    struct model *m = &c->models[slot];
    bool want = policy && policy->present;
    if (want && !m->policy.present) {
        m->policy = *policy;
        forget(m);
    } else if (want) {
        m->removed = false;
        change_model(c, slot, policy);
    } else if (m->policy.present && !m->removed) {
        remove_model(c, slot);
    }
}

static void apply_gates(struct core *c, const struct core_config *config)
{
    for (uint32_t i = 0; i < config->gate_count; i++) {
        if (i >= c->gate_count)
            gate_init(&c->gates[i], config->gates[i].limit);
        c->gates[i].limit = config->gates[i].limit;
        memcpy(c->gates[i].wait_ns_max, config->gates[i].wait_ns_max,
               sizeof(c->gates[i].wait_ns_max));
    }
    if (config->gate_count > c->gate_count)
        c->gate_count = config->gate_count;
    lease_retime(c); /* at once, so that the next tick knows who is overdue by now */
    c->sweep = true; /* a limit may have grown */
}

static void apply_matrix(struct core *c, const struct core_matrix_policy *matrix)
{
    uint32_t members = matrix->set_count ? matrix->ends[matrix->set_count - 1] : 0;
    must(matrix->set_count <= c->limits.sets_max && members <= c->limits.set_members_max);
    if (members)
        memcpy(c->set_members, matrix->members, members * sizeof(*c->set_members));
    if (matrix->set_count)
        memcpy(c->set_ends, matrix->ends, matrix->set_count * sizeof(*c->set_ends));
    c->set_count = matrix->set_count;
}

/* Anchors and blocks were found under other rules. */
static void outdate_targets(struct core *c)
{
    uint32_t count = c->limits.models_max + c->lease_pool.high_water;
    want_unpark_all(c);
    for (uint32_t t = 0; t < count; t++) {
        if (t >= c->model_count && t < c->limits.models_max)
            continue;
        want_set_anchor(c, t, 0);
        want_unblock(c, t);
    }
}

static void check_counts(const struct core *c, const struct core_config *config)
{
    must(config->model_count <= c->limits.models_max);
    must(config->group_count <= c->limits.groups_max);
    must(config->gate_count <= c->limits.gates_max);
    must(config->device_count <= CORE_DEVICES_MAX);
    for (uint32_t i = 0; i < config->model_count; i++) {
        must(config->models[i].placement_count <= CORE_PLACEMENTS_MAX);
        must(config->models[i].backend <= CORE_BACKENDS_MAX);
    }
}

void reload_apply(struct core *c, const struct core_config *config)
{
    check_counts(c, config);
    for (uint32_t i = c->model_count; i < config->model_count; i++)
        model_init(&c->models[i]);
    if (config->model_count > c->model_count)
        c->model_count = config->model_count;
    c->sched = config->sched;
    c->plan = config->plan;
    c->victim_kind = config->victims;
    c->fair = config->fair;
    c->suspend_bytes_max = config->suspend_bytes_max;
    c->probe_ns = config->probe_ns ? config->probe_ns : PROBE_NS;
    c->settle_ns_max = config->settle_ns_max ? config->settle_ns_max : SETTLE_NS_MAX;
    apply_matrix(c, &config->matrix);
    memcpy(c->groups, config->groups, config->group_count * sizeof(*c->groups));
    c->group_count = config->group_count;
    c->device_count = config->device_count;
    for (uint32_t i = 0; i < config->device_count; i++)
        c->devices[i].policy = config->devices[i];
    apply_gates(c, config);
    for (uint32_t i = 0; i < c->model_count; i++)
        apply_model(c, i, i < config->model_count ? &config->models[i] : NULL);
    transition_outdate_all(c);
    outdate_targets(c);
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
}
