/* core_help.h: a core in a box for unit tests: memory, a configuration that tests change in place,
 * and steps that check every invariant and count what came out. */
#ifndef TESTS_CORE_HELP_H
#define TESTS_CORE_HELP_H

#include "core/core.h"

#define BOX_MODELS_MAX 2048
/* What one step gives out at most; core_priv.h has the same number. */
#define BOX_EFFECTS_MAX 512

struct box {
    void *mem;
    struct core *core;
    struct core_limits limits;
    struct core_config config;
    struct core_model_policy models[BOX_MODELS_MAX];
    struct core_group_policy groups[4];
    struct core_device_policy devices[2];
    struct core_gate_policy gates[2];
    uint64_t now_ns;
    uint32_t unchecked; /* steps since the last core_check, which is slow in a big core */
    /* Since the last box_forget. */
    uint32_t count[EFFECT__COUNT], notices[NOTICE__COUNT], steps, most_effects;
    /* The last of each kind. */
    struct effect last[EFFECT__COUNT];
    uint64_t ops[BOX_MODELS_MAX];
};

void box_forget(struct box *b);
/* Counts what a step gave out. */
void box_take(struct box *b, const struct effects *fx);
/* One event, and the TICKs that `more` asks for. */
void box_step(struct box *b, struct event ev);
void box_config(struct box *b);
/* `models` of one group that lets all of them be loaded, one device of 24 GiB, one gate. */
struct box *box_new(uint32_t models, uint32_t waiters_max);
void box_free(struct box *b);
void box_request(struct box *b, uint32_t model, uint64_t tag);
/* A background lease of one slot of the gate. */
void box_lease(struct box *b, uint64_t tag);
void box_end(struct box *b, struct id waiter);
void box_command(struct box *b, enum command what, uint32_t model, uint64_t tag);
/* Completes the model's last op. */
void box_complete(struct box *b, enum event_type type, uint32_t model);
void box_load(struct box *b, uint32_t model);

#endif
