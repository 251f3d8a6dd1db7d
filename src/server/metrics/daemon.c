/* What decides, and the daemon itself. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/build.h"
#include "server/gpus/monitor.h"
#include "server/metrics/metrics.h"
#include "server/metrics/samples.h"
#include "server/server.h"

/* ---- what decides ---- */

void metrics_put_decisions(struct samples *s)
{
    const struct metrics *m = &s->server->metrics;
    for (size_t i = 0; i < countof(m->decisions); i++)
        if (m->decisions[i].type)
            samples_put_reasons(s, m->decisions[i].type, m->decisions[i].counts, "none");
}

void metrics_put_core_events(struct samples *s)
{
    for (int i = 0; i < EVENT__COUNT; i++) {
        if (!s->server->metrics.events[i])
            continue;
        samples_label_lower(s, event_type_text((enum event_type)i));
        samples_put(s, s->server->metrics.events[i]);
    }
}

void metrics_put_core_effects(struct samples *s)
{
    for (int i = 0; i < EFFECT__COUNT; i++) {
        if (!s->server->metrics.effects[i])
            continue;
        samples_label_lower(s, effect_type_text((enum effect_type)i));
        samples_put(s, s->server->metrics.effects[i]);
    }
}

void metrics_put_core_step(struct samples *s)
{
    samples_put_histogram(s, &s->server->metrics.step);
}

/* ---- how it is ---- */

void metrics_put_build_info(struct samples *s)
{
    samples_label(s, build.version);
    samples_label(s, build.commit);
    samples_put(s, 1);
}

void metrics_put_ready(struct samples *s)
{
    samples_put(s, watchdog_unready(s->server) == NULL);
}

void metrics_put_degraded(struct samples *s)
{
    const struct degraded *d = &s->server->degraded;
    for (uint32_t what = 0; what < DEGRADED__COUNT; what++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < d->count; i++)
            count += d->items[i].what == what;
        samples_label(s, degraded_words[what]);
        samples_put(s, count);
    }
}

void metrics_put_upgrades(struct samples *s)
{
    samples_put(s, s->server->handover.upgrades);
}

void metrics_put_loop_lag(struct samples *s)
{
    samples_put_histogram(s, &s->server->metrics.lag);
}

/* ---- who talks to it ---- */

void metrics_put_responses(struct samples *s)
{
    for (uint64_t digit = 1; digit < countof(s->server->metrics.responses); digit++) {
        char text[] = {(char)('0' + digit), 'x', 'x', '\0'};
        samples_label(s, text);
        samples_put(s, s->server->metrics.responses[digit]);
    }
}

void metrics_put_connections_open(struct samples *s)
{
    samples_put(s, s->server->clients.count);
}

void metrics_put_connections_accepted(struct samples *s)
{
    samples_put(s, s->server->metrics.accepted);
}

void metrics_put_connections_refused(struct samples *s)
{
    const struct limit_now *l = s->now->limits;
    samples_put(s, l[LIMIT_connections].refused + l[LIMIT_connections_kept].refused);
}

void metrics_put_events_published(struct samples *s)
{
    samples_put(s, s->server->events.next - 1);
}

void metrics_put_events_subscribers(struct samples *s)
{
    samples_put(s, s->server->events.followers.count);
}

void metrics_put_events_gaps(struct samples *s)
{
    samples_put(s, s->server->events.gaps);
}

void metrics_put_events_missed(struct samples *s)
{
    samples_put(s, s->server->events.missed);
}

/* ---- what it keeps ---- */

void metrics_put_store_queued(struct samples *s)
{
    struct store *store = s->server->history.store;
    samples_put(s, store ? store_queued(store) : 0);
}

void metrics_put_store_dropped(struct samples *s)
{
    struct store *store = s->server->history.store;
    samples_put(s, store ? store_dropped(store) : 0);
}

void metrics_put_store_bytes(struct samples *s)
{
    uint64_t bytes;
    if (monitor_store_bytes(s->server, &bytes))
        samples_put(s, bytes);
}

/* ---- its bounds ---- */

static void put_limits(struct samples *s, size_t member)
{
    for (int i = 0; i < LIMIT__COUNT; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&s->now->limits[i] + member, sizeof(value));
        if (value == LIMIT_UNKNOWN)
            continue;
        samples_label(s, limit_names[i]);
        samples_put(s, value);
    }
}

void metrics_put_limits_used(struct samples *s)
{
    put_limits(s, offsetof(struct limit_now, used));
}

void metrics_put_limits_max(struct samples *s)
{
    put_limits(s, offsetof(struct limit_now, max));
}

void metrics_put_limits_refused(struct samples *s)
{
    put_limits(s, offsetof(struct limit_now, refused));
}

/* ---- its process, under the names that Prometheus' own clients use ---- */

void metrics_put_process_start(struct samples *s)
{
    samples_put_ns(s, s->server->started_wall_ns);
}

void metrics_put_process_cpu(struct samples *s)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return;
    uint64_t seconds = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
    uint64_t us = (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    samples_put_ns(s, seconds * NS_PER_S + us * NS_PER_US);
}

/* proc(5): in pages; its size, and what of that is in memory. */
static void put_pages(struct samples *s, bool resident)
{
    unsigned long long pages[2];
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%llu %llu", &pages[0], &pages[1]) == 2)
        samples_put(s, pages[resident] * (uint64_t)sysconf(_SC_PAGESIZE));
    if (f)
        fclose(f);
}

void metrics_put_process_resident(struct samples *s)
{
    put_pages(s, true);
}

void metrics_put_process_virtual(struct samples *s)
{
    put_pages(s, false);
}

void metrics_put_process_fds(struct samples *s)
{
    samples_put(s, s->now->limits[LIMIT_descriptors].used);
}

void metrics_put_process_fds_max(struct samples *s)
{
    samples_put(s, s->now->limits[LIMIT_descriptors].max);
}
