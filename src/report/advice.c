#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report/report.h"

/* What stands out has cost others a third of all that they waited, half as much again as the next
 * of its kind, and, unless it is a lease, three times as much as its share of the requests would
 * explain: who asks for most of all that is asked costs others time by that alone. Below a minute
 * nothing is worth a word. */
#define SHARE_PERMILLE 333
#define NEXT_PERMILLE 1500
#define REQUESTS_TIMES 3
#define COST_NS_MIN (60 * NS_PER_S)
/* A client that costs a quarter more than any model of its does so by several of them. */
#define CLIENT_PERMILLE 1250
#define NEARLY_ALL_PERMILLE 800

struct candidate {
    enum report_who who;
    const char *name;
    uint64_t cost_ns, others_ns;
    uint32_t times, requests; /* requests: UINT32_MAX where none are its own */
};

static uint64_t permille(uint64_t part, uint64_t whole)
{
    return whole ? (uint64_t)((double)part / (double)whole * 1000) : 0;
}

static struct candidate candidate_of(const struct report *r, enum report_who who, uint32_t i)
{
    if (who == WHO_MODEL) {
        const struct report_model *m = &r->models[i];
        return (struct candidate){
            who, m->name, m->cost_ns, r->waited_ns - m->waited_ns, m->cost_times, m->requests};
    }
    if (who == WHO_CLIENT) {
        const struct report_client *c = &r->clients[i];
        return (struct candidate){
            who, c->name, c->cost_ns, r->waited_ns - c->waited_ns, c->cost_times, c->requests};
    }
    const struct report_lease *l = &r->leases[i];
    return (struct candidate){who, l->name, l->cost_ns, r->waited_ns, l->cost_times, UINT32_MAX};
}

static bool stands_out(const struct report *r, const struct candidate *c, uint64_t next_ns)
{
    uint64_t share = permille(c->cost_ns, c->others_ns);
    bool is_out_of_proportion =
        c->requests == UINT32_MAX || share >= REQUESTS_TIMES * permille(c->requests, r->requests);
    return c->cost_ns >= COST_NS_MIN && share >= SHARE_PERMILLE && is_out_of_proportion &&
           (double)c->cost_ns * 1000 >= (double)next_ns * NEXT_PERMILLE;
}

/* The one of its kind that cost most; name NULL: nobody cost anything. */
static struct report_worst worst_of(const struct report *r, enum report_who who)
{
    const uint32_t counts[] = {r->model_count, r->client_count, r->lease_count};
    _Static_assert(countof(counts) == WHO__COUNT, "a count a kind");
    struct candidate worst = {.name = NULL};
    uint64_t next_ns = 0;
    for (uint32_t i = 0; i < counts[who]; i++) {
        struct candidate c = candidate_of(r, who, i);
        if (c.cost_ns > worst.cost_ns) {
            next_ns = worst.cost_ns;
            worst = c;
        } else if (c.cost_ns > next_ns) {
            next_ns = c.cost_ns;
        }
    }
    return (struct report_worst){
        .who = who,
        .name = worst.name,
        .cost_ns = worst.cost_ns,
        .others_ns = worst.others_ns,
        .next_ns = next_ns,
        .share_permille = (uint32_t)permille(worst.cost_ns, worst.others_ns),
        .times = worst.times,
        .stands_out = worst.name && stands_out(r, &worst, next_ns),
    };
}

/* Whether a is the one to name rather than b. A client counts only beyond its models. */
static bool goes_before(const struct report_worst *a, const struct report_worst *b)
{
    uint64_t scale_a = b->who == WHO_CLIENT && a->who == WHO_MODEL ? CLIENT_PERMILLE : 1000;
    uint64_t scale_b = a->who == WHO_CLIENT && b->who == WHO_MODEL ? CLIENT_PERMILLE : 1000;
    if (a->stands_out != b->stands_out)
        return a->stands_out;
    return (double)a->cost_ns * (double)scale_a > (double)b->cost_ns * (double)scale_b;
}

static const struct report_model *model_named(const struct report *r, const char *name)
{
    for (uint32_t i = 0; i < r->model_count; i++)
        if (r->models[i].name == name)
            return &r->models[i];
    return NULL;
}

/* And who asked for it nearly always, if somebody did. */
static void advise_model(struct report *r, struct report_worst *w)
{
    const struct report_model *m = model_named(r, w->name);
    char size[UNITS_TEXT_MAX];
    if (m->top_key && permille(m->top_key_requests, m->requests) >= NEARLY_ALL_PERMILLE)
        w->key = r->past->keys.texts[m->top_key - 1];
    snprintf(r->advice, sizeof(r->advice),
             "Others had to leave for it %" PRIu32 " times, for %" PRIu32
             " requests%s. Have it asked in batches rather than now and then, or give it a place "
             "where nobody has to leave for it: %s%s, the CPU, or another GPU.",
             w->times, m->requests, w->key ? ", nearly all of one client" : "",
             m->bytes ? "less memory than its " : "less memory",
             m->bytes ? units_format_bytes(m->bytes, size) : "");
}

static void advise(struct report *r, struct report_worst *w)
{
    for (uint32_t i = 0; w->who == WHO_CLIENT && i < r->client_count; i++) {
        const struct report_client *c = &r->clients[i];
        if (c->name == w->name)
            snprintf(r->advice, sizeof(r->advice),
                     "Models had to leave %" PRIu32 " times for what it asked, for %" PRIu32
                     " different models with %" PRIu32
                     " requests. Have it send all its requests for one model before those for the "
                     "next, or keep to one.",
                     c->cost_times, c->models, c->requests);
    }
    for (uint32_t i = 0; w->who == WHO_LEASE && i < r->lease_count; i++) {
        const struct report_lease *l = &r->leases[i];
        char size[UNITS_TEXT_MAX], held[UNITS_TEXT_MAX];
        if (l->name == w->name)
            snprintf(r->advice, sizeof(r->advice),
                     "It was held for %s, with %s, and models had to leave for it, or for lack of "
                     "what it held, %" PRIu32
                     " times. Ask for less memory, hold it for shorter or at hours when few ask, "
                     "or let it be asked back (revocable).",
                     units_format_duration(l->held_ns, held), units_format_bytes(l->bytes, size),
                     l->cost_times);
    }
    if (w->who == WHO_MODEL)
        advise_model(r, w);
}

void report_find_worst(struct report *r)
{
    struct report_worst worst = worst_of(r, WHO_MODEL);
    for (int who = WHO_MODEL + 1; who < WHO__COUNT; who++) {
        struct report_worst other = worst_of(r, (enum report_who)who);
        if (other.name && (!worst.name || goes_before(&other, &worst)))
            worst = other;
    }
    if (worst.name && worst.cost_ns == 0)
        worst.name = NULL;
    if (worst.name)
        advise(r, &worst);
    r->worst = worst;
}
