#include "server/gpus/monitor.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alloc.h"
#include "base/date.h"
#include "gpu/gpu.h"
#include "gpu/host.h"
#include "gpu/machine.h"
#include "server/gpus/devices.h"
#include "server/server.h"

#define KEPT_NS (3600 * NS_PER_S)

/* One measurement, as it is shown. */
struct sample {
    uint64_t wall_ns;
    char *system,
        *devices; /* owned; JSON objects, commas between them; devices "": there is none */
};

struct monitor {
    struct server *server;
    uv_timer_t timer;
    uv_work_t work;
    bool busy, closed, measured, machine_known;
    struct host_reading readings[2];    /* the last one, and the one under way */
    uint32_t last;                      /* which is the last */
    uint32_t core_busy[HOST_CORES_MAX]; /* of the last */
    struct sample *samples;             /* owned; a ring */
    uint32_t capacity, first, count;
    struct machine machine;
    char *store_path;                 /* owned, while it is looked at; else NULL */
    uint64_t store_bytes, store_next; /* of the last, and of the one under way; 0: not there */
    uint64_t machine_ns;              /* wall clock, when it was read */
};

static uint64_t wall_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static const struct config_observe *settings_of(const struct server *s)
{
    return &s->roster.current->config->observe;
}

/* ---- one measurement as JSON ---- */

static void put_hundredths(struct buf *json, uint32_t value)
{
    buf_printf(json, "%u.%02u", value / 100, value % 100);
}

static void put_memory(struct buf *json, const struct host_reading *r)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } rows[] = {{"mem_total_mb", r->memory_total_bytes},
                {"mem_used_mb", r->memory_used_bytes},
                {"mem_free_mb", r->memory_free_bytes},
                {"swap_total_mb", r->swap_total_bytes},
                {"swap_used_mb", r->swap_used_bytes}};
    for (size_t i = 0; i < countof(rows); i++) {
        buf_printf(json, ",\"%s\":", rows[i].name);
        if (r->memory_known)
            buf_printf(json, "%llu", (unsigned long long)(rows[i].bytes / MIB));
        else
            buf_text(json, "null");
    }
}

static void put_loads(struct buf *json, const struct host_reading *r)
{
    static const char *const names[] = {"load_avg_1", "load_avg_5", "load_avg_15"};
    for (size_t i = 0; i < countof(names); i++) {
        buf_printf(json, ",\"%s\":", names[i]);
        if (r->load_known)
            put_hundredths(json, r->load_hundredths[i]);
        else
            buf_text(json, "null");
    }
}

static char *write_system(const struct monitor *m, const char *time)
{
    const struct host_reading *r = &m->readings[m->last];
    struct buf json = {0};
    buf_printf(&json, "{\"timestamp\":\"%s\",\"cpu_util_per_core\":[", time);
    for (uint32_t i = 0; i < r->core_count; i++) {
        buf_text(&json, i ? "," : "");
        put_hundredths(&json, m->core_busy[i]);
    }
    buf_char(&json, ']');
    put_memory(&json, r);
    put_loads(&json, r);
    buf_text(&json, ",\"net_io\":[");
    for (uint32_t i = 0; i < r->net_count; i++) {
        buf_printf(&json, "%s{\"name\":", i ? "," : "");
        buf_json_text(&json, r->nets[i].name);
        buf_printf(&json, ",\"bytes_recv\":%llu,\"bytes_sent\":%llu}",
                   (unsigned long long)r->nets[i].received_bytes,
                   (unsigned long long)r->nets[i].sent_bytes);
    }
    buf_text(&json, "]}");
    return buf_take(&json);
}

static void put_number(struct buf *json, const char *name, bool known, int64_t value)
{
    if (known)
        buf_printf(json, ",\"%s\":%lld", name, (long long)value);
    else
        buf_printf(json, ",\"%s\":null", name);
}

