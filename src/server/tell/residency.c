#include "server/tell/residency.h"

#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/server.h"

/* How a model stood last, and when it last came in; by uv_hrtime, 0: never. */
struct standing {
    enum model_state state;
    uint32_t devices;
    uint64_t load_began_ns, load_ended_ns;
};

struct residency {
    struct residency_change changes[RESIDENCY_CHANGES_MAX]; /* a ring: number % its size */
    struct residency_sample samples[RESIDENCY_SAMPLES_MAX]; /* likewise */
    uint64_t next_change, next_sample;
    struct standing models[ROSTER_MODELS_MAX]; /* by slot */
    uv_timer_t timer;
};

uint64_t residency_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static bool is_coming(enum model_state state)
{
    return state == MODEL_LOADING || state == MODEL_RESUMING;
}

static void note_load(struct standing *m, enum model_state state)
{
    if (is_coming(state) && !is_coming(m->state)) {
        m->load_began_ns = uv_hrtime();
        m->load_ended_ns = 0;
    } else if (is_coming(m->state) && !is_coming(state)) {
        m->load_ended_ns = uv_hrtime();
    }
}

void residency_look(struct server *s, uint32_t slot)
{
    struct residency *t = s->residency;
    struct standing *m = &t->models[slot];
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if ((v.state == m->state && v.devices == m->devices) || !s->roster.entries[slot].id)
        return;
    note_load(m, v.state);
    m->state = v.state;
    m->devices = v.devices;
    struct residency_change *c = &t->changes[t->next_change++ % RESIDENCY_CHANGES_MAX];
    free(c->model);
    *c = (struct residency_change){.at_ms = residency_now_ms(),
                                   .model = alloc_text(roster_id(&s->roster, slot)),
                                   .state = v.state,
                                   .devices = v.devices,
                                   .bytes = v.charged_bytes};
}

uint64_t residency_loading_ns(const struct server *s, uint32_t slot, uint64_t since_ns)
{
    const struct standing *m = &s->residency->models[slot];
    uint64_t from = m->load_began_ns > since_ns ? m->load_began_ns : since_ns;
    /* Who waited is let in when it is there, which may be told only after that. */
    uint64_t to = m->load_ended_ns ? m->load_ended_ns : uv_hrtime();
    return m->load_began_ns && to > from ? to - from : 0;
}

static void sample(uv_timer_t *timer)
{
    struct residency *t = container_of(timer, struct residency, timer);
    struct server *s = timer->data;
    struct residency_sample *x = &t->samples[t->next_sample++ % RESIDENCY_SAMPLES_MAX];
    struct core_view v;
    core_view(s->runner.core, &v);
    *x = (struct residency_sample){
        .at_ms = residency_now_ms(), .waiting = v.waiting, .running = v.running};
    for (uint32_t d = 0; d < s->roster.current->config->gpu_count; d++) {
        const struct gpu_device *r = devices_reading(s->devices, d);
        if (r)
            x->devices[d] = (struct residency_device){.used_bytes = r->used_bytes,
                                                      .has_used = r->known & GPU_USED,
                                                      .utilisation_percent = r->utilisation_percent,
                                                      .has_utilisation = r->known & GPU_UTILISATION,
                                                      .power_mw = r->power_mw,
                                                      .has_power = r->known & GPU_POWER};
    }
}

const struct residency_change *residency_change_at(const struct server *s, uint64_t back)
{
    const struct residency *t = s->residency;
    const struct residency_past *p = &s->archiving.past;
    uint64_t own = t->next_change < RESIDENCY_CHANGES_MAX ? t->next_change : RESIDENCY_CHANGES_MAX;
    if (back < own)
        return &t->changes[(t->next_change - 1 - back) % RESIDENCY_CHANGES_MAX];
    return back - own < p->change_count ? &p->changes[p->change_count - 1 - (back - own)] : NULL;
}

const struct residency_sample *residency_sample_at(const struct server *s, uint64_t back)
{
    const struct residency *t = s->residency;
    const struct residency_past *p = &s->archiving.past;
    uint64_t own = t->next_sample < RESIDENCY_SAMPLES_MAX ? t->next_sample : RESIDENCY_SAMPLES_MAX;
    if (back < own)
        return &t->samples[(t->next_sample - 1 - back) % RESIDENCY_SAMPLES_MAX];
    return back - own < p->sample_count ? &p->samples[p->sample_count - 1 - (back - own)] : NULL;
}

void residency_init(struct server *s)
{
    s->residency = alloc_zeroed(1, sizeof(*s->residency));
    uv_timer_init(s->loop, &s->residency->timer);
    s->residency->timer.data = s;
    /* It keeps nobody from ending. */
    uv_unref((uv_handle_t *)&s->residency->timer);
}

int residency_start(struct server *s, struct err *err)
{
    (void)err;
    uv_timer_start(&s->residency->timer, sample, 0, RESIDENCY_SAMPLE_MS);
    return 0;
}

void residency_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->residency->timer, NULL);
}

void residency_fini(struct server *s)
{
    for (size_t i = 0; i < RESIDENCY_CHANGES_MAX; i++)
        free(s->residency->changes[i].model);
    free(s->residency);
    residency_past_fini(&s->archiving.past);
}
