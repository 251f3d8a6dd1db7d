/* What the program's own functions do for the broker, each on a thread of its own. Of one model
 * only one runs at a time: what is ordered while another one that was given up still runs waits for
 * it. */
#include <errno.h>
#include <stdlib.h>

#include "lib/broker/broker.h"
#include "lib/clock.h"

#define SAMPLE_AGAIN_NS (50 * NS_PER_MS)

struct work {
    struct link link; /* in the broker's work */
    struct wharf_broker *broker;
    enum effect_type order; /* LOAD UNLOAD MOVE SAMPLE_NOW */
    uint64_t op;
    uint32_t model, placement, devices; /* SAMPLE_NOW: devices is one */
    const char *device;
    bool running;
    bool report;   /* the core is to be told: it could not begin, or has just been given up */
    bool given_up; /* its op has ended for the core */
    int rc;
    uint64_t used_bytes;
    struct mono began;
};

static void *perform(void *arg);

static struct work *work_of(struct link *n)
{
    return list_entry(n, struct work, link);
}

static bool of_model(const struct work *w, uint32_t model)
{
    return w->order != EFFECT_SAMPLE_NOW && w->model == model;
}

static struct work *running_for(struct wharf_broker *b, uint32_t model)
{
    struct link *n;
    list_each(n, &b->work) {
        if (work_of(n)->running && of_model(work_of(n), model))
            return work_of(n);
    }
    return NULL;
}

static void spawn(struct work *w)
{
    pthread_t thread;
    w->began.ns = clock_ns();
    w->rc = -pthread_create(&thread, NULL, perform, w);
    w->running = w->rc == 0;
    w->report = !w->running;
    if (w->running)
        must(pthread_detach(thread) == 0);
}

/* Of a model: one that was given up and still runs, one that was given up before it could begin,
 * and the one that follows. Of a device: one, and the one that follows it. */
int work_init(struct wharf_broker *b)
{
    uint32_t count = 3 * b->names.config.model_count + 2 * b->names.config.device_count;
    b->work_items = calloc(count + 1, sizeof(*b->work_items));
    if (!b->work_items)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        list_push(&b->work_spare, &b->work_items[i].link);
    return 0;
}

static struct work *add(struct wharf_broker *b, enum effect_type order)
{
    struct link *spare = list_pop(&b->work_spare);
    must(spare);
    struct work *w = list_entry(spare, struct work, link);
    *w = (struct work){.broker = b, .order = order};
    list_push(&b->work, &w->link);
    return w;
}

void work_begin(struct wharf_broker *b, const struct effect *e)
{
    struct work *w = add(b, e->type);
    w->op = e->op;
    w->model = e->model;
    w->placement = e->placement;
    w->devices = e->devices;
    if (e->type != EFFECT_UNLOAD)
        w->device = names_placement_device(&b->names, e->model, e->placement);
    if (!running_for(b, e->model))
        spawn(w);
}

void work_give_up(struct wharf_broker *b, const struct effect *e)
{
    struct link *n;
    list_each(n, &b->work) {
        struct work *w = work_of(n);
        /* A move is where its function says, and nowhere before that. */
        if (w->order == EFFECT_SAMPLE_NOW || w->op != e->op || w->order == EFFECT_MOVE)
            continue;
        w->report = true;
        w->rc = -ETIMEDOUT;
    }
}

void work_sample(struct wharf_broker *b, uint32_t device)
{
    if (!b->ops.sample || b->closing)
        return;
    if (b->sampling >> device & 1) {
        b->sample_again |= 1U << device;
        return;
    }
    b->sampling |= 1U << device;
    struct work *w = add(b, EFFECT_SAMPLE_NOW);
    w->devices = device;
    w->device = b->names.devices[device];
    b->sample_due &= ~(1U << device);
    b->sample_began_ns[device] = clock_ns();
    spawn(w);
}

void work_sample_soon(struct wharf_broker *b, uint32_t device)
{
    if (b->sample_began_ns[device] + SAMPLE_AGAIN_NS <= clock_ns())
        work_sample(b, device);
    else
        b->sample_due |= 1U << device;
}

bool work_sample_due(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns)
{
    for (uint32_t d = 0; d < b->names.config.device_count; d++) {
        uint64_t at_ns = b->sample_began_ns[d] + SAMPLE_AGAIN_NS;
        if (!(b->sample_due >> d & 1))
            continue;
        if (at_ns <= now_ns) {
            b->sample_due &= ~(1U << d);
            work_sample(b, d);
            return true;
        }
        *next_ns = at_ns < *next_ns ? at_ns : *next_ns;
    }
    return false;
}

static enum reason why_of(int rc)
{
    return rc == -ENOMEM      ? REASON_OUT_OF_MEMORY
           : rc == -ETIMEDOUT ? REASON_ABORTED
                              : REASON_LOAD_FAILED;
}

