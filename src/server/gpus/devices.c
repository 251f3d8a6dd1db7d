#include "server/gpus/devices.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gpu/sim.h"
#include "server/gpus/devices_priv.h"
#include "server/residents/residents.h"
#include "server/server.h"

#define READING_OLD_NS_MIN (3 * NS_PER_S)
#define READING_OLD_PERIODS 5
/* After so many readings a stranger is looked at again. */
#define STRANGER_AGE_MAX 10

const char *device_name(const struct device *v)
{
    const struct config *c = v->devices->server->roster.current->config;
    return v->index < c->gpu_count ? c->gpus[v->index].name : "?";
}

/* ---- what is wrong ---- */

/* The slots of the models that may sit on one of those devices. The caller frees them. */
static uint32_t *models_on(const struct server *s, uint32_t devices, uint32_t *ret_count)
{
    const struct config_ref *ref = s->roster.current;
    const struct config *c = ref->config;
    uint32_t *slots = alloc_zeroed(c->model_count + 1, sizeof(*slots)), count = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct config_model *m = &c->models[i];
        bool may = false;
        for (uint32_t p = 0; p < m->placement_count; p++)
            for (uint32_t g = 0; g < c->gpu_count; g++)
                may |= (devices >> g & 1) && config_placement_may_use(c, &m->placements[p], g);
        if (may)
            slots[count++] = ref->slots[i];
    }
    *ret_count = count;
    return slots;
}

static void tell_degraded(struct server *s, const char *name, const char *reason, uint32_t devices)
{
    uint32_t count, *models = models_on(s, devices, &count);
    degraded_set(s, DEGRADED_GPU, name, reason, models, count);
    free(models);
}

void device_set_trouble(struct device *v, const char *text)
{
    struct server *s = v->devices->server;
    char name[sizeof(v->degraded)];
    /* One that is listed has no name before it was found. */
    if (*device_name(v))
        snprintf(name, sizeof(name), "%s", device_name(v));
    else
        snprintf(name, sizeof(name), "gpus[%u]", v->index);
    snprintf(v->trouble, sizeof(v->trouble), "%s", text);
    if (*v->degraded && (!*text || strcmp(v->degraded, name) != 0)) {
        degraded_clear(s, DEGRADED_GPU, v->degraded);
        v->degraded[0] = '\0';
    }
    if (!*text)
        return;
    snprintf(v->degraded, sizeof(v->degraded), "%s", name);
    tell_degraded(s, v->degraded, v->trouble, 1U << v->index);
}

void devices_set_problem(struct devices *d, const char *text)
{
    uint32_t real = 0;
    for (uint32_t i = 0; i < d->count; i++)
        real |= d->all[i].folder ? 0 : 1U << i;
    snprintf(d->problem, sizeof(d->problem), "%s", text);
    if (*text)
        tell_degraded(d->server, DEGRADED_ALL, d->problem, real);
    else
        degraded_clear(d->server, DEGRADED_GPU, DEGRADED_ALL);
}

/* ---- whose memory it is ---- */

/* What is known of it already; false where it has to be looked up. A stranger is looked at again
 * from time to time: its model may not have been known to be running. */
static bool owner_again(const struct device *v, const struct gpu_use *use, struct device_owner *ret)
{
    for (uint32_t i = 0; use->start_ticks && i < v->owner_count; i++) {
        const struct device_owner *o = &v->owners[i];
        if (o->pid != use->pid || o->start_ticks != use->start_ticks)
            continue;
        *ret = *o;
        ret->age++;
        if (!id_none(o->lease))
            return leases_by_core(v->devices->server, o->lease) != NULL;
        if (o->slot == CORE_SLOT_NONE)
            return ret->age < STRANGER_AGE_MAX;
        return resident_at(v->devices->server, o->slot) == o->resident;
    }
    return false;
}

