#include "mapping/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Bit i for each device that the model may sit on: all of them, unless it names some. */
static uint32_t device_mask(const struct config *c, const struct config_model *m)
{
    uint32_t all = c->gpu_count >= 32 ? UINT32_MAX : (1U << c->gpu_count) - 1, mask = 0;
    if (m->gpus.count == 0)
        return all;
    for (uint32_t g = 0; g < c->gpu_count; g++)
        for (uint32_t i = 0; i < m->gpus.count; i++) {
            char index[12];
            snprintf(index, sizeof(index), "%u", g);
            if (strcmp(m->gpus.items[i], c->gpus[g].name) == 0 ||
                strcmp(m->gpus.items[i], index) == 0)
                mask |= 1U << g;
        }
    return mask;
}

static void fill_model(const struct config *c, const struct config_model *m, bool fits,
                       struct core_model_policy *p)
{
    *p = (struct core_model_policy){.present = true,
                                    .hash_process = m->hash_process,
                                    .slots_max = m->concurrency_limit,
                                    .queue_max = m->queue_max,
                                    .priority = m->priority,
                                    .group = m->group,
                                    .ttl_ns = m->ttl_ns,
                                    .load_ns_max = m->load_timeout_ns,
                                    .unload_ns_max = m->unload_timeout_ns};
    if (!fits || (m->vram == CONFIG_VRAM_BYTES && m->vram_bytes == 0))
        return;
    p->placements[p->placement_count++] = (struct core_placement){
        .device_mask = device_mask(c, m),
        .bytes = m->vram == CONFIG_VRAM_BYTES ? m->vram_bytes : 0,
    };
}

void mapping_init(struct mapping *ret, const struct config *c, const uint32_t *slots,
                  uint32_t slot_count, bool fits)
{
    *ret = (struct mapping){
        .models = alloc_zeroed(slot_count, sizeof(*ret->models)),
        .groups = alloc_zeroed(c->group_count, sizeof(*ret->groups)),
    };
    for (uint32_t i = 0; i < c->model_count; i++)
        fill_model(c, &c->models[i], fits, &ret->models[slots ? slots[i] : i]);
    for (uint32_t i = 0; i < c->group_count; i++)
        ret->groups[i] = (struct core_group_policy){c->groups[i].swap, c->groups[i].exclusive,
                                                    c->groups[i].persistent};
    uint32_t devices = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
    for (uint32_t i = 0; i < devices; i++)
        ret->devices[i] = (struct core_device_policy){
            .reserve_bytes = c->gpus[i].reserve_bytes, .limit_permille = c->gpus[i].limit_permille};
    ret->core = (struct core_config){
        .sched = c->scheduler == CONFIG_SCHED_SERIAL ? SCHEDULER_SERIAL : SCHEDULER_FIFO,
        .plan = fits ? PLAN_FIT : PLAN_GROUP,
        .models = ret->models,
        .model_count = slot_count,
        .groups = ret->groups,
        .group_count = c->group_count,
        .devices = ret->devices,
        .device_count = devices,
    };
}

void mapping_fini(struct mapping *m)
{
    free(m->models);
    free(m->groups);
    *m = (struct mapping){.models = NULL};
}
