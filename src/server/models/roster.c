#include "server/models/roster.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/models/peers.h"

struct config_ref *config_ref_get(struct config_ref *ref)
{
    ref->refs++;
    return ref;
}

void config_ref_put(struct config_ref *ref)
{
    if (!ref || --ref->refs > 0)
        return;
    peers_forget(ref);
    config_free(ref->config);
    free(ref->slots);
    free(ref->turns);
    free(ref);
}

void roster_init(struct roster *r)
{
    *r = (struct roster){.entries = alloc_zeroed(ROSTER_MODELS_MAX, sizeof(*r->entries)),
                         .gates = alloc_zeroed(ROSTER_GATES_MAX, sizeof(*r->gates))};
}

void roster_fini(struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        free(r->entries[i].id);
        free(r->entries[i].last_error);
        free(r->entries[i].told.place);
    }
    for (uint32_t i = 0; i < r->gate_count; i++)
        free(r->gates[i].id);
    free(r->entries);
    free(r->gates);
    config_ref_put(r->current);
    *r = (struct roster){0};
}

static uint32_t slot_of(const struct roster *r, const char *id)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->entries[i].id && strcmp(r->entries[i].id, id) == 0)
            return i;
    return CORE_SLOT_NONE;
}

static uint32_t take_slot(struct roster *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (!r->entries[i].id)
            return i;
    return r->count < ROSTER_MODELS_MAX ? r->count++ : CORE_SLOT_NONE;
}

/* ---- gates ---- */

static uint32_t gate_slot_of(const struct roster *r, const char *id)
{
    for (uint32_t i = 0; i < r->gate_count; i++)
        if (r->gates[i].id && strcmp(r->gates[i].id, id) == 0)
            return i;
    return CORE_SLOT_NONE;
}

uint32_t roster_find_gate(const struct roster *r, const char *name)
{
    uint32_t slot = gate_slot_of(r, name);
    return slot != CORE_SLOT_NONE && r->gates[slot].listed ? slot : CORE_SLOT_NONE;
}

const char *roster_gate(const struct roster *r, uint32_t slot)
{
    return slot < r->gate_count && r->gates[slot].id ? r->gates[slot].id : "?";
}

static bool gate_is_free(const struct roster_gate *g)
{
    return !g->listed && g->uses == 0;
}

void roster_use_gate(struct roster *r, uint32_t slot, bool more)
{
    must(slot < r->gate_count && (more || r->gates[slot].uses > 0));
    r->gates[slot].uses += more ? 1U : UINT32_MAX;
}

static bool gates_have_room(const struct roster *r, const struct config *config)
{
    uint32_t busy = 0, fresh = 0;
    for (uint32_t i = 0; i < r->gate_count; i++)
        busy += r->gates[i].uses > 0;
    for (uint32_t i = 0; i < config->gate_count; i++) {
        uint32_t slot = gate_slot_of(r, config->gates[i].id);
        fresh += slot == CORE_SLOT_NONE || r->gates[slot].uses == 0;
    }
    return busy + fresh <= ROSTER_GATES_MAX;
}

/* Those that stay come first: what is free after that may become another's. */
static void take_gates(struct roster *r, const struct config *config)
{
    for (uint32_t i = 0; i < r->gate_count; i++)
        r->gates[i].listed = false;
    for (uint32_t i = 0; i < config->gate_count; i++) {
        uint32_t slot = gate_slot_of(r, config->gates[i].id);
        if (slot != CORE_SLOT_NONE)
            r->gates[slot].listed = true;
    }
    for (uint32_t i = 0; i < config->gate_count; i++) {
        uint32_t slot = 0;
        if (gate_slot_of(r, config->gates[i].id) != CORE_SLOT_NONE)
            continue;
        while (slot < r->gate_count && !gate_is_free(&r->gates[slot]))
            slot++;
        r->gate_count += slot == r->gate_count;
        free(r->gates[slot].id);
        r->gates[slot] =
            (struct roster_gate){.id = alloc_text(config->gates[i].id), .listed = true};
    }
}

