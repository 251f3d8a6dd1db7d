/* Models: one op at a time, bytes within what a device can give, and who may be made to leave. */
#include <inttypes.h>
#include <string.h>

#include "judge_priv.h"

bool seat_passes(enum seat s)
{
    return s == SEAT_LOADING || s == SEAT_UNLOADING || s == SEAT_MOVING || s == SEAT_SUSPENDING ||
           s == SEAT_RESUMING;
}

/* Bytes */

uint64_t judge_capacity(const struct judge *j, uint32_t device)
{
    if (!j->found[device])
        return 0;
    uint64_t limited = j->total[device] / 1000 * j->devices[device].limit_permille +
                       j->total[device] % 1000 * j->devices[device].limit_permille / 1000;
    uint64_t reserve = j->devices[device].reserve_bytes;
    return limited > reserve ? limited - reserve : 0;
}

void hand_out(struct judge *j, const struct spot *s, const char *to_whom)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(s->devices >> d & 1))
            continue;
        if (!j->found[d] || d >= j->config.device_count)
            judge_break(j, RULE_PLACE, "%s on device %u, which is not there", to_whom, d);
        j->handed[d] += s->bytes;
        if (s->bytes && j->alone[d])
            judge_break(j, RULE_UNKNOWN, "%s on device %u, beside m%u", to_whom, d,
                        j->alone[d] - 1);
        if (s->bytes && j->handed[d] > judge_capacity(j, d))
            judge_break(j, RULE_OVERCOMMIT,
                        "%s: %" PRIu64 " of %" PRIu64 " bytes are handed out on device %u", to_whom,
                        j->handed[d], judge_capacity(j, d), d);
    }
}

void hand_anyway(struct judge *j, const struct spot *s)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (s->devices >> d & 1)
            j->handed[d] += s->bytes;
}

void hand_back(struct judge *j, const struct spot *s)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (s->devices >> d & 1) {
            must(j->handed[d] >= s->bytes);
            j->handed[d] -= s->bytes;
        }
}

static void loaders(struct judge *j, uint32_t devices, bool takes)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(devices >> d & 1))
            continue;
        if (takes && j->loading[d])
            judge_break(j, RULE_LOADER, "a second load on device %u", d);
        j->loading[d] += takes ? 1U : (uint32_t)-1;
    }
}

/* What was learned of one process says nothing of another. */
static void enforce(struct judge_model *m)
{
    if (m->in_force.hash_process != m->policy.hash_process) {
        m->learned = 0;
        memset(m->learned_bytes, 0, sizeof(m->learned_bytes));
        memset(m->estimated_bytes, 0, sizeof(m->estimated_bytes));
    }
    m->in_force = m->policy;
}

/* Orders */

/* Nobody knows what it takes there; it may have been guessed. */
static bool unknown(const struct judge_model *m, const struct spot *s)
{
    return s->placement < CORE_PLACEMENTS_MAX && !m->policy.placements[s->placement].bytes &&
           !(m->learned >> s->placement & 1);
}

/* It gets what was guessed, perhaps with more after it ran out of memory. */
static bool guessed(const struct judge_model *m, const struct spot *s)
{
    uint64_t guess = s->placement < CORE_PLACEMENTS_MAX ? m->estimated_bytes[s->placement] : 0;
    return unknown(m, s) && guess && (s->bytes == guess || s->bytes == m->more_bytes);
}

/* It gets the whole device: nobody has guessed, or the guess is more than there is for anybody. */
static bool unsized(const struct judge_model *m, const struct spot *s)
{
    return unknown(m, s) && !guessed(m, s);
}

/* A guess has to fit when it is ordered; what it stands for is over as soon as it is measured,
 * which only the core knows when. */
static void hand_out_or_guess(struct judge *j, const struct judge_model *m, struct spot *s,
                              const char *to_whom)
{
    bool guess = guessed(m, s);
    if (unsized(m, s))
        s->bytes = 0;
    hand_out(j, s, to_whom);
    if (!guess)
        return;
    hand_back(j, s);
    s->bytes = 0;
}

