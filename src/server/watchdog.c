#include "server/watchdog.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/leases/leases.h"
#include "server/parts.h"
#include "server/proxy/answer.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

#define LOOK_NS (5 * NS_PER_S)

enum watchdog_verdict watchdog_look(struct watchdog *w, bool still, uint64_t now_ns)
{
    static const uint64_t after_ns[] = {[WATCHDOG_RETRY] = WATCHDOG_RETRY_NS,
                                        [WATCHDOG_UNWELL] = WATCHDOG_UNWELL_NS,
                                        [WATCHDOG_REFUSE] = WATCHDOG_REFUSE_NS};
    uint64_t passed = now_ns - w->looked_ns;
    w->looked_ns = now_ns;
    if (!still) {
        w->since_ns = 0;
        w->said = WATCHDOG_WELL;
        return WATCHDOG_WELL;
    }
    if (!w->since_ns)
        w->since_ns = now_ns;
    else if (passed > 2 * LOOK_NS)
        w->since_ns += passed - LOOK_NS;
    enum watchdog_verdict next = w->said + 1;
    if (next > WATCHDOG_REFUSE || now_ns - w->since_ns < after_ns[next])
        return WATCHDOG_WELL;
    w->said = next;
    return next;
}

static void tell(struct server *s)
{
    char details[128];
    struct core_view v;
    core_view(s->runner.core, &v);
    unsigned long long seconds = (s->watchdog.looked_ns - s->watchdog.since_ns) / NS_PER_S;
    log_error_with(NULL, LOG_WITH(LOG_NUMBER("seconds", seconds)),
                   "no progress: %u requests and %u leases wait, and nothing is under way",
                   v.waiting, v.leases_waiting);
    snprintf(details, sizeof(details), "{\"requests\":%u,\"leases\":%u,\"seconds\":%llu}",
             v.waiting, v.leases_waiting, seconds);
    server_publish(s, "no_progress", details);
}

static void refuse_requests(struct server *s)
{
    struct core_view v;
    struct core_waiting w;
    struct id cursor = {0};
    uint32_t count = 0;
    core_view(s->runner.core, &v);
    uint64_t *tags = alloc_zeroed(v.waiting + 1, sizeof(*tags));
    while (count < v.waiting && core_view_next_waiting(s->runner.core, &cursor, &w))
        tags[count++] = w.tag;
    for (uint32_t i = 0; i < count; i++) {
        struct exchange *ex = exchange_find(s, tags[i]);
        if (ex)
            exchange_fail_error(ex, ERR_NO_PROGRESS, NULL);
    }
    free(tags);
}

void watchdog_act(struct server *s, enum watchdog_verdict verdict)
{
    if (verdict == WATCHDOG_WELL)
        return;
    tell(s);
    if (verdict == WATCHDOG_RETRY)
        parts_configure(s);
    if (verdict != WATCHDOG_REFUSE)
        return;
    refuse_requests(s);
    leases_end_waiting(s, "nothing moved");
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, watchdog.timer);
    struct core_view v;
    core_view(s->runner.core, &v);
    bool still = v.waiting + v.leases_waiting > 0 && !v.pending;
    watchdog_act(s, watchdog_look(&s->watchdog, still, uv_hrtime()));
}

void watchdog_init(struct server *s)
{
    s->watchdog = (struct watchdog){.said = WATCHDOG_WELL};
    uv_timer_init(s->loop, &s->watchdog.timer);
}

void watchdog_start(struct server *s)
{
    s->watchdog.looked_ns = uv_hrtime();
    uv_timer_start(&s->watchdog.timer, on_timer, LOOK_NS / NS_PER_MS, LOOK_NS / NS_PER_MS);
}

void watchdog_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->watchdog.timer, NULL);
}

bool watchdog_is_unwell(const struct server *s)
{
    return s->watchdog.said >= WATCHDOG_UNWELL;
}

const char *watchdog_unready(const struct server *s)
{
    if (s->stopping)
        return "stopping";
    if (!s->boot.over)
        return "starting";
    return watchdog_is_unwell(s) ? "no progress" : NULL;
}
