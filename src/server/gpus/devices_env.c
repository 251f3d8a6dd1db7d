/* What a model's server is told of the devices that it sits on. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/gpus/devices_priv.h"
#include "server/server.h"

static void put_sims(const struct devices *d, uint32_t mask, char **env, size_t *count)
{
    struct buf out = {0};
    for (uint32_t i = 0; i < d->count; i++) {
        if (!(mask & 1U << i) || !d->all[i].folder)
            continue;
        buf_text(&out, out.len ? "\n" : "WHARF_SIM_FOLDER=");
        buf_text(&out, d->all[i].folder);
    }
    if (out.len)
        env[(*count)++] = buf_take(&out);
    buf_fini(&out);
}

/* By UUID, since CUDA and the driver count in different orders; AMD's runtime by its numbers. */
static void put_gpus(const struct devices *d, uint32_t mask, enum gpu_source source,
                     struct buf *out)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct gpu_device *is = devices_identity(d, i);
        if (!(mask & 1U << i) || !is || is->source != source)
            continue;
        buf_text(out, out->data[out->len - 1] == '=' ? "" : ",");
        if (source == GPU_NVIDIA && is->uuid[0])
            buf_text(out, is->uuid);
        else
            buf_printf(out, "%u", is->index);
    }
}

static void put_visible(const struct devices *d, uint32_t mask, const char *variable,
                        enum gpu_source source, char **env, size_t *count)
{
    struct buf out = {0};
    buf_printf(&out, "%s=", variable);
    size_t before = out.len;
    put_gpus(d, mask, source, &out);
    if (out.len > before)
        env[(*count)++] = buf_take(&out);
    buf_fini(&out);
}

void devices_put_no_gpu(char **env)
{
    while (*env)
        env++;
    /* No number is -1: both runtimes then see no GPU. */
    env[0] = alloc_text("CUDA_VISIBLE_DEVICES=-1");
    env[1] = alloc_text("HIP_VISIBLE_DEVICES=-1");
}

void devices_put_env(const struct devices *d, uint32_t mask, char **env)
{
    const struct config *c = d->server->roster.current->config;
    size_t count = 0;
    while (env[count])
        count++;
    if (!c->gpus_listed && c->gpu_choice == CONFIG_GPUS_CPU) {
        devices_put_no_gpu(env);
        return;
    }
    size_t before = count;
    put_sims(d, mask, env, &count);
    size_t sims = count;
    put_visible(d, mask, "CUDA_VISIBLE_DEVICES", GPU_NVIDIA, env, &count);
    if (count > sims)
        env[count++] = alloc_text("CUDA_DEVICE_ORDER=PCI_BUS_ID");
    put_visible(d, mask, "HIP_VISIBLE_DEVICES", GPU_AMD, env, &count);
    must(count - before <= DEVICES_ENV_MAX);
}
