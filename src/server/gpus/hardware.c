/* What the machine is, as llama-swap's /api/hardware says it. */
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "gpu/gpu.h"
#include "gpu/machine.h"
#include "server/gpus/devices.h"
#include "server/gpus/monitor.h"
#include "server/server.h"

static void put_text(struct buf *json, const char *name, const char *text)
{
    if (json->data[json->len - 1] != '{')
        buf_char(json, ',');
    buf_printf(json, "\"%s\":", name);
    buf_json_text(json, text);
}

/* As Go calls it, which is what llama-swap's clients know. */
static const char *common_name(const char *architecture)
{
    static const struct {
        const char *kernel, *name;
    } names[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i686", "386"}};
    for (size_t i = 0; i < countof(names); i++)
        if (strcmp(names[i].kernel, architecture) == 0)
            return names[i].name;
    return architecture;
}

static void put_machine(const struct machine *m, struct buf *json)
{
    buf_text(json, ",\"architecture\":{");
    put_text(json, "name", common_name(m->architecture));
    put_text(json, "raw_name", m->architecture);
    buf_text(json, "},\"operating_system\":{");
    put_text(json, "family", "linux");
    put_text(json, "name", m->os_name);
    put_text(json, "version", m->os_version);
    put_text(json, "kernel", m->kernel);
    buf_text(json, "},\"environment\":{");
    put_text(json, "kind", m->environment);
    put_text(json, "name", m->environment_name);
    put_text(json, "version", "");
    buf_text(json, "},\"cpu\":{");
    put_text(json, "vendor", m->cpu_vendor);
    put_text(json, "model", m->cpu_model);
    buf_printf(json,
               ",\"socket_count\":%u,\"physical_core_count\":%u,\"logical_thread_count\":%u},"
               "\"memory\":{\"capacity_bytes\":%llu}",
               m->sockets, m->cores, m->threads, (unsigned long long)m->memory_bytes);
}

/* What the files of Linux say of one; the readings say more, where there are any. */
struct accelerator {
    struct machine_accelerator is;
    bool unified;
    uint32_t limit_mw; /* 0: not known */
};

static void put_accelerator(const struct accelerator *what, uint32_t index, struct buf *json)
{
    const struct machine_accelerator *a = &what->is;
    buf_printf(json, "%s{\"index\":%u", index ? "," : "", index);
    put_text(json, "kind", "gpu");
    put_text(json, "vendor", a->vendor);
    put_text(json, "model", a->model);
    put_text(json, "architecture", "");
    buf_printf(json, ",\"memory\":{\"kind\":\"%s\",\"capacity_bytes\":",
               !a->memory_bytes ? "unknown"
               : what->unified  ? "unified"
                                : "dedicated");
    if (a->memory_bytes)
        buf_printf(json, "%llu},\"driver\":{", (unsigned long long)a->memory_bytes);
    else
        buf_text(json, "null},\"driver\":{");
    put_text(json, "name", a->driver);
    put_text(json, "version", a->driver_version);
    if (what->limit_mw)
        buf_printf(json, "},\"power_limit_watts\":%u.%02u}", what->limit_mw / 1000,
                   what->limit_mw % 1000 / 10);
    else
        buf_text(json, "},\"power_limit_watts\":null}");
}

static void copy_text(char *out, size_t size, const char *text)
{
    gpu_set_text(out, size, text);
}

static void put_found(const struct gpu_device *d, uint32_t index, struct buf *json)
{
    struct accelerator a = {.unified = d->unified};
    copy_text(a.is.vendor, sizeof(a.is.vendor), gpu_source_text((enum gpu_source)d->source));
    copy_text(a.is.model, sizeof(a.is.model), d->name);
    copy_text(a.is.driver, sizeof(a.is.driver), d->driver);
    copy_text(a.is.driver_version, sizeof(a.is.driver_version), d->driver_version);
    if (d->known & GPU_TOTAL)
        a.is.memory_bytes = d->total_bytes;
    if (d->known & GPU_POWER_LIMIT)
        a.limit_mw = d->power_limit_mw;
    put_accelerator(&a, index, json);
}

/* Those that the probe has found, or else those that the files show. */
static uint32_t put_real(const struct server *s, const struct machine *m, struct buf *json)
{
    const struct gpu_device *found;
    uint32_t count = 0;
    for (; (found = devices_found(s->devices, count)); count++)
        put_found(found, count, json);
    for (uint32_t i = 0; !devices_found(s->devices, 0) && i < m->accelerator_count; i++) {
        struct accelerator a = {.is = m->accelerators[i]};
        put_accelerator(&a, count++, json);
    }
    return count;
}

/* Simulated devices stand behind those that the machine has. */
static void put_simulated(const struct server *s, uint32_t index, struct buf *json)
{
    const struct config *c = s->roster.current->config;
    for (uint32_t i = 0; i < c->gpu_count; i++) {
        struct accelerator a = {.is = {.vendor = "simulated", .driver = "sim"}};
        if (!c->gpus[i].sim)
            continue;
        copy_text(a.is.model, sizeof(a.is.model), c->gpus[i].name);
        a.is.memory_bytes = c->gpus[i].memory_bytes;
        put_accelerator(&a, index++, json);
    }
}

void hardware_write(const struct server *s, const struct machine *m, uint64_t wall_ns,
                    struct buf *json)
{
    char time[DATE_TEXT_MAX];
    buf_printf(json,
               "{\"schema_version\":1,\"captured_at\":\"%s\",\"capture\":{\"scope\":"
               "\"inference_host\",\"method\":\"detected\",\"detector\":{\"name\":\"wharf\","
               "\"version\":\"" WHARF_VERSION "\"}}",
               date_format(wall_ns, time));
    put_machine(m, json);
    buf_text(json, ",\"accelerators\":[");
    put_simulated(s, put_real(s, m, json), json);
    buf_text(json, "]}\n");
}
