#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "report/report.h"

#define HOUR_NS (3600 * (double)NS_PER_S)

static bool in_window(const struct past *r, uint64_t at_ns)
{
    return at_ns >= r->from_ns && at_ns < r->to_ns;
}

/* How much of a time lies in the window. */
static uint64_t within(const struct past *r, uint64_t from_ns, uint64_t to_ns)
{
    if (from_ns < r->from_ns)
        from_ns = r->from_ns;
    if (to_ns > r->to_ns)
        to_ns = r->to_ns;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static const char *name_of(const struct names *names, uint32_t number)
{
    return names->texts[number - 1];
}

/* ---- requests ---- */

static void sum_speeds(struct report_model *m, const struct past_request *q)
{
    if (q->waited_ms == PAST_UNKNOWN || q->first_byte_ms == PAST_UNKNOWN ||
        q->total_ms == PAST_UNKNOWN || q->first_byte_ms < q->waited_ms ||
        q->total_ms < q->first_byte_ms)
        return;
    uint32_t cached = q->cached == PAST_UNKNOWN ? 0 : q->cached;
    if (q->input != PAST_UNKNOWN && q->input > cached && q->first_byte_ms > q->waited_ms) {
        m->prefill_tokens += q->input - cached;
        m->prefill_ns += (q->first_byte_ms - q->waited_ms) * NS_PER_MS;
    }
    if (q->output != PAST_UNKNOWN && q->output && q->total_ms > q->first_byte_ms) {
        m->decode_tokens += q->output;
        m->decode_ns += (q->total_ms - q->first_byte_ms) * NS_PER_MS;
    }
}

static void sum_request(struct report *r, const struct past_request *q)
{
    struct report_model *m = &r->models[q->model - 1];
    struct report_waits *class = &r->classes[q->class];
    bool is_served = q->waited_ms != PAST_UNKNOWN;
    m->requests++;
    m->failed += q->status == 0 || q->status >= 400;
    m->waited_ns += past_waited_ns(q);
    if (is_served && q->total_ms != PAST_UNKNOWN && q->total_ms > q->waited_ms)
        m->served_ns += (q->total_ms - q->waited_ms) * NS_PER_MS;
    sum_speeds(m, q);
    r->requests++;
    r->waited_ns += past_waited_ns(q);
    class->unserved += !is_served;
    r->all.unserved += !is_served;
    if (q->key) {
        r->clients[q->key - 1].requests++;
        r->clients[q->key - 1].waited_ns += past_waited_ns(q);
    }
}

/* Who asks for each model most often. */
static void find_top_keys(struct report *r)
{
    const struct past *past = r->past;
    uint32_t *counts = alloc_zeroed((size_t)past->keys.count + 1, sizeof(*counts));
    for (uint32_t i = 0; i < past->models.count; i++) {
        struct past_span span = past_span_of(past, i + 1);
        struct report_model *m = &r->models[i];
        for (uint32_t k = span.first; k < span.end; k++) {
            uint32_t key = past->requests[k].key;
            if (key == 0)
                continue;
            uint32_t times = ++counts[key];
            if (times > m->top_key_requests || (times == m->top_key_requests && key < m->top_key)) {
                m->top_key = key;
                m->top_key_requests = times;
            }
        }
        for (uint32_t k = span.first; k < span.end; k++)
            counts[past->requests[k].key] = 0;
    }
    free(counts);
}

/* class: -1 for all. */
static void measure_waits(const struct past *r, int class, uint64_t *scratch, struct sim_waits *ret)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->counts[PAST_REQUESTS]; i++)
        if (r->requests[i].waited_ms != PAST_UNKNOWN &&
            (class < 0 || class == r->requests[i].class))
            scratch[count++] = past_waited_ns(&r->requests[i]);
    sim_waits_from(scratch, count, ret);
}

static void sum_requests(struct report *r)
{
    const struct past *past = r->past;
    uint64_t *scratch = alloc_zeroed((size_t)past->counts[PAST_REQUESTS] + 1, sizeof(*scratch));
    for (uint32_t i = 0; i < past->counts[PAST_REQUESTS]; i++)
        sum_request(r, &past->requests[i]);
    find_top_keys(r);
    for (int k = 0; k < CLASS__COUNT; k++)
        measure_waits(past, k, scratch, &r->classes[k].served);
    measure_waits(past, -1, scratch, &r->all.served);
    free(scratch);
}

/* ---- swaps ---- */

