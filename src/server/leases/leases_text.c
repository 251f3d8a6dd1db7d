/* What is said of leases: lines to their holders, how long they wait and for what, why they are
 * refused. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"
#include "server/leases/leases_priv.h"
#include "server/server.h"

/* To look for a plan may take a while: those further back are told less of why. */
#define PLANS_FOR_POSITION_MAX 4
#define HOLDERS_NAMED_MAX 3

/* ---- who is before whom ---- */

static bool shares_gate(const struct lease *a, const struct lease *b, uint32_t *ret_gate)
{
    for (uint32_t i = 0; i < a->ask.gate_count; i++)
        for (uint32_t k = 0; k < b->ask.gate_count; k++)
            if (a->ask.gates[i] == b->ask.gates[k]) {
                *ret_gate = a->ask.gates[i];
                return true;
            }
    return false;
}

static bool competes(const struct lease *a, const struct lease *b)
{
    uint32_t gate;
    bool bytes = a->ask.bytes && b->ask.bytes && (a->ask.device_mask & b->ask.device_mask);
    return bytes || shares_gate(a, b, &gate);
}

/* As the core has it at gates: after the shortest of their bounds. */
static uint64_t overdue_at(const struct lease *l)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < l->ask.gate_count; i++) {
        uint64_t max = l->server->roster.gates[l->ask.gates[i]].policy.wait_ns_max[l->ask.class];
        if (max && l->since_ns + max < at)
            at = l->since_ns + max;
    }
    return at;
}

static bool precedes(const struct lease *a, const struct lease *b, uint64_t now)
{
    bool late_a = overdue_at(a) <= now, late_b = overdue_at(b) <= now;
    if (late_a != late_b)
        return late_a;
    if (late_a && overdue_at(a) != overdue_at(b))
        return overdue_at(a) < overdue_at(b);
    if (!late_a && a->ask.class != b->ask.class)
        return a->ask.class < b->ask.class;
    return false; /* the list is in order of arrival */
}

uint64_t lease_overdue_ns(const struct lease *l)
{
    uint64_t at = overdue_at(l);
    return at == UINT64_MAX ? 0 : at;
}

uint32_t lease_position(const struct lease *l)
{
    uint32_t place = 1;
    uint64_t now = uv_hrtime();
    const struct link *n;
    bool behind = false;
    list_each(n, &l->server->leases.all) {
        const struct lease *other = list_entry(n, const struct lease, link);
        if (other == l) {
            behind = true;
            continue;
        }
        if (other->phase != PHASE_WAITING || !competes(l, other))
            continue;
        place += behind ? precedes(other, l, now) : !precedes(l, other, now);
    }
    return place;
}

/* Known only where everybody that it waits for has said how long he runs: when the last of them
 * ends. */
uint32_t lease_estimate_s(const struct lease *l)
{
    uint64_t last = 0, now = uv_hrtime();
    const struct link *n;
    list_each(n, &l->server->leases.all) {
        const struct lease *other = list_entry(n, const struct lease, link);
        if (other->phase != PHASE_GRANTED || !competes(l, other))
            continue;
        if (!other->ask.run_ns_max)
            return 0;
        uint64_t ends = other->granted_ns + other->ask.run_ns_max;
        last = ends > last ? ends : last;
    }
    return last > now ? (uint32_t)((last - now + NS_PER_S - 1) / NS_PER_S) : 0;
}

/* ---- what for ---- */

static void put_label(const struct lease *l, struct buf *out)
{
    buf_text(out, *l->name ? l->name : l->id);
}

static bool has_gate(const struct lease *l, uint32_t gate)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        if (l->ask.gates[i] == gate)
            return true;
    return false;
}

void leases_look_at_gate(const struct server *s, uint32_t gate, struct lease_gate *ret)
{
    struct lease_gate g = {.limit = s->roster.gates[gate].policy.limit};
    const struct link *n;
    list_each(n, &s->leases.all) {
        const struct lease *l = list_entry(n, const struct lease, link);
        if (!has_gate(l, gate))
            continue;
        g.waiting += l->phase == PHASE_WAITING;
        if (l->phase != PHASE_GRANTED || g.inside++ >= HOLDERS_NAMED_MAX)
            continue;
        buf_text(&g.holders, g.holders.len ? ", " : "");
        put_label(l, &g.holders);
    }
    if (g.inside > HOLDERS_NAMED_MAX)
        buf_text(&g.holders, ", …");
    *ret = g;
}

/* The first of its gates that is full, with some of those inside. */
static bool put_full_gate(const struct server *s, const struct lease *l, struct buf *out)
{
    bool full = false;
    for (uint32_t i = 0; i < l->ask.gate_count && !full; i++) {
        struct lease_gate g;
        leases_look_at_gate(s, l->ask.gates[i], &g);
        full = g.inside >= g.limit;
        if (full)
            buf_printf(out, "a slot of gate %s (%u of %u taken: %s)",
                       s->roster.gates[l->ask.gates[i]].id, g.inside, g.limit, g.holders.data);
        buf_fini(&g.holders);
    }
    return full;
}