static void attribute(struct device *v)
{
    struct server *s = v->devices->server;
    struct device_owner owners[GPU_USES_MAX];
    struct resident_claim claims[GPU_USES_MAX];
    v->use_count = 0;
    v->uses_known = (v->now.known & GPU_USES) != 0;
    if (!v->uses_known)
        return;
    const uint32_t count = v->now.use_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct gpu_use *use = &v->now.uses[i];
        owners[i] = (struct device_owner){.slot = CORE_SLOT_NONE};
        bool known = owner_again(v, use, &owners[i]);
        claims[i] = (struct resident_claim){.pid = use->pid,
                                            .bytes = use->bytes,
                                            .known = known,
                                            .lease = known ? owners[i].lease : (struct id){0},
                                            .slot = known ? owners[i].slot : CORE_SLOT_NONE};
    }
    v->use_count = resident_uses(s, v->index, claims, count, v->uses, GPU_USES_MAX);
    v->use_count +=
        leases_uses(s, claims, count, v->uses + v->use_count, GPU_USES_MAX - v->use_count);
    for (uint32_t i = 0; i < count; i++)
        if (!claims[i].known || claims[i].slot != owners[i].slot)
            owners[i] = (struct device_owner){.pid = claims[i].pid,
                                              .start_ticks = v->now.uses[i].start_ticks,
                                              .slot = claims[i].slot,
                                              .lease = claims[i].lease,
                                              .resident = resident_at(s, claims[i].slot)};
    memcpy(v->owners, owners, count * sizeof(owners[0]));
    v->owner_count = count;
}

static uint64_t uses_on(const struct device *v, uint32_t slot)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < v->use_count; k++)
        sum += v->uses[k].model == slot ? v->uses[k].bytes : 0;
    return sum;
}

bool devices_model_uses(const struct devices *d, uint32_t slot, uint64_t *ret_bytes)
{
    const struct resident *r = resident_at(d->server, slot);
    uint64_t sum = 0;
    bool known = false;
    for (uint32_t i = 0; r && i < d->count; i++) {
        const struct device *v = &d->all[i];
        if (!devices_reading(d, i) || !v->uses_known) {
            /* What it has on a device where nobody can tell is missing from the sum. */
            if (!r->devices || (r->devices >> i & 1))
                return false;
            continue;
        }
        known = true;
        sum += uses_on(v, slot);
    }
    if (known)
        *ret_bytes = sum;
    return known;
}

enum devices_sight devices_model_seen(const struct devices *d, uint32_t slot, uint64_t since_ns,
                                      uint64_t *ret_sum, uint64_t *ret_most)
{
    const struct resident *r = resident_at(d->server, slot);
    uint64_t sum = 0, most = 0;
    enum devices_sight sight = DEVICES_BLIND;
    for (uint32_t i = 0; r && i < d->count; i++) {
        const struct device *v = &d->all[i];
        /* Where it is not known on which it sits, it is looked for on all. */
        if (r->devices && !(r->devices >> i & 1))
            continue;
        if (!devices_reading(d, i) || v->taken_ns <= since_ns)
            return DEVICES_LATER;
        if (!v->uses_known)
            return DEVICES_BLIND;
        uint64_t bytes = uses_on(v, slot);
        sum += bytes;
        most = bytes > most ? bytes : most;
        sight = DEVICES_SEEN;
    }
    *ret_sum = sum;
    *ret_most = most;
    return sight;
}

static void note_peaks(struct device *v)
{
    struct devices *d = v->devices;
    if ((v->now.known & GPU_USED) && v->now.used_bytes > v->peak_bytes)
        v->peak_bytes = v->now.used_bytes;
    for (uint32_t k = 0; k < v->use_count; k++) {
        if (v->uses[k].model == CORE_SLOT_NONE)
            continue;
        struct roster_entry *e = &d->server->roster.entries[v->uses[k].model];
        uint64_t bytes;
        if (devices_model_uses(d, v->uses[k].model, &bytes) && bytes > e->vram_peak_bytes)
            e->vram_peak_bytes = bytes;
    }
}

