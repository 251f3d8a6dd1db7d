#include "mapping/mapping.h"

#include <stdlib.h>

#include "base/alloc.h"

/* A reading comes this many times before one is too old; and never within this time, since it may
 * take long to read a device that is busy. */
#define SAMPLES_UNTIL_STALE 5
#define STALE_NS_MIN (3 * NS_PER_S)

static uint32_t slot_of(const uint32_t *slots, uint32_t model)
{
    return slots ? slots[model] : model;
}

static uint32_t device_count(const struct config *c)
{
    return c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
}

/* Bit i for each device that the model may sit on. */
static uint32_t device_mask(const struct config *c, const struct config_model *m)
{
    uint32_t mask = 0;
    for (uint32_t g = 0; g < device_count(c); g++)
        if (config_model_may_use(c, m, g))
            mask |= 1U << g;
    return mask;
}

/* The devices that some mode wants the model on. */
static uint32_t wished_mask(const struct config *c, uint32_t model)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < c->mode_count; i++) {
        const struct config_mode *mode = &c->modes[i];
        for (uint32_t w = 0; w < mode->wish_count; w++)
            if (mode->wishes[w].model == model && mode->wishes[w].gpu < device_count(c))
                mask |= 1U << mode->wishes[w].gpu;
    }
    return mask;
}

/* The first placement is all that the model may use; behind it comes one for each device that a
 * mode wants it on. */
static uint32_t placement_of(const struct config *c, uint32_t model, uint32_t gpu)
{
    _Static_assert(CONFIG_WISHED_GPUS_MAX + 1 <= CORE_PLACEMENTS_MAX, "a placement for each");
    uint32_t wished = wished_mask(c, model), placement = 1;
    if (gpu == CONFIG_GPU_ANY || !(wished & 1U << gpu))
        return CORE_SLOT_NONE;
    for (uint32_t g = 0; g < gpu; g++)
        placement += (wished >> g) & 1;
    return placement;
}

static void fill_placements(const struct config *c, uint32_t model, struct core_model_policy *p)
{
    const struct config_model *m = &c->models[model];
    struct core_placement any = {.device_mask = device_mask(c, m),
                                 .device_count = m->gpu_count,
                                 .bytes = config_model_share_bytes(m)};
    uint32_t wished = wished_mask(c, model);
    if (m->vram == CONFIG_VRAM_BYTES && m->vram_bytes == 0)
        return;
    p->placements[p->placement_count++] = any;
    for (uint32_t g = 0; g < CORE_DEVICES_MAX; g++) {
        if (!(wished & 1U << g))
            continue;
        any.device_mask = 1U << g;
        p->placements[p->placement_count++] = any;
    }
}

/* No process of wharf's own can move or suspend yet. */
static void fill_model(const struct config *c, uint32_t model, bool fits,
                       struct core_model_policy *p)
{
    const struct config_model *m = &c->models[model];
    *p = (struct core_model_policy){.present = true,
                                    .pinned = m->pin,
                                    .hash_process = m->hash_process,
                                    .slots_max = m->concurrency_limit,
                                    .queue_max = m->queue_max,
                                    .priority = m->priority,
                                    .group = m->group,
                                    .evict_cost = m->evict_cost,
                                    .load_retries_max = m->load_retries_max,
                                    .ttl_ns = m->ttl_ns,
                                    .load_ns_max = m->load_timeout_ns,
                                    .unload_ns_max = m->unload_timeout_ns};
    if (fits)
        fill_placements(c, model, p);
}

static void fill_gates(const struct config *c, struct core_gate_policy *gates)
{
    for (uint32_t i = 0; i < c->gate_count; i++) {
        gates[i].limit = c->gates[i].limit;
        for (size_t class = 0; class < CLASS__COUNT; class ++)
            gates[i].wait_ns_max[class] = c->gates[i].wait_ns_max;
    }
}

static void fill_devices(const struct config *c, struct core_device_policy *devices)
{
    for (uint32_t i = 0; i < device_count(c); i++) {
        uint64_t stale = c->gpus[i].sample_ns * SAMPLES_UNTIL_STALE;
        devices[i] =
            (struct core_device_policy){.reserve_bytes = c->gpus[i].reserve_bytes,
                                        .limit_permille = c->gpus[i].limit_permille,
                                        .stale_ns = stale > STALE_NS_MIN ? stale : STALE_NS_MIN};
    }
}

