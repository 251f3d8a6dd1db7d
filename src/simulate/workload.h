/* workload.h: what is asked of the models, and when: rows with their times, and clients that ask
 * again when they have been answered. */
#ifndef SIMULATE_WORKLOAD_H
#define SIMULATE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/words.h"
#include "simulate/draw.h"
#include "simulate/names.h"

#define WORK_DRAWN UINT32_MAX /* instead of a model: one is to be drawn */
#define WORK_NEVER UINT64_MAX
#define WORK_MODELS_CLASS CLASS__COUNT /* instead of a class: what the model's requests have */
#define WORK_ROWS_MAX 50000000
#define WORK_LEASES_MAX 100000

/* Tokens a second. */
struct work_speed {
    uint32_t prefill, decode;
};

struct work_row {
    uint64_t at_ns;
    uint64_t serve_ns;       /* how long a slot of its model is taken */
    uint32_t prompt, output; /* tokens; 0: not known */
    uint32_t model;          /* index into the configuration's models, or WORK_DRAWN */
    uint32_t key;            /* who asks; 0: unknown */
    enum class class;
};

/* How long requests are, as far as a generator says. */
struct work_length {
    double prompt, output; /* tokens on average */
    double seconds;        /* instead of both, unless 0 */
    bool fixed;            /* always the average; else exponentially distributed */
};

/* A client with one request at a time. */
struct work_loop {
    uint32_t model, key;
    enum class class;
    struct work_length length;
    uint64_t think_ns;          /* from an answer to the next request */
    uint64_t from_ns, until_ns; /* the first request; no new one from until_ns on */
    uint32_t zipf;              /* of the workload, with WORK_DRAWN */
    uint64_t seed;
};

/* Memory for somebody who is no model. */
struct work_lease {
    uint64_t at_ns, hold_ns; /* asked for; from the grant on, unless it is asked back */
    uint64_t bytes;          /* on each of its devices */
    uint32_t device_count;
    uint32_t name; /* of the workload's keys */
    enum class class;
    bool revocable;
};

struct workload {
    struct work_row *rows; /* owned; in order of time */
    uint32_t count, rows_max;
    struct work_loop *loops; /* owned */
    uint32_t loop_count;
    struct draw_zipf *zipfs; /* owned; what loops draw from */
    uint32_t zipf_count;
    struct work_lease *leases; /* owned; in any order */
    uint32_t lease_count;
    struct names keys; /* of rows and leases; what is above was not named */
    struct work_speed speed;
    uint32_t requests_max; /* rows and loops together; 0: no limit */
};

/* How rows without a model get one. */
struct work_assign {
    bool sticky;    /* each row has a user, who keeps to a model with the chance `keep` */
    uint32_t users; /* of rows that do not say who asks */
    double keep;
};

void workload_fini(struct workload *w);
/* Appends one. The caller sees to WORK_ROWS_MAX. */
struct work_row *workload_add(struct workload *w);
struct work_loop *workload_add_loop(struct workload *w);
struct work_lease *workload_add_lease(struct workload *w);
/* Returns its number. */
uint32_t workload_add_zipf(struct workload *w, uint32_t models, double exponent);

/* By its name. 0, or -1 with e set. */
int work_parse_class(const char *text, enum class *ret, struct err *e) warn_unused;
uint64_t work_serve_ns(const struct work_speed *speed, uint64_t prompt_tokens,
                       uint64_t output_tokens);
/* Fills in how long it is: its tokens, as far as length has them, and its time. */
void work_draw_length(const struct work_speed *speed, const struct work_length *length,
                      struct rng *rng, struct work_row *row);
/* So many tokens in a row, which has room for four thousand millions. */
uint32_t work_tokens(uint64_t count);

/* Orders rows from first on by time; equal times keep their order. */
void workload_sort(struct workload *w, uint32_t first);
/* Gives a model to each row from first on that has none, in order; with sticky users also a key to
 * those without one, above keys_used. Returns how many keys are used then. */
uint32_t workload_assign(struct workload *w, uint32_t first, const struct work_assign *assign,
                         const struct draw_zipf *zipf, uint32_t keys_used, struct rng *rng);
/* What lies between start and a row takes `stretch` times as long, and start is at 0. */
void workload_stretch(struct workload *w, double stretch, uint64_t start_ns);
/* The stretch with which `load` requests would be running on average, if none ever waited; 0: the
 * rows do not say, since they all come at once or take no time. */
double workload_stretch_for(const struct workload *w, double load);

#endif
