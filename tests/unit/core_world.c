#include "core_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world *world_current; /* for the report of a failed check */

void world_report(const struct world *w)
{
    fprintf(stderr,
            "walk: seed %" PRIu64 ", step %" PRIu64 "; WHARF_WALK_SEED=%" PRIu64
            " tells it in full\n",
            w->seed, w->step, w->seed);
}

_Noreturn void world_fail(const struct world *w, const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    world_report(w);
    exit(1);
}

uint64_t world_below(struct world *w, uint64_t bound)
{
    return rng_below(&w->rng, bound);
}

bool world_chance(struct world *w, uint32_t percent)
{
    return world_below(w, 100) < percent;
}

uint64_t world_soon(struct world *w, uint64_t s_max)
{
    return w->now_ns + world_below(w, s_max * 1000) * NS_PER_MS;
}

static void world_hash(struct world *w, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        w->hash = (w->hash ^ (value & 0xff)) * UINT64_C(0x100000001b3);
        value >>= 8;
    }
}

/* The inbox */

struct world_letter *world_post(struct world *w, enum event_type type)
{
    hold(w->inbox_count < WORLD_INBOX);
    struct world_letter *l = &w->inbox[(w->inbox_head + w->inbox_count++) % WORLD_INBOX];
    *l = (struct world_letter){.ev = {.type = type}};
    return l;
}

static void world_post_model(struct world *w, enum event_type type, uint32_t i, bool stuck)
{
    struct world_letter *l = world_post(w, type);
    l->ev.model.model = i;
    l->ev.model.op = w->m[i].op_id;
    l->ev.model.stuck = stuck;
    l->ev.model.why = type == EVENT_MODEL_LOAD_FAILED ? REASON_LOAD_FAILED : REASON_NONE;
}

/* Processes */

static void world_end_process(struct world *w, uint32_t i)
{
    struct world_model *m = &w->m[i];
    if (m->alive && world_chance(w, 50)) {
        /* The driver gives the memory back some time after the process has gone. */
        m->linger_until_ns = world_soon(w, 2);
        m->linger_bytes = m->bytes;
    }
    m->alive = false;
}

static bool world_lingers(const struct world *w, uint32_t i)
{
    return w->m[i].linger_bytes && w->m[i].linger_until_ns > w->now_ns;
}

/* Bytes physically in use on a device, by processes of wharf. */
static uint64_t world_own_bytes(const struct world *w, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        if (w->m[i].device != device)
            continue;
        sum += w->m[i].alive ? w->m[i].bytes : 0;
        sum += world_lingers(w, i) ? w->m[i].linger_bytes : 0;
    }
    return sum;
}

static void world_finish_op(struct world *w, uint32_t i)
{
    struct world_model *m = &w->m[i];
    m->posted = true;
    m->due_ns = WORLD_NEVER;
    if (m->op == WORLD_LOADING) {
        bool fails = m->escalated || (w->faults && world_chance(w, 20));
        if (fails)
            world_end_process(w, i);
        world_post_model(w, fails ? EVENT_MODEL_LOAD_FAILED : EVENT_MODEL_LOADED, i, false);
        return;
    }
    bool stuck = m->alive && m->escalated && w->faults && world_chance(w, 30);
    if (!stuck)
        world_end_process(w, i);
    world_post_model(w, EVENT_MODEL_UNLOADED, i, stuck);
    if (stuck)
        m->due_ns = world_soon(w, 60); /* and then it goes after all */
}

void world_exit(struct world *w, uint32_t i)
{
    struct world_model *m = &w->m[i];
    world_end_process(w, i);
    world_post_model(w, EVENT_MODEL_EXITED, i, false);
    m->exit_posted = true;
    if (!m->posted)
        m->due_ns = WORLD_NEVER;
}

