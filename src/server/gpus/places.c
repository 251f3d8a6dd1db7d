#include "server/gpus/places.h"

#include "server/server.h"

static const char *identity(const struct config_gpu *gpu)
{
    return gpu->uuid && *gpu->uuid ? gpu->uuid : gpu->name;
}

void places_name(const struct server *s, uint32_t devices, struct places *ret)
{
    const struct config *c = s->roster.current->config;
    *ret = (struct places){.count = 0};
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++)
        if (devices >> d & 1)
            record_put_name(ret->names[ret->count++], PLACE_NAME_BYTES, identity(&c->gpus[d]));
}

bool places_sound(const struct places *p)
{
    bool ends = true;
    for (size_t i = 0; i < CORE_DEVICES_MAX; i++)
        ends &= !p->names[i][PLACE_NAME_BYTES - 1];
    return ends && p->count <= CORE_DEVICES_MAX;
}

uint32_t places_find(const struct server *s, const struct places *p, uint32_t *ret_missing)
{
    const struct config *c = s->roster.current->config;
    uint32_t mask = 0;
    *ret_missing = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t here = 0;
        for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++)
            if (record_has_name(p->names[i], PLACE_NAME_BYTES, identity(&c->gpus[d])))
                here = 1U << d;
        mask |= here;
        *ret_missing += here == 0;
    }
    return mask;
}