static void sum_swaps(struct report *r)
{
    const struct past *past = r->past;
    for (uint32_t i = 0; i < past->counts[PAST_SWAPS]; i++) {
        const struct past_swap *s = &past->swaps[i];
        struct report_model *m = &r->models[s->model - 1];
        bool comes = s->kind == SWAP_LOAD || s->kind == SWAP_RESUME;
        if (s->bytes > m->bytes)
            m->bytes = s->bytes;
        if (!in_window(past, s->at_ns))
            continue;
        m->loads += comes && s->ok;
        m->failed_loads += comes && !s->ok;
        m->load_ns += comes && s->ok ? s->took_ns : 0;
        r->loads += comes && s->ok;
        r->load_ns += comes && s->ok ? s->took_ns : 0;
    }
}

static void sum_stays(struct report *r)
{
    for (uint32_t i = 0; i < r->absences.stay_count; i++) {
        const struct stay *s = &r->absences.stays[i];
        r->models[s->model - 1].there_ns += within(r->past, s->from_ns, s->to_ns);
    }
}

/* ---- leases ---- */

static void sum_leases(struct report *r)
{
    const struct past *past = r->past;
    for (uint32_t i = 0; i < past->counts[PAST_LEASES]; i++) {
        const struct past_lease *l = &past->leases[i];
        struct report_lease *to = &r->leases[l->name - 1];
        uint64_t ended_ns = l->ended_ns ? l->ended_ns : past->to_ns;
        uint64_t held_ns = l->granted_ns ? within(past, l->granted_ns, ended_ns) : 0;
        to->times++;
        to->granted += l->granted_ns > 0;
        to->revoked += l->revoked;
        to->held_ns += held_ns;
        to->byte_hours += (double)l->bytes * (double)held_ns / HOUR_NS;
        if (l->bytes > to->bytes)
            to->bytes = l->bytes;
    }
}

/* ---- absences ---- */

static bool is_charged(const struct report *r, const struct absence *x)
{
    return (x->for_model || x->for_lease) && in_window(r->past, x->left_ns);
}

static void charge_leases(struct report *r, const struct absence *x)
{
    for (uint32_t i = 0; i < x->shares; i++) {
        const struct absence_share *share = &r->absences.shares[x->first_share + i];
        struct report_lease *l = &r->leases[share->lease - 1];
        l->cost_ns += (uint64_t)((double)x->waited_ns * share->part);
        l->cost_times++;
    }
}

static void charge(struct report *r, const struct absence *x)
{
    if (x->shares) {
        charge_leases(r, x);
    } else if (x->for_model) {
        r->models[x->for_model - 1].cost_ns += x->waited_ns;
        r->models[x->for_model - 1].cost_times++;
    } else {
        r->leases[x->for_lease - 1].cost_ns += x->waited_ns;
        r->leases[x->for_lease - 1].cost_times++;
    }
    if (x->key && !x->shares) {
        r->clients[x->key - 1].cost_ns += x->others_ns;
        r->clients[x->key - 1].cost_times++;
    }
}

static void sum_absences(struct report *r)
{
    for (uint32_t i = 0; i < r->absences.count; i++) {
        const struct absence *x = &r->absences.items[i];
        struct report_model *m = &r->models[x->model - 1];
        if (!is_charged(r, x))
            continue;
        m->put_out++;
        r->put_out++;
        if (x->to_ns && x->to_ns - x->reload_ns < x->left_ns + REPORT_THRASH_NS) {
            m->thrash++;
            m->thrash_ns += x->reload_ns;
        }
        charge(r, x);
    }
}

/* For how many models others left on a client's account: pairs of client and model, each once. */
static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void count_models_of_clients(struct report *r)
{
    uint64_t *seen = alloc_zeroed((size_t)r->absences.count + 1, sizeof(*seen));
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->absences.count; i++) {
        const struct absence *x = &r->absences.items[i];
        if (x->key && !x->shares && is_charged(r, x))
            seen[count++] = (uint64_t)x->key << 32 | x->for_model;
    }
    qsort(seen, count, sizeof(*seen), by_value);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || seen[i] != seen[i - 1])
            r->clients[(seen[i] >> 32) - 1].models++;
    free(seen);
}

/* ---- pairs ---- */

static int by_names(const void *a, const void *b)
{
    const struct report_pair *x = a, *y = b;
    if (x->by_lease != y->by_lease)
        return x->by_lease ? 1 : -1;
    int who = strcmp(x->who, y->who);
    return who ? who : strcmp(x->whom, y->whom);
}