/* Everything of one reading; of what is not known, null. */
static void put_device(const struct server *s, uint32_t device, const char *time, struct buf *json)
{
    const struct gpu_device *r = devices_reading(s->devices, device);
    if (!r)
        return;
    uint32_t known = r->known;
    buf_printf(json, "%s{\"timestamp\":\"%s\",\"id\":%u,\"name\":", json->len ? "," : "", time,
               device);
    buf_json_text(json, r->name);
    buf_text(json, ",\"uuid\":");
    buf_json_text(json, r->uuid);
    put_number(json, "temp_c", known & GPU_TEMPERATURE, r->temperature_c);
    put_number(json, "vram_temp_c", known & GPU_MEMORY_TEMPERATURE, r->memory_temperature_c);
    put_number(json, "gpu_util_pct", known & GPU_UTILISATION, r->utilisation_percent);
    put_number(json, "mem_util_pct", known & GPU_MEMORY_UTILISATION, r->memory_utilisation_percent);
    put_number(json, "mem_used_mb", known & GPU_USED, (int64_t)(r->used_bytes / MIB));
    put_number(json, "mem_total_mb", known & GPU_TOTAL, (int64_t)(r->total_bytes / MIB));
    put_number(json, "fan_speed_pct", known & GPU_FAN, r->fan_percent);
    if (known & GPU_POWER)
        buf_printf(json, ",\"power_draw_w\":%u.%02u}", r->power_mw / 1000, r->power_mw % 1000 / 10);
    else
        buf_text(json, ",\"power_draw_w\":null}");
}

static char *write_devices(const struct server *s, const char *time)
{
    const struct config *c = s->roster.current->config;
    struct buf json = {0};
    for (uint32_t i = 0; i < c->gpu_count && i < CORE_DEVICES_MAX; i++)
        put_device(s, i, time, &json);
    return buf_take(&json);
}

/* ---- the ring ---- */

static struct sample *at(const struct monitor *m, uint32_t i)
{
    return &m->samples[(m->first + i) % m->capacity];
}

static void drop_first(struct monitor *m)
{
    struct sample *old = at(m, 0);
    free(old->system);
    free(old->devices);
    m->first = (m->first + 1) % m->capacity;
    m->count--;
}

static void drop_all(struct monitor *m)
{
    while (m->count)
        drop_first(m);
    free(m->samples);
    m->samples = NULL;
    m->first = m->capacity = 0;
}

static void keep(struct monitor *m)
{
    char time[DATE_TEXT_MAX];
    uint64_t now = wall_ns();
    if (m->count == m->capacity)
        drop_first(m);
    date_format(now, time);
    m->count++;
    *at(m, m->count - 1) = (struct sample){
        .wall_ns = now, .system = write_system(m, time), .devices = write_devices(m->server, time)};
}

/* ---- measuring ---- */

/* A file system that does not answer must not keep the loop. */
static uint64_t size_of_store(const char *path)
{
    struct stat file, journal;
    char *wal = alloc_printf("%s-wal", path);
    uint64_t sum = stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
    sum += stat(wal, &journal) == 0 ? (uint64_t)journal.st_size : 0;
    free(wal);
    return sum;
}

static void read_host(uv_work_t *work)
{
    struct monitor *m = container_of(work, struct monitor, work);
    host_read("", &m->readings[!m->last]);
    m->store_next = m->store_path ? size_of_store(m->store_path) : 0;
    if (!m->machine_known)
        machine_read("", &m->machine);
}

static void on_read(uv_work_t *work, int status)
{
    struct monitor *m = container_of(work, struct monitor, work);
    m->busy = false;
    free(m->store_path);
    m->store_path = NULL;
    if (m->closed || status == UV_ECANCELED)
        return;
    if (!m->machine_known)
        m->machine_ns = wall_ns();
    m->machine_known = true;
    if (!monitor_enabled(m->server))
        return;
    const struct host_reading *before = &m->readings[m->last], *now = &m->readings[!m->last];
    for (uint32_t i = 0; i < now->core_count; i++)
        m->core_busy[i] = host_core_busy(before, now, i);
    m->last = !m->last;
    m->store_bytes = m->store_next;
    m->measured = true;
    keep(m);
}

