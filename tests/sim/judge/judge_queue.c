/* Requests: answered once, in order, by models that serve. Leases share the first part. */
#include <inttypes.h>
#include <string.h>

#include "judge_priv.h"

struct party *judge_party(struct judge *j, uint64_t tag)
{
    struct party *p = &j->parties[tag % JUDGE_PARTIES_MAX];
    return p->state != PARTY_FREE && p->tag == tag ? p : NULL;
}

struct party *judge_party_by_id(struct judge *j, bool lease, struct id id)
{
    const uint32_t *at = lease ? j->lease_at : j->request_at;
    if (id_none(id) || id.slot >= JUDGE_PARTIES_MAX || at[id.slot] == CORE_SLOT_NONE)
        return NULL;
    struct party *p = &j->parties[at[id.slot]];
    return id_equal(p->id, id) ? p : NULL;
}

struct party *party_new(struct judge *j, uint64_t tag)
{
    struct party *p = &j->parties[tag % JUDGE_PARTIES_MAX];
    must(p->state == PARTY_FREE && tag);
    *p = (struct party){.state = PARTY_ASKED,
                        .tag = tag,
                        .seq = ++j->seq,
                        .since_ns = j->now_ns,
                        .gap_ns = j->gap_ns};
    j->arrived++;
    j->asked = p;
    return p;
}

void party_free(struct judge *j, struct party *p)
{
    uint32_t *at = p->lease ? j->lease_at : j->request_at;
    if (!id_none(p->id))
        at[p->id.slot] = CORE_SLOT_NONE;
    p->state = PARTY_FREE;
}

/* The party that an answer is for; NULL, and a broken rule, when it is for nobody. */
struct party *party_answered(struct judge *j, const struct effect *e)
{
    struct party *p = judge_party(j, e->tag);
    if (!p || (p->state != PARTY_ASKED && p->state != PARTY_WAITING)) {
        judge_break(j, RULE_TWICE, "%s of #%" PRIu64 ", which %s", effect_type_text(e->type),
                    e->tag, p ? "has been granted" : "nobody waits for");
        return NULL;
    }
    if (p->state == PARTY_WAITING && !id_none(e->waiter) && !id_equal(p->id, e->waiter)) {
        judge_break(j, RULE_ID, "%s of #%" PRIu64 " under another id than before",
                    effect_type_text(e->type), e->tag);
        return NULL;
    }
    if (j->asked == p)
        j->asked = NULL;
    return p;
}

/* Its id, when the core has said it for the first time. */
void party_enter(struct judge *j, struct party *p, struct id id)
{
    uint32_t *at = p->lease ? j->lease_at : j->request_at;
    if (!id_none(p->id))
        return;
    if (id_none(id) || id.slot >= JUDGE_PARTIES_MAX || at[id.slot] != CORE_SLOT_NONE) {
        judge_break(j, RULE_ID, "#%" PRIu64 " got the id %u.%u, which is none, or is taken", p->tag,
                    id.slot, id.gen);
        return;
    }
    p->id = id;
    at[id.slot] = (uint32_t)(p - j->parties);
}

/* Before the first that came later: in the old place, after a bounce. */
static void enqueue(struct judge *j, struct party *p)
{
    struct judge_model *m = &j->models[p->model];
    struct list *l = &m->waiting[p->class];
    struct link *at = &l->head;
    while (at->prev != &l->head && list_entry(at->prev, struct party, mates)->seq > p->seq)
        at = at->prev;
    list_insert_before(l, at, &p->mates);
    at = &j->arrivals[0].head;
    while (at->prev != &j->arrivals[0].head &&
           list_entry(at->prev, struct party, order)->seq > p->seq)
        at = at->prev;
    list_insert_before(&j->arrivals[0], at, &p->order);
    m->waiting_count++;
}

static void dequeue(struct judge *j, struct party *p)
{
    struct judge_model *m = &j->models[p->model];
    list_remove(&m->waiting[p->class], &p->mates);
    list_remove(&j->arrivals[0], &p->order);
    m->waiting_count--;
}

