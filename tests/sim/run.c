#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"

/* `more` may be said once for each few of those that wait, and not for ever. */
#define TICKS_MAX 5000

struct run *run_current;

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    if (!run_current || !run_current->judge) {
        fprintf(stderr, "%s:%d: %s\n", file, line, expr);
        abort();
    }
    judge_break(run_current->judge, RULE_CHECK, "%s:%d: %s", file, line, expr);
    longjmp(run_current->failed, 1);
}

void run_init(struct run *r, const struct core_limits *limits, const struct terms *terms)
{
    r->limits = *limits;
    r->mem = calloc(1, core_size(limits));
    r->judge = calloc(1, sizeof(*r->judge));
    if (!r->mem || !r->judge)
        abort();
    r->core = core_init(r->mem, limits, 1);
    judge_init(r->judge, terms);
    r->hash = UINT64_C(0xcbf29ce484222325);
}

void run_fini(struct run *r)
{
    free(r->mem);
    free(r->judge);
    r->mem = NULL;
    r->judge = NULL;
}

enum rule run_guarded(struct run *r, void (*what)(void *arg), void *arg)
{
    run_current = r;
    if (setjmp(r->failed) == 0)
        what(arg);
    run_current = NULL;
    return r->judge->broken;
}

void run_stop_if_broken(struct run *r)
{
    if (r->judge->broken != RULE_NONE)
        longjmp(r->failed, 1);
}