/* What is due by now happens; its news go to the inbox. */
void world_run_due(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        struct world_model *m = &w->m[i];
        if (m->due_ns > w->now_ns)
            continue;
        if (m->op != WORLD_IDLE && !m->posted)
            world_finish_op(w, i);
        else if (m->alive && !m->exit_posted) {
            m->due_ns = WORLD_NEVER;
            world_exit(w, i);
        }
    }
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        struct world_client *r = &w->clients[i];
        if (r->state != WORLD_INSIDE || r->leaving || r->end_ns > w->now_ns)
            continue;
        r->leaving = true;
        struct world_letter *l = world_post(w, r->lease ? EVENT_LEASE_ENDED : EVENT_REQUEST_ENDED);
        l->tag = r->tag;
        if (r->lease)
            l->ev.lease_id.lease = r->id;
        else
            l->ev.ended.waiter = r->id;
    }
}

uint64_t world_next_due(const struct world *w)
{
    uint64_t at = WORLD_NEVER;
    for (uint32_t i = 0; i < WORLD_MODELS; i++)
        at = w->m[i].due_ns < at ? w->m[i].due_ns : at;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        const struct world_client *r = &w->clients[i];
        if (r->state == WORLD_INSIDE && !r->leaving && r->end_ns < at)
            at = r->end_ns;
    }
    return at;
}

/* What the core orders */

static bool world_conflicts(const struct world *w, uint32_t target, uint32_t other)
{
    uint32_t tg = w->m[target].policy.group, og = w->m[other].policy.group;
    if (tg == og)
        return w->groups[tg].swap;
    return w->groups[tg].exclusive && !w->groups[og].persistent;
}

static void world_check_load(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->m[e->model];
    hold(e->model < WORLD_MODELS && m->policy.present && !m->removed && !w->draining);
    hold(m->op == WORLD_IDLE && m->known == WORLD_GONE && !m->alive);
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        if (i == e->model || w->m[i].known == WORLD_GONE)
            continue;
        hold(w->config.sched != SCHEDULER_SERIAL || w->m[i].policy.pinned);
        hold(w->config.plan != PLAN_GROUP || w->config.sched == SCHEDULER_SERIAL ||
             !world_conflicts(w, e->model, i));
    }
    if (e->device == CORE_SLOT_NONE)
        return;
    /* Never more than there is, counting what dead processes have not given back yet. */
    hold(w->found[e->device]);
    const struct core_placement *place = &m->policy.placements[0];
    hold(place->device_mask >> e->device & 1);
    hold(!place->bytes || e->bytes >= place->bytes);
    hold(world_own_bytes(w, e->device) + e->bytes <= w->total_bytes[e->device]);
}

static void world_do_load(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->m[e->model];
    world_check_load(w, e);
    m->op = WORLD_LOADING;
    m->op_id = e->op;
    m->known = WORLD_COMING;
    m->escalated = m->posted = false;
    m->alive = true;
    m->device = e->device;
    m->placement = e->placement;
    /* Who declared nothing takes some part of what it may have. */
    m->bytes = m->policy.placements[0].bytes ? m->policy.placements[0].bytes : e->bytes / 4;
    m->linger_bytes = 0;
    m->due_ns = w->faults && world_chance(w, 10) ? WORLD_NEVER : world_soon(w, 8);
}

static void world_do_unload(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->m[e->model];
    hold(e->model < WORLD_MODELS && m->op == WORLD_IDLE && m->known == WORLD_HERE);
    m->op = WORLD_UNLOADING;
    m->op_id = e->op;
    m->known = WORLD_GOING;
    m->escalated = m->posted = false;
    m->due_ns = w->faults && m->alive && world_chance(w, 15) ? WORLD_NEVER : world_soon(w, 4);
}

static void world_do_escalate(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->m[e->model];
    hold(e->model < WORLD_MODELS &&
         m->op == (e->type == EFFECT_ABORT ? WORLD_LOADING : WORLD_UNLOADING));
    hold(m->op_id == e->op && !m->escalated);
    m->escalated = true;
    if (!m->posted)
        m->due_ns = world_soon(w, 2);
}

