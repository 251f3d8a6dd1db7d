#include <errno.h>

#include "lib/broker/broker.h"
#include "lib/clock.h"

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
    work_sample_now(b);
    broker_unlock(b);
}
