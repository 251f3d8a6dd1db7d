#include "shim.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

/* Those of the golden traces, so that a failing example can be told as one. */
#define MODELS_MAX 16
#define GATES_MAX 4
#define WAITERS_MAX 64
#define LEASES_MAX 64
#define COMMANDS_MAX 16
#define USES_MAX 64
#define TICKS_MAX 1000

struct shim {
    struct core *core;
    void *mem;
    struct core_config config;
    struct core_device_policy devices[CORE_DEVICES_MAX];
    struct core_model_policy models[MODELS_MAX];
    struct core_group_policy group;
    struct core_gate_policy gates[GATES_MAX];
    struct core_wish wishes[MODELS_MAX];
    uint32_t wish_count;
    struct sample_use uses[USES_MAX];
    uint32_t use_count;
    struct core_plan_view plan;
    struct shim_effect effects[SHIM_EFFECTS_MAX];
    uint32_t effect_count;
    char failure[256];
};

/* A failed check leaves the core where it stands: the shim says so, and nobody steps it again. */
static jmp_buf failed;
static struct shim *stepping;

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    if (!stepping) {
        fprintf(stderr, "%s:%d: %s\n", file, line, expr);
        abort();
    }
    snprintf(stepping->failure, sizeof(stepping->failure), "%s:%d: %s", file, line, expr);
    longjmp(failed, 1);
}

static uint64_t pack(struct id id)
{
    return (uint64_t)id.gen << 32 | id.slot;
}

static struct id unpack(uint64_t id)
{
    return (struct id){.slot = (uint32_t)id, .gen = (uint32_t)(id >> 32)};
}

static uint64_t wide(uint32_t slot)
{
    return slot == CORE_SLOT_NONE ? SHIM_NONE : slot;
}

uint64_t shim_sizeof(const char *name)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } structs[] = {
        {"shim_policy", sizeof(struct shim_policy)},
        {"shim_device", sizeof(struct shim_device)},
        {"shim_model", sizeof(struct shim_model)},
        {"shim_placement", sizeof(struct shim_placement)},
        {"shim_event", sizeof(struct shim_event)},
        {"shim_effect", sizeof(struct shim_effect)},
        {"shim_view", sizeof(struct shim_view)},
        {"shim_model_view", sizeof(struct shim_model_view)},
        {"shim_device_view", sizeof(struct shim_device_view)},
        {"shim_plan_view", sizeof(struct shim_plan_view)},
        {"shim_victim_view", sizeof(struct shim_victim_view)},
    };
    for (size_t i = 0; i < countof(structs); i++)
        if (strcmp(structs[i].name, name) == 0)
            return structs[i].bytes;
    return 0;
}

const char *shim_name(const char *what, uint32_t kind)
{
    int k = (int)kind;
    if (strcmp(what, "event") == 0)
        return k < EVENT__COUNT ? event_type_text((enum event_type)k) : NULL;
    if (strcmp(what, "effect") == 0)
        return k < EFFECT__COUNT ? effect_type_text((enum effect_type)k) : NULL;
    if (strcmp(what, "notice") == 0)
        return k < NOTICE__COUNT ? notice_text((enum notice)k) : NULL;
    if (strcmp(what, "trace") == 0)
        return k <= TRACE_CANCELLED ? trace_text((enum trace)k) : NULL;
    if (strcmp(what, "reason") == 0)
        return k < REASON__COUNT ? reason_text((enum reason)k) : NULL;
    if (strcmp(what, "state") == 0)
        return k < MODEL__COUNT ? model_state_text((enum model_state)k) : NULL;
    if (strcmp(what, "class") == 0)
        return k < CLASS__COUNT ? class_text((enum class)k) : NULL;
    return NULL;
}

