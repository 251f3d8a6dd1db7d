/* What a world is like: rates, limits, and the configurations it lives under. Each world has some
 * faults only, so that they meet in every combination and none hides the others. */
#include <string.h>

#include "world_priv.h"

static const struct {
    uint32_t on, least, most;
    bool calm;
} odds[ODDS__COUNT] =
    {
#define ODDS(name, on, least, most, calm) {on, least, most, calm},
#include "odds.def"
#undef ODDS
},
  acts[ACT__COUNT] = {
#define ACT(name, on, least, most, calm) {on, least, most, calm},
#include "acts.def"
#undef ACT
};

static uint32_t between(struct world *w, uint32_t least, uint32_t most)
{
    return least + (uint32_t)below(w, most - least + 1);
}

static bool percent(struct world *w, uint32_t p)
{
    return below(w, 100) < p;
}

static uint32_t draw_models(struct world *w)
{
    uint64_t dice = below(w, 100);
    if (dice < 40)
        return between(w, 1, 6);
    if (dice < 90)
        return between(w, 7, 20);
    return dice < 97 ? between(w, 21, 60) : between(w, 61, WORLD_MODELS_MAX);
}

static void draw_rates(struct world *w)
{
    struct swarm *s = &w->swarm;
    for (int k = 0; k < ODDS__COUNT; k++)
        if ((!s->calm || odds[k].calm) && percent(w, odds[k].on))
            s->odds[k] = between(w, odds[k].least, odds[k].most);
    for (int k = 0; k < ACT__COUNT; k++)
        if ((!s->calm || acts[k].calm) && percent(w, acts[k].on))
            s->weights[k] = between(w, acts[k].least, acts[k].most);
    if (s->calm)
        s->odds[ODDS_LEASE_BYTES] = 0;
    if (s->honest) /* what does not say how much is used cannot be told from the truth */
        s->odds[ODDS_SAMPLE_MUTE] = s->odds[ODDS_LIES] = s->odds[ODDS_LEAKS] =
            s->odds[ODDS_LEASE_LIES] = 0;
    if (s->declared)
        s->weights[ACT_teach] = 0;
    for (int k = 0; k < ACT__COUNT; k++)
        s->weight_sum += s->weights[k];
}

void swarm_draw(struct world *w)
{
    static const uint64_t hops_ms[] = {5, 50, 300, 1000, 4000};
    static const uint64_t loads_ms[] = {100, 1000, 5000, 20000};
    struct swarm *s = &w->swarm;
    s->calm = percent(w, 25);
    s->declared = s->calm || percent(w, 50);
    s->honest = s->declared && (s->calm || percent(w, 60));
    s->one_size = percent(w, 20);
    s->models = draw_models(w);
    s->devices = percent(w, 60) ? between(w, 1, 2) : between(w, 1, CORE_DEVICES_MAX);
    s->groups = between(w, 1, WORLD_GROUPS_MAX);
    s->gates = between(w, 1, WORLD_GATES_MAX);
    s->backends = percent(w, 40) ? between(w, 1, 3) : 0;
    s->clients = percent(w, 50)   ? between(w, 2, 24)
                 : percent(w, 80) ? between(w, 16, 150)
                                  : between(w, 100, WORLD_CLIENTS_MAX);
    s->hop_ns = hops_ms[below(w, countof(hops_ms))] * NS_PER_MS;
    s->load_ns = loads_ms[below(w, countof(loads_ms))] * NS_PER_MS;
    s->end_ns = s->load_ns / (1 + below(w, 10));
    s->serve_ns = (50 + below(w, 8000)) * NS_PER_MS;
    s->linger_ns = (s->honest ? 1 + below(w, 2500) : 1 + below(w, 8000)) * NS_PER_MS;
    draw_rates(w);
}

/* Sizes */

static uint64_t odd_bytes(struct world *w, uint64_t around)
{
    return around / 2 + below(w, around) + below(w, 1000);
}