static struct core_matrix_policy map_matrix(const struct config *c, const uint32_t *slots,
                                            uint32_t **ret_members)
{
    const struct config_matrix *m = &c->matrix;
    uint32_t count = m->set_count ? m->ends[m->set_count - 1] : 0;
    uint32_t *members = alloc_zeroed(count + 1, sizeof(*members));
    for (uint32_t i = 0; i < count; i++)
        members[i] = slot_of(slots, m->members[i]);
    *ret_members = members;
    return (struct core_matrix_policy){
        .members = members, .ends = m->ends, .set_count = m->set_count};
}

static struct core_fair_policy map_fair(const struct config *c)
{
    _Static_assert((int)CONFIG_CLASS__COUNT == (int)CLASS__COUNT, "the classes are the same");
    struct core_fair_policy fair = {.min_resident_ns = c->fair.min_resident_ns,
                                    .serve_ns_max = c->fair.serve_ns_max};
    for (size_t class = 0; class < CLASS__COUNT; class ++)
        fair.wait_ns_max[class] = c->fair.wait_ns_max[class];
    return fair;
}

static enum plan_kind map_planner(const struct config *c, bool fits)
{
    return fits ? PLAN_FIT : c->planner == CONFIG_PLAN_MATRIX ? PLAN_MATRIX : PLAN_GROUP;
}

void mapping_init(struct mapping *ret, const struct config *c, const uint32_t *slots,
                  uint32_t slot_count, bool fits)
{
    static const enum sched_kind scheds[] = {[CONFIG_SCHED_FAIR] = SCHEDULER_FAIR,
                                             [CONFIG_SCHED_FIFO] = SCHEDULER_FIFO,
                                             [CONFIG_SCHED_SERIAL] = SCHEDULER_SERIAL};
    _Static_assert(countof(scheds) == CONFIG_SCHED__COUNT, "a scheduler for each word");
    *ret = (struct mapping){
        .models = alloc_zeroed(slot_count, sizeof(*ret->models)),
        .groups = alloc_zeroed(c->group_count, sizeof(*ret->groups)),
        .gates = alloc_zeroed(c->gate_count, sizeof(*ret->gates)),
    };
    for (uint32_t i = 0; i < c->model_count; i++)
        fill_model(c, i, fits, &ret->models[slot_of(slots, i)]);
    for (uint32_t i = 0; i < c->group_count; i++)
        ret->groups[i] = (struct core_group_policy){c->groups[i].swap, c->groups[i].exclusive,
                                                    c->groups[i].persistent};
    fill_gates(c, ret->gates);
    fill_devices(c, ret->devices);
    ret->core = (struct core_config){
        .sched = scheds[c->scheduler],
        .plan = map_planner(c, fits),
        .victims = VICTIMS_COST,
        .fair = map_fair(c),
        .matrix = map_matrix(c, slots, &ret->members),
        .suspend_bytes_max = c->suspend_bytes_max,
        .models = ret->models,
        .model_count = slot_count,
        .groups = ret->groups,
        .group_count = c->group_count,
        .devices = ret->devices,
        .device_count = device_count(c),
        .gates = ret->gates,
        .gate_count = c->gate_count,
    };
}

void mapping_fini(struct mapping *m)
{
    free(m->models);
    free(m->groups);
    free(m->gates);
    free(m->members);
    *m = (struct mapping){.models = NULL};
}

struct core_wish *mapping_wishes(const struct config *c, const struct config_mode *mode,
                                 const uint32_t *slots)
{
    struct core_wish *wishes = alloc_zeroed(mode->wish_count, sizeof(*wishes));
    for (uint32_t i = 0; i < mode->wish_count; i++) {
        const struct config_wish *w = &mode->wishes[i];
        bool loaded = w->kind == CONFIG_WISH_LOADED;
        wishes[i] = (struct core_wish){.model = slot_of(slots, w->model),
                                       .what = loaded ? WISH_LOADED : WISH_UNLOADED,
                                       .placement = loaded ? placement_of(c, w->model, w->gpu)
                                                           : CORE_SLOT_NONE};
    }
    return wishes;
}
