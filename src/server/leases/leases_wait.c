/* How leases wait: who is before whom, for how long, and for what. */
#include <string.h>

#include "mapping/mapping.h"
#include "server/leases/leases_priv.h"
#include "server/server.h"

/* To look for a plan may take a while: those further back are told less of why. */
#define PLANS_FOR_POSITION_MAX 4
#define HOLDERS_NAMED_MAX 3

#define FOR_BYTES UINT32_MAX /* instead of a gate */

/* ---- who is before whom ---- */

static bool has_gate(const struct lease *l, uint32_t gate)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        if (l->ask.gates[i] == gate)
            return true;
    return false;
}

static bool shares_gate(const struct lease *a, const struct lease *b)
{
    for (uint32_t i = 0; i < a->ask.gate_count; i++)
        if (has_gate(b, a->ask.gates[i]))
            return true;
    return false;
}

static bool wants_bytes_of(const struct lease *a, const struct lease *b)
{
    return a->ask.bytes && b->ask.bytes && (a->ask.device_mask & b->ask.device_mask);
}

static bool competes(const struct lease *a, const struct lease *b)
{
    return wants_bytes_of(a, b) || shares_gate(a, b);
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

/* later: the other has come after it. */
static bool is_before(const struct lease *other, const struct lease *l, bool later, uint64_t now)
{
    return later ? precedes(other, l, now) : !precedes(l, other, now);
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
        place += is_before(other, l, behind, now);
    }
    return place;
}

/* ---- for how long ---- */

/* Each counts for a quarter, as in the core. */
static void average(uint64_t *mean, uint64_t took)
{
    *mean = *mean ? (*mean * 3 + took) / 4 : took + 1;
}

void lease_learn_hold(struct lease *l)
{
    struct leases *ls = &l->server->leases;
    uint64_t held = uv_hrtime() - l->granted_ns;
    if (l->ask.bytes)
        average(&ls->bytes_hold_ns, held);
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        average(&l->server->roster.gates[l->ask.gates[i]].hold_ns_mean, held);
}

/* Until one that was granted ends: as it has said, else as those before it did. */
static bool left_of(const struct lease *l, uint64_t mean_ns, uint64_t now, uint64_t *ret_ns)
{
    uint64_t whole = l->ask.run_ns_max ? l->ask.run_ns_max : mean_ns;
    uint64_t ends = l->granted_ns + whole;
    *ret_ns = ends > now ? ends - now : 0;
    return whole != 0;
}

/* What stands between a lease and one thing that it wants. */
struct ahead {
    uint32_t holders, waiters;
    uint64_t first_ns, last_ns; /* when the first, the last of the holders ends */
    uint64_t waiters_ns;        /* how long those before it hold it, added up */
    bool known;
};

static bool wants_same(const struct lease *a, const struct lease *b, uint32_t gate)
{
    return gate == FOR_BYTES ? wants_bytes_of(a, b) : has_gate(b, gate);
}

static struct ahead look_ahead(const struct lease *l, uint32_t gate, uint64_t mean_ns, uint64_t now)
{
    struct ahead a = {.first_ns = UINT64_MAX, .known = true};
    const struct link *n;
    bool behind = false;
    list_each(n, &l->server->leases.all) {
        const struct lease *other = list_entry(n, const struct lease, link);
        uint64_t ns;
        behind = behind || other == l;
        if (other == l || !wants_same(l, other, gate))
            continue;
        if (other->phase == PHASE_GRANTED) {
            a.known = left_of(other, mean_ns, now, &ns) && a.known;
            a.holders++;
            a.first_ns = ns < a.first_ns ? ns : a.first_ns;
            a.last_ns = ns > a.last_ns ? ns : a.last_ns;
        } else if (other->phase == PHASE_WAITING && is_before(other, l, behind, now)) {
            uint64_t whole = other->ask.run_ns_max ? other->ask.run_ns_max : mean_ns;
            a.known = a.known && whole;
            a.waiters++;
            a.waiters_ns += whole;
        }
    }
    return a;
}

/* Those before it take the slots as they come free. */
static uint64_t gate_ns(const struct lease *l, uint32_t gate, uint64_t now, bool *known)
{
    const struct roster_gate *g = &l->server->roster.gates[gate];
    struct ahead a = look_ahead(l, gate, g->hold_ns_mean, now);
    uint32_t limit = g->policy.limit ? g->policy.limit : 1;
    *known = *known && a.known;
    return (a.holders >= limit ? a.first_ns : 0) + a.waiters_ns / limit;
}

/* Whoever fits beside those that are in comes in; for the others all of these have to end. */
static uint64_t bytes_ns(const struct lease *l, uint64_t now, bool *known)
{
    struct ahead a = look_ahead(l, FOR_BYTES, l->server->leases.bytes_hold_ns, now);
    struct core_plan_view plan;
    struct core_lease_ask ask = l->ask;
    ask.gate_count = 0;
    core_plan_lease(l->server->runner.core, &ask, &plan);
    if (plan.verdict == VERDICT_GO && a.waiters == 0)
        return plan.estimate_ns;
    *known = *known && a.known && (a.holders || a.waiters || plan.estimate_ns);
    uint64_t room = a.last_ns > plan.estimate_ns ? a.last_ns : plan.estimate_ns;
    return room + a.waiters_ns / (a.holders ? a.holders : 1);
}

uint32_t lease_estimate_s(const struct lease *l)
{
    uint64_t now = uv_hrtime(), longest = 0;
    bool known = true;
    for (uint32_t i = 0; i < l->ask.gate_count && known; i++) {
        uint64_t ns = gate_ns(l, l->ask.gates[i], now, &known);
        longest = ns > longest ? ns : longest;
    }
    if (l->ask.bytes && known) {
        uint64_t ns = bytes_ns(l, now, &known);
        longest = ns > longest ? ns : longest;
    }
    uint64_t s = (longest + NS_PER_S - 1) / NS_PER_S;
    return !known ? 0 : s < 1 ? 1 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* ---- what for ---- */

static void put_label(const struct lease *l, struct buf *out)
{
    buf_text(out, *l->name ? l->name : l->id);
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