/* Groups and matrices know no bytes, and hence no devices. */
static bool knows_devices(const struct judge *j)
{
    return j->config.plan == PLAN_FIT || j->config.sched == SCHEDULER_SERIAL;
}

/* As it is said to be there. */
static struct spot adopted_spot(const struct judge_model *m, const struct event *ev)
{
    const struct core_placement *pl = ev->model.placement < CORE_PLACEMENTS_MAX
                                          ? &m->policy.placements[ev->model.placement]
                                          : NULL;
    return (struct spot){ev->model.placement, pl ? ev->model.devices : 0, pl ? pl->bytes : 0};
}

static bool placed_well(const struct judge *j, const struct judge_model *m, const struct spot *s)
{
    if (!knows_devices(j) && !s->devices)
        return true;
    if (m->policy.placement_count == 0)
        return s->devices == 0;
    if (s->placement >= m->policy.placement_count)
        return false;
    const struct core_placement *pl = &m->policy.placements[s->placement];
    if (pl->device_mask == 0)
        return s->devices == 0;
    return (s->devices & ~pl->device_mask) == 0 &&
           mask_count(s->devices) == (pl->device_count ? pl->device_count : 1);
}

/* What is declared, or what it was seen to take under an earlier declaration. */
uint64_t judge_known_bytes(const struct judge_model *m, uint32_t placement)
{
    uint64_t declared = m->policy.placements[placement].bytes;
    return declared > m->learned_bytes[placement] ? declared : m->learned_bytes[placement];
}

static void check_spot(struct judge *j, uint32_t slot, const struct spot *s)
{
    const struct judge_model *m = &j->models[slot];
    if (!placed_well(j, m, s))
        judge_break(j, RULE_PLACE, "m%u goes to placement %u on devices %x", slot, s->placement,
                    s->devices);
    else if (j->terms.declared && s->devices && s->bytes != judge_known_bytes(m, s->placement) &&
             s->bytes != judge_known_bytes(m, s->placement) + m->more_bytes)
        judge_break(j, RULE_BYTES, "m%u gets %" PRIu64 " bytes, and is known to take %" PRIu64,
                    slot, s->bytes, judge_known_bytes(m, s->placement));
}

/* Whether it has to be reckoned with beside another: what sleeps has not, nor what cannot be told
 * to leave. */
static bool is_company(const struct judge *j, uint32_t slot)
{
    enum seat seat = j->models[slot].seat;
    bool sleeps = seat == SEAT_ASLEEP || (seat == SEAT_UNLOADING && j->models[slot].slept);
    return seat != SEAT_GONE && !sleeps && !judge_out_of_reach(j, slot);
}

static bool in_one_set(const struct judge *j, uint32_t target)
{
    for (uint32_t s = 0, at = 0; s < j->config.matrix.set_count; at = j->ends[s++]) {
        bool has[JUDGE_MODELS_MAX] = {0}, all = true;
        for (uint32_t i = at; i < j->ends[s]; i++)
            has[j->members[i]] = true;
        for (uint32_t i = 0; i < j->model_count && all; i++)
            all = has[i] || (i != target && !is_company(j, i));
        if (all)
            return true;
    }
    return false;
}

static bool pinned(const struct judge_model *m)
{
    return m->policy.pinned || m->pinned;
}

/* A plan stands though a pin was taken off after it was made. */
static bool may_stay(const struct judge_model *m)
{
    return pinned(m) || m->was_pinned;
}

static bool apart(const struct judge *j, uint32_t target, uint32_t other)
{
    uint32_t tg = j->models[target].in_force.group, og = j->models[other].in_force.group;
    if (j->config.sched == SCHEDULER_SERIAL)
        return !may_stay(&j->models[other]);
    if (j->config.plan != PLAN_GROUP)
        return false;
    if (!j->models[other].policy.present)
        return false; /* on its way out, and of no group any more */
    if (tg == og)
        return j->groups[tg].swap;
    return j->groups[tg].exclusive && !j->groups[og].persistent;
}

