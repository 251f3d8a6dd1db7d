#include <errno.h>

#include "lib/broker/broker.h"
#include "lib/clock.h"

static enum wharf_class class_of_core(enum class c)
{
    return c == CLASS_FOREGROUND ? WHARF_FOREGROUND
           : c == CLASS_NORMAL   ? WHARF_NORMAL
                                 : WHARF_BACKGROUND;
}

int wharf_broker_view_model(struct wharf_broker *b, const char *model, struct wharf_model_view *ret)
{
    uint32_t slot = names_model(&b->names, model);
    struct core_model_view v;
    if (slot == CORE_SLOT_NONE)
        return -ENOENT;
    broker_lock(b);
    core_view_model(b->core, slot, &v);
    broker_unlock(b);
    bool placed = v.placement != CORE_SLOT_NONE;
    const char *device =
        placed ? names_device_of(&b->names,
                                 b->names.policies[slot].placements[v.placement].device_mask)
               : NULL;
    *ret = (struct wharf_model_view){.state = model_state_text(v.state),
                                     .why = reason_text(v.reason),
                                     .device = device,
                                     .on_cpu = placed && !device,
                                     .running = v.running,
                                     .waiting = v.waiting,
                                     .bytes = v.charged_bytes,
                                     .idle_ns =
                                         v.last_used.ns ? clock_ns() - v.last_used.ns : UINT64_MAX};
    return 0;
}

int wharf_broker_view_device(struct wharf_broker *b, const char *device,
                             struct wharf_device_view *ret)
{
    uint32_t slot = names_device(&b->names, device);
    struct core_device_view v;
    if (slot == CORE_SLOT_NONE)
        return -ENOENT;
    broker_lock(b);
    core_view_device(b->core, slot, &v);
    broker_unlock(b);
    *ret = (struct wharf_device_view){
        .total_bytes = v.total_bytes,
        .used_bytes = v.sampled.ns ? v.used_bytes : v.own_bytes + v.leased_bytes + v.settling_bytes,
        .own_bytes = v.own_bytes,
        .leased_bytes = v.leased_bytes,
        .foreign_bytes = v.foreign_bytes,
        .settling_bytes = v.settling_bytes,
        .free_bytes = v.room_bytes};
    return 0;
}

const char *wharf_broker_mode(struct wharf_broker *b)
{
    broker_lock(b);
    uint32_t mode = b->mode;
    broker_unlock(b);
    return mode == CORE_SLOT_NONE ? NULL : b->names.modes[mode].name;
}

void wharf_broker_sample(struct wharf_broker *b)
{
    broker_lock(b);
    for (uint32_t d = 0; d < b->names.config.device_count; d++)
        work_sample(b, d);
    broker_unlock(b);
}

/* Each has had one more that began after now. */
int wharf_broker_refresh(struct wharf_broker *b, int64_t timeout_ns)
{
    uint64_t end_ns = clock_end_ns(clock_ns(), timeout_ns), wanted[CORE_DEVICES_MAX];
    uint32_t count = b->ops.sample ? b->names.config.device_count : 0;
    bool in_time = true;
    broker_lock(b);
    for (uint32_t d = 0; d < count; d++) {
        wanted[d] = b->samples[d] + (b->sampling >> d & 1 ? 2 : 1);
        work_sample(b, d);
    }
    for (uint32_t d = 0; d < count; d++)
        while (b->samples[d] < wanted[d] && in_time)
            in_time = clock_cond_wait(&b->sampled, &b->lock, end_ns);
    broker_unlock(b);
    return in_time ? 0 : -ETIMEDOUT;
}

static struct wharf_lease_view lease_view(const struct wharf_broker *b,
                                          const struct core_lease_view *v)
{
    return (struct wharf_lease_view){.id = broker_id(v->id, true),
                                     .granted = v->granted,
                                     .settling = v->ended,
                                     .wharf_class = class_of_core(v->ask.class),
                                     .bytes = v->ask.bytes,
                                     .device = names_device_of(&b->names, v->devices),
                                     .since_ns = v->since.ns,
                                     .granted_ns = v->granted || v->ended ? v->granted_at.ns : 0};
}

uint32_t wharf_broker_view_leases(struct wharf_broker *b, struct wharf_lease_view *ret,
                                  uint32_t count)
{
    struct core_lease_view v;
    struct id cursor = {0};
    uint32_t n = 0;
    broker_lock(b);
    for (; core_view_next_lease(b->core, &cursor, &v); n++)
        if (n < count)
            ret[n] = lease_view(b, &v);
    broker_unlock(b);
    return n;
}
