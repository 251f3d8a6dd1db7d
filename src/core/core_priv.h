/* core_priv.h: what the files of this folder do for each other; state.h says on what. */
#ifndef CORE_PRIV_H
#define CORE_PRIV_H

#include "core/state.h"

/* deadlines: one heap slot a purpose and object */
enum deadline {
    DEADLINE_OP,
    DEADLINE_IDLE,
    DEADLINE_ERROR,
    DEADLINE_SETTLE,
    DEADLINE_OVERDUE,
    DEADLINE__PER_MODEL
};
enum lease_deadline {
    LEASE_DEADLINE_TIME, /* patience, ttl, grace, or being told to starve */
    LEASE_DEADLINE_SETTLE,
    LEASE_DEADLINE_OVERDUE,
    LEASE_DEADLINE__PER_LEASE
};

/* core.c */
struct effect *core_emit(struct core *c, enum effect_type type, uint32_t model);
struct effect *core_notice(struct core *c, enum notice notice, uint32_t model, enum reason why);
bool core_has_room(struct core *c); /* for another EFFECTS_MARGIN effects; else sets more */
void core_effect_devices(struct effect *e, uint32_t devices);

/* deadline.c */
uint32_t deadline_slots(const struct core_limits *l);
uint32_t deadline_model(uint32_t model, enum deadline which);
uint32_t deadline_waiter(const struct core *c, uint32_t waiter_slot);
uint32_t deadline_lease(const struct core *c, uint32_t lease_slot, enum lease_deadline which);
uint32_t deadline_backend(const struct core *c, uint32_t backend);
uint32_t deadline_drain(const struct core *c);
void deadline_set(struct core *c, uint32_t slot, struct mono at);
void deadline_clear(struct core *c, uint32_t slot);
/* Plans that failed may succeed from then on, whatever else happens. */
void deadline_replan(struct core *c, struct mono at);
void deadline_run_due(struct core *c, uint64_t gap_ns);

/* queue.c: requests */
void queue_arrive(struct core *c, const struct event *ev);
void queue_end(struct core *c, struct id id, enum ended how);
void queue_bounce(struct core *c, struct id id);
void queue_quiet(struct core *c, struct id id, bool quiet);
void queue_grant(struct core *c, uint32_t waiter_slot);
void queue_doom(struct core *c, uint32_t model, enum reason why);
void queue_expire(struct core *c, uint32_t waiter_slot);
void queue_drain_doomed(struct core *c);
/* Tells the request that arrived in this step that it waits, unless it was answered otherwise. */
void queue_report_wait(struct core *c);
/* The request to be granted next for the model, or NULL; of one that must yield, only those that
 * came before its gate closed. */
struct waiter *queue_next(const struct core *c, uint32_t model);

/* want.c: who comes in next */
struct claim {
    uint32_t target;
    uint32_t rank; /* class of who waits; CLASS__COUNT: a mode alone */
    bool overdue;
};
bool want_is_lease(const struct core *c, uint32_t target);
struct lease *want_lease(const struct core *c, uint32_t target);
uint32_t want_of_lease(const struct core *c, uint32_t lease_slot);
struct claim want_claim(const struct core *c, uint32_t target);
/* When the one that waits longest for it is overdue; false: never, or its clock stands. */
bool want_deadline(const struct core *c, uint32_t target, struct mono *ret_at);
/* When a request becomes overdue; false: never. */
bool want_waiter_deadline(const struct core *c, const struct waiter *w, struct mono *ret_at);
bool want_anyone(const struct core *c, uint32_t target); /* somebody wants it still */
/* Puts the target into c->wants or takes it out. */
void want_set(struct core *c, uint32_t target, bool wanted);
/* Tried in vain: not again before something changes. */
void want_park(struct core *c, uint32_t target);
void want_unpark_all(struct core *c);
void want_block(struct core *c, uint32_t target, enum reason why, uint32_t by);
void want_unblock(struct core *c, uint32_t target);
void want_set_anchor(struct core *c, uint32_t target, uint32_t devices);
/* Refuses all that wait for it, commands too, ahead of whatever is decided next. */
void want_refuse(struct core *c, uint32_t target, enum reason why);

