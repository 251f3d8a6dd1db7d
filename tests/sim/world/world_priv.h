/* world_priv.h: what the files of the world do for each other. */
#ifndef SIM_WORLD_PRIV_H
#define SIM_WORLD_PRIV_H

#include "world.h"

enum timer { TIMER_ENGINE, TIMER_EXIT, TIMER_CLIENT, TIMER_BACKEND, TIMER_SAMPLE };

/* world.c */
uint64_t world_choice(struct world *w, uint64_t bound);

static inline uint64_t below(struct world *w, uint64_t bound)
{
    return w->choices_left ? world_choice(w, bound) : rng_below(&w->rng, bound);
}

static inline bool chance(struct world *w, enum odds which)
{
    return w->swarm.odds[which] && w->chaos && below(w, 1000) < w->swarm.odds[which];
}

/* world.c */
void world_set_timer(struct world *w, enum timer kind, uint32_t i, uint64_t at_ns);
struct letter *world_post(struct world *w, enum event_type type);
uint64_t world_soon(struct world *w, uint64_t ns_max);
void world_deliver(struct world *w);
void world_pass(struct world *w, uint64_t to_ns);
void world_tell(struct world *w, struct note *n);

/* swarm.c */
void swarm_draw(struct world *w);
void swarm_config(struct world *w);
void swarm_change_config(struct world *w);
void swarm_model(struct world *w, uint32_t i);
void swarm_wishes(struct world *w);

/* engine.c */
void engine_effect(struct world *w, const struct effect *e);
void engine_grow(struct world *w, uint32_t i, uint64_t bytes);
void engine_due(struct world *w, uint32_t i);
void engine_crash(struct world *w, uint32_t i);
void engine_exit(struct world *w, uint32_t i);
void engine_told(struct world *w, const struct note *n); /* before the core is */
void engine_adopt(struct world *w, uint32_t i);          /* it was there before the start */
void engine_backend(struct world *w, uint32_t backend, bool lost);
uint64_t engine_bytes(const struct world *w, uint32_t i, uint32_t device);
bool engine_lingers(const struct world *w, uint32_t i, uint32_t device);

/* clients.c */
void client_effect(struct world *w, const struct effect *e);
void client_due(struct world *w, uint32_t slot);
void client_arrive(struct world *w);
void client_hand_over(struct world *w, uint32_t model, bool running); /* from an earlier life */
void client_ask_lease(struct world *w, bool restored);
void client_leave(struct world *w, uint32_t slot);
void client_bounce(struct world *w, uint32_t slot);
void client_cut_all(struct world *w, uint32_t model); /* their server has ended */
bool client_told(struct world *w, struct letter *l);  /* false: not worth telling */
uint32_t client_any(struct world *w);                 /* CORE_SLOT_NONE: none */

/* sampler.c */
void sampler_take(struct world *w, uint32_t device);
uint64_t sampler_used(const struct world *w, uint32_t device);
void sampler_check_truth(struct world *w, uint32_t devices);

/* acts.c */
void acts_do_one(struct world *w);

#endif