static void start_reading(struct monitor *m)
{
    if (m->busy)
        return;
    const char *path = settings_of(m->server)->store_path;
    m->busy = true;
    m->store_path = *path ? alloc_text(path) : NULL;
    uv_queue_work(m->server->loop, &m->work, read_host, on_read);
}

static void on_timer(uv_timer_t *timer)
{
    start_reading(container_of(timer, struct monitor, timer));
}

/* Begins anew: what was kept was measured at other intervals. */
static void apply(struct monitor *m)
{
    const struct config_observe *o = settings_of(m->server);
    drop_all(m);
    m->measured = false;
    uv_timer_stop(&m->timer);
    if (o->performance_disabled)
        return;
    uint64_t rows = KEPT_NS / o->performance_ns, ms = o->performance_ns / NS_PER_MS;
    m->capacity = rows ? (uint32_t)rows : 1;
    m->samples = alloc_zeroed(m->capacity, sizeof(*m->samples));
    uv_timer_start(&m->timer, on_timer, ms, ms);
}

void monitor_init(struct server *s)
{
    s->monitor = alloc_zeroed(1, sizeof(*s->monitor));
    s->monitor->server = s;
    uv_timer_init(s->loop, &s->monitor->timer);
}

int monitor_start(struct server *s, struct err *err)
{
    (void)err;
    apply(s->monitor);
    start_reading(s->monitor);
    return 0;
}

void monitor_reload(struct server *s, const struct config_ref *old)
{
    const struct config_observe *a = &old->config->observe, *b = settings_of(s);
    if (a->performance_disabled == b->performance_disabled &&
        a->performance_ns == b->performance_ns)
        return;
    apply(s->monitor);
    if (monitor_enabled(s))
        start_reading(s->monitor);
}

void monitor_close(struct server *s)
{
    s->monitor->closed = true;
    uv_close((uv_handle_t *)&s->monitor->timer, NULL);
}

void monitor_fini(struct server *s)
{
    drop_all(s->monitor);
    free(s->monitor);
}

/* ---- what others ask ---- */

bool monitor_enabled(const struct server *s)
{
    return !settings_of(s)->performance_disabled;
}

const struct host_reading *monitor_latest(const struct server *s)
{
    const struct monitor *m = s->monitor;
    return m->measured ? &m->readings[m->last] : NULL;
}

uint32_t monitor_core_busy(const struct server *s, uint32_t core)
{
    return s->monitor->core_busy[core];
}

bool monitor_store_bytes(const struct server *s, uint64_t *ret_bytes)
{
    if (!s->monitor->store_bytes)
        return false;
    *ret_bytes = s->monitor->store_bytes;
    return true;
}

static void put_rows(const struct monitor *m, uint64_t after_ns, bool devices, struct buf *json)
{
    const char *sep = "[";
    for (uint32_t i = 0; i < m->count; i++) {
        const struct sample *row = at(m, i);
        const char *text = devices ? row->devices : row->system;
        if (row->wall_ns <= after_ns || !*text)
            continue;
        buf_text(json, sep);
        buf_text(json, text);
        sep = ",";
    }
    buf_text(json, *sep == '[' ? "null" : "]");
}

void monitor_write(const struct server *s, uint64_t after_ns, struct buf *json)
{
    buf_text(json, "{\"enabled\":true,\"gpu_stats\":");
    put_rows(s->monitor, after_ns, true, json);
    buf_text(json, ",\"sys_stats\":");
    put_rows(s->monitor, after_ns, false, json);
    buf_text(json, "}\n");
}

bool monitor_write_hardware(const struct server *s, struct buf *json)
{
    const struct monitor *m = s->monitor;
    if (m->machine_known)
        hardware_write(s, &m->machine, m->machine_ns, json);
    return m->machine_known;
}