/* By their slots, those too that are no longer configured, as they were. */
static struct core_gate_policy *place_gates(struct roster *r, const struct mapping *m)
{
    const struct config *c = r->current->config;
    struct core_gate_policy *gates = alloc_zeroed(r->gate_count + 1, sizeof(*gates));
    for (uint32_t i = 0; i < c->gate_count; i++)
        r->gates[gate_slot_of(r, c->gates[i].id)].policy = m->core.gates[i];
    for (uint32_t i = 0; i < r->gate_count; i++)
        gates[i] = r->gates[i].policy;
    return gates;
}

bool roster_apply(struct roster *r, struct config *config)
{
    struct config_ref *ref = alloc_zeroed(1, sizeof(*ref));
    *ref = (struct config_ref){.refs = 1,
                               .config = config,
                               .slots = alloc_zeroed(config->model_count, sizeof(uint32_t)),
                               .turns = alloc_zeroed(config->selector_count, sizeof(uint32_t))};
    uint32_t free_slots = ROSTER_MODELS_MAX - r->count, fresh = 0;
    for (uint32_t i = 0; i < r->count; i++)
        free_slots += r->entries[i].id == NULL;
    for (uint32_t i = 0; i < config->model_count; i++)
        fresh += slot_of(r, config->models[i].id) == CORE_SLOT_NONE;
    if (fresh > free_slots || !gates_have_room(r, config)) {
        config_ref_put(ref);
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++)
        r->entries[i].index = CORE_SLOT_NONE;
    for (uint32_t i = 0; i < config->model_count; i++) {
        uint32_t slot = slot_of(r, config->models[i].id);
        if (slot == CORE_SLOT_NONE) {
            slot = take_slot(r);
            r->entries[slot].id = alloc_text(config->models[i].id);
        }
        r->entries[slot].index = i;
        ref->slots[i] = slot;
    }
    take_gates(r, config);
    config_ref_put(r->current);
    r->current = ref;
    return true;
}

bool roster_retire(struct roster *r, uint32_t slot)
{
    struct roster_entry *e = &r->entries[slot];
    if (e->index != CORE_SLOT_NONE)
        return false; /* configured again in the meantime */
    free(e->id);
    free(e->last_error);
    free(e->told.place);
    *e = (struct roster_entry){.index = CORE_SLOT_NONE};
    return true;
}

/* Bytes can only be planned where a device says how many there are. */
bool roster_fits(const struct config *c)
{
    bool known = false;
    for (uint32_t i = 0; i < c->gpu_count; i++)
        known |= c->gpus[i].found;
    return c->planner == CONFIG_PLAN_FIT && known;
}

const char *roster_planner(const struct config *c)
{
    bool blind = c->planner == CONFIG_PLAN_FIT && !roster_fits(c);
    return config_planner_words[blind ? CONFIG_PLAN_GROUP : c->planner];
}

void roster_configure(struct roster *r, void (*step)(void *arg, const struct core_config *config),
                      void *arg)
{
    const struct config *c = r->current->config;
    struct mapping_devices devices;
    struct mapping m;
    mapping_find_devices(c, &devices);
    mapping_init(&m, c, &devices, r->current->slots, r->count, roster_fits(c));
    struct core_gate_policy *gates = place_gates(r, &m);
    m.core.gates = gates;
    m.core.gate_count = r->gate_count;
    step(arg, &m.core);
    free(gates);
    mapping_fini(&m);
}

uint32_t roster_find(const struct roster *r, const char *name)
{
    const struct config_model *m = config_find_model(r->current->config, name);
    return m ? r->current->slots[m - r->current->config->models] : CORE_SLOT_NONE;
}

const struct config_model *roster_model(const struct roster *r, uint32_t slot)
{
    if (slot >= r->count || !r->entries[slot].id || r->entries[slot].index == CORE_SLOT_NONE)
        return NULL;
    return &r->current->config->models[r->entries[slot].index];
}

const char *roster_id(const struct roster *r, uint32_t slot)
{
    return slot < r->count && r->entries[slot].id ? r->entries[slot].id : "?";
}