/* ---- what others are told ---- */

static void say_found(const struct device *v)
{
    struct server *s = v->devices->server;
    const struct gpu_device *is = devices_identity(v->devices, v->index);
    struct buf details = {0};
    buf_text(&details, "{\"device\":");
    buf_json_text(&details, device_name(v));
    buf_text(&details, ",\"uuid\":");
    if (is && *is->uuid)
        buf_json_text(&details, is->uuid);
    else
        buf_text(&details, "null");
    buf_printf(&details, ",\"total_bytes\":%" PRIu64 "}", v->now.total_bytes);
    server_publish(s, "device_found", details.data);
    buf_fini(&details);
}

/* The first reading is what later ones are compared with. */
static void say_change(struct device *v)
{
    struct server *s = v->devices->server;
    const struct config_gpu *gpu = &s->roster.current->config->gpus[v->index];
    uint64_t now = v->now.used_bytes, before = v->told_used_bytes;
    bool more = now >= before;
    uint64_t delta = more ? now - before : before - now;
    if (!(v->now.known & GPU_USED) || (v->use_told && delta < gpu->changed_bytes))
        return;
    v->told_used_bytes = now;
    if (!v->use_told) {
        v->use_told = true;
        return;
    }
    struct buf details = {0};
    buf_text(&details, "{\"device\":");
    buf_json_text(&details, device_name(v));
    buf_printf(&details,
               ",\"used_bytes\":%" PRIu64 ",\"before_bytes\":%" PRIu64 ",\"delta_bytes\":%s%" PRIu64
               ",\"free_bytes\":%" PRIu64,
               now, before, more ? "" : "-", delta, v->now.free_bytes);
    if (v->now.known & GPU_TOTAL)
        buf_printf(&details, ",\"total_bytes\":%" PRIu64 "}", v->now.total_bytes);
    else
        buf_text(&details, ",\"total_bytes\":null}");
    server_publish(s, "vram_changed", details.data);
    buf_fini(&details);
}

/* ---- what the core is told ---- */

/* What wharf may count with: the driver's part is nobody's, ever. */
static uint64_t countable(const struct gpu_device *r)
{
    uint64_t reserved = r->known & GPU_RESERVED ? r->reserved_bytes : 0;
    return r->total_bytes > reserved ? r->total_bytes - reserved : 0;
}

static void tell_found(struct device *v)
{
    uint64_t bytes = countable(&v->now);
    if (!(v->now.known & GPU_TOTAL) || !bytes || (v->told && v->told_bytes == bytes))
        return;
    bool fresh = !v->told;
    v->told = true;
    v->told_bytes = bytes;
    if (fresh)
        say_found(v);
    runner_event(&v->devices->server->runner,
                 (struct event){.type = EVENT_DEVICE_FOUND,
                                .found = {.device = v->index, .total_bytes = bytes}});
}

static void tell_sample(struct device *v, uint64_t asked_ns)
{
    runner_event(&v->devices->server->runner,
                 (struct event){.type = EVENT_DEVICE_SAMPLE,
                                .sample = {.device = v->index,
                                           .taken = {asked_ns},
                                           .used_unknown = !(v->now.known & GPU_USED),
                                           .uses_unknown = !v->uses_known,
                                           .used_bytes = v->now.used_bytes,
                                           .uses = v->uses,
                                           .use_count = v->use_count}});
}

void device_take(struct device *v, const struct gpu_device *reading, uint64_t asked_ns)
{
    if (reading) {
        v->now = *reading;
        v->read = true;
        v->read_ns = uv_hrtime();
        v->taken_ns = asked_ns;
    } else {
        v->read = false;
        v->now.known = 0;
        v->now.use_count = 0;
    }
    attribute(v);
    note_peaks(v);
    if (reading)
        tell_found(v);
    if (v->told)
        tell_sample(v, asked_ns);
    say_change(v);
}

