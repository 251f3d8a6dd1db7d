#include "server/record/metrics.h"

#include <string.h>

#include "gpu/gpu.h"
#include "gpu/host.h"
#include "server/gpus/devices.h"
#include "server/gpus/monitor.h"
#include "server/server.h"

struct metric;

/* Where samples of a metric go. */
struct samples {
    const struct server *server;
    const struct host_reading *host; /* NULL: there is none */
    const struct metric *metric;
    struct buf *out;
    bool headed;
};

struct metric {
    const char *name, *type, *help;
    void (*put)(struct samples *s);
};

/* The name and what is said of it, before the first sample. */
static void begin_sample(struct samples *s)
{
    const struct metric *m = s->metric;
    if (!s->headed)
        buf_printf(s->out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
    s->headed = true;
    buf_text(s->out, m->name);
}

/* "{a=" or ",b=" with the value, escaped as the format wants it. */
static void put_label(struct samples *s, const char *name, const char *value)
{
    buf_printf(s->out, "%c%s=\"", s->out->data[s->out->len - 1] == '"' ? ',' : '{', name);
    for (const char *p = value; *p; p++)
        if (*p == '\n')
            buf_text(s->out, "\\n");
        else if (*p == '"' || *p == '\\')
            buf_printf(s->out, "\\%c", *p);
        else
            buf_char(s->out, *p);
    buf_char(s->out, '"');
}

static void put_number(struct samples *s, const char *before, uint64_t value)
{
    buf_printf(s->out, "%s %llu\n", before, (unsigned long long)value);
}

static void put_hundredths(struct samples *s, uint32_t value)
{
    buf_printf(s->out, "} %u.%02u\n", value / 100, value % 100);
}

/* ---- the machine ---- */

static void put_cores(struct samples *s)
{
    for (uint32_t i = 0; s->host && i < s->host->core_count; i++) {
        begin_sample(s);
        buf_printf(s->out, "{core=\"%u\"", i);
        put_hundredths(s, monitor_core_busy(s->server, i));
    }
}

static void put_memory(struct samples *s, uint64_t bytes)
{
    begin_sample(s);
    put_number(s, "", bytes);
}

#define MEMORY(name, field)                                                                        \
    static void name(struct samples *s)                                                            \
    {                                                                                              \
        if (s->host && s->host->memory_known)                                                      \
            put_memory(s, s->host->field);                                                         \
    }
MEMORY(put_memory_total, memory_total_bytes)
MEMORY(put_memory_used, memory_used_bytes)
MEMORY(put_memory_free, memory_free_bytes)
MEMORY(put_swap_total, swap_total_bytes)
MEMORY(put_swap_used, swap_used_bytes)

static void put_loads(struct samples *s)
{
    static const char *const intervals[] = {"1m", "5m", "15m"};
    for (size_t i = 0; s->host && s->host->load_known && i < countof(intervals); i++) {
        begin_sample(s);
        put_label(s, "interval", intervals[i]);
        put_hundredths(s, s->host->load_hundredths[i]);
    }
}

static void put_traffic(struct samples *s, const struct host_net *net, const char *direction,
                        uint64_t bytes)
{
    begin_sample(s);
    put_label(s, "interface", net->name);
    put_label(s, "direction", direction);
    put_number(s, "}", bytes);
}

static void put_network(struct samples *s)
{
    for (uint32_t i = 0; s->host && i < s->host->net_count; i++) {
        const struct host_net *net = &s->host->nets[i];
        put_traffic(s, net, "recv", net->received_bytes);
        put_traffic(s, net, "sent", net->sent_bytes);
    }
}

/* ---- its devices ---- */

/* A gauge of each device that knows it, all of one reading. */
static void put_devices(struct samples *s, uint32_t bit,
                        uint64_t (*value)(const struct gpu_device *))
{
    const struct config *c = s->server->roster.current->config;
    for (uint32_t i = 0; i < c->gpu_count && i < CORE_DEVICES_MAX; i++) {
        const struct gpu_device *r = devices_reading(s->server->devices, i);
        if (!r || !(r->known & bit))
            continue;
        begin_sample(s);
        buf_printf(s->out, "{id=\"%u\"", i);
        put_label(s, "name", r->name);
        if (r->uuid[0])
            put_label(s, "uuid", r->uuid);
        if (bit == GPU_POWER)
            put_hundredths(s, r->power_mw / 10);
        else
            put_number(s, "}", value(r));
    }
}

#define DEVICE(function, bit, member)                                                              \
    static uint64_t value_of_##function(const struct gpu_device *r)                                \
    {                                                                                              \
        return (uint64_t)r->member;                                                                \
    }                                                                                              \
    static void function(struct samples *s)                                                        \
    {                                                                                              \
        put_devices(s, bit, value_of_##function);                                                  \
    }
DEVICE(put_device_temperature, GPU_TEMPERATURE, temperature_c)
DEVICE(put_device_memory_temperature, GPU_MEMORY_TEMPERATURE, memory_temperature_c)
DEVICE(put_device_utilisation, GPU_UTILISATION, utilisation_percent)
DEVICE(put_device_memory_utilisation, GPU_MEMORY_UTILISATION, memory_utilisation_percent)
DEVICE(put_device_used, GPU_USED, used_bytes)
DEVICE(put_device_total, GPU_TOTAL, total_bytes)
DEVICE(put_device_fan, GPU_FAN, fan_percent)
DEVICE(put_device_power, GPU_POWER, power_mw)

static const struct metric metrics[] = {
    {"llamaswap_cpu_util_percent", "gauge", "How busy each core was, in percent.", put_cores},
    {"llamaswap_memory_total_bytes", "gauge", "Memory of the machine.", put_memory_total},
    {"llamaswap_memory_used_bytes", "gauge", "Memory in use.", put_memory_used},
    {"llamaswap_memory_free_bytes", "gauge", "Memory that nothing uses, not even caches.",
     put_memory_free},
    {"llamaswap_swap_total_bytes", "gauge", "Swap space.", put_swap_total},
    {"llamaswap_swap_used_bytes", "gauge", "Swap space in use.", put_swap_used},
    {"llamaswap_load_average", "gauge", "Mean load over the interval.", put_loads},
    {"llamaswap_network_bytes_total", "counter", "Bytes through each network interface.",
     put_network},
    {"llamaswap_gpu_temperature_celsius", "gauge", "Temperature of the device.",
     put_device_temperature},
    {"llamaswap_gpu_vram_temperature_celsius", "gauge", "Temperature of the device's memory.",
     put_device_memory_temperature},
    {"llamaswap_gpu_util_percent", "gauge", "How busy the device was, in percent.",
     put_device_utilisation},
    {"llamaswap_gpu_memory_util_percent", "gauge", "How busy its memory was, in percent.",
     put_device_memory_utilisation},
    {"llamaswap_gpu_memory_used_bytes", "gauge", "Device memory in use.", put_device_used},
    {"llamaswap_gpu_memory_total_bytes", "gauge", "Device memory.", put_device_total},
    {"llamaswap_gpu_fan_speed_percent", "gauge", "Speed of the device's fan, in percent.",
     put_device_fan},
    {"llamaswap_gpu_power_draw_watts", "gauge", "What the device draws.", put_device_power},
};

void metrics_write(const struct server *s, struct buf *out)
{
    for (size_t i = 0; i < countof(metrics); i++) {
        struct samples samples = {
            .server = s, .host = monitor_latest(s), .metric = &metrics[i], .out = out};
        metrics[i].put(&samples);
    }
}
