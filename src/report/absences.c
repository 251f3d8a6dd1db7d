#include "report/absences.h"

#include <stdlib.h>

#include "base/alloc.h"

#define NONE UINT32_MAX

/* What is known of each model while the swaps are gone through. */
struct place {
    uint32_t open;  /* the absence that it is in */
    uint32_t stay;  /* the stay that it is in */
    uint32_t first; /* of those who left for its next load */
    uint32_t asks;  /* the first of its requests that may still be waiting */
};

struct finder {
    const struct past *past;
    struct absences *out;
    struct place *places; /* by the number of the model */
};

static bool is_leaving(const struct past_swap *s)
{
    return s->ok && (s->kind == SWAP_UNLOAD || s->kind == SWAP_SUSPEND);
}

static bool is_coming(const struct past_swap *s)
{
    return s->ok && (s->kind == SWAP_LOAD || s->kind == SWAP_RESUME);
}

/* Who was the first that waited for this model at that time; 0: nobody, or he is not known. Asked
 * in order of time, so that who has stopped waiting need not be looked at again. */
static uint32_t client_of(struct finder *f, uint32_t model, uint64_t at_ns)
{
    const struct past *r = f->past;
    struct past_span span = past_span_of(r, model);
    struct place *p = &f->places[model];
    if (p->asks < span.first)
        p->asks = span.first;
    for (uint32_t i = p->asks; i < span.end && r->requests[i].at_ns <= at_ns; i++) {
        const struct past_request *q = &r->requests[i];
        if (q->at_ns + past_waited_ns(q) >= at_ns)
            return q->key;
        p->asks += p->asks == i;
    }
    return 0;
}

static struct stay *new_stay(struct finder *f, const struct past_swap *s)
{
    struct absences *a = f->out;
    if (a->stay_count == a->stay_max) {
        a->stay_max = a->stay_max ? 2 * a->stay_max : 256;
        a->stays = alloc_grow(a->stays, a->stay_max, sizeof(*a->stays));
    }
    f->places[s->model].stay = a->stay_count;
    a->stays[a->stay_count] = (struct stay){.model = s->model, .to_ns = f->past->to_ns};
    return &a->stays[a->stay_count++];
}

static void leaves(struct finder *f, const struct past_swap *s)
{
    struct absences *a = f->out;
    struct place *p = &f->places[s->model];
    /* It is away already, and is unloaded where it sleeps, or before its load was over. */
    if (p->open != NONE && a->items[p->open].to_ns == 0)
        return;
    if (a->count == a->count_max) {
        a->count_max = a->count_max ? 2 * a->count_max : 256;
        a->items = alloc_grow(a->items, a->count_max, sizeof(*a->items));
    }
    struct absence *new = &a->items[a->count];
    *new = (struct absence){.model = s->model,
                            .for_model = s->for_model == s->model ? 0 : s->for_model,
                            .for_lease = s->for_lease,
                            .from_ns = s->at_ns,
                            .left_ns = s->at_ns,
                            .bytes = s->bytes,
                            .next = NONE};
    if (new->for_model) {
        new->key = client_of(f, new->for_model, s->at_ns);
        new->next = f->places[new->for_model].first;
        f->places[new->for_model].first = a->count;
    }
    if (p->stay == NONE)
        *new_stay(f, s) = (struct stay){.model = s->model};
    a->stays[p->stay].to_ns = s->at_ns;
    p->stay = NONE;
    p->open = a->count++;
}

static bool is_held(const struct past_lease *l, const struct past_swap *s)
{
    return l->granted_ns && l->granted_ns <= s->at_ns &&
           (l->ended_ns == 0 || l->ended_ns > s->at_ns) && (l->devices & s->devices);
}

/* Of the shares from `first` on, one a lease's name. */
static void add_share(struct absences *a, uint32_t first, uint32_t lease, double part)
{
    for (uint32_t i = first; i < a->share_count; i++)
        if (a->shares[i].lease == lease) {
            a->shares[i].part += part;
            return;
        }
    if (a->share_count == a->share_max) {
        a->share_max = a->share_max ? 2 * a->share_max : 64;
        a->shares = alloc_grow(a->shares, a->share_max, sizeof(*a->shares));
    }
    a->shares[a->share_count++] = (struct absence_share){lease, part};
}

