#include "lib/broker/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CPU "cpu"
#define LOAD_NS (30 * NS_PER_S)
#define UNLOAD_NS (5 * NS_PER_S)

static uint32_t find(char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; name && i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return CORE_SLOT_NONE;
}

uint32_t names_device(const struct names *n, const char *name)
{
    return find(n->devices, n->config.device_count, name);
}

uint32_t names_model(const struct names *n, const char *name)
{
    return find(n->models, n->config.model_count, name);
}

uint32_t names_gate(const struct names *n, const char *name)
{
    return find(n->gates, n->config.gate_count, name);
}

uint32_t names_mode(const struct names *n, const char *name)
{
    for (uint32_t i = 0; name && i < n->mode_count; i++)
        if (strcmp(n->modes[i].name, name) == 0)
            return i;
    return CORE_SLOT_NONE;
}

uint32_t names_placement(const struct names *n, uint32_t model, const char *device)
{
    const struct core_model_policy *m = &n->policies[model];
    uint32_t d = names_device(n, device), mask = d == CORE_SLOT_NONE ? 0 : 1U << d;
    if (d == CORE_SLOT_NONE && strcmp(device, CPU) != 0)
        return CORE_SLOT_NONE;
    for (uint32_t i = 0; i < m->placement_count; i++)
        if (m->placements[i].device_mask == mask)
            return i;
    return CORE_SLOT_NONE;
}

const char *names_device_of(const struct names *n, uint32_t devices)
{
    for (uint32_t d = 0; d < n->config.device_count; d++)
        if (devices >> d & 1)
            return n->devices[d];
    return NULL;
}

const char *names_placement_device(const struct names *n, uint32_t model, uint32_t placement)
{
    const struct core_model_policy *m = &n->policies[model];
    const char *device = placement < m->placement_count
                             ? names_device_of(n, m->placements[placement].device_mask)
                             : NULL;
    return device ? device : CPU;
}

/* A name that is new among the first count. */
static int put_name(char **names, uint32_t *count, const char *name)
{
    if (!name || !*name || find(names, *count, name) != CORE_SLOT_NONE)
        return -EINVAL;
    names[*count] = strdup(name);
    if (!names[*count])
        return -ENOMEM;
    ++*count;
    return 0;
}

