/* Leases and gates: all or nothing, in turn, and over when their time is over.
 *
 * The model of a gate: who waits for it is a set; the next one in is he who has been overdue for
 * longest, else he of the highest class, and of those he who came first. This is exact for leases
 * that ask for one gate and for nothing else, which is what a gate alone is. */
#include <inttypes.h>

#include "judge_priv.h"

static bool pure(const struct party *p)
{
    return p->ask.gate_count == 1 && p->ask.device_mask == 0;
}

static void wait_at_gates(struct judge *j, struct party *p)
{
    if (pure(p)) {
        list_push(&j->gates[p->ask.gates[0]].waiting, &p->mates);
        return;
    }
    for (uint32_t k = 0; k < p->ask.gate_count; k++)
        j->gates[p->ask.gates[k]].mixed++;
}

static void leave_waiting(struct judge *j, struct party *p)
{
    list_remove(&j->arrivals[1], &p->order);
    if (pure(p)) {
        list_remove(&j->gates[p->ask.gates[0]].waiting, &p->mates);
        return;
    }
    for (uint32_t k = 0; k < p->ask.gate_count; k++)
        j->gates[p->ask.gates[k]].mixed--;
}

static void leave_inside(struct judge *j, struct party *p)
{
    for (uint32_t k = 0; k < p->ask.gate_count; k++)
        j->gates[p->ask.gates[k]].inside--;
    hand_back(j, &p->at);
    list_remove(&j->granted, &p->granted);
    j->leases_inside--;
}

static void asked(struct judge *j, const struct event *ev)
{
    struct party *p = party_new(j, ev->lease.tag);
    p->lease = true;
    p->ask = *ev->lease.ask;
    p->class = p->ask.class;
    p->patience_ns = p->ask.wait_ns_max;
    p->ttl_ns = p->ask.ttl_ns;
    p->model = CORE_SLOT_NONE;
    list_push(&j->arrivals[1], &p->order);
    wait_at_gates(j, p);
    if (ev->type == EVENT_LEASE_RESTORED) {
        p->at = (struct spot){CORE_SLOT_NONE, ev->lease.devices, p->ask.bytes};
        p->ttl_ns = ev->lease.grace_ns;
    }
}

void judge_lease_event(struct judge *j, const struct event *ev)
{
    if (ev->type == EVENT_LEASE_ASKED || ev->type == EVENT_LEASE_RESTORED) {
        asked(j, ev);
        return;
    }
    struct party *p = judge_party_by_id(j, true, ev->lease_id.lease);
    if (!p)
        return;
    if (ev->type == EVENT_LEASE_ENDED) {
        judge_lease_left(j, p);
    } else if (p->state == PARTY_GRANTED) {
        p->ttl_from_ns = j->now_ns - j->gap_ns;
        p->ttl_ns = p->ask.ttl_ns;
    }
}

void judge_lease_left(struct judge *j, struct party *p)
{
    if (p->state == PARTY_GRANTED) {
        leave_inside(j, p);
    } else {
        leave_waiting(j, p);
        j->left++;
    }
    party_free(j, p);
}

/* Those that have waited for too long, by the shortest bound of their gates. */
void judge_lease_tick(struct judge *j)
{
    struct link *n;
    j->tick++;
    list_each(n, &j->arrivals[1]) {
        struct party *p = list_entry(n, struct party, order);
        uint64_t least = 0;
        for (uint32_t k = 0; k < p->ask.gate_count; k++) {
            uint64_t max = j->gates[p->ask.gates[k]].policy.wait_ns_max[p->class];
            if (max && (!least || max < least))
                least = max;
        }
        if (p->overdue || !least || !judge_over(j, p->since_ns + least, p->gap_ns))
            continue;
        p->overdue = true;
        p->overdue_ns = p->since_ns + least - p->gap_ns;
        p->overdue_tick = j->tick;
    }
}

/* Whether a goes before b at a gate. */
static bool before(const struct party *a, const struct party *b)
{
    if (a->overdue != b->overdue)
        return a->overdue;
    if (a->overdue && a->overdue_tick != b->overdue_tick)
        return a->overdue_tick < b->overdue_tick;
    if (a->overdue)
        return a->overdue_ns < b->overdue_ns;
    return a->class != b->class ? a->class < b->class : a->seq < b->seq;
}

static void check_turn(struct judge *j, const struct party *p)
{
    uint32_t g = p->ask.gates[0];
    const struct link *n;
    list_each(n, &j->gates[g].waiting) {
        const struct party *o = list_entry(n, const struct party, mates);
        if (o != p && before(o, p))
            judge_break(j, RULE_GATE_ORDER, "#%" PRIu64 " came into gate %u before #%" PRIu64,
                        p->tag, g, o->tag);
    }
}