/* The last entry is for models that there never were. */
static uint32_t model_place(const struct judge *j, uint32_t model)
{
    return model < j->model_count ? model : JUDGE_MODELS_MAX - 1;
}

static void arrived(struct judge *j, const struct event *ev)
{
    struct party *p = party_new(j, ev->request.tag);
    p->model = model_place(j, ev->request.model);
    p->class = ev->request.class;
    p->patience_ns = ev->request.wait_ns_max;
    p->running = ev->request.running;
    p->since_ns = ev->request.since.ns ? ev->request.since.ns : p->since_ns;
    const struct party *lease = judge_party_by_id(j, true, ev->request.lease);
    p->under = lease ? lease->tag : 0;
    if (ev->request.model < j->model_count)
        j->touched = p->model;
    enqueue(j, p);
}

static void stop_serving(struct judge *j, struct party *p)
{
    struct judge_model *m = &j->models[p->model];
    if (j->now_ns - p->granted_ns > j->config.fair.serve_ns_max + CALM_DELAY_NS)
        j->terms.calm = false;
    list_remove(&j->granted, &p->granted);
    m->running--;
    m->busy -= p->life == m->life && !p->quiet;
    p->quiet = false;
    m->used_ns = j->now_ns - j->gap_ns;
    j->serving--;
}

static void ended(struct judge *j, struct party *p)
{
    if (p->state == PARTY_GRANTED) {
        stop_serving(j, p);
    } else {
        dequeue(j, p);
        j->left++;
    }
    party_free(j, p);
}

static void bounced(struct judge *j, struct party *p)
{
    stop_serving(j, p);
    p->bounced = true;
    p->running = false;
    p->state = PARTY_WAITING;
    j->granted_count--;
    p->bound_ns = 0;
    p->since_ns = j->now_ns; /* its patience begins anew, at the latest */
    p->gap_ns = j->gap_ns;
    enqueue(j, p);
}

void judge_queue_event(struct judge *j, const struct event *ev)
{
    if (ev->type == EVENT_REQUEST_ARRIVED) {
        arrived(j, ev);
        return;
    }
    struct party *p = judge_party_by_id(j, false, ev->ended.waiter);
    if (!p)
        return; /* stale: the core counts it and drops it */
    j->touched = p->model < j->model_count ? p->model : CORE_SLOT_NONE;
    if (ev->type == EVENT_REQUEST_ENDED)
        ended(j, p);
    else if (ev->type == EVENT_REQUEST_BOUNCED)
        bounced(j, p);
    else if (p->state == PARTY_GRANTED && p->quiet != ev->quiet.quiet) {
        p->quiet = ev->quiet.quiet;
        if (p->life == j->models[p->model].life)
            j->models[p->model].busy += p->quiet ? (uint32_t)-1 : 1U;
    }
}

static void check_grant(struct judge *j, const struct effect *e, const struct party *p)
{
    const struct judge_model *m = &j->models[p->model];
    if (e->model != p->model)
        judge_break(j, RULE_GRANT, "#%" PRIu64 " wants m%u and got m%u", p->tag, p->model,
                    e->model);
    if (j->booted == p->running)
        judge_break(j, RULE_BOOT, "#%" PRIu64 " was granted before the start was over", p->tag);
    if (j->draining)
        judge_break(j, RULE_DRAIN, "#%" PRIu64 " was granted during the shutdown", p->tag);
    if (m->seat != SEAT_HERE)
        judge_break(j, RULE_GRANT, "#%" PRIu64 " was granted while m%u is not there", p->tag,
                    p->model);
    if (!m->policy.present || m->hash_running != m->policy.hash_process || m->ordered)
        judge_break(j, RULE_GRANT, "#%" PRIu64 " was granted though m%u %s", p->tag, p->model,
                    m->ordered ? "was ordered to unload" : "is not configured so any more");
    if (judge_out_of_reach(j, e->model))
        judge_break(j, RULE_BACKEND, "#%" PRIu64 " was granted by m%u, whose backend is down",
                    p->tag, p->model);
    if (p->running)
        return; /* with how many others, an earlier life has decided */
    if (m->running >= m->policy.slots_max)
        judge_break(j, RULE_SLOTS, "m%u serves %u already, of %u", p->model, m->running,
                    m->policy.slots_max);
    if (j->config.sched == SCHEDULER_SERIAL && j->serving)
        judge_break(j, RULE_ALONE, "#%" PRIu64 " was granted while %u are served", p->tag,
                    j->serving);
}