struct shim *shim_new(const struct shim_policy *policy)
{
    struct core_limits limits = {.models_max = MODELS_MAX,
                                 .groups_max = 1,
                                 .gates_max = GATES_MAX,
                                 .sets_max = 1,
                                 .set_members_max = 1,
                                 .waiters_max = WAITERS_MAX,
                                 .leases_max = LEASES_MAX,
                                 .commands_max = COMMANDS_MAX};
    struct shim *s = calloc(1, sizeof(*s));
    void *mem = calloc(1, core_size(&limits));
    if (!s || !mem) {
        free(s);
        free(mem);
        return NULL;
    }
    s->mem = mem;
    s->core = core_init(mem, &limits, 1);
    s->group = (struct core_group_policy){.swap = true, .exclusive = true};
    s->config = (struct core_config){
        .sched = (enum sched_kind)policy->sched,
        .plan = (enum plan_kind)policy->plan,
        .victims = VICTIMS_COST,
        .fair = {.wait_ns_max = {policy->wait_foreground_ns, policy->wait_normal_ns,
                                 policy->wait_background_ns},
                 .min_resident_ns = policy->min_resident_ns,
                 .serve_ns_max = policy->serve_ns_max},
        .suspend_bytes_max = policy->suspend_bytes_max,
        .models = s->models,
        .groups = &s->group,
        .group_count = 1,
        .devices = s->devices,
        .gates = s->gates,
    };
    return s;
}

void shim_free(struct shim *s)
{
    free(s->mem);
    free(s);
}

static void count(uint32_t *count, uint32_t slot, uint32_t max)
{
    must(slot < max && slot <= *count);
    *count = slot == *count ? slot + 1 : *count;
}

void shim_put_device(struct shim *s, uint32_t slot, const struct shim_device *d)
{
    count(&s->config.device_count, slot, CORE_DEVICES_MAX);
    s->devices[slot] = (struct core_device_policy){.reserve_bytes = d->reserve_bytes,
                                                   .limit_permille = (uint32_t)d->limit_permille,
                                                   .stale_ns = d->stale_ns};
}

void shim_put_model(struct shim *s, uint32_t slot, const struct shim_model *m)
{
    count(&s->config.model_count, slot, MODELS_MAX);
    s->models[slot] = (struct core_model_policy){.present = true,
                                                 .movable = m->movable,
                                                 .yields = m->yields,
                                                 .suspends = m->suspends,
                                                 .pinned = m->pinned,
                                                 .backend = (uint32_t)m->backend,
                                                 .hash_process = 1,
                                                 .slots_max = (uint32_t)m->slots_max,
                                                 .queue_max = (uint32_t)m->queue_max,
                                                 .load_retries_max = (uint32_t)m->load_retries_max,
                                                 .suspended_bytes = m->suspended_bytes,
                                                 .ttl_ns = m->ttl_ns,
                                                 .load_ns_max = m->load_ns_max,
                                                 .unload_ns_max = m->unload_ns_max};
}

void shim_add_placement(struct shim *s, uint32_t slot, const struct shim_placement *p)
{
    struct core_model_policy *m = &s->models[slot];
    must(slot < s->config.model_count && m->placement_count < CORE_PLACEMENTS_MAX);
    m->placements[m->placement_count++] =
        (struct core_placement){.device_mask = (uint32_t)p->device_mask,
                                .device_count = (uint32_t)p->device_count,
                                .bytes = p->bytes,
                                .free_bytes_min = p->free_bytes_min};
}

void shim_put_gate(struct shim *s, uint32_t slot, uint32_t limit)
{
    count(&s->config.gate_count, slot, GATES_MAX);
    s->gates[slot] = (struct core_gate_policy){.limit = limit};
}

void shim_add_wish(struct shim *s, uint32_t model, uint32_t wish, uint64_t placement)
{
    must(s->wish_count < MODELS_MAX);
    s->wishes[s->wish_count++] = (struct core_wish){
        .model = model, .what = (enum wish)wish, .placement = (uint32_t)placement};
}

void shim_add_use(struct shim *s, uint64_t model, uint64_t lease, uint64_t bytes)
{
    must(s->use_count < USES_MAX);
    s->uses[s->use_count++] =
        (struct sample_use){.model = (uint32_t)model, .lease = unpack(lease), .bytes = bytes};
}

static struct core_lease_ask lease_ask(const struct shim_event *e)
{
    struct core_lease_ask ask = {.class = (enum class)e->rank,
                                 .device_mask = (uint32_t)e->lease_devices,
                                 .device_count = (uint32_t)e->lease_device_count,
                                 .bytes = e->lease_bytes,
                                 .ttl_ns = e->lease_ttl_ns,
                                 .wait_ns_max = e->wait_ns_max,
                                 .run_ns_max = e->lease_run_ns,
                                 .grace_ns = e->lease_grace_ns,
                                 .revocable = e->lease_revocable};
    for (uint32_t g = 0; g < CORE_LEASE_GATES_MAX; g++)
        if (e->lease_gates >> g & 1)
            ask.gates[ask.gate_count++] = g;
    return ask;
}