static void check_whole(struct judge *j, const struct effect *e, const struct party *p)
{
    uint32_t count = p->ask.device_count ? p->ask.device_count : 1;
    bool restored = j->event->type == EVENT_LEASE_RESTORED && p->state == PARTY_ASKED;
    if (p->ask.device_mask == 0)
        count = 0;
    if (!restored && (mask_count(e->devices) != count || (e->devices & ~p->ask.device_mask) ||
                      (count && e->bytes != p->ask.bytes)))
        judge_break(j, RULE_LEASE_WHOLE, "#%" PRIu64 " got %" PRIu64 " bytes on devices %x", p->tag,
                    e->bytes, e->devices);
    for (uint32_t k = 0; k < p->ask.gate_count; k++) {
        struct judge_gate *g = &j->gates[p->ask.gates[k]];
        if (++g->inside > g->policy.limit && !restored)
            judge_break(j, RULE_GATE_LIMIT, "#%" PRIu64 " is %u inside gate %u, of %u", p->tag,
                        g->inside, p->ask.gates[k], g->policy.limit);
    }
    if (restored)
        return;
    if (!j->booted)
        judge_break(j, RULE_BOOT, "#%" PRIu64 " was granted before the start was over", p->tag);
    if (j->draining)
        judge_break(j, RULE_DRAIN, "#%" PRIu64 " was granted during the shutdown", p->tag);
}

void judge_lease_grant(struct judge *j, const struct effect *e)
{
    struct party *p = party_answered(j, e);
    if (!p)
        return;
    if (!p->lease) {
        judge_break(j, RULE_TWICE, "the request #%" PRIu64 " was granted as a lease", p->tag);
        return;
    }
    if (pure(p) && j->event->type != EVENT_LEASE_RESTORED)
        check_turn(j, p);
    check_whole(j, e, p);
    party_enter(j, p, e->waiter);
    leave_waiting(j, p);
    bool restored = j->event->type == EVENT_LEASE_RESTORED && p->state == PARTY_ASKED;
    if (!restored)
        p->at = (struct spot){CORE_SLOT_NONE, e->devices, p->ask.bytes};
    if (!p->ask.device_mask)
        p->at.bytes = 0;
    p->state = PARTY_GRANTED;
    p->granted_ns = j->now_ns;
    p->ttl_from_ns = j->now_ns - j->gap_ns;
    list_push(&j->granted, &p->granted);
    j->leases_inside++;
    j->granted_count++;
    if (restored) {
        hand_anyway(j, &p->at);
        return;
    }
    hand_out(j, &p->at, "a lease");
    judge_order_grant(j, p);
}

void judge_lease_refused(struct judge *j, struct party *p, const struct effect *e)
{
    bool holds = e->reason != REASON_NONE;
    if (e->reason == REASON_BUSY)
        holds = p->patience_ns == 0;
    else if (e->reason == REASON_SHUTDOWN)
        holds = j->draining;
    else if (e->reason == REASON_QUEUE_FULL)
        holds = p->state == PARTY_ASKED; /* ended ones take places too, until their bytes settle */
    if (!holds)
        judge_break(j, RULE_REASON, "the lease #%" PRIu64 " was refused: %s", p->tag,
                    reason_text(e->reason));
    if (e->reason == REASON_WAIT_EXPIRED &&
        (p->patience_ns == UINT64_MAX || !judge_over(j, p->since_ns + p->patience_ns, p->gap_ns)))
        judge_break(j, RULE_EXPIRY, "#%" PRIu64 " was refused before its patience ended", p->tag);
    if (e->reason == REASON_WAIT_EXPIRED && j->event->type != EVENT_TICK)
        judge_break(j, RULE_TICK_ONLY, "#%" PRIu64 " expired in a step that was no TICK", p->tag);
    leave_waiting(j, p);
    j->refused++;
    party_free(j, p);
}

static bool ttl_over(const struct judge *j, const struct party *p)
{
    return p->ttl_ns && judge_over(j, p->ttl_from_ns + p->ttl_ns, 0);
}

static bool grace_over(const struct judge *j, const struct party *p)
{
    return p->revoked && judge_over(j, p->revoked_ns + p->ask.grace_ns, 0);
}

static void revoke(struct judge *j, struct party *p)
{
    if (p->state != PARTY_GRANTED || !p->ask.revocable || p->revoked)
        judge_break(j, RULE_REVOKE, "REVOKE of #%" PRIu64 ", which %s", p->tag,
                    p->revoked ? "was revoked before" : "cannot be revoked");
    judge_order_revoked(j);
    p->revoked = true;
    p->revoked_ns = j->now_ns - j->gap_ns;
}