void device_lose(struct device *v, const char *why)
{
    bool was = v->told;
    v->told = v->read = v->uses_known = false;
    v->now.known = 0;
    v->use_count = 0;
    device_set_trouble(v, why);
    if (!was)
        return;
    struct server *s = v->devices->server;
    struct buf details = {0};
    buf_text(&details, "{\"device\":");
    buf_json_text(&details, device_name(v));
    buf_text(&details, ",\"reason\":");
    buf_json_text(&details, why);
    buf_char(&details, '}');
    server_publish(s, "device_lost", details.data);
    buf_fini(&details);
    runner_event(&s->runner,
                 (struct event){.type = EVENT_DEVICE_LOST, .found = {.device = v->index}});
}

/* ---- simulated devices ---- */

/* The core asks again for as long as something settles, which would fill a core of the machine. */
#define SIM_PAUSE_NS NS_PER_MS

static void start_reading(struct device *v);
static void read_soon(struct device *v);

static void read_device(uv_work_t *work)
{
    struct device *v = container_of(work, struct device, work);
    v->failed = sim_read_device(v->folder, v->total_bytes, &v->next, &v->err) < 0;
}

static void on_read(uv_work_t *work, int status)
{
    struct device *v = container_of(work, struct device, work);
    v->busy = false;
    if (v->devices->closed || status == UV_ECANCELED)
        return;
    device_set_trouble(v, v->failed ? v->err.text : "");
    if (!v->failed) {
        snprintf(v->next.name, sizeof(v->next.name), "%s", device_name(v));
        device_take(v, &v->next, v->asked_ns);
    }
    if (v->again)
        read_soon(v);
}

static void start_reading(struct device *v)
{
    v->again = v->busy;
    if (v->busy || v->devices->closed || !v->folder)
        return;
    v->busy = true;
    v->asked_ns = uv_hrtime();
    uv_queue_work(v->devices->server->loop, &v->work, read_device, on_read);
}

static void on_timer(uv_timer_t *timer)
{
    struct device *v = container_of(timer, struct device, timer);
    if (!v->busy)
        start_reading(v);
}

static void start_sampling(struct device *v, uint64_t first_ms)
{
    uint64_t ms = v->sample_ns / NS_PER_MS;
    uv_timer_start(&v->timer, on_timer, first_ms, ms ? ms : 1000);
}

static void read_soon(struct device *v)
{
    if (v->busy || uv_hrtime() - v->asked_ns >= SIM_PAUSE_NS)
        start_reading(v);
    else if (!v->devices->closed)
        start_sampling(v, SIM_PAUSE_NS / NS_PER_MS);
}

/* ---- the life of all ---- */

struct devices *devices_new(struct server *s)
{
    const struct config *c = s->roster.current->config;
    struct devices *d = alloc_zeroed(1, sizeof(*d));
    d->server = s;
    d->count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
    for (uint32_t i = 0; i < CORE_DEVICES_MAX; i++) {
        struct device *v = &d->all[i];
        v->devices = d;
        v->index = i;
        uv_timer_init(s->loop, &v->timer);
        if (i >= d->count || !c->gpus[i].sim)
            continue;
        v->folder = c->gpus[i].folder[0] ? alloc_text(c->gpus[i].folder)
                                         : alloc_printf("%s/sim/%u", s->state_dir, i);
        v->total_bytes = c->gpus[i].memory_bytes;
        v->sample_ns = c->gpus[i].sample_ns;
    }
    found_init(d);
    return d;
}

int devices_open(struct devices *d, struct err *err)
{
    const struct config *c = d->server->roster.current->config;
    char *sim = alloc_printf("%s/sim", d->server->state_dir);
    mkdir(sim, 0700);
    free(sim);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct device *v = &d->all[i];
        if (v->folder && sim_create(v->folder, v->total_bytes, err) < 0)
            return err_wrap(err, "simulated GPU %s", c->gpus[i].name);
    }
    return 0;
}

