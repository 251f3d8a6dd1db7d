#include "server/roster.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct config_ref *config_ref_get(struct config_ref *ref)
{
    ref->refs++;
    return ref;
}

void config_ref_put(struct config_ref *ref)
{
    if (!ref || --ref->refs > 0)
        return;
    config_free(ref->config);
    free(ref->slots);
    free(ref);
}

void roster_init(struct roster *r)
{
    *r = (struct roster){.entries = alloc_zeroed(ROSTER_MODELS_MAX, sizeof(*r->entries))};
}

void roster_fini(struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        free(r->entries[i].id);
        free(r->entries[i].last_error);
    }
    free(r->entries);
    config_ref_put(r->current);
    *r = (struct roster){0};
}

static uint32_t slot_of(const struct roster *r, const char *id)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->entries[i].id && strcmp(r->entries[i].id, id) == 0)
            return i;
    return CORE_SLOT_NONE;
}

static uint32_t take_slot(struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (!r->entries[i].id)
            return i;
    return r->count < ROSTER_MODELS_MAX ? r->count++ : CORE_SLOT_NONE;
}

bool roster_apply(struct roster *r, struct config *config)
{
    struct config_ref *ref = alloc_zeroed(1, sizeof(*ref));
    *ref = (struct config_ref){
        .refs = 1, .config = config, .slots = alloc_zeroed(config->model_count, sizeof(uint32_t))};
    uint32_t free_slots = ROSTER_MODELS_MAX - r->count, fresh = 0;
    for (uint32_t i = 0; i < r->count; i++)
        free_slots += r->entries[i].id == NULL;
    for (uint32_t i = 0; i < config->model_count; i++)
        fresh += slot_of(r, config->models[i].id) == CORE_SLOT_NONE;
    if (fresh > free_slots) {
        config_ref_put(ref);
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++)
        r->entries[i].index = CORE_SLOT_NONE;
    for (uint32_t i = 0; i < config->model_count; i++) {
        uint32_t slot = slot_of(r, config->models[i].id);
        if (slot == CORE_SLOT_NONE) {
            slot = take_slot(r);
            r->entries[slot].id = alloc_text(config->models[i].id);
        }
        r->entries[slot].index = i;
        ref->slots[i] = slot;
    }
    config_ref_put(r->current);
    r->current = ref;
    return true;
}

void roster_retire(struct roster *r, uint32_t slot)
{
    struct roster_entry *e = &r->entries[slot];
    if (e->index != CORE_SLOT_NONE)
        return; /* configured again in the meantime */
    free(e->id);
    free(e->last_error);
    *e = (struct roster_entry){.index = CORE_SLOT_NONE};
}

/* Bit i for each device that the model may sit on: all of them, unless it names some. */
static uint32_t device_mask(const struct config *c, const struct config_model *m)
{
    uint32_t all = c->gpu_count >= 32 ? UINT32_MAX : (1U << c->gpu_count) - 1, mask = 0;
    if (c->planner != CONFIG_PLAN_FIT || (m->vram == CONFIG_VRAM_BYTES && m->vram_bytes == 0))
        return 0;
    if (m->gpus.count == 0)
        return all;
    for (uint32_t g = 0; g < c->gpu_count; g++)
        for (uint32_t i = 0; i < m->gpus.count; i++) {
            char index[12];
            char *p = index + sizeof(index);
            uint32_t v = g;
            *--p = '\0';
            do
                *--p = (char)('0' + v % 10);
            while ((v /= 10));
            if (strcmp(m->gpus.items[i], c->gpus[g].name) == 0 || strcmp(m->gpus.items[i], p) == 0)
                mask |= 1U << g;
        }
    return mask;
}

static void fill_model(const struct config *c, const struct config_model *m,
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
    uint32_t devices = device_mask(c, m);
    p->placement_count = devices != 0;
    p->placements[0] = (struct core_placement){
        .device_mask = devices,
        .device_count = 1,
        .bytes = m->vram == CONFIG_VRAM_BYTES ? m->vram_bytes : 0,
    };
}

/* Bytes can only be planned where a device says how many there are. */
bool roster_fits(const struct config *c)
{
    bool known = false;
    for (uint32_t i = 0; i < c->gpu_count; i++)
        known |= c->gpus[i].sim;
    return c->planner == CONFIG_PLAN_FIT && known;
}

void roster_configure(const struct roster *r,
                      void (*step)(void *arg, const struct core_config *config), void *arg)
{
    const struct config *c = r->current->config;
    struct core_model_policy *models = alloc_zeroed(r->count, sizeof(*models));
    struct core_group_policy *groups = alloc_zeroed(c->group_count, sizeof(*groups));
    struct core_device_policy devices[CORE_DEVICES_MAX] = {0};
    for (uint32_t i = 0; i < r->count; i++)
        if (r->entries[i].id && r->entries[i].index != CORE_SLOT_NONE)
            fill_model(c, &c->models[r->entries[i].index], &models[i]);
    for (uint32_t i = 0; i < c->group_count; i++)
        groups[i] = (struct core_group_policy){c->groups[i].swap, c->groups[i].exclusive,
                                               c->groups[i].persistent};
    for (uint32_t i = 0; i < c->gpu_count && i < CORE_DEVICES_MAX; i++)
        devices[i] = (struct core_device_policy){.reserve_bytes = c->gpus[i].reserve_bytes,
                                                 .limit_permille = c->gpus[i].limit_permille};
    struct core_config config = {
        /* The core has neither fair nor matrix yet: fifo, and one model at a time. */
        .sched = c->scheduler == CONFIG_SCHED_SERIAL ? SCHEDULER_SERIAL : SCHEDULER_FIFO,
        .plan = roster_fits(c) ? PLAN_FIT : PLAN_GROUP,
        .models = models,
        .model_count = r->count,
        .groups = groups,
        .group_count = c->group_count,
        .devices = devices,
        .device_count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX,
    };
    step(arg, &config);
    free(models);
    free(groups);
}

uint32_t roster_find(const struct roster *r, const char *name)
{
    const struct config_model *m = config_find_model(r->current->config, name);
    return m ? r->current->slots[m - r->current->config->models] : CORE_SLOT_NONE;
}

const struct config_model *roster_model(const struct roster *r, uint32_t slot)
{
    if (slot >= r->count || !r->entries[slot].id || r->entries[slot].index == CORE_SLOT_NONE)
        return NULL;
    return &r->current->config->models[r->entries[slot].index];
}

const char *roster_id(const struct roster *r, uint32_t slot)
{
    return slot < r->count && r->entries[slot].id ? r->entries[slot].id : "?";
}