/* A lower class does not go first, where nobody ages, and no gate that closes lets the earlier ones
 * in before later ones of a higher class: somebody else would have to wait for that. */
static void check_class(struct judge *j, const struct party *p)
{
    const struct judge_model *m = &j->models[p->model];
    bool alone = m->waiting_count == j->arrivals[0].count && j->arrivals[1].count == 0;
    for (uint32_t i = 0; i < JUDGE_COMMANDS_MAX; i++) {
        enum command what = j->commands[i].what;
        alone &= !j->commands[i].open || (what != COMMAND_LOAD && what != COMMAND_MOVE);
    }
    if (j->config.sched == SCHEDULER_SERIAL ||
        (j->config.sched == SCHEDULER_FAIR && (!alone || j->config.fair.wait_ns_max[p->class])))
        return;
    for (int class = 0; class < (int)p->class; class ++) {
        const struct link *n = list_first(&m->waiting[class]);
        if (n)
            judge_break(j, RULE_CLASS, "#%" PRIu64 " was granted before #%" PRIu64, p->tag,
                        list_entry(n, const struct party, mates)->tag);
    }
}

void judge_queue_grant(struct judge *j, const struct effect *e)
{
    struct party *p = party_answered(j, e);
    if (!p)
        return;
    if (p->lease) {
        judge_break(j, RULE_TWICE, "the lease #%" PRIu64 " was granted as a request", p->tag);
        return;
    }
    check_grant(j, e, p);
    party_enter(j, p, e->waiter);
    dequeue(j, p);
    if (!p->running)
        check_class(j, p);
    p->state = PARTY_GRANTED;
    p->granted_ns = j->now_ns;
    list_push(&j->granted, &p->granted);
    p->life = j->models[p->model].life;
    j->models[p->model].running++;
    j->models[p->model].busy++;
    j->models[p->model].used_ns = j->now_ns - j->gap_ns;
    j->serving++;
    j->granted_count++;
    must(j->chain_count < JUDGE_CHAIN_MAX);
    j->chain[j->chain_count++] = p;
    if (j->terms.calm && j->config.sched == SCHEDULER_FAIR)
        judge_fair_grant(j, p);
}

/* Whether the model could ever sit somewhere, were all else gone. */
static bool fits_somewhere(const struct judge *j, const struct judge_model *m)
{
    if (m->policy.placement_count == 0)
        return true;
    for (uint32_t k = 0; k < m->policy.placement_count; k++) {
        const struct core_placement *pl = &m->policy.placements[k];
        uint32_t fit = 0, want = pl->device_count ? pl->device_count : 1;
        if (pl->device_mask == 0)
            return true;
        for (uint32_t d = 0; d < j->config.device_count; d++)
            fit += (pl->device_mask >> d & 1) && j->found[d] &&
                   judge_known_bytes(m, k) <= judge_capacity(j, d);
        if (fit >= want)
            return true;
    }
    return false;
}

static void check_reason(struct judge *j, const struct effect *e, const struct party *p)
{
    const struct judge_model *m = &j->models[p->model];
    bool there = m->policy.present;
    bool holds = true;
    if (e->reason == REASON_NONE)
        holds = false;
    else if (e->reason == REASON_MODEL_UNKNOWN)
        holds = !there;
    else if (e->reason == REASON_BUSY)
        holds = p->patience_ns == 0;
    else if (e->reason == REASON_QUEUE_FULL)
        holds =
            p->state == PARTY_ASKED &&
            (m->waiting_count > m->policy.queue_max || m->waiting_count > m->in_force.queue_max ||
             j->arrivals[0].count + j->serving > j->terms.waiters_max);
    else if (e->reason == REASON_NO_ROOM)
        holds = !j->terms.declared || !fits_somewhere(j, m);
    else if (e->reason == REASON_OWN_LEASE)
        holds = p->under != 0;
    else if (e->reason == REASON_SHUTDOWN)
        holds = j->draining;
    if (!holds)
        judge_break(j, RULE_REASON, "#%" PRIu64 " for m%u was refused: %s", p->tag, p->model,
                    reason_text(e->reason));
    if (e->reason != REASON_WAIT_EXPIRED)
        return;
    if (p->patience_ns == UINT64_MAX || !judge_over(j, p->since_ns + p->patience_ns, p->gap_ns))
        judge_break(j, RULE_EXPIRY, "#%" PRIu64 " was refused before its patience ended", p->tag);
    if (j->event->type != EVENT_TICK)
        judge_break(j, RULE_TICK_ONLY, "#%" PRIu64 " expired in a step that was no TICK", p->tag);
}

