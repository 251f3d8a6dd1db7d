#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peace.h"

struct telling {
    struct run run;
    const struct tape *tape;
    const struct replay_how *how;
};

/* Each deadline on the way gets its TICK. */
static void pass_to(struct run *r, uint64_t to_ns, bool ticks)
{
    struct mono at;
    while (ticks && core_deadline(r->core, &at) && at.ns <= to_ns) {
        if (at.ns > r->now_ns)
            r->now_ns = at.ns;
        run_tick(r);
    }
    if (to_ns > r->now_ns)
        r->now_ns = to_ns;
}

static bool refers_well(struct judge *j, const struct note *n)
{
    const struct party *p = n->tag ? judge_party(j, n->tag) : NULL;
    switch ((int)n->ev.type) {
    case EVENT_REQUEST_ENDED:
        return p && !p->lease;
    case EVENT_REQUEST_BOUNCED:
        return p && !p->lease && p->state == PARTY_GRANTED && !p->bounced;
    case EVENT_REQUEST_QUIET:
        return p && !p->lease && p->state == PARTY_GRANTED;
    case EVENT_LEASE_RENEWED:
    case EVENT_LEASE_ENDED:
        return p && p->lease;
    case EVENT_REQUEST_ARRIVED:
        return !n->lease_tag || judge_party(j, n->lease_tag);
    default:
        return true;
    }
}

static void tell(struct telling *t, const struct tape_item *item)
{
    struct note n = item->note;
    struct sample_use uses[JUDGE_MODELS_MAX + JUDGE_PARTIES_MAX];
    struct judge *j = t->run.judge;
    pass_to(&t->run, n.ev.now.ns, t->how->ticks);
    if (n.ev.type == EVENT_TICK && !n.ev.tick.gap_ns && t->how->ticks)
        return;
    if (n.ev.type == EVENT_LEASE_ASKED || n.ev.type == EVENT_LEASE_RESTORED)
        n.ev.lease.ask = &n.ask;
    if (!judge_legal(j, &n.ev) || !refers_well(j, &n))
        return;
    if (n.ev.type == EVENT_DEVICE_SAMPLE) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < n.ev.sample.use_count; i++) {
            const struct party *p = item->use_tags[i] ? judge_party(j, item->use_tags[i]) : NULL;
            if (item->use_tags[i] && (!p || !p->lease))
                continue;
            uses[count] = n.ev.sample.uses[i];
            if (p)
                uses[count].lease = p->id;
            count++;
        }
        n.ev.sample.uses = uses;
        n.ev.sample.use_count = count;
    }
    run_tell(&t->run, &n);
}

static void tell_all(void *arg)
{
    struct telling *t = arg;
    for (size_t i = 0; i < t->tape->count; i++)
        if (!t->how->keep || t->how->keep[i])
            tell(t, &t->tape->items[i]);
    t->run.trace = NULL; /* of the peace, that it does not help is all that counts */
    if (t->how->peace)
        peace_make(&t->run);
}

void replay_tape(const struct tape *t, const struct replay_how *how, struct replay *ret)
{
    struct telling telling = {.tape = t, .how = how};
    *ret = (struct replay){.heard = {.limits = t->limits, .terms = t->terms}};
    telling.run.check_every = how->unchecked ? 0 : 1;
    telling.run.tape = &ret->heard;
    telling.run.trace = how->trace;
    run_init(&telling.run, &t->limits, &t->terms);
    ret->broken = run_guarded(&telling.run, tell_all, &telling);
    memcpy(ret->text, telling.run.judge->text, sizeof(ret->text));
    run_fini(&telling.run);
}

void replay_fini(struct replay *r)
{
    tape_fini(&r->heard);
}
