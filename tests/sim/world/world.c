#include "world_priv.h"

#include <stdlib.h>

#include "peace.h"
#include "tape.h"

/* Choices */

void world_choose(struct world *w, const uint8_t *choices, size_t n)
{
    w->choices = choices;
    w->choices_left = n;
    w->chosen = true;
}

/* As few bytes as will do, so that a change of one of them changes one choice. A span of time is
 * chosen as a share of the longest. */
uint64_t world_choice(struct world *w, uint64_t bound)
{
    unsigned bytes = bound <= 1 << 8 ? 1 : bound <= 1 << 16 ? 2 : 3;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && w->choices_left; i++, w->choices_left--)
        value = value << 8 | *w->choices++;
    if (bytes < 3)
        return value % bound;
    return bound >> 40 ? (bound >> 24) * value : bound * value >> 24;
}

/* Timers: one heap place for each purpose and object. */
static uint32_t timer_slot(enum timer kind, uint32_t i)
{
    static const uint32_t first[] = {
        [TIMER_ENGINE] = 0,
        [TIMER_EXIT] = WORLD_MODELS_MAX,
        [TIMER_CLIENT] = 2 * WORLD_MODELS_MAX,
        [TIMER_BACKEND] = 2 * WORLD_MODELS_MAX + WORLD_CLIENTS_MAX,
        [TIMER_SAMPLE] = 2 * WORLD_MODELS_MAX + WORLD_CLIENTS_MAX + CORE_BACKENDS_MAX + 1,
    };
    return first[kind] + i;
}

#define HANDED_OVER_ONE_IN 8
#define TIMERS timer_slot(TIMER_SAMPLE, CORE_DEVICES_MAX)

void world_set_timer(struct world *w, enum timer kind, uint32_t i, uint64_t at_ns)
{
    uint32_t slot = timer_slot(kind, i);
    if (at_ns == WORLD_NEVER)
        heap_remove(&w->timers, slot);
    else
        heap_set(&w->timers, slot, (struct heap_key){at_ns, ++w->serial});
}

uint64_t world_soon(struct world *w, uint64_t ns_max)
{
    return w->run.now_ns + 1 + below(w, ns_max);
}

static void run_timer(struct world *w, uint32_t slot)
{
    if (slot >= timer_slot(TIMER_SAMPLE, 0))
        sampler_take(w, slot - timer_slot(TIMER_SAMPLE, 0));
    else if (slot >= timer_slot(TIMER_BACKEND, 0))
        world_post(w, EVENT_BACKEND_UP)->note.ev.backend.backend =
            slot - timer_slot(TIMER_BACKEND, 0);
    else if (slot >= timer_slot(TIMER_CLIENT, 0))
        client_due(w, slot - timer_slot(TIMER_CLIENT, 0));
    else if (slot >= timer_slot(TIMER_EXIT, 0))
        engine_exit(w, slot - timer_slot(TIMER_EXIT, 0));
    else
        engine_due(w, slot);
}

static void run_due(struct world *w)
{
    const struct heap_item *due;
    while ((due = heap_peek(&w->timers)) && due->key.major <= w->run.now_ns) {
        uint32_t slot = due->slot;
        heap_remove(&w->timers, slot);
        run_timer(w, slot);
    }
}

/* The inbox */

struct letter *world_post(struct world *w, enum event_type type)
{
    must(w->inbox_count < WORLD_INBOX_MAX);
    struct letter *l = &w->inbox[(w->inbox_head + w->inbox_count++) % WORLD_INBOX_MAX];
    *l = (struct letter){.note.ev.type = type, .uses = CORE_SLOT_NONE};
    return l;
}

void world_tell(struct world *w, struct note *n)
{
    run_tell(&w->run, n);
    run_stop_if_broken(&w->run); /* the world's own findings */
}

static void tell_backend(struct world *w, struct note *n)
{
    bool lost = n->ev.type == EVENT_BACKEND_DOWN;
    uint32_t b = n->ev.backend.backend;
    if (lost)
        engine_backend(w, b, true);
    else
        w->backend_lost[b] = false;
    world_tell(w, n);
    if (!lost)
        engine_backend(w, b, false);
}

/* Tells the core the oldest news; there must be some. */
void world_deliver(struct world *w)
{
    struct letter l = w->inbox[w->inbox_head];
    w->inbox_head = (w->inbox_head + 1) % WORLD_INBOX_MAX;
    w->inbox_count--;
    if (l.uses != CORE_SLOT_NONE)
        w->uses_taken[l.uses] = false;
    if (l.note.tag && !client_told(w, &l))
        return;
    if (note_about_model(l.note.ev.type))
        engine_told(w, &l.note);
    if (l.note.ev.type == EVENT_BACKEND_DOWN || l.note.ev.type == EVENT_BACKEND_UP)
        tell_backend(w, &l.note);
    else if (judge_legal(w->run.judge, &l.note.ev))
        world_tell(w, &l.note);
}

