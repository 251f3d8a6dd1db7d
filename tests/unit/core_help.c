#include "core_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void box_forget(struct box *b)
{
    memset(b->count, 0, sizeof(b->count));
    memset(b->notices, 0, sizeof(b->notices));
    b->steps = b->most_effects = 0;
}

void box_take(struct box *b, const struct effects *fx)
{
    assert_in_range(fx->count, 0, BOX_EFFECTS_MAX);
    b->steps++;
    if (fx->count > b->most_effects)
        b->most_effects = fx->count;
    for (uint32_t i = 0; i < fx->count; i++) {
        const struct effect *e = &fx->items[i];
        b->count[e->type]++;
        b->last[e->type] = *e;
        if (e->type == EFFECT_NOTICE)
            b->notices[e->notice]++;
        if (e->type == EFFECT_LOAD || e->type == EFFECT_UNLOAD)
            b->ops[e->model] = e->op;
    }
}

static void box_check(struct box *b, bool always)
{
    bool big = b->limits.models_max + b->limits.waiters_max > 500;
    if (big && !always && ++b->unchecked < 100)
        return;
    b->unchecked = 0;
    core_check(b->core);
}

void box_step(struct box *b, struct event ev)
{
    ev.now.ns = b->now_ns;
    struct effects fx = core_step(b->core, &ev);
    box_take(b, &fx);
    box_check(b, fx.more);
    while (fx.more) {
        struct event tick = {.type = EVENT_TICK, .now.ns = b->now_ns};
        fx = core_step(b->core, &tick);
        box_take(b, &fx);
        box_check(b, true);
    }
}

void box_config(struct box *b)
{
    b->config.models = b->models;
    b->config.groups = b->groups;
    b->config.devices = b->devices;
    b->config.gates = b->gates;
    box_step(b, (struct event){.type = EVENT_CONFIG, .config = &b->config});
}

struct box *box_new(uint32_t models, uint32_t waiters_max)
{
    struct box *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_in_range(models, 1, BOX_MODELS_MAX);
    b->limits = (struct core_limits){.models_max = models,
                                     .groups_max = 4,
                                     .gates_max = 2,
                                     .waiters_max = waiters_max,
                                     .leases_max = waiters_max,
                                     .commands_max = 2000};
    b->config = (struct core_config){
        .model_count = models, .group_count = 2, .device_count = 1, .gate_count = 1};
    b->groups[1] = (struct core_group_policy){.swap = true, .exclusive = true};
    b->devices[0].limit_permille = 1000;
    b->gates[0].limit = 1;
    for (uint32_t i = 0; i < models; i++)
        b->models[i] = (struct core_model_policy){.present = true,
                                                  .hash_process = 1,
                                                  .slots_max = 4,
                                                  .queue_max = waiters_max,
                                                  .load_ns_max = 60 * NS_PER_S,
                                                  .unload_ns_max = 10 * NS_PER_S};
    b->mem = calloc(1, core_size(&b->limits));
    assert_non_null(b->mem);
    b->core = core_init(b->mem, &b->limits, 1);
    box_config(b);
    box_step(b, (struct event){.type = EVENT_DEVICE_FOUND, .found = {0, 24 * GIB}});
    box_step(b, (struct event){.type = EVENT_BOOT_DONE});
    return b;
}

void box_free(struct box *b)
{
    free(b->mem);
    free(b);
}

void box_request(struct box *b, uint32_t model, uint64_t tag)
{
    box_step(b, (struct event){.type = EVENT_REQUEST_ARRIVED,
                               .request = {.tag = tag,
                                           .model = model,
                                           .class = CLASS_NORMAL,
                                           .wait_ns_max = UINT64_MAX}});
}

void box_lease(struct box *b, uint64_t tag)
{
    const struct core_lease_ask ask = {
        .class = CLASS_FOREGROUND, .gate_count = 1, .wait_ns_max = UINT64_MAX};
    box_step(b, (struct event){.type = EVENT_LEASE_ASKED, .lease = {.tag = tag, .ask = &ask}});
}

void box_end(struct box *b, struct id waiter)
{
    box_step(b, (struct event){.type = EVENT_REQUEST_ENDED, .ended = {waiter, ENDED_DONE}});
}

void box_command(struct box *b, enum command what, uint32_t model, uint64_t tag)
{
    box_step(b, (struct event){.type = EVENT_COMMAND,
                               .command = {.tag = tag, .model = model, .what = what}});
}

void box_complete(struct box *b, enum event_type type, uint32_t model)
{
    box_step(b, (struct event){.type = type, .model = {.op = b->ops[model], .model = model}});
}

void box_load(struct box *b, uint32_t model)
{
    box_command(b, COMMAND_LOAD, model, 1 + model);
    box_complete(b, EVENT_MODEL_LOADED, model);
}