static void check_company(struct judge *j, uint32_t target)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < j->model_count; i++) {
        if (i == target || !is_company(j, i))
            continue;
        others++;
        if (apart(j, target, i))
            judge_break(j, RULE_GROUP, "m%u comes in while m%u is there", target, i);
    }
    if (others && j->config.plan == PLAN_MATRIX && j->config.sched != SCHEDULER_SERIAL &&
        !in_one_set(j, target))
        judge_break(j, RULE_GROUP, "m%u comes in beside models that no set holds with it", target);
}

static void open_op(struct judge *j, const struct effect *e, enum seat seat)
{
    struct judge_model *m = &j->models[e->model];
    if (e->op <= j->last_op)
        judge_break(j, RULE_ID, "op %" PRIu64 " was there before", e->op);
    if (judge_out_of_reach(j, e->model))
        judge_break(j, RULE_BACKEND, "%s of m%u, whose backend is down", effect_type_text(e->type),
                    e->model);
    j->last_op = e->op;
    m->seat = seat;
    m->op = e->op;
    m->op_since_ns = j->now_ns;
    m->escalated = false;
}

static void may_come(struct judge *j, const struct effect *e)
{
    if (!j->booted)
        judge_break(j, RULE_BOOT, "m%u is loaded before the start is over", e->model);
    if (j->draining)
        judge_break(j, RULE_DRAIN, "m%u is loaded during the shutdown", e->model);
}

/* What a planner would do with it is no matter: it was on its way before. */
static void load_adopted(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    const struct event *ev = j->event;
    if (ev->type != EVENT_MODEL_ADOPTED || ev->model.model != e->model ||
        ev->model.adopted != ADOPTED_LOADING || ev->model.placement != e->placement ||
        ev->model.devices != e->devices)
        judge_break(j, RULE_OP, "LOAD of m%u as of one that was on its way already", e->model);
    m->at = adopted_spot(m, ev);
    m->strayed = 0;
    hand_anyway(j, &m->at);
    loaders(j, m->at.devices, true);
    open_op(j, e, SEAT_LOADING);
    m->hash_running = m->policy.hash_process;
    m->ordered = m->forced = m->was_pinned = false;
}

static void load(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    if (m->seat != SEAT_GONE || !m->policy.present) {
        judge_break(j, RULE_OP, "LOAD of m%u, which is %s", e->model,
                    m->policy.present ? "there" : "not configured");
        return;
    }
    enforce(m);
    if (e->reason == REASON_ADOPTED) {
        load_adopted(j, e);
        return;
    }
    may_come(j, e);
    if (m->ghost && m->at.devices)
        judge_break(j, RULE_OP, "LOAD of m%u before what it had is free", e->model);
    m->ghost = false;
    m->at = (struct spot){e->placement, e->devices, e->bytes};
    m->strayed = 0;
    check_spot(j, e->model, &m->at);
    check_company(j, e->model);
    bool alone = unsized(m, &m->at);
    hand_out_or_guess(j, m, &m->at, "a load");
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((m->at.devices >> d & 1) && alone)
            j->alone[d] = e->model + 1;
    loaders(j, m->at.devices, true);
    open_op(j, e, SEAT_LOADING);
    m->hash_running = m->policy.hash_process;
    m->ordered = m->forced = m->was_pinned = false;
}

/* Reasons for which a pinned model never leaves. */
static bool makes_room(enum reason why)
{
    switch ((int)why) {
    case REASON_EVICTED:
    case REASON_IDLE:
    case REASON_GROUP:
    case REASON_EXCLUSIVE:
    case REASON_LRU:
    case REASON_CHEAPEST:
    case REASON_MATRIX:
    case REASON_OVERDUE:
    case REASON_OUTRANKED:
    case REASON_YIELDS:
    case REASON_DEMAND:
        return true;
    default:
        return false;
    }
}

