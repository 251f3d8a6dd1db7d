#include "core/reuse.h"

#include <stdbool.h>
#include <stddef.h>

/* Half-lives in requests. */
static const uint64_t half_lives[REUSE_PASTS] = {8, 64, 1024};
#define KEY_HALF_LIFE 64
/* What an expert gets back of the others' weight at each request, so that none is ever out. */
#define SHARE_DIVISOR 256
/* The least that a predictor may say: it has not seen everything. */
#define PROBABILITY_MIN (REUSE_ONE / 2048)
#define MOVES_MAX 4096

/* count · 2^(-age / half_life), linear between the halvings. */
static uint64_t decay(uint64_t count, uint64_t age, uint64_t half_life)
{
    uint64_t halvings = age / half_life, rest = age % half_life;
    if (halvings >= 63)
        return 0;
    count >>= halvings;
    return count - count / 2 * rest / half_life;
}

static uint64_t share(uint64_t part, uint64_t whole)
{
    uint64_t p = whole ? part * REUSE_ONE / whole : 0;
    return p < PROBABILITY_MIN ? PROBABILITY_MIN : p > REUSE_ONE ? REUSE_ONE : p;
}

static uint64_t past_probability(const struct reuse *r, const struct reuse_model *m, size_t past)
{
    uint64_t age = r->requests - m->at[past];
    return share(decay(m->count[past], age, half_lives[past]), r->total[past]);
}

/* Each asker either stays with what it used last, or takes one by the long-term shares. */
static uint64_t key_probability(const struct reuse *r, const struct reuse_model *m, uint32_t slot)
{
    uint64_t on_it = 0, all = 0;
    for (size_t i = 0; i < REUSE_KEYS; i++) {
        const struct reuse_key *k = &r->keys[i];
        if (!k->key)
            continue;
        uint64_t count = decay(k->count, r->requests - k->at, KEY_HALF_LIFE);
        all += count;
        if (k->model == slot)
            on_it += count;
    }
    uint64_t popular = past_probability(r, m, REUSE_PASTS - 1);
    if (!all)
        return popular;
    uint64_t stay = (r->stays + 1) * REUSE_ONE / (r->stays + r->switches + 2);
    uint64_t p = (stay * (on_it * REUSE_ONE / all) + (REUSE_ONE - stay) * popular) / REUSE_ONE;
    return p < PROBABILITY_MIN ? PROBABILITY_MIN : p;
}

static uint64_t expert(const struct reuse *r, const struct reuse_model *m, uint32_t slot, size_t i)
{
    return i < REUSE_PASTS ? past_probability(r, m, i) : key_probability(r, m, slot);
}

uint64_t reuse_probability(const struct reuse *r, const struct reuse_model *m, uint32_t slot)
{
    uint64_t sum = 0;
    if (!r->requests)
        return 1;
    for (size_t i = 0; i < REUSE_EXPERTS; i++)
        if (r->weight[i])
            sum += r->weight[i] * expert(r, m, slot, i);
    return sum / REUSE_ONE + 1;
}

/* Who said that this model would be asked for gains weight. */
static void weigh(struct reuse *r, const struct reuse_model *m, uint32_t slot, bool keyed)
{
    uint64_t won[REUSE_EXPERTS], sum = 0;
    size_t count = keyed ? REUSE_EXPERTS : REUSE_PASTS;
    for (size_t i = 0; i < count; i++) {
        if (!r->weight[i]) /* it has had nothing to say so far */
            r->weight[i] = REUSE_ONE / REUSE_EXPERTS;
        won[i] = r->weight[i] * expert(r, m, slot, i);
        sum += won[i];
    }
    if (!sum)
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t w = won[i] / (sum / REUSE_ONE + 1);
        r->weight[i] = w - w / SHARE_DIVISOR + REUSE_ONE / SHARE_DIVISOR / count;
    }
}

static void learn_key(struct reuse *r, uint32_t slot, uint32_t key)
{
    struct reuse_key *k = NULL, *oldest = &r->keys[0];
    for (size_t i = 0; i < REUSE_KEYS && !k; i++) {
        if (r->keys[i].key == key)
            k = &r->keys[i];
        if (r->keys[i].at < oldest->at || (!r->keys[i].key && oldest->key))
            oldest = &r->keys[i];
    }
    if (!k) {
        k = oldest;
        *k = (struct reuse_key){.key = key, .model = slot, .at = r->requests};
    } else if (k->model == slot) {
        r->stays++;
    } else {
        r->switches++;
    }
    if (r->stays + r->switches > MOVES_MAX) {
        r->stays /= 2;
        r->switches /= 2;
    }
    k->count = decay(k->count, r->requests - k->at, KEY_HALF_LIFE) + REUSE_ONE;
    k->model = slot;
    k->at = r->requests;
}

void reuse_learn(struct reuse *r, struct reuse_model *m, uint32_t slot, uint32_t key)
{
    weigh(r, m, slot, key != 0);
    r->requests++;
    for (size_t i = 0; i < REUSE_PASTS; i++) {
        uint64_t age = r->requests - m->at[i];
        m->count[i] = decay(m->count[i], age, half_lives[i]) + REUSE_ONE;
        m->at[i] = r->requests;
        r->total[i] = decay(r->total[i], 1, half_lives[i]) + REUSE_ONE;
    }
    if (key)
        learn_key(r, slot, key);
}
