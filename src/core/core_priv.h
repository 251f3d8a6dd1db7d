/* core_priv.h: what the files of this folder do for each other; state.h says on what. */
#ifndef CORE_PRIV_H
#define CORE_PRIV_H

#include "core/state.h"

/* deadlines: one heap slot a purpose and object */
enum deadline { DEADLINE_OP, DEADLINE_IDLE, DEADLINE_ERROR, DEADLINE_SETTLE, DEADLINE__PER_MODEL };

static inline uint32_t deadline_slot(uint32_t model, enum deadline which)
{
    return model * DEADLINE__PER_MODEL + (uint32_t)which;
}

/* core.c */
struct effect *core_emit(struct core *c, enum effect_type type, uint32_t model);
struct effect *core_notice(struct core *c, enum notice notice, uint32_t model, enum reason why);
bool core_has_room(struct core *c); /* for another EFFECTS_MARGIN effects; else sets more */
void core_set_deadline(struct core *c, uint32_t slot, struct mono at);
uint32_t core_deadline_waiter(const struct core *c, uint32_t waiter_slot);
uint32_t core_deadline_drain(const struct core *c);
bool core_find_waiter(struct core *c, struct id id, struct waiter **ret);

/* queue.c: waiters */
void queue_arrive(struct core *c, const struct event *ev);
void queue_end(struct core *c, struct id id, enum ended how);
void queue_bounce(struct core *c, struct id id);
void queue_grant_head(struct core *c, uint32_t model);
void queue_grant(struct core *c, uint32_t waiter_slot);
void queue_doom(struct core *c, uint32_t model, enum reason why);
void queue_expire(struct core *c, uint32_t waiter_slot);
void queue_drain_doomed(struct core *c);
/* Refuses all that wait for the model, commands too, ahead of whatever is decided next. */
void queue_refuse_all(struct core *c, uint32_t model, enum reason why);
/* Tells the request that arrived in this step that it waits, unless it was answered otherwise. */
void queue_report_wait(struct core *c);
uint32_t queue_estimate_s(const struct core *c, uint32_t model);
struct waiter *queue_head(const struct core *c, uint32_t model);

/* lease.c: gate slots */
void lease_ask(struct core *c, const struct event *ev);
void lease_end(struct core *c, uint32_t waiter_slot);
/* Lets in whoever the gate has room for, as far as this step's effects reach. */
void lease_admit(struct core *c, uint32_t gate);
void lease_refuse_waiting(struct core *c);

/* model.c: states, ops, and where a model belongs */
void model_init(struct model *m);
void model_set_state(struct core *c, uint32_t slot, enum model_state to, enum reason why);
bool model_resident(const struct model *m);
bool model_admits(const struct core *c, const struct model *m);
void model_refresh(struct core *c, uint32_t slot);
void model_start_load(struct core *c, uint32_t slot);
void model_start_unload(struct core *c, uint32_t slot, enum reason why);
void model_abort_load(struct core *c, uint32_t slot, enum reason why);
/* The grace of its unload is over, or cut short. */
void model_kill(struct core *c, uint32_t slot);
/* A failed load is forgotten: it may be tried again. */
void model_end_error(struct core *c, uint32_t slot, enum reason why);
void model_leave(struct core *c, uint32_t slot, enum reason why);
void model_on_loaded(struct core *c, const struct event *ev);
void model_on_load_failed(struct core *c, const struct event *ev);
void model_on_unloaded(struct core *c, const struct event *ev);
void model_on_exited(struct core *c, const struct event *ev);
void model_on_broken(struct core *c, const struct event *ev);
void model_run_deadline(struct core *c, uint32_t slot, enum deadline which);

/* transition.c: plans under way */
void transition_commit(struct core *c, uint32_t target, const struct plan *plan, uint32_t victims);
void transition_victim_gone(struct core *c, uint32_t victim);
void transition_end(struct core *c, uint32_t target);
void transition_advance_all(struct core *c);
bool transition_wanted(const struct core *c, uint32_t target);

/* ledger.c: bytes */
uint64_t ledger_capacity(const struct core *c, uint32_t device);
/* Bytes that a model needs there. One of unknown footprint needs all that wharf can have. */
uint64_t ledger_need(const struct core *c, uint32_t model, uint32_t device);
/* Bytes that a new plan could have on the device; except: a target whose own claim is left out. */
uint64_t ledger_room(const struct core *c, uint32_t device, uint32_t except);
void ledger_charge(struct core *c, uint32_t model, uint32_t device, uint64_t bytes);
void ledger_release(struct core *c, uint32_t model); /* begins settling */
void ledger_settle(struct core *c, uint32_t model);
void ledger_device_found(struct core *c, uint32_t device, uint64_t total_bytes);
void ledger_sample(struct core *c, const struct event *ev);
uint64_t ledger_settling(const struct core *c, uint32_t device);

/* command.c */
void command_start(struct core *c, const struct event *ev);
void command_cancel(struct core *c, uint64_t tag);
/* Ends the waiting commands of one kind for the model: all LOADs, or all UNLOADs. */
void command_finish(struct core *c, uint32_t model, bool loads, enum reason why);
void command_drain_answers(struct core *c);

/* reload.c */
void reload_sweep(struct core *c);
void reload_apply(struct core *c, const struct core_config *config);
void reload_take_next(struct core *c, uint32_t slot);

/* sched.h, plan.h: the policies; sched_dispatch decides everything that can be decided now */
void sched_dispatch(struct core *c);

#endif