static struct world_client *world_client(struct world *w, uint64_t tag)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        if (w->clients[i].state != WORLD_FREE && w->clients[i].tag == tag)
            return &w->clients[i];
    return NULL;
}

/* Nobody who should have come before this one still waits. */
static void world_check_order(struct world *w, const struct world_client *r)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        const struct world_client *o = &w->clients[i];
        if (o == r || o->lease != r->lease ||
            (o->state != WORLD_WAITING && o->state != WORLD_ASKING))
            continue;
        if (!r->lease && w->config.sched == SCHEDULER_SERIAL)
            hold(o->seq > r->seq);
        else if (o->model == r->model &&
                 (r->lease || w->config.sched != SCHEDULER_FAIR || o->class == r->class))
            hold(o->class > r->class || (o->class == r->class && o->seq > r->seq));
    }
}

static uint32_t world_inside(const struct world *w, bool lease, uint32_t model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        count += w->clients[i].state == WORLD_INSIDE && w->clients[i].lease == lease &&
                 (model == CORE_SLOT_NONE || w->clients[i].model == model);
    return count;
}

static void world_do_grant(struct world *w, const struct effect *e)
{
    struct world_client *r = world_client(w, e->tag);
    hold(r != NULL && (r->state == WORLD_ASKING || r->state == WORLD_WAITING));
    hold(r->lease == (e->type == EFFECT_LEASE_GRANT));
    hold(r->state == WORLD_ASKING || id_equal(r->id, e->waiter));
    world_check_order(w, r);
    if (r->lease) {
        hold(world_inside(w, true, r->model) < w->gates[r->model].limit);
    } else {
        hold(e->model == r->model && w->m[r->model].known == WORLD_HERE && !w->draining);
        hold(w->m[r->model].op == WORLD_IDLE);
        hold(world_inside(w, false, r->model) < w->m[r->model].policy.slots_max);
        hold(w->config.sched != SCHEDULER_SERIAL || world_inside(w, false, CORE_SLOT_NONE) == 0);
    }
    r->state = WORLD_INSIDE;
    r->id = e->waiter;
    r->end_ns = world_soon(w, 6);
    if (r->tag == w->answered)
        w->answered = 0;
}

static void world_do_answer(struct world *w, const struct effect *e)
{
    struct world_client *r = world_client(w, e->tag);
    hold(r != NULL && (r->state == WORLD_ASKING || r->state == WORLD_WAITING));
    hold(r->state == WORLD_ASKING || id_equal(r->id, e->waiter));
    if (e->type == EFFECT_REFUSE) {
        hold(e->reason != REASON_NONE);
        r->state = WORLD_FREE;
        w->refused++;
    } else {
        hold(r->state == WORLD_ASKING && !w->draining && e->position >= 1);
        r->state = WORLD_WAITING;
        r->id = e->waiter;
    }
    if (r->tag == w->answered)
        w->answered = 0;
}

static void world_do_command_done(struct world *w, const struct effect *e)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS * 2; i++) {
        if (w->commands[i] == e->tag) {
            w->commands[i] = 0;
            return;
        }
    }
    world_fail(w, "an answer to a command that nobody waits for", __FILE__, __LINE__);
}

static void world_trace_effect(const struct world *w, const struct effect *e)
{
    if (w->trace)
        fprintf(stderr, "      %s %s m%d tag %" PRIu64 " op %" PRIu64 " dev %d %s\n",
                effect_type_text(e->type), e->type == EFFECT_NOTICE ? notice_text(e->notice) : "",
                (int)e->model, e->tag, e->op, (int)e->device, reason_text(e->reason));
}

