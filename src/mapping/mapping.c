#include "mapping/mapping.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* A reading comes this many times before one is too old; and never within this time, since it may
 * take long to read a device that is busy. */
#define SAMPLES_UNTIL_STALE 5
#define STALE_NS_MIN (3 * NS_PER_S)
#define ALL_DEVICES ((1U << CORE_DEVICES_MAX) - 1)

static uint32_t slot_of(const uint32_t *slots, uint32_t model)
{
    return slots ? slots[model] : model;
}

void mapping_find_devices(const struct config *c, struct mapping_devices *ret)
{
    *ret = (struct mapping_devices){.count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count
                                                                             : CORE_DEVICES_MAX};
    for (uint32_t i = 0; i < ret->count; i++)
        ret->items[i] = (struct mapping_device){.name = c->gpus[i].name,
                                                .uuid = c->gpus[i].uuid ? c->gpus[i].uuid : "",
                                                .present = c->gpus[i].found,
                                                .reserve_bytes = c->gpus[i].reserve_bytes,
                                                .limit_permille = c->gpus[i].limit_permille,
                                                .sample_ns = c->gpus[i].sample_ns};
}

/* By its number, name or UUID; CORE_SLOT_NONE: there is none. */
static uint32_t find_device(const struct mapping_devices *devices, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    bool number = digits && digits < 10 && text[digits] == '\0';
    if (number && strtoul(text, NULL, 10) < devices->count)
        return (uint32_t)strtoul(text, NULL, 10);
    for (uint32_t i = 0; *text && i < devices->count; i++)
        if (strcmp(devices->items[i].name, text) == 0 || strcmp(devices->items[i].uuid, text) == 0)
            return i;
    return CORE_SLOT_NONE;
}

/* Bit i for each device that the model may sit on; 0: none of those that it may is known. */
static uint32_t mask_of(const struct mapping_devices *devices, const struct config_placement *p)
{
    uint32_t mask = p->gpus.count ? 0 : (1U << devices->count) - 1;
    for (uint32_t i = 0; i < p->gpus.count; i++) {
        uint32_t device = find_device(devices, p->gpus.items[i]);
        if (device != CORE_SLOT_NONE)
            mask |= 1U << device;
    }
    return mask;
}

static bool is_present(const struct mapping_devices *devices, uint32_t mask)
{
    bool present = false;
    for (uint32_t i = 0; i < devices->count; i++)
        present |= (mask >> i & 1) && devices->items[i].present;
    return present;
}

/* The core's placements of one model, and what they are in the configuration. */
struct places {
    struct core_placement items[CORE_PLACEMENTS_MAX];
    uint32_t variants[CORE_PLACEMENTS_MAX]; /* index into the model's placements */
    uint32_t gpus[CORE_PLACEMENTS_MAX];     /* for one that a mode names; CONFIG_GPU_ANY: all */
    uint32_t count;
};

static struct core_placement *add_place(struct places *places, const struct config_model *m,
                                        uint32_t variant, uint32_t mask, uint32_t gpu)
{
    _Static_assert(CONFIG_PLACEMENTS_MAX <= CORE_PLACEMENTS_MAX, "a placement for each");
    const struct config_placement *p = &m->placements[variant];
    must(places->count < CORE_PLACEMENTS_MAX);
    places->variants[places->count] = variant;
    places->gpus[places->count] = gpu;
    places->items[places->count] =
        (struct core_placement){.device_mask = mask,
                                .device_count = p->host ? 0 : p->gpu_count,
                                .bytes = p->host ? 0 : config_placement_share_bytes(p),
                                .free_bytes_min = p->free_bytes_min};
    return &places->items[places->count++];
}

/* Bit i for each variant that has no device now, although another one can be had. A model that has
 * nowhere to go keeps its variants, for the core to say so. */
static uint32_t dropped(const struct mapping_devices *devices, const struct config_model *m)
{
    uint32_t absent = 0;
    for (uint32_t i = 0; i < m->placement_count; i++)
        if (!m->placements[i].host && !is_present(devices, mask_of(devices, &m->placements[i])))
            absent |= 1U << i;
    return absent + 1 == 1U << m->placement_count ? 0 : absent;
}

/* No device mask must be 0, which stands for the host: then more devices than there can be are
 * asked for. */
static void add_variant(struct places *places, const struct mapping_devices *devices,
                        const struct config_model *m, uint32_t variant)
{
    const struct config_placement *p = &m->placements[variant];
    uint32_t mask = p->host ? 0 : mask_of(devices, p);
    bool nowhere = !p->host && mask == 0;
    struct core_placement *place =
        add_place(places, m, variant, nowhere ? ALL_DEVICES : mask, CONFIG_GPU_ANY);
    if (nowhere)
        place->device_count = CORE_DEVICES_MAX + 1;
}

