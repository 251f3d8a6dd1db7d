#include "server/tell/notices.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "gpu/gpu.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"
#include "server/server.h"
#include "server/tell/residency.h"

/* One event that is being written. */
struct telling {
    struct server *server;
    const struct effect *effect;
    struct roster_entry *entry;         /* NULL: it is of no model */
    const struct notice_memory *before; /* how it was when this began */
    struct buf *out;
};

/* ---- members, each of which leaves itself out where it is not known ---- */

static void put_name(const struct telling *t, const char *name)
{
    buf_printf(t->out, "%s\"%s\":", t->out->len > 1 ? "," : "", name);
}

static void put_text(const struct telling *t, const char *name, const char *value)
{
    put_name(t, name);
    buf_json_text(t->out, value);
}

static void put_number(const struct telling *t, const char *name, uint64_t value)
{
    put_name(t, name);
    buf_printf(t->out, "%" PRIu64, value);
}

static void put_model(const struct telling *t)
{
    /* Its memory may come back when it is no longer configured. */
    if (t->entry && t->entry->id)
        put_text(t, "model", t->entry->id);
}

/* What is said of a lease has its name; in what is said of a model, a lease is whom it is for. */
static const struct lease *lease_in(const struct telling *t)
{
    const struct effect *e = t->effect;
    const struct lease *l = id_none(e->waiter) ? NULL : leases_by_core(t->server, e->waiter);
    return l || e->model != CORE_SLOT_NONE ? l : leases_by_tag(t->server, e->tag);
}

static void put_lease(const struct telling *t)
{
    const struct lease *l = t->effect->model == CORE_SLOT_NONE ? lease_in(t) : NULL;
    if (!l)
        return;
    put_text(t, "lease", leases_id(l));
    if (*leases_name(l))
        put_text(t, "name", leases_name(l));
}

static void put_gates(const struct telling *t)
{
    struct lease_view v;
    const struct lease *l = t->effect->model == CORE_SLOT_NONE ? lease_in(t) : NULL;
    if (!l)
        return;
    leases_look(t->server, l, &v);
    for (uint32_t i = 0; i < v.ask->gate_count; i++) {
        if (i == 0)
            put_name(t, "gates");
        buf_text(t->out, i ? "," : "[");
        buf_json_text(t->out, roster_gate(&t->server->roster, v.ask->gates[i]));
    }
    buf_text(t->out, v.ask->gate_count ? "]" : "");
}

static void put_other(const struct telling *t, const char *name)
{
    if (t->effect->other != CORE_SLOT_NONE)
        put_text(t, name, roster_id(&t->server->roster, t->effect->other));
}

static void put_for(const struct telling *t)
{
    const struct lease *l = t->effect->model != CORE_SLOT_NONE ? lease_in(t) : NULL;
    struct lease_view v = {.revoked_for = CORE_SLOT_NONE};
    put_other(t, "for_model");
    if (t->effect->model == CORE_SLOT_NONE && lease_in(t))
        leases_look(t->server, lease_in(t), &v);
    /* What a lease was revoked for is told with the order, not with the notice. */
    if (v.revoked_for != CORE_SLOT_NONE && t->effect->other == CORE_SLOT_NONE)
        put_text(t, "for_model", roster_id(&t->server->roster, v.revoked_for));
    if (l)
        put_text(t, "for_lease", leases_id(l));
}

static void put_by(const struct telling *t)
{
    put_other(t, "by_model");
}

static void put_what(const struct telling *t)
{
    static const char *const words[NOTICE__COUNT] = {
        [NOTICE_MOVING] = "move", [NOTICE_SUSPENDING] = "suspend", [NOTICE_RESUMING] = "resume"};
    if (t->entry && words[t->before->op])
        put_text(t, "what", words[t->before->op]);
}

static void put_reason(const struct telling *t)
{
    if (t->effect->reason != REASON_NONE)
        put_text(t, "reason", reason_text(t->effect->reason));
}

static bool comes(enum notice n)
{
    return n == NOTICE_MODEL_LOADING || n == NOTICE_RESUMING;
}

static bool has_come(enum notice n)
{
    return n == NOTICE_MODEL_LOADED || n == NOTICE_DEVICE_CHANGED || n == NOTICE_RESUMED;
}

/* By the present configuration. */
static const char *name_of_place(const struct server *s, const struct roster_entry *entry,
                                 uint32_t placement)
{
    if (!entry || entry->index == CORE_SLOT_NONE || placement == CORE_SLOT_NONE)
        return NULL;
    return mapping_placement_name(s->roster.current->config, entry->index, placement);
}