/* lease.c */
void lease_ask(struct core *c, const struct event *ev);
void lease_restore(struct core *c, const struct event *ev);
void lease_renew(struct core *c, struct id id);
void lease_end(struct core *c, struct id id);
void lease_revoke(struct core *c, uint32_t slot, enum reason why, uint32_t other);
void lease_grant(struct core *c, uint32_t slot, uint32_t devices);
void lease_doom(struct core *c, uint32_t slot, enum reason why);
bool lease_gates_open(const struct core *c, const struct lease *l);
void lease_refresh(struct core *c, uint32_t slot);
/* Lets in whoever the gate has room for, as far as this step's effects reach. */
void lease_admit(struct core *c, uint32_t gate);
void lease_sweep(struct core *c);
void lease_refuse_waiting(struct core *c);
void lease_run_deadline(struct core *c, uint32_t slot, enum lease_deadline which);
void lease_settled(struct core *c, uint32_t slot);

/* model.c: states, and where a model belongs */
void model_init(struct model *m);
void model_set_state(struct core *c, uint32_t slot, enum model_state to, enum reason why);
bool model_resident(const struct model *m);
bool model_serves(const struct core *c, const struct model *m);
bool model_busy(const struct model *m); /* with something that keeps it from leaving */
bool model_pinned(const struct model *m);
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

/* transition.c: plans under way */
void transition_commit(struct core *c, uint32_t target, const struct plan *plan, uint32_t victims);
void transition_victim_gone(struct core *c, uint32_t victim);
void transition_end(struct core *c, uint32_t target);
void transition_advance_all(struct core *c);
uint32_t *transition_victim_of(struct core *c, uint32_t victim);

/* ledger.c: bytes */
struct holding *ledger_holding(const struct core *c, uint32_t target);
uint64_t ledger_capacity(const struct core *c, uint32_t device);
/* Bytes that it needs there. One of unknown footprint needs all that wharf can have. */
uint64_t ledger_need(const struct core *c, uint32_t target, uint32_t placement, uint32_t device);
bool ledger_need_unknown(const struct core *c, uint32_t target, uint32_t placement);
/* Bytes that a plan for the target could have on the device; less than 0: they are missing. */
int64_t ledger_room(const struct core *c, uint32_t device, uint32_t target);
/* What would come free there if the victim left in that way. */
uint64_t ledger_given(const struct core *c, uint32_t victim, enum core_action how, uint32_t device);
void ledger_charge(struct core *c, struct holding *h, uint32_t device, uint64_t bytes);
/* Its charge on the device becomes bytes, the rest settles. */
void ledger_reduce(struct core *c, struct holding *h, uint32_t device, uint64_t bytes);
void ledger_release(struct core *c, struct holding *h); /* all of it settles */
void ledger_settle(struct core *c, uint32_t target);    /* as if seen to be free */
void ledger_device_found(struct core *c, uint32_t device, uint64_t total_bytes);
void ledger_device_lost(struct core *c, uint32_t device);
void ledger_sample(struct core *c, const struct event *ev);
uint64_t ledger_settling(const struct core *c, uint32_t device);

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

/* estimate.c */
uint64_t estimate_ns(const struct core *c, uint32_t model);
/* By what the model itself has before it alone: cheap. */
uint32_t estimate_own_s(const struct core *c, uint32_t model);

/* reload.c */
void reload_sweep(struct core *c);
void reload_apply(struct core *c, const struct core_config *config);
void reload_take_next(struct core *c, uint32_t slot);

/* The lowest device of a mask; CORE_SLOT_NONE: of none. */
static inline uint32_t mask_first(uint32_t mask)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (mask & (1U << d))
            return d;
    return CORE_SLOT_NONE;
}

static inline uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
