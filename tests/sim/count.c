#include "count.h"

#include <inttypes.h>

void count_event(struct counts *c, const struct event *ev)
{
    c->events[ev->type]++;
}

void count_effect(struct counts *c, const struct effect *e)
{
    c->effects[e->type]++;
    if (e->type == EFFECT_NOTICE)
        c->notices[e->notice]++;
    else if (e->type == EFFECT_REFUSE)
        c->refusals[e->reason]++;
    else if (e->type == EFFECT_DECISION)
        c->decisions[e->reason]++;
    else if (e->type == EFFECT_UNLOAD)
        c->unloads[e->reason]++;
    else if (e->type == EFFECT_LEASE_END)
        c->lease_ends[e->reason]++;
    else if (e->type == EFFECT_COMMAND_DONE)
        c->commands_done[e->reason]++;
    else if (e->type == EFFECT_TRACE)
        c->traces[e->trace]++;
}

void count_add(struct counts *to, const struct counts *from)
{
    /* All members are of one type: sums, and one maximum that is put right. */
    uint64_t most = to->most_effects > from->most_effects ? to->most_effects : from->most_effects;
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof(*to) / sizeof(*t); i++)
        t[i] += f[i];
    to->most_effects = most;
}

struct table {
    const char *title;
    const uint64_t *counts;
    size_t count;
    const char *(*text)(size_t i);
    bool expected; /* what is missing is worth a word */
};

static const char *event_name(size_t i)
{
    return event_type_text((enum event_type)i);
}

static const char *effect_name(size_t i)
{
    return effect_type_text((enum effect_type)i);
}

static const char *notice_name(size_t i)
{
    return notice_text((enum notice)i);
}

static const char *reason_name(size_t i)
{
    return i ? reason_text((enum reason)i) : "(none)";
}

static const char *trace_name(size_t i)
{
    return trace_text((enum trace)i);
}

static void print_table(const struct table *t, FILE *out)
{
    fprintf(out, "%s:\n", t->title);
    for (size_t i = 0; i < t->count; i++)
        if (t->counts[i])
            fprintf(out, "  %12" PRIu64 "  %s\n", t->counts[i], t->text(i));
    bool first = true;
    for (size_t i = 0; i < t->count && t->expected; i++) {
        if (t->counts[i])
            continue;
        fprintf(out, "%s%s", first ? "  never: " : ", ", t->text(i));
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

void count_print(const struct counts *c, FILE *out)
{
    const struct table tables[] = {
        {"events", c->events, EVENT__COUNT, event_name, true},
        {"effects", c->effects, EFFECT__COUNT, effect_name, true},
        {"notices", c->notices, NOTICE__COUNT, notice_name, true},
        {"requests and leases refused", c->refusals, REASON__COUNT, reason_name, false},
        {"decisions", c->decisions, REASON__COUNT, reason_name, false},
        {"unloads", c->unloads, REASON__COUNT, reason_name, false},
        {"leases ended", c->lease_ends, REASON__COUNT, reason_name, false},
        {"commands done", c->commands_done, REASON__COUNT, reason_name, false},
        {"steps at gates", c->traces, countof(c->traces), trace_name, false},
    };
    for (size_t i = 0; i < countof(tables); i++)
        print_table(&tables[i], out);
    fprintf(out,
            "worlds: %" PRIu64 " fifo, %" PRIu64 " serial, %" PRIu64 " fair; %" PRIu64
            " group, %" PRIu64 " fit, %" PRIu64 " matrix\n",
            c->sched[0], c->sched[1], c->sched[2], c->plan[0], c->plan[1], c->plan[2]);
    if (c->steps)
        fprintf(out,
                "waiting on average: %" PRIu64 ".%" PRIu64 "; most effects in a step: %" PRIu64
                "\n",
                c->waiting_sum / c->steps, c->waiting_sum * 10 / c->steps % 10, c->most_effects);
}
