/* The judge's front: which book an event or effect belongs to, and the views. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "judge_priv.h"

static const struct {
    const char *name, *where, *text;
} rules[RULE__COUNT] = {
#define RULE(name, where, text) [RULE_##name] = {#name, where, text},
#include "rules.def"
#undef RULE
};

const char *rule_name(enum rule rule)
{
    return rules[rule].name;
}

const char *rule_where(enum rule rule)
{
    return rules[rule].where;
}

const char *rule_text(enum rule rule)
{
    return rules[rule].text;
}

uint32_t mask_count(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

void judge_break(struct judge *j, enum rule rule, const char *format, ...)
{
    va_list args;
    if (j->broken != RULE_NONE)
        return;
    j->broken = rule;
    va_start(args, format);
    vsnprintf(j->text, sizeof(j->text), format, args);
    va_end(args);
}

void judge_init(struct judge *j, const struct terms *terms)
{
    j->terms = *terms;
    for (uint32_t i = 0; i < JUDGE_MODELS_MAX; i++)
        for (int class = 0; class < CLASS__COUNT; class ++)
            list_init(&j->models[i].waiting[class]);
    for (uint32_t g = 0; g < JUDGE_GATES_MAX; g++)
        list_init(&j->gates[g].waiting);
    for (uint32_t i = 0; i < JUDGE_PARTIES_MAX; i++)
        j->request_at[i] = j->lease_at[i] = CORE_SLOT_NONE;
    list_init(&j->arrivals[0]);
    list_init(&j->arrivals[1]);
    list_init(&j->granted);
    j->touched = CORE_SLOT_NONE;
}

/* Events */

static void device_event(struct judge *j, const struct event *ev)
{
    uint32_t d = ev->found.device;
    j->found[d] = ev->type == EVENT_DEVICE_FOUND;
    if (j->found[d])
        j->total[d] = ev->found.total_bytes;
}

static void config_event(struct judge *j, const struct core_config *config)
{
    j->config = *config;
    memcpy(j->groups, config->groups, config->group_count * sizeof(j->groups[0]));
    memcpy(j->devices, config->devices, config->device_count * sizeof(j->devices[0]));
    if (config->matrix.set_count) {
        uint32_t members = config->matrix.ends[config->matrix.set_count - 1];
        memcpy(j->ends, config->matrix.ends, config->matrix.set_count * sizeof(j->ends[0]));
        memcpy(j->members, config->matrix.members, members * sizeof(j->members[0]));
    }
    judge_lease_config(j, config);
    judge_model_config(j, config);
}

static void drain_event(struct judge *j, uint64_t grace_ns, bool keep)
{
    j->drain_keeps = keep && (!j->draining || j->drain_keeps);
    bool over = j->draining && judge_over(j, j->drain_cut_ns, 0);
    j->draining = true;
    j->drains++;
    if (!over)
        j->drain_cut_ns = j->now_ns + grace_ns - j->gap_ns;
}

static void mode_event(struct judge *j, const struct event *ev)
{
    for (uint32_t i = 0; i < j->model_count; i++)
        j->models[i].wish = WISH_NONE;
    for (uint32_t i = 0; i < ev->mode.count; i++) {
        const struct core_wish *w = &ev->mode.wishes[i];
        if (!j->models[w->model].policy.present)
            continue; /* nobody can be meant */
        j->models[w->model].wish = w->what;
        j->models[w->model].wish_placement = w->placement;
    }
}

static void other_event(struct judge *j, const struct event *ev)
{
    switch ((int)ev->type) {
    case EVENT_CONFIG:
        config_event(j, ev->config);
        break;
    case EVENT_MODE:
        mode_event(j, ev);
        break;
    case EVENT_BOOT_DONE:
        j->booted = true;
        break;
    case EVENT_TICK:
        j->gap_ns += ev->tick.gap_ns;
        judge_lease_tick(j);
        break;
    case EVENT_DEVICE_FOUND:
    case EVENT_DEVICE_LOST:
        device_event(j, ev);
        break;
    case EVENT_LEARNED:
    case EVENT_FOOTPRINT:
        judge_model_learned(j, ev->learned.model, ev->learned.placement, ev->learned.bytes);
        break;
    case EVENT_DEVICE_SAMPLE:
        judge_model_sampled(j, ev);
        break;
    case EVENT_DRAIN:
        drain_event(j, ev->drain.grace_ns, ev->drain.keep);
        break;
    default:
        break; /* nothing follows from these by themselves */
    }
}

