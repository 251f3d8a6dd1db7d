#include "server/devices.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gpu/sim.h"
#include "server/residents/residents.h"
#include "server/server.h"

struct device_reader {
    struct devices *devices;
    uint32_t index;
    char *folder; /* owned; NULL: not a simulated device */
    uint64_t total_bytes, sample_ns;
    uv_timer_t timer;
    uv_work_t work;
    bool busy, again, failed;
    bool unreadable;   /* the last reading failed; said once */
    uint64_t taken_ns; /* when the reading under way began: it proves only what was over before */
    struct sim_reading reading;
    struct err err;
};

struct devices {
    struct server *server;
    struct device_reader readers[CORE_DEVICES_MAX];
    uint32_t count;
    bool closed;
};

static void read_device(uv_work_t *work)
{
    struct device_reader *r = container_of(work, struct device_reader, work);
    r->failed = sim_read(r->folder, &r->reading, &r->err) < 0;
}

static void report(struct device_reader *r)
{
    struct server *s = r->devices->server;
    struct resident_claim claims[SIM_CLAIMS_MAX];
    struct sample_use uses[SIM_CLAIMS_MAX];
    for (uint32_t i = 0; i < r->reading.claim_count; i++)
        claims[i] = (struct resident_claim){.pid = r->reading.claims[i].pid,
                                            .bytes = r->reading.claims[i].bytes};
    uint32_t count =
        resident_uses(s, r->index, claims, r->reading.claim_count, uses, SIM_CLAIMS_MAX);
    runner_event(&s->runner, (struct event){.type = EVENT_DEVICE_SAMPLE,
                                            .sample = {.device = r->index,
                                                       .taken = {r->taken_ns},
                                                       .used_bytes = r->reading.used_bytes,
                                                       .uses = uses,
                                                       .use_count = count}});
}

/* Whether it can be read, when that has changed. */
static void tell(struct device_reader *r)
{
    struct server *s = r->devices->server;
    const struct config_ref *ref = s->roster.current;
    if (r->failed == r->unreadable)
        return;
    r->unreadable = r->failed;
    const char *name =
        r->index < ref->config->gpu_count ? ref->config->gpus[r->index].name : r->folder;
    if (!r->failed) {
        degraded_clear(s, DEGRADED_GPU, name);
        return;
    }
    uint32_t *slots = alloc_zeroed(ref->config->model_count + 1, sizeof(*slots)), count = 0;
    for (uint32_t i = 0; i < ref->config->model_count; i++)
        if (config_model_may_use(ref->config, &ref->config->models[i], r->index))
            slots[count++] = ref->slots[i];
    degraded_set(s, DEGRADED_GPU, name, r->err.text, slots, count);
    free(slots);
}

static void start_reading(struct device_reader *r);

static void on_read(uv_work_t *work, int status)
{
    struct device_reader *r = container_of(work, struct device_reader, work);
    r->busy = false;
    if (r->devices->closed || status == UV_ECANCELED)
        return;
    tell(r);
    if (!r->failed)
        report(r);
    if (r->again)
        start_reading(r);
}

static void start_reading(struct device_reader *r)
{
    r->again = r->busy;
    if (r->busy || r->devices->closed || !r->folder)
        return;
    r->busy = true;
    r->taken_ns = uv_hrtime();
    uv_queue_work(r->devices->server->loop, &r->work, read_device, on_read);
}

static void on_timer(uv_timer_t *timer)
{
    struct device_reader *r = container_of(timer, struct device_reader, timer);
    if (!r->busy)
        start_reading(r);
}

struct devices *devices_new(struct server *s)
{
    const struct config *c = s->roster.current->config;
    struct devices *d = alloc_zeroed(1, sizeof(*d));
    d->server = s;
    d->count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
    for (uint32_t i = 0; i < d->count; i++) {
        const struct config_gpu *gpu = &c->gpus[i];
        struct device_reader *r = &d->readers[i];
        r->devices = d;
        r->index = i;
        uv_timer_init(s->loop, &r->timer);
        if (!gpu->sim)
            continue;
        r->folder =
            gpu->folder[0] ? alloc_text(gpu->folder) : alloc_printf("%s/sim/%u", s->state_dir, i);
        r->total_bytes = gpu->memory_bytes;
        r->sample_ns = gpu->sample_ns;
    }
    return d;
}

int devices_open(struct devices *d, struct err *err)
{
    const struct config *c = d->server->roster.current->config;
    char *sim = alloc_printf("%s/sim", d->server->state_dir);
    mkdir(sim, 0700);
    free(sim);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct device_reader *r = &d->readers[i];
        if (r->folder && sim_create(r->folder, r->total_bytes, err) < 0)
            return err_wrap(err, "simulated GPU %s", c->gpus[i].name);
    }
    return 0;
}

void devices_start(struct devices *d)
{
    struct server *s = d->server;
    for (uint32_t i = 0; i < d->count; i++) {
        struct device_reader *r = &d->readers[i];
        if (!r->folder) {
            log_warn(NULL, "gpus[%u] is no simulated device; real ones are not read yet", i);
            continue;
        }
        runner_event(&s->runner,
                     (struct event){.type = EVENT_DEVICE_FOUND,
                                    .found = {.device = i, .total_bytes = r->total_bytes}});
        uint64_t ms = r->sample_ns / NS_PER_MS;
        uv_timer_start(&r->timer, on_timer, 0, ms ? ms : 1000);
    }
}

void devices_sample_now(struct devices *d, uint32_t device)
{
    if (device < d->count)
        start_reading(&d->readers[device]);
}

char *devices_sim_folders(const struct devices *d, uint32_t mask)
{
    struct buf out = {0};
    for (uint32_t i = 0; i < d->count; i++) {
        if (!(mask & 1U << i) || !d->readers[i].folder)
            continue;
        buf_text(&out, out.len ? "\n" : "");
        buf_text(&out, d->readers[i].folder);
    }
    return out.len ? buf_take(&out) : NULL;
}

const char *devices_problem(const struct devices *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->readers[i].unreadable)
            return d->readers[i].err.text;
    return NULL;
}

void devices_close(struct devices *d)
{
    d->closed = true;
    for (uint32_t i = 0; i < d->count; i++)
        uv_close((uv_handle_t *)&d->readers[i].timer, NULL);
}

void devices_free(struct devices *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        free(d->readers[i].folder);
    free(d);
}
