/* models.h: what the files of this folder do for each other about models: states, ops, and
 * what changes them from outside. */
#ifndef CORE_MODELS_H
#define CORE_MODELS_H

#include "core/deadline.h"
#include "core/state.h"

/* model.c: states, and where a model belongs */
void model_init(struct model *m);
void model_set_state(struct core *c, uint32_t slot, enum model_state to, enum reason why);
bool model_resident(const struct model *m);
bool model_serves(const struct core *c, const struct model *m);
bool model_busy(const struct model *m); /* with something that keeps it from leaving */
bool model_pinned(const struct model *m);
/* Idle time until it is unloaded; UINT64_MAX: never. */
uint64_t model_ttl_ns(const struct model *m);
/* Whether the host's memory has room for it. */
bool model_may_suspend(const struct core *c, const struct model *m);
void model_refresh(struct core *c, uint32_t slot);
void model_leave(struct core *c, uint32_t slot, enum leave how, enum reason why);
void model_gone(struct core *c, uint32_t slot);
/* A failed load is forgotten: it may be tried again. */
void model_end_error(struct core *c, uint32_t slot, enum reason why);
void model_pause(struct core *c, uint32_t slot);
void model_run_deadline(struct core *c, uint32_t slot, enum deadline which);
/* What the model's load there was, or should be. */
uint64_t model_load_ns(const struct model *m, uint32_t placement);

/* op.c: loads, unloads, moves, suspends, resumes */
void op_start_planned(struct core *c, uint32_t target);
void op_start_unload(struct core *c, uint32_t slot, enum reason why);
void op_start_suspend(struct core *c, uint32_t slot, enum reason why);
void op_start_move(struct core *c, uint32_t slot, const struct plan *to, enum reason why);
/* To a placement that takes no device memory, so that nothing has to be planned. */
void op_start_demote(struct core *c, uint32_t slot, uint32_t placement, enum reason why);
void op_abort_load(struct core *c, uint32_t slot, enum reason why);
/* The time of any other op is over, or cut short. */
void op_kill(struct core *c, uint32_t slot);
/* It is there, and uses more than was known. */
void op_learn_peak(struct core *c, uint32_t slot);
void op_on_loaded(struct core *c, const struct event *ev);
void op_on_load_failed(struct core *c, const struct event *ev);
void op_on_unloaded(struct core *c, const struct event *ev);
void op_on_moved(struct core *c, const struct event *ev);
void op_on_suspended(struct core *c, const struct event *ev);
void op_on_resumed(struct core *c, const struct event *ev);
void op_on_exited(struct core *c, const struct event *ev);
void op_on_broken(struct core *c, const struct event *ev);
void op_on_adopted(struct core *c, const struct event *ev);

/* backend.c */
void backend_down(struct core *c, uint32_t backend);
void backend_sweep(struct core *c); /* its models, as far as this step reaches */
void backend_up(struct core *c, uint32_t backend);
void backend_probe(struct core *c, uint32_t backend);

/* command.c */
void command_start(struct core *c, const struct event *ev);
void command_cancel(struct core *c, uint64_t tag);
/* Ends the waiting commands of one kind for the model. */
void command_finish(struct core *c, uint32_t model, enum command what, enum reason why);
void command_finish_all(struct core *c, uint32_t model, enum reason why);
void command_drain_answers(struct core *c);

/* mode.c */
void mode_set(struct core *c, const struct core_wish *wishes, uint32_t count);
bool mode_wants_load(const struct core *c, uint32_t model);
/* The placement that the mode wants a loaded model moved to; CORE_SLOT_NONE: none. */
uint32_t mode_wants_move(const struct core *c, uint32_t model);
/* Moves towards the wishes that need no plan. */
void mode_advance(struct core *c);
/* The wish could not be carried out: it is left alone for a while. */
void mode_give_up(struct core *c, uint32_t model);
void mode_granted(struct core *c, uint32_t model);

/* reload.c */
void reload_sweep(struct core *c);
void reload_apply(struct core *c, const struct core_config *config);
void reload_take_next(struct core *c, uint32_t slot);

#endif
