/* What arriving, cancelling and being granted cost in the core, with few waiters and with many,
 * over many models. Prints one line a size: nanoseconds each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pure/rng.h"
#include "core/core.h"

#define MODELS 1000
#define WAITERS_MAX 200000
#define SLOTS 4
#define ROUNDS 200000

struct bench {
    struct core *core;
    void *mem;
    uint64_t now_ns, tag;
    struct rng rng;
    struct id *waiting, *running; /* ids, in no order */
    uint32_t *where;              /* waiter slot -> index in waiting */
    uint32_t waiting_count, running_count;
    uint64_t ops[MODELS];
};

static uint64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void stop_waiting(struct bench *b, struct id id)
{
    uint32_t at = b->where[id.slot];
    b->waiting[at] = b->waiting[--b->waiting_count];
    b->where[b->waiting[at].slot] = at;
}

static void step(struct bench *b, struct event ev)
{
    struct effects fx;
    do {
        ev.now.ns = ++b->now_ns;
        fx = core_step(b->core, &ev);
        for (uint32_t i = 0; i < fx.count; i++) {
            const struct effect *e = &fx.items[i];
            if (e->type == EFFECT_WAIT) {
                b->where[e->waiter.slot] = b->waiting_count;
                b->waiting[b->waiting_count++] = e->waiter;
            } else if (e->type == EFFECT_GRANT) {
                if (e->duration_ns)
                    stop_waiting(b, e->waiter);
                b->running[b->running_count++] = e->waiter;
            } else if (e->type == EFFECT_LOAD) {
                b->ops[e->model] = e->op;
            }
        }
        ev = (struct event){.type = EVENT_TICK};
    } while (fx.more);
}

static void arrive(struct bench *b, uint32_t model)
{
    step(b, (struct event){.type = EVENT_REQUEST_ARRIVED,
                           .request = {.tag = ++b->tag,
                                       .model = model,
                                       .class = (enum class)(b->tag % CLASS__COUNT),
                                       .wait_ns_max = UINT64_MAX}});
}

static void end(struct bench *b, struct id id, enum ended how)
{
    step(b, (struct event){.type = EVENT_REQUEST_ENDED, .ended = {id, how}});
}

static void cancel_any(struct bench *b)
{
    struct id id = b->waiting[rng_below(&b->rng, b->waiting_count)];
    stop_waiting(b, id);
    end(b, id, ENDED_GONE);
}

/* All models are loaded and busy, so that who comes waits. */
static struct bench *begin(void)
{
    static struct core_model_policy models[MODELS];
    static struct core_group_policy group;
    struct core_limits limits = {.models_max = MODELS,
                                 .groups_max = 1,
                                 .waiters_max = WAITERS_MAX,
                                 .leases_max = 16,
                                 .commands_max = 16};
    struct bench *b = calloc(1, sizeof(*b));
    size_t bytes = (core_size(&limits) + 63) & ~(size_t)63;
    b->mem = aligned_alloc(64, bytes);
    memset(b->mem, 0, bytes);
    b->waiting = calloc(WAITERS_MAX, sizeof(*b->waiting));
    b->running = calloc(WAITERS_MAX, sizeof(*b->running));
    b->where = calloc(WAITERS_MAX, sizeof(*b->where));
    b->rng.state = 1;
    b->now_ns = 1;
    for (uint32_t i = 0; i < MODELS; i++)
        models[i] = (struct core_model_policy){.present = true,
                                               .slots_max = SLOTS,
                                               .queue_max = WAITERS_MAX,
                                               .load_ns_max = NS_PER_S,
                                               .unload_ns_max = NS_PER_S};
    b->core = core_init(b->mem, &limits, 1);
    struct core_config config = {.sched = SCHEDULER_FAIR,
                                 .plan = PLAN_GROUP,
                                 .models = models,
                                 .model_count = MODELS,
                                 .groups = &group,
                                 .group_count = 1};
    for (int class = 0; class < CLASS__COUNT; class ++)
        config.fair.wait_ns_max[class] = 1000 * NS_PER_S;
    step(b, (struct event){.type = EVENT_CONFIG, .config = &config});
    step(b, (struct event){.type = EVENT_BOOT_DONE});
    for (uint32_t i = 0; i < MODELS; i++) {
        arrive(b, i);
        step(b, (struct event){.type = EVENT_MODEL_LOADED, .model = {.op = b->ops[i], .model = i}});
        while (b->running_count < (i + 1) * SLOTS)
            arrive(b, i);
    }
    return b;
}

static void fill(struct bench *b, uint32_t waiters)
{
    while (b->waiting_count < waiters)
        arrive(b, (uint32_t)rng_below(&b->rng, MODELS));
}

static void measure(struct bench *b, uint32_t waiters)
{
    uint64_t arrive_ns = 0, cancel_ns = 0, grant_ns = 0, t;
    fill(b, waiters);
    /* In batches, so that reading the clock does not count. */
    for (uint32_t r = 0; r < ROUNDS / 100; r++) {
        t = wall_ns();
        for (uint32_t i = 0; i < 100; i++)
            arrive(b, (uint32_t)rng_below(&b->rng, MODELS));
        arrive_ns += wall_ns() - t;
        t = wall_ns();
        for (uint32_t i = 0; i < 50; i++)
            cancel_any(b);
        cancel_ns += wall_ns() - t;
        t = wall_ns();
        /* The end of one that runs grants another that waits for the same model. */
        for (uint32_t i = 0; i < 50; i++) {
            uint32_t at = (uint32_t)rng_below(&b->rng, b->running_count);
            struct id id = b->running[at];
            b->running[at] = b->running[--b->running_count];
            end(b, id, ENDED_DONE);
        }
        grant_ns += wall_ns() - t;
        fill(b, waiters);
        while (b->waiting_count > waiters) {
            struct id id = b->waiting[b->waiting_count - 1];
            stop_waiting(b, id);
            end(b, id, ENDED_GONE);
        }
    }
    printf("%u waiters: arrive %" PRIu64 " ns, cancel %" PRIu64 " ns, grant %" PRIu64 " ns\n",
           waiters, arrive_ns / ROUNDS, cancel_ns / (ROUNDS / 2), grant_ns / (ROUNDS / 2));
}

int main(void)
{
    struct bench *b = begin();
    measure(b, 100);
    measure(b, 100000);
    core_check(b->core);
    free(b->mem);
    free(b->waiting);
    free(b->running);
    free(b->where);
    free(b);
    return 0;
}