/* The payload of what is said of models, devices and by people. */
static void fill_facts(const struct shim_event *e, struct event *ev)
{
    switch ((int)ev->type) {
    case EVENT_DEVICE_FOUND:
    case EVENT_DEVICE_LOST:
        ev->found.device = (uint32_t)e->device;
        ev->found.total_bytes = e->total_bytes;
        break;
    case EVENT_BACKEND_DOWN:
    case EVENT_BACKEND_UP:
        ev->backend.backend = (uint32_t)e->backend;
        break;
    case EVENT_COMMAND:
    case EVENT_COMMAND_CANCELLED:
        ev->command.tag = e->tag;
        ev->command.model = (uint32_t)e->model;
        ev->command.what = (enum command)e->command;
        ev->command.why = REASON_COMMAND;
        ev->command.placement = (uint32_t)e->placement;
        ev->command.ttl_ns = e->keep_ns;
        break;
    case EVENT_DRAIN:
        ev->drain.grace_ns = e->grace_ns;
        break;
    case EVENT_TICK:
        ev->tick.gap_ns = e->gap_ns;
        break;
    case EVENT_BOOT_DONE:
        break;
    default:
        ev->model.op = e->op;
        ev->model.model = (uint32_t)e->model;
        ev->model.why = (enum reason)e->why;
        ev->model.stuck = e->stuck;
        ev->model.outcome = (enum outcome)e->outcome;
        ev->model.placement = (uint32_t)e->placement;
        ev->model.devices = (uint32_t)e->devices;
    }
}

static void fill_sample(struct shim *s, const struct shim_event *e, struct event *ev)
{
    ev->sample.device = (uint32_t)e->device;
    ev->sample.taken.ns = e->taken_ns;
    ev->sample.used_bytes = e->used_bytes;
    ev->sample.uses_unknown = e->blind;
    ev->sample.uses = s->uses;
    ev->sample.use_count = e->blind ? 0 : s->use_count;
    s->use_count = 0;
}

/* ask: outlives the event, which refers to it. */
static struct event translate(struct shim *s, const struct shim_event *e,
                              struct core_lease_ask *ask)
{
    struct event ev = {.type = (enum event_type)e->type, .now.ns = e->now_ns};
    switch ((int)ev.type) {
    case EVENT_CONFIG:
        ev.config = &s->config;
        break;
    case EVENT_MODE:
        ev.mode.wishes = s->wishes;
        ev.mode.count = s->wish_count;
        s->wish_count = 0;
        break;
    case EVENT_REQUEST_ARRIVED:
        ev.request.tag = e->tag;
        ev.request.model = (uint32_t)e->model;
        ev.request.class = (enum class)e->rank;
        ev.request.wait_ns_max = e->wait_ns_max;
        break;
    case EVENT_REQUEST_ENDED:
    case EVENT_REQUEST_BOUNCED:
        ev.ended.waiter = unpack(e->id);
        ev.ended.how = (enum ended)e->how;
        break;
    case EVENT_LEASE_ASKED:
        *ask = lease_ask(e);
        ev.lease.tag = e->tag;
        ev.lease.ask = ask;
        break;
    case EVENT_LEASE_RENEWED:
    case EVENT_LEASE_ENDED:
        ev.lease_id.lease = unpack(e->id);
        break;
    case EVENT_DEVICE_SAMPLE:
        fill_sample(s, e, &ev);
        break;
    default:
        fill_facts(e, &ev);
    }
    return ev;
}

static struct shim_effect flat(const struct effect *e)
{
    return (struct shim_effect){.type = e->type,
                                .notice = e->notice,
                                .trace = e->trace,
                                .reason = e->reason,
                                .rank = e->class,
                                .id = pack(e->waiter),
                                .tag = e->tag,
                                .op = e->op,
                                .model = wide(e->model),
                                .other = wide(e->other),
                                .gate = wide(e->gate),
                                .device = wide(e->device),
                                .devices = e->devices,
                                .placement = wide(e->placement),
                                .position = e->position,
                                .retry_after_s = e->retry_after_s,
                                .bytes = e->bytes,
                                .duration_ns = e->duration_ns};
}

