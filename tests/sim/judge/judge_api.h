/* judge_api.h: what can be asked of a judge. */
#ifndef SIM_JUDGE_API_H
#define SIM_JUDGE_API_H

/* j: zeroed memory of the caller. */
void judge_init(struct judge *j, const struct terms *terms);
/* In this order: the event, the effects of its step; then, as long as `more`, the TICKs and theirs;
 * then judge_settle. Events are taken to be legal (judge_legal). */
void judge_event(struct judge *j, const struct event *ev);
void judge_effect(struct judge *j, const struct effect *e);
/* The step before left work over; this one follows it, in the same chain. */
void judge_more(struct judge *j, const struct event *tick);
/* deadline_ns: what core_deadline says; 0: none. */
void judge_settle(struct judge *j, uint64_t deadline_ns);
/* Compares with what the core says of itself; after judge_settle. */
void judge_view(struct judge *j, const struct core_view *v);
void judge_view_model(struct judge *j, uint32_t model, const struct core_model_view *v);
/* After peace: whether everybody was served who could be, and the wishes stand. */
void judge_peace(struct judge *j);
/* Notes the first broken rule. Later ones follow from it and are dropped. */
void judge_break(struct judge *j, enum rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *rule_name(enum rule rule);
const char *rule_where(enum rule rule);
const char *rule_text(enum rule rule);

/* Whether the event may follow what the judge has seen. */
bool judge_legal(const struct judge *j, const struct event *ev);

/* The party of a tag, or of an id; NULL: none that is alive. */
struct party *judge_party(struct judge *j, uint64_t tag);
struct party *judge_party_by_id(struct judge *j, bool lease, struct id id);
uint64_t judge_capacity(const struct judge *j, uint32_t device);
bool seat_passes(enum seat s); /* an op is open */
uint32_t mask_count(uint32_t mask);

#endif
