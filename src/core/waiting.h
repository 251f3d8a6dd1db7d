/* waiting.h: what the files of this folder do for each other about those who wait: requests,
 * leases, and the order among them. */
#ifndef CORE_WAITING_H
#define CORE_WAITING_H

#include "core/deadline.h"
#include "core/state.h"

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
bool want_is_lease(const struct core *c, uint32_t target);
struct lease *want_lease(const struct core *c, uint32_t target);
uint32_t want_of_lease(const struct core *c, uint32_t lease_slot);
struct claim want_claim(const struct core *c, uint32_t target);
/* How long its clock has stood still so far, whoever looks at it. */
uint64_t want_stood_ns(const struct core *c, uint32_t target);
/* When the one that waits longest for it is overdue; false: never, or its clock stands. */
bool want_deadline(const struct core *c, uint32_t target, struct mono *ret_at);
/* When a request becomes overdue; false: never. */
bool want_waiter_deadline(const struct core *c, const struct waiter *w, struct mono *ret_at);
bool want_anyone(const struct core *c, uint32_t target); /* somebody wants it still */
/* Both must be wanted by somebody. */
bool want_precedes(const struct core *c, uint32_t target, uint32_t other);
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
void lease_remains(struct core *c, struct id id);
void lease_revoke(struct core *c, uint32_t slot, enum reason why, uint32_t other);
/* Gets all it asked for, on these devices. */
void lease_come_in(struct core *c, uint32_t slot, uint32_t devices);
void lease_doom(struct core *c, uint32_t slot, enum reason why);
bool lease_gates_open(const struct core *c, const struct lease *l);
void lease_refresh(struct core *c, uint32_t slot);
/* Lets in whoever the gate has room for, as far as this step's effects reach. */
void lease_admit(struct core *c, uint32_t gate);
void lease_sweep(struct core *c);
/* The bounds of the gates are others now. */
void lease_retime(struct core *c);
void lease_refuse_waiting(struct core *c);
void lease_run_deadline(struct core *c, uint32_t slot, enum lease_deadline which);
void lease_settled(struct core *c, uint32_t slot);

/* estimate.c */
/* newcomers: who would wait but do not yet. */
uint64_t estimate_ns(const struct core *c, uint32_t model, uint32_t newcomers);
uint32_t estimate_waiter_s(const struct core *c, uint32_t model);
/* By what the model itself has before it alone: cheap. */
uint32_t estimate_own_s(const struct core *c, uint32_t model, uint32_t newcomers);
/* Until the models on these devices have done what they are at; 0: nothing that has an end. */
uint64_t estimate_room_ns(const struct core *c, uint32_t devices);
/* Likewise for the models among the first of c->victims. */
uint64_t estimate_victims_ns(const struct core *c, uint32_t victim_count);

#endif