static void put_place(const struct telling *t, const char *name, uint32_t placement)
{
    /* What is there, or leaves, came by the configuration of then. */
    bool is_known = t->before->place && placement == t->before->placement &&
                    !has_come(t->effect->notice) && !comes(t->effect->notice);
    const char *text = is_known ? t->before->place : name_of_place(t->server, t->entry, placement);
    if (text)
        put_text(t, name, text);
}

/* The effects of what has gone do not say where it was. */
static void put_placement(const struct telling *t)
{
    uint32_t placement = t->effect->placement;
    if (placement == CORE_SLOT_NONE && t->entry)
        placement = t->before->placement;
    put_place(t, "placement", placement);
}

static void put_from(const struct telling *t)
{
    put_place(t, "from",
              t->before->op == NOTICE_MOVING && t->effect->notice != NOTICE_MOVING
                  ? t->before->from
                  : t->before->placement);
}

static void put_to(const struct telling *t)
{
    put_place(t, "to", t->effect->placement);
}

static void put_device(const struct telling *t)
{
    const struct config *c = t->server->roster.current->config;
    if (t->effect->device < c->gpu_count)
        put_text(t, "device", c->gpus[t->effect->device].name);
}

static uint32_t devices_of(const struct telling *t)
{
    bool says = t->effect->devices || t->effect->placement != CORE_SLOT_NONE;
    return says || !t->entry ? t->effect->devices : t->before->devices;
}

static void put_devices(const struct telling *t)
{
    const struct config *c = t->server->roster.current->config;
    uint32_t mask = devices_of(t);
    const char *sep = "[";
    if (!mask)
        return;
    put_name(t, "devices");
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(mask >> d & 1))
            continue;
        buf_text(t->out, sep);
        buf_json_text(t->out, c->gpus[d].name);
        sep = ",";
    }
    buf_text(t->out, *sep == '[' ? "[]" : "]");
}

static void put_had(const struct telling *t)
{
    if (t->entry && t->before->bytes)
        put_number(t, "had_bytes", t->before->bytes);
}

static void put_bytes(const struct telling *t)
{
    if (t->effect->bytes)
        put_number(t, "bytes", t->effect->bytes);
}

/* How long a lease has waited is told with the grant, not with the notice. */
static uint64_t duration_ns(const struct telling *t)
{
    struct lease_view v;
    bool granted = t->effect->type == EFFECT_NOTICE && t->effect->notice == NOTICE_LEASE_GRANTED;
    const struct lease *l = granted ? lease_in(t) : NULL;
    if (!l)
        return t->effect->duration_ns;
    leases_look(t->server, l, &v);
    return v.waited_ns;
}

static void put_seconds(const struct telling *t)
{
    uint64_t ns = duration_ns(t);
    if (!ns)
        return;
    put_name(t, "seconds");
    buf_printf(t->out, "%" PRIu64 ".%03" PRIu64, ns / NS_PER_S, ns % NS_PER_S / NS_PER_MS);
}

static void put_position(const struct telling *t)
{
    if (t->effect->position)
        put_number(t, "position", t->effect->position);
}

static void put_estimate(const struct telling *t)
{
    if (t->effect->retry_after_s)
        put_number(t, "estimate_s", t->effect->retry_after_s);
}

static uint64_t used_bytes(const struct server *s, uint32_t device)
{
    const struct gpu_device *r = devices_reading(s->devices, device);
    return r && (r->known & GPU_USED) ? r->used_bytes : NOTICES_UNKNOWN;
}

static void put_known(const struct telling *t, const char *name, uint64_t bytes)
{
    if (bytes == NOTICES_UNKNOWN)
        buf_printf(t->out, ",\"%s\":null", name);
    else
        buf_printf(t->out, ",\"%s\":%" PRIu64, name, bytes);
}

/* Of each device that it is or was on. */
static void put_vram(const struct telling *t)
{
    const struct server *s = t->server;
    const struct config *c = s->roster.current->config;
    uint32_t mask = t->effect->devices;
    const char *sep = "[";
    if (t->entry && t->effect->notice != NOTICE_SETTLED)
        mask |= t->before->devices;
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(mask >> d & 1))
            continue;
        if (*sep == '[')
            put_name(t, "vram");
        buf_printf(t->out, "%s{\"device\":", sep);
        buf_json_text(t->out, c->gpus[d].name);
        put_known(t, "before_bytes", t->before->began ? t->before->used_bytes[d] : NOTICES_UNKNOWN);
        put_known(t, "after_bytes", used_bytes(s, d));
        buf_char(t->out, '}');
        sep = ",";
    }
    buf_text(t->out, *sep == '[' ? "" : "]");
}

