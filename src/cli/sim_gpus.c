#include "cli/sim_gpus.h"

#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"

int sim_gpus_replace(struct config *c, const char *sizes, struct sim_gpus *store, struct err *e)
{
    uint32_t count = 0;
    for (const char *p = sizes;; p++) {
        char text[UNITS_TEXT_MAX] = "";
        size_t n = strcspn(p, ",");
        uint64_t bytes = 0;
        if (n < sizeof(text))
            memcpy(text, p, n);
        if (!units_parse_bytes(text, &bytes) || bytes == 0 || count == CORE_DEVICES_MAX)
            return err_set(e, "--gpus: '%.60s' are not sizes such as 24GiB,24GiB, at most %d",
                           sizes, CORE_DEVICES_MAX);
        struct config_gpu *gpu = &store->items[count];
        snprintf(store->names[count], SIM_GPU_NAME_MAX, "gpu%u", count);
        *gpu = (struct config_gpu){.name = store->names[count], .limit_permille = 1000};
        if (count < c->gpu_count)
            *gpu = c->gpus[count];
        gpu->sim = true;
        gpu->memory_bytes = bytes;
        count++;
        p += n;
        if (!*p)
            break;
    }
    c->gpus = store->items;
    c->gpu_count = count;
    return 0;
}
