#include "simulate/simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "mapping/mapping.h"
#include "simulate/world.h"

#define WAITERS_SPARE 16

bool simulate_fits(const struct config *c)
{
    bool any = c->gpu_count > 0;
    for (uint32_t i = 0; i < c->gpu_count; i++)
        any &= c->gpus[i].sim;
    return any;
}

bool simulate_has_matrix(const struct config *c)
{
    return c->matrix.set_count > 0;
}

const char *simulate_own_policy(const struct config *c)
{
    struct mapping_devices devices;
    struct mapping m;
    mapping_find_devices(c, &devices);
    mapping_init(&m, c, &devices, NULL, c->model_count,
                 c->planner == CONFIG_PLAN_FIT && simulate_fits(c));
    const char *name = policies_name(m.core.sched, m.core.plan);
    mapping_fini(&m);
    return name;
}

/* On all devices together; on the host, a model is not weighed. */
static uint64_t size_of(const struct sim_options *opt, uint32_t model)
{
    const struct config_placement *p = config_model_on_gpu(&opt->config->models[model]);
    if (!p)
        return 0;
    if (p->vram == CONFIG_VRAM_BYTES)
        return p->vram_bytes;
    return opt->costs.bytes && opt->costs.bytes[model] ? opt->costs.bytes[model]
                                                       : opt->costs.unknown_bytes;
}

static uint64_t share_of(const struct sim_options *opt, uint32_t model)
{
    const struct config_placement *p = config_model_on_gpu(&opt->config->models[model]);
    uint32_t devices = p ? p->gpu_count : 1;
    return (size_of(opt, model) + devices - 1) / devices;
}

/* The configuration as the core is told it, but for what is simulated here. */
static void prepare_config(const struct sim_options *opt, const struct sim_policy *policy,
                           struct mapping *m)
{
    struct mapping_devices devices;
    mapping_find_devices(opt->config, &devices);
    mapping_init(m, opt->config, &devices, NULL, opt->config->model_count,
                 policy->plan == PLAN_FIT);
    m->core.sched = policy->sched;
    m->core.plan = policy->plan;
    m->core.victims = policy->victims;
    for (uint32_t i = 0; i < m->core.device_count; i++)
        m->devices[i].stale_ns = 0; /* nothing changes without a sample */
    for (uint32_t i = 0; i < m->core.model_count; i++) {
        struct core_model_policy *p = &m->models[i];
        p->backend = 0;
        for (uint32_t k = 0; k < p->placement_count; k++)
            if (p->placements[k].bytes == 0 && p->placements[k].device_mask)
                p->placements[k].bytes = share_of(opt, i);
    }
}

/* As many as can be waiting and running at once. The core's checks look at all of that memory. */
static uint32_t waiters_max(const struct world *w, const struct mapping *m)
{
    uint64_t sum = 0, requests = (uint64_t)w->work->count + w->work->loop_count;
    for (uint32_t i = 0; i < m->core.model_count; i++)
        sum += (uint64_t)m->models[i].queue_max + m->models[i].slots_max;
    return (uint32_t)(sum < requests ? sum : requests) + WAITERS_SPARE;
}

static void prepare_core(struct world *w, const struct mapping *m)
{
    struct core_limits limits = {
        .models_max = m->core.model_count,
        .groups_max = m->core.group_count,
        .gates_max = m->core.gate_count,
        .sets_max = m->core.matrix.set_count,
        .set_members_max =
            m->core.matrix.set_count ? m->core.matrix.ends[m->core.matrix.set_count - 1] : 0,
        .waiters_max = waiters_max(w, m),
        .leases_max = w->work->lease_count + 1,
        .commands_max = 1,
    };
    w->memory = alloc_zeroed(1, core_size(&limits));
    w->core = core_init(w->memory, &limits, w->opt->seed);
}