static void may_leave(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    bool cut = j->draining && (judge_over(j, j->drain_cut_ns, 0) || j->drains > 1);
    m->slept = m->seat == SEAT_ASLEEP;
    if (m->seat != SEAT_HERE && !(m->slept && e->type == EFFECT_UNLOAD))
        judge_break(j, RULE_OP, "%s of m%u, which is not there", effect_type_text(e->type),
                    e->model);
    if (m->busy && !m->forced && !cut && !m->slept) /* what ran was silent when it fell asleep */
        judge_break(j, RULE_PREEMPT, "%s of m%u, which serves %u", effect_type_text(e->type),
                    e->model, m->busy);
    if (makes_room(e->reason) && pinned(m))
        judge_break(j, RULE_PINNED, "%s of m%u, which is pinned: %s", effect_type_text(e->type),
                    e->model, reason_text(e->reason));
    if (e->reason != REASON_IDLE)
        return;
    uint64_t ttl = m->kept ? m->keep_ns : m->policy.ttl_ns;
    bool never = m->kept ? ttl == UINT64_MAX : ttl == 0;
    if (never || m->busy || j->now_ns - j->gap_ns < m->used_ns + ttl)
        judge_break(j, RULE_IDLE, "m%u is unloaded as idle %" PRIu64 " ns after its last use",
                    e->model, j->now_ns - j->gap_ns - m->used_ns);
    if (j->event->type != EVENT_TICK)
        judge_break(j, RULE_TICK_ONLY, "m%u is idle in a step that is no TICK", e->model);
}

/* Its bytes come to the host before they leave the devices. */
static void suspend_bytes(struct judge *j, struct judge_model *m)
{
    m->asleep_bytes = m->at.bytes * mask_count(m->at.devices);
    j->suspended_bytes += m->asleep_bytes;
    if (j->terms.declared && j->suspended_bytes > j->config.suspend_bytes_max)
        judge_break(j, RULE_SUSPEND, "%" PRIu64 " of %" PRIu64 " bytes are suspended",
                    j->suspended_bytes, j->config.suspend_bytes_max);
}

/* One of unknown size is alone with its bytes until it has been measured. */
static void leave_alone(struct judge *j, uint32_t slot, uint32_t devices)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices >> d & 1) && j->alone[d] == slot + 1)
            j->alone[d] = 0;
}

static void leave(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    may_leave(j, e);
    if (e->type == EFFECT_UNLOAD) {
        m->kept = false;
        open_op(j, e, SEAT_UNLOADING);
        return;
    }
    if (e->type == EFFECT_SUSPEND) {
        if (!m->policy.suspends)
            judge_break(j, RULE_OP, "m%u is suspended, which it cannot be", e->model);
        suspend_bytes(j, m);
        open_op(j, e, SEAT_SUSPENDING);
        return;
    }
    m->to = (struct spot){e->placement, e->devices, e->bytes};
    if (!m->policy.movable ||
        (m->to.placement == m->at.placement && m->to.devices == m->at.devices))
        judge_break(j, RULE_OP, "m%u is moved, %s", e->model,
                    m->policy.movable ? "to where it is" : "which it cannot be");
    may_come(j, e);
    check_spot(j, e->model, &m->to);
    leave_alone(j, e->model, m->to.devices); /* beside itself it may be */
    hand_out_or_guess(j, m, &m->to, "a move");
    open_op(j, e, SEAT_MOVING);
}