/* The placement from which the model can be on that GPU alone. */
static uint32_t find_place(const struct places *places, uint32_t gpu)
{
    for (uint32_t i = 0; i < places->count; i++)
        if (places->items[i].device_mask == 1U << gpu && places->items[i].device_count == 1)
            return i;
    return CORE_SLOT_NONE;
}

/* The variants that there are, and behind them one placement for each further GPU that some mode
 * wants the model on, as a copy of the variant that may be there. */
static struct places find_places(const struct config *c, const struct mapping_devices *devices,
                                 uint32_t model)
{
    const struct config_model *m = &c->models[model];
    uint32_t absent = dropped(devices, m), variants[CORE_DEVICES_MAX], wished = 0;
    struct places places = {.count = 0};
    for (uint32_t i = 0; i < m->placement_count; i++)
        if (!(absent >> i & 1))
            add_variant(&places, devices, m, i);
    for (uint32_t i = 0; i < c->mode_count; i++) {
        for (uint32_t k = 0; k < c->modes[i].wish_count; k++) {
            const struct config_wish *w = &c->modes[i].wishes[k];
            if (w->model != model || w->gpu >= devices->count || absent >> w->placement & 1)
                continue;
            wished |= 1U << w->gpu;
            variants[w->gpu] = w->placement;
        }
    }
    for (uint32_t g = 0; g < devices->count; g++)
        if ((wished >> g & 1) && find_place(&places, g) == CORE_SLOT_NONE)
            add_place(&places, m, variants[g], 1U << g, g);
    return places;
}

/* The placement that the wish means; CORE_SLOT_NONE: any, or one that is not there now. */
static uint32_t place_of_wish(const struct config *c, const struct mapping_devices *devices,
                              const struct config_wish *w)
{
    struct places places = find_places(c, devices, w->model);
    if (w->placement == CONFIG_PLACEMENT_ANY)
        return CORE_SLOT_NONE;
    if (w->gpu != CONFIG_GPU_ANY)
        return find_place(&places, w->gpu);
    for (uint32_t i = 0; i < places.count; i++)
        if (places.variants[i] == w->placement && places.gpus[i] == CONFIG_GPU_ANY)
            return i;
    return CORE_SLOT_NONE;
}

/* devices: NULL where nothing is planned by bytes; then there is nowhere to move to. */
static void fill_model(const struct config *c, uint32_t model,
                       const struct mapping_devices *devices, struct core_model_policy *p)
{
    const struct config_model *m = &c->models[model];
    bool engine = m->suspend != CONFIG_SUSPEND_NONE && m->suspend != CONFIG_SUSPEND_CUDA;
    *p = (struct core_model_policy){.present = true,
                                    .pinned = m->pin,
                                    .suspends = engine,
                                    .backend = m->endpoint_number,
                                    .hash_process = m->hash_process,
                                    .slots_max = m->concurrency_limit,
                                    .queue_max = m->queue_max,
                                    .priority = m->priority,
                                    .group = m->group,
                                    .evict_cost = m->evict_cost,
                                    .load_retries_max = m->load_retries_max,
                                    .ttl_ns = m->ttl_ns,
                                    .load_ns_max = m->load_timeout_ns,
                                    .unload_ns_max = m->unload_timeout_ns};
    if (!devices)
        return;
    struct places places = find_places(c, devices, model);
    memcpy(p->placements, places.items, sizeof(p->placements));
    p->placement_count = places.count;
    p->movable = m->has_variants && places.count > 1;
    p->yields = m->yield == CONFIG_YIELD_ALWAYS && p->movable;
}

static void fill_gates(const struct config *c, struct core_gate_policy *gates)
{
    for (uint32_t i = 0; i < c->gate_count; i++) {
        gates[i].limit = c->gates[i].limit;
        for (size_t class = 0; class < CLASS__COUNT; class ++)
            gates[i].wait_ns_max[class] = c->gates[i].wait_ns_max;
    }
}

static void fill_devices(const struct mapping_devices *devices, struct core_device_policy *ret)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        const struct mapping_device *d = &devices->items[i];
        uint64_t stale = d->sample_ns * SAMPLES_UNTIL_STALE;
        ret[i] =
            (struct core_device_policy){.reserve_bytes = d->reserve_bytes,
                                        .limit_permille = d->limit_permille,
                                        .stale_ns = stale > STALE_NS_MIN ? stale : STALE_NS_MIN};
    }
}

static struct core_matrix_policy map_matrix(const struct config *c, const uint32_t *slots,
                                            uint32_t **ret_members)
{
    const struct config_matrix *m = &c->matrix;
    uint32_t count = m->set_count ? m->ends[m->set_count - 1] : 0;
    uint32_t *members = alloc_zeroed(count + 1, sizeof(*members));
    for (uint32_t i = 0; i < count; i++)
        members[i] = slot_of(slots, m->members[i]);
    *ret_members = members;
    return (struct core_matrix_policy){
        .members = members, .ends = m->ends, .set_count = m->set_count};
}

