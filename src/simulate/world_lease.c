#include "simulate/world.h"

/* What a holder that was asked to give its memory back is given to do so; it does at once. */
#define GRACE_NS (30 * NS_PER_S)
#define TAG_LEASE (UINT64_C(1) << 63)

bool world_is_lease(uint64_t tag)
{
    return tag & TAG_LEASE;
}

static uint32_t number_of(const struct world *w, uint64_t tag)
{
    uint32_t lease = (uint32_t)(tag & ~TAG_LEASE);
    must(world_is_lease(tag) && lease < w->work->lease_count);
    return lease;
}

static struct sim_lease_life *life_of(struct world *w, uint32_t lease)
{
    return w->history ? &w->history->leases[lease] : NULL;
}

void world_lease_asks(struct world *w, uint32_t lease)
{
    const struct work_lease *l = &w->work->leases[lease];
    struct sim_lease_life *life = life_of(w, lease);
    struct core_lease_ask ask = {
        .class = l->class,
        .device_mask = (1U << w->device_count) - 1,
        .device_count = l->device_count,
        .bytes = l->bytes,
        .wait_ns_max = UINT64_MAX,
        .grace_ns = GRACE_NS,
        .revocable = l->revocable,
    };
    if (life)
        life->asked_ns = w->now_ns;
    struct event ev = {.type = EVENT_LEASE_ASKED, .lease = {.tag = TAG_LEASE | lease, .ask = &ask}};
    world_step(w, &ev);
}

static void hold(struct world *w, uint32_t lease, uint32_t devices)
{
    struct world_lease *own = &w->leases[lease];
    for (uint32_t d = 0; d < w->device_count; d++) {
        if (own->devices >> d & 1)
            w->devices[d].used_bytes -= w->work->leases[lease].bytes;
        if (devices >> d & 1)
            w->devices[d].used_bytes += w->work->leases[lease].bytes;
        w->result->overcommits += (devices & ~own->devices) >> d & 1 &&
                                  w->devices[d].used_bytes > w->devices[d].total_bytes;
    }
    own->devices = devices;
}

void world_lease_waits(struct world *w, const struct effect *e)
{
    w->leases[number_of(w, e->tag)].id = e->waiter;
}

void world_lease_granted(struct world *w, const struct effect *e)
{
    uint32_t lease = number_of(w, e->tag);
    struct sim_lease_life *life = life_of(w, lease);
    w->leases[lease].id = e->waiter;
    hold(w, lease, e->devices);
    if (life) {
        life->granted_ns = w->now_ns;
        life->devices = e->devices;
    }
    agenda_put(&w->agenda, (struct agenda_item){.at_ns = w->now_ns + w->work->leases[lease].hold_ns,
                                                .kind = WORLD_LEASE_OVER,
                                                .index = lease});
}

static void is_over(struct world *w, uint32_t lease, const char *how)
{
    struct sim_lease_life *life = life_of(w, lease);
    hold(w, lease, 0);
    w->leases[lease].over = true;
    if (life) {
        life->ended_ns = w->now_ns;
        life->how = how;
    }
}

void world_lease_over(struct world *w, uint32_t lease)
{
    struct world_lease *l = &w->leases[lease];
    if (l->over)
        return; /* it was asked back before its time */
    is_over(w, lease, l->revoked ? "revoked" : "released");
    struct event ev = {.type = EVENT_LEASE_ENDED, .lease_id.lease = l->id};
    world_step(w, &ev);
}

void world_lease_revoked(struct world *w, const struct effect *e)
{
    uint32_t lease = number_of(w, e->tag);
    w->leases[lease].revoked = true;
    agenda_put(&w->agenda,
               (struct agenda_item){.at_ns = w->now_ns, .kind = WORLD_LEASE_OVER, .index = lease});
}

void world_lease_ended(struct world *w, const struct effect *e)
{
    /* Its holder has said so already: a lease here has no time of its own. */
    must(w->leases[number_of(w, e->tag)].over);
}

void world_lease_refused(struct world *w, uint64_t tag)
{
    uint32_t lease = number_of(w, tag);
    struct sim_lease_life *life = life_of(w, lease);
    w->leases[lease].over = true;
    if (life) {
        life->ended_ns = w->now_ns;
        life->how = "refused";
    }
}

uint32_t world_lease_uses(const struct world *w, uint32_t device, struct sample_use *uses)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->work->lease_count; i++)
        if (w->leases[i].devices >> device & 1)
            uses[count++] = (struct sample_use){.model = CORE_SLOT_NONE,
                                                .lease = w->leases[i].id,
                                                .bytes = w->work->leases[i].bytes};
    return count;
}