/* Which of its loads that was, and of how many before it is given up. */
static void put_attempt(const struct telling *t)
{
    struct core_model_view v;
    const struct config_model *m = roster_model(&t->server->roster, t->effect->model);
    core_view_model(t->server->runner.core, t->effect->model, &v);
    if (!m || !v.failures)
        return;
    put_number(t, "attempt", v.failures);
    put_number(t, "of", (uint64_t)m->load_retries_max + 1);
}

static void put_error(const struct telling *t)
{
    if (t->entry && t->entry->last_error)
        put_text(t, "error", t->entry->last_error);
}

static void put_mode(const struct telling *t)
{
    put_text(t, "mode", t->server->modes.name);
}

enum member {
    MODEL = 1 << 0,
    FOR = 1 << 1,
    BY = 1 << 2,
    MODE = 1 << 3,
    WHAT = 1 << 4,
    REASON = 1 << 5,
    FROM = 1 << 6,
    TO = 1 << 7,
    PLACEMENT = 1 << 8,
    DEVICE = 1 << 9,
    DEVICES = 1 << 10,
    HAD = 1 << 11,
    BYTES = 1 << 12,
    SECONDS = 1 << 13,
    POSITION = 1 << 14,
    ESTIMATE = 1 << 15,
    VRAM = 1 << 16,
    ATTEMPT = 1 << 17,
    ERROR = 1 << 18,
    LEASE = 1 << 19,
    GATES = 1 << 20,
};

/* In the order in which they stand. */
static const struct {
    enum member bit;
    void (*put)(const struct telling *t);
} members[] = {
    {MODEL, put_model},
    {LEASE, put_lease},
    {GATES, put_gates},
    {FOR, put_for},
    {BY, put_by},
    {MODE, put_mode},
    {WHAT, put_what},
    {REASON, put_reason},
    {FROM, put_from},
    {TO, put_to},
    {PLACEMENT, put_placement},
    {DEVICE, put_device},
    {DEVICES, put_devices},
    {HAD, put_had},
    {BYTES, put_bytes},
    {SECONDS, put_seconds},
    {POSITION, put_position},
    {ESTIMATE, put_estimate},
    {VRAM, put_vram},
    {ATTEMPT, put_attempt},
    {ERROR, put_error},
};

/* An op that begins says where it is to be, and one that has ended where it is. */
#define BEGINS (MODEL | REASON | PLACEMENT | DEVICE | DEVICES | BYTES)
#define MOVES (MODEL | REASON | FROM | TO | DEVICE | DEVICES | BYTES)
#define ENDED (SECONDS | VRAM)

static const uint32_t details[NOTICE__COUNT] = {
    [NOTICE_MODEL_LOADING] = BEGINS,
    [NOTICE_MODEL_LOADED] = BEGINS | ENDED,
    [NOTICE_MODEL_UNLOADING] = BEGINS,
    [NOTICE_MODEL_UNLOADED] = MODEL | REASON | PLACEMENT | DEVICES | ENDED,
    [NOTICE_LOAD_FAILED] = MODEL | REASON | PLACEMENT | DEVICES | SECONDS | ATTEMPT | ERROR,
    [NOTICE_OOM] = BEGINS | HAD,
    [NOTICE_MOVING] = MOVES,
    [NOTICE_DEVICE_CHANGED] = MOVES | ENDED,
    [NOTICE_SUSPENDING] = BEGINS,
    [NOTICE_SUSPENDED] = BEGINS | ENDED,
    [NOTICE_RESUMING] = BEGINS,
    [NOTICE_RESUMED] = BEGINS | ENDED,
    [NOTICE_OP_FAILED] = MODEL | WHAT | REASON | ERROR,
    [NOTICE_EVICTED] = MODEL | FOR | REASON | BYTES,
    [NOTICE_IDLE_UNLOAD] = MODEL | REASON | SECONDS,
    [NOTICE_STUCK] = MODEL | REASON | PLACEMENT | DEVICES,
    [NOTICE_ERROR_OVER] = MODEL | REASON | ATTEMPT,
    [NOTICE_SETTLED] = MODEL | DEVICE | BYTES | VRAM,
    [NOTICE_BLOCKED] = MODEL | LEASE | BY | REASON,
    [NOTICE_STARVING] = LEASE | GATES | SECONDS,
    [NOTICE_LEASE_GRANTED] = LEASE | GATES | DEVICES | BYTES | SECONDS,
    [NOTICE_LEASE_REVOKED] = LEASE | FOR | REASON,
    [NOTICE_LEASE_ENDED] = LEASE | REASON,
    [NOTICE_ELSEWHERE] = MODEL | PLACEMENT | DEVICE | BYTES,
    [NOTICE_MODE_REACHED] = MODE | REASON,
    [NOTICE_DRAINED] = REASON,
};

#define WAITER_DETAILS (MODEL | LEASE | REASON | BYTES | SECONDS | POSITION | ESTIMATE)
#define DECISION_DETAILS (MODEL | FOR | REASON | DEVICE | BYTES | SECONDS)

