#include "report/policies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "simulate/simulate.h"

#define TOKENS_PER_S_PREFILL 1500 /* where nothing was measured, as `wharf simulate` has it */
#define TOKENS_PER_S_DECODE 50
#define LOAD_FIXED_NS (2 * NS_PER_S)
#define LOAD_BYTES_PER_S 2000000000
#define UNKNOWN_BYTES (8 * GIB)

void report_simulate_not(struct report *r, const char *why)
{
    snprintf(r->policies.why_not, sizeof(r->policies.why_not), "%s", why);
}

/* ---- what was measured ---- */

static struct work_speed measure_speed(const struct report *r)
{
    uint64_t prefill = 0, prefill_ns = 0, decode = 0, decode_ns = 0;
    for (uint32_t i = 0; i < r->model_count; i++) {
        prefill += r->models[i].prefill_tokens;
        prefill_ns += r->models[i].prefill_ns;
        decode += r->models[i].decode_tokens;
        decode_ns += r->models[i].decode_ns;
    }
    struct work_speed speed = {TOKENS_PER_S_PREFILL, TOKENS_PER_S_DECODE};
    double a = prefill_ns ? (double)prefill / (double)prefill_ns * (double)NS_PER_S : 0;
    double b = decode_ns ? (double)decode / (double)decode_ns * (double)NS_PER_S : 0;
    if (a >= 1 && a < UINT32_MAX)
        speed.prefill = (uint32_t)a;
    if (b >= 1 && b < UINT32_MAX)
        speed.decode = (uint32_t)b;
    return speed;
}

/* What each of the configuration's models took, by their index there; the caller's. */
struct measured {
    uint64_t *load_ns, *bytes, unload_ns;
};

static void measure_costs(const struct report *r, const struct config *c, struct measured *ret)
{
    const struct past *past = r->past;
    uint64_t unload_ns = 0;
    uint32_t unloads = 0;
    uint32_t *loads = alloc_zeroed((size_t)c->model_count + 1, sizeof(*loads));
    ret->load_ns = alloc_zeroed((size_t)c->model_count + 1, sizeof(*ret->load_ns));
    ret->bytes = alloc_zeroed((size_t)c->model_count + 1, sizeof(*ret->bytes));
    for (uint32_t i = 0; i < past->counts[PAST_SWAPS]; i++) {
        const struct past_swap *s = &past->swaps[i];
        const struct config_model *m = config_find_model(c, past->models.texts[s->model - 1]);
        if (!m || !s->ok)
            continue;
        size_t k = (size_t)(m - c->models);
        if (s->bytes > ret->bytes[k])
            ret->bytes[k] = s->bytes;
        if (s->kind == SWAP_LOAD && s->took_ns) {
            ret->load_ns[k] += s->took_ns;
            loads[k]++;
        } else if (s->kind == SWAP_UNLOAD) {
            unload_ns += s->took_ns;
            unloads++;
        }
    }
    for (uint32_t k = 0; k < c->model_count; k++)
        ret->load_ns[k] = loads[k] ? ret->load_ns[k] / loads[k] : 0;
    ret->unload_ns = unloads ? unload_ns / unloads : 0;
    free(loads);
}

/* ---- the workload ---- */

/* False: it is not known how long it was. */
static bool length_of(const struct past_request *q, const struct work_speed *speed,
                      struct work_row *row)
{
    row->prompt = q->input == PAST_UNKNOWN ? 0 : q->input;
    row->output = q->output == PAST_UNKNOWN ? 0 : q->output;
    if (q->waited_ms != PAST_UNKNOWN && q->total_ms != PAST_UNKNOWN && q->total_ms >= q->waited_ms)
        row->serve_ns = (q->total_ms - q->waited_ms) * NS_PER_MS;
    else if (row->prompt || row->output)
        row->serve_ns = work_serve_ns(speed, row->prompt, row->output);
    else
        return false;
    return true;
}

static uint32_t add_rows(const struct report *r, const struct config *c, struct workload *w)
{
    const struct past *past = r->past;
    uint32_t skipped = 0;
    for (uint32_t i = 0; i < past->counts[PAST_REQUESTS]; i++) {
        const struct past_request *q = &past->requests[i];
        const struct config_model *m = config_find_model(c, past->models.texts[q->model - 1]);
        struct work_row row = {
            .at_ns = q->at_ns - past->from_ns, .key = q->key, .class = (enum class)q->class};
        if (!m || !length_of(q, &w->speed, &row) || w->count == WORK_ROWS_MAX) {
            skipped++;
            continue;
        }
        row.model = (uint32_t)(m - c->models);
        *workload_add(w) = row;
    }
    if (w->count)
        workload_sort(w, 0);
    return skipped;
}

