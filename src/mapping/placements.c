/* What a model's placements are called, in the order that mapping_init gives them. */
#include <string.h>

#include "mapping/mapping.h"

/* All that the model may use is one place. */
#define ANY_GPU "gpu"

/* Of the GPUs that some mode wants the model on, the one of that rank; CORE_SLOT_NONE: none. */
static uint32_t wished_gpu(const struct config *c, uint32_t model, uint32_t rank)
{
    for (uint32_t g = 0; g < c->gpu_count && g < CORE_DEVICES_MAX; g++) {
        bool wished = false;
        for (uint32_t i = 0; i < c->mode_count; i++)
            for (uint32_t w = 0; w < c->modes[i].wish_count; w++)
                wished |= c->modes[i].wishes[w].model == model && c->modes[i].wishes[w].gpu == g;
        if (wished && rank-- == 0)
            return g;
    }
    return CORE_SLOT_NONE;
}

const char *mapping_placement_name(const struct config *c, uint32_t model, uint32_t placement)
{
    const struct config_model *m = &c->models[model];
    if (m->vram == CONFIG_VRAM_BYTES && m->vram_bytes == 0)
        return NULL;
    if (placement == 0)
        return ANY_GPU;
    uint32_t gpu =
        placement < CORE_PLACEMENTS_MAX ? wished_gpu(c, model, placement - 1) : CORE_SLOT_NONE;
    return gpu == CORE_SLOT_NONE ? NULL : c->gpus[gpu].name;
}

uint32_t mapping_placement_find(const struct config *c, uint32_t model, const char *device)
{
    const char *name;
    for (uint32_t p = 0; (name = mapping_placement_name(c, model, p)); p++)
        if (strcmp(name, device) == 0)
            return p;
    return CORE_SLOT_NONE;
}