static struct core_fair_policy map_fair(const struct config *c)
{
    _Static_assert((int)CONFIG_CLASS__COUNT == (int)CLASS__COUNT, "the classes are the same");
    struct core_fair_policy fair = {.min_resident_ns = c->fair.min_resident_ns,
                                    .serve_ns_max = c->fair.serve_ns_max};
    for (size_t class = 0; class < CLASS__COUNT; class ++)
        fair.wait_ns_max[class] = c->fair.wait_ns_max[class];
    return fair;
}

static enum plan_kind map_planner(const struct config *c, bool fits)
{
    return fits ? PLAN_FIT : c->planner == CONFIG_PLAN_MATRIX ? PLAN_MATRIX : PLAN_GROUP;
}

void mapping_init(struct mapping *ret, const struct config *c,
                  const struct mapping_devices *devices, const uint32_t *slots, uint32_t slot_count,
                  bool fits)
{
    static const enum sched_kind scheds[] = {[CONFIG_SCHED_FAIR] = SCHEDULER_FAIR,
                                             [CONFIG_SCHED_FIFO] = SCHEDULER_FIFO,
                                             [CONFIG_SCHED_SERIAL] = SCHEDULER_SERIAL};
    _Static_assert(countof(scheds) == CONFIG_SCHED__COUNT, "a scheduler for each word");
    *ret = (struct mapping){
        .models = alloc_zeroed(slot_count, sizeof(*ret->models)),
        .groups = alloc_zeroed(c->group_count, sizeof(*ret->groups)),
        .gates = alloc_zeroed(c->gate_count, sizeof(*ret->gates)),
    };
    for (uint32_t i = 0; i < c->model_count; i++)
        fill_model(c, i, fits ? devices : NULL, &ret->models[slot_of(slots, i)]);
    for (uint32_t i = 0; i < c->group_count; i++)
        ret->groups[i] = (struct core_group_policy){c->groups[i].swap, c->groups[i].exclusive,
                                                    c->groups[i].persistent};
    fill_gates(c, ret->gates);
    fill_devices(devices, ret->devices);
    ret->core = (struct core_config){
        .sched = scheds[c->scheduler],
        .plan = map_planner(c, fits),
        .victims = VICTIMS_COST,
        .fair = map_fair(c),
        .matrix = map_matrix(c, slots, &ret->members),
        .suspend_bytes_max = c->suspend_bytes_max,
        .probe_ns = c->backend_retry_ns,
        .models = ret->models,
        .model_count = slot_count,
        .groups = ret->groups,
        .group_count = c->group_count,
        .devices = ret->devices,
        .device_count = devices->count,
        .gates = ret->gates,
        .gate_count = c->gate_count,
    };
}

void mapping_fini(struct mapping *m)
{
    free(m->models);
    free(m->groups);
    free(m->gates);
    free(m->members);
    *m = (struct mapping){.models = NULL};
}

struct core_wish *mapping_wishes(const struct config *c, const struct config_mode *mode,
                                 const uint32_t *slots)
{
    struct core_wish *wishes = alloc_zeroed(mode->wish_count, sizeof(*wishes));
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    for (uint32_t i = 0; i < mode->wish_count; i++) {
        const struct config_wish *w = &mode->wishes[i];
        bool loaded = w->kind == CONFIG_WISH_LOADED;
        wishes[i] = (struct core_wish){.model = slot_of(slots, w->model),
                                       .what = loaded ? WISH_LOADED : WISH_UNLOADED,
                                       .placement =
                                           loaded ? place_of_wish(c, &devices, w) : CORE_SLOT_NONE};
    }
    return wishes;
}

const char *mapping_placement_name(const struct config *c, uint32_t model, uint32_t placement)
{
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    struct places places = find_places(c, &devices, model);
    if (placement >= places.count)
        return NULL;
    uint32_t gpu = places.gpus[placement];
    return gpu != CONFIG_GPU_ANY ? c->gpus[gpu].name
                                 : c->models[model].placements[places.variants[placement]].id;
}

uint32_t mapping_placement_variant(const struct config *c, uint32_t model, uint32_t placement)
{
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    struct places places = find_places(c, &devices, model);
    must(placement < places.count);
    return places.variants[placement];
}

uint32_t mapping_placement_find(const struct config *c, uint32_t model, const char *device)
{
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    struct places places = find_places(c, &devices, model);
    const struct config_model *m = &c->models[model];
    for (uint32_t i = 0; i < places.count; i++)
        if (places.gpus[i] == CONFIG_GPU_ANY &&
            strcmp(m->placements[places.variants[i]].id, device) == 0)
            return i;
    uint32_t gpu = find_device(&devices, device);
    return gpu == CORE_SLOT_NONE ? CORE_SLOT_NONE : find_place(&places, gpu);
}

uint32_t mapping_dropped(const struct config *c, uint32_t model)
{
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    return dropped(&devices, &c->models[model]);
}