static void add_leases(const struct past *past, const struct config *c, struct workload *w)
{
    for (uint32_t i = 0; i < past->counts[PAST_LEASES]; i++) {
        const struct past_lease *l = &past->leases[i];
        uint64_t from_ns = l->asked_ns > past->from_ns ? l->asked_ns : past->from_ns;
        uint64_t to_ns = l->ended_ns && l->ended_ns < past->to_ns ? l->ended_ns : past->to_ns;
        uint64_t since_ns = l->granted_ns > past->from_ns ? l->granted_ns : past->from_ns;
        uint32_t devices = (uint32_t)__builtin_popcountll(l->devices);
        if (!l->granted_ns || to_ns <= since_ns || !l->bytes || devices == 0 ||
            devices > c->gpu_count || w->lease_count == WORK_LEASES_MAX)
            continue;
        struct work_lease *lease = workload_add_lease(w);
        lease->at_ns = from_ns - past->from_ns;
        lease->hold_ns = to_ns - since_ns;
        lease->bytes = l->bytes / devices;
        lease->device_count = devices;
        lease->class = (enum class)l->class;
    }
}

/* ---- running ---- */

static bool is_comparable(const struct sim_result *x)
{
    return x->unserved == 0 && x->policy.victims != VICTIMS_FORESEEN;
}

static void choose(const struct config *c, struct sim_policies *ret, const char **ret_own)
{
    struct err e = {.set = false};
    struct sim_policies own;
    bool is_there = false;
    *ret_own = simulate_own_policy(c);
    policies_default(simulate_fits(c), simulate_has_matrix(c), true, ret);
    for (uint32_t i = 0; i < ret->count; i++)
        is_there |= strcmp(ret->items[i].name, *ret_own) == 0;
    if (!is_there && policies_parse(*ret_own, &own, &e) == 0)
        ret->items[ret->count++] = own.items[0];
}

static void run_all(struct report *r, const struct sim_options *opt)
{
    struct report_policies *out = &r->policies;
    struct sim_policies policies;
    const char *own;
    choose(opt->config, &policies, &own);
    out->results = alloc_zeroed(policies.count, sizeof(*out->results));
    for (uint32_t i = 0; i < policies.count; i++) {
        simulate_run(opt, &policies.items[i], NULL, &out->results[i]);
        if (strcmp(policies.items[i].name, own) == 0)
            out->own = i;
    }
    out->count = policies.count;
    out->best = out->own;
    for (uint32_t i = 0; i < out->count; i++)
        if (is_comparable(&out->results[i]) &&
            (out->results[i].served > out->results[out->best].served ||
             (out->results[i].served == out->results[out->best].served &&
              out->results[i].wait_sum_ns < out->results[out->best].wait_sum_ns)))
            out->best = i;
}

void report_simulate(struct report *r, const struct config *c)
{
    struct measured measured;
    struct workload work = {.speed = measure_speed(r)};
    r->policies.skipped = add_rows(r, c, &work);
    if (simulate_fits(c))
        add_leases(r->past, c, &work);
    if (c->planner == CONFIG_PLAN_FIT && !simulate_fits(c)) {
        report_simulate_not(r, "The configuration does not say how much memory its devices have: "
                               "give --gpus, as in --gpus 24GiB, to have policies compared.");
    } else if (work.count == 0) {
        report_simulate_not(r, "None of the requests is for a model of the configuration, and "
                               "says how long it took: policies cannot be compared.");
    } else {
        measure_costs(r, c, &measured);
        const struct sim_options opt = {.config = c,
                                        .work = &work,
                                        .costs = {.load_fixed_ns = LOAD_FIXED_NS,
                                                  .load_bytes_per_s = LOAD_BYTES_PER_S,
                                                  .unload_ns = measured.unload_ns,
                                                  .unknown_bytes = UNKNOWN_BYTES,
                                                  .load_ns = measured.load_ns,
                                                  .bytes = measured.bytes}};
        run_all(r, &opt);
        free(measured.load_ns);
        free(measured.bytes);
    }
    workload_fini(&work);
}

void report_tell_policies(const struct report *r, struct buf *out)
{
    const struct report_policies *p = &r->policies;
    if (p->count == 0) {
        buf_text(out, p->why_not);
        return;
    }
    const struct sim_result *own = &p->results[p->own], *best = &p->results[p->best];
    char had[UNITS_TEXT_MAX], would[UNITS_TEXT_MAX], saved[UNITS_TEXT_MAX];
    uint64_t saved_ns =
        own->wait_sum_ns > best->wait_sum_ns ? own->wait_sum_ns - best->wait_sum_ns : 0;
    if (p->best == p->own || saved_ns < own->wait_sum_ns / 100) {
        buf_printf(out,
                   "No other policy would have been better than %s, which the configuration asks "
                   "for, by more than 1 %% of the waiting.",
                   own->policy.name);
        return;
    }
    buf_printf(out,
               "%s would have saved %s of waiting: %s instead of the %s that %s, which the "
               "configuration asks for, comes to with the same requests, simulated alike.",
               best->policy.name, units_format_duration(saved_ns, saved),
               units_format_duration(best->wait_sum_ns, would),
               units_format_duration(own->wait_sum_ns, had), own->policy.name);
}
