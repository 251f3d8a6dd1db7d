/* Clients: who asks, waits, is served, and leaves at any point. */
#include "world_priv.h"

static uint32_t slot_of(uint64_t tag)
{
    return (uint32_t)(tag % WORLD_CLIENTS_MAX);
}

static struct client *client_of(struct world *w, uint64_t tag)
{
    struct client *c = &w->clients[slot_of(tag)];
    return c->used && c->tag == tag ? c : NULL;
}

static struct client *take(struct world *w)
{
    if (w->free_count == 0)
        return NULL;
    uint32_t slot = w->free_clients[--w->free_count];
    struct client *c = &w->clients[slot];
    *c = (struct client){.used = true, .tag = ++w->serial * WORLD_CLIENTS_MAX + slot};
    return c;
}

static void release(struct world *w, struct client *c)
{
    uint32_t slot = slot_of(c->tag);
    c->used = c->inside = false;
    c->lease_devices = 0;
    w->free_clients[w->free_count++] = slot;
    world_set_timer(w, TIMER_CLIENT, slot, WORLD_NEVER);
}

uint32_t client_any(struct world *w)
{
    uint32_t slot = (uint32_t)below(w, w->swarm.clients);
    return w->clients[slot].used ? slot : CORE_SLOT_NONE;
}

/* Asking */

static uint64_t draw_patience(struct world *w)
{
    if (chance(w, ODDS_NO_PATIENCE))
        return 0;
    return chance(w, ODDS_PATIENCE) ? (1 + below(w, 60000)) * NS_PER_MS : UINT64_MAX;
}

/* Some models are asked for more often than others. */
static uint32_t draw_model(struct world *w)
{
    uint32_t n = w->swarm.models;
    if (below(w, 200) == 0)
        return n + (uint32_t)below(w, 2); /* there is no such model */
    return (uint32_t)below(w, 1 + below(w, n));
}

static uint64_t draw_lease(struct world *w)
{
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t slot = client_any(w);
        if (slot != CORE_SLOT_NONE && w->clients[slot].lease && w->clients[slot].inside)
            return w->clients[slot].tag;
    }
    return 0;
}

void client_arrive(struct world *w)
{
    struct client *c = take(w);
    if (!c)
        return;
    struct note n = {.ev = {.type = EVENT_REQUEST_ARRIVED,
                            .request = {.tag = c->tag,
                                        .model = draw_model(w),
                                        .class = (enum class)below(w, CLASS__COUNT),
                                        .wait_ns_max = draw_patience(w),
                                        .key = (uint32_t)below(w, 5)}}};
    if (chance(w, ODDS_UNDER_LEASE))
        n.lease_tag = draw_lease(w);
    world_tell(w, &n);
}

void client_hand_over(struct world *w, uint32_t model, bool running)
{
    struct client *c = take(w);
    if (!c)
        return;
    uint64_t ago = below(w, 60000) * NS_PER_MS, now = w->run.now_ns;
    struct note n = {.ev = {.type = EVENT_REQUEST_ARRIVED,
                            .request = {.tag = c->tag,
                                        .model = model,
                                        .class = (enum class)below(w, CLASS__COUNT),
                                        .wait_ns_max = draw_patience(w),
                                        .since = {now > ago ? now - ago : 0},
                                        .running = running}}};
    world_tell(w, &n);
}

static void draw_gates(struct world *w, struct core_lease_ask *ask)
{
    uint32_t most = below(w, 3) ? 1 : CORE_LEASE_GATES_MAX;
    for (uint32_t g = 0; g < w->swarm.gates && ask->gate_count < most; g++)
        if (below(w, 3) == 0)
            ask->gates[ask->gate_count++] = g;
    if (ask->gate_count == 0)
        ask->gates[ask->gate_count++] = (uint32_t)below(w, w->swarm.gates);
}

static void draw_ask(struct world *w, struct core_lease_ask *ask)
{
    *ask = (struct core_lease_ask){
        .class = (enum class)below(w, CLASS__COUNT),
        .wait_ns_max = draw_patience(w),
        .ttl_ns = chance(w, ODDS_LEASE_TTL) ? (1 + below(w, 30000)) * NS_PER_MS : 0,
        .run_ns_max = below(w, 3) ? 0 : (1 + below(w, 60)) * NS_PER_S,
        .grace_ns = below(w, 10000) * NS_PER_MS,
        .revocable = chance(w, ODDS_LEASE_REVOCABLE)};
    if (chance(w, ODDS_LEASE_BYTES)) {
        ask->device_mask = 1 + (uint32_t)below(w, (1U << w->swarm.devices) - 1);
        uint32_t most = mask_count(ask->device_mask);
        ask->device_count = below(w, 3) ? (uint32_t)below(w, 2) : 1 + (uint32_t)below(w, most);
        ask->bytes = 1 + below(w, w->total[0] / (1 + below(w, 4)));
    }
    if (!ask->bytes || chance(w, ODDS_LEASE_GATES))
        draw_gates(w, ask);
}

void client_ask_lease(struct world *w, bool restored)
{
    struct client *c = take(w);
    if (!c)
        return;
    c->lease = true;
    c->lax = chance(w, ODDS_LEASE_LAX);
    struct note n = {
        .ev = {.type = restored ? EVENT_LEASE_RESTORED : EVENT_LEASE_ASKED, .lease.tag = c->tag}};
    draw_ask(w, &n.ask);
    if (restored) {
        uint32_t want = n.ask.device_count ? n.ask.device_count : 1;
        for (uint32_t d = 0; d < w->swarm.devices && n.ask.bytes && want; d++)
            if (n.ask.device_mask >> d & 1) {
                n.ev.lease.devices |= 1U << d;
                want--;
            }
        n.ev.lease.grace_ns = (1 + below(w, 30)) * NS_PER_S;
    }
    c->renew_ns = c->lax ? 0 : restored ? n.ev.lease.grace_ns / 2 : n.ask.ttl_ns / 2;
    c->lease_bytes = n.ask.bytes;
    world_tell(w, &n);
}

