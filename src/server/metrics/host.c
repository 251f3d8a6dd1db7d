/* What the machine and its devices do, in the words of llama-swap. */
#include "gpu/host.h"
#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/gpus/monitor.h"
#include "server/metrics/samples.h"
#include "server/server.h"

/* ---- the machine ---- */

void metrics_put_cores(struct samples *s)
{
    const struct host_reading *host = s->now->host;
    for (uint32_t i = 0; host && i < host->core_count; i++) {
        samples_label_number(s, i);
        samples_put_decimal(s, monitor_core_busy(s->server, i), 2);
    }
}

#define MEMORY(name, field)                                                                        \
    void metrics_put_##name(struct samples *s)                                                     \
    {                                                                                              \
        if (s->now->host && s->now->host->memory_known)                                            \
            samples_put(s, s->now->host->field);                                                   \
    }
MEMORY(memory_total, memory_total_bytes)
MEMORY(memory_used, memory_used_bytes)
MEMORY(memory_free, memory_free_bytes)
MEMORY(swap_total, swap_total_bytes)
MEMORY(swap_used, swap_used_bytes)

void metrics_put_loads(struct samples *s)
{
    static const char *const intervals[] = {"1m", "5m", "15m"};
    const struct host_reading *host = s->now->host;
    for (size_t i = 0; host && host->load_known && i < countof(intervals); i++) {
        samples_label(s, intervals[i]);
        samples_put_decimal(s, host->load_hundredths[i], 2);
    }
}

static void put_traffic(struct samples *s, const char *interface, const char *direction,
                        uint64_t bytes)
{
    samples_label(s, interface);
    samples_label(s, direction);
    samples_put(s, bytes);
}

void metrics_put_network(struct samples *s)
{
    const struct host_reading *host = s->now->host;
    for (uint32_t i = 0; host && i < host->net_count; i++) {
        put_traffic(s, host->nets[i].name, "recv", host->nets[i].received_bytes);
        put_traffic(s, host->nets[i].name, "sent", host->nets[i].sent_bytes);
    }
}

/* ---- its devices ---- */

/* The next device from *at on whose last reading knows this, with its labels; NULL: there is none.
 */
static const struct gpu_device *next_device(struct samples *s, uint32_t *at, uint32_t bit)
{
    uint32_t count = s->server->roster.current->config->gpu_count;
    for (; *at < count && *at < CORE_DEVICES_MAX; ++*at) {
        const struct gpu_device *r = devices_reading(s->server->devices, *at);
        if (!r || !(r->known & bit))
            continue;
        samples_label_number(s, (*at)++);
        samples_label(s, r->name);
        samples_label(s, r->uuid[0] ? r->uuid : NULL);
        return r;
    }
    return NULL;
}

#define DEVICE(name, bit, put)                                                                     \
    void metrics_put_gpu_##name(struct samples *s)                                                 \
    {                                                                                              \
        const struct gpu_device *r;                                                                \
        for (uint32_t at = 0; (r = next_device(s, &at, bit));)                                     \
            put;                                                                                   \
    }
DEVICE(temperature, GPU_TEMPERATURE, samples_put_signed(s, r->temperature_c))
DEVICE(memory_temperature, GPU_MEMORY_TEMPERATURE, samples_put_signed(s, r->memory_temperature_c))
DEVICE(utilisation, GPU_UTILISATION, samples_put(s, r->utilisation_percent))
DEVICE(memory_utilisation, GPU_MEMORY_UTILISATION, samples_put(s, r->memory_utilisation_percent))
DEVICE(used, GPU_USED, samples_put(s, r->used_bytes))
DEVICE(total, GPU_TOTAL, samples_put(s, r->total_bytes))
DEVICE(fan, GPU_FAN, samples_put(s, r->fan_percent))
DEVICE(power, GPU_POWER, samples_put_decimal(s, r->power_mw / 10, 2))
