#include "lib/broker/broker.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"

/* Slots that are never used cost address space alone. */
#define WAITERS_MAX 65536
#define LEASES_MAX 16384
#define COMMANDS_MAX 4096
/* While somebody waits, and what is in use can be asked for. */
#define SAMPLE_NS NS_PER_S

void broker_lock(struct wharf_broker *b)
{
    must(pthread_mutex_lock(&b->lock) == 0);
}

void broker_unlock(struct wharf_broker *b)
{
    must(pthread_mutex_unlock(&b->lock) == 0);
}

static void put_event(struct wharf_broker *b, const struct effect *e)
{
    struct broker_event *event = b->ops.event ? calloc(1, sizeof(*event)) : NULL;
    if (!event)
        return; /* without memory nobody is told, and nothing else fails */
    const char *device = names_device_of(&b->names, e->devices);
    event->event =
        (struct wharf_event){.type = notice_text(e->notice),
                             .model = e->model == CORE_SLOT_NONE ? NULL : b->names.models[e->model],
                             .device = device,
                             .why = reason_text(e->reason),
                             .bytes = e->bytes,
                             .duration_ns = e->duration_ns};
    list_push(&b->events, &event->link);
}

static void do_sample(struct wharf_broker *b, const struct effect *e)
{
    work_sample_soon(b, e->device);
}

/* An effect without a row is of no interest here, or cannot come: nothing is suspended, nothing has
 * a backend or a ttl. */
static void (*const doers[EFFECT__COUNT])(struct wharf_broker *b, const struct effect *e) = {
    [EFFECT_WAIT] = call_waits,          [EFFECT_GRANT] = call_granted,
    [EFFECT_REFUSE] = call_refused,      [EFFECT_LEASE_WAIT] = call_waits,
    [EFFECT_LEASE_GRANT] = call_granted, [EFFECT_COMMAND_DONE] = call_commanded,
    [EFFECT_LOAD] = work_begin,          [EFFECT_UNLOAD] = work_begin,
    [EFFECT_MOVE] = work_begin,          [EFFECT_ABORT] = work_give_up,
    [EFFECT_KILL] = work_give_up,        [EFFECT_SAMPLE_NOW] = do_sample,
    [EFFECT_NOTICE] = put_event,
};

void broker_step(struct wharf_broker *b, struct event ev)
{
    struct effects fx;
    do {
        ev.now.ns = clock_ns();
        fx = core_step(b->core, &ev);
        for (uint32_t i = 0; i < fx.count; i++)
            if (doers[fx.items[i].type])
                doers[fx.items[i].type](b, &fx.items[i]);
        ev = (struct event){.type = EVENT_TICK};
    } while (fx.more);
    calls_look_at_modes(b);
    must(pthread_cond_signal(&b->wake) == 0);
}

/* One that is stuck may be found where it was: then it is well again. */
static int found(struct wharf_broker *b, uint32_t slot, uint32_t placement)
{
    struct core_model_view v;
    core_view_model(b->core, slot, &v);
    bool there = v.state == MODEL_LOADED, stuck = v.state == MODEL_STUCK;
    if (!there && !stuck && v.state != MODEL_UNLOADED && v.state != MODEL_ERROR)
        return -EBUSY;
    if (stuck || (there && v.placement != placement))
        broker_step(b, (struct event){.type = EVENT_MODEL_EXITED,
                                      .model = {.model = slot, .why = REASON_EXITED}});
    if (placement == CORE_SLOT_NONE || (there && v.placement == placement))
        return 0;
    uint32_t devices = b->names.policies[slot].placements[placement].device_mask;
    broker_step(
        b, (struct event){.type = EVENT_MODEL_ADOPTED,
                          .model = {.model = slot, .placement = placement, .devices = devices}});
    return 0;
}

int wharf_broker_found(struct wharf_broker *b, const char *model, const char *device)
{
    uint32_t slot = names_model(&b->names, model), placement = CORE_SLOT_NONE;
    if (slot == CORE_SLOT_NONE)
        return -ENOENT;
    if (device)
        placement = names_placement(&b->names, slot, device);
    if (device && placement == CORE_SLOT_NONE)
        return -ENOENT;
    broker_lock(b);
    int rc = found(b, slot, placement);
    broker_unlock(b);
    return rc;
}

/* One of them, without the lock. False: there is none. */
static bool tell_event(struct wharf_broker *b)
{
    struct link *first = list_pop(&b->events);
    if (!first)
        return false;
    struct broker_event *event = list_entry(first, struct broker_event, link);
    broker_unlock(b);
    b->ops.event(b->arg, &event->event);
    free(event);
    broker_lock(b);
    return true;
}

