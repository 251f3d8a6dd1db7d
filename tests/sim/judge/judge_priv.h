/* judge_priv.h: what the files of the judge do for each other. */
#ifndef SIM_JUDGE_PRIV_H
#define SIM_JUDGE_PRIV_H

#include "judge.h"

/* Between the end of an op and its news, in a calm world. */
#define CALM_DELAY_NS (20 * NS_PER_S)

/* A deadline that was set when gap_then had been stood still is over. */
static inline bool judge_over(const struct judge *j, uint64_t at_ns, uint64_t gap_then)
{
    return j->now_ns >= at_ns + (j->gap_ns - gap_then);
}

/* Whether the model's backend does not answer, so that it cannot be told anything. */
static inline bool judge_out_of_reach(const struct judge *j, uint32_t slot)
{
    uint32_t backend = j->models[slot].in_force.backend;
    return backend && j->backend_down[backend];
}

/* judge_queue.c */
struct party *party_new(struct judge *j, uint64_t tag);
void party_free(struct judge *j, struct party *p);
struct party *party_answered(struct judge *j, const struct effect *e);
void party_enter(struct judge *j, struct party *p, struct id id);
void judge_queue_event(struct judge *j, const struct event *ev);
void judge_queue_grant(struct judge *j, const struct effect *e);
void judge_queue_refuse(struct judge *j, const struct effect *e);
void judge_queue_wait(struct judge *j, const struct effect *e);
void judge_queue_settle(struct judge *j);

/* judge_model.c */
void judge_model_event(struct judge *j, const struct event *ev);
void judge_model_effect(struct judge *j, const struct effect *e);
void judge_model_config(struct judge *j, const struct core_config *config);
void judge_model_learned(struct judge *j, uint32_t slot, uint32_t placement, uint64_t bytes);
void judge_model_sampled(struct judge *j, const struct event *ev);
/* Whether it may be there, and nowhere else, by what was ordered and seen. */
bool judge_model_sits(const struct judge_model *m, uint32_t devices);
void judge_model_peace(struct judge *j);
uint64_t judge_known_bytes(const struct judge_model *m, uint32_t placement);
void hand_out(struct judge *j, const struct spot *s, const char *to_whom);
/* It has them already: whatever room there is. */
void hand_anyway(struct judge *j, const struct spot *s);
void hand_back(struct judge *j, const struct spot *s);

/* judge_lease.c */
void judge_lease_event(struct judge *j, const struct event *ev);
void judge_lease_tick(struct judge *j);
void judge_lease_grant(struct judge *j, const struct effect *e);
void judge_lease_refused(struct judge *j, struct party *p, const struct effect *e);
void judge_lease_left(struct judge *j, struct party *p);
void judge_lease_effect(struct judge *j, const struct effect *e);
void judge_lease_settle(struct judge *j);
void judge_lease_config(struct judge *j, const struct core_config *config);

/* judge_order.c */
void judge_order_grant(struct judge *j, const struct party *p);
void judge_order_decided(struct judge *j, const struct effect *e);
void judge_order_revoked(struct judge *j);

/* judge_command.c */
void judge_command_event(struct judge *j, const struct event *ev);
void judge_command_done(struct judge *j, const struct effect *e);

/* judge_fair.c */
void judge_fair_settle(struct judge *j);
void judge_fair_grant(struct judge *j, const struct party *p);

#endif
