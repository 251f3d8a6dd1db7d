#include "cli/init/fit.h"

#include "backend/estimate.h"
#include "base/pure/check.h"

/* Of a GPU's memory: the rest is for a desktop, and for what estimates leave out. */
#define ROOM_NUMERATOR 15
#define ROOM_DENOMINATOR 16

void fit_gpus_of(const struct found *f, struct fit_gpus *ret)
{
    *ret = (struct fit_gpus){.count = 0};
    for (uint32_t i = 0; i < f->gpu_count; i++) {
        uint64_t bytes = f->gpus[i].bytes;
        if (!f->gpus[i].used || !bytes) {
            ret->blind = true;
            continue;
        }
        uint32_t at = ret->count++;
        for (; at > 0 && ret->bytes[at - 1] < bytes; at--)
            ret->bytes[at] = ret->bytes[at - 1];
        ret->bytes[at] = bytes;
    }
}

/* What n GPUs can take of a model: each gives the same (`gpuCount`). */
static uint64_t room_of(const struct fit_gpus *gpus, uint32_t n)
{
    return gpus->bytes[n - 1] / ROOM_DENOMINATOR * ROOM_NUMERATOR * n;
}

static uint64_t estimate(const struct found_model *m, uint64_t context, uint64_t layers)
{
    struct estimate_args args;
    estimate_read_args(NULL, 0, &args);
    struct estimate_part part = {.context = context, .layers = layers};
    uint64_t bytes = estimate_part_bytes(&m->head, m->bytes, &part, &args);
    return estimate_plus(estimate_plus(bytes, ESTIMATE_OVERHEAD_BYTES), m->projector_bytes);
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

/* The largest context from `most` down to `least`, by halves, with which the model fits whole; 0:
 * none. */
static uint64_t find_context(const struct found_model *m, uint64_t most, uint64_t least,
                             uint64_t room)
{
    for (uint64_t context = most; context >= least && context; context /= 2)
        if (estimate(m, context, ESTIMATE_ALL_LAYERS) <= room)
            return context;
    return 0;
}

/* Whole, on as few GPUs as can do it. */
static bool fit_whole(const struct found_model *m, const struct fit_gpus *gpus, uint64_t most,
                      struct fit *ret)
{
    static const uint64_t leasts[] = {FIT_CONTEXT_USUAL, FIT_CONTEXT_LEAST};
    for (uint32_t l = 0; l < countof(leasts); l++) {
        for (uint32_t n = 1; n <= gpus->count; n++) {
            uint64_t room = room_of(gpus, n);
            uint64_t context = find_context(m, most, at_most(most, leasts[l]), room);
            /* A file that does not say what it was made for is not to be asked for less. */
            bool fits = most ? context != 0 : estimate(m, 0, ESTIMATE_ALL_LAYERS) <= room;
            if (!fits)
                continue;
            ret->context = context;
            ret->gpus = n;
            return true;
        }
    }
    return false;
}

/* As many layers as there is room for, wherever that is most. */
static void fit_part(const struct found_model *m, const struct fit_gpus *gpus, struct fit *ret)
{
    uint64_t room = 0;
    for (uint32_t n = 1; n <= gpus->count; n++) {
        if (room_of(gpus, n) <= room)
            continue;
        room = room_of(gpus, n);
        ret->gpus = n;
    }
    ret->layers = m->head.layers;
    while (ret->layers && estimate(m, ret->context, ret->layers) > room)
        ret->layers--;
}

struct fit fit_choose(const struct found_model *m, const struct fit_gpus *gpus)
{
    uint64_t most = at_most(m->head.context, FIT_CONTEXT_MAX);
    struct fit fit = {.context = at_most(most, FIT_CONTEXT_USUAL), .layers = ESTIMATE_ALL_LAYERS};
    if (m->kind != FOUND_CHAT)
        fit.context = most = at_most(most, FIT_BATCH_MAX);
    fit.offloads = gpus->count || gpus->blind;
    if (gpus->count && !fit_whole(m, gpus, most, &fit))
        fit_part(m, gpus, &fit);
    return fit;
}