static void resume(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    if (m->seat != SEAT_ASLEEP) {
        judge_break(j, RULE_OP, "RESUME of m%u, which is not suspended", e->model);
        return;
    }
    may_come(j, e);
    m->to = (struct spot){e->placement, e->devices, e->bytes};
    if (!judge_model_sits(m, m->to.devices))
        judge_break(j, RULE_PLACE, "m%u wakes on devices %x, and slept on %x", e->model,
                    m->to.devices, m->at.devices);
    check_company(j, e->model);
    uint64_t slept_bytes = m->at.bytes;
    hand_back(j, &m->at); /* what stayed is part of what it gets */
    m->at.bytes = 0;
    if (unknown(m, &m->to))
        m->to.bytes = 0;
    if (slept_bytes && m->to.bytes > slept_bytes)
        hand_out(j, &m->to, "a resume");
    else
        hand_anyway(j, &m->to);
    loaders(j, m->to.devices, true);
    open_op(j, e, SEAT_RESUMING);
}

static void escalate(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    bool fits = e->type == EFFECT_ABORT ? m->seat == SEAT_LOADING
                                        : seat_passes(m->seat) && m->seat != SEAT_LOADING;
    if (!fits || m->op != e->op || m->escalated)
        judge_break(j, RULE_ESCALATION, "%s of m%u, op %" PRIu64, effect_type_text(e->type),
                    e->model, e->op);
    m->escalated = true;
}

static void retired(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    m->known = false;
    if (m->policy.present || m->seat != SEAT_GONE || m->waiting_count || m->running)
        judge_break(j, RULE_RETIRED, "m%u is retired, and still there, wanted or configured",
                    e->model);
}

/* What a lost backend may still hold is free. */
static void lay_ghost(struct judge *j, struct judge_model *m)
{
    if (!m->ghost)
        return;
    hand_back(j, &m->at);
    hand_back(j, &m->to);
    m->at = m->to = (struct spot){CORE_SLOT_NONE, 0, 0};
    m->ghost = false;
}

static void here(struct judge *j, struct judge_model *m)
{
    m->seat = SEAT_HERE;
    m->used_ns = j->now_ns - j->gap_ns;
}

/* The core takes it, or drops it as stale: which of both is known by its notice alone. */
static void adopted(struct judge *j, const struct effect *e)
{
    struct judge_model *m = &j->models[e->model];
    const struct event *ev = j->event;
    if (ev->type != EVENT_MODEL_ADOPTED || ev->model.model != e->model || m->seat != SEAT_GONE) {
        judge_break(j, RULE_OP, "m%u is said to have been adopted", e->model);
        return;
    }
    lay_ghost(j, m);
    m->at = adopted_spot(m, ev);
    m->strayed = 0;
    m->hash_running = m->policy.hash_process;
    if (ev->model.adopted == ADOPTED_SUSPENDED) {
        uint64_t left =
            ev->model.residue_bytes ? ev->model.residue_bytes : m->policy.suspended_bytes;
        m->asleep_bytes = m->at.bytes * mask_count(m->at.devices);
        j->suspended_bytes += m->asleep_bytes;
        m->at.bytes = left < m->at.bytes ? left : m->at.bytes;
        m->seat = SEAT_ASLEEP;
        m->used_ns = j->now_ns - j->gap_ns;
    } else {
        here(j, m);
    }
    hand_anyway(j, &m->at);
}