static void prepare_models(struct world *w, const struct mapping *m)
{
    const struct sim_costs *costs = &w->opt->costs;
    bound_init(&w->bound, w->model_count);
    for (int k = 0; k < CLASS__COUNT; k++)
        w->bound.wait_ns_max[k] = m->core.fair.wait_ns_max[k];
    w->bound.min_resident_ns = m->core.fair.min_resident_ns;
    w->bound.unload_ns = costs->unload_ns;
    for (uint32_t i = 0; i < w->model_count; i++) {
        struct world_model *model = &w->models[i];
        uint64_t bytes = size_of(w->opt, i);
        model->bytes = share_of(w->opt, i);
        model->suspended_bytes = m->models[i].suspended_bytes;
        model->load_ns = costs->load_fixed_ns + (uint64_t)((double)bytes * (double)NS_PER_S /
                                                           (double)costs->load_bytes_per_s);
        if (costs->load_ns && costs->load_ns[i])
            model->load_ns = costs->load_ns[i];
        w->bound.models[i].load_ns = model->load_ns;
        w->bound.models[i].slots = m->models[i].slots_max;
    }
    for (uint32_t i = 0; i < w->work->count; i++)
        bound_expects(&w->bound, w->work->rows[i].model, w->work->rows[i].serve_ns);
}

/* All times at which each model is asked for, so that the next one is one step further on. */
static void prepare_uses(struct world *w)
{
    const struct workload *work = w->work;
    w->uses = alloc_zeroed((size_t)work->count + w->model_count, sizeof(*w->uses));
    uint32_t *end = alloc_zeroed(w->model_count + 1, sizeof(*end));
    for (uint32_t i = 0; i < work->count; i++)
        end[work->rows[i].model]++;
    uint32_t at = 0;
    for (uint32_t i = 0; i < w->model_count; i++) {
        uint32_t count = end[i];
        w->models[i].next_use = at;
        end[i] = at;
        at += count + 1;
    }
    for (uint32_t i = 0; i < work->count; i++)
        w->uses[end[work->rows[i].model]++] = work->rows[i].at_ns;
    for (uint32_t i = 0; i < w->model_count; i++)
        w->uses[end[i]] = WORK_NEVER;
    free(end);
}

static void tell_uses(struct world *w)
{
    prepare_uses(w);
    for (uint32_t i = 0; i < w->model_count; i++) {
        uint64_t at = w->uses[w->models[i].next_use];
        struct event ev = {
            .type = EVENT_FORESEEN,
            .foreseen = {.model = i, .at.ns = at == WORK_NEVER ? at : at + WORLD_START_NS}};
        world_step(w, &ev);
    }
}

static void boot(struct world *w, const struct mapping *m)
{
    const struct config *c = w->opt->config;
    world_step(w, &(struct event){.type = EVENT_CONFIG, .config = &m->core});
    for (uint32_t i = 0; i < w->device_count; i++) {
        w->devices[i].total_bytes = c->gpus[i].memory_bytes;
        world_step(w, &(struct event){.type = EVENT_DEVICE_FOUND,
                                      .found = {i, w->devices[i].total_bytes}});
    }
    if (w->foresees)
        tell_uses(w);
    world_step(w, &(struct event){.type = EVENT_BOOT_DONE});
    for (uint32_t i = 0; i < w->work->loop_count; i++) {
        w->loop_rng[i].state = w->work->loops[i].seed;
        agenda_put(&w->agenda,
                   (struct agenda_item){.at_ns = w->work->loops[i].from_ns + WORLD_START_NS,
                                        .kind = WORLD_ASKS,
                                        .index = i});
    }
    for (uint32_t i = 0; i < w->work->lease_count; i++)
        agenda_put(&w->agenda,
                   (struct agenda_item){.at_ns = w->work->leases[i].at_ns + WORLD_START_NS,
                                        .kind = WORLD_LEASE_ASKS,
                                        .index = i});
}

static void write_note(struct world *w)
{
    struct sim_result *r = w->result;
    if (w->bound.first == UINT32_MAX || w->work->lease_count)
        return;
    const struct sim_request *q = &w->requests.items[w->bound.first];
    snprintf(r->note, sizeof(r->note),
             "request %" PRIu32 " for %.60s, at %.3f s, waited %.1f s, and %.1f s were allowed",
             w->bound.first + 1, w->opt->config->models[q->model].id,
             (double)(q->at_ns - WORLD_START_NS) / 1e9, (double)(q->granted_ns - q->at_ns) / 1e9,
             (double)w->bound.first_allowed_ns / 1e9);
}

/* The waits of those served that the two filters let through; -1: all. */
static void measure(const struct world *w, uint64_t *scratch, int class, int64_t model,
                    struct sim_waits *ret)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->requests.count; i++) {
        const struct sim_request *r = &w->requests.items[i];
        if (r->granted_ns && (class < 0 || class == (int)r->class) &&
            (model < 0 || model == r->model))
            scratch[count++] = r->granted_ns - r->at_ns;
    }
    sim_waits_from(scratch, count, ret);
}

