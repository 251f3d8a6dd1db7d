#include "tape.h"

#include <stdlib.h>
#include <string.h>

/* A configuration in one piece of memory. */
struct config_copy {
    struct core_config config;
    struct core_model_policy models[JUDGE_MODELS_MAX];
    struct core_group_policy groups[JUDGE_GROUPS_MAX];
    struct core_device_policy devices[CORE_DEVICES_MAX];
    struct core_gate_policy gates[JUDGE_GATES_MAX];
    uint32_t members[JUDGE_MEMBERS_MAX], ends[JUDGE_SETS_MAX];
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void *copy_config(const struct core_config *c)
{
    struct config_copy *k = need(calloc(1, sizeof(*k)));
    k->config = *c;
    memcpy(k->models, c->models, c->model_count * sizeof(k->models[0]));
    memcpy(k->groups, c->groups, c->group_count * sizeof(k->groups[0]));
    memcpy(k->devices, c->devices, c->device_count * sizeof(k->devices[0]));
    memcpy(k->gates, c->gates, c->gate_count * sizeof(k->gates[0]));
    if (c->matrix.set_count) {
        memcpy(k->ends, c->matrix.ends, c->matrix.set_count * sizeof(k->ends[0]));
        memcpy(k->members, c->matrix.members,
               c->matrix.ends[c->matrix.set_count - 1] * sizeof(k->members[0]));
    }
    k->config.models = k->models;
    k->config.groups = k->groups;
    k->config.devices = k->devices;
    k->config.gates = k->gates;
    k->config.matrix.members = k->members;
    k->config.matrix.ends = k->ends;
    return k;
}

static void *copy(const void *from, size_t bytes)
{
    void *to = need(malloc(bytes ? bytes : 1));
    if (bytes)
        memcpy(to, from, bytes);
    return to;
}

/* Leases are written down by tag; uses of those that are no more are left out. */
static void copy_uses(struct tape_item *item, struct judge *j, const struct event *ev)
{
    struct sample_use *uses = copy(ev->sample.uses, ev->sample.use_count * sizeof(*uses));
    uint32_t count = 0;
    item->use_tags = need(calloc(ev->sample.use_count + 1, sizeof(uint64_t)));
    for (uint32_t i = 0; i < ev->sample.use_count; i++) {
        const struct party *p = NULL;
        if (uses[i].model == CORE_SLOT_NONE && !(p = judge_party_by_id(j, true, uses[i].lease)))
            continue;
        item->use_tags[count] = p ? p->tag : 0;
        uses[count++] = uses[i];
    }
    item->payload = uses;
    item->note.ev.sample.uses = uses;
    item->note.ev.sample.use_count = count;
}

void tape_record(struct tape *t, struct judge *j, const struct note *n)
{
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 256;
        t->items = need(realloc(t->items, t->room * sizeof(*t->items)));
    }
    struct tape_item *item = &t->items[t->count++];
    *item = (struct tape_item){.note = *n};
    struct event *ev = &item->note.ev;
    if (ev->type == EVENT_CONFIG) {
        item->payload = copy_config(ev->config);
        ev->config = &((struct config_copy *)item->payload)->config;
    } else if (ev->type == EVENT_MODE) {
        item->payload = copy(ev->mode.wishes, ev->mode.count * sizeof(*ev->mode.wishes));
        ev->mode.wishes = item->payload;
    } else if (ev->type == EVENT_DEVICE_SAMPLE) {
        copy_uses(item, j, ev);
    }
}

struct core_config *tape_config(const struct tape_item *item)
{
    return &((struct config_copy *)item->payload)->config;
}

void tape_fini(struct tape *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i].payload);
        free(t->items[i].use_tags);
    }
    free(t->items);
    *t = (struct tape){0};
}
