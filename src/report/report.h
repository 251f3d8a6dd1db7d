/* report.h: what a day or a week looked like: everything that `wharf report` tells, before it is
 * told. Counts are of the record's window; names are borrowed from the record, which outlives it.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/buf.h"
#include "report/absences.h"
#include "report/past.h"
#include "simulate/result.h"

/* Loaded again so soon after it was put out, a model has left in vain. */
#define REPORT_THRASH_NS (300 * NS_PER_S)
/* In hours; a longer window has no strip of hours. */
#define REPORT_HOURS_MAX (31 * 24)

/* Who can cost others time. */
enum report_who { WHO_MODEL, WHO_CLIENT, WHO_LEASE, WHO__COUNT };

struct report_model {
    const char *name;
    uint32_t requests, failed; /* failed: an answer of 400 and more, or none */
    uint64_t waited_ns, served_ns;
    uint32_t loads, failed_loads, put_out, thrash; /* put_out: it left for somebody */
    uint64_t load_ns, thrash_ns;                   /* thrash_ns: of the loads that came too soon */
    uint64_t there_ns;                             /* of the window, in which it was loaded */
    uint64_t bytes;                                /* the most that it took */
    uint64_t cost_ns;                              /* what others waited because of it */
    uint32_t cost_times;                           /* how many had to leave for it */
    uint32_t top_key;                              /* who asked for it most often; 0: not known */
    uint32_t top_key_requests;
    /* What its speeds are measured from. */
    uint64_t prefill_tokens, prefill_ns, decode_tokens, decode_ns;
    uint32_t number; /* of the record */
};

struct report_client {
    const char *name;
    uint32_t requests;
    uint64_t waited_ns, cost_ns;
    uint32_t cost_times, number;
    uint32_t models; /* how many models others had to leave for on its account */
};

struct report_lease {
    const char *name;
    uint32_t times, granted, revoked;
    uint64_t held_ns, bytes; /* bytes: the most */
    double byte_hours;
    uint64_t cost_ns;
    uint32_t cost_times, number;
};

/* Who put out whom. */
struct report_pair {
    const char *who, *whom;
    bool by_lease;
    uint32_t times;
    uint64_t reload_ns, waited_ns; /* of the loads that brought it back; of requests in between */
};

/* By the clock on the wall; the hour that comes twice as summer ends is one. */
struct report_hour {
    uint64_t from_ns;
    char date[16]; /* "2024-01-31" */
    int hour;      /* of the day */
    uint32_t requests, loads;
    uint64_t waited_ns;
};

struct report_waits {
    struct sim_waits served; /* percentiles by nearest rank */
    uint32_t unserved;       /* never came to a model's server */
};

/* What stands out, or the most there is. */
struct report_worst {
    enum report_who who;
    const char *name;            /* NULL: nothing has cost anybody anything */
    uint64_t cost_ns, others_ns; /* others_ns: all that others waited */
    uint64_t next_ns;            /* of the next of its kind */
    uint32_t share_permille;     /* of others_ns */
    uint32_t times;
    bool stands_out;
    const char *key; /* who asked for the model; NULL: nobody in particular */
};

struct report_policies {
    struct sim_result *results; /* owned */
    uint32_t count, own, best;  /* best: with the least waiting; own: what the configuration has */
    uint32_t skipped;           /* requests that could not be simulated */
    char why_not[ERR_TEXT_MAX]; /* why there are none; "": there are, or nobody asked */
};

/* All zero is an empty one; arrays are owned. */
struct report {
    const struct past *past; /* borrowed */
    uint32_t requests, loads, put_out;
    uint64_t waited_ns, load_ns;
    struct report_waits classes[CLASS__COUNT], all;
    struct report_model *models; /* by requests, most first */
    struct report_client *clients;
    struct report_lease *leases; /* by cost */
    struct report_pair *pairs;   /* by waiting and reloading */
    struct report_hour *hours;   /* in order of time; none for a long window */
    uint32_t model_count, client_count, lease_count, pair_count, hour_count;
    struct absences absences;
    struct report_worst worst;
    char advice[ERR_TEXT_MAX]; /* one or two sentences about the worst */
    struct report_policies policies;
};

/* r: in order, by past_window. */
void report_make(const struct past *r, struct report *ret);
void report_fini(struct report *r);

/* sums.c: all figures but those of the hours and the worst. */
void report_sum(struct report *r);
/* hours.c */
void report_sum_hours(struct report *r);
/* advice.c: who stands out, by the rule of docs/report.md, and what to do about it. */
void report_find_worst(struct report *r);
/* One sentence about what another policy would have saved; "" where there is none to tell. */
void report_tell_policies(const struct report *r, struct buf *out);

/* Writers. Names are escaped; what they write stands by itself. */
void report_write_json(struct buf *out, const struct report *r);
void report_write_html(struct buf *out, const struct report *r);
/* The pictures alone, as one SVG. */
void report_write_svg(struct buf *out, const struct report *r);

#endif