static void sum_up(struct world *w)
{
    struct sim_result *r = w->result;
    uint64_t *scratch = alloc_zeroed(w->requests.count + 1, sizeof(*scratch));
    measure(w, scratch, -1, -1, &r->waits);
    r->wait_sum_ns = 0;
    for (uint32_t i = 0; i < r->waits.count; i++)
        r->wait_sum_ns += scratch[i];
    for (int k = 0; k < CLASS__COUNT; k++)
        measure(w, scratch, k, -1, &r->classes[k]);
    r->model_count = w->model_count;
    r->models = alloc_zeroed(w->model_count, sizeof(*r->models));
    for (uint32_t i = 0; i < w->model_count; i++) {
        measure(w, scratch, -1, i, &r->models[i].waits);
        r->models[i].loads = w->models[i].loads;
    }
    free(scratch);
    r->requests = w->requests.count;
    r->unserved = w->open;
    r->overdue = w->bound.overdue;
    /* The bound knows of no leases. */
    r->violations = w->work->lease_count ? 0 : w->bound.violations;
    r->bound_permille_max = w->work->lease_count ? 0 : w->bound.permille_max;
    r->span_ns = w->now_ns - WORLD_START_NS;
    uint64_t busy_ns = 0;
    for (uint32_t i = 0; i < w->device_count; i++)
        busy_ns += w->devices[i].busy_ns;
    if (w->device_count && r->span_ns)
        r->busy_permille = busy_ns / (r->span_ns / 1000 + 1) / w->device_count;
    write_note(w);
}

static void finish_timeline(struct world *w)
{
    struct timeline *t = w->timeline;
    t->from_ns = WORLD_START_NS;
    t->to_ns = w->now_ns;
    for (uint32_t i = 0; i < w->model_count; i++)
        if (w->models[i].shown)
            timeline_leave(t, w->models[i].stay, w->now_ns);
}

/* Of the processor: what else runs on the machine does not count. */
static uint64_t spent_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void fini(struct world *w)
{
    agenda_fini(&w->agenda);
    bound_fini(&w->bound);
    free(w->memory);
    if (w->history)
        w->history->requests = w->requests;
    else
        free(w->requests.items);
    free(w->models);
    free(w->leases);
    free(w->loop_rng);
    free(w->sample);
    free(w->uses);
}

void simulate_run(const struct sim_options *opt, const struct sim_policy *policy,
                  struct timeline *timeline, struct sim_result *ret)
{
    struct mapping m;
    prepare_config(opt, policy, &m);
    *ret = (struct sim_result){.policy = *policy};
    struct world w = {
        .opt = opt,
        .work = opt->work,
        .now_ns = WORLD_START_NS,
        .loops_left = opt->work->loop_count,
        .loop_rng = alloc_zeroed(opt->work->loop_count, sizeof(*w.loop_rng)),
        .requests = {.items = alloc_zeroed(opt->work->count, sizeof(*w.requests.items)),
                     .items_max = opt->work->count},
        .models = alloc_zeroed(opt->config->model_count, sizeof(*w.models)),
        .model_count = opt->config->model_count,
        .device_count = m.core.device_count,
        .leases = alloc_zeroed(opt->work->lease_count, sizeof(*w.leases)),
        .sample = alloc_zeroed((size_t)opt->config->model_count + opt->work->lease_count,
                               sizeof(*w.sample)),
        .foresees = policy->victims == VICTIMS_FORESEEN && policy->plan == PLAN_FIT,
        .timeline = timeline,
        .history = opt->history,
        .result = ret,
    };
    if (w.history) {
        w.history->base_ns = WORLD_START_NS;
        w.history->leases = alloc_zeroed(opt->work->lease_count, sizeof(*w.history->leases));
    }
    prepare_core(&w, &m);
    prepare_models(&w, &m);
    uint64_t begin_ns = spent_ns();
    boot(&w, &m);
    while (world_turn(&w))
        ;
    ret->spent_ns = spent_ns() - begin_ns;
    sum_up(&w);
    if (timeline)
        finish_timeline(&w);
    fini(&w);
    mapping_fini(&m);
}
