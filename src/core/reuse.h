/* reuse.h: how likely it is that the next request is for a given model. A leaf; integers only.
 *
 * Several simple predictors look at the stream of requests: the models' shares of it over a short,
 * a middling and a long past, and what each asker has been using. They are mixed by the weight that
 * their predictions have earned (prediction with expert advice, fixed share), so that nothing has
 * to be tuned to a load. Time is counted in requests, so that the load's speed does not matter. */
#ifndef CORE_REUSE_H
#define CORE_REUSE_H

#include <stdint.h>

/* Probabilities are in units of 1/REUSE_ONE. */
#define REUSE_ONE 65536U
#define REUSE_PASTS 3
#define REUSE_EXPERTS (REUSE_PASTS + 1)
#define REUSE_KEYS 32

/* A model's decayed counts; zero is valid. */
struct reuse_model {
    uint64_t count[REUSE_PASTS]; /* in units of 1/REUSE_ONE */
    uint64_t at[REUSE_PASTS];    /* the request number for which the count holds */
};

struct reuse_key {
    uint32_t key, model; /* key 0: the entry is free */
    uint64_t at;         /* its last request */
    uint64_t count;      /* decayed */
};

struct reuse {
    uint64_t requests;
    uint64_t total[REUSE_PASTS];
    uint64_t weight[REUSE_EXPERTS]; /* sum is REUSE_ONE once anything was learned */
    uint64_t stays, switches;       /* of askers between models */
    struct reuse_key keys[REUSE_KEYS];
};

/* Learns from one request for the model (named by its slot); key 0: nobody knows who asks. */
void reuse_learn(struct reuse *r, struct reuse_model *m, uint32_t slot, uint32_t key);
/* The probability that the next request is for the model; at least 1. */
uint64_t reuse_probability(const struct reuse *r, const struct reuse_model *m, uint32_t slot);

#endif