void judge_model_effect(struct judge *j, const struct effect *e)
{
    if (e->model == CORE_SLOT_NONE)
        return;
    if (e->model >= j->model_count) {
        judge_break(j, RULE_ID, "%s of a model that there never was", effect_type_text(e->type));
        return;
    }
    j->touched = e->model;
    switch ((int)e->type) {
    case EFFECT_LOAD:
        load(j, e);
        break;
    case EFFECT_UNLOAD:
    case EFFECT_MOVE:
    case EFFECT_SUSPEND:
        leave(j, e);
        break;
    case EFFECT_RESUME:
        resume(j, e);
        break;
    case EFFECT_ABORT:
    case EFFECT_KILL:
        escalate(j, e);
        break;
    case EFFECT_MODEL_RETIRED:
        retired(j, e);
        break;
    case EFFECT_LEARNED:
        if (e->hash_process == j->models[e->model].in_force.hash_process)
            judge_model_learned(j, e->model, e->placement, e->bytes);
        break;
    case EFFECT_NOTICE:
        if (e->notice == NOTICE_OOM && e->placement < CORE_PLACEMENTS_MAX)
            j->models[e->model].more_bytes =
                e->bytes - judge_known_bytes(&j->models[e->model], e->placement);
        if (e->notice == NOTICE_BLOCKED)
            j->terms.calm = false; /* its clock stands, for how long is not said */
        if (e->notice == NOTICE_SETTLED) {
            j->guessed |= j->models[e->model].ghost && j->event->type == EVENT_TICK;
            lay_ghost(j, &j->models[e->model]);
        }
        if ((e->notice == NOTICE_MODEL_LOADED || e->notice == NOTICE_SUSPENDED) &&
            e->reason == REASON_ADOPTED && j->event->type == EVENT_MODEL_ADOPTED)
            adopted(j, e);
        break;
    default:
        break;
    }
}

/* Facts */

static void awake(struct judge *j, struct judge_model *m)
{
    j->suspended_bytes -= m->asleep_bytes;
    m->asleep_bytes = 0;
}

static void gone(struct judge *j, struct judge_model *m)
{
    awake(j, m);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (j->alone[d] == (uint32_t)(m - j->models) + 1)
            j->alone[d] = 0;
    if (m->seat == SEAT_LOADING)
        loaders(j, m->at.devices, false);
    if (m->seat == SEAT_RESUMING)
        loaders(j, m->to.devices, false);
    hand_back(j, &m->at);
    hand_back(j, &m->to);
    m->at = m->to = (struct spot){CORE_SLOT_NONE, 0, 0};
    m->strayed = 0;
    m->life++;
    m->busy = 0;
    enforce(m);
    m->seat = SEAT_GONE;
    m->ordered = m->forced = false;
}

static void moved(struct judge *j, struct judge_model *m, enum outcome how)
{
    if (how == OUTCOME_GONE) {
        gone(j, m);
        return;
    }
    if (how == OUTCOME_AT_SOURCE) {
        hand_back(j, &m->to);
    } else {
        hand_back(j, &m->at);
        leave_alone(j, (uint32_t)(m - j->models), m->at.devices & ~m->to.devices);
        m->at = m->to;
    }
    m->to = (struct spot){CORE_SLOT_NONE, 0, 0};
    m->seat = SEAT_HERE;
}

static void suspended(struct judge *j, struct judge_model *m, const struct event *ev)
{
    if (ev->model.outcome == OUTCOME_GONE) {
        gone(j, m);
    } else if (ev->model.outcome == OUTCOME_AT_SOURCE) {
        awake(j, m);
        m->seat = SEAT_HERE;
    } else {
        uint64_t left =
            ev->model.residue_bytes ? ev->model.residue_bytes : m->policy.suspended_bytes;
        hand_back(j, &m->at);
        m->at.bytes = left < m->at.bytes ? left : m->at.bytes;
        hand_anyway(j, &m->at);
        m->seat = SEAT_ASLEEP;
        leave_alone(j, (uint32_t)(m - j->models), m->at.devices); /* what is left is known */
    }
}

static void resumed(struct judge *j, struct judge_model *m, enum outcome how)
{
    if (how == OUTCOME_GONE) {
        gone(j, m);
        return;
    }
    loaders(j, m->to.devices, false);
    if (how == OUTCOME_AT_SOURCE) {
        m->at.bytes = m->to.bytes; /* all of it, until it has been unloaded */
        m->seat = SEAT_ASLEEP;
    } else {
        m->at = m->to;
        awake(j, m);
        here(j, m);
    }
    m->to = (struct spot){CORE_SLOT_NONE, 0, 0};
}