static void world_carry_out(struct world *w, const struct effect *e)
{
    world_trace_effect(w, e);
    const uint64_t fields[] = {
        e->type,  e->notice, e->reason, e->waiter.slot, e->waiter.gen,    e->tag,   e->op,
        e->model, e->other,  e->device, e->position,    e->retry_after_s, e->bytes, e->duration_ns};
    for (size_t i = 0; i < countof(fields); i++)
        world_hash(w, fields[i]);
    switch (e->type) {
    case EFFECT_WAIT:
    case EFFECT_LEASE_WAIT:
    case EFFECT_REFUSE:
        world_do_answer(w, e);
        break;
    case EFFECT_GRANT:
    case EFFECT_LEASE_GRANT:
        world_do_grant(w, e);
        break;
    case EFFECT_LOAD:
        world_do_load(w, e);
        break;
    case EFFECT_UNLOAD:
        world_do_unload(w, e);
        break;
    case EFFECT_ABORT:
    case EFFECT_KILL:
        world_do_escalate(w, e);
        break;
    case EFFECT_COMMAND_DONE:
        world_do_command_done(w, e);
        break;
    case EFFECT_MODEL_RETIRED:
        hold(e->model < WORLD_MODELS && w->m[e->model].removed &&
             w->m[e->model].known == WORLD_GONE);
        hold(world_inside(w, false, e->model) == 0);
        w->m[e->model].removed = w->m[e->model].policy.present = false;
        break;
    case EFFECT_NOTICE:
        hold(e->notice != NOTICE_DRAINED || (w->draining && !w->drained));
        w->drained |= e->notice == NOTICE_DRAINED;
        break;
    case EFFECT_SAMPLE_NOW:
        hold(e->device < WORLD_DEVICES);
        break;
    case EFFECT_DECISION:
    case EFFECT_LEARNED:
    case EFFECT_TRACE:
        break;
    case EFFECT_MOVE:
    case EFFECT_SUSPEND:
    case EFFECT_RESUME:
    case EFFECT_LEASE_REVOKE:
    case EFFECT_LEASE_END:
    case EFFECT_BACKEND_PROBE:
    case EFFECT__COUNT:
        world_fail(w, "not an effect", __FILE__, __LINE__);
    }
}

/* All that arrived are waiting, inside, or accounted for; and the core says the same. */
static void world_check_conservation(struct world *w)
{
    uint64_t waiting = 0, inside = 0, leases = 0;
    struct core_view view;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        const struct world_client *r = &w->clients[i];
        hold(r->state != WORLD_ASKING);
        waiting += r->state == WORLD_WAITING && !r->lease;
        inside += r->state == WORLD_INSIDE && !r->lease;
        leases += r->state != WORLD_FREE && r->lease;
    }
    core_view(w->core, &view);
    hold(view.waiting == waiting && view.running == inside);
    hold(w->arrived == w->granted_ended + w->refused + w->left + waiting + inside + leases);
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        static const enum model_state states[] = {MODEL_UNLOADED, MODEL_LOADING, MODEL_LOADED,
                                                  MODEL_UNLOADING, MODEL_STUCK};
        struct core_model_view m;
        core_view_model(w->core, i, &m);
        hold(m.state == states[w->m[i].known] ||
             (m.state == MODEL_ERROR && w->m[i].known == WORLD_GONE));
    }
}

static void world_trace_event(const struct world *w, const struct event *ev)
{
    if (!w->trace)
        return;
    bool device = ev->type == EVENT_DEVICE_FOUND || ev->type == EVENT_DEVICE_LOST ||
                  ev->type == EVENT_DEVICE_SAMPLE;
    bool client = ev->type == EVENT_REQUEST_ENDED || ev->type == EVENT_REQUEST_BOUNCED ||
                  ev->type == EVENT_LEASE_ENDED;
    uint32_t about = device                     ? ev->found.device
                     : client                   ? ev->ended.waiter.slot
                     : ev->type == EVENT_CONFIG ? w->config.sched
                                                : ev->model.model;
    fprintf(stderr, "%" PRIu64 " %" PRIu64 "ms %s %d\n", w->step, w->now_ns / NS_PER_MS,
            event_type_text(ev->type), (int)about);
}