static bool step_once(struct shim *s, const struct event *ev)
{
    struct effects fx = core_step(s->core, ev);
    must(s->effect_count + fx.count <= SHIM_EFFECTS_MAX);
    for (uint32_t i = 0; i < fx.count; i++)
        s->effects[s->effect_count++] = flat(&fx.items[i]);
    core_check(s->core);
    return fx.more;
}

int32_t shim_step(struct shim *s, const struct shim_event *e)
{
    struct core_lease_ask ask;
    struct event tick = {.type = EVENT_TICK, .now.ns = e->now_ns};
    stepping = s;
    if (setjmp(failed)) {
        stepping = NULL;
        return -1;
    }
    struct event ev = translate(s, e, &ask);
    s->effect_count = 0;
    bool more = step_once(s, &ev);
    for (uint32_t i = 0; more; i++) {
        must(i < TICKS_MAX);
        more = step_once(s, &tick);
    }
    stepping = NULL;
    return (int32_t)s->effect_count;
}

const struct shim_effect *shim_effects(const struct shim *s)
{
    return s->effects;
}

const char *shim_failure(const struct shim *s)
{
    return s->failure;
}

uint64_t shim_deadline(const struct shim *s)
{
    struct mono at;
    return core_deadline(s->core, &at) ? at.ns : SHIM_NONE;
}

void shim_view(const struct shim *s, struct shim_view *ret)
{
    struct core_view v;
    core_view(s->core, &v);
    *ret = (struct shim_view){.waiting = v.waiting,
                              .running = v.running,
                              .stale_ids = v.stale_ids,
                              .loaded = v.loaded,
                              .leases_waiting = v.leases_waiting,
                              .leases_granted = v.leases_granted};
}

void shim_view_model(const struct shim *s, uint32_t slot, struct shim_model_view *ret)
{
    struct core_model_view v;
    core_view_model(s->core, slot, &v);
    *ret = (struct shim_model_view){.state = v.state,
                                    .reason = v.reason,
                                    .running = v.running,
                                    .waiting = v.waiting,
                                    .placement = wide(v.placement),
                                    .devices = v.devices,
                                    .charged_bytes = v.charged_bytes,
                                    .settling = v.settling,
                                    .pinned = v.pinned,
                                    .wish = v.wish,
                                    .last_used_ns = v.last_used.ns,
                                    .idle_deadline_ns = v.idle_deadline.ns};
}

void shim_view_device(const struct shim *s, uint32_t slot, struct shim_device_view *ret)
{
    struct core_device_view v;
    core_view_device(s->core, slot, &v);
    *ret = (struct shim_device_view){.present = v.present,
                                     .total_bytes = v.total_bytes,
                                     .used_bytes = v.used_bytes,
                                     .own_bytes = v.own_bytes,
                                     .leased_bytes = v.leased_bytes,
                                     .settling_bytes = v.settling_bytes,
                                     .foreign_bytes = v.foreign_bytes,
                                     .charged_bytes = v.charged_bytes,
                                     .loader = wide(v.loader),
                                     .room_bytes = v.room_bytes,
                                     .sampled_ns = v.sampled.ns};
}

int32_t shim_plan(struct shim *s, uint32_t model, uint32_t class, struct shim_plan_view *ret)
{
    stepping = s;
    if (setjmp(failed)) {
        stepping = NULL;
        return -1;
    }
    core_plan_model(s->core, model, (enum class) class, &s->plan);
    core_check(s->core);
    stepping = NULL;
    *ret = (struct shim_plan_view){.verdict = s->plan.verdict,
                                   .why = s->plan.why,
                                   .placement = wide(s->plan.placement),
                                   .devices = s->plan.devices,
                                   .bytes = s->plan.bytes,
                                   .estimate_ns = s->plan.estimate_ns,
                                   .victim_count = s->plan.victim_count};
    return 0;
}

void shim_plan_victim(const struct shim *s, uint32_t i, struct shim_victim_view *ret)
{
    const struct core_plan_victim *v = &s->plan.victims[i];
    must(i < s->plan.victim_count && i < CORE_PLAN_VICTIMS_MAX);
    *ret = (struct shim_victim_view){.action = v->action,
                                     .model = wide(v->model),
                                     .lease = pack(v->lease),
                                     .bytes = v->bytes,
                                     .busy = v->busy};
}