/* In a calm world, where the bound of `fair` is owed. One whose events were thinned out may be so
 * no more. */
static void check_calm(struct judge *j, const struct judge_model *m)
{
    uint64_t max = m->seat == SEAT_LOADING ? j->terms.load_ns_max : j->terms.unload_ns_max;
    if (j->now_ns - m->op_since_ns > max + CALM_DELAY_NS || m->escalated)
        j->terms.calm = false;
}

static void completed(struct judge *j, struct judge_model *m, const struct event *ev)
{
    check_calm(j, m);
    switch ((int)ev->type) {
    case EVENT_MODEL_LOADED:
        loaders(j, m->at.devices, false);
        here(j, m);
        break;
    case EVENT_MODEL_LOAD_FAILED:
        gone(j, m);
        break;
    case EVENT_MODEL_UNLOADED:
        if (ev->model.stuck)
            m->seat = SEAT_STUCK;
        else
            gone(j, m);
        break;
    case EVENT_MODEL_MOVED:
        moved(j, m, ev->model.outcome);
        break;
    case EVENT_MODEL_SUSPENDED:
        suspended(j, m, ev);
        break;
    case EVENT_MODEL_RESUMED:
        resumed(j, m, ev->model.outcome);
        break;
    default:
        break;
    }
}

static void lay_there(struct judge *j, struct spot *s, uint32_t device)
{
    struct spot there = {s->placement, s->devices & 1U << device, s->bytes};
    hand_back(j, &there);
    s->devices &= ~there.devices;
}

/* A sample of after the loss that does not show a ghost's bytes shows that they are free there. */
static void lay_ghosts_seen(struct judge *j, const struct event *ev)
{
    for (uint32_t i = 0; i < j->model_count; i++) {
        struct judge_model *m = &j->models[i];
        bool seen = ev->sample.uses_unknown || ev->sample.taken.ns <= m->ghost_ns;
        for (uint32_t u = 0; u < ev->sample.use_count; u++)
            seen |= ev->sample.uses[u].model == i && ev->sample.uses[u].bytes;
        if (!m->ghost || seen)
            continue;
        lay_there(j, &m->at, ev->sample.device);
        lay_there(j, &m->to, ev->sample.device);
    }
}

bool judge_model_sits(const struct judge_model *m, uint32_t devices)
{
    uint32_t missing = m->at.devices & ~devices;
    if (devices & ~(m->at.devices | m->strayed))
        return false;
    return !missing || (m->strayed && devices);
}

/* One that was put on a device and is seen on another, where it may be, is charged there, and after
 * some samples no longer where it is not seen. */
static void see_strays(struct judge *j, const struct event *ev)
{
    uint32_t bit = 1U << ev->sample.device;
    for (uint32_t u = 0; u < ev->sample.use_count; u++) {
        const struct sample_use *use = &ev->sample.uses[u];
        struct judge_model *m = use->model < j->model_count ? &j->models[use->model] : NULL;
        if (!m || !use->bytes || m->seat != SEAT_HERE || !m->at.devices || m->at.devices & bit ||
            m->at.placement >= m->in_force.placement_count ||
            !(m->in_force.placements[m->at.placement].device_mask & bit))
            continue;
        hand_back(j, &m->at);
        m->at.bytes = 0;
        m->strayed |= bit;
    }
}

void judge_model_sampled(struct judge *j, const struct event *ev)
{
    uint32_t d = ev->sample.device, slot = j->alone[d] - 1;
    lay_ghosts_seen(j, ev);
    see_strays(j, ev);
    if (!j->alone[d] || j->models[slot].seat == SEAT_LOADING)
        return;
    leave_alone(j, slot, 1U << d); /* perhaps it could not be measured */
}

