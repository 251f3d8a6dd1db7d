#include "server/record/archive_sample.h"

#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/server.h"

static void begin(struct archive_draft *row, int64_t at_ms)
{
    archive_draft_init(row, ARCHIVE_SAMPLES);
    archive_set_number(row, ARCHIVE_SAMPLES_at, at_ms);
    archive_set_number(row, ARCHIVE_SAMPLES_span_s, ARCHIVE_SAMPLE_MS / 1000);
    archive_set_number(row, ARCHIVE_SAMPLES_samples, 1);
}

static void set(struct archive_draft *row, enum archive_column_id column, bool known,
                int64_t number)
{
    if (known)
        archive_set_number(row, column, number);
}

static void sample_device(struct server *s, uint32_t device, int64_t at_ms)
{
    static const struct gpu_device nothing;
    const struct gpu_device *r = devices_reading(s->devices, device);
    struct core_device_view v;
    struct archive_draft row;
    r = r ? r : &nothing;
    core_view_device(s->runner.core, device, &v);
    begin(&row, at_ms);
    archive_set_text(&row, ARCHIVE_SAMPLES_device, s->roster.current->config->gpus[device].name);
    bool has_total = r->known & GPU_TOTAL, has_used = r->known & GPU_USED;
    set(&row, ARCHIVE_SAMPLES_total_bytes, has_total || v.present,
        (int64_t)(has_total ? r->total_bytes : v.total_bytes));
    set(&row, ARCHIVE_SAMPLES_used_bytes, has_used, (int64_t)r->used_bytes);
    set(&row, ARCHIVE_SAMPLES_own_bytes, true, (int64_t)v.own_bytes);
    set(&row, ARCHIVE_SAMPLES_leased_bytes, true, (int64_t)v.leased_bytes);
    set(&row, ARCHIVE_SAMPLES_foreign_bytes, has_used, (int64_t)v.foreign_bytes);
    set(&row, ARCHIVE_SAMPLES_utilisation_percent, r->known & GPU_UTILISATION,
        r->utilisation_percent);
    set(&row, ARCHIVE_SAMPLES_power_w, r->known & GPU_POWER, r->power_mw);
    set(&row, ARCHIVE_SAMPLES_temperature_c, r->known & GPU_TEMPERATURE, r->temperature_c);
    archiving_put(s, &row);
}

void archive_sample(struct server *s)
{
    struct archive_draft row;
    struct core_view v;
    int64_t at_ms = archiving_now_ms();
    for (uint32_t d = 0; d < s->roster.current->config->gpu_count; d++)
        sample_device(s, d, at_ms);
    core_view(s->runner.core, &v);
    begin(&row, at_ms);
    archive_set_number(&row, ARCHIVE_SAMPLES_waiting, v.waiting);
    archive_set_number(&row, ARCHIVE_SAMPLES_in_flight, v.running);
    archiving_put(s, &row);
}
