/* generate_spec.h: the text of a generator, taken apart. */
#ifndef SIMULATE_GENERATE_SPEC_H
#define SIMULATE_GENERATE_SPEC_H

#include "simulate/generate.h"

#define GENERATE_TEXT_MAX 200

enum generate_kind {
    GENERATE_POISSON,
    GENERATE_BURSTY,
    GENERATE_EVERY,
    GENERATE_CLOSED,
    GENERATE_LEASE,
    GENERATE__KINDS
};

struct generate_spec {
    enum generate_kind kind;
    double rate, daily, burst, prompt, output, seconds;
    double zipf; /* below 0: not given */
    uint64_t gap_ns, period_ns, think_ns, hold_ns, for_ns, from_ns;
    uint64_t size; /* bytes */
    uint32_t clients, rows;
    char model[GENERATE_TEXT_MAX], class_name[GENERATE_TEXT_MAX], key[GENERATE_TEXT_MAX];
    char lengths[GENERATE_TEXT_MAX], name[GENERATE_TEXT_MAX];
};

/* 0, or -1 with e set. All that can be said without a configuration has been checked then. */
int generate_spec_parse(const char *text, struct generate_spec *ret, struct err *e) warn_unused;

#endif