void world_step(struct world *w, struct event *ev)
{
    ev->now.ns = w->now_ns;
    w->step++;
    world_trace_event(w, ev);
    struct effects fx = core_step(w->core, ev);
    for (int ticks = 0;; ticks++) {
        core_check(w->core);
        for (uint32_t i = 0; i < fx.count; i++)
            world_carry_out(w, &fx.items[i]);
        hold(ticks < WORLD_TICKS_MAX);
        if (!fx.more)
            break;
        struct event tick = {.type = EVENT_TICK, .now.ns = w->now_ns};
        fx = core_step(w->core, &tick);
    }
    hold(w->answered == 0);
    world_check_conservation(w);
}

/* What the core is told: the world's record of it changes first */

static void world_told_gone(struct world_model *m)
{
    m->known = WORLD_GONE;
    if (m->pending)
        m->policy = m->next;
    m->pending = false;
}

static void world_told_model(struct world *w, const struct event *ev)
{
    struct world_model *m = &w->m[ev->model.model];
    if (ev->type == EVENT_MODEL_EXITED) {
        m->exit_posted = false;
        if (m->op == WORLD_IDLE && (m->known == WORLD_HERE || m->known == WORLD_STUCK))
            world_told_gone(m);
        return;
    }
    hold(m->op != WORLD_IDLE && m->op_id == ev->model.op);
    m->op = WORLD_IDLE;
    m->posted = false;
    if (ev->type == EVENT_MODEL_LOADED)
        m->known = WORLD_HERE;
    else if (ev->type == EVENT_MODEL_UNLOADED && ev->model.stuck)
        m->known = WORLD_STUCK;
    else
        world_told_gone(m);
}

static void world_told_ended(struct world *w, const struct world_letter *l)
{
    struct world_client *r = world_client(w, l->tag);
    if (!r)
        return; /* it was refused meanwhile */
    r->leaving = false;
    if (l->ev.type == EVENT_REQUEST_BOUNCED) {
        r->state = WORLD_WAITING;
        r->bounced = true;
        return;
    }
    if (r->state == WORLD_INSIDE)
        w->granted_ended++;
    else
        w->left++;
    r->state = WORLD_FREE;
}

void world_deliver(struct world *w)
{
    hold(w->inbox_count > 0);
    struct world_letter l = w->inbox[w->inbox_head];
    w->inbox_head = (w->inbox_head + 1) % WORLD_INBOX;
    w->inbox_count--;
    if (l.ev.type == EVENT_DEVICE_SAMPLE)
        l.ev.sample.uses = l.uses;
    else if (l.tag)
        world_told_ended(w, &l);
    else if (l.ev.type != EVENT_UPSTREAM_BROKEN)
        world_told_model(w, &l.ev);
    world_step(w, &l.ev);
}

/* Time goes on to the given point, and the TICK is sent if it is due. */
void world_pass(struct world *w, uint64_t to_ns)
{
    struct mono at;
    w->now_ns = to_ns > w->now_ns ? to_ns : w->now_ns;
    world_run_due(w);
    if (core_deadline(w->core, &at) && at.ns <= w->now_ns)
        world_step(w, &(struct event){.type = EVENT_TICK});
}

void world_sample(struct world *w, uint32_t device)
{
    struct world_letter *l = world_post(w, EVENT_DEVICE_SAMPLE);
    bool see_lingering = world_chance(w, 50);
    l->ev.sample.device = device;
    l->ev.sample.taken.ns = w->now_ns;
    l->ev.sample.used_bytes = world_own_bytes(w, device) + w->foreign_bytes[device];
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        uint64_t bytes = w->m[i].alive ? w->m[i].bytes : 0;
        if (see_lingering && world_lingers(w, i))
            bytes += w->m[i].linger_bytes;
        if (w->m[i].device == device && bytes)
            l->uses[l->ev.sample.use_count++] = (struct sample_use){.model = i, .bytes = bytes};
    }
}