void judge_event(struct judge *j, const struct event *ev)
{
    j->event = ev;
    j->now_ns = ev->now.ns;
    j->chain_count = 0;
    j->touched = CORE_SLOT_NONE;
    switch ((int)ev->type) {
    case EVENT_REQUEST_ARRIVED:
    case EVENT_REQUEST_ENDED:
    case EVENT_REQUEST_BOUNCED:
    case EVENT_REQUEST_QUIET:
        judge_queue_event(j, ev);
        break;
    case EVENT_LEASE_ASKED:
    case EVENT_LEASE_RESTORED:
    case EVENT_LEASE_RENEWED:
    case EVENT_LEASE_ENDED:
        judge_lease_event(j, ev);
        break;
    case EVENT_MODEL_ADOPTED:
    case EVENT_MODEL_LOADED:
    case EVENT_MODEL_LOAD_FAILED:
    case EVENT_MODEL_UNLOADED:
    case EVENT_MODEL_MOVED:
    case EVENT_MODEL_SUSPENDED:
    case EVENT_MODEL_RESUMED:
    case EVENT_MODEL_EXITED:
    case EVENT_UPSTREAM_BROKEN:
    case EVENT_BACKEND_DOWN:
    case EVENT_BACKEND_UP:
        judge_model_event(j, ev);
        break;
    case EVENT_COMMAND:
    case EVENT_COMMAND_CANCELLED:
        judge_command_event(j, ev);
        break;
    default:
        other_event(j, ev);
    }
}

/* Effects */

static void check_drained(struct judge *j)
{
    if (!j->draining || j->drained)
        judge_break(j, RULE_DRAIN, "DRAINED %s", j->drained ? "twice" : "without DRAIN");
    j->drained = true;
    if (j->serving && !judge_over(j, j->drain_cut_ns, 0))
        judge_break(j, RULE_DRAIN, "DRAINED while %u requests are served", j->serving);
    for (uint32_t i = 0; i < j->model_count && !j->drain_keeps; i++)
        if (j->models[i].seat != SEAT_GONE && j->models[i].seat != SEAT_STUCK &&
            !judge_out_of_reach(j, i))
            judge_break(j, RULE_DRAIN, "DRAINED while m%u is there", i);
}

static void notice(struct judge *j, const struct effect *e)
{
    if (e->notice == NOTICE_DRAINED)
        check_drained(j);
    else if (e->notice == NOTICE_STARVING)
        judge_lease_effect(j, e);
    else
        judge_model_effect(j, e);
}

void judge_effect(struct judge *j, const struct effect *e)
{
    switch (e->type) {
    case EFFECT_WAIT:
    case EFFECT_LEASE_WAIT:
        judge_queue_wait(j, e);
        break;
    case EFFECT_GRANT:
        judge_queue_grant(j, e);
        break;
    case EFFECT_REFUSE:
        judge_queue_refuse(j, e);
        break;
    case EFFECT_LEASE_GRANT:
        judge_lease_grant(j, e);
        break;
    case EFFECT_LEASE_REVOKE:
    case EFFECT_LEASE_END:
    case EFFECT_TRACE:
        judge_lease_effect(j, e);
        break;
    case EFFECT_NOTICE:
        notice(j, e);
        break;
    case EFFECT_COMMAND_DONE:
        judge_command_done(j, e);
        break;
    case EFFECT_SAMPLE_NOW:
    case EFFECT_BACKEND_PROBE:
        break;
    case EFFECT_LEARNED:
    case EFFECT_LOAD:
    case EFFECT_ABORT:
    case EFFECT_UNLOAD:
    case EFFECT_MOVE:
    case EFFECT_SUSPEND:
    case EFFECT_RESUME:
    case EFFECT_KILL:
    case EFFECT_MODEL_RETIRED:
        judge_model_effect(j, e);
        break;
    case EFFECT_DECISION:
        judge_order_decided(j, e);
        judge_model_effect(j, e);
        break;
    case EFFECT__COUNT:
        judge_break(j, RULE_VIEW, "an effect of no type");
    }
}

void judge_settle(struct judge *j, uint64_t deadline_ns)
{
    judge_queue_settle(j);
    judge_lease_settle(j);
    if (j->terms.calm && j->config.sched == SCHEDULER_FAIR)
        judge_fair_settle(j);
    if (j->event->type == EVENT_TICK && deadline_ns && deadline_ns <= j->now_ns)
        judge_break(j, RULE_DEADLINE, "still due %" PRIu64 " ns ago after a TICK",
                    j->now_ns - deadline_ns);
}

