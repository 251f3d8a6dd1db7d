#include "server/runner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/handover/drainer.h"
#include "server/handover/handover.h"
#include "server/proxy/exchange.h"
#include "server/record/swaps.h"
#include "server/server.h"
#include "server/tell/notices.h"
#include "server/trace.h"

/* One for each model, and more. */
#define COMMANDS_MAX (ROSTER_MODELS_MAX + 1024)
#define GROUPS_MAX (CONFIG_GROUPS_MAX + 1)
/* For each that there is, what it holds and what still settles of it; and one to look for plans. */
#define CORE_LEASES_MAX (2 * LEASES_MAX + 1)
/* All invariants are checked every so many steps: linear work, spread thin. */
#define STEPS_PER_CHECK 4096
/* A deadline that comes later than this by more was slept through: the machine or the daemon stood
 * still, and that time counts against nobody. */
#define GAP_TOLERANCE_NS (2 * NS_PER_S)

static void do_wait(struct server *s, const struct effect *e)
{
    notices_waiter(s, "waiting", e);
    exchange_waiting(s, e);
}

static void do_grant(struct server *s, const struct effect *e)
{
    if (handover_granted(s, e))
        return;
    /* Those that were served at once are no news. */
    if (e->duration_ns)
        notices_waiter(s, "granted", e);
    exchange_granted(s, e);
}

static void do_refuse(struct server *s, const struct effect *e)
{
    if (handover_refused(s, e))
        return;
    decisions_note(s, e);
    notices_waiter(s, "refused", e);
    if (e->model == CORE_SLOT_NONE) {
        metrics_lease_refused(s, e);
        leases_refused(s, e);
    } else {
        exchange_refused(s, e);
    }
}

static void do_sample_now(struct server *s, const struct effect *e)
{
    devices_sample_now(s->devices, e->device);
}

static void do_retired(struct server *s, const struct effect *e)
{
    if (roster_retire(&s->roster, e->model))
        metrics_forget(s, e->model);
}

static void do_notice(struct server *s, const struct effect *e)
{
    if (leases_hide(s, e))
        return;
    metrics_noticed(s, e);
    decisions_note(s, e);
    footprints_noticed(s, e);
    swaps_note(s, e);
    if (e->notice == NOTICE_BACKEND_DOWN)
        residents_backend_down(s, e->backend);
    else if (e->notice == NOTICE_BACKEND_UP)
        residents_backend_up(s, e->backend);
    else
        notices_publish(s, e);
    if (e->notice == NOTICE_SETTLED)
        settles_over(s, e->model);
    if (e->notice == NOTICE_DRAINED)
        server_drained(s);
}

static void do_decision(struct server *s, const struct effect *e)
{
    decisions_note(s, e);
    swaps_decided(s, e);
    notices_decision(s, e);
}

static void do_command_done(struct server *s, const struct effect *e)
{
    if (e->tag == SERVER_TAG_PRELOAD) {
        s->preload_running = false;
        server_preload_next(s);
        return;
    }
    exchange_command_done(s, e);
}

static void (*const actions[])(struct server *s, const struct effect *e) = {
    [EFFECT_WAIT] = do_wait,
    [EFFECT_GRANT] = do_grant,
    [EFFECT_REFUSE] = do_refuse,
    [EFFECT_LEASE_WAIT] = leases_wait,
    [EFFECT_LEASE_GRANT] = leases_granted,
    [EFFECT_LEASE_REVOKE] = leases_revoked,
    [EFFECT_LEASE_END] = leases_ended,
    [EFFECT_MOVE] = resident_move,
    [EFFECT_SUSPEND] = resident_suspend,
    [EFFECT_RESUME] = resident_resume,
    [EFFECT_BACKEND_PROBE] = resident_probe,
    [EFFECT_TRACE] = leases_traced,
    [EFFECT_LEARNED] = footprints_learned,
    [EFFECT_LOAD] = resident_load,
    [EFFECT_ABORT] = resident_abort,
    [EFFECT_UNLOAD] = resident_unload,
    [EFFECT_KILL] = resident_kill,
    [EFFECT_SAMPLE_NOW] = do_sample_now,
    [EFFECT_COMMAND_DONE] = do_command_done,
    [EFFECT_MODEL_RETIRED] = do_retired,
    [EFFECT_NOTICE] = do_notice,
    [EFFECT_DECISION] = do_decision,
};
_Static_assert(countof(actions) == EFFECT__COUNT, "an action for each effect");

static void on_spin(uv_idle_t *spin)
{
    (void)spin;
}

/* Timers run before the loop polls; the tick itself waits until after (runner_after_poll). */
static void on_timer(uv_timer_t *timer)
{
    struct runner *r = container_of(timer, struct runner, timer);
    r->armed_ns = 0;
    r->tick_due = true;
    uv_idle_start(&r->spin, on_spin);
}

