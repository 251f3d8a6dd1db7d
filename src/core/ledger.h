/* ledger.h: what the files of this folder do for each other about bytes, and about the plans
 * that move them. */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include "core/state.h"

/* transition.c: plans under way */
void transition_commit(struct core *c, uint32_t target, const struct plan *plan, uint32_t victims);
/* The load of a model that is already under way, with what it is charged as its plan. */
void transition_adopt(struct core *c, uint32_t slot);
void transition_victim_gone(struct core *c, uint32_t victim);
void transition_end(struct core *c, uint32_t target);
/* As far as it can go now. A model's plan that is given up here would be made again within a scan:
 * this is for leases, and for after it. */
void transition_advance(struct core *c, uint32_t target);
void transition_advance_all(struct core *c);
/* What has not begun to load is planned anew: its grounds have changed. */
void transition_outdate_all(struct core *c);
uint32_t *transition_victim_of(struct core *c, uint32_t victim);

/* ledger.c: bytes */
struct holding *ledger_holding(const struct core *c, uint32_t target);
uint64_t ledger_capacity(const struct core *c, uint32_t device);
/* Bytes that it needs there. One of unknown footprint needs all that wharf can have. */
uint64_t ledger_need(const struct core *c, uint32_t target, uint32_t placement, uint32_t device);
bool ledger_need_unknown(const struct core *c, uint32_t target, uint32_t placement);
/* What is taken to stay on each device while the model is suspended. */
uint64_t ledger_residue(const struct model *m);
/* Where the model's footprint is neither known nor measured yet, so that nobody else may come in.
 */
uint32_t ledger_unknown_devices(const struct core *c, uint32_t model);
/* Bytes that a plan for the target could have on the device; less than 0: they are missing. */
int64_t ledger_room(const struct core *c, uint32_t device, uint32_t target);
/* Whether so many bytes for a lease would be no hindrance to the one that the device is kept for,
 * which has all that can be put out leave for itself. */
bool ledger_fits_beside_anchor(const struct core *c, uint32_t device, uint32_t target,
                               uint64_t bytes);
/* The same as ledger_room, as if no footprint there were unknown. */
int64_t ledger_room_beside(const struct core *c, uint32_t device, uint32_t target);
/* What would come free there if the victim left in that way. */
uint64_t ledger_given(const struct core *c, uint32_t victim, enum core_action how, uint32_t device);
void ledger_charge(struct core *c, struct holding *h, uint32_t device, uint64_t bytes);
/* Its charge on the device becomes bytes, the rest settles. */
void ledger_reduce(struct core *c, struct holding *h, uint32_t device, uint64_t bytes);
void ledger_release(struct core *c, struct holding *h); /* all of it settles */
void ledger_settle(struct core *c, uint32_t target);    /* as if seen to be free */
/* What settles belongs to processes that stay: nobody need wait for it to come free. */
void ledger_keep(struct core *c, struct holding *h);
/* The last of those has gone: all of it settles, from now on. */
void ledger_let_go(struct core *c, struct holding *h);
/* What settles is in use after all: it will be charged anew. */
void ledger_take_back(struct core *c, uint32_t target);
void ledger_device_found(struct core *c, uint32_t device, uint64_t total_bytes);
void ledger_device_lost(struct core *c, uint32_t device);
void ledger_sample(struct core *c, const struct event *ev);
uint64_t ledger_settling(const struct core *c, uint32_t device);

#endif