void devices_start(struct devices *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        struct device *v = &d->all[i];
        if (!v->folder)
            continue;
        v->now.total_bytes = v->total_bytes;
        v->now.known = GPU_TOTAL;
        tell_found(v);
        start_sampling(v, 0);
    }
}

void devices_adopt(struct devices *d, struct config *next, const struct config *old)
{
    if (!config_keep_gpus(next, old))
        log_warn(NULL, "a change of gpus takes effect at the next start");
    if (d)
        found_place(d, next);
}

void devices_reload(struct devices *d)
{
    const struct config *c = d->server->roster.current->config;
    for (uint32_t i = 0; i < d->count; i++) {
        struct device *v = &d->all[i];
        if (!v->folder || v->sample_ns == c->gpus[i].sample_ns)
            continue;
        v->sample_ns = c->gpus[i].sample_ns;
        start_sampling(v, 0);
    }
    if (!d->found_count)
        found_look_again(d);
}

void devices_sample_now(struct devices *d, uint32_t device)
{
    if (device >= d->count)
        return;
    if (d->all[device].folder)
        read_soon(&d->all[device]);
    else
        found_sample_now(d);
}

/* ---- what others ask ---- */

const struct gpu_device *devices_reading(const struct devices *d, uint32_t device)
{
    const struct config *c = d->server->roster.current->config;
    const struct device *v = &d->all[device];
    if (device >= d->count || !v->read)
        return NULL;
    uint64_t old = c->gpus[device].sample_ns * READING_OLD_PERIODS;
    if (old < READING_OLD_NS_MIN)
        old = READING_OLD_NS_MIN;
    return uv_hrtime() - v->read_ns <= old ? &v->now : NULL;
}

const struct gpu_device *devices_identity(const struct devices *d, uint32_t device)
{
    const struct config *c = d->server->roster.current->config;
    if (device >= d->count)
        return NULL;
    if (d->all[device].folder)
        return d->all[device].read ? &d->all[device].now : NULL;
    return c->gpus[device].place < d->found_count ? &d->found[c->gpus[device].place].is : NULL;
}

const struct gpu_device *devices_found(const struct devices *d, uint32_t i)
{
    return i < d->found_count ? &d->found[i].is : NULL;
}

uint32_t devices_owner(const struct devices *d, uint32_t device, uint32_t use)
{
    return d->all[device].owners[use].slot;
}

struct id devices_owner_lease(const struct devices *d, uint32_t device, uint32_t use)
{
    return d->all[device].owners[use].lease;
}

uint64_t devices_peak(const struct devices *d, uint32_t device)
{
    return d->all[device].peak_bytes;
}

uint64_t devices_read_at(const struct devices *d, uint32_t device)
{
    return d->all[device].read_ns;
}

const char *devices_trouble(const struct devices *d, uint32_t device)
{
    const struct device *v = &d->all[device];
    if (v->trouble[0])
        return v->trouble;
    return d->problem[0] && !v->folder ? d->problem : NULL;
}

const char *devices_problem(const struct devices *d)
{
    if (d->problem[0])
        return d->problem;
    for (uint32_t i = 0; i < d->count; i++)
        if (d->all[i].trouble[0])
            return d->all[i].trouble;
    return NULL;
}

void devices_close(struct devices *d)
{
    d->closed = true;
    found_close(d);
    for (uint32_t i = 0; i < CORE_DEVICES_MAX; i++)
        uv_close((uv_handle_t *)&d->all[i].timer, NULL);
}

void devices_free(struct devices *d)
{
    for (uint32_t i = 0; i < CORE_DEVICES_MAX; i++)
        free(d->all[i].folder);
    if (d->probe)
        gpuprobe_free(d->probe);
    free(d);
}