static void mix(struct run *r, uint64_t value)
{
    r->hash = (r->hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    r->hash ^= r->hash >> 32;
}

static void hash_effect(struct run *r, const struct effect *e)
{
    mix(r, (uint64_t)e->type << 32 | (uint64_t)e->reason << 16 | e->notice);
    mix(r, e->tag ^ e->op << 20 ^ (uint64_t)e->model << 40);
    mix(r, e->bytes ^ (uint64_t)e->devices << 56 ^ e->duration_ns);
}

static void print_effect(const struct run *r, const struct effect *e)
{
    fprintf(r->trace, "      %s", effect_type_text(e->type));
    if (e->type == EFFECT_NOTICE)
        fprintf(r->trace, " %s", notice_text(e->notice));
    if (e->type == EFFECT_TRACE)
        fprintf(r->trace, " %s", trace_text(e->trace));
    if (e->tag)
        fprintf(r->trace, " #%" PRIu64, e->tag);
    if (e->model != CORE_SLOT_NONE)
        fprintf(r->trace, " m%u", e->model);
    if (e->other != CORE_SLOT_NONE)
        fprintf(r->trace, " for m%u", e->other);
    if (e->gate != CORE_SLOT_NONE)
        fprintf(r->trace, " gate %u", e->gate);
    if (e->op)
        fprintf(r->trace, " op %" PRIu64, e->op);
    if (e->placement != CORE_SLOT_NONE)
        fprintf(r->trace, " placement %u", e->placement);
    if (e->devices || e->device != CORE_SLOT_NONE)
        fprintf(r->trace, " devices %x (%d)", e->devices, (int)e->device);
    if (e->bytes)
        fprintf(r->trace, " bytes %" PRIu64, e->bytes);
    if (e->position || e->retry_after_s)
        fprintf(r->trace, " place %u, about %u s", e->position, e->retry_after_s);
    if (e->reason != REASON_NONE)
        fprintf(r->trace, ": %s", reason_text(e->reason));
    fputc('\n', r->trace);
}

static void take_effects(struct run *r, const struct effects *fx)
{
    for (uint32_t i = 0; i < fx->count; i++) {
        const struct effect *e = &fx->items[i];
        if (r->trace)
            print_effect(r, e);
        hash_effect(r, e);
        judge_effect(r->judge, e);
        run_stop_if_broken(r);
        if (r->counts)
            count_effect(r->counts, e);
        if (r->carry_out)
            r->carry_out(r->world, e);
    }
    if (r->counts && fx->count > r->counts->most_effects)
        r->counts->most_effects = fx->count;
}

static bool step(struct run *r, const struct event *ev)
{
    struct effects fx = core_step(r->core, ev);
    r->steps++;
    if (r->counts)
        count_event(r->counts, ev);
    take_effects(r, &fx);
    if (r->check_every && r->steps % r->check_every == 0)
        core_check(r->core);
    return fx.more;
}

static void compare(struct run *r)
{
    struct core_view v;
    core_view(r->core, &v);
    judge_view(r->judge, &v);
    if (r->counts)
        r->counts->waiting_sum += v.waiting;
    uint32_t m = r->judge->touched;
    if (m >= r->judge->model_count)
        return;
    struct core_model_view mv;
    core_view_model(r->core, m, &mv);
    judge_view_model(r->judge, m, &mv);
}

/* Names become ids. */
static void resolve(struct run *r, struct note *n)
{
    struct judge *j = r->judge;
    struct event *ev = &n->ev;
    bool lease = ev->type == EVENT_LEASE_RENEWED || ev->type == EVENT_LEASE_ENDED;
    ev->now.ns = r->now_ns;
    if (n->tag) {
        const struct party *p = judge_party(j, n->tag);
        if (p && lease)
            ev->lease_id.lease = p->id;
        else if (p)
            ev->ended.waiter = p->id; /* the same place in all three */
    }
    if (ev->type == EVENT_REQUEST_ARRIVED && n->lease_tag) {
        const struct party *p = judge_party(j, n->lease_tag);
        ev->request.lease = p ? p->id : (struct id){0};
    }
    if (ev->type == EVENT_LEASE_ASKED || ev->type == EVENT_LEASE_RESTORED)
        ev->lease.ask = &n->ask;
    bool completes = ev->type >= EVENT_MODEL_LOADED && ev->type <= EVENT_MODEL_RESUMED;
    if (completes && ev->model.model < j->model_count)
        ev->model.op = j->models[ev->model.model].op + (n->wrong_op ? UINT64_C(1) << 40 : 0);
}

static void print_event(const struct run *r, const struct event *ev, uint64_t tag)
{
    fprintf(r->trace, "%" PRIu64 " %" PRIu64 ".%06" PRIu64 "s %s", r->steps, r->now_ns / NS_PER_S,
            r->now_ns % NS_PER_S / 1000, event_type_text(ev->type));
    if (tag)
        fprintf(r->trace, " #%" PRIu64, tag);
    if (ev->type == EVENT_REQUEST_ARRIVED)
        fprintf(r->trace, " #%" PRIu64 " m%u %s", ev->request.tag, ev->request.model,
                class_text(ev->request.class));
    if (ev->type == EVENT_LEASE_ASKED)
        fprintf(r->trace, " #%" PRIu64 " devices %x x%u bytes %" PRIu64 " gates %u %s",
                ev->lease.tag, ev->lease.ask->device_mask, ev->lease.ask->device_count,
                ev->lease.ask->bytes, ev->lease.ask->gate_count, class_text(ev->lease.ask->class));
    if (note_about_model(ev->type))
        fprintf(r->trace, " m%u op %" PRIu64 " %s%s outcome %d", ev->model.model, ev->model.op,
                reason_text(ev->model.why), ev->model.stuck ? " stuck" : "",
                (int)ev->model.outcome);
    if (ev->type == EVENT_COMMAND)
        fprintf(r->trace, " !%" PRIu64 " m%u %d placement %u", ev->command.tag, ev->command.model,
                (int)ev->command.what, ev->command.placement);
    if (ev->type == EVENT_DEVICE_SAMPLE)
        fprintf(r->trace, " device %u used %" PRIu64 "%s taken %" PRIu64 " uses %u%s",
                ev->sample.device, ev->sample.used_bytes, ev->sample.used_unknown ? "?" : "",
                ev->sample.taken.ns, ev->sample.use_count, ev->sample.uses_unknown ? "?" : "");
    for (uint32_t i = 0; ev->type == EVENT_DEVICE_SAMPLE && i < ev->sample.use_count; i++)
        fprintf(r->trace, " m%d=%" PRIu64, (int)ev->sample.uses[i].model, ev->sample.uses[i].bytes);
    if (ev->type == EVENT_TICK && ev->tick.gap_ns)
        fprintf(r->trace, " gap %" PRIu64, ev->tick.gap_ns);
    if (ev->type == EVENT_DEVICE_FOUND || ev->type == EVENT_DEVICE_LOST)
        fprintf(r->trace, " device %u %" PRIu64, ev->found.device, ev->found.total_bytes);
    fputc('\n', r->trace);
}

static void print_devices(const struct run *r)
{
    for (uint32_t d = 0; d < r->judge->config.device_count; d++) {
        struct core_device_view v;
        core_view_device(r->core, d, &v);
        fprintf(r->trace,
                "      [device %u: own %" PRIu64 " leased %" PRIu64 " settling %" PRIu64
                " foreign %" PRIu64 " room %" PRIu64 "]\n",
                d, v.own_bytes, v.leased_bytes, v.settling_bytes, v.foreign_bytes, v.room_bytes);
    }
}

void run_tell(struct run *r, struct note *n)
{
    struct mono at = {0};
    const struct event tick = {.type = EVENT_TICK, .now.ns = r->now_ns};
    resolve(r, n);
    if (r->trace)
        print_event(r, &n->ev, n->tag);
    if (r->tape)
        tape_record(r->tape, r->judge, n);
    judge_event(r->judge, &n->ev);
    bool more = step(r, &n->ev);
    for (uint32_t i = 0; more; i++) {
        if (i == TICKS_MAX)
            judge_break(r->judge, RULE_QUIET, "`more` after %u steps", i);
        run_stop_if_broken(r);
        if (r->trace)
            fprintf(r->trace, "    (more)\n");
        judge_more(r->judge, &tick);
        more = step(r, &tick);
    }
    if (!core_deadline(r->core, &at))
        at.ns = 0;
    judge_settle(r->judge, at.ns);
    if (r->trace && n->ev.type == EVENT_DEVICE_SAMPLE)
        print_devices(r);
    compare(r);
    run_stop_if_broken(r);
}

void run_tick(struct run *r)
{
    struct mono at;
    if (core_deadline(r->core, &at) && at.ns <= r->now_ns)
        run_tell(r, &(struct note){.ev.type = EVENT_TICK});
}