static uint64_t draw_bytes(struct world *w, uint32_t mask)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t d = 0; d < w->swarm.devices; d++)
        if ((mask >> d & 1) && w->total[d] < least)
            least = w->total[d];
    if (!mask)
        return below(w, 4) * GIB;
    if (!w->swarm.declared && percent(w, 25))
        return 0;
    if (w->swarm.one_size)
        return least / 3;
    uint64_t dice = below(w, 100);
    if (dice < 70)
        return 1 + below(w, least / 2);
    if (dice < 95 || w->swarm.calm)
        return 1 + below(w, least * 7 / 10);
    return 1 + below(w, least * 11 / 10);
}

static void draw_placement(struct world *w, struct core_placement *p)
{
    uint32_t all = (1U << w->swarm.devices) - 1;
    p->device_mask = percent(w, 50) ? all : (uint32_t)below(w, all + 1);
    uint32_t most = mask_count(p->device_mask);
    if (most > 1 && percent(w, 25))
        p->device_count = between(w, 1, most);
    else
        p->device_count = (uint32_t)below(w, 2);
    if (most == 0)
        p->device_count = 0;
    p->bytes = draw_bytes(w, p->device_mask);
    p->free_bytes_min = percent(w, 20) ? below(w, 2 * GIB) : 0;
}

/* Models */

void swarm_model(struct world *w, uint32_t i)
{
    const struct swarm *s = &w->swarm;
    struct core_model_policy *m = &w->models[i];
    bool calm = s->calm;
    *m = (struct core_model_policy){
        .present = true,
        .movable = !calm && percent(w, 30),
        .yields = !calm && percent(w, 15),
        .suspends = !calm && percent(w, 30),
        .pinned = !calm && percent(w, 6),
        .hash_process = ++w->serial, /* another process, whatever else is the same */
        .slots_max = percent(w, 40) ? 1 : between(w, 1, 8),
        .queue_max = percent(w, 15) ? (uint32_t)below(w, 6) : 1000,
        .priority = (int32_t)below(w, 3) - 1,
        .group = (uint32_t)below(w, s->groups),
        .evict_cost = (uint32_t)below(w, 5),
        .backend = percent(w, 50) ? (uint32_t)below(w, s->backends + 1) : 0,
        .load_retries_max = calm ? 0 : (uint32_t)below(w, 3),
        .ttl_ns = percent(w, 30) ? (1 + below(w, 60)) * NS_PER_S : 0,
        .load_ns_max = s->load_ns * 2 + NS_PER_S,
        .unload_ns_max = s->end_ns * 2 + NS_PER_S,
    };
    m->placement_count = percent(w, 5) ? 0 : percent(w, 70) ? 1 : between(w, 1, 4);
    for (uint32_t k = 0; k < m->placement_count; k++)
        draw_placement(w, &m->placements[k]);
    if (m->suspends)
        m->suspended_bytes = below(w, 600 * MIB);
}

static void draw_matrix(struct world *w)
{
    uint32_t at = 0, sets = between(w, 1, 5);
    for (uint32_t s = 0; s < sets; s++) {
        for (uint32_t i = 0; i < w->config.model_count && at < JUDGE_MEMBERS_MAX; i++)
            if (percent(w, 45))
                w->members[at++] = i;
        w->ends[s] = at;
    }
    w->config.matrix = (struct core_matrix_policy){w->members, w->ends, sets};
}

static void draw_fair(struct world *w)
{
    struct core_fair_policy *f = &w->config.fair;
    for (int class = 0; class < CLASS__COUNT; class ++)
        f->wait_ns_max[class] = percent(w, 80) ? (1 + below(w, 120)) * NS_PER_S : 0;
    f->min_resident_ns = percent(w, 70) ? below(w, 20000) * NS_PER_MS : 0;
    f->serve_ns_max = w->swarm.serve_ns;
}

static void draw_kinds(struct world *w)
{
    w->config.sched = (enum sched_kind)below(w, 3);
    w->config.plan = percent(w, 60) ? PLAN_FIT : percent(w, 60) ? PLAN_GROUP : PLAN_MATRIX;
    w->config.victims = percent(w, 60) ? VICTIMS_COST : (enum victim_kind)below(w, 3);
    if (w->swarm.calm && percent(w, 50)) {
        w->config.sched = SCHEDULER_FAIR;
        w->config.plan = PLAN_FIT;
    }
}