static int by_loss(const void *a, const void *b)
{
    const struct report_pair *x = a, *y = b;
    if (x->waited_ns != y->waited_ns)
        return x->waited_ns < y->waited_ns ? 1 : -1;
    if (x->reload_ns != y->reload_ns)
        return x->reload_ns < y->reload_ns ? 1 : -1;
    return by_names(a, b);
}

static void sum_pairs(struct report *r)
{
    uint32_t count = 0, kept = 0;
    r->pairs = alloc_zeroed((size_t)r->absences.count + 1, sizeof(*r->pairs));
    for (uint32_t i = 0; i < r->absences.count; i++) {
        const struct absence *x = &r->absences.items[i];
        if (!is_charged(r, x))
            continue;
        r->pairs[count++] =
            (struct report_pair){.who = x->for_model ? name_of(&r->past->models, x->for_model)
                                                     : name_of(&r->past->lease_names, x->for_lease),
                                 .whom = name_of(&r->past->models, x->model),
                                 .by_lease = !x->for_model,
                                 .times = 1,
                                 .reload_ns = x->reload_ns,
                                 .waited_ns = x->waited_ns};
    }
    qsort(r->pairs, count, sizeof(*r->pairs), by_names);
    for (uint32_t i = 0; i < count; i++) {
        struct report_pair *last = kept ? &r->pairs[kept - 1] : NULL;
        if (!last || by_names(last, &r->pairs[i]) != 0) {
            r->pairs[kept++] = r->pairs[i];
            continue;
        }
        last->times++;
        last->reload_ns += r->pairs[i].reload_ns;
        last->waited_ns += r->pairs[i].waited_ns;
    }
    qsort(r->pairs, kept, sizeof(*r->pairs), by_loss);
    r->pair_count = kept;
}

/* ---- all ---- */

static int models_by_requests(const void *a, const void *b)
{
    const struct report_model *x = a, *y = b;
    if (x->requests != y->requests)
        return x->requests < y->requests ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int clients_by_cost(const void *a, const void *b)
{
    const struct report_client *x = a, *y = b;
    if (x->cost_ns != y->cost_ns)
        return x->cost_ns < y->cost_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int leases_by_cost(const void *a, const void *b)
{
    const struct report_lease *x = a, *y = b;
    if (x->cost_ns != y->cost_ns)
        return x->cost_ns < y->cost_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* While the sums are made, each stands at its number. */
static void prepare(struct report *r)
{
    const struct past *past = r->past;
    r->models = alloc_zeroed((size_t)past->models.count + 1, sizeof(*r->models));
    r->clients = alloc_zeroed((size_t)past->keys.count + 1, sizeof(*r->clients));
    r->leases = alloc_zeroed((size_t)past->lease_names.count + 1, sizeof(*r->leases));
    for (uint32_t i = 0; i < past->models.count; i++)
        r->models[i] = (struct report_model){.name = past->models.texts[i], .number = i + 1};
    for (uint32_t i = 0; i < past->keys.count; i++)
        r->clients[i] = (struct report_client){.name = past->keys.texts[i], .number = i + 1};
    for (uint32_t i = 0; i < past->lease_names.count; i++)
        r->leases[i] = (struct report_lease){.name = past->lease_names.texts[i], .number = i + 1};
}

/* Those of whom there is nothing to tell are left out. */
static void put_in_order(struct report *r)
{
    const struct past *past = r->past;
    for (uint32_t i = 0; i < past->models.count; i++) {
        const struct report_model *m = &r->models[i];
        if (m->requests || m->loads || m->failed_loads || m->there_ns || m->cost_ns)
            r->models[r->model_count++] = *m;
    }
    for (uint32_t i = 0; i < past->keys.count; i++)
        if (r->clients[i].requests || r->clients[i].cost_ns)
            r->clients[r->client_count++] = r->clients[i];
    for (uint32_t i = 0; i < past->lease_names.count; i++)
        if (r->leases[i].times || r->leases[i].cost_ns)
            r->leases[r->lease_count++] = r->leases[i];
    qsort(r->models, r->model_count, sizeof(*r->models), models_by_requests);
    qsort(r->clients, r->client_count, sizeof(*r->clients), clients_by_cost);
    qsort(r->leases, r->lease_count, sizeof(*r->leases), leases_by_cost);
}

void report_sum(struct report *r)
{
    prepare(r);
    sum_requests(r);
    sum_swaps(r);
    sum_stays(r);
    sum_leases(r);
    sum_absences(r);
    count_models_of_clients(r);
    sum_pairs(r);
    put_in_order(r);
}