static void put_details(struct server *s, const struct effect *e, uint32_t which, struct buf *out)
{
    static const struct notice_memory nothing = {.placement = CORE_SLOT_NONE,
                                                 .from = CORE_SLOT_NONE};
    struct telling t = {.server = s, .effect = e, .before = &nothing, .out = out};
    if (e->model != CORE_SLOT_NONE) {
        t.entry = &s->roster.entries[e->model];
        t.before = t.entry->told.began ? &t.entry->told : &nothing;
    }
    buf_char(out, '{');
    for (size_t i = 0; i < countof(members); i++)
        if (which & members[i].bit)
            members[i].put(&t);
    buf_char(out, '}');
}

/* ---- what is remembered for the next one ---- */

/* What each end is the end of. */
static const struct {
    bool ends;
    enum notice op;
} begun_by[NOTICE__COUNT] = {
    [NOTICE_MODEL_LOADED] = {true, NOTICE_MODEL_LOADING},
    [NOTICE_MODEL_UNLOADED] = {true, NOTICE_MODEL_UNLOADING},
    [NOTICE_DEVICE_CHANGED] = {true, NOTICE_MOVING},
    [NOTICE_SUSPENDED] = {true, NOTICE_SUSPENDING},
    [NOTICE_RESUMED] = {true, NOTICE_RESUMING},
};

static void begin(struct server *s, struct notice_memory *m, enum notice op)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        m->used_bytes[d] = used_bytes(s, d);
    m->from = m->placement = m->began ? m->placement : CORE_SLOT_NONE;
    m->op = op;
    m->began = true;
}

static bool is_begin(enum notice n)
{
    for (size_t i = 0; i < countof(begun_by); i++)
        if (begun_by[i].ends && begun_by[i].op == n)
            return true;
    return false;
}

/* Before it is told. What went by itself, or was there already, had no beginning. */
static void note_end(struct server *s, const struct effect *e)
{
    struct notice_memory *m = &s->roster.entries[e->model].told;
    if (begun_by[e->notice].ends && (!m->began || m->op != begun_by[e->notice].op))
        begin(s, m, begun_by[e->notice].op);
}

/* Once it was told. */
static void remember(struct server *s, const struct effect *e)
{
    struct roster_entry *entry = &s->roster.entries[e->model];
    struct notice_memory *m = &entry->told;
    bool is_there = has_come(e->notice);
    if (is_begin(e->notice))
        begin(s, m, e->notice);
    if (e->notice == NOTICE_MODEL_LOADED && e->duration_ns)
        m->load_ns = e->duration_ns;
    if (comes(e->notice) || is_there) {
        const char *place = name_of_place(s, entry, e->placement);
        free(m->place);
        m->place = place ? alloc_text(place) : NULL;
        m->placement = e->placement;
        m->devices = e->devices;
        m->bytes = e->bytes;
        m->elsewhere = false;
    }
    m->elsewhere |= e->notice == NOTICE_ELSEWHERE;
    /* What went wrong before this is over, and no reason for what may go wrong now. */
    if (is_there || e->notice == NOTICE_SUSPENDED || e->notice == NOTICE_MOVING ||
        e->notice == NOTICE_SUSPENDING || e->notice == NOTICE_RESUMING) {
        free(entry->last_error);
        entry->last_error = NULL;
    }
}

void notices_publish(struct server *s, const struct effect *e)
{
    struct buf json = {0};
    const char *type = notice_text(e->notice);
    if (e->model != CORE_SLOT_NONE)
        note_end(s, e);
    put_details(s, e, details[e->notice], &json);
    log_info_with(e->model == CORE_SLOT_NONE ? NULL : roster_id(&s->roster, e->model),
                  LOG_WITH(LOG_JSON("details", json.data)), "%s", type);
    if (e->model != CORE_SLOT_NONE) {
        remember(s, e);
        residency_look(s, e->model);
    }
    server_publish(s, type, json.data);
    changes_models(s);
    buf_fini(&json);
}

void notices_waiter(struct server *s, const char *type, const struct effect *e)
{
    struct buf json = {0};
    if (s->events.followers.count == 0 && !hooks_want(s, type))
        return;
    put_details(s, e, WAITER_DETAILS, &json);
    server_publish(s, type, json.data);
    buf_fini(&json);
}

void notices_decision(struct server *s, const struct effect *e)
{
    struct buf json = {0};
    put_details(s, e, DECISION_DETAILS, &json);
    log_debug_with(roster_id(&s->roster, e->model), LOG_WITH(LOG_JSON("details", json.data)),
                   "decision");
    server_publish(s, "decision", json.data);
    buf_fini(&json);
}
