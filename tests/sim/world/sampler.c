/* What the devices say of themselves: late, in part, or not at all. */
#include <inttypes.h>

#include "world_priv.h"

static uint64_t lease_bytes(const struct world *w, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < w->swarm.clients; k++)
        if (w->clients[k].used && (w->clients[k].lease_devices >> device & 1))
            sum += w->clients[k].lease_bytes;
    return sum;
}

/* Bytes that are really in use, by wharf's models and leases. */
uint64_t sampler_used(const struct world *w, uint32_t device)
{
    uint64_t sum = w->run.judge->leases_inside ? lease_bytes(w, device) : 0;
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        sum += engine_bytes(w, i, device);
        if (engine_lingers(w, i, device))
            sum += w->engines[i].linger_bytes;
    }
    return sum;
}

static uint32_t take_uses(struct world *w)
{
    for (uint32_t k = 0; k < WORLD_USES_MAX; k++)
        if (!w->uses_taken[k]) {
            w->uses_taken[k] = true;
            return k;
        }
    return CORE_SLOT_NONE;
}

/* For its whole life, and drawn from nothing: as if it were somebody else's container. */
static bool is_unmeasured(const struct world *w, uint32_t model)
{
    return model * 263 % 1000 < w->swarm.odds[ODDS_UNMEASURED];
}

static void list_uses(struct world *w, uint32_t device, struct sample_use *uses, uint32_t *count)
{
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        uint64_t bytes = engine_bytes(w, i, device);
        if (w->engines[i].linger_seen && engine_lingers(w, i, device))
            bytes += w->engines[i].linger_bytes;
        if (bytes)
            uses[(*count)++] = (struct sample_use){
                .model = i, .bytes = is_unmeasured(w, i) ? SAMPLE_UNMEASURED : bytes};
    }
    for (uint32_t k = 0; k < w->swarm.clients && w->run.judge->leases_inside; k++) {
        const struct client *c = &w->clients[k];
        if (!c->used || !(c->lease_devices >> device & 1) || c->tag % 2)
            continue; /* of half the leases nobody knows the processes */
        const struct party *p = judge_party(w->run.judge, c->tag);
        if (p)
            uses[(*count)++] = (struct sample_use){CORE_SLOT_NONE, p->id, c->lease_bytes};
    }
}

void sampler_take(struct world *w, uint32_t device)
{
    uint64_t total = w->total[device];
    uint32_t at;
    if (!w->run.judge->found[device] || chance(w, ODDS_SAMPLE_LOST) ||
        (at = take_uses(w)) == CORE_SLOT_NONE)
        return;
    struct letter *l = world_post(w, EVENT_DEVICE_SAMPLE);
    struct event *ev = &l->note.ev;
    uint64_t used = sampler_used(w, device) + w->foreign[device];
    l->uses = at;
    ev->sample.device = device;
    ev->sample.taken.ns = w->run.now_ns;
    ev->sample.used_bytes = used < total ? used : total;
    ev->sample.used_unknown = chance(w, ODDS_SAMPLE_MUTE);
    ev->sample.uses_unknown = chance(w, ODDS_SAMPLE_BLIND);
    ev->sample.uses = w->uses[at];
    if (!ev->sample.uses_unknown)
        list_uses(w, device, w->uses[at], &ev->sample.use_count);
}

/* Where nobody lies, what the core has handed out fits in fact, too. Memory that comes free late is
 * waited for as long as the ledger says it is. */
void sampler_check_truth(struct world *w, uint32_t devices)
{
    enum event_type told = w->run.judge->event->type;
    if (!w->swarm.honest || w->run.judge->guessed || told == EVENT_LEASE_RESTORED ||
        told == EVENT_MODEL_ADOPTED)
        return;
    for (uint32_t d = 0; d < w->swarm.devices; d++) {
        uint64_t used = sampler_used(w, d);
        if ((devices >> d & 1) && used > w->total[d])
            judge_break(w->run.judge, RULE_TRUTH,
                        "device %u: %" PRIu64 " of %" PRIu64 " bytes are in use", d, used,
                        w->total[d]);
    }
}
