/* What the next daemon has to know of a process, should this one be killed: written before the
 * process is made and before each thing is done to it, so that what is written is never better than
 * what is true. A process that is being ended, or whose engine is on its way to sleep or back, is
 * in no state to be taken over; the sweep at the start ends it. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/gpus/places.h"
#include "server/net/call.h"
#include "server/net/origin.h"
#include "server/residents/process.h"
#include "server/residents/process_kept.h"
#include "server/server.h"

#define KEPT_MODEL_BYTES 512
#define KEPT_PLACEMENT_BYTES 96
/* A server that is at work may not answer; one that is well answers at once. */
#define ANSWER_NS_MAX (2 * NS_PER_S)
#define BOOT_NS_SPARE (NS_PER_S / 2)

static const char boot_holder[] = "models of an earlier daemon have not answered";

enum kept_phase { KEPT_ENDING, KEPT_STARTING, KEPT_ASLEEP, KEPT_READY };

struct kept {
    char model[KEPT_MODEL_BYTES];
    char placement[KEPT_PLACEMENT_BYTES]; /* "": it takes no device */
    uint64_t hash;                        /* of the definition */
    int64_t log_start;
    uint32_t phase;
    uint16_t port;
    struct places places;
    struct child_identity child;
};
_Static_assert(sizeof(struct kept) <= RECORD_BYTES_MAX, "one record");

/* ---- writing ---- */

static enum kept_phase phase_of(const struct instance *in)
{
    if (in->replaced || in->aborted)
        return KEPT_ENDING;
    switch ((int)in->process.phase) {
    case PROCESS_STARTING:
        return KEPT_STARTING;
    case PROCESS_READY:
        return KEPT_READY;
    case PROCESS_ASLEEP:
        return in->asleep ? KEPT_ASLEEP : KEPT_ENDING;
    default:
        return KEPT_ENDING;
    }
}

static void describe(const struct instance *in, struct kept *k)
{
    const struct resident *r = &in->resident;
    const struct config *c = r->config->config;
    const char *placement = NULL;
    if (r->placement != CORE_SLOT_NONE)
        placement = mapping_placement_name(c, (uint32_t)(r->model - c->models), r->placement);
    *k = (struct kept){.hash = r->model->hash_process,
                       .log_start = in->log_start,
                       .phase = (uint32_t)phase_of(in),
                       .port = in->port};
    places_name(r->server, r->devices, &k->places);
    record_put_name(k->model, sizeof(k->model), r->model->id);
    record_put_name(k->placement, sizeof(k->placement), placement ? placement : "");
}

static void write_down(struct instance *in, const struct kept *k)
{
    if (records_put(&in->resident.server->records, &in->record, RECORD_MODEL, k, sizeof(*k)) < 0)
        log_debug(k->model, "not kept: a next daemon would end it");
}

void instance_keep_intent(struct instance *in)
{
    struct kept k;
    auto_free char *name = instance_name(in);
    describe(in, &k);
    if (children_foresee(in->resident.server->children, name, &k.child))
        write_down(in, &k);
}

void instance_keep(struct instance *in)
{
    struct kept k;
    if (in->record == RECORDS_NONE)
        return;
    describe(in, &k);
    if (in->child && child_identify(in->child, &k.child))
        write_down(in, &k);
    else if (in->process.phase != PROCESS_STARTING)
        instance_keep_not(in);
}

void instance_keep_not(struct instance *in)
{
    records_drop(&in->resident.server->records, &in->record);
}

/* ---- reading ---- */

/* Whatever a file says, texts end and numbers are in their bounds. */
static bool is_sound(const struct record *r, struct kept *k)
{
    if (r->kind != RECORD_MODEL || r->len != sizeof(*k))
        return false;
    memcpy(k, r->data, sizeof(*k));
    const struct child_identity *c = &k->child;
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    return !k->model[sizeof(k->model) - 1] && !k->placement[sizeof(k->placement) - 1] &&
           !c->name[sizeof(c->name) - 1] && !c->cgroup[sizeof(c->cgroup) - 1] && *c->name &&
           strspn(c->name, allowed) == strlen(c->name) && c->pid >= 0 && k->phase <= KEPT_READY &&
           places_sound(&k->places);
}

/* Of two of one model, as in the middle of a move, the one that serves is taken over; of equals the
 * later. */
static bool is_outdone(const struct server *s, const struct kept *k)
{
    uint32_t cursor = 0;
    struct record r;
    struct kept other;
    while (records_next(&s->records, &cursor, &r))
        if (is_sound(&r, &other) && strcmp(other.model, k->model) == 0 &&
            (other.phase > k->phase || (other.phase == k->phase && other.child.n > k->child.n)))
            return true;
    return false;
}