/* The load for which those from `first` on left begins: was it leases that had its room? */
static void judge_leases(struct finder *f, const struct past_swap *s, uint32_t first)
{
    struct absences *a = f->out;
    const struct past *r = f->past;
    uint64_t left = 0, held = 0;
    uint32_t begin = a->share_count;
    for (uint32_t i = first; i != NONE; i = a->items[i].next) {
        if (a->items[i].bytes == 0)
            return; /* nobody can say */
        left += a->items[i].bytes;
    }
    for (uint32_t i = 0; i < r->counts[PAST_LEASES]; i++)
        held += is_held(&r->leases[i], s) ? r->leases[i].bytes : 0;
    if (left == 0 || held < left)
        return;
    for (uint32_t i = 0; i < r->counts[PAST_LEASES]; i++)
        if (is_held(&r->leases[i], s) && r->leases[i].bytes)
            add_share(a, begin, r->leases[i].name, (double)r->leases[i].bytes / (double)held);
    for (uint32_t i = first; i != NONE; i = a->items[i].next) {
        a->items[i].first_share = begin;
        a->items[i].shares = a->share_count - begin;
    }
}

static void comes(struct finder *f, const struct past_swap *s)
{
    struct absences *a = f->out;
    struct place *p = &f->places[s->model];
    if (p->open != NONE && a->items[p->open].to_ns == 0) {
        a->items[p->open].to_ns = s->at_ns + s->took_ns;
        a->items[p->open].reload_ns = s->took_ns;
    }
    judge_leases(f, s, p->first);
    p->first = NONE;
    if (p->stay != NONE)
        a->stays[p->stay].to_ns = s->at_ns; /* how it went is not known */
    struct stay *stay = new_stay(f, s);
    stay->loading_ns = s->at_ns;
    stay->from_ns = s->at_ns + s->took_ns;
}

/* No second is charged twice, whatever the record says: a later absence begins where the one before
 * it ended. */
static void part_absences(struct finder *f)
{
    struct absences *a = f->out;
    uint64_t *upto = alloc_zeroed(f->past->models.count + 1, sizeof(*upto));
    for (uint32_t i = 0; i < a->count; i++) {
        struct absence *x = &a->items[i];
        if (x->to_ns == 0)
            continue;
        if (x->from_ns < upto[x->model])
            x->from_ns = upto[x->model];
        if (x->to_ns < x->from_ns)
            x->to_ns = x->from_ns;
        upto[x->model] = x->to_ns;
    }
    free(upto);
}

static void charge_one(struct absence *x, const struct past_request *q)
{
    uint64_t until_ns = q->at_ns + past_waited_ns(q);
    uint64_t from_ns = q->at_ns > x->from_ns ? q->at_ns : x->from_ns;
    uint64_t to_ns = until_ns < x->to_ns ? until_ns : x->to_ns;
    if (to_ns <= from_ns)
        return;
    x->requests++;
    x->waited_ns += to_ns - from_ns;
    x->others_ns += x->key == 0 || q->key != x->key ? to_ns - from_ns : 0;
}

/* Absences of a model, in order of time, to its requests, in order of arrival. next: the absences
 * of each model, as a chain. */
static void charge(struct finder *f)
{
    struct absences *a = f->out;
    uint32_t *heads = alloc_zeroed(f->past->models.count + 1, sizeof(*heads));
    uint32_t *next = alloc_zeroed((size_t)a->count + 1, sizeof(*next));
    for (uint32_t i = a->count; i > 0; i--) {
        if (a->items[i - 1].to_ns == 0)
            continue;
        next[i] = heads[a->items[i - 1].model];
        heads[a->items[i - 1].model] = i;
    }
    for (uint32_t i = 0; i < f->past->counts[PAST_REQUESTS]; i++) {
        const struct past_request *q = &f->past->requests[i];
        uint32_t *head = &heads[q->model];
        while (*head && a->items[*head - 1].to_ns <= q->at_ns)
            *head = next[*head];
        uint64_t until_ns = q->at_ns + past_waited_ns(q);
        for (uint32_t k = *head; k && a->items[k - 1].from_ns < until_ns; k = next[k])
            charge_one(&a->items[k - 1], q);
    }
    free(next);
    free(heads);
}

void absences_find(const struct past *r, struct absences *ret)
{
    *ret = (struct absences){.count = 0};
    struct finder f = {r, ret, alloc_zeroed(r->models.count + 1, sizeof(*f.places))};
    for (uint32_t i = 0; i <= r->models.count; i++)
        f.places[i] = (struct place){NONE, NONE, NONE, 0};
    for (uint32_t i = 0; i < r->counts[PAST_SWAPS]; i++) {
        const struct past_swap *s = &r->swaps[i];
        if (is_leaving(s))
            leaves(&f, s);
        else if (is_coming(s))
            comes(&f, s);
    }
    part_absences(&f);
    charge(&f);
    free(f.places);
}

void absences_fini(struct absences *a)
{
    free(a->items);
    free(a->shares);
    free(a->stays);
    *a = (struct absences){.count = 0};
}