/* What the core says of itself */

static uint32_t count_seats(const struct judge *j, enum seat s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < j->model_count; i++)
        count += j->models[i].seat == s;
    return count;
}

void judge_view(struct judge *j, const struct core_view *v)
{
    if (v->waiting != j->arrivals[0].count)
        judge_break(j, RULE_CONSERVATION, "waiting: %u by core_view, %u by the effects", v->waiting,
                    j->arrivals[0].count);
    if (v->running != j->serving)
        judge_break(j, RULE_CONSERVATION, "running: %u by core_view, %u by the effects", v->running,
                    j->serving);
    if (v->leases_waiting != j->arrivals[1].count)
        judge_break(j, RULE_CONSERVATION, "leases waiting: %u by core_view, %u by the effects",
                    v->leases_waiting, j->arrivals[1].count);
    if (v->leases_granted != j->leases_inside)
        judge_break(j, RULE_CONSERVATION, "leases granted: %u by core_view, %u by the effects",
                    v->leases_granted, j->leases_inside);
    if (j->arrived !=
        j->granted_count + j->refused + j->left + j->arrivals[0].count + j->arrivals[1].count)
        judge_break(j, RULE_CONSERVATION,
                    "%" PRIu64 " arrived, %" PRIu64 " granted, %" PRIu64 " refused, %" PRIu64
                    " left, %u waiting",
                    j->arrived, j->granted_count, j->refused, j->left,
                    j->arrivals[0].count + j->arrivals[1].count);
    if (v->loaded != count_seats(j, SEAT_HERE))
        judge_break(j, RULE_VIEW, "loaded: %u by core_view, %u by the effects", v->loaded,
                    count_seats(j, SEAT_HERE));
    if (v->draining != j->draining || v->booted != j->booted)
        judge_break(j, RULE_VIEW, "draining or booted");
}

void judge_view_model(struct judge *j, uint32_t model, const struct core_model_view *v)
{
    static const enum seat seats[MODEL__COUNT] = {
        [MODEL_UNLOADED] = SEAT_GONE,    [MODEL_LOADING] = SEAT_LOADING,
        [MODEL_LOADED] = SEAT_HERE,      [MODEL_UNLOADING] = SEAT_UNLOADING,
        [MODEL_MOVING] = SEAT_MOVING,    [MODEL_SUSPENDING] = SEAT_SUSPENDING,
        [MODEL_SUSPENDED] = SEAT_ASLEEP, [MODEL_RESUMING] = SEAT_RESUMING,
        [MODEL_ERROR] = SEAT_GONE,       [MODEL_STUCK] = SEAT_STUCK,
    };
    const struct judge_model *m = &j->models[model];
    if (seats[v->state] != m->seat)
        judge_break(j, RULE_VIEW, "m%u is %s by core_view, and not by the effects", model,
                    model_state_text(v->state));
    if (v->running != m->running || v->waiting != m->waiting_count)
        judge_break(j, RULE_VIEW, "m%u: running %u waiting %u by core_view, %u %u by the effects",
                    model, v->running, v->waiting, m->running, m->waiting_count);
    /* One that was loaded while bytes did not matter is charged where it is seen. What settles is
     * in the view, and not in the effects any more. */
    uint32_t sits = v->settling ? v->devices & (m->at.devices | m->strayed) : v->devices;
    if (m->seat == SEAT_HERE && m->at.devices && !judge_model_sits(m, sits))
        judge_break(j, RULE_VIEW, "m%u sits on %x by core_view, on %x by the effects", model,
                    v->devices, m->at.devices);
}

void judge_more(struct judge *j, const struct event *tick)
{
    j->event = tick;
    judge_lease_tick(j);
}

void judge_peace(struct judge *j)
{
    const struct link *n;
    for (int k = 0; k < 2; k++)
        if ((n = list_first(&j->arrivals[k])))
            judge_break(j, RULE_LIVENESS, "#%" PRIu64 " still waits, of %u",
                        list_entry(n, const struct party, order)->tag, j->arrivals[k].count);
    for (uint32_t i = 0; i < JUDGE_COMMANDS_MAX; i++)
        if (j->commands[i].open)
            judge_break(j, RULE_UNANSWERED, "!%" PRIu64 " has no answer", j->commands[i].tag);
    if (j->draining && !j->drained)
        judge_break(j, RULE_LIVENESS, "not drained");
    judge_model_peace(j);
}
