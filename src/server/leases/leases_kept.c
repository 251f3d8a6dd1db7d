/* What the next daemon has to know of leases, should this one die: written before the grant is
 * told, so that nobody holds what nobody remembers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/places.h"
#include "server/leases/leases_priv.h"
#include "server/server.h"

#define KEPT_NAME_MAX 256

/* By names, since slots and numbers are another daemon's tomorrow. Times are of the monotonic
 * clock, which goes on while the boot does. */
struct kept {
    char id[LEASE_ID_MAX], token[LEASE_TOKEN_MAX], name[LEASE_NAME_MAX + 1];
    uint8_t remains, revocable, class;
    int32_t pid;
    uint32_t device_count, gate_count;
    uint64_t start_ticks, bytes, ttl_ns, run_ns_max, grace_ns;
    uint64_t since_ns, granted_ns, waited_ns;
    char gates[CORE_LEASE_GATES_MAX][KEPT_NAME_MAX];
    struct places places; /* where it is */
};
_Static_assert(sizeof(struct kept) <= RECORD_BYTES_MAX, "one record");

static void describe(const struct lease *l, struct kept *k)
{
    const struct server *s = l->server;
    *k = (struct kept){.remains = l->phase == PHASE_REMAINS,
                       .revocable = l->ask.revocable,
                       .class = (uint8_t)l->ask.class,
                       .pid = l->process.pid,
                       .device_count = l->ask.device_count,
                       .gate_count = l->ask.gate_count,
                       .start_ticks = l->process.start_ticks,
                       .bytes = l->ask.bytes,
                       .ttl_ns = l->ask.ttl_ns,
                       .run_ns_max = l->ask.run_ns_max,
                       .grace_ns = l->ask.grace_ns,
                       .since_ns = l->since_ns,
                       .granted_ns = l->granted_ns,
                       .waited_ns = l->waited_ns};
    memcpy(k->id, l->id, sizeof(k->id));
    memcpy(k->token, l->token, sizeof(k->token));
    snprintf(k->name, sizeof(k->name), "%s", l->name);
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        record_put_name(k->gates[i], KEPT_NAME_MAX, roster_gate(&s->roster, l->ask.gates[i]));
    places_name(s, l->devices, &k->places);
}

void lease_keep(struct lease *l)
{
    struct kept k;
    describe(l, &k);
    if (records_put(&l->server->records, &l->record, RECORD_LEASE, &k, sizeof(k)) < 0)
        log_warn_with(NULL, LOG_WITH(LOG_SAID("lease", l->id)),
                      "lease %s is not kept: it would not outlive a daemon that is killed", l->id);
}

/* Whatever a file says, texts end and numbers are in their bounds. */
static bool is_sound(const struct record *r, struct kept *k)
{
    if (r->kind != RECORD_LEASE || r->len != sizeof(*k))
        return false;
    memcpy(k, r->data, sizeof(*k));
    bool ends = !k->id[sizeof(k->id) - 1] && !k->token[sizeof(k->token) - 1] &&
                !k->name[sizeof(k->name) - 1];
    for (size_t i = 0; i < CORE_LEASE_GATES_MAX; i++)
        ends &= !k->gates[i][KEPT_NAME_MAX - 1];
    return ends && strlen(k->token) == LEASE_TOKEN_MAX - 1 && k->class < CLASS__COUNT &&
           k->gate_count <= CORE_LEASE_GATES_MAX && places_sound(&k->places);
}

static uint32_t find_places(const struct server *s, const struct kept *k)
{
    uint32_t missing, mask = places_find(s, &k->places, &missing);
    if (missing)
        log_warn_with(NULL, LOG_WITH(LOG_SAID("lease", k->id)),
                      "lease %s: %u of its %u devices are not there any more", k->id, missing,
                      k->places.count);
    return mask;
}

/* CORE_SLOT_NONE: it is not configured any more. */
static uint32_t find_gate(const struct server *s, const char *kept)
{
    for (uint32_t slot = 0; slot < s->roster.gate_count; slot++) {
        const char *name = roster_gate(&s->roster, slot);
        if (record_has_name(kept, KEPT_NAME_MAX, name))
            return roster_find_gate(&s->roster, name);
    }
    return CORE_SLOT_NONE;
}

static struct core_lease_ask ask_of(const struct server *s, const struct kept *k, uint32_t devices)
{
    struct core_lease_ask ask = {.class = (enum class)k->class,
                                 .device_mask = devices,
                                 .device_count = k->device_count,
                                 .bytes = k->bytes,
                                 .ttl_ns = k->ttl_ns,
                                 .wait_ns_max = UINT64_MAX,
                                 .run_ns_max = k->run_ns_max,
                                 .grace_ns = k->grace_ns,
                                 .revocable = k->revocable};
    for (uint32_t i = 0; i < k->gate_count; i++) {
        uint32_t slot = find_gate(s, k->gates[i]);
        if (slot != CORE_SLOT_NONE)
            ask.gates[ask.gate_count++] = slot;
    }
    return ask;
}

static void restore(struct server *s, uint32_t record, const struct kept *k)
{
    struct lease *l = lease_new(s);
    if (!l) {
        records_drop(&s->records, &record);
        return;
    }
    uint32_t devices = find_places(s, k);
    struct core_lease_ask ask = ask_of(s, k, devices);
    uint64_t grace = s->roster.current->config->lease_grace_ns;
    grace = k->ttl_ns > grace ? k->ttl_ns : grace;
    memcpy(l->id, k->id, sizeof(l->id));
    memcpy(l->token, k->token, sizeof(l->token));
    l->name = alloc_text(k->name);
    l->process = (struct proc){.pid = k->pid, .start_ticks = k->start_ticks};
    l->record = record;
    l->phase = k->remains ? PHASE_REMAINS : PHASE_GRANTED;
    l->end_told = k->remains;
    l->devices = devices;
    l->since_ns = k->since_ns;
    l->granted_ns = k->granted_ns;
    l->waited_ns = k->waited_ns;
    l->knows_token = l->knows_grant = true;
    l->expires_ns = k->remains ? 0 : uv_hrtime() + grace;
    lease_set_ask(l, &ask);
    log_info_with(NULL, LOG_WITH(LOG_SAID("lease", l->id)),
                  "lease %s of an earlier daemon is kept for %llu s", l->id,
                  (unsigned long long)(grace / NS_PER_S));
    runner_event(&s->runner,
                 (struct event){.type = EVENT_LEASE_RESTORED,
                                .lease = {.tag = leases_tag(l),
                                          .ask = &l->ask,
                                          .devices = devices,
                                          .grace_ns = k->remains ? LEASE_NEVER_NS : grace}});
    l->awaited = l->phase == PHASE_GRANTED;
    if (l->awaited && k->pid)
        lease_watch_awaited(l);
}

int leases_restore(struct server *s, struct err *err)
{
    uint32_t cursor = 0;
    struct record r;
    (void)err;
    while (records_next(&s->records, &cursor, &r)) {
        struct kept k;
        uint32_t slot = r.slot;
        if (is_sound(&r, &k))
            restore(s, slot, &k);
        else if (r.kind == RECORD_LEASE)
            records_drop(&s->records, &slot);
    }
    return 0;
}

bool leases_kept_bytes(const struct server *s)
{
    uint32_t cursor = 0;
    struct record r;
    struct kept k;
    while (records_next(&s->records, &cursor, &r))
        if (is_sound(&r, &k) && k.bytes)
            return true;
    return false;
}
