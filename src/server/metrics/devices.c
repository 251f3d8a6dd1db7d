/* Devices, leases and gates. */
#include "server/gpus/devices.h"
#include "gpu/gpu.h"
#include "mapping/mapping.h"
#include "server/metrics/metrics.h"
#include "server/metrics/samples.h"
#include "server/server.h"

/* ---- devices ---- */

struct seen {
    uint32_t at;
    const struct mapping_device *is;
    struct core_device_view v;
    const struct gpu_device *reading; /* NULL: there is none that is fresh */
};

static void each_device(struct samples *s, void (*put)(struct samples *s, const struct seen *d))
{
    struct mapping_devices devices;
    mapping_find_devices(s->server->roster.current->config, &devices);
    for (uint32_t i = 0; i < devices.count; i++) {
        struct seen d = {
            .at = i, .is = &devices.items[i], .reading = devices_reading(s->server->devices, i)};
        core_view_device(s->server->runner.core, i, &d.v);
        put(s, &d);
    }
}

static void label_device(struct samples *s, const struct seen *d)
{
    samples_label_number(s, d->at);
    samples_label(s, d->is->name);
}

static bool knows(const struct seen *d, enum gpu_known bit)
{
    return d->reading && (d->reading->known & bit);
}

#define DEVICE(name, is_known, put)                                                                \
    static void put_##name(struct samples *s, const struct seen *d)                                \
    {                                                                                              \
        if (!(is_known))                                                                           \
            return;                                                                                \
        label_device(s, d);                                                                        \
        put;                                                                                       \
    }                                                                                              \
    void metrics_put_device_##name(struct samples *s)                                              \
    {                                                                                              \
        each_device(s, put_##name);                                                                \
    }
DEVICE(up, true, samples_put(s, d->v.present && d->reading))
DEVICE(capacity, d->v.present, samples_put(s, d->v.total_bytes))
DEVICE(used, knows(d, GPU_USED), samples_put(s, d->reading->used_bytes))
DEVICE(utilization, knows(d, GPU_UTILISATION),
       samples_put_decimal(s, d->reading->utilisation_percent, 2))
DEVICE(power, knows(d, GPU_POWER), samples_put_decimal(s, d->reading->power_mw, 3))
DEVICE(temperature, knows(d, GPU_TEMPERATURE), samples_put_signed(s, d->reading->temperature_c))

/* What the ledger may never give to anybody. */
static uint64_t reserve_of(const struct seen *d)
{
    uint64_t total = d->v.total_bytes;
    uint64_t limited =
        total / 1000 * d->is->limit_permille + total % 1000 * d->is->limit_permille / 1000;
    return limited > d->is->reserve_bytes ? total - limited + d->is->reserve_bytes : total;
}

static void put_owners(struct samples *s, const struct seen *d)
{
    const struct {
        const char *owner;
        bool known;
        uint64_t bytes;
    } rows[] = {{"models", true, d->v.own_bytes},
                {"leases", true, d->v.leased_bytes},
                {"settling", true, d->v.settling_bytes},
                {"foreign", knows(d, GPU_USED), d->v.foreign_bytes},
                {"reserve", true, reserve_of(d)},
                {"free", true, d->v.room_bytes}};
    for (size_t i = 0; d->v.present && i < countof(rows); i++) {
        if (!rows[i].known)
            continue;
        label_device(s, d);
        samples_label(s, rows[i].owner);
        samples_put(s, rows[i].bytes);
    }
}

void metrics_put_device_bytes(struct samples *s)
{
    each_device(s, put_owners);
}

/* ---- leases ---- */

void metrics_put_leases_granted(struct samples *s)
{
    uint32_t waiting, granted;
    leases_count(s->server, &waiting, &granted);
    samples_put(s, granted);
}

void metrics_put_leases_waiting(struct samples *s)
{
    uint32_t waiting, granted;
    leases_count(s->server, &waiting, &granted);
    samples_put(s, waiting);
}

static void put_lease_waits(struct samples *s, bool whole)
{
    for (int class = 0; class < CLASS__COUNT; class ++) {
        const struct histogram *h = &s->server->metrics.lease_waits[class];
        uint64_t count = histogram_count(h, &metrics_request_buckets);
        if (!count)
            continue;
        samples_label(s, class_text((enum class) class));
        if (whole)
            samples_put_histogram(s, h);
        else
            samples_put(s, count);
    }
}

void metrics_put_leases_granted_total(struct samples *s)
{
    put_lease_waits(s, false);
}

void metrics_put_lease_wait(struct samples *s)
{
    put_lease_waits(s, true);
}

void metrics_put_leases_refused(struct samples *s)
{
    samples_put_reasons(s, NULL, s->server->metrics.leases_refused, NULL);
}

void metrics_put_leases_revoked(struct samples *s)
{
    samples_put_reasons(s, NULL, s->server->metrics.leases_revoked, NULL);
}

void metrics_put_leases_ended(struct samples *s)
{
    samples_put_reasons(s, NULL, s->server->metrics.leases_ended, "released");
}

/* ---- gates ---- */

static void each_gate(struct samples *s, uint32_t (*value)(const struct lease_gate *g))
{
    const struct roster *r = &s->server->roster;
    for (uint32_t i = 0; i < r->gate_count; i++) {
        struct lease_gate g;
        if (!r->gates[i].id || (!r->gates[i].listed && !r->gates[i].uses))
            continue;
        leases_look_at_gate(s->server, i, &g);
        samples_label(s, r->gates[i].id);
        samples_put(s, value(&g));
        buf_fini(&g.holders);
    }
}

#define GATE(name, member)                                                                         \
    static uint32_t name##_of(const struct lease_gate *g)                                          \
    {                                                                                              \
        return g->member;                                                                          \
    }                                                                                              \
    void metrics_put_gate_##name(struct samples *s)                                                \
    {                                                                                              \
        each_gate(s, name##_of);                                                                   \
    }
GATE(slots, limit)
GATE(inside, inside)
GATE(waiting, waiting)
