/* What the next daemon has to know of leases, should this one die: written before the grant is
 * told, so that nobody holds what nobody remembers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/leases/leases_priv.h"
#include "server/server.h"

#define KEPT_NAME_MAX 256
#define KEPT_DEVICE_MAX 96

/* By names, since slots and numbers are another daemon's tomorrow. Times are of the monotonic
 * clock, which goes on while the boot does. */
struct kept {
    char id[LEASE_ID_MAX], token[LEASE_TOKEN_MAX], name[LEASE_NAME_MAX + 1];
    uint8_t remains, revocable, class;
    int32_t pid;
    uint32_t device_count, gate_count, place_count;
    uint64_t start_ticks, bytes, ttl_ns, run_ns_max, grace_ns;
    uint64_t since_ns, granted_ns, waited_ns;
    char gates[CORE_LEASE_GATES_MAX][KEPT_NAME_MAX];
    char places[CORE_DEVICES_MAX][KEPT_DEVICE_MAX]; /* where it is: UUIDs, or names */
};
_Static_assert(sizeof(struct kept) <= RECORD_BYTES_MAX, "one record");

static const char *identity(const struct config_gpu *gpu)
{
    return gpu->uuid && *gpu->uuid ? gpu->uuid : gpu->name;
}

static void describe(const struct lease *l, struct kept *k)
{
    const struct server *s = l->server;
    const struct config *c = s->roster.current->config;
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
        snprintf(k->gates[i], KEPT_NAME_MAX, "%s", roster_gate(&s->roster, l->ask.gates[i]));
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++)
        if (l->devices >> d & 1)
            snprintf(k->places[k->place_count++], KEPT_DEVICE_MAX, "%s", identity(&c->gpus[d]));
}

void lease_keep(struct lease *l)
{
    struct kept k;
    describe(l, &k);
    if (records_put(&l->server->leases.records, &l->record, RECORD_LEASE, &k, sizeof(k)) < 0)
        log_warn(NULL, "lease %s is not kept: it would not outlive a daemon that is killed", l->id);
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
    for (size_t i = 0; i < CORE_DEVICES_MAX; i++)
        ends &= !k->places[i][KEPT_DEVICE_MAX - 1];
    return ends && strlen(k->token) == LEASE_TOKEN_MAX - 1 && k->class < CLASS__COUNT &&
           k->gate_count <= CORE_LEASE_GATES_MAX && k->place_count <= CORE_DEVICES_MAX;
}

static uint32_t find_places(const struct server *s, const struct kept *k)
{
    const struct config *c = s->roster.current->config;
    uint32_t mask = 0, count = 0;
    for (uint32_t i = 0; i < k->place_count; i++)
        for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++)
            if (strcmp(identity(&c->gpus[d]), k->places[i]) == 0)
                mask |= 1U << d;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        count += mask >> d & 1;
    if (count < k->place_count)
        log_warn(NULL, "lease %s: %u of its %u devices are not there any more", k->id,
                 k->place_count - count, k->place_count);
    return mask;
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
        uint32_t slot = roster_find_gate(&s->roster, k->gates[i]);
        if (slot != CORE_SLOT_NONE)
            ask.gates[ask.gate_count++] = slot;
    }
    return ask;
}

static void restore(struct server *s, uint32_t record, const struct kept *k)
{
    struct lease *l = lease_new(s);
    if (!l) {
        records_drop(&s->leases.records, &record);
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
    log_info(NULL, "lease %s of an earlier daemon is kept for %llu s", l->id,
             (unsigned long long)(grace / NS_PER_S));
    runner_event(&s->runner,
                 (struct event){.type = EVENT_LEASE_RESTORED,
                                .lease = {.tag = leases_tag(l),
                                          .ask = &l->ask,
                                          .devices = devices,
                                          .grace_ns = k->remains ? LEASE_NEVER_NS : grace}});
}

int leases_restore(struct server *s, struct err *err)
{
    uint32_t cursor = 0;
    struct record r;
    (void)err;
    while (records_next(&s->leases.records, &cursor, &r)) {
        struct kept k;
        uint32_t slot = r.slot;
        if (is_sound(&r, &k))
            restore(s, slot, &k);
        else if (r.kind == RECORD_LEASE)
            records_drop(&s->leases.records, &slot);
    }
    return 0;
}

bool leases_kept_bytes(const struct server *s)
{
    uint32_t cursor = 0;
    struct record r;
    struct kept k;
    while (records_next(&s->leases.records, &cursor, &r))
        if (is_sound(&r, &k) && k.bytes)
            return true;
    return false;
}

int leases_open(struct server *s, struct err *err)
{
    char *path = alloc_printf("%s/records", s->state_dir);
    if (records_open(&s->leases.records, path, NULL, err) < 0) {
        /* Leases can do without, as long as the daemon lives. */
        degraded_set(s, DEGRADED_STORE, "records", err->text, NULL, 0);
        *err = (struct err){0};
    }
    free(path);
    return 0;
}
