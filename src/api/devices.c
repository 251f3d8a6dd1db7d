/* GET /wharf/devices: what is known of each device, and whose its memory is. Of what is not known
 * it says null. */
#include <inttypes.h>

#include "api/handlers.h"
#include "api/json.h"
#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/process/proctree.h"

static void put_flag(struct buf *b, const char *name, bool value)
{
    buf_printf(b, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_named(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    api_put_text(b, text);
}

static void put_watts(struct buf *b, const char *name, bool known, uint32_t mw)
{
    if (known)
        buf_printf(b, ",\"%s\":%" PRIu32 ".%03" PRIu32, name, mw / 1000, mw % 1000);
    else
        buf_printf(b, ",\"%s\":null", name);
}

static void put_degrees(struct buf *b, const char *name, bool known, int32_t degrees)
{
    if (known)
        buf_printf(b, ",\"%s\":%" PRId32, name, degrees);
    else
        buf_printf(b, ",\"%s\":null", name);
}

static void put_identity(const struct gpu_device *is, struct buf *b)
{
    put_named(b, "maker", is ? gpu_source_text((enum gpu_source)is->source) : NULL);
    put_named(b, "model", is ? is->name : NULL);
    put_named(b, "uuid", is ? is->uuid : NULL);
    put_named(b, "pci", is ? is->pci : NULL);
    put_named(b, "driver", is ? is->driver : NULL);
    put_named(b, "driver_version", is ? is->driver_version : NULL);
    put_flag(b, "unified", is && is->unified);
    put_flag(b, "mig", is && is->mig);
}

static void put_memory(const struct server *s, uint32_t index, const struct gpu_device *r,
                       struct buf *b)
{
    struct core_device_view v;
    core_view_device(s->runner.core, index, &v);
    uint32_t known = r ? r->known : 0;
    uint64_t peak = devices_peak(s->devices, index);
    put_flag(b, "present", v.present);
    if (known & GPU_TOTAL)
        api_put_number(b, "total_bytes", true, r->total_bytes);
    else
        api_put_number(b, "total_bytes", v.present, v.total_bytes);
    api_put_number(b, "used_bytes", known & GPU_USED, r ? r->used_bytes : 0);
    api_put_number(b, "free_bytes", known & GPU_USED, r ? r->free_bytes : 0);
    api_put_number(b, "reserved_bytes", known & GPU_RESERVED, r ? r->reserved_bytes : 0);
    api_put_number(b, "own_bytes", true, v.own_bytes);
    api_put_number(b, "leased_bytes", true, v.leased_bytes);
    api_put_number(b, "settling_bytes", true, v.settling_bytes);
    api_put_number(b, "foreign_bytes", known & GPU_USED, v.foreign_bytes);
    api_put_number(b, "room_bytes", v.present, v.room_bytes);
    api_put_number(b, "peak_bytes", peak != 0, peak);
    buf_text(b, ",\"loading\":");
    api_put_model(b, s, v.loader < s->roster.count ? v.loader : CORE_SLOT_NONE);
}

static void put_gauges(const struct gpu_device *r, struct buf *b)
{
    static const struct gpu_device nothing;
    r = r ? r : &nothing;
    api_put_number(b, "utilisation_percent", r->known & GPU_UTILISATION, r->utilisation_percent);
    api_put_number(b, "memory_utilisation_percent", r->known & GPU_MEMORY_UTILISATION,
                   r->memory_utilisation_percent);
    put_degrees(b, "temperature_c", r->known & GPU_TEMPERATURE, r->temperature_c);
    put_degrees(b, "memory_temperature_c", r->known & GPU_MEMORY_TEMPERATURE,
                r->memory_temperature_c);
    put_watts(b, "power_w", r->known & GPU_POWER, r->power_mw);
    put_watts(b, "power_limit_w", r->known & GPU_POWER_LIMIT, r->power_limit_mw);
    api_put_number(b, "fan_percent", r->known & GPU_FAN, r->fan_percent);
}

static void put_processes(const struct server *s, uint32_t index, const struct gpu_device *r,
                          struct buf *b)
{
    bool known = r && (r->known & GPU_USES);
    buf_text(b, known ? ",\"processes\":[" : ",\"processes\":null");
    for (uint32_t i = 0; known && i < r->use_count; i++) {
        char name[PROCTREE_NAME_MAX];
        proctree_name(r->uses[i].pid, name);
        buf_printf(b, "%s{\"pid\":%" PRId32, i ? "," : "", r->uses[i].pid);
        put_named(b, "name", name);
        buf_printf(b, ",\"bytes\":%" PRIu64 ",\"model\":", r->uses[i].bytes);
        api_put_model(b, s, devices_owner(s->devices, index, i));
        const struct lease *l = leases_by_core(s, devices_owner_lease(s->devices, index, i));
        buf_text(b, ",\"lease\":");
        api_put_text(b, l ? leases_id(l) : NULL);
        put_named(b, "lease_name", l ? leases_name(l) : NULL);
        buf_char(b, '}');
    }
    buf_text(b, known ? "]" : "");
    put_named(b, "processes_unknown", r ? r->uses_problem : NULL);
}

static void put_device(const struct server *s, uint32_t index, struct buf *b)
{
    const struct gpu_device *r = devices_reading(s->devices, index);
    const char *name = s->roster.current->config->gpus[index].name;
    buf_printf(b, "{\"index\":%" PRIu32, index);
    put_named(b, "name", name);
    put_identity(devices_identity(s->devices, index), b);
    put_memory(s, index, r, b);
    put_gauges(r, b);
    put_processes(s, index, r, b);
    put_named(b, "degraded", devices_trouble(s->devices, index));
    buf_text(b, ",\"sampled_s\":");
    api_put_age(b, devices_read_at(s->devices, index));
    buf_char(b, '}');
}

void api_put_device_list(const struct server *s, struct buf *b)
{
    uint32_t count = s->roster.current->config->gpu_count;
    buf_text(b, "\"devices\":[");
    for (uint32_t i = 0; i < count && i < CORE_DEVICES_MAX; i++) {
        buf_text(b, i ? "," : "");
        put_device(s, i, b);
    }
    buf_char(b, ']');
}

void api_devices(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    buf_char(&json, '{');
    api_put_device_list(s, &json);
    buf_text(&json, ",\"degraded\":");
    api_put_text(&json, devices_problem(s->devices));
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