/* The op has ended so. */
static void complete(struct wharf_broker *b, const struct work *w, int rc)
{
    struct event ev = {.model = {.op = w->op, .model = w->model, .why = why_of(rc)}};
    if (w->order == EFFECT_LOAD)
        ev.type = rc == 0 ? EVENT_MODEL_LOADED : EVENT_MODEL_LOAD_FAILED;
    if (w->order == EFFECT_UNLOAD) {
        ev.type = EVENT_MODEL_UNLOADED;
        ev.model.stuck = rc != 0;
    }
    if (w->order == EFFECT_MOVE) {
        ev.type = EVENT_MODEL_MOVED;
        ev.model.outcome = rc == 0 ? OUTCOME_DONE : OUTCOME_AT_SOURCE;
    }
    broker_step(b, ev);
}

static void forget(struct wharf_broker *b, struct work *w)
{
    list_remove(&b->work, &w->link);
    list_push(&b->work_spare, &w->link);
    if (list_empty(&b->work))
        must(pthread_cond_broadcast(&b->idle) == 0);
}

/* One that had been given up has been done all the same. */
static void complete_late(struct wharf_broker *b, const struct work *w)
{
    struct event ev = {
        .model = {.model = w->model, .placement = w->placement, .devices = w->devices}};
    if (w->rc != 0)
        return;
    ev.type = w->order == EFFECT_LOAD ? EVENT_MODEL_ADOPTED : EVENT_MODEL_EXITED;
    ev.model.why = REASON_EXITED;
    broker_step(b, ev);
}

/* What waited for it to be over. What it has done meanwhile, that one need not do again. */
static void begin_next(struct wharf_broker *b, const struct work *before)
{
    struct link *n;
    list_each(n, &b->work) {
        struct work *w = work_of(n);
        if (!of_model(w, before->model) || w->running || w->report || w->given_up)
            continue;
        if (before->rc == 0 && before->order == w->order && before->placement == w->placement) {
            complete(b, w, 0);
            forget(b, w);
        } else {
            spawn(w);
        }
        return;
    }
    complete_late(b, before);
}

/* What is loaded there has its bytes, though only their sum can be asked for. */
static uint32_t find_uses(struct wharf_broker *b, uint32_t device, struct sample_use *ret)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->names.config.model_count; i++) {
        struct core_model_view v;
        core_view_model(b->core, i, &v);
        if (v.state == MODEL_LOADED && v.devices >> device & 1)
            ret[count++] = (struct sample_use){.model = i, .bytes = SAMPLE_UNMEASURED};
    }
    return count;
}

static void end_sample(struct wharf_broker *b, const struct work *w)
{
    uint32_t device = w->devices;
    b->sampling &= ~(1U << device);
    struct event ev = {.type = EVENT_DEVICE_SAMPLE,
                       .sample = {.device = device,
                                  .taken = w->began,
                                  .used_unknown = w->rc != 0,
                                  .uses = b->uses,
                                  .use_count = find_uses(b, device, b->uses),
                                  .used_bytes = w->used_bytes}};
    b->samples[device]++;
    must(pthread_cond_broadcast(&b->sampled) == 0);
    bool again = b->sample_again >> device & 1;
    b->sample_again &= ~(1U << device);
    broker_step(b, ev);
    if (again)
        work_sample(b, device);
}

/* With the lock: its function has returned. */
static void end_of(struct wharf_broker *b, struct work *w)
{
    w->running = false;
    if (w->order == EFFECT_SAMPLE_NOW)
        end_sample(b, w);
    else if (w->given_up)
        begin_next(b, w);
    else
        complete(b, w, w->rc);
    forget(b, w);
}

static int call(struct work *w)
{
    const struct wharf_broker *b = w->broker;
    const char *model = w->order == EFFECT_SAMPLE_NOW ? NULL : b->names.models[w->model];
    if (w->order == EFFECT_LOAD)
        return b->ops.load(b->arg, model, w->device);
    if (w->order == EFFECT_UNLOAD)
        return b->ops.unload(b->arg, model);
    if (w->order == EFFECT_MOVE)
        return b->ops.move(b->arg, model, w->device);
    return b->ops.sample(b->arg, w->device, &w->used_bytes);
}

static void *perform(void *arg)
{
    struct work *w = arg;
    struct wharf_broker *b = w->broker;
    int rc = call(w);
    broker_lock(b);
    w->rc = rc;
    w->report = false; /* it is done now, and was not given up yet */
    end_of(b, w);
    broker_unlock(b);
    return NULL;
}

bool work_report(struct wharf_broker *b)
{
    struct link *n;
    list_each(n, &b->work) {
        struct work *w = work_of(n);
        if (!w->report)
            continue;
        w->report = false;
        if (w->order == EFFECT_SAMPLE_NOW) {
            end_of(b, w);
            return true;
        }
        w->given_up = true;
        complete(b, w, w->rc);
        if (!w->running)
            forget(b, w); /* it never began */
        return true;
    }
    return false;
}

void work_wait(struct wharf_broker *b)
{
    while (!list_empty(&b->work))
        (void)clock_cond_wait(&b->idle, &b->lock, UINT64_MAX);
}