static void draw_gate(struct world *w, struct core_gate_policy *g)
{
    g->limit = percent(w, 50) ? 1 : between(w, 1, 5);
    for (int class = 0; class < CLASS__COUNT; class ++)
        g->wait_ns_max[class] = percent(w, 30) ? (1 + below(w, 60)) * NS_PER_S : 0;
}

void swarm_config(struct world *w)
{
    struct swarm *s = &w->swarm;
    for (uint32_t d = 0; d < s->devices; d++) {
        w->total[d] = percent(w, 20) ? 24 * GIB : odd_bytes(w, (4 + below(w, 40)) * GIB);
        w->devices[d] = (struct core_device_policy){
            .reserve_bytes = percent(w, 50) ? below(w, GIB) : 0,
            .limit_permille = percent(w, 50) ? 1000 : between(w, 850, 1000),
            .stale_ns = percent(w, 30) ? (1 + below(w, 10)) * NS_PER_S : 0,
        };
    }
    w->config = (struct core_config){.models = w->models,
                                     .model_count = s->models,
                                     .groups = w->groups,
                                     .group_count = s->groups,
                                     .devices = w->devices,
                                     .device_count = s->devices,
                                     .gates = w->gates,
                                     .gate_count = s->gates,
                                     .suspend_bytes_max = below(w, 64) * GIB};
    for (uint32_t i = 0; i < s->models; i++)
        swarm_model(w, i);
    for (uint32_t g = 0; g < s->groups; g++)
        w->groups[g] = (struct core_group_policy){
            .swap = percent(w, 60), .exclusive = percent(w, 40), .persistent = percent(w, 20)};
    for (uint32_t g = 0; g < s->gates; g++)
        draw_gate(w, &w->gates[g]);
    draw_matrix(w);
    draw_fair(w);
    draw_kinds(w);
}

/* A change of one thing. */
void swarm_change_config(struct world *w)
{
    uint32_t i = (uint32_t)below(w, w->config.model_count);
    struct core_model_policy *m = &w->models[i];
    switch (below(w, 14)) {
    case 0:
    case 1:
        m->present = !m->present;
        break;
    case 2:
        m->hash_process++;
        break;
    case 3:
        swarm_model(w, i);
        break;
    case 4:
        draw_kinds(w);
        break;
    case 5:
        draw_gate(w, &w->gates[below(w, w->config.gate_count)]);
        break;
    case 6:
        w->groups[below(w, w->swarm.groups)].exclusive ^= true;
        break;
    case 7:
        draw_matrix(w);
        break;
    case 8:
        draw_fair(w);
        break;
    case 9:
        m->pinned = !w->swarm.calm && percent(w, 30);
        break;
    case 10:
        w->devices[below(w, w->swarm.devices)].limit_permille = between(w, 700, 1000);
        break;
    case 11:
        m->slots_max = between(w, 1, 8);
        m->queue_max = (uint32_t)below(w, 30);
        break;
    case 12:
        for (uint32_t k = 0; k < m->placement_count; k++)
            m->placements[k].bytes = draw_bytes(w, m->placements[k].device_mask);
        m->ttl_ns = percent(w, 50) ? (1 + below(w, 20)) * NS_PER_S : 0;
        break;
    case 13:
        w->config.suspend_bytes_max = below(w, 64) * GIB;
        break;
    }
}

void swarm_wishes(struct world *w)
{
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        const struct core_model_policy *m = &w->models[i];
        w->wishes[i] = (struct core_wish){
            .model = i, .what = (enum wish)below(w, 3), .placement = CORE_SLOT_NONE};
        if (w->wishes[i].what == WISH_LOADED && m->placement_count && percent(w, 40))
            w->wishes[i].placement = (uint32_t)below(w, m->placement_count);
    }
}