static void put_memory(struct server *s, const struct lease *l, struct buf *out)
{
    struct core_plan_view plan;
    struct core_lease_ask ask = l->ask;
    char size[UNITS_TEXT_MAX];
    ask.gate_count = 0;
    core_plan_lease(s->runner.core, &ask, &plan);
    buf_printf(out, "%s of device memory", units_format_bytes(ask.bytes, size));
    const char *sep = ": these have to leave: ";
    for (uint32_t i = 0; i < plan.victim_count && i < CORE_PLAN_VICTIMS_MAX; i++) {
        const struct core_plan_victim *v = &plan.victims[i];
        const struct lease *other = leases_by_core(s, v->lease);
        buf_text(out, sep);
        if (v->model != CORE_SLOT_NONE)
            buf_text(out, roster_id(&s->roster, v->model));
        else if (other)
            put_label(other, out);
        sep = ", ";
    }
    if (plan.verdict != VERDICT_GO && plan.why != REASON_NONE)
        buf_printf(out, ": %s", reason_text(plan.why));
}

void leases_put_wait(struct server *s, const struct lease *l, struct buf *out)
{
    uint32_t position = lease_position(l);
    if (put_full_gate(s, l, out))
        return;
    if (l->ask.bytes && position <= PLANS_FOR_POSITION_MAX)
        put_memory(s, l, out);
    else
        buf_text(out, "those who came before it");
}

/* ---- lines ---- */

static void put_seconds(struct buf *out, const char *name, uint64_t ns)
{
    buf_printf(out, ",\"%s\":%llu.%03llu", name, (unsigned long long)(ns / NS_PER_S),
               (unsigned long long)(ns % NS_PER_S / NS_PER_MS));
}

static void put_devices(const struct lease *l, struct buf *out)
{
    const struct config *c = l->server->roster.current->config;
    const char *sep = "";
    buf_text(out, ",\"devices\":[");
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(l->devices >> d & 1))
            continue;
        buf_printf(out, "%s{\"name\":", sep);
        buf_json_text(out, c->gpus[d].name);
        buf_text(out, ",\"uuid\":");
        if (c->gpus[d].uuid && *c->gpus[d].uuid)
            buf_json_text(out, c->gpus[d].uuid);
        else
            buf_text(out, "null");
        buf_printf(out, ",\"bytes\":%llu}", (unsigned long long)l->ask.bytes);
        sep = ",";
    }
    buf_char(out, ']');
}

static void put_environment(const struct lease *l, struct buf *out)
{
    char *env[DEVICES_ENV_MAX + 1] = {NULL};
    devices_put_env(l->server->devices, l->devices, env);
    buf_text(out, ",\"environment\":{");
    for (uint32_t i = 0; env[i]; i++) {
        size_t n = strcspn(env[i], "=");
        buf_json(out, env[i], n);
        buf_char(out, ':');
        buf_json_text(out, env[i] + n + 1);
        buf_char(out, ',');
        free(env[i]);
    }
    buf_printf(out, "\"WHARF_LEASE\":\"%s:%s\"}", l->id, l->token);
}

static void put_begin(const struct lease *l, const char *state, struct buf *out)
{
    buf_printf(out, "{\"lease\":\"%s\"", l->id);
    if (!l->knows_token || (l->ask.ttl_ns && l->phase == PHASE_GRANTED))
        buf_printf(out, ",\"token\":\"%s\"", l->token);
    buf_printf(out, ",\"state\":\"%s\"", state);
}

void lease_put_granted(const struct lease *l, struct buf *out)
{
    put_begin(l, "granted", out);
    put_devices(l, out);
    put_environment(l, out);
    put_seconds(out, "waited_s", l->waited_ns);
    if (l->ask.ttl_ns)
        put_seconds(out, "expires_s", leases_left_ns(l));
    buf_char(out, '}');
}

uint64_t leases_left_ns(const struct lease *l)
{
    uint64_t now = uv_hrtime();
    return l->expires_ns > now ? l->expires_ns - now : 0;
}

static char *wait_of(const struct lease *l)
{
    struct buf text = {0};
    leases_put_wait(l->server, l, &text);
    return buf_take(&text);
}

bool lease_wait_changed(const struct lease *l)
{
    if (lease_position(l) != l->told_position)
        return true;
    char *now = wait_of(l);
    bool changed = !l->told_wait || strcmp(now, l->told_wait) != 0;
    free(now);
    return changed;
}

