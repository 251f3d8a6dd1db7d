#include "simulate/workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

#define ROWS_MIN 1024

void workload_fini(struct workload *w)
{
    for (uint32_t i = 0; i < w->zipf_count; i++)
        draw_zipf_fini(&w->zipfs[i]);
    free(w->zipfs);
    free(w->rows);
    free(w->loops);
    free(w->leases);
    names_fini(&w->keys);
    *w = (struct workload){.count = 0};
}

struct work_row *workload_add(struct workload *w)
{
    must(w->count < WORK_ROWS_MAX);
    if (w->count == w->rows_max) {
        w->rows_max = w->rows_max ? w->rows_max * 2 : ROWS_MIN;
        w->rows = alloc_grow(w->rows, w->rows_max, sizeof(*w->rows));
    }
    w->rows[w->count] = (struct work_row){.model = WORK_DRAWN, .class = WORK_MODELS_CLASS};
    return &w->rows[w->count++];
}

struct work_loop *workload_add_loop(struct workload *w)
{
    w->loops = alloc_grow(w->loops, w->loop_count + 1, sizeof(*w->loops));
    w->loops[w->loop_count] = (struct work_loop){.model = WORK_DRAWN, .class = WORK_MODELS_CLASS};
    return &w->loops[w->loop_count++];
}

struct work_lease *workload_add_lease(struct workload *w)
{
    must(w->lease_count < WORK_LEASES_MAX);
    w->leases = alloc_grow(w->leases, w->lease_count + 1, sizeof(*w->leases));
    w->leases[w->lease_count] = (struct work_lease){.device_count = 1, .class = CLASS_NORMAL};
    return &w->leases[w->lease_count++];
}

uint32_t workload_add_zipf(struct workload *w, uint32_t models, double exponent)
{
    w->zipfs = alloc_grow(w->zipfs, w->zipf_count + 1, sizeof(*w->zipfs));
    draw_zipf_init(&w->zipfs[w->zipf_count], models, exponent);
    return w->zipf_count++;
}

int work_parse_class(const char *text, enum class *ret, struct err *e)
{
    for (int i = 0; i < CLASS__COUNT; i++)
        if (strcmp(class_text((enum class)i), text) == 0) {
            *ret = (enum class)i;
            return 0;
        }
    return err_set(e, "no class '%.60s': foreground, normal or background", text);
}

/* n of which `speed` make a second, in whole nanoseconds. */
static uint64_t ns_for(uint64_t n, uint32_t speed)
{
    return n / speed * NS_PER_S + n % speed * NS_PER_S / speed;
}

uint64_t work_serve_ns(const struct work_speed *speed, uint64_t prompt_tokens,
                       uint64_t output_tokens)
{
    return ns_for(prompt_tokens, speed->prefill) + ns_for(output_tokens, speed->decode);
}

static uint64_t draw_length(double mean, bool fixed, struct rng *rng)
{
    return fixed ? (uint64_t)llround(mean) : draw_exponential(rng, mean);
}

uint32_t work_tokens(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

void work_draw_length(const struct work_speed *speed, const struct work_length *length,
                      struct rng *rng, struct work_row *row)
{
    if (length->seconds > 0) {
        row->serve_ns = draw_length(length->seconds * (double)NS_PER_S, length->fixed, rng);
        return;
    }
    uint64_t prompt = draw_length(length->prompt, length->fixed, rng);
    uint64_t output = draw_length(length->output, length->fixed, rng);
    row->serve_ns = work_serve_ns(speed, prompt, output);
    row->prompt = work_tokens(prompt);
    row->output = work_tokens(output);
}

/* Merges the sorted runs [0, middle) and [middle, count) of from into to. */
static void merge(const struct work_row *from, struct work_row *to, uint32_t middle, uint32_t count)
{
    uint32_t left = 0, right = middle;
    for (uint32_t i = 0; i < count; i++) {
        bool takes_left =
            left < middle && (right == count || from[left].at_ns <= from[right].at_ns);
        to[i] = from[takes_left ? left++ : right++];
    }
}

/* By merging, since qsort would not keep the order of rows with equal times. */
void workload_sort(struct workload *w, uint32_t first)
{
    uint32_t count = w->count - first;
    struct work_row *from = w->rows + first;
    struct work_row *spare = alloc_zeroed(count, sizeof(*spare));
    struct work_row *to = spare;
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t at = 0; at < count;) {
            uint32_t rest = count - at;
            uint32_t middle = width < rest ? width : rest;
            uint32_t size = rest - middle < width ? rest : 2 * width;
            merge(from + at, to + at, middle, size);
            at += size;
        }
        struct work_row *swap = from;
        from = to;
        to = swap;
    }
    for (uint32_t i = 0; from == spare && i < count; i++)
        to[i] = from[i];
    free(spare);
}

uint32_t workload_assign(struct workload *w, uint32_t first, const struct work_assign *assign,
                         const struct draw_zipf *zipf, uint32_t keys_used, struct rng *rng)
{
    uint32_t users = assign->sticky ? assign->users : 0;
    uint32_t *favourite = alloc_zeroed(keys_used + users + 1, sizeof(*favourite));
    for (uint32_t i = 0; i <= keys_used + users; i++)
        favourite[i] = WORK_DRAWN;
    for (uint32_t i = first; i < w->count; i++) {
        struct work_row *row = &w->rows[i];
        if (row->model != WORK_DRAWN)
            continue;
        if (!assign->sticky) {
            row->model = draw_zipf_pick(zipf, rng);
            continue;
        }
        if (!row->key)
            row->key = keys_used + 1 + (uint32_t)rng_below(rng, users);
        uint32_t *model = &favourite[row->key];
        if (*model == WORK_DRAWN || draw_unit(rng) >= assign->keep)
            *model = draw_zipf_pick(zipf, rng);
        row->model = *model;
    }
    free(favourite);
    return keys_used + users;
}

void workload_stretch(struct workload *w, double stretch, uint64_t start_ns)
{
    for (uint32_t i = 0; i < w->count; i++)
        w->rows[i].at_ns = (uint64_t)llround((double)(w->rows[i].at_ns - start_ns) * stretch);
    for (uint32_t i = 0; i < w->lease_count; i++)
        w->leases[i].at_ns = (uint64_t)llround((double)(w->leases[i].at_ns - start_ns) * stretch);
}

double workload_stretch_for(const struct workload *w, double load)
{
    double serve_ns = 0;
    for (uint32_t i = 0; i < w->count; i++)
        serve_ns += (double)w->rows[i].serve_ns;
    double span_ns = w->count ? (double)(w->rows[w->count - 1].at_ns - w->rows[0].at_ns) : 0;
    return span_ns > 0 ? serve_ns / load / span_ns : 0;
}