static void end(struct judge *j, struct party *p, const struct effect *e)
{
    bool holds = false;
    if (e->reason == REASON_LEASE_EXPIRED)
        holds = ttl_over(j, p);
    else if (e->reason == REASON_REVOKED)
        holds = grace_over(j, p) || (p->revoked && ttl_over(j, p));
    else if (e->reason == REASON_SHUTDOWN)
        holds = j->draining;
    else if (e->reason == REASON_CONFIG || e->reason == REASON_REMOVED ||
             e->reason == REASON_NO_DEVICE)
        holds = true;
    if (p->state != PARTY_GRANTED || !holds)
        judge_break(j, RULE_LEASE_END, "#%" PRIu64 " was ended: %s", p->tag,
                    reason_text(e->reason));
    if ((e->reason == REASON_LEASE_EXPIRED || e->reason == REASON_REVOKED) &&
        j->event->type != EVENT_TICK && !(p->revoked && p->ask.grace_ns == 0))
        judge_break(j, RULE_TICK_ONLY, "#%" PRIu64 " ended in a step that was no TICK", p->tag);
    if (p->state == PARTY_GRANTED)
        leave_inside(j, p);
    party_free(j, p);
}

/* Steps at a gate, of a lease that asks for one gate alone. */
static void trace(struct judge *j, const struct effect *e)
{
    struct party *p = judge_party(j, e->tag);
    if (!p || !p->lease || p->ask.gate_count != 1 || e->gate != p->ask.gates[0])
        return; /* it is over; or one of several gates */
    bool fits = (e->trace == TRACE_ENQUEUED && p->traced == TRACE_NONE) ||
                (e->trace == TRACE_ACQUIRED && p->traced != TRACE_ACQUIRED) ||
                (e->trace == TRACE_RELEASED && p->traced == TRACE_ACQUIRED) ||
                (e->trace == TRACE_CANCELLED && p->traced == TRACE_ENQUEUED);
    if (!fits)
        judge_break(j, RULE_TRACE, "#%" PRIu64 ": %s after %s", p->tag, trace_text(e->trace),
                    trace_text(p->traced));
    p->traced = e->trace;
}

static void starve(struct judge *j, struct party *p)
{
    uint64_t limit = 300 * NS_PER_S;
    if (p->state != PARTY_WAITING || p->starving || p->class != CLASS_BACKGROUND ||
        j->now_ns - p->since_ns < limit)
        judge_break(j, RULE_REASON, "#%" PRIu64 " is said to starve", p->tag);
    p->starving = true;
}

void judge_lease_effect(struct judge *j, const struct effect *e)
{
    if (e->type == EFFECT_TRACE) {
        trace(j, e);
        return;
    }
    struct party *p = judge_party(j, e->tag);
    if (!p || !p->lease || !id_equal(p->id, e->waiter)) {
        judge_break(j, RULE_TWICE, "%s of #%" PRIu64 ", which is no lease",
                    effect_type_text(e->type), e->tag);
        return;
    }
    if (e->type == EFFECT_LEASE_REVOKE)
        revoke(j, p);
    else if (e->type == EFFECT_LEASE_END)
        end(j, p, e);
    else
        starve(j, p);
}

void judge_lease_config(struct judge *j, const struct core_config *config)
{
    for (uint32_t g = 0; g < config->gate_count; g++)
        j->gates[g].policy = config->gates[g];
}

static void check_times(struct judge *j)
{
    const struct link *n;
    list_each(n, &j->granted) {
        const struct party *p = list_entry(n, const struct party, granted);
        if (p->lease && (ttl_over(j, p) || grace_over(j, p)))
            judge_break(j, RULE_LEASE_END, "#%" PRIu64 " stays past its %s", p->tag,
                        grace_over(j, p) ? "revocation" : "time");
    }
    list_each(n, &j->arrivals[1]) {
        const struct party *p = list_entry(n, const struct party, order);
        if (p->patience_ns != UINT64_MAX && judge_over(j, p->since_ns + p->patience_ns, p->gap_ns))
            judge_break(j, RULE_EXPIRY, "the lease #%" PRIu64 " waits past its patience", p->tag);
    }
}

void judge_lease_settle(struct judge *j)
{
    for (uint32_t g = 0; g < j->config.gate_count && j->booted && !j->draining; g++)
        if (j->gates[g].waiting.count && !j->gates[g].mixed &&
            j->gates[g].inside < j->gates[g].policy.limit)
            judge_break(j, RULE_GATE_IDLE, "gate %u has room, and %u wait for it", g,
                        j->gates[g].waiting.count);
    if (j->event->type == EVENT_TICK)
        check_times(j);
}