void judge_model_learned(struct judge *j, uint32_t slot, uint32_t placement, uint64_t bytes)
{
    if (slot >= j->model_count || placement >= CORE_PLACEMENTS_MAX)
        return;
    struct judge_model *m = &j->models[slot];
    if (j->event->type == EVENT_FOOTPRINT) {
        m->estimated_bytes[placement] = bytes;
    } else if (bytes) {
        m->learned |= 1U << placement;
        m->learned_bytes[placement] = bytes;
    }
}

/* What was under way there will not complete; its bytes stay charged. */
static void backend_event(struct judge *j, const struct event *ev)
{
    uint32_t b = ev->backend.backend;
    j->backend_down[b] = ev->type == EVENT_BACKEND_DOWN;
    for (uint32_t i = 0; i < j->model_count && j->backend_down[b]; i++) {
        struct judge_model *m = &j->models[i];
        if (m->in_force.backend != b || !seat_passes(m->seat))
            continue;
        if (m->seat == SEAT_LOADING)
            loaders(j, m->at.devices, false);
        if (m->seat == SEAT_RESUMING)
            loaders(j, m->to.devices, false);
        m->ghost = true;
        m->ghost_ns = j->now_ns;
        awake(j, m);
        m->life++;
        m->busy = 0;
        leave_alone(j, i, m->at.devices);
        enforce(m); /* a new configuration need not name the backend */
        m->seat = SEAT_GONE;
    }
}

void judge_model_event(struct judge *j, const struct event *ev)
{
    if (ev->type == EVENT_BACKEND_DOWN || ev->type == EVENT_BACKEND_UP) {
        backend_event(j, ev);
        return;
    }
    struct judge_model *m = &j->models[ev->model.model];
    j->touched = ev->model.model;
    if (ev->type == EVENT_UPSTREAM_BROKEN)
        m->forced |= m->seat == SEAT_HERE;
    else if (ev->type == EVENT_MODEL_ADOPTED)
        return;
    else if (ev->type != EVENT_MODEL_EXITED && seat_passes(m->seat) && m->op == ev->model.op)
        completed(j, m, ev);
    else if (ev->type == EVENT_MODEL_EXITED && !seat_passes(m->seat) && m->seat != SEAT_GONE)
        gone(j, m);
}

void judge_model_config(struct judge *j, const struct core_config *config)
{
    for (uint32_t i = 0; i < config->model_count || i < j->model_count; i++) {
        struct judge_model *m = &j->models[i];
        struct core_model_policy none = {0};
        m->was_pinned |= m->policy.pinned;
        m->policy = i < config->model_count ? config->models[i] : none;
        m->pinned = m->pinned && m->policy.present;
        if (!m->known) { /* another model has the slot */
            m->kept = false;
            m->learned = 0;
            m->wish = WISH_NONE;
            memset(m->learned_bytes, 0, sizeof(m->learned_bytes));
            memset(m->estimated_bytes, 0, sizeof(m->estimated_bytes));
        }
        m->known |= m->policy.present;
        if (m->policy.present &&
            (m->seat == SEAT_GONE || m->hash_running == m->policy.hash_process))
            enforce(m);
        m->in_force.group = m->policy.group;
    }
    if (config->model_count > j->model_count)
        j->model_count = config->model_count;
}

/* Nobody uses anything any more, and what nobody is to have has gone. */
void judge_model_peace(struct judge *j)
{
    for (uint32_t i = 0; i < j->model_count; i++) {
        const struct judge_model *m = &j->models[i];
        if (seat_passes(m->seat))
            judge_break(j, RULE_LIVENESS, "an op of m%u is open at the end", i);
        if (m->seat != SEAT_GONE && !m->policy.present)
            judge_break(j, RULE_LIVENESS, "m%u is there, and not configured", i);
        if (!j->drain_keeps && m->seat == SEAT_HERE && m->wish == WISH_UNLOADED && !pinned(m) &&
            j->now_ns - j->gap_ns > m->used_ns + j->config.fair.min_resident_ns)
            judge_break(j, RULE_WISH, "m%u is there, and the mode wants it gone", i);
    }
}