/* Leaving */

static void post_end(struct world *w, struct client *c, enum event_type type, enum ended how)
{
    struct letter *l = world_post(w, type);
    l->note.tag = c->tag;
    /* The id as it is known now: what is told if the tag means nobody any more. */
    const struct party *p = judge_party(w->run.judge, c->tag);
    if (type == EVENT_LEASE_ENDED || type == EVENT_LEASE_RENEWED) {
        l->note.ev.lease_id.lease = p ? p->id : (struct id){0};
    } else {
        l->note.ev.ended.waiter = p ? p->id : (struct id){0};
        l->note.ev.ended.how = how;
    }
}

static void end(struct world *w, struct client *c, enum ended how)
{
    if (c->leaving)
        return;
    c->leaving = true;
    post_end(w, c, c->lease ? EVENT_LEASE_ENDED : EVENT_REQUEST_ENDED, how);
}

void client_leave(struct world *w, uint32_t slot)
{
    end(w, &w->clients[slot], ENDED_GONE);
}

void client_bounce(struct world *w, uint32_t slot)
{
    struct client *c = &w->clients[slot];
    if (c->lease || !c->inside || c->bounced || c->leaving)
        return;
    c->leaving = c->bounced = true;
    post_end(w, c, EVENT_REQUEST_BOUNCED, ENDED_CUT);
}

void client_cut_all(struct world *w, uint32_t model)
{
    if (w->run.judge->models[model].running == 0)
        return;
    for (uint32_t slot = 0; slot < w->swarm.clients; slot++) {
        struct client *c = &w->clients[slot];
        if (!c->used || c->lease || !c->inside || c->leaving)
            continue;
        const struct party *p = judge_party(w->run.judge, c->tag);
        if (!p || p->model != model)
            continue;
        if (!c->bounced && below(w, 2))
            client_bounce(w, slot);
        else
            end(w, c, ENDED_CUT);
    }
}

/* Its service ends, or its lease is to be renewed. */
void client_due(struct world *w, uint32_t slot)
{
    struct client *c = &w->clients[slot];
    if (!c->used || !c->inside || c->leaving)
        return;
    if (w->run.now_ns >= c->end_ns) {
        end(w, c, chance(w, ODDS_CUT) ? ENDED_CUT : ENDED_DONE);
        return;
    }
    if (c->lease && c->renew_ns) {
        post_end(w, c, EVENT_LEASE_RENEWED, ENDED_DONE);
        uint64_t next = w->run.now_ns + c->renew_ns;
        world_set_timer(w, TIMER_CLIENT, slot, next < c->end_ns ? next : c->end_ns);
    }
}

/* What the core says */

static void granted(struct world *w, struct client *c, const struct effect *e)
{
    uint32_t slot = slot_of(c->tag);
    c->inside = true;
    c->end_ns = w->run.now_ns + 1 + below(w, c->lease ? w->swarm.serve_ns * 3 : w->swarm.serve_ns);
    if (c->lease && c->lax && below(w, 2))
        c->end_ns = WORLD_NEVER - 1;
    if (c->lease && e->devices) {
        c->lease_devices = e->devices;
        if (chance(w, ODDS_LEASE_LIES))
            c->lease_bytes = below(w, c->lease_bytes + c->lease_bytes / 2 + 1);
    }
    uint64_t next = w->run.now_ns + c->renew_ns;
    world_set_timer(w, TIMER_CLIENT, slot, c->renew_ns && next < c->end_ns ? next : c->end_ns);
    if (chance(w, ODDS_GONE_AT_GRANT))
        end(w, c, ENDED_GONE);
    else if (!c->lease && chance(w, ODDS_BOUNCES))
        client_bounce(w, slot);
    if (!c->lease && chance(w, ODDS_LEAKS))
        engine_grow(w, e->model, below(w, 200 * MIB));
}

void client_effect(struct world *w, const struct effect *e)
{
    struct client *c = client_of(w, e->tag);
    if (!c)
        return; /* the judge has said what there is to say */
    switch ((int)e->type) {
    case EFFECT_GRANT:
    case EFFECT_LEASE_GRANT:
        granted(w, c, e);
        break;
    case EFFECT_REFUSE:
    case EFFECT_LEASE_END:
        release(w, c);
        break;
    case EFFECT_LEASE_REVOKE:
        if (!c->lax)
            world_set_timer(w, TIMER_CLIENT, slot_of(c->tag), w->run.now_ns + 1);
        if (!c->lax)
            c->end_ns = w->run.now_ns;
        break;
    default:
        break;
    }
}

bool client_told(struct world *w, struct letter *l)
{
    struct client *c = client_of(w, l->note.tag);
    bool again = l->note.ev.type == EVENT_LEASE_RENEWED || l->note.ev.type == EVENT_REQUEST_QUIET;
    if (!c) {
        l->note.tag = 0; /* it has been refused meanwhile: the id means nobody */
        return chance(w, ODDS_STALE);
    }
    if (again)
        return true;
    c->leaving = false;
    if (l->note.ev.type == EVENT_REQUEST_BOUNCED) {
        c->inside = false;
        world_set_timer(w, TIMER_CLIENT, slot_of(c->tag), WORLD_NEVER);
    } else {
        release(w, c);
    }
    return true;
}