void runner_init(struct runner *r, struct server *server, uint32_t waiters_max)
{
    struct core_limits limits = {.models_max = ROSTER_MODELS_MAX,
                                 .groups_max = GROUPS_MAX,
                                 .gates_max = CONFIG_GATES_MAX,
                                 .sets_max = CONFIG_MATRIX_SETS_MAX,
                                 .set_members_max = CONFIG_MATRIX_MEMBERS_MAX,
                                 .waiters_max = waiters_max,
                                 .leases_max = CORE_LEASES_MAX,
                                 .commands_max = COMMANDS_MAX};
    size_t bytes = core_size(&limits);
    /* Zero pages that are never touched cost nothing. */
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        alloc_failed();
    check_set_dump(trace_dump);
    *r = (struct runner){.server = server, .memory = memory, .memory_bytes = bytes};
    r->core = core_init(memory, &limits, uv_hrtime());
    uv_timer_init(server->loop, &r->timer);
    uv_idle_init(server->loop, &r->spin);
}

void runner_fini(struct runner *r)
{
    munmap(r->memory, r->memory_bytes);
    free(r->inbox);
}

static void post(struct runner *r, const struct event *ev)
{
    if (r->inbox_count == r->inbox_cap) {
        uint32_t cap = r->inbox_cap ? r->inbox_cap * 2 : 64;
        struct event *grown = alloc_zeroed(cap, sizeof(*grown));
        for (uint32_t i = 0; i < r->inbox_count; i++)
            grown[i] = r->inbox[(r->inbox_first + i) % r->inbox_cap];
        free(r->inbox);
        r->inbox = grown;
        r->inbox_cap = cap;
        r->inbox_first = 0;
    }
    r->inbox[(r->inbox_first + r->inbox_count++) % r->inbox_cap] = *ev;
}

/* One step and its effects. True when the core has more to say. */
static bool step(struct runner *r, struct event *ev)
{
    ev->now = (struct mono){uv_hrtime()};
    trace_event(ev);
    struct effects fx = core_step(r->core, ev);
    metrics_stepped(r->server, ev, &fx);
    for (uint32_t i = 0; i < fx.count; i++)
        trace_effect(&fx.items[i]);
    for (uint32_t i = 0; i < fx.count; i++)
        actions[fx.items[i].type](r->server, &fx.items[i]);
    if (++r->steps_since_check >= STEPS_PER_CHECK) {
        r->steps_since_check = 0;
        core_check(r->core);
    }
    return fx.more;
}

static void arm_timer(struct runner *r)
{
    struct mono at;
    if (!core_deadline(r->core, &at)) {
        if (r->armed_ns)
            uv_timer_stop(&r->timer);
        r->armed_ns = 0;
        return;
    }
    /* A timer that is too early does no harm: the tick finds nothing and arms it anew. */
    if (r->tick_due || (r->armed_ns && r->armed_ns <= at.ns))
        return;
    uint64_t now = uv_hrtime();
    uint64_t ms = at.ns > now ? (at.ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    if (uv_is_closing((uv_handle_t *)&r->timer))
        return;
    uv_update_time(r->server->loop);
    uv_timer_start(&r->timer, on_timer, ms, 0);
    r->armed_ns = at.ns;
}

void runner_event(struct runner *r, struct event ev)
{
    bool pointers =
        ev.type == EVENT_CONFIG || ev.type == EVENT_DEVICE_SAMPLE || ev.type == EVENT_MODE;
    if (r->server->drainer)
        return; /* another process decides */
    if (r->stepping) {
        must(!pointers);
        post(r, &ev);
        return;
    }
    r->stepping = true;
    bool more = step(r, &ev);
    while (more || r->inbox_count) {
        struct event next = {.type = EVENT_TICK};
        if (r->inbox_count) {
            next = r->inbox[r->inbox_first];
            r->inbox_first = (r->inbox_first + 1) % r->inbox_cap;
            r->inbox_count--;
        }
        more = step(r, &next);
    }
    r->stepping = false;
    arm_timer(r);
    modes_turn(r->server);
    leases_turn(r->server);
}

void runner_after_poll(struct runner *r)
{
    struct mono at;
    if (!r->tick_due)
        return;
    r->tick_due = false;
    uv_idle_stop(&r->spin);
    struct event tick = {.type = EVENT_TICK};
    uint64_t now = uv_hrtime();
    if (core_deadline(r->core, &at) && now > at.ns + GAP_TOLERANCE_NS)
        tick.tick.gap_ns = now - at.ns;
    runner_event(r, tick);
}

void runner_request_ended(struct runner *r, struct id waiter, enum ended how)
{
    if (r->server->drainer)
        drainer_request_ended(r->server, waiter, how);
    runner_event(
        r, (struct event){.type = EVENT_REQUEST_ENDED, .ended = {.waiter = waiter, .how = how}});
}

void runner_command(struct runner *r, uint64_t tag, uint32_t model, enum command what,
                    enum reason why)
{
    runner_event(r,
                 (struct event){.type = EVENT_COMMAND,
                                .command = {.tag = tag, .model = model, .what = what, .why = why}});
}

void runner_move(struct runner *r, uint64_t tag, uint32_t model, uint32_t placement)
{
    runner_event(r, (struct event){.type = EVENT_COMMAND,
                                   .command = {.tag = tag,
                                               .model = model,
                                               .what = COMMAND_MOVE,
                                               .why = REASON_COMMAND,
                                               .placement = placement}});
}

void runner_close(struct runner *r)
{
    uv_close((uv_handle_t *)&r->timer, NULL);
    uv_close((uv_handle_t *)&r->spin, NULL);
}