void judge_queue_refuse(struct judge *j, const struct effect *e)
{
    struct party *p = party_answered(j, e);
    if (!p)
        return;
    if (p->lease) {
        judge_lease_refused(j, p, e);
        return;
    }
    check_reason(j, e, p);
    if (e->retry_after_s > 600)
        judge_break(j, RULE_ESTIMATE, "retry after %u s", e->retry_after_s);
    dequeue(j, p);
    j->refused++;
    party_free(j, p);
}

void judge_queue_wait(struct judge *j, const struct effect *e)
{
    struct party *p = party_answered(j, e);
    if (!p)
        return;
    if (p->state != PARTY_ASKED || p->lease != (e->type == EFFECT_LEASE_WAIT))
        judge_break(j, RULE_TWICE, "%s of #%" PRIu64 ", which waits already",
                    effect_type_text(e->type), p->tag);
    if (j->draining)
        judge_break(j, RULE_DRAIN, "#%" PRIu64 " waits during the shutdown", p->tag);
    if (p->patience_ns == 0 && !p->lease)
        judge_break(j, RULE_EXPIRY, "#%" PRIu64 " has no patience and waits", p->tag);
    if (!p->lease && (e->position == 0 || e->position > j->arrivals[0].count ||
                      e->retry_after_s < 1 || e->retry_after_s > 600))
        judge_break(j, RULE_ESTIMATE, "#%" PRIu64 ": place %u of %u, about %u s", p->tag,
                    e->position, j->arrivals[0].count, e->retry_after_s);
    party_enter(j, p, e->waiter);
    p->state = PARTY_WAITING;
}

/* After the chain: those whose refusal was under way are gone now, and do not count as passed. */
static void check_order(struct judge *j, const struct party *p)
{
    const struct link *n = list_first(&j->models[p->model].waiting[p->class]);
    const struct party *head = n ? list_entry(n, const struct party, mates) : NULL;
    if (head && head->seq < p->seq)
        judge_break(j, RULE_FIFO, "#%" PRIu64 " was granted before #%" PRIu64, p->tag, head->tag);
    n = list_first(&j->arrivals[0]);
    head = n ? list_entry(n, const struct party, order) : NULL;
    if (j->config.sched == SCHEDULER_SERIAL && head && head->seq < p->seq && !p->under)
        judge_break(j, RULE_SERIAL, "#%" PRIu64 " was granted before #%" PRIu64, p->tag, head->tag);
}

/* Patience that is over is over after the TICK. */
static void check_patience(struct judge *j)
{
    const struct link *n;
    if (j->event->type != EVENT_TICK)
        return;
    list_each(n, &j->arrivals[0]) {
        const struct party *p = list_entry(n, const struct party, order);
        if (p->patience_ns != UINT64_MAX && judge_over(j, p->since_ns + p->patience_ns, p->gap_ns))
            judge_break(j, RULE_EXPIRY, "#%" PRIu64 " waits past its patience", p->tag);
    }
}

void judge_queue_settle(struct judge *j)
{
    if (j->asked)
        judge_break(j, RULE_ANSWER, "#%" PRIu64 " got no answer", j->asked->tag);
    for (uint32_t i = 0; i < j->chain_count; i++)
        if (!j->chain[i]->lease && !j->chain[i]->running && j->chain[i]->state == PARTY_GRANTED)
            check_order(j, j->chain[i]);
    check_patience(j);
}