static void put_waiting(struct lease *l, struct buf *out)
{
    uint32_t estimate = lease_estimate_s(l);
    free(l->told_wait);
    l->told_wait = wait_of(l);
    l->told_position = lease_position(l);
    put_begin(l, "waiting", out);
    buf_printf(out, ",\"position\":%u,\"estimate_s\":", l->told_position);
    if (estimate)
        buf_printf(out, "%u", estimate);
    else
        buf_text(out, "null");
    buf_text(out, ",\"for\":");
    buf_json_text(out, l->told_wait);
    buf_char(out, '}');
}

static void put_refused(const struct lease *l, struct buf *out)
{
    struct buf text = {0};
    int error = leases_describe(l->server, &l->ask, l->refused, &text);
    put_begin(l, "refused", out);
    buf_printf(out, ",\"error\":{\"code\":\"%s\",\"message\":", error_info(error)->code);
    buf_json_text(out, text.data);
    buf_text(out, "}}");
    buf_fini(&text);
}

static void put_reason(const struct lease *l, const char *state, const char *why, struct buf *out)
{
    put_begin(l, state, out);
    buf_text(out, ",\"reason\":");
    buf_json_text(out, why);
    if (l->phase == PHASE_GRANTED)
        put_seconds(out, "grace_s", leases_left_ns(l));
    buf_char(out, '}');
}

void lease_put_line(struct lease *l, struct buf *out)
{
    switch (l->phase) {
    case PHASE_ASKED:
    case PHASE_WAITING:
        put_waiting(l, out);
        break;
    case PHASE_GRANTED:
        if (l->knows_grant)
            put_reason(l, "revoked", l->revoked_why, out);
        else
            lease_put_granted(l, out);
        break;
    case PHASE_REMAINS:
    case PHASE_OVER:
        if (l->refused != REASON_NONE)
            put_refused(l, out);
        else
            put_reason(l, "ended", l->ended_why, out);
        break;
    }
}

/* ---- refusals ---- */

static uint64_t capacity_of(const struct mapping_device *d, const struct core_device_view *v)
{
    uint64_t limited = v->total_bytes / 1000 * d->limit_permille +
                       v->total_bytes % 1000 * d->limit_permille / 1000;
    return v->present && limited > d->reserve_bytes ? limited - d->reserve_bytes : 0;
}

/* What each of the devices could ever give, and what the largest lease like this would be. */
static void put_capacities(struct server *s, const struct core_lease_ask *ask, struct buf *out)
{
    uint64_t sizes[CORE_DEVICES_MAX] = {0};
    uint32_t count = 0, wanted = ask->device_count ? ask->device_count : 1;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    struct mapping_devices devices;
    mapping_find_devices(s->roster.current->config, &devices);
    for (uint32_t d = 0; d < devices.count; d++) {
        struct core_device_view v;
        core_view_device(s->runner.core, d, &v);
        if (!(ask->device_mask >> d & 1) || !v.present)
            continue;
        uint64_t size = capacity_of(&devices.items[d], &v);
        buf_printf(out, " %s can give %s of %s;", devices.items[d].name,
                   units_format_bytes(size, a), units_format_bytes(v.total_bytes, b));
        uint32_t at = count++;
        for (; at > 0 && sizes[at - 1] < size; at--)
            sizes[at] = sizes[at - 1];
        sizes[at] = size;
    }
    if (count < wanted)
        buf_printf(out, " there are %u such devices", count);
    else
        buf_printf(out, " the largest possible on %u is %s (%llu bytes)", wanted,
                   units_format_bytes(sizes[wanted - 1], a), (unsigned long long)sizes[wanted - 1]);
}

static int error_of(enum reason why)
{
    switch ((int)why) {
    case REASON_NO_ROOM:
        return ERR_NO_ROOM;
    case REASON_NO_DEVICE:
        return ERR_NO_DEVICE;
    case REASON_QUEUE_FULL:
        return ERR_QUEUE_FULL;
    case REASON_WAIT_EXPIRED:
        return ERR_WAIT_EXPIRED;
    case REASON_SHUTDOWN:
        return ERR_SHUTTING_DOWN;
    case REASON_PINNED:
    case REASON_LEASED:
    case REASON_FOREIGN:
        return ERR_BLOCKED;
    default:
        return ERR_NO_ROOM_NOW;
    }
}

void leases_put_numbers(struct server *s, const struct core_lease_ask *ask, struct buf *text)
{
    char size[UNITS_TEXT_MAX];
    buf_printf(text, "it asks for %s on %u of these:", units_format_bytes(ask->bytes, size),
               ask->device_count ? ask->device_count : 1);
    put_capacities(s, ask, text);
}

int leases_describe(struct server *s, const struct core_lease_ask *ask, enum reason why,
                    struct buf *text)
{
    int error = error_of(why);
    if (why == REASON_QUEUE_FULL) {
        buf_printf(text, "there are %d leases already", LEASES_MAX);
        return error;
    }
    buf_printf(text, "the lease is refused: %s", reason_text(why));
    if (!ask->bytes)
        return error;
    buf_text(text, "; ");
    leases_put_numbers(s, ask, text);
    return error;
}