static int put_devices(struct names *n, const struct wharf_broker_options *o)
{
    if (o->device_count > CORE_DEVICES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < o->device_count; i++) {
        const struct wharf_device *d = &o->devices[i];
        if (d->limit_permille > 1000 || (d->name && strcmp(d->name, CPU) == 0))
            return -EINVAL;
        n->device_bytes[i] = d->total_bytes;
        n->device_policies[i] = (struct core_device_policy){
            .reserve_bytes = d->reserve_bytes,
            .limit_permille = d->limit_permille ? d->limit_permille : 1000};
        int rc = put_name(n->devices, &n->config.device_count, d->name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int put_placements(struct names *n, uint32_t slot, const struct wharf_model *m)
{
    struct core_model_policy *p = &n->policies[slot];
    if (m->placement_count > CORE_PLACEMENTS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < m->placement_count; i++) {
        const struct wharf_placement *from = &m->placements[i];
        uint32_t d = names_device(n, from->device);
        if (!from->device || (d == CORE_SLOT_NONE && strcmp(from->device, CPU) != 0) ||
            names_placement(n, slot, from->device) != CORE_SLOT_NONE)
            return -EINVAL;
        p->placements[p->placement_count++] =
            (struct core_placement){.device_mask = d == CORE_SLOT_NONE ? 0 : 1U << d,
                                    .bytes = d == CORE_SLOT_NONE ? 0 : from->bytes,
                                    .free_bytes_min = from->free_bytes_min};
    }
    return 0;
}

static int put_models(struct names *n, const struct wharf_broker_options *o)
{
    for (uint32_t i = 0; i < o->model_count; i++) {
        const struct wharf_model *m = &o->models[i];
        n->policies[i] = (struct core_model_policy){
            .present = true,
            .movable = m->movable && o->ops.move,
            .yields = m->yields && m->movable && o->ops.move,
            .pinned = m->pinned,
            .hash_process = 1,
            .slots_max = m->slots_max ? m->slots_max : 1,
            .queue_max = UINT32_MAX,
            .load_retries_max = m->load_retries_max,
            .ttl_ns = m->ttl_ns,
            .load_ns_max = m->load_ns_max ? m->load_ns_max : LOAD_NS,
            .unload_ns_max = m->unload_ns_max ? m->unload_ns_max : UNLOAD_NS};
        int rc = put_placements(n, i, m);
        if (rc == 0)
            rc = put_name(n->models, &n->config.model_count, m->name);
        if (rc < 0)
            return rc;
    }
    return o->model_count && (!o->ops.load || !o->ops.unload) ? -EINVAL : 0;
}

static int put_gates(struct names *n, const struct wharf_broker_options *o)
{
    for (uint32_t i = 0; i < o->gate_count; i++) {
        n->gate_policies[i].limit = o->gates[i].limit;
        int rc = o->gates[i].limit ? put_name(n->gates, &n->config.gate_count, o->gates[i].name)
                                   : -EINVAL;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int put_wish(const struct names *n, struct core_wish *to, const struct wharf_wish *from)
{
    *to = (struct core_wish){.model = names_model(n, from->model),
                             .what = from->unloaded ? WISH_UNLOADED : WISH_LOADED,
                             .placement = CORE_SLOT_NONE};
    if (to->model == CORE_SLOT_NONE || (from->unloaded && from->device))
        return -EINVAL;
    if (from->device) {
        to->placement = names_placement(n, to->model, from->device);
        return to->placement == CORE_SLOT_NONE ? -EINVAL : 0;
    }
    return 0;
}

static int put_modes(struct names *n, const struct wharf_broker_options *o)
{
    for (uint32_t i = 0; i < o->mode_count; i++) {
        const struct wharf_mode *from = &o->modes[i];
        struct named_mode *to = &n->modes[i];
        if (!from->name || names_mode(n, from->name) != CORE_SLOT_NONE)
            return -EINVAL;
        to->name = strdup(from->name);
        to->wishes = calloc(from->wish_count + 1, sizeof(*to->wishes));
        n->mode_count++;
        if (!to->name || !to->wishes)
            return -ENOMEM;
        for (; to->wish_count < from->wish_count; to->wish_count++) {
            int rc = put_wish(n, &to->wishes[to->wish_count], &from->wishes[to->wish_count]);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int names_init(struct names *n, const struct wharf_broker_options *o)
{
    *n =
        (struct names){.models = calloc(o->model_count + 1, sizeof(char *)),
                       .gates = calloc(o->gate_count + 1, sizeof(char *)),
                       .modes = calloc(o->mode_count + 1, sizeof(struct named_mode)),
                       .policies = calloc(o->model_count + 1, sizeof(struct core_model_policy)),
                       .gate_policies = calloc(o->gate_count + 1, sizeof(struct core_gate_policy))};
    if (!n->models || !n->gates || !n->modes || !n->policies || !n->gate_policies)
        return -ENOMEM;
    int (*const steps[])(struct names *, const struct wharf_broker_options *) = {
        put_devices, put_models, put_gates, put_modes};
    for (size_t i = 0; i < countof(steps); i++) {
        int rc = steps[i](n, o);
        if (rc < 0)
            return rc;
    }
    n->config.sched = SCHEDULER_FAIR;
    n->config.plan = PLAN_FIT;
    n->config.settle_ns_max = o->ops.sample ? 0 : 1; /* nobody can say when it is free */
    n->config.models = n->policies;
    n->config.groups = &n->group;
    n->config.group_count = 1;
    n->config.devices = n->device_policies;
    n->config.gates = n->gate_policies;
    return 0;
}

static void free_all(char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(names[i]);
}

void names_fini(struct names *n)
{
    free_all(n->devices, n->config.device_count);
    if (n->models)
        free_all(n->models, n->config.model_count);
    if (n->gates)
        free_all(n->gates, n->config.gate_count);
    for (uint32_t i = 0; i < n->mode_count; i++) {
        free(n->modes[i].name);
        free(n->modes[i].wishes);
    }
    free(n->models);
    free(n->gates);
    free(n->modes);
    free(n->policies);
    free(n->gate_policies);
}
