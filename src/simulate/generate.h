/* generate.h: makes a workload from a short text, KIND:key=value,key=value,…
 *
 *     poisson  requests come independently of each other, `rate` a second
 *     bursty   the same on average, but in bursts: `burst` requests on average, one model each
 *              burst, `gap` on average between two of them
 *     every    one request each `period`, the first at `from`
 *     closed   `clients` that each ask again `think` after their answer
 *     lease    somebody who is no model takes `size` of memory each `period`, for `hold`
 *
 * GENERATE_KEYS has the keys. The same seed gives the same workload. */
#ifndef SIMULATE_GENERATE_H
#define SIMULATE_GENERATE_H

#include "base/err.h"
#include "config/config.h"
#include "simulate/names.h"
#include "simulate/workload.h"

/* KEY(name, type, field, default, kinds, doc); kinds: the first letters of those that know it.
 * `daily` makes a rate follow the hours: least at midnight, most at noon. */
#define GENERATE_KEYS(KEY)                                                                         \
    KEY(rate, NUMBER, rate, 0, "pb", "requests a second")                                          \
    KEY(daily, NUMBER, daily, 0, "pb",                                                             \
        "how much the rate follows the hours: 1 is none at midnight, twice as many at noon (0)")   \
    KEY(burst, NUMBER, burst, 8, "b", "requests in a burst on average (8)")                        \
    KEY(gap, DURATION, gap_ns, NS_PER_S, "b", "between two of them on average (1s)")               \
    KEY(period, DURATION, period_ns, 0, "el", "from one request, or lease, to the next")           \
    KEY(size, SIZE, size, 0, "l", "memory of the lease, on one device")                            \
    KEY(hold, DURATION, hold_ns, 0, "l", "how long it is held")                                    \
    KEY(name, TEXT, name, 0, "l", "what the lease is called (job)")                                \
    KEY(clients, COUNT, clients, 1, "c", "how many (1)")                                           \
    KEY(think, DURATION, think_ns, 0, "c", "from an answer to the next request (0s)")              \
    KEY(rows, COUNT, rows, 0, "pbel", "how many (2000, unless `for` says)")                        \
    KEY(for, DURATION, for_ns, 0, "pbecl", "how long they come; closed needs it")                  \
    KEY(from, DURATION, from_ns, 0, "pbecl", "when they begin (0s)")                               \
    KEY(model, TEXT, model, 0, "pbec", "the model; absent: one is drawn")                          \
    KEY(class, TEXT, class_name, 0, "pbecl",                                                       \
        "foreground, normal or background (as the model has it)")                                  \
    KEY(key, TEXT, key, 0, "pbec", "who asks")                                                     \
    KEY(zipf, NUMBER, zipf, -1, "pbec", "how uneven the draw of models is (as --zipf)")            \
    KEY(prompt, NUMBER, prompt, 1000, "pbec", "tokens of a prompt on average (1000)")              \
    KEY(output, NUMBER, output, 200, "pbec", "tokens of an answer on average (200)")               \
    KEY(seconds, NUMBER, seconds, 0, "pbec", "time of an answer on average, instead of tokens")    \
    KEY(lengths, TEXT, lengths, 0, "pbec", "exponential or fixed (exponential)")

struct generate_context {
    const struct config *config;
    const struct work_assign *assign;
    struct names *keys; /* borrowed */
    double zipf;        /* unless the text says otherwise */
    uint64_t seed;
    uint32_t number; /* of this text among others */
};

/* Appends to w. 0, or -1 with e set. */
int generate_add(const char *spec, const struct generate_context *ctx, struct workload *w,
                 struct err *e) warn_unused;

#endif