/* Time goes on, to the next thing that happens at the latest, and the TICK is sent if it is due. */
void world_pass(struct world *w, uint64_t to_ns)
{
    const struct heap_item *first = heap_peek(&w->timers);
    struct mono at;
    bool late = chance(w, ODDS_LATE_TICK);
    if (first && first->key.major < to_ns)
        to_ns = first->key.major;
    if (!late && core_deadline(w->run.core, &at) && at.ns < to_ns)
        to_ns = at.ns;
    if (to_ns > w->run.now_ns)
        w->run.now_ns = to_ns;
    run_due(w);
    if (!late)
        run_tick(&w->run);
}

/* Effects */

static void carry_out(void *world, const struct effect *e)
{
    struct world *w = world;
    switch ((int)e->type) {
    case EFFECT_GRANT:
    case EFFECT_REFUSE:
    case EFFECT_LEASE_GRANT:
    case EFFECT_LEASE_REVOKE:
    case EFFECT_LEASE_END:
        client_effect(w, e);
        break;
    case EFFECT_LOAD:
    case EFFECT_ABORT:
    case EFFECT_UNLOAD:
    case EFFECT_MOVE:
    case EFFECT_SUSPEND:
    case EFFECT_RESUME:
    case EFFECT_KILL:
        engine_effect(w, e);
        break;
    case EFFECT_SAMPLE_NOW:
        world_set_timer(w, TIMER_SAMPLE, e->device,
                        world_soon(w, chance(w, ODDS_SAMPLE_LAGS) ? 2 * NS_PER_S : 20 * NS_PER_MS));
        break;
    default:
        break;
    }
    if (e->type == EFFECT_LOAD || e->type == EFFECT_MOVE || e->type == EFFECT_RESUME ||
        e->type == EFFECT_LEASE_GRANT)
        sampler_check_truth(w, e->devices);
}

/* From the beginning to the end */

/* In some worlds the core takes another's place while requests run and wait. Drawn apart from the
 * rest, so that the others are as they would be without. */
static void hand_over(struct world *w)
{
    if (w->swarm.calm || w->seed % HANDED_OVER_ONE_IN != 1)
        return;
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        uint64_t served = w->engines[i].alive ? below(w, 3) : below(w, 20) == 0;
        for (uint64_t k = 0; k < served; k++)
            client_hand_over(w, i, true);
        for (uint64_t k = below(w, 3); k > 0; k--)
            client_hand_over(w, i, false);
    }
}

static void boot(struct world *w)
{
    struct core_config first = w->config;
    world_tell(w, &(struct note){.ev = {.type = EVENT_CONFIG, .config = &first}});
    for (uint32_t d = 0; d < w->swarm.devices; d++)
        world_tell(w,
                   &(struct note){.ev = {.type = EVENT_DEVICE_FOUND, .found = {d, w->total[d]}}});
    for (uint32_t i = 0; !w->swarm.calm && i < w->config.model_count; i++)
        if (below(w, 4) == 0)
            engine_adopt(w, i);
    for (uint32_t k = 0; !w->swarm.calm && k < 4; k++) {
        if (below(w, 3) == 0)
            client_ask_lease(w, true);
        if (below(w, 6) == 0)
            client_arrive(w);
        if (below(w, 6) == 0)
            client_ask_lease(w, false);
    }
    hand_over(w);
    world_tell(w, &(struct note){.ev.type = EVENT_BOOT_DONE});
}

static void make_timers(struct world *w)
{
    void *mem = calloc(1, heap_bytes(TIMERS));
    if (!mem)
        abort();
    heap_init(&w->timers, mem, TIMERS);
}

static void make_uses(struct world *w)
{
    for (uint32_t k = 0; k < WORLD_USES_MAX; k++) {
        w->uses[k] = calloc(w->swarm.models + w->swarm.clients, sizeof(struct sample_use));
        if (!w->uses[k])
            abort();
    }
}