/* CORE_SLOT_NONE: it is not configured any more. */
static uint32_t find_model(const struct server *s, const struct kept *k)
{
    for (uint32_t slot = 0; slot < s->roster.count; slot++) {
        const struct config_model *m = roster_model(&s->roster, slot);
        if (m && record_has_name(k->model, sizeof(k->model), m->id))
            return slot;
    }
    return CORE_SLOT_NONE;
}

/* NULL: nothing speaks against it. */
static const char *why_not(const struct server *s, const struct kept *k, uint32_t *ret_slot)
{
    uint32_t slot = find_model(s, k);
    const struct config_model *m = slot == CORE_SLOT_NONE ? NULL : roster_model(&s->roster, slot);
    *ret_slot = slot;
    if (!m)
        return "it is not configured any more";
    if (resident_kind_of(s, m) != &resident_process || m->hash_process != k->hash)
        return "it is configured otherwise now";
    if (k->phase == KEPT_ENDING)
        return "it was on its way out, to sleep or awake";
    if (is_outdone(s, k) || resident_at(s, slot))
        return "another process of the model is taken over";
    return NULL;
}

/* ---- how its server is ---- */

static struct instance *unheard_at(const struct server *s, uint32_t slot)
{
    struct resident *r = resident_at(s, slot);
    if (!r || r->ops != &resident_process)
        return NULL;
    struct instance *in = container_of(r, struct instance, resident);
    return in->unheard ? in : NULL;
}

static void fall_ill(struct instance *in)
{
    in->ill = true;
    if (!in->unheard)
        resident_complete(&in->resident, RESIDENT_BROKEN, REASON_BROKEN, 0);
}

static void on_answer(void *arg, const struct call_answer *a)
{
    struct instance *in = arg;
    const char *id = in->resident.model->id;
    in->probe = NULL;
    bool refuses = a->error == UV_ECONNREFUSED || (!a->error && a->status != 200);
    if (refuses) {
        log_warn(id, "taken over, but its check fails: it is loaded anew when it is wanted");
        fall_ill(in);
    } else if (a->error) {
        log_warn(id, "taken over, though its check is not answered: %s", a->why);
    }
    instance_heard(in);
}

static bool is_asked(const struct server *s, uint32_t slot)
{
    const struct instance *in = unheard_at(s, slot);
    return in && in->probe;
}

static bool any_asked(const struct server *s)
{
    bool any = false;
    for (uint32_t i = 0; i < s->roster.count; i++)
        any |= is_asked(s, i);
    return any;
}

void instance_heard(struct instance *in)
{
    if (!any_asked(in->resident.server))
        boot_release(in->resident.server, boot_holder);
}

static void ask_how_it_is(struct instance *in)
{
    const struct call_spec spec = {
        .method = "GET", .path = in->resident.model->check_endpoint, .timeout_ns = ANSWER_NS_MAX};
    if (in->process.phase != PROCESS_READY || !*spec.path)
        return;
    in->probe = call_start(in->origin, &spec, on_answer, in);
}

/* ---- taking over ---- */

static const enum process_phase phases[] = {[KEPT_STARTING] = PROCESS_STARTING,
                                            [KEPT_ASLEEP] = PROCESS_ASLEEP,
                                            [KEPT_READY] = PROCESS_READY};

static struct instance *make(struct server *s, uint32_t slot, uint32_t record, const struct kept *k)
{
    struct instance *in = alloc_zeroed(1, sizeof(*in));
    resident_begin(&in->resident, &resident_process, s, slot, NULL);
    in->unheard = true;
    in->port = k->port;
    in->log_start = k->log_start;
    instance_begin(in);
    in->record = record;
    in->asleep = k->phase == KEPT_ASLEEP;
    process_adopt(&in->process, in->resident.model->check_endpoint[0] != '\0', phases[k->phase]);
    in->origin->open = in->process.phase == PROCESS_READY;
    return in;
}