static bool run_deadline(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns)
{
    struct mono at;
    if (!core_deadline(b->core, &at))
        return false;
    if (at.ns > now_ns) {
        *next_ns = at.ns < *next_ns ? at.ns : *next_ns;
        return false;
    }
    broker_step(b, (struct event){.type = EVENT_TICK});
    return true;
}

/* False: they are not due, or nobody can be asked. */
static bool sample_all(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns)
{
    if (!b->ops.sample || list_empty(&b->calls))
        return false;
    if (b->sampled_ns + SAMPLE_NS > now_ns) {
        *next_ns = b->sampled_ns + SAMPLE_NS < *next_ns ? b->sampled_ns + SAMPLE_NS : *next_ns;
        return false;
    }
    b->sampled_ns = now_ns;
    for (uint32_t d = 0; d < b->names.config.device_count; d++)
        work_sample(b, d);
    return true;
}

static void *run(void *arg)
{
    struct wharf_broker *b = arg;
    broker_lock(b);
    while (!b->ending) {
        uint64_t now_ns = clock_ns(), next_ns = UINT64_MAX;
        if (tell_event(b) || work_report(b) || calls_expire(b, now_ns, &next_ns) ||
            run_deadline(b, now_ns, &next_ns) || work_sample_due(b, now_ns, &next_ns) ||
            sample_all(b, now_ns, &next_ns))
            continue;
        (void)clock_cond_wait(&b->wake, &b->lock, next_ns);
    }
    while (tell_event(b))
        ;
    broker_unlock(b);
    return NULL;
}

/* The core, with what it needs to know at first. */
static int start_core(struct wharf_broker *b)
{
    const struct core_config *config = &b->names.config;
    struct core_limits limits = {.models_max = config->model_count + 1,
                                 .groups_max = 1,
                                 .gates_max = config->gate_count,
                                 .waiters_max = WAITERS_MAX,
                                 .leases_max = LEASES_MAX,
                                 .commands_max = COMMANDS_MAX};
    void *mem = calloc(1, core_size(&limits));
    b->uses = calloc(config->model_count + 1, sizeof(*b->uses));
    if (!mem || !b->uses) {
        free(mem);
        return -ENOMEM;
    }
    b->core = core_init(mem, &limits, 1);
    broker_step(b, (struct event){.type = EVENT_CONFIG, .config = config});
    for (uint32_t d = 0; d < config->device_count; d++)
        broker_step(
            b, (struct event){.type = EVENT_DEVICE_FOUND, .found = {d, b->names.device_bytes[d]}});
    broker_step(b, (struct event){.type = EVENT_BOOT_DONE});
    return 0;
}

static void end(struct wharf_broker *b)
{
    must(list_empty(&b->calls) && list_empty(&b->work));
    names_fini(&b->names);
    must(pthread_cond_destroy(&b->wake) == 0);
    must(pthread_cond_destroy(&b->idle) == 0);
    must(pthread_cond_destroy(&b->sampled) == 0);
    must(pthread_mutex_destroy(&b->lock) == 0);
    free(b->core);
    free(b->uses);
    free(b->work_items);
    free(b);
}

static int start(struct wharf_broker *b, const struct wharf_broker_options *o)
{
    int rc = names_init(&b->names, o);
    if (rc == 0)
        rc = work_init(b);
    if (rc == 0)
        rc = start_core(b);
    return rc == 0 ? -pthread_create(&b->thread, NULL, run, b) : rc;
}

struct wharf_broker *wharf_broker_new(const struct wharf_broker_options *o)
{
    struct wharf_broker *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    must(pthread_mutex_init(&b->lock, NULL) == 0);
    clock_cond_init(&b->wake);
    clock_cond_init(&b->idle);
    clock_cond_init(&b->sampled);
    list_init(&b->calls);
    list_init(&b->events);
    list_init(&b->work);
    list_init(&b->work_spare);
    b->ops = o->ops;
    b->arg = o->arg;
    b->mode = CORE_SLOT_NONE;
    int rc = start(b, o);
    if (rc == 0)
        return b;
    end(b);
    errno = -rc;
    return NULL;
}

void wharf_broker_free(struct wharf_broker *b)
{
    if (!b)
        return;
    broker_lock(b);
    must(list_empty(&b->calls));
    b->closing = true;
    work_wait(b);
    b->ending = true;
    must(pthread_cond_signal(&b->wake) == 0);
    broker_unlock(b);
    must(pthread_join(b->thread, NULL) == 0);
    end(b);
}