struct world *world_new(uint64_t seed, struct counts *counts)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->seed = seed;
    w->rng.state = seed * UINT64_C(0x9e3779b97f4a7c15);
    swarm_draw(w);
    swarm_config(w);
    make_timers(w);
    make_uses(w);
    for (uint32_t k = w->swarm.clients; k-- > 0;)
        w->free_clients[w->free_count++] = k;
    struct core_limits limits = {.models_max = w->swarm.models,
                                 .groups_max = WORLD_GROUPS_MAX,
                                 .gates_max = WORLD_GATES_MAX,
                                 .sets_max = JUDGE_SETS_MAX,
                                 .set_members_max = JUDGE_MEMBERS_MAX,
                                 .waiters_max = w->swarm.clients,
                                 .leases_max = w->swarm.clients,
                                 .commands_max = 16};
    if (!w->swarm.calm && below(w, 3) == 0) {
        limits.waiters_max = 1 + (uint32_t)below(w, w->swarm.clients);
        limits.leases_max = 1 + (uint32_t)below(w, w->swarm.clients);
    }
    struct terms terms = {.declared = w->swarm.honest,
                          .calm = w->swarm.calm,
                          .load_ns_max = w->swarm.load_ns,
                          .unload_ns_max = w->swarm.end_ns,
                          .settle_ns_max = 3 * NS_PER_S,
                          .waiters_max = limits.waiters_max,
                          .leases_max = limits.leases_max};
    w->run.counts = counts;
    w->run.carry_out = carry_out;
    w->run.world = w;
    w->run.now_ns = NS_PER_S;
    run_init(&w->run, &limits, &terms);
    if (counts) {
        counts->sched[w->config.sched]++;
        counts->plan[w->config.plan]++;
    }
    return w;
}

void world_free(struct world *w)
{
    run_fini(&w->run);
    for (uint32_t k = 0; k < WORLD_USES_MAX; k++)
        free(w->uses[k]);
    free(w->timers.items);
    free(w);
}

/* What is left of the world after a peace: what the core has been told. */
static void wake_up(struct world *w)
{
    const struct judge *j = w->run.judge;
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        const struct judge_model *m = &j->models[i];
        bool there = m->seat == SEAT_HERE || m->seat == SEAT_ASLEEP;
        world_set_timer(w, TIMER_ENGINE, i, WORLD_NEVER);
        world_set_timer(w, TIMER_EXIT, i, WORLD_NEVER);
        w->engines[i] = (struct engine){.alive = there,
                                        .asleep = m->seat == SEAT_ASLEEP,
                                        .backend = m->policy.backend,
                                        .placement = m->at.placement,
                                        .devices = there ? m->at.devices : 0,
                                        .bytes = m->at.bytes,
                                        .honesty = 1000};
    }
    w->free_count = 0;
    for (uint32_t k = w->swarm.clients; k-- > 0;) {
        w->clients[k] = (struct client){0};
        w->free_clients[w->free_count++] = k;
        world_set_timer(w, TIMER_CLIENT, k, WORLD_NEVER);
    }
    for (uint32_t b = 0; b <= CORE_BACKENDS_MAX; b++) {
        w->backend_lost[b] = false;
        world_set_timer(w, TIMER_BACKEND, b, WORLD_NEVER);
    }
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        w->foreign[d] = 0;
}

/* Peace is hours of the same few things, thousands of steps for the few that a fuzzer chose. */
#define PEACE_CHECK_EVERY 64

static void make_peace(struct world *w)
{
    uint32_t check_every = w->run.check_every;
    w->chaos = false;
    if (w->chosen && check_every)
        w->run.check_every = PEACE_CHECK_EVERY;
    while (w->inbox_count)
        world_deliver(w);
    if (w->run.tape)
        w->peace_from = w->run.tape->count;
    w->run.carry_out = NULL;
    peace_make(&w->run);
    w->run.carry_out = carry_out;
    w->run.check_every = check_every;
    wake_up(w);
}

/* Where nothing can happen any more it ends early. */
static void do_some(struct world *w, uint64_t steps)
{
    uint64_t until = w->run.steps + steps;
    w->chaos = true;
    for (uint64_t acts = 0; w->run.steps < until && acts < steps * 8; acts++) {
        if (w->chosen && w->choices_left == 0)
            break;
        acts_do_one(w);
    }
}

static void shut_down(struct world *w, uint64_t steps)
{
    uint64_t orders = 1 + below(w, 2); /* a second one hurries */
    bool keep = below(w, 4) == 0;
    for (uint64_t k = 0; k < orders; k++) {
        world_tell(w, &(struct note){
                          .ev = {.type = EVENT_DRAIN,
                                 .drain = {.grace_ns = below(w, 20) * NS_PER_S, .keep = keep}}});
        do_some(w, below(w, steps / 16 + 2));
    }
}

struct life {
    struct world *w;
    uint64_t steps;
};

static void live(void *arg)
{
    struct life *l = arg;
    struct world *w = l->w;
    uint64_t rounds = w->chosen ? 1 : 1 + w->seed % 3; /* choices end, and peace is long */
    w->chaos = true;
    boot(w);
    for (uint64_t k = 0; k < rounds; k++) {
        do_some(w, l->steps / rounds);
        if (k + 1 == rounds && w->seed % 4)
            shut_down(w, l->steps);
        make_peace(w);
    }
}

enum rule world_live(struct world *w, uint64_t steps)
{
    struct life l = {w, steps};
    return run_guarded(&w->run, live, &l);
}