static void take_over(struct server *s, uint32_t slot, uint32_t record, const struct kept *k)
{
    struct instance *in = make(s, slot, record, k);
    auto_free char *why = NULL;
    if (instance_locate(in, &why) && (k->phase != KEPT_ASLEEP || instance_adopt_asleep(in)))
        in->child = children_adopt(s->children, &k->child, &instance_child_ops, in);
    if (!in->child) {
        log_info(k->model, "the process of an earlier daemon is not taken over: %s",
                 why ? why : "it has ended, or could not be woken");
        instance_release(in);
        return;
    }
    const char *phase = k->phase == KEPT_STARTING ? "loading"
                        : k->phase == KEPT_ASLEEP ? "asleep"
                                                  : "ready";
    log_info_with(k->model,
                  LOG_WITH(LOG_NUMBER("pid", instance_pid(in)), LOG_NUMBER("port", in->port),
                           LOG_TEXT("phase", phase)),
                  "taken over from an earlier daemon");
    ask_how_it_is(in);
}

void processes_take_over(struct server *s)
{
    uint32_t cursor = 0;
    struct record r;
    while (records_next(&s->records, &cursor, &r)) {
        struct kept k;
        uint32_t record = r.slot, slot;
        if (r.kind != RECORD_MODEL)
            continue;
        bool sound = is_sound(&r, &k);
        const char *why = sound ? why_not(s, &k, &slot) : "what was written of it is damaged";
        if (!why) {
            take_over(s, slot, record, &k);
            continue;
        }
        log_info(sound ? k.model : NULL, "a process of an earlier daemon is not taken over: %s",
                 why);
        records_drop(&s->records, &record);
    }
    if (any_asked(s))
        boot_hold(s, boot_holder, ANSWER_NS_MAX + BOOT_NS_SPARE);
}

/* The core's placement of that name, where it plans by placements at all. */
static uint32_t find_placement(const struct server *s, uint32_t slot, const char *name)
{
    const struct config *c = s->roster.current->config;
    const char *at;
    if (!*name || !roster_fits(c))
        return CORE_SLOT_NONE;
    for (uint32_t p = 0; (at = mapping_placement_name(c, s->roster.entries[slot].index, p)); p++)
        if (record_has_name(name, KEPT_PLACEMENT_BYTES, at))
            return p;
    return CORE_SLOT_NONE;
}

static bool read_record(const struct instance *in, struct kept *k)
{
    uint32_t cursor = 0;
    struct record r;
    while (records_next(&in->resident.server->records, &cursor, &r))
        if (r.slot == in->record)
            return is_sound(&r, k);
    return false;
}

static void tell(struct server *s, uint32_t slot, struct instance *in)
{
    static const enum adopted how[] = {[PROCESS_STARTING] = ADOPTED_LOADING,
                                       [PROCESS_READY] = ADOPTED_LOADED,
                                       [PROCESS_ASLEEP] = ADOPTED_SUSPENDED};
    struct kept k = {.places.count = 0};
    uint32_t missing = 0;
    bool known = read_record(in, &k);
    uint32_t placement = known ? find_placement(s, slot, k.placement) : CORE_SLOT_NONE;
    uint32_t devices = placement == CORE_SLOT_NONE ? 0 : places_find(s, &k.places, &missing);
    if (missing)
        log_warn(in->resident.model->id, "%u of its %u devices are not there any more", missing,
                 k.places.count);
    in->unheard = false;
    must(in->process.phase <= PROCESS_ASLEEP);
    resident_adopt(&in->resident, placement, devices, how[in->process.phase]);
    instance_find_variant(in);
    if (in->ill || in->exited)
        resident_complete(&in->resident, RESIDENT_BROKEN, REASON_BROKEN, 0);
}

void processes_tell(struct server *s)
{
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct instance *in = unheard_at(s, i);
        if (in)
            tell(s, i, in);
    }
}

bool processes_kept_places(const struct server *s)
{
    uint32_t cursor = 0;
    struct record r;
    struct kept k;
    while (records_next(&s->records, &cursor, &r))
        if (is_sound(&r, &k) && k.places.count)
            return true;
    return false;
}

/* ---- leaving them behind ---- */

static void abandon(struct instance *in)
{
    log_info_with(in->resident.model->id, LOG_WITH(LOG_NUMBER("pid", instance_pid(in))),
                  "left running for the next daemon");
    in->record = RECORDS_NONE; /* it stays where it is */
    child_abandon(in->child);
    in->child = NULL;
    instance_release(in);
}

void processes_abandon(struct server *s)
{
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct resident *r = resident_at(s, i);
        if (!r || r->ops != &resident_process)
            continue;
        struct instance *in = container_of(r, struct instance, resident);
        bool kept = in->record != RECORDS_NONE && records_kept(&s->records);
        if (kept && in->child && child_runs(in->child) && !in->exited)
            abandon(in);
        else if (in->process.phase != PROCESS_STARTING || !kept)
            instance_feed(in, PROCESS_KILL);
        /* else it is being made, and left behind once it runs */
    }
}
